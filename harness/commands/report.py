"""harness report: tables and pages from the stored scores alone."""

from __future__ import annotations

import json
from pathlib import Path

from harness.console import output
from harness.planning.study import Study
from harness.reporting.report import report_study


def report(recipe: Path, runs: Path, as_json: bool) -> None:
    """Writes the report and prints its tables, or its summary as JSON. Raises UserError."""
    summary = report_study(Study(recipe, runs), None if as_json else output)
    if as_json:
        print(json.dumps(summary.to_dicts(), ensure_ascii=False))

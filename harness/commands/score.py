"""The `harness score` stage: predictions in a file to scores in another, and a summary."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, cast

from eval.prediction_files.score import SCORED_TASKS, ScoredTask, Tallies, score_to_text
from eval.scorers.language import IDENTIFIERS, Identifier, available
from harness.console import say
from harness.errors import Problem, UserError, suggestion

SHOWN_BAD = 20


def score_predictions(
    file: Path, task: str, out: Path | None, processes: int | None, identifier: str
) -> dict[str, Any]:
    """Scores a file, writes the scores of its rows if `out` says where, and returns the summary.

    Raises UserError for a task or an identifier that there is not, a file that cannot be read or written, and one
    without a good row.
    """
    problems = identifier_problems("--identifier", identifier) + same_file_problems(file, out)
    if task not in SCORED_TASKS:
        problems.append(Problem("--task", f"no task {task!r}; {suggestion(task, SCORED_TASKS)}"))
    if problems:
        raise UserError(problems)
    known = cast(ScoredTask, task)
    tallies = Tallies()
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=out.parent if out else None, prefix=".scores.", delete=False, encoding="utf-8"
        ) as written:
            for text, counted in score_to_text(file, known, processes, cast(Identifier, identifier)):
                tallies.merge(counted)
                written.write(text)
    except OSError as error:
        raise UserError([Problem(str(error.filename or file), error.strerror or str(error))]) from None
    report_bad(tallies)
    if out and tallies.by_language:
        Path(written.name).chmod(0o644)
        Path(written.name).replace(out)
    else:
        Path(written.name).unlink()
    if not tallies.by_language:
        raise UserError([Problem(str(file), "holds no row that can be scored")])
    return tallies.as_data()


def same_file_problems(file: Path, out: Path | None) -> list[Problem]:
    """Results that would be written over what they are of."""
    if out and out.resolve() == file.resolve():
        return [Problem("--out", f"{out} is the file of predictions itself; name another")]
    return []


def identifier_problems(where: str, identifier: str) -> list[Problem]:
    """What keeps a language identifier from being used."""
    if identifier not in IDENTIFIERS:
        return [Problem(where, f"no identifier {identifier!r}; {suggestion(identifier, IDENTIFIERS)}")]
    if not available(identifier):
        return [Problem(where, f"{identifier} is not installed: pip install '.[{identifier}]', or take py3langid")]
    return []


def report_bad(tallies: Tallies) -> None:
    """Says which rows are bad, the first of them by line."""
    for row in tallies.bad[:SHOWN_BAD]:
        say(f"bad row: {row}")
    if tallies.bad:
        more = f", {len(tallies.bad) - SHOWN_BAD} of them not shown" if len(tallies.bad) > SHOWN_BAD else ""
        say(f"{len(tallies.bad)} bad rows were left out{more}")

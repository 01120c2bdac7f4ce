"""harness schema: the JSON Schema of a recipe, and of what commands print with --json."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

from harness.errors import Problem, UserError, suggestion
from harness.recipe.load import MOTHELLO
from harness.recipe.reference import mothello_schema, recipe_schema

ANSWERS = {
    "plan": "harness.planning.plan:StudyPlan",
    "status": "harness.commands.status:StudyStatus",
    "report": "harness.commands.report:ReportSummary",
    "compare": "harness.commands.compare:Comparison",
    "score": "harness.prediction_files:FileScores",
    "judge": "harness.commands.judge:JudgedFile",
    "analyze": "harness.commands.analyze:TableAnalyses",
    "explain": "harness.commands.explain:TransferExplanation",
    "regress": "harness.commands.regress:ScoreRegression",
    "wins": "harness.commands.wins:SettingWins",
    "list": "harness.commands.list:Catalogue",
    "similarity": "harness.commands.similarity:StudySimilarity",
    "probe": "harness.commands.probe:StudyProbes",
    "agree": "harness.commands.agree:ModelsAgreement",
}
"""Command → where the type of its answer is; imported when it is asked for."""


def print_schema(name: str) -> None:
    """Prints a JSON Schema. Raises UserError for an unknown name."""
    print(json.dumps(schema_of(name), indent=1, ensure_ascii=False))


def schema_of(name: str) -> dict[str, Any]:
    """The JSON Schema of a recipe, or of a command's answer. Raises UserError for an unknown name."""
    if name == "recipe":
        return recipe_schema()
    if name == MOTHELLO:
        return mothello_schema()
    if name not in ANSWERS:
        raise UserError([Problem("NAME", f"no schema {name!r}; {suggestion(name, ('recipe', MOTHELLO, *ANSWERS))}")])
    module, _, kind = ANSWERS[name].partition(":")
    return getattr(import_module(module), kind).model_json_schema(mode="serialization")

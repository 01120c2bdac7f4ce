"""What terms beside the likelihood came to in training, by the records of cells."""

from __future__ import annotations

import polars as pl

from eval.analysis.stats import wilson
from harness.planning.kept_plan import PlannedStudy
from harness.recipe.objectives_section import LOGGED_AS

AVERAGED = 5
"""Steps at the beginning and at the end whose losses are averaged."""
LOSSES = {"cell": pl.String, "term": pl.String, "steps": pl.Int64, "averaged": pl.Int64, "first": pl.Float64,
          "last": pl.Float64}  # fmt: skip
RETRIEVAL = {
    "cell": pl.String, "layer": pl.Int64, "languages": pl.String, "pairs": pl.Int64,
    "before": pl.Float64, "before_low": pl.Float64, "before_high": pl.Float64,
    "after": pl.Float64, "after_low": pl.Float64, "after_high": pl.Float64,
}  # fmt: skip


def objective_losses(study: PlannedStudy) -> pl.DataFrame:
    """The loss of each term of each cell, unweighted: the mean over its first and over its last steps.

    Columns: cell, term, steps, averaged (over how many steps each mean is), first, last.
    """
    rows: list[dict[str, object]] = []
    for plan in study.plans:
        logged = {key.removeprefix(LOGGED_AS): values for key, values in plan.run.record.items()
                  if key.startswith(LOGGED_AS)}  # fmt: skip
        for term, values in logged.items():
            known = [value for value in values if value is not None]
            over = min(AVERAGED, len(known))
            if over:
                rows.append({"cell": plan.name, "term": term, "steps": len(known), "averaged": over,
                             "first": sum(known[:over]) / over, "last": sum(known[-over:]) / over})  # fmt: skip
    return pl.DataFrame(rows, schema=LOSSES)


def held_out_retrieval(study: PlannedStudy) -> pl.DataFrame:
    """How often translations of held-out pairs are found in the layer that is aligned, before and after training.

    The share of pairs with Wilson's interval. Columns: cell, layer, languages, pairs, before, before_low, before_high,
    after, after_low, after_high.
    """
    rows: list[dict[str, object]] = []
    for plan in study.plans:
        measured = plan.run.record.get("objectives", {}).get("align", {})
        for languages, found in measured.get("retrieval", {}).items():
            row: dict[str, object] = {
                "cell": plan.name,
                "layer": measured["layer"],
                "languages": languages,
                "pairs": found["pairs"],
            }
            for when in ("before", "after"):
                low, high = wilson(found[when], found["pairs"])
                row |= {when: found[when], f"{when}_low": low, f"{when}_high": high}
            rows.append(row)
    return pl.DataFrame(rows, schema=RETRIEVAL)

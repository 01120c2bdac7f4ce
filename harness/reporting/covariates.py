"""What is known of the languages of a transfer matrix in the base model: covariates for `harness explain`."""

from __future__ import annotations

import polars as pl

from harness.planning.kept_plan import PlannedStudy
from harness.reporting.layers import mexa_of_pairs


def with_covariates(study: PlannedStudy, transfer: pl.DataFrame) -> pl.DataFrame:
    """The matrix with columns for `harness explain`: the model, what its tokenizer makes of the languages, their MEXA.

    `token_overlap` is the Jaccard index of the tokens that occur in the test prompts of source and target;
    `source_fertility` and `target_fertility` are tokens per character of these. `mexa` is that of the languages in the
    base model, as harness similarity measured it.
    """
    mexa = mexa_of_pairs(study)
    bases = {base.name: base for base in study.kept.bases}
    of_rows = [bases[study.design.base_of(cell)] for cell in transfer["cell"]]
    pairs = list(zip(of_rows, transfer["source"], transfer["target"], strict=True))
    columns = {
        "token_overlap": [base.token_overlap.get(source, {}).get(target) for base, source, target in pairs],
        "source_fertility": [base.fertility.get(source) for base, source, _ in pairs],
        "target_fertility": [base.fertility.get(target) for base, _, target in pairs],
        "mexa": [mexa.get((base.name, source, target)) for base, source, target in pairs],
    }
    return transfer.with_columns(
        pl.Series("model", [base.model for base in of_rows], dtype=pl.String),
        *(pl.Series(name, values, dtype=pl.Float64) for name, values in columns.items()),
    )

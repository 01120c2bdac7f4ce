"""A regression over runs and languages: known coefficients come back, and a language it never saw is harder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from eval.analysis.instances import InstanceColumns, instances_of, predicted, regress, standard_errors
from eval.analysis.long_tables import TableError
from tests.support import harness

LANGUAGES = tuple("abcdefgh")
MIXTURES = [LANGUAGES[:count] for count in (1, 2, 4, 6, 8)] + [LANGUAGES[-count:] for count in (2, 3, 5, 7)]
COVARIATES = ("in_training", "coverage")
COLUMNS = InstanceColumns()


def simulated(seed: int, models: int = 4, of_language: float = 0.0, of_run: float = 0.02) -> pl.DataFrame:
    """Scores that are .09 higher in training and .05 by coverage (arXiv 2604.13286), with noise of runs and languages.

    `script` is known of languages alone, and has nothing to do with anything.
    """
    drawn = np.random.default_rng(seed)
    own = dict(zip(LANGUAGES, drawn.normal(0, of_language, len(LANGUAGES)), strict=True))
    script = dict(zip(LANGUAGES, drawn.normal(size=(len(LANGUAGES), 4)), strict=True))
    rows = [
        {"cell": f"mixture-{number}", "model": f"model-{model}", "target": target, "in_training": target in mixture,
         "coverage": (len(mixture) / len(LANGUAGES)) ** 0.5, "run": drawn.normal(0, of_run)}
        | {f"script_{place}": value for place, value in enumerate(script[target])}
        for model in range(models) for number, mixture in enumerate(MIXTURES) for target in LANGUAGES
    ]  # fmt: skip
    table = pl.DataFrame(rows).with_columns(pl.col("in_training").cast(pl.Float64))
    run = pl.col("run").first().over("cell", "model")
    noise = pl.Series(drawn.normal(0, 0.03, len(table)))
    effects = 0.3 + 0.09 * pl.col("in_training") + 0.05 * pl.col("coverage")
    return table.with_columns(score=effects + run + noise + pl.col("target").replace_strict(own)).drop("run")


def test_known_coefficients_come_back_and_intervals_hold_them() -> None:
    held, estimates = np.zeros(2), []
    for seed in range(50):
        found = regress(simulated(seed, of_language=0.03), COLUMNS, COVARIATES)
        named = {row.covariate: row for row in found.coefficients}
        for place, (name, true) in enumerate((("in_training", 0.09), ("coverage", 0.05))):
            assert named[name].low is not None and named[name].high is not None
            held[place] += named[name].low <= true <= named[name].high
        estimates.append([named[name].coefficient for name in COVARIATES])
    assert np.mean(estimates, axis=0) == pytest.approx([0.09, 0.05], abs=0.01)
    assert (held >= 44).all(), held
    assert (found.instances, found.cells, found.languages, found.models) == (288, 36, 8, 4)


def test_a_language_that_was_never_seen_is_predicted_worse_than_random_instances() -> None:
    covariates = (*COVARIATES, *(f"script_{place}" for place in range(4)))
    table = simulated(1, of_language=0.06)
    found = regress(table, COLUMNS, covariates)
    assert found.r_squared > found.r_squared_random > found.r_squared_language + 0.2
    assert found.r_squared_model is not None and found.r_squared_model > found.r_squared_language
    plain = regress(simulated(1), COLUMNS, COVARIATES)
    assert abs(plain.r_squared_random - plain.r_squared_language) < 0.1, "without an effect of languages they agree"


def test_standard_errors_of_single_clusters_are_whites() -> None:
    drawn = np.random.default_rng(0)
    design = np.column_stack([np.ones(50), drawn.normal(size=50)])
    score = design @ [0.5, 1.0] + drawn.normal(size=50)
    residual = score - design @ np.linalg.lstsq(design, score, rcond=None)[0]
    inverse = np.linalg.inv(design.T @ design)
    white = 50 / 48 * np.diag(inverse @ (design.T @ np.diag(residual**2) @ design) @ inverse)
    each = np.arange(50)
    assert standard_errors(design, residual, each, each) == pytest.approx(np.sqrt(white))


def test_predicting_the_mean_is_worth_nothing() -> None:
    drawn = np.random.default_rng(0)
    score = drawn.normal(size=40)
    halves = iter([np.arange(40) < 20, np.arange(40) >= 20])
    assert predicted(np.ones((40, 1)), score, halves) == pytest.approx(0)


def test_words_are_compared_with_the_first_and_blanks_counted(tmp_path: Path) -> None:
    table = simulated(0).with_columns(task=pl.Series(["math", "api"] * 144))
    table = table.with_columns(score=pl.col("score") - pl.when(task="math").then(0.2).otherwise(0.0))
    table = table.with_columns(coverage=pl.when(pl.int_range(pl.len()) < 3).then(None).otherwise("coverage"))
    table.write_csv(tmp_path / "instances.csv")
    done = harness("regress", tmp_path / "instances.csv", "--on", "task,in_training,coverage", "--json")
    (part,) = json.loads(done.stdout)["analyses"]
    assert part["group"] == {} and part["instances"] == 285 and part["left_out"] == {"coverage": 3}
    named = {row["covariate"]: row["coefficient"] for row in part["coefficients"]}
    assert named["task: math"] == pytest.approx(-0.2, abs=0.01) and "task: api" not in named
    shown = harness("regress", tmp_path / "instances.csv", "--on", "in_training,coverage")
    assert "score, task math" in shown.stdout and "each language by the others" in shown.stdout
    assert "left out: 2 without coverage" in shown.stdout


@pytest.mark.parametrize(
    ("on", "message"),
    [
        ("trained", "no column 'trained'; there are cell, model"),
        ("target", "column 'target' has two parts to play"),
        ("", "none given; name columns of cell, model"),
        ("same", "column 'same' is the same in every instance"),
        ("in_training,doubled", "in_training, doubled are linear combinations"),
        ("mixed", "column 'mixed' must hold numbers; got 'x'"),
    ],
)
def test_what_cannot_be_regressed_says_why(on: str, message: str, tmp_path: Path) -> None:
    mixed = pl.Series(["x", *["1"] * 287])
    table = simulated(0).with_columns(same=pl.lit(1.0), doubled=2 * pl.col("in_training"), mixed=mixed)
    table.write_csv(tmp_path / "instances.csv")
    refused = harness("regress", tmp_path / "instances.csv", "--on", on)
    assert refused.returncode == 2 and message in refused.stderr, refused.stderr


def test_one_language_says_nothing_of_another() -> None:
    table = instances_of(simulated(0).filter(target="a"), COLUMNS, COVARIATES)
    with pytest.raises(TableError, match="all instances are of one language"):
        regress(table, COLUMNS, COVARIATES)

"""A study whose cells are each trained on one language: source × target, from the shell."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from eval.analysis.transfer import TRANSFERS
from eval.report.picture_data import reach_of, transfer_rows
from harness.planning.kept_plan import jaccard
from tests.support import harness, run_here, small_recipe


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """The study's folder after `harness run`."""
    place = tmp_path_factory.mktemp("sources")
    data = small_recipe(tiny_model)
    data["mixture"] = {"only": {"sources": ["word-problems"], "languages": ["en"], "amount": 6}}
    data["grid"] = {"source": {"path": "mixture.only.languages", "values": {"en": ["en"], "fr": ["fr"]}}}
    data["evaluation"] |= {"tasks": ["math"], "items": 4, "max_tokens": {"math": 8}}
    recipe = place / "recipe.yaml"
    recipe.write_text(json.dumps(data))
    run = run_here(recipe, "--runs", place / "runs")
    assert run.returncode == 0, run.stderr
    return place / "runs" / "small"


def test_each_source_has_a_difference_to_the_base_in_each_language(folder: Path) -> None:
    matrix = pl.read_csv(folder / "transfer.csv")
    assert matrix.select("source", "target").rows() == [(s, t) for s in ("en", "fr") for t in ("en", "fr", "ja")]
    scores = pl.read_parquet(folder / "scores.parquet").filter(pl.col("metric") == "accuracy")
    means = {(cell, language): mean for cell, language, mean in
             scores.group_by("cell", "language").agg(pl.col("value").mean()).iter_rows()}  # fmt: skip
    for row in matrix.iter_rows(named=True):
        expected = means[row["cell"], row["target"]] - means["base", row["target"]]
        assert row["difference"] == pytest.approx(expected) and row["cell"] == f"source-{row['source']}"
    assert set(matrix["other"]) == {"base"} and set(matrix["source_share"]) == {1.0} and matrix["model"].n_unique() == 1
    tables = {"asymmetry", "donors", "recipients", "regimes", "normalised"}
    assert {file.stem for file in folder.glob("*.csv")} >= tables
    page = (folder / "report.html").read_text(encoding="utf-8")
    for words in ('href="#transfer"', "How much each training language helps others", "less help received</h3>"):
        assert words in page


@pytest.mark.parametrize("scored", (0, 1))
def test_a_matrix_is_drawn_where_most_of_it_has_no_scores(folder: Path, scored: int) -> None:
    whole = pl.read_csv(folder / "transfer.csv", schema_overrides=TRANSFERS)
    missing = [pl.lit(None, pl.Float64).alias(name) for name in ("difference", "low", "high", "p_adjusted")]
    matrix = pl.concat([whole.with_columns(missing)] * 20 + [whole.head(scored).with_columns(difference=0.25)])
    assert reach_of(transfer_rows(matrix)) == (25.0 if scored else 1.0)


def test_models_are_compared_from_the_shell(folder: Path, tmp_path: Path) -> None:
    matrix = pl.read_csv(folder / "transfer.csv").with_columns(difference=pl.Series([0.1, 0.2, 0.0, 0.1, 0.0, 0.3]))
    files = [tmp_path / "one.csv", tmp_path / "two.csv"]
    for name, sign, file in zip(("one", "two"), (1, -1), files, strict=True):
        matrix.with_columns(model=pl.lit(name), difference=sign * pl.col("difference")).write_csv(file)
    done = harness("agree", *files, "--json")
    assert done.returncode == 0, done.stderr
    (part,) = json.loads(done.stdout)["analyses"]
    assert part["group"] == {"source_task": "math", "beside": "nothing", "task": "math", "metric": "accuracy"}
    assert part["models"] == ["one", "two"] and part["pairs"] == 4 and part["recipients"]["tau"] == -1.0
    assert part["donors"]["tau"] is None, "two donors are too few to rank"
    assert "recipients, one and two: τ -1.00" in harness("agree", *files).stdout
    alone = harness("agree", files[0])
    assert alone.returncode == 2 and "agreement takes two at least" in alone.stderr


def test_the_matrix_says_what_the_tokenizer_makes_of_the_languages(folder: Path) -> None:
    matrix = pl.read_csv(folder / "transfer.csv")
    overlap = {(row["source"], row["target"]): row["token_overlap"] for row in matrix.iter_rows(named=True)}
    assert overlap["en", "en"] == overlap["fr", "fr"] == 1.0 and overlap["en", "fr"] == overlap["fr", "en"] < 1
    assert overlap["en", "ja"] < overlap["en", "fr"], "Latin letters are shared"
    fertility = dict(matrix.select("target", "target_fertility").iter_rows())
    assert 0 < fertility["en"] < fertility["ja"], "a byte-level tokenizer spells kana out"
    assert jaccard({1, 2}, {2, 3}) == pytest.approx(1 / 3)

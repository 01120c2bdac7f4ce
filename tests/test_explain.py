"""What goes with transfer: pairs share languages, and p-values know it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from eval.analysis.covariates import DISTANCES, covariate
from eval.analysis.explain import Explanation, Layout, PairColumns, explain, pairs_of
from eval.analysis.long_tables import TableError
from harness.commands import explain as explaining
from harness.errors import UserError
from tests.support import harness

LANGUAGES = tuple("abcdefgh")
COLUMNS = PairColumns()


def random_pairs(
    seed: int, languages: Sequence[str] = LANGUAGES, sources: Sequence[str] | None = None, effect: float = 0.0
) -> pl.DataFrame:
    """Transfer that is of the source, of the target and of chance, as are two covariates, of which `near` acts."""
    rng = np.random.default_rng(seed)
    count = len(languages)

    def shared() -> Any:
        return rng.normal(size=(count, 1)) + rng.normal(size=(1, count)) + 0.5 * rng.normal(size=(count, count))

    near, far = shared(), shared()
    transfer = shared() + effect * near
    return pl.DataFrame(
        [
            {"source": one, "target": other, "difference": transfer[row, column], "near": near[row, column],
             "far": far[row, column] + 0.7 * near[row, column]}
            for row, one in enumerate(languages) for column, other in enumerate(languages)
            if one != other and one in (sources or languages)
        ]
    )  # fmt: skip


def naive_p(pairs: pl.DataFrame, covariates: Sequence[str]) -> float:
    """The p-value of the first covariate by ordinary regression."""
    t = t_of(pairs["difference"].to_numpy(), pairs.select(covariates).to_numpy())
    return float(2 * stats.t.sf(abs(t), len(pairs) - len(covariates) - 1))


def t_of(transfer: Any, covariates: Any) -> float:
    """The t of the first covariate in ordinary regression."""
    design = np.column_stack([covariates, np.ones(len(transfer))])
    coefficients, squares, *_ = np.linalg.lstsq(design, transfer, rcond=None)
    variance = squares[0] / (len(transfer) - design.shape[1]) * np.linalg.inv(design.T @ design)[0, 0]
    return float(coefficients[0] / np.sqrt(variance))


@pytest.mark.parametrize("sources", [LANGUAGES, LANGUAGES[:5]])
@pytest.mark.parametrize("covariates", [("near",), ("near", "far")])
def test_without_an_effect_five_in_a_hundred_are_found_where_regression_finds_many(
    sources: Sequence[str], covariates: Sequence[str]
) -> None:
    made = [random_pairs(seed, sources=sources) for seed in range(500)]
    found = np.array([explain(pairs, COLUMNS, covariates, most=199).effects[0].p for pairs in made])
    assert 0.03 <= (found <= 0.05).mean() <= 0.07
    assert np.mean([naive_p(pairs, covariates) < 0.05 for pairs in made]) > 0.2, "the data would deceive a regression"


def test_missing_pairs_do_not_make_for_findings() -> None:
    made = [random_pairs(seed).sample(fraction=0.8, seed=seed) for seed in range(500)]
    found = np.array([explain(pairs, COLUMNS, ("near", "far"), most=199).effects[0].p for pairs in made])
    assert 0.03 <= (found <= 0.05).mean() <= 0.07


def test_a_true_effect_is_found_and_told_from_a_covariate_that_goes_with_it() -> None:
    pairs = random_pairs(3, effect=2.0)
    near, far = explain(pairs, COLUMNS, ("near", "far")).effects
    assert near.p < 0.001 and near.p_adjusted == pytest.approx(2 * near.p)
    assert near.coefficient / pairs["near"].std() == pytest.approx(2.0, abs=0.5)
    assert far.p > 0.05 > far.p_alone, "alone it seems to matter"


def test_one_covariate_is_mantels_test_over_all_permutations() -> None:
    transfer = np.array([[0, 3, 2, 1, 4], [5, 0, 1, 2, 2], [1, 2, 0, 6, 3], [2, 1, 7, 0, 1], [9, 2, 3, 1, 0]], float)
    distances = np.array([[0, 1, 2, 3, 1], [1, 0, 2, 2, 3], [2, 2, 0, 1, 2], [3, 2, 1, 0, 3], [1, 3, 2, 3, 0]], float)
    off = ~np.eye(5, dtype=bool)
    reached = [
        abs(np.corrcoef(transfer[off], distances[np.ix_(order, order)][off])[0, 1])
        for order in permutations(range(5))
    ]  # fmt: skip
    found = explain(as_pairs(transfer, distances), COLUMNS, ("near",))
    assert (found.permutations, found.exact, found.pairs) == (120, True, 20)
    assert found.effects[0].p == pytest.approx(np.mean(np.array(reached) >= reached[0] - 1e-9))
    assert found.r_squared == pytest.approx(np.corrcoef(transfer[off], distances[off])[0, 1] ** 2)


def as_pairs(transfer: Any, *covariates: Any) -> pl.DataFrame:
    rows, columns = np.nonzero(~np.eye(len(transfer), dtype=bool))
    return pl.DataFrame(
        {"source": [LANGUAGES[row] for row in rows], "target": [LANGUAGES[column] for column in columns],
         "difference": transfer[rows, columns]}
        | {name: each[rows, columns] for name, each in zip(("near", "far"), covariates, strict=False)}
    )  # fmt: skip


def test_double_semi_partialling_is_the_t_of_permuted_residuals() -> None:
    rng = np.random.default_rng(3)
    transfer, near, far = rng.normal(size=(3, 5, 5))
    off = ~np.eye(5, dtype=bool)
    others = np.column_stack([far[off], np.ones(20)])
    residual = np.zeros((5, 5))
    residual[off] = near[off] - others @ np.linalg.lstsq(others, near[off], rcond=None)[0]
    reached = [
        abs(t_of(transfer[off], np.column_stack([residual[np.ix_(order, order)][off], far[off]])))
        for order in permutations(range(5))
    ]
    found = explain(as_pairs(transfer, near, far), COLUMNS, ("near", "far"))
    assert found.effects[0].p == pytest.approx(np.mean(np.array(reached) >= reached[0] - 1e-9))


@pytest.mark.parametrize(
    ("sources", "targets", "count"), [("abcd", "abcdef", 48), ("abcd", "cdefg", 24), ("ab", "cde", 12)]
)
def test_a_permutation_makes_pairs_of_pairs_and_keeps_the_diagonal(sources: str, targets: str, count: int) -> None:
    pairs = [(one, other) for one in sources for other in targets if one != other]
    layout = Layout.of([one for one, _ in pairs], [other for _, other in pairs])
    moved, exact = layout.permuted(1000)
    drawn, drawn_exact = layout.permuted(count - 1)
    assert exact and len({tuple(order) for order in moved}) == count
    assert not drawn_exact and list(drawn[0]) == list(moved[0]) == list(range(moved.shape[1]))
    there = set(zip(layout.rows.tolist(), layout.columns.tolist(), strict=True))
    for order in (*moved, *drawn):
        assert {(int(order[row]), int(order[column])) for row, column in there} == there


def figures(found: Explanation) -> list[float | None]:
    return [number for each in found.effects for number in (each.coefficient, each.p, each.p_adjusted, each.p_alone)]


def test_the_order_of_rows_and_the_unit_of_a_covariate_change_nothing() -> None:
    pairs = random_pairs(1, effect=0.3)
    other = pairs.sample(fraction=1, shuffle=True, seed=1).with_columns(near=3 - 20 * pl.col("near"))
    one, turned = (explain(each, COLUMNS, ("near", "far")) for each in (pairs, other))
    expected = figures(one)
    assert expected[0] is not None
    assert figures(turned) == pytest.approx([-expected[0], *expected[1:]])


def test_blank_pairs_are_left_out_and_named() -> None:
    blank = (pl.col("source") == "a") & (pl.col("target") == "b")
    pairs = random_pairs(1).with_columns(near=pl.when(blank).then(None).otherwise("near"))
    found = explain(pairs, COLUMNS, ("near",))
    assert found.left_out == {"near": ["a → b"]} and found.pairs == 55
    assert figures(found) == figures(explain(pairs.filter(~blank), COLUMNS, ("near",)))


def test_what_cannot_be_told_apart_is_refused_or_warned_of_by_name() -> None:
    pairs = random_pairs(2).with_columns(
        both=pl.col("near") - pl.col("far"), nearly=pl.col("near") + 0.01 * pl.col("far"), same=pl.lit(1.0)
    )
    with pytest.raises(TableError, match="near, far, both are linear combinations"):
        explain(pairs, COLUMNS, ("near", "far", "both"))
    with pytest.raises(TableError, match="'same' is 1 in every pair"):
        explain(pairs, COLUMNS, ("near", "same"))
    (warning,) = explain(pairs, COLUMNS, ("near", "nearly"), most=99).warnings
    assert "near " in warning and "nearly " in warning and "much alike" in warning


def test_few_languages_are_refused_or_warned_of() -> None:
    with pytest.raises(TableError, match=r"3 sources \(a, b, c\)"):
        explain(random_pairs(0, sources="abc"), COLUMNS, ("near",))
    few = pl.DataFrame([{"source": one, "target": other} for one in "abcd" for other in "cdef" if one != other])
    few = few.with_columns(difference=pl.int_range(pl.len()).sqrt(), near=pl.int_range(pl.len()).sin())
    assert explain(few, COLUMNS, ("near",)).warnings == ("with 8 permutations no p-value is below 0.12",)


def test_a_language_and_itself_are_no_pair_and_two_rows_for_a_pair_are_refused() -> None:
    pairs = pl.DataFrame({"source": ["a", "a"], "target": ["a", "b"], "difference": ["1", "2"], "model": ["x", "x"]})
    assert pairs_of(pairs, COLUMNS, ())["target"].to_list() == ["b"]
    with pytest.raises(TableError, match="2 rows for the point source a, target a: add model to --group"):
        pairs_of(pl.concat([pairs, pairs.with_columns(model=pl.lit("y"))]), COLUMNS, ())


@pytest.mark.parametrize("kind", DISTANCES)
def test_distances_are_symmetric_and_nothing_lies_between_a_language_and_itself(kind: str) -> None:
    languages = ("en", "es", "ja", "ar", "zh", "sw")
    found = np.array([[covariate(kind, one, other) for other in languages] for one in languages], dtype=float)
    assert np.array_equal(found, found.T) and found.diagonal() == pytest.approx(0, abs=1e-6)
    between = found[~np.eye(len(languages), dtype=bool)]
    assert between.min() > 0 and between.max() <= 1 + 1e-9


def test_distances_are_those_of_urielplus() -> None:
    from urielplus.urielplus_querying import URIELPlusQuerying

    folder = files("urielplus") / "database" / "original_uriel"
    names = ("family_features", "features", "geocoord_features", "script_features")
    tables = [dict(np.load(str(folder / f"{name}.npz"))) for name in names]
    theirs = URIELPlusQuerying(*([table[key] for table in tables] for key in ("feats", "langs", "data", "sources")))
    for kind in DISTANCES:
        expected = theirs.new_distance(kind, "spa", "jpn")
        assert covariate(kind, "es", "ja") == pytest.approx(expected, abs=2e-4), kind


def test_scripts_are_told_by_the_code_or_by_the_language() -> None:
    assert (
        covariate("script", "en", "ms") == covariate("script", "ar", "fa") == covariate("script", "eng_Latn", "fr") == 1
    )
    assert (
        covariate("script", "ja", "zh") == covariate("script", "ru", "en") == covariate("script", "zh", "zh-Hant") == 0
    )
    assert covariate("script", "xx", "en") is None and covariate("genetic", "xx", "en") is None


def study_table(path: Path, tasks: Sequence[str] = ("math", "summarization")) -> Path:
    rng = np.random.default_rng(0)
    rows = [
        {"source_task": "math", "source": one, "task": task, "target": other, "metric": "accuracy", "cell": one,
         "difference": rng.normal(), "low": -1.0, "share": rng.random()}
        for task in tasks for one in ("ar", "en", "es", "fr", "ja")[: 5 if task == "math" else 3]
        for other in ("ar", "en", "es", "fr", "ja", "ko")
    ]  # fmt: skip
    pl.DataFrame(rows).write_csv(path)
    return path


def test_the_command_explains_each_task_of_a_study_and_writes_nothing_into_packages(tmp_path: Path) -> None:
    database = Path(str(files("urielplus"))) / "database"
    before = sorted(database.iterdir())
    table = study_table(tmp_path / "transfer.csv")
    done = harness("explain", table, "--on", "script,syntactic,share", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    math, summarization = found["analyses"]
    assert math["group"] == {"source_task": "math", "task": "math", "metric": "accuracy"}
    assert (math["pairs"], math["permutations"], math["exact"]) == (25, 120, True)
    assert [each["covariate"] for each in math["effects"]] == ["script", "syntactic", "share"]
    assert "3 sources (ar, en, es)" in summarization["problem"]
    assert (
        found["covariates"]["syntactic"].startswith("URIEL by urielplus-")
        and found["covariates"]["share"] == "the table"
    )
    shown = harness("explain", table, "--on", "share").stdout
    assert "25 pairs: 5 sources (ar en es fr ja), 6 targets" in shown and "all 120 permutations" in shown
    assert sorted(database.iterdir()) == before


@pytest.mark.parametrize(
    ("covariates", "columns", "message"),
    [
        (("script",), PairColumns(source="from"), "no column 'from'; there are source_task, source, task"),
        (("share",), PairColumns(transfer="sharp"), "no column 'sharp'"),
        (("cell",), COLUMNS, "column 'cell' must hold numbers; got 'ar'"),
        (("difference",), COLUMNS, "column 'difference' has two parts to play"),
    ],
)
def test_columns_that_cannot_be_used_are_named(
    covariates: Sequence[str], columns: PairColumns, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        explaining.explain_transfer(study_table(tmp_path / "transfer.csv"), covariates, columns)


def test_the_command_names_every_mistake(tmp_path: Path) -> None:
    refused = harness("explain", study_table(tmp_path / "transfer.csv"), "--on", "scrip,genetik", "--target", "to")
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    for message in ("did you mean 'script'?", "did you mean 'genetic'?", "no column 'to'"):
        assert message in refused.stderr


def test_where_nothing_can_be_explained_each_task_says_why(tmp_path: Path) -> None:
    table = study_table(tmp_path / "transfer.csv", ("summarization", "instructions"))
    with pytest.raises(UserError) as refused:
        explaining.explain_transfer(table, ("share",), COLUMNS)
    for task, problem in zip(("summarization", "instructions"), refused.value.problems, strict=True):
        assert f"task {task}" in str(problem) and "3 sources (ar, en, es)" in str(problem)


def test_without_urielplus_a_distance_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explaining, "origin", lambda name: None)
    with pytest.raises(UserError, match=r"genetic needs urielplus.*pip install '\.\[typology\]'"):
        explaining.explain_transfer(study_table(tmp_path / "transfer.csv"), ("genetic",), COLUMNS)

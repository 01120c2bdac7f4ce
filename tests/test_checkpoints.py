"""Steps of cells as models of their own: evaluated, and in the report."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri

from eval.analysis.checkpoints import (
    CROSS_LINGUAL,
    IN_LANGUAGE,
    CheckpointTables,
    Course,
    checkpoint_tables,
    flips_of_directions,
)
from eval.analysis.dynamics import learning
from eval.analysis.stats import bootstrap_means
from eval.report.checkpoint_pictures import learned_at
from harness.errors import UserError
from harness.recipe.grid import cells_of
from harness.recipe.load import parse_recipe
from harness.reporting.courses import begin_untuned
from harness.reporting.layers import current
from harness.runs.record import write_json
from tests.support import harness, run_here, small_recipe
from tests.test_inside import texts, treebank

Write = Callable[[dict[str, Any]], Path]
ITEMS = 200


def scores_of(curves: Mapping[str, Mapping[str, Sequence[float]]], clusters: int | None = None) -> pl.DataFrame:
    """Scores of items that are right with these chances after each step, by cell and language; step 0 is the base."""
    rng = np.random.default_rng(1)
    rows: list[dict[str, Any]] = []
    for cell, languages in curves.items():
        for language, chances in languages.items():
            hard = rng.random(ITEMS)
            for step, chance in enumerate(chances):
                name = f"{cell}@{step}" if step else "base"
                rows += [
                    {"cell": name, "task": "math", "metric": "accuracy", "main": True, "language": language,
                     "item": str(item), "value": float(hard[item] < chance)}
                    | ({"cluster": str(item % clusters)} if clusters else {})
                    for item in range(ITEMS)
                ]  # fmt: skip
    return pl.DataFrame(rows).unique(["cell", "language", "item"], maintain_order=True)


def courses_of(cells: Mapping[str, str], steps: int) -> list[Course]:
    """Cells by the language that each is trained on."""
    return [
        Course(cell, {0: ("base",)} | {step: (f"{cell}@{step}",) for step in range(1, steps)}, (language,), language)
        for cell, language in cells.items()
    ]


@pytest.fixture(scope="module")
def tables() -> CheckpointTables:
    late, soon = [0.0, 0.1, 0.4, 0.8, 0.8], [0.0, 0.8, 0.8, 0.8, 0.6]
    curves = {
        "one": {"en": soon, "fr": late},
        "two": {"en": [0.0, 0.2, 0.8, 0.8, 0.8], "fr": [0.0, 0.7, 0.7, 0.7, 0.7]},
    }
    return checkpoint_tables(scores_of(curves), courses_of({"one": "en", "two": "fr"}, 5))


def test_the_step_at_which_languages_are_learned_and_what_is_forgotten(tables: CheckpointTables) -> None:
    learned = {(row["cell"], row["language"]): row for row in tables.learning.iter_rows(named=True)}
    assert {place: row["learn_step"] for place, row in learned.items()} == {
        ("one", "en"): 1, ("one", "fr"): 3, ("two", "en"): 2, ("two", "fr"): 1,
    }  # fmt: skip
    assert learned["one", "fr"]["before"] == 2 and learned["one", "fr"]["kind"] == CROSS_LINGUAL
    assert learned["one", "en"]["kind"] == IN_LANGUAGE and learned["one", "en"]["items"] == ITEMS
    assert learned["one", "en"]["forgetting"] == pytest.approx(0.2, abs=0.05)
    assert learned["two", "fr"]["forgetting"] == 0 == learned["two", "fr"]["first"]
    assert Course("suite", {}, ()).kind("en") == "untuned"
    for row in learned.values():
        assert row["low"] <= row["learn_step"] <= row["high"] <= 4


def test_every_metric_at_every_step_has_an_interval(tables: CheckpointTables) -> None:
    assert tables.checkpoints.height == 2 * 2 * 5 and set(tables.checkpoints["step"]) == set(range(5))
    known = tables.checkpoints.filter(pl.col("step") > 0)
    assert (known["low"] < known["mean"]).all() and (known["mean"] < known["high"]).all()
    assert (known["scored"] == ITEMS).all()


def test_asymmetry_is_of_the_two_directions_of_a_pair(tables: CheckpointTables) -> None:
    (row,) = tables.learning_asymmetry.iter_rows(named=True)
    assert (row["one"], row["other"], row["difference"], row["pairs"]) == ("en", "fr", 1, 1)
    assert row["mean_absolute"] == 1 and row["p"] == 1, "one pair can be flipped to no effect"
    assert row["low"] <= 1 <= row["high"]


def test_the_interval_of_a_learn_step_holds_the_true_one_where_scores_stay_level() -> None:
    """On the curve that is hardest: the best of several equal scores is luck."""
    rng, chances, held = np.random.default_rng(0), np.array([0.02, 0.1, 0.8, 0.8, 0.8, 0.8]), 0
    for _ in range(100):
        right = (rng.normal(size=(250, 1)) * 0.8 + rng.normal(size=(250, 6)) * 0.6 < ndtri(chances)).astype(float)
        learned = learning(range(6), [*right.mean(axis=0)], bootstrap_means(right.T[:, :, None], 300)[:, :, 0])
        assert learned.low is not None and learned.high is not None
        held += learned.low <= 2 <= learned.high
    assert held >= 90


def test_a_learn_step_of_hardly_anything_right_has_no_interval_and_is_marked() -> None:
    scores = scores_of({"one": {"en": [0.0, 0.02, 0.0, 0.02]}})
    (row,) = checkpoint_tables(scores, courses_of({"one": "en"}, 4)).learning.iter_rows(named=True)
    assert row["learn_step"] is not None and row["low"] is None and learned_at(row).endswith(" ?")


def test_clusters_widen_the_interval_of_a_learn_step() -> None:
    rising = {"one": {"en": [0.0, 0.6, 0.62, 0.64, 0.66]}}
    alone, together = (
        checkpoint_tables(scores_of(rising, clusters), courses_of({"one": "en"}, 5)).learning.row(0, named=True)
        for clusters in (None, 5)
    )
    assert alone["learn_step"] == together["learn_step"] and together["low"] is not None


@given(st.permutations(range(6)), st.integers(1, 50))
def test_the_test_of_asymmetry_knows_no_order_and_no_unit(order: list[int], unit: int) -> None:
    pairs = [(a, b) for index, a in enumerate("abcd") for b in "abcd"[index + 1 :]]
    differences = np.array([3.0, 2.0, 4.0, 1.0, 2.0, 1.0])  # a is always later than b, b than c, c than d
    p = flips_of_directions(pairs, differences)
    assert 2 / 64 <= p < 0.1, "the least there is: all one way, or all the other"
    assert flips_of_directions([pairs[place] for place in order], unit * differences[order]) == pytest.approx(p)


def test_steps_that_cells_do_not_keep_are_refused(tiny_model: Path) -> None:
    data = small_recipe(tiny_model) | {"checkpoints": {"of": "cells", "every": 3}}
    assert parse_recipe(data).training.kept_every == 3, "they are kept without being asked for"
    data["training"] |= {"keep_checkpoints": {"every": 2}}
    with pytest.raises(UserError, match=r"checkpoints\.every: got 3, .*name a multiple of 2"):
        parse_recipe(data)
    assert parse_recipe(data | {"checkpoints": {"every": 4}}).evaluated_every == 4


@pytest.fixture(scope="module")
def study(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two cells, each trained on a language alone, with steps that are evaluated."""
    folder = tmp_path_factory.mktemp("checkpoints")
    data = small_recipe(tiny_model) | {"checkpoints": {"every": 1}}
    data["mixture"] = {"own": {"sources": ["word-problems"], "languages": ["en"], "amount": 12}}
    data["grid"] = {"source": {"path": "mixture.own.languages", "values": [["en"], ["fr"]]}}
    data["evaluation"] |= {"tasks": ["math"], "max_tokens": {"math": 4}}
    data["similarity"] = {"texts": "{language}.txt", "measures": ["mexa"], "sentences": 8}
    data["probe"] = {"treebanks": "{language}.conllu", "languages": ["en", "fr"], "layers": [0, 2], "seeds": 1}
    texts(folder, en=8, fr=8, ja=8)
    for language in ("en", "fr"):
        treebank(folder, language, 30)
    (folder / "recipe.yaml").write_text(json.dumps(data))
    ended = run_here(folder / "recipe.yaml", "--runs", folder / "runs")
    assert ended.returncode == 0, ended.stderr
    return folder / "runs" / "small"


def test_steps_are_rows_of_the_evaluation_and_not_of_the_tables(study: Path) -> None:
    scores = pl.read_parquet(study / "scores.parquet")
    steps = {"source-en@1", "source-en@2", "source-fr@1", "source-fr@2"}
    assert set(scores["cell"]) == {"base", "source-en", "source-fr", *steps}
    assert steps <= {*json.loads((study / "evaluation" / "canary.json").read_text())}, "the gate tries them"
    assert set(pl.read_csv(study / "summary.csv")["cell"]) == {"base", "source-en", "source-fr"}
    along = pl.read_csv(study / "checkpoints.csv")
    assert along.filter(cell="source-en", metric="accuracy", language="ja")["step"].to_list() == [0, 1, 2, 3]
    learning = pl.read_csv(study / "learning.csv")
    assert set(learning["source"]) == {"en", "fr"} and (learning["checkpoints"] == 4).all()


def test_the_report_shows_them(study: Path) -> None:
    plan = harness("plan", study.parents[1] / "recipe.yaml", "--runs", study.parent)
    assert "Checkpoints: of each cell those after every 1 step, 4 models more" in plan.stdout
    page = (study / "report.html").read_text()
    assert 'id="checkpoints"' in page and "math-along" in page and "source-en@1" not in page
    assert "scores of other weights" not in page


def test_step_0_is_the_untuned_model_where_training_began_with_it(tiny_model: Path) -> None:
    data = small_recipe(tiny_model) | {"checkpoints": {"every": 1}}
    data["grid"] = {"block": {"path": "model.reinitialise.layers", "values": [None, [0, 1]]}}
    plain, renewed = cells_of(parse_recipe(data), data)
    assert begin_untuned([plain]) and not begin_untuned([renewed]) and not begin_untuned([plain, renewed])
    part = data["mixture"]["english"]
    data = small_recipe(tiny_model) | {"grid": {}, "stages": {name: {"mixture": {"own": part}} for name in "ab"}}
    del data["mixture"]
    first, second = cells_of(parse_recipe(data), data)
    assert begin_untuned([first]) and not begin_untuned([second])


def test_layers_are_shown_over_depth_and_over_steps(study: Path) -> None:
    recipe = study.parents[1] / "recipe.yaml"
    for command in ("similarity", "probe", "report"):
        ended = harness(command, recipe, "--runs", study.parent)
        assert ended.returncode == 0, ended.stderr
    of_layers = {path.stem for path in (study / "figures").glob("*.svg") if path.stem.startswith(("simil", "probe"))}
    over_steps = ["similarity-mexa", f"probe-pos-{IN_LANGUAGE}", f"probe-pos-{CROSS_LINGUAL}"]
    of_steps = {f"{name}-source-{source}-steps" for name in over_steps for source in ("en", "fr")}
    assert of_layers == {"similarity-mexa", "probe-pos", *of_steps}
    measured = set(pl.read_csv(study / "similarity.csv")["model"])
    assert measured == {"base", "source-en", "source-en@1", "source-en@2", "source-fr", "source-fr@1", "source-fr@2"}
    transfer, pairs = pl.read_csv(study / "transfer.csv"), pl.read_csv(study / "similarity_pairs.csv")
    of_pair = dict(transfer.filter(source="en").select("target", "mexa").iter_rows())
    assert of_pair["fr"] == pairs.filter(one="en", other="fr")["mean"].item() and of_pair["en"] is None
    assert 'id="layers"' in (study / "report.html").read_text()
    now = dict(pl.read_csv(study / "similarity.csv").select("model", "weights").unique().iter_rows())
    assert {*current(study / "similarity.csv", now | {"source-en": "trained anew"})["model"]} == {*now} - {"source-en"}
    assert current(study / "nothing.csv", now).is_empty()


def test_a_recipe_that_no_longer_asks_for_them_leaves_them_out(study: Path) -> None:
    recipe = study.parents[1] / "without.yaml"
    data = json.loads((study.parents[1] / "recipe.yaml").read_text())
    del data["checkpoints"]
    recipe.write_text(json.dumps(data))
    again = harness("report", recipe, "--runs", study.parent)
    assert again.returncode == 0 and "other weights" not in again.stdout + again.stderr
    assert not (study / "learning.csv").exists() and 'id="checkpoints"' not in (study / "report.html").read_text()


def test_cells_that_keep_no_such_steps_are_named(study: Path) -> None:
    recipe = study.parents[1] / "others.yaml"
    data = json.loads((study.parents[1] / "recipe.yaml").read_text())
    del data["similarity"], data["probe"]
    for path in study.glob("*/record.json"):
        write_json(path, {name: entry for name, entry in json.loads(path.read_text()).items() if name != "kept_steps"})
    recipe.write_text(json.dumps(data))
    ended = harness("eval", recipe, "--runs", study.parent)
    assert ended.returncode == 0 and "trained without steps kept, so none is evaluated" in ended.stderr

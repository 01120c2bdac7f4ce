"""Each model's own tables: made once, one at a time, and the same by one process as by several."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
import weakref
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as columns
import pytest
from hypothesis import given
from hypothesis import strategies as some
from polars.testing import assert_frame_equal

from benchmarks.evaluation_at_scale import evaluate, pretend_to_train, written_recipe
from eval.generation import places
from eval.generation.places import Places
from eval.generation.requests import Evaluation
from harness.evaluation import cells, parts
from harness.planning.kept_plan import planned_study
from harness.reporting import current
from harness.reporting.analysis import analysed
from harness.runs.folder import StudyFolder
from tests.support import REPOSITORY, harness
from tests.test_evaluate import evaluation

__all__ = ["evaluation"]  # a fixture
CELLS = 10


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, StudyFolder]]:
    """A recipe of ten cells that pretend to be trained, scored by two processes."""
    folder = tmp_path_factory.mktemp("parts")
    recipe = written_recipe(folder, CELLS, items=2)
    pretend_to_train(recipe, folder / "runs")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cells, "TransformersEngine", cells.TransformersEngine)  # `evaluate` puts another in its place
        patched.setattr(parts, "WORTH_PROCESSES", 1)
        evaluate(recipe, folder / "runs")
        yield recipe, StudyFolder(folder / "runs" / "large")


def times(study: StudyFolder, kind: str) -> dict[Path, int]:
    """When each model's table was written."""
    found = {path: path.stat().st_mtime_ns for path in study.parts.glob(f"*/{kind}.parquet")}
    assert len(found) == CELLS + 1
    return found


def test_what_is_there_is_not_made_again(study: tuple[Path, StudyFolder]) -> None:
    recipe, folder = study
    before = [times(folder, "predictions"), times(folder, "scores"), folder.scores.stat().st_mtime_ns]
    evaluate(recipe, folder.path.parent)
    assert before == [times(folder, "predictions"), times(folder, "scores"), folder.scores.stat().st_mtime_ns]


def test_a_model_that_is_damaged_or_gone_is_scored_again_alone(study: tuple[Path, StudyFolder]) -> None:
    recipe, folder = study
    whole, before = pl.read_parquet(folder.scores), times(folder, "scores")
    damaged, gone = (folder.parts / name / "scores.parquet" for name in ("amount-0_seed-0", "amount-5_seed-0"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    gone.unlink()
    folder.scores.unlink()
    evaluate(recipe, folder.path.parent)
    changed = {path for path, when in times(folder, "scores").items() if before[path] != when}
    assert changed == {damaged, gone}
    assert pl.read_parquet(folder.scores).equals(whole), "by one process what it is by two"


def test_a_changed_scorer_scores_all_again_and_generates_nothing(
    study: tuple[Path, StudyFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, folder = study
    whole, before = pl.read_parquet(folder.scores), times(folder, "scores")
    held: list[weakref.ref[pl.DataFrame]] = []

    def counted(path: Path) -> pl.DataFrame:
        table = read(path)
        assert sum(one() is not None for one in held) <= 1, "the tables of several models are held"
        held.append(weakref.ref(table))
        return table

    read = parts.read_part
    monkeypatch.setattr(parts, "read_part", counted)
    monkeypatch.setattr("harness.evaluation.tables.read_part", counted)
    monkeypatch.setattr(parts, "WORTH_PROCESSES", 10**9)
    monkeypatch.setattr(parts, "code_of_scores", lambda: "changed")
    monkeypatch.setattr("eval.generation.generate.gated_engine", lambda *_: pytest.fail("nothing is generated"))
    evaluate(recipe, folder.path.parent)
    assert len(held) == 3 * (CELLS + 1), "predictions to score, then both tables to join"
    assert all(before[path] != when for path, when in times(folder, "scores").items())
    assert pl.read_parquet(folder.scores).equals(whole)


def test_status_counts_without_reading_the_table(
    study: tuple[Path, StudyFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, folder = study
    monkeypatch.setattr("harness.reporting.current.read_table", lambda *_: pytest.fail("the whole table is read"))
    status = json.loads(harness("status", recipe, "--runs", folder.path.parent, "--json").stdout)
    assert {(cell["scored"], cell["wanted"]) for cell in status["cells"]} == {(16, 16)}


def test_two_cells_are_compared_without_the_other_cells_rows(
    study: tuple[Path, StudyFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, folder = study
    read, held = current.read_table, list[pl.DataFrame]()
    for module in ("harness.reporting.current", "harness.commands.compare"):
        monkeypatch.setattr(f"{module}.read_table", lambda *of: (held.append(read(*of)), held[-1])[1])
    ended = harness("compare", recipe, "amount-5_seed-0", "amount-0_seed-0", "--runs", folder.path.parent, "--json")
    assert ended.returncode == 0, ended.stderr
    scores, predictions = held
    others = scores.filter(~pl.col("cell").is_in(["amount-5_seed-0", "amount-0_seed-0"]))
    assert others["main"].all() and others["cell"].n_unique() == CELLS - 1, "the variance is of all settings"
    assert set(predictions["cell"]) == {"amount-5_seed-0", "amount-0_seed-0"}
    whole = pl.read_parquet(folder.scores).filter(
        pl.col("main") | pl.col("cell").is_in([*predictions["cell"].unique()])
    )
    assert scores.drop("weights").equals(whole.drop("weights"))


def test_a_table_that_is_held_compactly_says_the_same(
    study: tuple[Path, StudyFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, folder = study
    planned = planned_study(recipe, folder.path.parent)
    plain, _ = current.scores_with_steps(planned)
    monkeypatch.setattr(current, "MANY_ROWS", 1)
    compact, _ = current.scores_with_steps(planned)
    assert compact.estimated_size() < plain.estimated_size() / 2
    assert compact.cast({columns.categorical(): pl.String}).equals(plain)
    predictions = current.read_compact(folder.predictions)
    assert predictions.schema["prompt"] == pl.Categorical and predictions.schema["completion"] == pl.String
    of_plain, of_compact = (analysed(planned, scores, scores) for scores in (plain, compact))
    assert_frame_equal(of_plain.summary, of_compact.summary)
    for name, table in of_plain.tables.items():
        assert_frame_equal(table, of_compact.tables[name])


def test_the_report_of_tables_that_are_held_compactly_is_the_same(
    study: tuple[Path, StudyFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, folder = study
    pages: list[str] = []
    for most in (current.MANY_ROWS, 1):
        monkeypatch.setattr(current, "MANY_ROWS", most)
        ended = harness("report", recipe, "--runs", folder.path.parent)
        assert ended.returncode == 0, ended.stderr
        page = (folder.path / "report.html").read_text(encoding="utf-8")
        pages.append(re.sub(r"\d{4}-\d\d-\d\dT[\d:+]+", "when it was made", page))
    assert pages[0] == pages[1]


@given(some.lists(some.tuples(some.sets(some.sampled_from("abcdefgh"), min_size=1), some.integers(0, 9))))
def test_places_are_those_of_a_dictionary(puts: list[tuple[set[str], int]]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(places, "MERGED", 3)
        found, known = Places(), dict[str, int]()
        for keys, number in puts:
            found.put(sorted(keys), number)
            known |= dict.fromkeys(keys, number)
    frozen = found.copy()
    found.put("abcdefgh", 10)
    assert {key: frozen.get(key) for key in "abcdefgh"} == {key: known.get(key) for key in "abcdefgh"}
    assert len(frozen) == len(known)


def test_prompts_are_a_list_that_is_made_when_it_is_read(evaluation: Evaluation) -> None:
    prompts = evaluation.prompts()
    every = list(prompts)
    assert len(prompts) == len(every) == 16
    assert [prompts[place] for place in range(-16, 0)] == prompts[:] == every
    assert prompts[3:12:2] == every[3:12:2]
    assert [(model, own) for model, own in prompts.by_model()] == [
        (model, [prompt for prompt in every if prompt.model == model]) for model in evaluation.models
    ]
    for prompt in every:
        decided = [*evaluation.computed_by(prompt.model), list(prompt.request.prompt_ids), 8, list(prompt.request.stop)]
        key = hashlib.sha256(json.dumps(decided).encode()).hexdigest()[:32]
        assert prompt.key == evaluation.key(prompt.model, prompt.request) == key, (
            "completions of earlier runs are found"
        )


def test_the_packages_that_scorers_call_are_known() -> None:
    files = [path for room in ("scorers", "tasks") for path in (REPOSITORY / "eval" / room).rglob("*.py")]
    assert len(files) > 20
    named: set[str] = set()
    for node in (node for path in files for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))):
        if isinstance(node, ast.Import):
            named |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            named.add(node.module.split(".")[0])
    installed: dict[str, Any] = dict(packages_distributions())
    called = {package.lower() for name in named - sys.stdlib_module_names - {"eval", "data_mixes"}
              for package in installed.get(name, ())}  # fmt: skip
    assert called and called <= {*parts.CALLED}

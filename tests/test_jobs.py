"""A plan on disk: every row once, every cell's own order, and nobody who plans twice."""

from __future__ import annotations

import ast
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from data_mixes.mixture import batches_by_length
from harness.errors import UserError
from harness.planning.jobs import place_rows, write_jobs
from harness.planning.study import Study
from harness.recipe.schema import Execution
from harness.runs.job import IGNORED, read_job
from harness.training.trainer import SupervisedPositionsTrainer, rows_of
from tests.support import REPOSITORY, harness, train_here


@pytest.fixture
def study(recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path) -> Study:
    recipe_data["grid"]["amount"]["values"] = [0, 1, 3]
    return Study(write_recipe(recipe_data), tmp_path / "runs")


def test_a_row_that_several_cells_train_on_is_written_once(study: Study) -> None:
    write_jobs(study, study.plans)
    (file,) = (study.folder / "plan").glob("rows-*.arrow")
    rows = Dataset.from_file(str(file))
    labelled = [row for row in rows if set(row["labels"]) != {IGNORED}]
    largest = {
        tuple(row.prompt_ids + row.completion_ids) for row in study.bases[0].tokens.render(list(study.plans[-1].rows))
    }
    assert len(labelled) == len(study.plans[-1].rows) and {tuple(row["input_ids"]) for row in labelled} == largest


def test_each_cell_reads_its_own_rows_in_training_order(study: Study) -> None:
    write_jobs(study, study.plans)
    for plan in study.plans:
        job = read_job(study.folder, plan.name)
        order = batches_by_length(plan.lengths.tokens.tolist(), 4)
        wanted = [study.bases[0].tokens.render([plan.rows[place]])[0] for place in order]
        found = list(rows_of(job, study.folder))
        assert len(found) % 4 == 0 and len(found) - len(wanted) < 4
        for row, rendering in zip(found, wanted, strict=False):
            assert row["input_ids"] == rendering.prompt_ids + rendering.completion_ids
            assert row["labels"] == [IGNORED] * len(rendering.prompt_ids) + rendering.completion_ids
        shortest = min(wanted, key=lambda each: each.tokens).tokens
        for filler in found[len(wanted) :]:
            assert set(filler["labels"]) == {IGNORED} and len(filler["input_ids"]) == shortest
        assert job.steps == len(found) // 4 and job.tokens == sum(each.tokens for each in wanted)


def test_rows_are_trained_on_in_the_planned_order_each_once(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    write_jobs(study, study.plans)
    planned = [row["input_ids"] for row in list(rows_of(read_job(study.folder, "amount-3"), study.folder))]
    trained: list[list[int]] = []
    compute = SupervisedPositionsTrainer.compute_loss

    def noting(self: Any, model: Any, inputs: dict[str, Any], *arguments: Any, **options: Any) -> Any:
        (joined,), borders = inputs["input_ids"].tolist(), inputs["cu_seq_lens_q"].tolist()
        trained.extend(joined[start:end] for start, end in pairwise(borders))
        return compute(self, model, inputs, *arguments, **options)

    monkeypatch.setattr(SupervisedPositionsTrainer, "compute_loss", noting)
    assert train_here(study.folder, study.folder.parent, "--cells", "amount-3").returncode == 0
    assert trained == planned


def test_places_of_later_cells_leave_those_of_earlier_ones(study: Study) -> None:
    places: dict[tuple[int, bool], int] = {}
    first = place_rows(study.plans[2], places)
    before = dict(places)
    again = place_rows(study.plans[1], places)
    assert {key: places[key] for key in before} == before
    assert len(first.fresh) == len(study.plans[2].rows) and not len(again.fresh), "the smaller cell is contained"


def test_a_job_says_all_that_decides_training(study: Study) -> None:
    write_jobs(study, study.plans)
    job = read_job(study.folder, "amount-3")
    assert job.identity == study.plans[2].run.identity
    assert job.training == study.plans[2].cell.recipe.training and job.dtype == "float32"
    assert (
        job.location == study.bases[0].files.location
        and job.recorded["prompts"] == study.bases[0].renderer.template_hash
    )


def test_a_worker_of_a_planned_folder_spreads_work_as_the_recipe_says(
    recipe_data: dict[str, Any],
    write_recipe: Callable[[dict[str, Any]], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe_data["execution"] = {"gpus_per_cell": 4, "sharding": "fsdp2", "workers": 2}
    planned = Study(write_recipe(recipe_data), tmp_path / "runs")
    write_jobs(planned, planned.plans)
    asked: list[Execution] = []
    monkeypatch.setattr("harness.commands.work.launch_training", lambda *given: asked.append(given[-1]) or 0)
    assert harness("work", planned.folder).returncode == 0
    assert asked == [Execution(gpus_per_cell=4, sharding="fsdp2", workers=1)], "as one worker"


def test_what_is_not_planned_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="amount-7 is not planned; train it from its recipe"):
        read_job(tmp_path, "amount-7")


def test_training_reads_jobs_and_plans_nothing() -> None:
    """The files that a worker needs import nothing of planning, so that it cannot plan."""
    for name in ("loop", "trainer", "lora", "supervised", "batches"):
        text = (REPOSITORY / "harness" / "training" / f"{name}.py").read_text(encoding="utf-8")
        modules = [node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
        assert modules and not [module for module in modules if module and module.startswith("harness.planning")]

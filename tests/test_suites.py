"""The suites in recipes/: their grids are the papers', and each recipe is planned without a network."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_mixes.mixture import budgets
from harness.planning.contrast import neighbours
from harness.recipe.grid import cells_of
from harness.recipe.load import load_recipe
from harness.recipe.mothello import is_mothello
from tests.judge_server import judge_server
from tests.rehearsal import RECIPES, TOKENIZER, in_small, recipes, stand_ins, tiny_models
from tests.support import compared, harness, train_in_this_process

GUIDE = RECIPES / "post_trainers_guide"
TASKS = ("math", "summarization", "instructions")
SINGLE = (0, 100, 200, 400, 800, 1000, 2000, 5000)
MULTI = (0, 100, 500, *range(1000, 7001, 500))
GRIDS = [
    # recipe, base models, runs, English rows per task, rows per other language and task, tasks in a mixture
    *((f"single-task-{task}", 3, 1, 10_000, SINGLE, 1) for task in TASKS),
    *((f"lora-{task}", 1, 3, 10_000, SINGLE, 1) for task in TASKS),
    *((f"small-{task}", 2, 3, 10_000, SINGLE, 1) for task in TASKS),
    ("multi-task", 3, 1, 5_000, MULTI, 3),
]


class Rehearsed:
    """Where stand-in data and models lie, and the judge's address."""

    def __init__(self, folder: Path, judge: str) -> None:
        self.folder, self.judge = folder, judge
        self.data, self.models = stand_ins(folder / "data"), tiny_models(folder)

    def in_small(self, path: Path) -> Path:
        """A recipe in small."""
        return in_small(path, self.folder / "small", self.data, self.models, self.judge)


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsed]:
    with judge_server() as judge:
        yield Rehearsed(tmp_path_factory.mktemp("rehearsed"), judge.endpoint)


@pytest.mark.parametrize(("name", "bases", "runs", "english", "others", "tasks"), GRIDS)
def test_the_guides_grids_are_the_papers(
    name: str, bases: int, runs: int, english: int, others: tuple[int, ...], tasks: int
) -> None:
    recipe, raw = load_recipe(GUIDE / f"{name}.yaml")
    cells = cells_of(recipe, raw)
    assert len(cells) == bases * runs * len(others)
    samples = {}
    for cell in cells:
        parts = cell.recipe.ingredients
        assert parts["english"].languages == ("en",) and parts["english"].amount == english
        assert parts["others"].languages == ("es", "fr", "ja", "zh") and parts["others"].amount is not None
        assert all(len(part.sources) == tasks and part.unit == "examples" for part in parts.values())
        samples[parts["others"].amount] = tasks * (english + 4 * parts["others"].amount)
        assert cell.recipe.training.global_batch == 64 and cell.recipe.training.schedule == "constant"
        assert cell.recipe.selection is not None and cell.recipe.selection.every == 50
    assert samples == {amount: tasks * (english + 4 * amount) for amount in others}
    assert recipe.languages.unseen == ("ar", "ko", "pt")
    if not name.startswith("lora"):
        assert {cell.recipe.training.method for cell in cells} == {"full"}


@pytest.mark.parametrize("task", TASKS)
def test_the_guides_mixes_by_script_are_the_papers(task: str) -> None:
    recipe, raw = load_recipe(GUIDE / f"scripts-{task}.yaml")
    cells = cells_of(recipe, raw)
    mixes = {(cell.recipe.ingredients["others"].languages, cell.recipe.ingredients["others"].amount) for cell in cells}
    assert mixes == {(mix, amount) for mix in (("es", "fr"), ("ja", "zh")) for amount in SINGLE}
    assert len(cells) == 16 and recipe.languages.groups == {"Latin": ("es", "fr", "pt"),
                                                            "non-Latin": ("ja", "zh", "ko", "ar")}  # fmt: skip


def test_english_is_not_all_has_its_twenty_two_mixtures() -> None:
    recipe, raw = load_recipe(RECIPES / "english_is_not_all" / "math.yaml")
    cells = cells_of(recipe, raw)
    mixes = {cell.recipe.ingredients["all"].languages for cell in cells}
    assert len(cells) == 5 * 22 and len(mixes) == 22
    by_size = sorted(len(mix) for mix in mixes if mix is not None)
    assert by_size == [1, *[2] * 4, *[4] * 5, 5, *[6] * 5, *[9] * 5, 10]
    core = {"en", "es", "ja", "bn", "sw"}
    assert {len(core & set(mix or ())) for mix in mixes if mix and len(mix) in (4, 6, 9)} == {4}


def test_a_pinch_keeps_its_size() -> None:
    recipe, raw = load_recipe(RECIPES / "pinch" / "shares.yaml")
    of_cells = {cell.name.split("_")[0]: cell for cell in cells_of(recipe, raw)}
    shares = {name: dict(cell.recipe.ingredients["all"].shares or {}) for name, cell in of_cells.items()}
    assert len(shares) == 12
    for name, given in shares.items():
        assert len(given) == 12
        percent = int(name.rpartition("-")[2])
        assert given.pop("en") == "rest" and [*given.values()] == pytest.approx([percent / 1200] * 11, abs=1e-9)
    counts = {name: budgets(cell.recipe.components[0], {}) for name, cell in of_cells.items()}
    assert {sum(each.values()) for each in counts.values()} == {4640}
    assert [counts[f"multilingual-p-{percent}"]["en"] for percent in (0, 1, 10, 100)] == [4640, 4596, 4211, 387]


def test_every_recipe_in_the_folder_is_planned_without_a_network(
    rehearsed: Rehearsed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.training.forecast.measured_pace", no_pace)
    found = [path for path in recipes() if not is_mothello(path)]
    assert len(found) == 28
    for path in found:
        ended = harness("plan", rehearsed.in_small(path), "--runs", rehearsed.folder / "runs")
        assert ended.returncode == 0, f"{path.name}: {ended.stderr}"
        told = re.findall("Neighbouring cells: .*", ended.stdout)
        # Two keys of one axis, which the plan tells: a small model comes with its own learning rate, and what asks in
        # several languages and answers in them differs from translation in the languages and in what is asked.
        two_keys = path.name.startswith("small-") or path.name == "crossin.yaml"
        assert all(("each in one factor" in line) != two_keys for line in told), (path, told)


def no_pace(*_: object) -> None:
    raise RuntimeError("how fast stand-ins are is not asked")


def test_the_guides_full_tuning_of_eight_billion_weights_is_planned_elsewhere(
    rehearsed: Rehearsed, tmp_path: Path
) -> None:
    """Of the models there are a configuration and a tokenizer; a stand-in takes the place of their weights."""
    models = [of_eight_billion(tmp_path / f"model-{number}", number) for number in range(3)]
    small = in_small(GUIDE / "single-task-math.yaml", tmp_path / "small", rehearsed.data, models, "")
    ended = harness("plan", small, "--runs", tmp_path / "runs", "--on", "8xH100", "--json")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)["elsewhere"]
    assert len(found["models"]) == 3 and found["gpu_hours"] > 0 and found["hours"] >= found["gpu_hours"] / 8
    for model in found["models"]:
        assert model["weights"] == 8_030_261_248 and model["cells"] == 8 and model["training_gpu_hours"] > 0
        by_layout = {(layout["gpus_per_cell"], layout["activation_checkpointing"], layout["offload"]): layout
                     for layout in model["layouts"]}  # fmt: skip
        assert [ways[0] for ways, layout in by_layout.items() if layout["fits"] and not ways[2]] == [4, 4, 8, 8]
        assert by_layout[1, False, False]["memory"] > 18 * 8e9 > 80e9 > by_layout[4, False, False]["memory"]
        of_a_cell = (4 + 3 * 3 * 4) * model["weights"]  # float32 weights until they are evaluated, and checkpoints
        assert by_layout[8, False, False]["disk"] == of_a_cell
        assert by_layout[4, False, False]["disk"] == 2 * of_a_cell, "two cells train at the same time"


def of_eight_billion(folder: Path, number: int) -> Path:
    """A folder with the shape of a model of eight billion weights, which are not there."""
    import torch
    from safetensors.torch import save_file
    from transformers import LlamaConfig

    config = LlamaConfig(
        vocab_size=128_256, hidden_size=4096, intermediate_size=14_336, num_hidden_layers=32, num_attention_heads=32,
        num_key_value_heads=8, max_position_embeddings=131_072, architectures=["LlamaForCausalLM"],
    )  # fmt: skip
    config.save_pretrained(folder)
    for file in TOKENIZER.glob("token*"):
        shutil.copy(file, folder)
    save_file({"stand-in": torch.tensor([number])}, folder / "model.safetensors")
    return folder


def test_no_cells_of_a_grid_differ_in_more_than_its_axes(rehearsed: Rehearsed) -> None:
    for name in ("single-task-math", "multi-task", "scripts-summarization", "small-instructions"):
        small = rehearsed.in_small(GUIDE / f"{name}.yaml")
        recipe, raw = load_recipe(small)
        apart = [pair for pair in neighbours(compared(recipe, raw), recipe.grid) if not pair.one_factor]
        # A small model comes with its own learning rate: two keys of one axis, which the plan tells.
        assert bool(apart) == name.startswith("small"), name


def test_a_recipe_of_every_task_runs_to_its_report(rehearsed: Rehearsed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "of nobody")
    train_in_this_process(monkeypatch)
    small = rehearsed.in_small(GUIDE / "multi-task.yaml")
    cells = [cell.name for cell in cells_of(*load_recipe(small))]
    ended = harness("run", small, "--runs", rehearsed.folder / "ran", "--cells", cells[0], "--cells", cells[-1])
    assert ended.returncode == 0, ended.stderr
    (page,) = (rehearsed.folder / "ran").glob("*/report.html")
    assert page.stat().st_size > 100_000

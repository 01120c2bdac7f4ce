"""What a run is identified by: every key of a recipe is changed, and its run is refused by name, or resumed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.planning.identity import FIRST_KEYS, deciding
from harness.planning.study import Study
from harness.recipe import source_settings
from harness.recipe.reference import keys_of, sections
from harness.recipe.schema import Training
from harness.runs.cells import open_cells
from harness.runs.record import fingerprint
from tests.support import small_recipe

RESUMED = None
CHAT = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<eos>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
MIXTURE = "mixture.others"
CHANGES: dict[str, tuple[Any, str | None]] = {
    "include": ([], RESUMED),
    "model.name": ("another model", "model.identity"),
    "model.revision": ("main", RESUMED),  # of a folder there is but one
    "model.dtype": ("bfloat16", "model.dtype"),
    "model.quantization": ("nf4", "model.identity"),
    "model.trust_remote_code": (True, RESUMED),
    "model.reinitialise": ({"layers": [0, 1]}, "model.reinitialise was None"),
    "model.reinitialise.layers": ([0, 1], "model.reinitialise was None"),
    "model.reinitialise.seed": (1, RESUMED),  # of no new weights
    "model.reinitialise.elsewhere": (True, RESUMED),
    "adapter.layers": ([0, 1], "adapter.layers"),
    "adapter.rank": (4, "adapter.rank"),
    "adapter.alpha": (8, "adapter.alpha"),
    "adapter.dropout": (0.1, "adapter.dropout"),
    "adapter.targets": (["q_proj"], "adapter.targets"),
    "training.method": ("full", "training.method was None, is 'full'"),
    "training.freeze": ({"method": "full", "freeze": ["*norm*"]}, "training.freeze was None"),
    "training.keep_checkpoints": ("all", RESUMED),
    "training.keep_checkpoints.every": (2, RESUMED),
    "training.report_to": ([], RESUMED),
    "training.keep": ("nothing-after-evaluation", RESUMED),
    "training.epochs": (2, "training.epochs"),
    "training.steps": (3, "training.steps"),
    "training.supervised_tokens": (400, "training.supervised_tokens"),
    "training.global_batch": (2, "training.global_batch"),
    "training.micro_batch": ("auto", RESUMED),
    "training.learning_rate": (2e-2, "training.learning_rate"),
    "training.schedule": ("linear", "training.schedule"),
    "training.warmup_steps": (1, "training.warmup_steps"),
    "training.weight_decay": (0.1, "training.weight_decay"),
    "training.max_grad_norm": (0.5, "training.max_grad_norm"),
    "training.max_length": (900, RESUMED),
    "training.long_rows": ("drop", RESUMED),
    "training.seed": (1, "training.seed"),
    "training.checkpoint_every": (7, RESUMED),
    "selection": ({"languages": ["en"], "every": 2}, "selection was None"),
    "execution.workers": (2, RESUMED),
    "execution.gpus_per_cell": (2, RESUMED),
    "execution.processes_per_gpu": (2, RESUMED),
    "execution.sharding": ("fsdp2", RESUMED),
    "execution.activation_checkpointing": (True, RESUMED),
    "execution.offload": (True, RESUMED),
    "checkpoints": ({"every": 2}, RESUMED),
    "languages.seen": (["en", "fr", "es"], RESUMED),
    "languages.unseen": (["ja", "ko"], RESUMED),
    "models": ({"remote": {"endpoint": "http://localhost:1/v1", "model": "m"}}, RESUMED),
    "languages.groups": ({"mine": ["fr", "ja"]}, RESUMED),
    "languages.pivot": ("fr", RESUMED),
    "mixture.seed": (1, "mixture.seed was 0, is 1"),
    f"{MIXTURE}.sources": (["word-problems"], "mixture.instructions/fr"),
    f"{MIXTURE}.languages": (["en", "fr"], "mixture.instructions/en"),
    f"{MIXTURE}.prompts_in": ({"languages": None, "prompts_in": ["fr"], "answers_in": ["en"]}, "mixture."),
    f"{MIXTURE}.answers_in": ({"languages": None, "prompts_in": ["en"], "answers_in": ["fr"]}, "mixture."),
    f"{MIXTURE}.translate": (
        {"languages": None, "prompts_in": ["en"], "answers_in": ["fr"], "translate": True},
        "mixture.",
    ),
    f"{MIXTURE}.amount": (4, "mixture.instructions/fr"),
    f"{MIXTURE}.total": ({"amount": None, "total": 4}, "mixture.instructions/fr"),
    f"{MIXTURE}.temperature": ({"amount": None, "total": 3, "temperature": 2.0}, RESUMED),  # of one language: the same
    f"{MIXTURE}.shares": ({"amount": None, "total": 3, "shares": {"fr": 1.0}}, RESUMED),
    f"{MIXTURE}.unit": ("items", RESUMED),  # as many rows of one language
    f"{MIXTURE}.items": ("shared", RESUMED),  # which is what it was
    f"{MIXTURE}.max_repeats": (2, RESUMED),
    f"{MIXTURE}.as": ("text", "mixture.instructions/fr"),
    "prompts.chat_template": (CHAT, "rows"),
    "prompts.words": ({"math": {"fr": "Calculer : {prompt}\n"}}, "rows"),
    "prompts.supervise": ("every", RESUMED),  # without conversations there is but one turn
    "prompts.max_tokens": (60, "rows"),
    "prompts.few_shot": ({"math": {"shots": 1}}, RESUMED),
    "leakage.items": ("drop", RESUMED),
    "leakage.text": ("drop", RESUMED),
    "leakage.near": ("drop", RESUMED),
    "leakage.similarity": (0.9, RESUMED),
    "share": (["another"], RESUMED),
    "evaluation.tasks": (["math"], RESUMED),
    "evaluation.sources": ({"math": "word-problems"}, RESUMED),
    "evaluation.engine": ("auto", RESUMED),
    "evaluation.split": ("validation", RESUMED),
    "evaluation.primary": ({"math": "seen"}, RESUMED),
    "evaluation.items": (3, RESUMED),
    "evaluation.max_tokens": ({"math": 9}, RESUMED),
    "evaluation.decoding": ({"math": {"stop": ["###"]}}, RESUMED),
    "evaluation.repeats": (2, RESUMED),
    "evaluation.prompts_in": (["own", "en"], RESUMED),
    "evaluation.answers_in": (["own", "en"], RESUMED),
    "evaluation.identifier": ("fasttext", RESUMED),
    "evaluation.thoughts": ([["<plan>", "</plan>"]], RESUMED),
    "evaluation.base": (False, RESUMED),
    "evaluation.after": ("every-stage", RESUMED),
    "similarity": ({"texts": "{language}.txt"}, RESUMED),
    "probe": ({"treebanks": "{language}.conllu"}, RESUMED),
    "report.labels": ({"math": "word problems"}, RESUMED),
    "report.amounts": ("categorical", RESUMED),
    "evaluation.judge": ({"model": "m", "endpoint": "http://localhost:1/v1"}, RESUMED),
}
CHANGED_ELSEWHERE = {
    "study": "its name is its folder: a new one",
    "sources": "test_a_source_is_known_by_what_it_holds",
    "lexicons": "tests/test_row_makers.py; the versions of those that words of a cell's rows are switched with",
    **{f"lexicons.*.{key}": "as above" for key in ("file", "learned_from", "rows")},
    "generated": "tests/test_generated.py; the version of such a source, which names who writes it, is in the identity",
    **{
        f"generated.*.{key}": "as above"
        for key in (
            "by",
            "prompts",
            "samples",
            "temperature",
            "max_tokens",
            "keep",
            "short",
            *(f"prompts.{key}" for key in ("source", "languages", "amount", "items")),
            *(f"keep.{key}" for key in ("agree", "language", "most_likely")),
        )
    },
    **{
        f"{MIXTURE}.as.{key}": "as above: in the names of variants, and in rows"
        for key in (
            "text",
            "text.of",
            "pair",
            "pair.order",
            "pair.loss",
            "pair.separator",
            "restore",
            "restore.share",
            "restore.into",
            "restore.of",
            "restore.spans",
            "switch",
            "switch.share",
            "switch.into",
            "switch.of",
        )
    },
    f"{MIXTURE}.only_for": "tests/test_objectives.py; it says which rows are not the likelihood's",
    "training.objectives": "as above: those of weight 0 are in no identity, the others with their rows",
    **{
        f"training.objectives.{key}": "as above"
        for key in (
            "align",
            "distil",
            "ewc",
            "keep",
            "label_similarity",
            "distil.to",
            "distil.weight",
            "distil.temperature",
            "ewc.weight",
            "ewc.rows",
            *(
                f"{term}.{key}"
                for term in ("keep", "label_similarity")
                for key in ("on", "layer", "to", "batch", "weight")
            ),
            "own",
            *(f"own.{key}" for key in ("code", "on", "batch", "weight")),
            *(f"align.{key}" for key in ("on", "layer", "temperature", "batch", "schedule", "weight")),
        )
    },
    "languages.tested": "of a recipe that trains nothing: tests/test_outside.py",
    "stages": "tests/test_stages.py; what a stage begins with is in its identity",
    "compose": "as above: what a cell is made of is in its identity",
    "grid": "test_more_values_on_an_axis_leave_the_cells_there_are",
    "exclude": "tests/test_recipe.py; it leaves cells out",
    "reference": "curves laid over the report",
    "evaluation.lm_eval": "tests/test_lm_eval.py; a task's questions are in the keys of their answers",
    "evaluation.lm_eval_folder": "as above",
    "evaluation.batch_invariant": "tests/test_noise.py; it is in the engine's version, thus in keys of completions",
    "evaluation.tasks.*.code": "tests/test_own_tasks.py; its hash is in the versions of its scores",
    "evaluation.metrics": "as above",
    **{
        f"evaluation.decoding.*.{key}": "tests/test_decoding.py; it is in the keys of completions, not of cells"
        for key in ("max_tokens", "stop", "temperature", "samples", "system")
    },
    "evaluation.metrics.*.code": "as above",
    **{
        f"selection.{key}": "tests/test_selection.py; of no selection no key can be changed"
        for key in ("by", "languages", "allow_unseen", "every", "patience", "items")
    },
    **{f"checkpoints.{key}": "as above; of none no key can be changed" for key in ("of", "every")},
    "evaluation.metrics.*.tasks": "as above",
}
WHOLE = {
    "model", "adapter", "training", "execution", "languages", "mixture", "prompts", "leakage", "evaluation", "report"
}  # fmt: skip


def test_the_table_has_every_key() -> None:
    keys = {
        f"{path.replace('mixture.*', MIXTURE)}.{name}".lstrip(".")
        for path, section in sections()
        for name in keys_of(section)
        if path.partition(".")[0] not in ("sources", "grid", "reference", "stages", "compose")
        and not path.startswith(("evaluation.judge", "prompts.few_shot", "similarity", "probe", "models"))
    }
    assert len(keys) > 60
    assert keys - WHOLE == {*CHANGES, *CHANGED_ELSEWHERE}


@pytest.fixture(scope="module")
def begun(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """A recipe of one cell, and the runs folder in which it was begun."""
    folder = tmp_path_factory.mktemp("begun")
    data = small_recipe(tiny_model)
    del data["grid"]
    data["adapter"] = {"rank": 8}
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(data))
    (plan,) = Study(path, folder / "runs").plans
    plan.run.begin()
    return data, folder / "runs"


def changed(data: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The recipe with one key changed, and those that exclude it removed."""
    data = copy.deepcopy(data)
    *parents, last = path.split(".")
    place = data
    for parent in parents:
        place = place.setdefault(parent, {})
    if path.startswith(("mixture.", "training.")) and isinstance(value, dict):
        place |= value
        for key in [key for key, each in value.items() if each is None]:
            del place[key]
    else:
        place[last] = value
    if last in ("steps", "supervised_tokens"):
        del data["training"]["epochs"]
    if path == "evaluation.tasks":
        data["evaluation"]["max_tokens"] = {"math": 8}
    return data


@pytest.mark.parametrize("path", CHANGES)
def test_a_changed_key(path: str, begun: tuple[dict[str, Any], Path], tmp_path: Path, tiny_model: Path) -> None:
    value, named = CHANGES[path]
    if path == "model.name":
        value = str(another_model(tiny_model, tmp_path / "model"))
    data, runs = begun
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(changed(data, path, value)))
    if named is RESUMED:
        (plan,) = Study(recipe, runs).plans
        assert plan.run.record["state"] == "training"
        return
    with pytest.raises(UserError, match="holds another experiment of this name") as refused:
        _ = Study(recipe, runs).plans
    assert f"{named}" in str(refused.value).partition("Changed: ")[2], str(refused.value)


def another_model(tiny_model: Path, folder: Path) -> Path:
    """The same model with one other weight."""
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny_model, folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][0] += 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_source_is_known_by_what_it_holds(
    recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    file = tmp_path / "own.jsonl"
    rows = [{"prompt": f"Say {number}", "target": f"{number}", "id": str(number)} for number in range(9)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe_data["sources"] = {"own": {"task": "instructions", "languages": ["fr"], "files": {"train": str(file)},
                                      "columns": {"id": "id"}}}  # fmt: skip
    recipe_data["mixture"]["others"]["sources"] = ["own"]
    recipe_data["grid"]["amount"]["values"] = [3]
    recipe, runs = write_recipe(recipe_data), tmp_path / "runs"
    Study(recipe, runs).plans[0].run.begin()
    assert Study(recipe, runs).plans[0].run.record
    file.write_text("".join(json.dumps(row | {"target": "other"}) + "\n" for row in rows))
    source_settings._source_of.cache_clear()  # what another process would not have either
    with pytest.raises(UserError, match=r"Changed: rows was .*sources\.own was "):
        _ = Study(recipe, runs).plans


def test_more_values_on_an_axis_leave_the_cells_there_are(
    recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    for plan in Study(write_recipe(recipe_data), tmp_path).plans:
        plan.run.begin()
    recipe_data["grid"]["amount"]["values"] = [0, 1, 3, 4]
    states = [plan.run.record.get("state") for plan in Study(write_recipe(recipe_data), tmp_path).plans]
    assert states == ["training", None, "training", None]


class TrainingWithANewKey(Training):
    """What a later release may have."""

    packing: bool = False


def test_a_key_added_later_refuses_no_run_made_before(tmp_path: Path) -> None:
    before = {"training": deciding(Training(epochs=1), FIRST_KEYS["training"])}
    open_cells(tmp_path, {"cell": before})["cell"].begin()
    same = {"version": 1, "training": deciding(TrainingWithANewKey(epochs=1), FIRST_KEYS["training"])}
    assert fingerprint(same) == fingerprint(before) and open_cells(tmp_path, {"cell": same})["cell"].record
    other = {"version": 1, "training": deciding(TrainingWithANewKey(epochs=1, packing=True), FIRST_KEYS["training"])}
    with pytest.raises(UserError, match=r"training\.packing was None, is True"):
        open_cells(tmp_path, {"cell": other})["cell"]
    with pytest.raises(UserError, match=r"version was 1, is 2"):
        open_cells(tmp_path, {"cell": same | {"version": 2}})["cell"]

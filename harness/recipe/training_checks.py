"""Whether the keys of training fit each other: what is held constant, what learns, which steps are chosen and kept."""

from __future__ import annotations

from importlib.util import find_spec

from eval.tasks import TASKS
from harness.errors import Problem, suggestion
from harness.recipe.schema import Recipe


def check_training(recipe: Recipe) -> list[Problem]:
    """All mistakes in how cells are trained."""
    problems: list[Problem] = []
    training = recipe.training
    if (
        "training" in recipe.model_fields_set
        and recipe.stages is None
        and sum(length is not None for length in (training.epochs, training.steps, training.supervised_tokens)) != 1
    ):
        message = "give one of epochs, steps and supervised_tokens: what all cells have in common"
        problems.append(Problem("training", message))
    if training.freeze and training.method == "lora":
        message = "LoRA leaves every weight of the base as it is; remove the key, or use method: full"
        problems.append(Problem("training.freeze", message))
    problems += [
        Problem(f"training.report_to.{index}", f"{program} is not installed; pip install {program}, or leave it out")
        for index, program in enumerate(training.report_to)
        if find_spec(program) is None
    ]
    if recipe.execution.sharding == "zero3" and recipe.execution.offload:
        message = "for that DeepSpeed's optimizer takes the place of the recipe's AdamW; use sharding: fsdp2"
        problems.append(Problem("execution.offload", message))
    problems += _check_four_bits(recipe)
    problems += _check_blocks(recipe) + _check_selection(recipe) + _check_checkpoints(recipe)
    if "lm_head" in recipe.adapter.targets:
        problems.append(Problem("adapter.targets", "lm_head cannot be trained: TRL and vLLM refuse adapters on it"))
    return problems


def _check_four_bits(recipe: Recipe) -> list[Problem]:
    """What weights of four bits cannot do: learn, and be parted among processes."""
    if recipe.model is None or recipe.model.quantization == "none" or not recipe.trains:
        return []
    problems: list[Problem] = []
    if recipe.training.method == "full" or recipe.reinitialised:
        message = "weights of four bits cannot learn; use training.method: lora without model.reinitialise, or none"
        problems.append(Problem("model.quantization", message))
    if recipe.execution.sharding != "none":
        message = "a base of four bits is for one GPU and is not parted; remove it, or model.quantization"
        problems.append(Problem("execution.sharding", message))
    return problems


def _check_blocks(recipe: Recipe) -> list[Problem]:
    """Ranges of blocks that hold none, and new blocks beside adapters in a model that is parted."""
    reinitialise = recipe.model and recipe.model.reinitialise
    ranges = {"adapter.layers": recipe.adapter.layers,
              "model.reinitialise.layers": reinitialise.layers if reinitialise else None}  # fmt: skip
    problems = [
        Problem(where, f"got {list(layers)}, which holds no block; the second figure is not part of it")
        for where, layers in ranges.items()
        if layers and layers[0] >= layers[1]
    ]
    if recipe.reinitialised and recipe.training.method == "lora" and recipe.execution.sharding != "none":
        message = "adapters beside new blocks cannot be merged in a model that is parted; use training.method: full"
        problems.append(Problem("model.reinitialise", message))
    if recipe.reinitialised and recipe.reinitialised.elsewhere and recipe.training.method == "lora":
        message = "its new weights are in all other blocks, and adapters cannot repair them; use training.method: full"
        problems.append(Problem("model.reinitialise.elsewhere", message))
    return problems


def _check_checkpoints(recipe: Recipe) -> list[Problem]:
    """Steps to be evaluated that cells do not keep."""
    every, kept = recipe.evaluated_every, recipe.training.kept_every
    if not every or not kept or every % kept == 0:
        return []
    message = f"got {every}, and cells keep every {kept} steps (training.keep_checkpoints); name a multiple of {kept}"
    return [Problem("checkpoints.every", message)]


def _check_selection(recipe: Recipe) -> list[Problem]:
    """A step chosen in a language that the study does not have, in an unseen one, or by what is tested."""
    selection = recipe.selection
    if selection is None:
        return []
    problems: list[Problem] = []
    if recipe.evaluation.split == "validation":
        message = "the validation split is tested as well (evaluation.split); a step must not be chosen by test items"
        problems.append(Problem("selection", message))
    if selection.task is not None and selection.task not in TASKS:
        message = f"got {selection.by!r}; a step is chosen by `loss`, or by one of {', '.join(TASKS)}"
        problems.append(Problem("selection.by", message))
    if selection.task is not None and recipe.execution.sharding != "none":
        message = "a model that is parted among processes does not answer prompts in training; choose by: loss"
        problems.append(Problem("selection.by", message))
    for index, language in enumerate(selection.languages):
        where = f"selection.languages.{index}"
        if language not in recipe.all_languages:
            hint = suggestion(language, recipe.all_languages)
            problems.append(Problem(where, f"{language!r} is none of the study's; {hint}"))
        elif language in recipe.languages.unseen and language not in selection.allow_unseen:
            message = f"{language!r} is in languages.unseen: a step chosen by it is no zero-shot model"
            problems.append(Problem(where, f"{message}; remove it, or name it in selection.allow_unseen"))
    return problems

"""A cell's identity: all that decides what its weights become, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from data_mixes.mixture import Allotment
from data_mixes.tokens import Lengths
from harness.planning.cells import examples_by_source, sources_of
from harness.recipe.own_code import own_loss
from harness.recipe.schema import Recipe
from harness.recipe.section import Section
from harness.runs.record import FIRST_VERSION, CellRun

VERSION = FIRST_VERSION
"""Raised when the same identity comes to mean another experiment."""
FIRST_KEYS = {
    "adapter": {"rank", "alpha", "dropout", "targets"},
    "training": {
        "epochs", "steps", "supervised_tokens", "global_batch", "learning_rate", "schedule", "warmup_steps",
        "weight_decay", "max_grad_norm", "seed",
    },
    "selection": {"by", "languages", "every", "patience", "items"},
}  # fmt: skip
"""The keys of the first version are always part of the identity. One added since is part of it where it is not at its
default, so that it refuses no run that was made before it."""
NOT_DECIDING = {
    "checkpoint_every", "keep", "keep_checkpoints", "long_rows", "max_length", "micro_batch", "report_to",
}  # fmt: skip
"""Keys of training that leave the result as it is, or show in the rows."""


def cell_identity(
    recipe: Recipe,
    model: str,
    dtype: str,
    drawn_under: int | None,
    allotments: Sequence[Allotment],
    lengths: Lengths,
    selection: Mapping[str, Any] | None = None,
    asides: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The identity of a cell: `model` identifies the base model, `lengths` are those of its rows in training order.

    `drawn_under` is the `mixture.seed`; None in a study begun before there was one, whose identities do not state it.
    `selection` is what chooses the step, where it is not the last one; `asides` are the rows of terms beside the
    likelihood.
    """
    drawn = {} if drawn_under is None else {"seed": drawn_under}
    begun = recipe.reinitialised and recipe.reinitialised.model_dump(mode="json")
    adapter = {"adapter": deciding(recipe.adapter, FIRST_KEYS["adapter"])} if recipe.training.method == "lora" else {}
    return {
        "version": VERSION,
        "model": {"identity": model, "dtype": dtype, **({"reinitialise": begun} if begun else {})},
        **adapter,
        "training": training_identity(recipe),
        **({"selection": selection} if selection else {}),
        **({"objectives": dict(asides)} if asides else {}),
        "mixture": drawn | examples_by_source(allotments),
        **({"lexicons": lexicons} if (lexicons := lexicons_of(recipe, allotments)) else {}),
        "sources": {name: recipe.known_sources[name].version for name in sorted(sources_of(allotments))},
        "rows": hashlib.sha256(lengths.content.tobytes()).hexdigest()[:16],
    }


def training_identity(recipe: Recipe) -> dict[str, Any]:
    """The keys of training that decide what a cell becomes; a file of code counts by its content."""
    training = deciding(recipe.training.effective, FIRST_KEYS["training"])
    if own := recipe.training.objectives.active.own:
        training["objectives"]["own"]["code"] = own_loss(own.code)[1]
    return training


def lexicons_of(recipe: Recipe, allotments: Sequence[Allotment]) -> dict[str, str]:
    """The versions of the lexicons that words of the rows are switched with."""
    filled = {(allotment.component, allotment.variant) for allotment in allotments if allotment.examples}
    used = [
        lexicon
        for part in recipe.components
        for variant in part.variants
        if (part.name, variant.name) in filled and variant.maker and (switching := variant.maker.switches)
        for lexicon in switching.lexicons_of(variant.language)
    ]
    return {lexicon.name: lexicon.version for lexicon in sorted(used, key=lambda each: each.name)}


def alike(runs: Mapping[str, CellRun]) -> dict[str, str]:
    """Cell → the one that comes out the same: it is trained alike on the same rows, whatever seed drew them.

    That is the first of them that is begun, so that nothing is trained again when a grid grows; else the first.
    """
    groups: dict[str, list[str]] = {}
    for name, run in runs.items():
        mixture = {key: count for key, count in run.identity["mixture"].items() if key != "seed"}
        groups.setdefault(json.dumps({**run.identity, "mixture": mixture}, sort_keys=True), []).append(name)
    same: dict[str, str] = {}
    for names in groups.values():
        first = next((name for name in names if len(names) > 1 and runs[name].record), names[0])
        same |= {name: first for name in names if name != first}
    return same


def deciding(section: Section, first_keys: set[str]) -> dict[str, Any]:
    """The keys of a section that decide what a cell becomes."""
    given = section.model_dump(mode="json", exclude=NOT_DECIDING, exclude_none=True)
    changed = section.model_dump(mode="json", exclude=NOT_DECIDING, exclude_none=True, exclude_defaults=True)
    return {key: value for key, value in given.items() if key in first_keys or key in changed}

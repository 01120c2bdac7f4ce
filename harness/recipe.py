"""Recipes: frozen models of the YAML, read strictly, every mistake reported at once."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from data_mixes.mixture import Component, ItemPolicy, Unit
from data_mixes.prompts import PROMPTS
from data_mixes.sources import SOURCES
from eval.tasks import TASKS
from harness.errors import Problem, UserError, suggestion

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
RESERVED_CELLS = {"base", "evaluation"}

PositiveInt = Annotated[int, Field(gt=0)]
Amount = Annotated[int, Field(ge=0)]


class Section(BaseModel):
    """A part of a recipe: no unknown keys, no changes, no guessing of types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Model(Section):
    """The base model: a packaged name, a folder with safetensors, or a Hugging Face id."""

    name: str
    revision: str | None = None
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    trust_remote_code: bool = False


class Adapter(Section):
    """The LoRA adapter each cell trains."""

    rank: Annotated[int, Field(gt=0, le=512)] = 8  # vLLM serves no larger one
    alpha: PositiveInt = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: Literal["all-linear"] | tuple[str, ...] = "all-linear"


class Training(Section):
    """Optimisation, the same for every cell.

    One of `epochs`, `steps` and `supervised_tokens` is held constant over the grid; the others follow.
    """

    epochs: PositiveInt | None = None
    steps: PositiveInt | None = None
    supervised_tokens: PositiveInt | None = None
    global_batch: PositiveInt = 16
    micro_batch: PositiveInt = 8
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: Amount = 0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    max_length: PositiveInt = 512
    seed: Amount = 0
    checkpoint_every: PositiveInt = 50


class Languages(Section):
    """Which languages some cell trains on, and which none may."""

    seen: tuple[str, ...] = Field(min_length=1)
    unseen: tuple[str, ...] = ()


class Ingredient(Section):
    """A component of the mixture: an `amount` per source and language, or a `total` per source to divide."""

    sources: tuple[str, ...] = Field(min_length=1)
    languages: tuple[str, ...] = Field(min_length=1)
    amount: Amount | None = None
    total: Amount | None = None
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=True)] | None = None
    shares: dict[str, Annotated[float, Field(gt=0)]] | None = None
    unit: Unit = "examples"
    items: ItemPolicy = "shared"
    max_repeats: PositiveInt = 1


class Axis(Section):
    """What varies over the grid: the key at `path` takes each of the `values`."""

    path: str
    values: tuple[Any, ...] | dict[str, Any] = Field(min_length=1)


class Evaluation(Section):
    """What every cell and the untuned base model are tested on."""

    tasks: tuple[str, ...] = Field(min_length=1)
    sources: dict[str, str] = {}
    engine: Literal["vllm", "transformers"] = "vllm"
    split: Literal["validation", "test"] = "test"
    items: PositiveInt = 100
    max_tokens: dict[str, PositiveInt] = {}
    base: bool = True


class Recipe(Section):
    """A whole study."""

    study: str
    model: Model
    adapter: Adapter = Adapter()
    training: Training
    languages: Languages
    mixture: dict[str, Ingredient] = Field(min_length=1)
    grid: dict[str, Axis] = {}
    evaluation: Evaluation

    @property
    def components(self) -> list[Component]:
        """The mixture in the words of `data_mixes`."""
        return [
            Component(
                name=name,
                sources=part.sources,
                languages=part.languages,
                amount=part.amount,
                total=part.total,
                temperature=part.temperature or 1.0,
                shares=part.shares,
                unit=part.unit,
                items=part.items,
                max_repeats=part.max_repeats,
            )
            for name, part in self.mixture.items()
        ]

    @property
    def all_languages(self) -> tuple[str, ...]:
        """Seen languages, then unseen."""
        return (*self.languages.seen, *self.languages.unseen)


def load_recipe(path: Path) -> tuple[Recipe, dict[str, Any]]:
    """The recipe and its YAML as plain data. Raises UserError with every mistake found."""
    raw = read_yaml(path)
    return parse_recipe(raw), raw


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML 1.2 file that holds a mapping; duplicate keys and other tags are refused."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UserError([Problem(str(path), f"cannot read the recipe: {reason}")]) from None
    try:
        raw = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise UserError([Problem(str(path), f"not valid YAML: {error.problem}{line}")]) from None
    except (YAMLError, RecursionError, ValueError) as error:
        raise UserError([Problem(str(path), f"not valid YAML: {error}")]) from None
    if not isinstance(raw, dict):
        raise UserError([Problem(str(path), "a recipe is a mapping of keys; see recipes/quickstart.yaml")])
    return raw


def parse_recipe(raw: Mapping[str, Any]) -> Recipe:
    """The recipe in `raw`. Raises UserError with every mistake found."""
    try:
        recipe = Recipe.model_validate_json(json.dumps(raw, default=str))
    except ValidationError as error:
        raise UserError([_problem(details) for details in error.errors()]) from None
    problems = cross_check(recipe)
    if problems:
        raise UserError(problems)
    return recipe


def cross_check(recipe: Recipe) -> list[Problem]:
    """Mistakes that no single key shows: names of sources, tasks and languages, and their fit."""
    problems: list[Problem] = []
    for where, name in {"study": recipe.study, **{f"grid.{axis}": axis for axis in recipe.grid}}.items():
        if not NAME.fullmatch(name):
            problems.append(
                Problem(
                    where,
                    f"got {name!r}; a name is of letters, digits, '.', '_' and '-', and begins with a letter or digit",
                )
            )
    problems += _check_languages(recipe)
    problems += _check_repetitions(recipe)
    problems += _check_mixture(recipe)
    problems += _check_amounts(recipe)
    problems += _check_evaluation(recipe)
    training = recipe.training
    if sum(length is not None for length in (training.epochs, training.steps, training.supervised_tokens)) != 1:
        message = "give one of epochs, steps and supervised_tokens: what all cells have in common"
        problems.append(Problem("training", message))
    return problems


COUNTRIES = {"br": "pt", "cn": "zh", "gb": "en", "jp": "ja", "kr": "ko", "mx": "es", "sa": "ar", "tw": "zh", "us": "en"}
"""Country codes often written for a language's (ISO 3166 for ISO 639)."""


def _check_languages(recipe: Recipe) -> list[Problem]:
    known = {language for source in SOURCES.values() for language in source.languages}
    problems: list[Problem] = []
    for group, named in (("seen", recipe.languages.seen), ("unseen", recipe.languages.unseen)):
        for place, language in enumerate(named):
            if language not in known:
                where = f"languages.{group}.{place}"
                meant: str = COUNTRIES.get(language.lower(), language)
                hint = (
                    suggestion(meant, known)
                    if meant not in known
                    else f"did you mean {meant!r}? (allowed: {', '.join(sorted(known))})"
                )
                problems.append(Problem(where, f"unknown language {language!r}; {hint}"))
    for language in sorted(set(recipe.languages.seen) & set(recipe.languages.unseen)):
        problems.append(Problem("languages.unseen", f"{language!r} is also in languages.seen; keep it in one"))
    return problems


def _check_repetitions(recipe: Recipe) -> list[Problem]:
    """Lists in which something stands twice: it would count double."""
    lists: dict[str, tuple[str, ...]] = {
        "languages.seen": recipe.languages.seen,
        "languages.unseen": recipe.languages.unseen,
        "evaluation.tasks": recipe.evaluation.tasks,
    }
    for name, part in recipe.mixture.items():
        lists |= {f"mixture.{name}.sources": part.sources, f"mixture.{name}.languages": part.languages}
    problems = [
        Problem(where, f"{entry!r} stands there {names.count(entry)} times; keep one")
        for where, names in lists.items()
        for entry in dict.fromkeys(names)
        if names.count(entry) > 1
    ]
    if "lm_head" in recipe.adapter.targets:
        problems.append(Problem("adapter.targets", "lm_head cannot be trained: TRL and vLLM refuse adapters on it"))
    return problems


def _check_mixture(recipe: Recipe) -> list[Problem]:
    problems: list[Problem] = []
    for name, part in recipe.mixture.items():
        for place, source in enumerate(part.sources):
            if source not in SOURCES:
                where = f"mixture.{name}.sources.{place}"
                problems.append(Problem(where, f"no source {source!r}; {suggestion(source, SOURCES)}"))
        for place, language in enumerate(part.languages):
            where = f"mixture.{name}.languages.{place}"
            if language in recipe.languages.unseen:
                problems.append(Problem(where, f"{language!r} is in languages.unseen, so no cell may train on it"))
            elif language not in recipe.languages.seen:
                hint = suggestion(language, recipe.languages.seen)
                problems.append(Problem(where, f"{language!r} is not in languages.seen; {hint}"))
    return problems


def _check_amounts(recipe: Recipe) -> list[Problem]:
    """Either amount or total, the keys that go with total, and item policies that do not clash."""
    problems: list[Problem] = []
    for name, part in recipe.mixture.items():
        where = f"mixture.{name}"
        if (part.amount is None) == (part.total is None):
            message = "give either amount (per source and language) or total (per source, divided among languages)"
            problems.append(Problem(where, message))
        if part.total is None and (part.temperature is not None or part.shares is not None):
            problems.append(Problem(where, "temperature and shares divide a total; give total instead of amount"))
        if part.temperature is not None and part.shares is not None:
            problems.append(Problem(where, "temperature and shares exclude each other; keep one"))
        if part.shares is not None and set(part.shares) != set(part.languages):
            problems.append(Problem(f"{where}.shares", f"name each of its languages once: {', '.join(part.languages)}"))
    parts = list(recipe.mixture.items())
    for place, (name, part) in enumerate(parts):
        for other, earlier in parts[:place]:
            common = sorted(set(part.sources) & set(earlier.sources))
            clash = part.items != earlier.items or (part.items == "disjoint" and part.languages != earlier.languages)
            if common and clash:
                message = f"shares {common[0]} with {other!r}, so both need the same items policy"
                problems.append(Problem(f"mixture.{name}.items", f"{message} (and, if disjoint, the same languages)"))
    return problems


def _check_evaluation(recipe: Recipe) -> list[Problem]:
    problems: list[Problem] = []
    evaluation = recipe.evaluation
    for place, task in enumerate(evaluation.tasks):
        if task not in TASKS:
            problems.append(Problem(f"evaluation.tasks.{place}", f"no task {task!r}; {suggestion(task, TASKS)}"))
            continue
        source = evaluation.sources.get(task, TASKS[task].source)
        if source not in SOURCES:
            where = f"evaluation.sources.{task}"
            problems.append(Problem(where, f"no source {source!r}; {suggestion(source, SOURCES)}"))
            continue
        if SOURCES[source].task != task:
            where, kind = f"evaluation.sources.{task}", SOURCES[source].task
            fitting = ", ".join(name for name, each in SOURCES.items() if each.task == task)
            problems.append(Problem(where, f"{source!r} is a source for {kind}; for {task} there is {fitting}"))
            continue
        available = len(SOURCES[source].item_ids(evaluation.split))
        if evaluation.items > available:
            message = f"got {evaluation.items}, but {source} has {available} {evaluation.split} items"
            problems.append(Problem("evaluation.items", f"{message}; ask for {available} or fewer"))
        for language in recipe.all_languages:
            if language in SOURCES[source].languages and language not in PROMPTS[task]:
                problems.append(Problem(f"evaluation.tasks.{place}", f"no prompt for {task!r} in {language!r}"))
    for key in (*evaluation.sources, *evaluation.max_tokens):
        if key not in evaluation.tasks:
            message = f"{key!r} is not in evaluation.tasks; {suggestion(key, evaluation.tasks)}"
            problems.append(Problem("evaluation", message))
    return problems


REFUSED_KEYS = {
    "modules_to_save": "vLLM cannot serve adapters with modules_to_save; remove the key and train LoRA weights only",
    "use_dora": "vLLM cannot serve DoRA adapters; remove the key and train plain LoRA",
}


def _problem(details: Any) -> Problem:
    """A pydantic error in the words of this program."""
    location = _without_branches(details["loc"])
    where = ".".join(map(str, location))
    if details["type"] == "extra_forbidden":
        key = str(location[-1])
        if key in REFUSED_KEYS:
            return Problem(where, REFUSED_KEYS[key])
        return Problem(where, f"unknown key; {suggestion(key, _keys_at(location[:-1]))}")
    if details["type"] == "missing":
        return Problem(where, "missing; add this key")
    message = details["msg"].replace("Input should be", "should be")
    return Problem(where, f"got {details['input']!r}; {message}")


def _without_branches(location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Pydantic's location without the names it gives to the branches of a union, such as "tuple[str, ...]"."""
    return tuple(part for part in location if not (isinstance(part, str) and "[" in part))


def _keys_at(location: Sequence[str | int]) -> list[str]:
    """The keys allowed in the section at `location`."""
    kind: Any = Recipe
    for part in location:
        if isinstance(kind, type) and issubclass(kind, Section):
            kind = kind.model_fields[str(part)].annotation
        else:
            kind = get_args(kind)[-1]
    return list(kind.model_fields)

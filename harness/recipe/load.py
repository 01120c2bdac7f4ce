"""Reading recipes: YAML to plain data to models, strictly, every mistake reported at once."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from data_mixes.storage import expanded, is_file, is_folder
from harness.errors import Problem, UserError, suggestion
from harness.recipe.checks import cross_check
from harness.recipe.mixture_section import Ingredient, Mixture
from harness.recipe.own_code import files_named, own_source
from harness.recipe.schema import Recipe
from harness.recipe.section import Section

Read = TypeVar("Read", bound=Section)

MIXES = Path(str(files("data_mixes"))) / "mixes"
MOTHELLO = "mothello"
"""The kind of recipes that `harness.recipe.mothello` reads."""
LARGEST_FILE = 1_000_000
"""Bytes of a recipe, a mix or a chat template; characters of a recipe in which each alias is written out."""
NAMED = "the files and the model that the recipe names"
"""What is checked only once a recipe has no mistake in itself."""
LONGEST_QUOTE = 100
"""Characters of a wrong value that an error repeats."""


def load_recipe(path: Path) -> tuple[Recipe, dict[str, Any]]:
    """The recipe and its YAML as plain data. Raises UserError with every mistake found."""
    written = read_yaml(path)
    if written.get("kind") == MOTHELLO:
        message = f"got {MOTHELLO!r}; such a recipe goes through harness plan, run, work, status and report alone"
        raise UserError([Problem("kind", message)])
    raw = with_own_sources(with_files(with_mix(written, path.parent), path.parent))
    return parse_recipe(raw), raw


def with_mix(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The recipe with the mix that it names in place of the name; what the recipe gives itself stands.

    A mix is a file of data_mixes/, or one of the user's, with the keys `mixture` and `sources`.
    """
    name = raw.get("mixture")
    if not isinstance(name, str):
        return raw
    path = folder / name if name.endswith((".yaml", ".yml")) else MIXES / f"{Path(name).name}.yaml"
    if not is_file(path):
        named = sorted(file.stem for file in MIXES.glob("*.yaml"))
        raise UserError([Problem("mixture", f"no mix {name!r}; {suggestion(name, named)}, or the path of a YAML file")])
    mix = with_files(read_yaml(path), path.parent)
    unknown = [Problem(str(path), f"unknown key {key!r} in a mix; {suggestion(str(key), ('mixture', 'sources'))}")
               for key in mix if key not in ("mixture", "sources")]  # fmt: skip
    if unknown or not isinstance(mix.get("mixture"), dict):
        raise UserError(unknown or [Problem(str(path), "a mix needs the key mixture, with components")])
    return raw | {"mixture": mix["mixture"], "sources": {**_sources(mix), **_sources(raw)}}


def _sources(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The sources given, if they are a mapping."""
    given = raw.get("sources") or {}
    if not isinstance(given, dict):
        raise UserError([Problem("sources", f"got {given!r}; sources are a mapping of names to settings")])
    return given


def with_files(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Paths of files made absolute, and a chat template's file read: they are meant from where they are written."""

    def absolute(path: Any) -> Any:
        return str((folder / expanded(path)).absolute()) if isinstance(path, str) else path

    sources = raw.get("sources")
    for settings in sources.values() if isinstance(sources, dict) else ():
        if isinstance(settings, dict) and (given := settings.get("files")) is not None and "hub" not in settings:
            named = isinstance(given, dict)
            settings["files"] = {split: absolute(path) for split, path in given.items()} if named else absolute(given)
        hub = settings.get("hub") if isinstance(settings, dict) else None
        if isinstance(hub, str) and hub and (hub.startswith((".", "/", "~")) or is_folder(folder / hub)):
            settings["hub"] = absolute(hub)
    references = raw.get("reference")
    for reference in references if isinstance(references, list) else ():
        if isinstance(reference, dict) and "file" in reference:
            reference["file"] = absolute(reference["file"])
    for section, key in (("similarity", "texts"), ("similarity", "words"), ("probe", "treebanks")):
        if isinstance(settings := raw.get(section), dict) and key in settings:
            settings[key] = absolute(settings[key])
    probe = raw.get("probe")
    labelled = probe.get("labelled") if isinstance(probe, dict) else None
    for settings in labelled.values() if isinstance(labelled, dict) else ():
        if isinstance(settings, dict) and "files" in settings:
            settings["files"] = absolute(settings["files"])
    evaluation = raw.get("evaluation")
    if isinstance(evaluation, dict) and isinstance(tasks := evaluation.get("lm_eval_folder"), str):
        evaluation["lm_eval_folder"] = absolute(tasks)
        if not is_folder(Path(evaluation["lm_eval_folder"])):
            raise UserError([Problem("evaluation.lm_eval_folder", f"no folder {evaluation['lm_eval_folder']}")])
    judge = evaluation.get("judge") if isinstance(evaluation, dict) else None
    for settings, key in ((raw.get("model"), "name"), (judge, "model")):
        name = settings.get(key) if isinstance(settings, dict) and "endpoint" not in settings else None
        if isinstance(settings, dict) and isinstance(name, str) and name and is_there(folder / expanded(name)):
            settings[key] = absolute(name)
    raw |= written_out(raw)
    for settings, key in model_values(raw):
        if isinstance(name := settings[key], str) and name and is_there(folder / expanded(name)):
            settings[key] = absolute(name)
    for settings in files_named(raw):
        settings["code"] = absolute(settings["code"])
    prompts = raw.get("prompts")
    template = prompts.get("chat_template") if isinstance(prompts, dict) else None
    if isinstance(prompts, dict) and isinstance(template, str) and template.endswith(".jinja"):
        prompts["chat_template"] = read_text(folder / template, "prompts.chat_template", "the chat template")
    elif isinstance(template, str) and "{{" not in template:
        message = f"got {template[:60]!r}, which is no Jinja template; a file's name ends with .jinja"
        raise UserError([Problem("prompts.chat_template", message)])
    return raw


def model_values(raw: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """What names a model in axes and among `models`: what holds each, and its key or place there."""
    grid, models = raw.get("grid"), raw.get("models")
    for given in models.values() if isinstance(models, dict) else ():
        yield from ((given, key) for key in ("name", "adapter", "base") if isinstance(given, dict) and key in given)
    for axis in grid.values() if isinstance(grid, dict) else ():
        path, values = (axis.get("path"), axis.get("values")) if isinstance(axis, dict) else (None, None)
        by_key = dict(enumerate(values)) if isinstance(values, list) else values if isinstance(values, dict) else {}
        if "model.name" in (path if isinstance(path, list) else [path]):
            yield from ((values, key) for key in by_key)
        elif path is None:
            named = (settings for settings in by_key.values() if isinstance(settings, dict))
            yield from ((settings, "model.name") for settings in named if "model.name" in settings)


def written_out(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The sections that may be shorter, as they are in full: languages as a list, a model's name alone.

    Steps that are to be evaluated are kept, where the recipe does not say which are.
    """
    languages, models, training = raw.get("languages"), raw.get("models"), raw.get("training")
    checkpoints = raw.get("checkpoints")
    full: dict[str, Any] = {"languages": {"tested": languages}} if isinstance(languages, list) else {}
    if isinstance(models, dict):
        full["models"] = {name: {"name": given} if isinstance(given, str) else given for name, given in models.items()}
    if isinstance(training, dict) and isinstance(checkpoints, dict) and isinstance(checkpoints.get("every"), int):
        full["training"] = {"keep_checkpoints": {"every": checkpoints["every"]}} | training
    return full


def is_there(path: Path) -> bool:
    """Whether there is a folder or a file."""
    return is_folder(path) or is_file(path)


def with_own_sources(raw: dict[str, Any]) -> dict[str, Any]:
    """The recipe with the sources that its own tasks' files describe, unless it describes them itself.

    Their paths are meant from the folder of the task's file. Raises UserError for a file that cannot be run.
    """
    evaluation, sources = raw.get("evaluation"), raw.get("sources") or {}
    tasks = evaluation.get("tasks") if isinstance(evaluation, dict) else None
    for name, given in tasks.items() if isinstance(tasks, dict) and isinstance(sources, dict) else ():
        code = given.get("code") if isinstance(given, dict) else None
        described = own_source(str(name), code) if isinstance(code, str) else None
        if described and code and described[0] not in sources:
            sources = sources | with_files({"sources": dict([described])}, Path(code).parent)["sources"]
    return raw | {"sources": sources} if sources else raw


def as_yaml(raw: Mapping[str, Any]) -> str:
    """A recipe's plain data as YAML, its keys in their order."""
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    text = StringIO()
    yaml.dump(dict(raw), text)
    return text.getvalue()


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML 1.2 file that holds a mapping; duplicate keys and other tags are refused."""
    text = read_text(path, str(path), "the recipe")
    try:
        raw = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise UserError([Problem(str(path), f"not valid YAML: {error.problem}{line}")]) from None
    except RecursionError:
        raise UserError([Problem(str(path), "is nested too deeply; a recipe has some six levels")]) from None
    except YAMLError as error:
        raise UserError([Problem(str(path), f"not valid YAML: {shortened(str(error), 300)}")]) from None
    except Exception as error:  # a value that does not fit its tag, as !!bool maybe: KeyError, ValueError and others
        message = f"not valid YAML: a tag such as !!bool or !!int has a value that does not fit it ({error!r})"
        raise UserError([Problem(str(path), shortened(message, 300))]) from None
    if not isinstance(raw, dict):
        raise UserError([Problem(str(path), "a recipe is a mapping of keys; see recipes/quickstart.yaml")])
    characters = 0
    for entry in entries_of(raw):
        characters += 1 + (len(entry) if isinstance(entry, str) else 0)
        if characters > LARGEST_FILE:
            message = f"with every alias (*name) written out it has more than {LARGEST_FILE:,} characters"
            raise UserError([Problem(str(path), f"{message}; make it smaller")])
    return raw


def read_text(path: Path, where: str, what: str) -> str:
    """The text of a file that a user names. Raises UserError for one that is no regular file, or too large."""
    try:
        if not path.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "a device or a pipe"
            raise UserError([Problem(where, f"cannot read {what}: {path} is {kind}; name a file")])
        if path.stat().st_size > LARGEST_FILE:
            message = f"cannot read {what}: {path} has {path.stat().st_size:,} bytes, and at most {LARGEST_FILE:,}"
            raise UserError([Problem(where, f"{message} are read; data belongs in files of its own")])
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a path with a NUL
        reason = getattr(error, "strerror", None)
        reason = reason or ("not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error))
        raise UserError([Problem(where, f"cannot read {what} {shortened(str(path))}: {reason}")]) from None


def entries_of(data: Any) -> Iterator[Any]:
    """Everything in plain data, keys among it; what stands in several places, as often as it stands there."""
    pending = [data]
    while pending:
        entry = pending.pop()
        yield entry
        if isinstance(entry, dict):
            pending += [*entry.keys(), *entry.values()]
        elif isinstance(entry, list):
            pending += entry


def shortened(text: str, longest: int = LONGEST_QUOTE) -> str:
    """A text with an ellipsis in place of what is beyond its longest length."""
    return text if len(text) <= longest else f"{text[:longest]}…"


def parse_recipe(raw: Mapping[str, Any]) -> Recipe:
    """The recipe in `raw`. Raises UserError with every mistake found."""
    recipe = read_as(Recipe, raw)
    problems = cross_check(recipe)
    if problems:
        raise UserError(problems, NAMED)
    return recipe


def read_as(kind: type[Read], raw: Mapping[str, Any]) -> Read:
    """Plain data as a recipe of some kind, key by key. Raises UserError with every mistake found."""
    try:
        text = json.dumps({**raw, **written_out(raw)}, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError([Problem("recipe", f"is not plain data: {error}")]) from None
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        problems = [_problem(details, kind) for details in error.errors()]
        raise UserError(problems, f"how the keys fit together, {NAMED}") from None


REFUSED_KEYS = {
    "modules_to_save": "vLLM cannot serve adapters with modules_to_save; remove the key and train LoRA weights only",
    "use_dora": "vLLM cannot serve DoRA adapters; remove the key and train plain LoRA",
}


def _problem(details: Any, kind: type[Section]) -> Problem:
    """A pydantic error in the words of this program."""
    if details["type"] == "json_invalid":  # the only text that JSON can hold and pydantic cannot
        return Problem("recipe", "holds half of a surrogate pair (\\ud800 to \\udfff), which is no character")
    location = _without_branches(details["loc"])
    where = ".".join(map(str, location))
    if details["type"] == "extra_forbidden":
        key = str(location[-1])
        if key in REFUSED_KEYS:
            return Problem(where, REFUSED_KEYS[key])
        return Problem(where, f"unknown key; {suggestion(key, _keys_at(location[:-1], kind))}")
    if details["type"] == "missing":
        return Problem(where, "missing; add this key")
    message = details["msg"].replace("Input should be", "should be")
    for pydantics, ours in (("greater than or equal to", "at least"), ("less than or equal to", "at most")):
        message = message.replace(pydantics, ours)
    return Problem(where, f"got {shortened(repr(details['input']))}; {message}")


def _without_branches(location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Pydantic's location without the names it gives to the branches of a union, such as "tuple[str, ...]"."""
    return tuple(part for part in location if not (isinstance(part, str) and ("[" in part or part == "str")))


def _keys_at(location: Sequence[str | int], recipe: type[Section]) -> list[str]:
    """The keys allowed in the section at `location` of a recipe of some kind."""
    kind: Any = recipe
    for part in location:
        if kind is Mixture and part not in Mixture.model_fields:
            kind = Ingredient
        elif isinstance(kind, type) and issubclass(kind, Section):
            kind = kind.model_fields[str(part)].annotation
        else:
            kind = get_args(kind)[-1]
        sections = [section for section in get_args(kind) if isinstance(section, type) and issubclass(section, Section)]
        kind = sections[0] if sections and type(None) in get_args(kind) else kind
    return list(getattr(kind, "model_fields", {}))

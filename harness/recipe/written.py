"""Recipes as they are written: with the files that they include, the mix and the files that they name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from os.path import normpath
from pathlib import Path
from typing import Any

from data_mixes.storage import expanded, is_file, is_folder
from harness.errors import Problem, UserError, suggestion
from harness.recipe.own_code import files_named, own_source
from harness.recipe.yaml_files import read_text, read_yaml

MIXES = Path(str(files("data_mixes"))) / "mixes"
INCLUDE = "include"
"""The key of the files that a recipe builds on."""


def read_recipe(path: Path) -> dict[str, Any]:
    """A recipe's plain data, over that of the files it includes: what comes later has the last word.

    The mix that a file names is in place of the name, and paths are absolute: they are meant from where they are
    written. Raises UserError for a file that cannot be read, or that includes itself.
    """
    merged: dict[str, Any] = {}
    parts = _parts(path, (), {})
    for part in parts.values():
        merged = laid_over(merged, part)
    return merged if len(parts) > 1 else parts[path.resolve()]


def _parts(path: Path, within: tuple[Path, ...], found: dict[Path, dict[str, Any]]) -> dict[Path, dict[str, Any]]:
    """Adds to `found` what a file includes, and then the file; each once, however many include it."""
    here = path.resolve()
    if here in within:
        raise UserError([Problem(str(path), f"includes itself, by way of {within[-1].name}; take that {INCLUDE} out")])
    if here in found:
        return found
    raw = read_yaml(path)
    given = raw.pop(INCLUDE, [])
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise UserError([Problem(INCLUDE, f"got {given!r}; name a YAML file, or a list of them")])
    for name in names:
        _parts(path.parent / expanded(name), (*within, here), found)
    if isinstance(raw.get("mixture"), str):  # a mix is a whole: no component of an included one stays
        for part in found.values():
            part.pop("mixture", None)
    found[here] = with_files(with_mix(raw, path.parent), path.parent)
    return found


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data with other data over it: mappings key by key, all else whole; null takes a key of `below` away."""
    merged = dict(below)
    for key, value in above.items():
        if value is None and key in below:
            del merged[key]
        elif isinstance(value, dict) and isinstance(under := below.get(key), dict):
            merged[key] = laid_over(under, value)
        else:
            merged[key] = value
    return merged


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
        return normpath((folder / expanded(path)).absolute()) if isinstance(path, str) else path

    sources = raw.get("sources")
    for settings in sources.values() if isinstance(sources, dict) else ():
        if isinstance(settings, dict) and (given := settings.get("files")) is not None and "hub" not in settings:
            named = isinstance(given, dict)
            settings["files"] = {split: absolute(path) for split, path in given.items()} if named else absolute(given)
        hub = settings.get("hub") if isinstance(settings, dict) else None
        if isinstance(hub, str) and hub and (hub.startswith((".", "/", "~")) or is_folder(folder / hub)):
            settings["hub"] = absolute(hub)
    lexicons = raw.get("lexicons")
    for settings in lexicons.values() if isinstance(lexicons, dict) else ():
        if isinstance(settings, dict) and "file" in settings:
            settings["file"] = absolute(settings["file"])
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

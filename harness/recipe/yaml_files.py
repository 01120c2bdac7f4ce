"""YAML files that users write: read strictly and safely, and written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from harness.errors import Problem, UserError

LARGEST_FILE = 1_000_000
"""Bytes of a recipe, a mix or a chat template; characters of a recipe in which each alias is written out."""
LONGEST_QUOTE = 100
"""Characters of a wrong value that an error repeats."""


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

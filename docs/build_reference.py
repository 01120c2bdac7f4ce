"""A hook of MkDocs: the reference of every recipe key, from the models that read recipes."""

from __future__ import annotations

from typing import Any

from mkdocs.structure.files import File, Files

from harness.recipe.reference import reference


def on_files(files: Files, config: Any) -> Files:
    """Adds the generated page."""
    files.append(File.generated(config, "reference.md", content=reference()))
    return files

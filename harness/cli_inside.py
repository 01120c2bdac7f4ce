"""The commands that look inside models: `harness similarity` and `harness probe`."""

from __future__ import annotations

from pathlib import Path

import typer

from harness.commands.options import Cells, Json, RecipeFile, Runs
from harness.exits import reporting_mistakes

PANEL = "Inside models"
app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def similarity(recipe: RecipeFile, runs: Runs = Path("runs"), cells: Cells = None, as_json: Json = False) -> None:
    """Measure how alike the base model and trained cells represent translations, in every layer.

    The texts are those of the recipe's section `similarity`. Nothing is trained or generated for it.

    Example: harness similarity recipe.yaml
    """
    with reporting_mistakes():
        from harness.commands.similarity import show_similarity, similarity_of

        answer = similarity_of(recipe, runs, cells)
        if as_json:
            print(answer.as_json())
        else:
            show_similarity(answer, runs)


@app.command(rich_help_panel=PANEL)
def probe(recipe: RecipeFile, runs: Runs = Path("runs"), cells: Cells = None, as_json: Json = False) -> None:
    """Train linear probes on the layers of the base model and trained cells, and test them in every language.

    The treebanks and tasks are those of the recipe's section `probe`.

    Example: harness probe recipe.yaml
    """
    with reporting_mistakes():
        from harness.commands.probe import probes_of, show_probes

        answer = probes_of(recipe, runs, cells)
        if as_json:
            print(answer.as_json())
        else:
            show_probes(answer, runs)

"""Which source a task's test items come from."""

from __future__ import annotations

from harness.recipe.schema import Recipe


def own_tested_sources(recipe: Recipe, task: str) -> list[str]:
    """The sources that the recipe describes itself, of a task, with rows in the tested split."""
    return [
        name
        for name, settings in recipe.sources.items()
        if settings.task == task and recipe.known_sources[name].has(recipe.evaluation.split)
    ]


def trained_tested_sources(recipe: Recipe, task: str) -> list[str]:
    """The mixture's sources of a task with rows in the tested split."""
    names = dict.fromkeys(name for part in recipe.all_ingredients for name in part.sources)
    sources = {name: recipe.known_sources[name] for name in names if name in recipe.known_sources}
    return [name for name, source in sources.items() if source.task == task and source.has(recipe.evaluation.split)]


def tested_source_name(recipe: Recipe, task: str) -> str:
    """The source that the recipe names for a task; else its own one, the one it trains on, or a built-in one."""
    if task in recipe.evaluation.sources:
        return recipe.evaluation.sources[task]
    for candidates in (own_tested_sources(recipe, task), trained_tested_sources(recipe, task)):
        if len(candidates) == 1:
            return candidates[0]
    return recipe.known_tasks[task].source

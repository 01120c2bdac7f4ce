"""How the cells of a grid belong together: runs under several seeds, curves over amounts, sources of transfer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from eval.analysis.design import BASE, Curve, Design
from eval.analysis.groups import LanguageGroups
from eval.analysis.transfer import Source
from eval.generation.conditions import conditions
from harness.planning.contrast import SEEDS
from harness.recipe.grid import Cell, base_names, is_number, labelled, place_on
from harness.recipe.schema import Axis, Recipe

Place: TypeAlias = Mapping[str, float | str]


def groups_of(recipe: Recipe, trained: Mapping[str, Sequence[str]], design: Design) -> LanguageGroups:
    """The recipe's languages and their groups; `trained` are the languages that each cell is trained on."""
    languages = recipe.languages
    named = dict(languages.groups)
    given, crossed = recipe.evaluation.primary, conditions(recipe.evaluation.prompts_in, recipe.evaluation.answers_in)
    primary = {task + condition.suffix: group for task, group in given.items() for condition in crossed}
    of_settings = {
        setting: tuple(dict.fromkeys(language for run in runs for language in trained[run]))
        for setting, runs in design.settings.items()
        if {*runs} <= trained.keys()
    }
    of_runs = {cell: tuple(tasks) for cell, tasks in trained.items()}
    known = of_runs | of_settings
    return LanguageGroups(
        languages.seen, languages.unseen, named, languages.pivot, primary, known, others=languages.tested
    )


def design_of(recipe: Recipe, cells: Sequence[Cell], outside: Mapping[str, str] | None = None) -> Design:
    """The settings, each compared with its like that has the least amount; without an amount with the first one.

    `outside` are models from elsewhere, each with the untuned model that it is compared with. Where nothing is trained
    they are the settings, compared with the first one if there is no untuned model.
    """
    outside = outside or {}
    if not recipe.trains:
        first = next((name for name, base in outside.items() if not base), "")
        references = {name: name if base else first for name, base in outside.items()}
        return Design({name: (name,) for name in outside}, references, (), outside, trains=False)
    seeds = {name for name, axis in recipe.axes.items() if is_seed(axis)}
    settings: dict[str, tuple[str, ...]] = {}
    places: list[tuple[str, Place]] = []
    for cell in cells:
        name = setting_name(recipe, cell, seeds)
        settings[name] = (*settings.get(name, ()), cell.name)
        for place in (named.place for named in (cell, *cell.also)):
            without_seed = {axis: value for axis, value in place.items() if axis not in seeds}
            if (name, without_seed) not in places:
                places.append((name, without_seed))
    bases = base_names(recipe, cells)
    of_settings = {name: bases[runs[0]] for name, runs in settings.items()}
    curves = tuple(curve for axis in recipe.axes if is_scale(recipe.axes[axis]) for curve in curves_along(axis, places))
    references = {
        name: curve.settings[0] for curve in reversed(curves) for name in curve.settings if name != curve.settings[0]
    }
    first = {} if curves else {base: name for name, base in reversed(of_settings.items())}
    references = {name: references.get(name, first.get(base, name)) for name, base in of_settings.items()}
    bases = {name: base for name, base in of_settings.items() if base != BASE}
    return Design(settings, references, curves, bases, outside)


def setting_places(recipe: Recipe, cells: Sequence[Cell]) -> dict[str, Place]:
    """Setting → its value on each axis but those of seeds."""
    seeds = {name for name, axis in recipe.axes.items() if is_seed(axis)}
    return {
        setting_name(recipe, cell, seeds): {axis: value for axis, value in cell.place.items() if axis not in seeds}
        for cell in cells
    }


def other_places(recipe: Recipe, cells: Sequence[Cell]) -> dict[str, list[Place]]:
    """Setting → its values on each axis but those of seeds, at other places of the grid where it comes out the same."""
    seeds = {name for name, axis in recipe.axes.items() if is_seed(axis)}
    known = setting_places(recipe, cells)
    others: dict[str, list[Place]] = {}
    for cell in cells:
        name = setting_name(recipe, cell, seeds)
        for other in cell.also:
            place = {axis: value for axis, value in other.place.items() if axis not in seeds}
            if place != known[name] and place not in others.setdefault(name, []):
                others[name].append(place)
    return others


def setting_name(recipe: Recipe, cell: Cell, seeds: set[str]) -> str:
    """The cell's name without its seed, e.g. "amount-40" for "amount-40_seed-1"."""
    if not seeds:
        return cell.name
    labels = dict(zip(recipe.axes, cell.labels, strict=True))
    return "_".join(f"{axis}-{label}" for axis, label in labels.items() if axis not in seeds) or recipe.study


def is_seed(axis: Axis) -> bool:
    """Whether an axis repeats the same training under several seeds."""
    return all(path in SEEDS for path in axis.paths)


def is_scale(axis: Axis) -> bool:
    """Whether an axis is one of amounts that curves can run along."""
    places = [place_on(axis, label, value) for label, value in labelled(axis.values)]
    return not is_seed(axis) and all(map(is_number, places)) and len(set(places)) == len(places) > 1


def curves_along(axis: str, places: Sequence[tuple[str, Place]]) -> list[Curve]:
    """A curve for each combination of the other axes' values, from the least amount to the largest."""
    along: dict[tuple[tuple[str, float | str], ...], list[tuple[float, str]]] = {}
    for name, place in places:
        rest = tuple((other, value) for other, value in place.items() if other != axis)
        along.setdefault(rest, []).append((float(place[axis]), name))
    curves: list[Curve] = []
    for rest, points in along.items():
        points.sort()
        title = ", ".join(f"{other} {value}" for other, value in rest)
        curves.append(Curve(title, axis, tuple(amount for amount, _ in points), tuple(name for _, name in points)))
    return curves


def sources_of_transfer(
    trained: Mapping[str, Mapping[tuple[str, str], int]], design: Design, places: Mapping[str, Place], pivot: str
) -> dict[str, Source]:
    """The settings that are trained on one task, in one language or in the pivot and one other.

    `trained` are each cell's rows per task and language, and `places` are `setting_places`. What is trained on the
    pivot and another language is compared with what is trained on the pivot alone and stands nearest to it, differing
    on the fewest axes; with the base where there is none, or several are as near.
    """
    rows = {setting: _rows_of(trained, runs) for setting, runs in design.settings.items()}
    sources: dict[str, Source] = {}
    for setting, counts in rows.items():
        tasks, languages = {task for task, _ in counts}, [language for _, language in counts if language != pivot]
        if len(tasks) == 1 and len(counts) == 1:
            sources[setting] = Source(*next(iter(counts)), other=design.base_of(setting))
        elif len(tasks) == 1 and len(counts) == 2 and len(languages) == 1:
            (task,), (language,) = tasks, languages
            alike = design.parts()[design.base_of(setting)].settings
            alone = [name for name in alike if set(rows[name]) == {(task, pivot)}]
            share = counts[task, language] / sum(counts.values())
            sources[setting] = Source(
                task, language, pivot, share, _nearest(setting, alone, places) or design.base_of(setting)
            )
    return sources


def _nearest(setting: str, others: Sequence[str], places: Mapping[str, Place]) -> str | None:
    """The one of others that differs from a setting on the fewest axes; None if there is none, or more than one."""
    place = places[setting]
    apart = {other: sum(places[other][axis] != place[axis] for axis in place) for other in others}
    nearest = [other for other in others if apart[other] == min(apart.values())]
    return nearest[0] if len(nearest) == 1 else None


def _rows_of(trained: Mapping[str, Mapping[tuple[str, str], int]], runs: Sequence[str]) -> dict[tuple[str, str], int]:
    """The rows of a setting's runs together, per task and language."""
    total = Counter[tuple[str, str]]()
    for run in runs:
        total.update(trained.get(run, {}))  # of models from elsewhere it is not known
    return dict(total)

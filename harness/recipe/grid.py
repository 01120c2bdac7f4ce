"""From a recipe's axes to cells with readable names."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import filter as filter_names
from itertools import product
from typing import Any, Protocol, TypeVar

from eval.analysis.design import BASE
from harness.errors import Problem, UserError, suggestion
from harness.recipe.checks import NAME, RESERVED_CELLS, check_varied
from harness.recipe.load import NAMED, parse_cell
from harness.recipe.models_section import Reinitialise
from harness.recipe.revisions_section import step_of
from harness.recipe.schema import STAGE, Axis, Recipe
from harness.recipe.stages import (
    Staged,
    is_last,
    nothing_trained,
    one_stage,
    stages_before,
    stages_that_write,
    stated,
)

VARIED = ("mixture", "training", "adapter", "stages", "compose")
"""The sections an axis may vary: all cells share their languages and evaluation."""
SETTINGS = "values: {small: {model.name: gemma-3-270m, training.learning_rate: 1.0e-3}}"
"""An axis whose values set several keys."""
MODEL = ("model.name", "model.revision", "model.quantization")
"""The keys of the base model that an axis may vary: all cells share their number format."""
BLOCKS = ("model.reinitialise", *(f"model.reinitialise.{key}" for key in Reinitialise.model_fields))
"""Those of what cells begin with, besides: the base model is the same."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of the study: the recipe with the axes' values put in."""

    name: str
    recipe: Recipe
    place: Mapping[str, float | str]
    """Its value on each axis, where that is a number; else what the value is called."""
    labels: tuple[str, ...] = ()
    """What its value on each axis is called in its name."""
    also: tuple[Cell, ...] = ()
    """Cells at other places of the grid that come out as this one, as 0 of one mixture is 0 of another."""
    stage: Staged | None = None
    """Which stage it is, of a recipe that has stages."""
    evaluated: bool = True
    """Whether it is evaluated, and not a step on the way to other cells alone."""

    @property
    def names(self) -> tuple[str, ...]:
        """Its own name, and those of the other places."""
        return (self.name, *(other.name for other in self.also))

    @property
    def content(self) -> tuple[object, ...]:
        """What makes it this training: two cells with the same are one."""
        made_of = self.stage.made_of.model_dump_json() if self.stage and self.stage.made_of else None
        begins = (self.stage.start, *self.stage.parents.values(), made_of) if self.stage else ()
        writers = tuple(self.stage.writers.values()) if self.stage else ()
        return (self.recipe.model_dump_json(), *(begins if self.parents else ()), *writers)

    @property
    def parents(self) -> tuple[str, ...]:
        """The cells that must be trained before it."""
        return tuple(dict.fromkeys(self.stage.parents.values())) if self.stage else ()

    @property
    def needs(self) -> tuple[str, ...]:
        """The cells that it begins with, and those that write rows for it."""
        writers = self.stage.writers.values() if self.stage else ()
        return tuple(dict.fromkeys((*self.parents, *writers)))

    @property
    def is_made(self) -> bool:
        """Whether it is made of others' weights, and trains on nothing."""
        return self.stage is not None and self.stage.made_of is not None

    @property
    def is_evaluated(self) -> bool:
        """Whether it is evaluated at one of its places of the grid."""
        return self.evaluated or any(other.evaluated for other in self.also)


def cells_of(recipe: Recipe, raw: Mapping[str, Any]) -> list[Cell]:
    """The product of the axes but for what is excluded; cells that come out equal are one. Raises UserError.

    A cell is named by its axes, e.g. "amount-40" or "amount-40_seed-1"; a recipe without a grid is
    one cell, named after the study.
    """
    if not recipe.trains:
        return []
    if not recipe.grid and recipe.stages is None:
        if recipe.exclude:
            raise UserError([Problem("exclude", "there is no grid whose cells could be left out; remove the key")])
        if recipe.study in RESERVED_CELLS:
            message = f"{recipe.study!r} is taken: a study without a grid is one cell of its name; choose another"
            raise UserError([Problem("study", message)])
        return [Cell(recipe.study, recipe, {})]
    problems = _axis_problems(recipe.grid) + _exclusion_problems(recipe)
    if problems:
        raise UserError(problems, NAMED)
    cells: dict[str, Cell] = {}
    seen: dict[str, dict[str, Any]] = {}
    names: dict[tuple[object, ...], str] = {}
    for name, values, place, labels in _combinations(recipe.grid):
        if is_excluded(recipe, labels):
            continue
        if seen.setdefault(name, values) != values:
            problems.append(
                Problem("grid", f"two cells would be named {name!r}; name the values, as in values: {{short-name: …}}")
            )
            continue
        try:
            made = staged(Cell(name, parse_cell(_substituted(raw, recipe.grid, values)), place, labels))
        except UserError as error:
            problems += error.problems
            continue
        for cell in made:
            if not NAME.fullmatch(cell.name):
                message = f"a cell would be named {cell.name!r}; name the values, as in values: {{short-name: …}}"
                problems.append(Problem("grid", message))
            elif not is_excluded(recipe, cell.labels):
                same = names.setdefault(cell.content, cell.name)
                cells[same] = replace(cells[same], also=(*cells[same].also, cell)) if same in cells else cell
    if not cells and not problems:
        problems = [Problem("exclude", "leaves no cell of the grid; remove one of its combinations")]
    problems = problems or _naming_problems(recipe, list(cells.values()))
    if problems:
        raise UserError(list(dict.fromkeys(problems)), NAMED)
    return list(cells.values())


def staged(cell: Cell) -> list[Cell]:
    """The cells of one combination of the grid: itself, or one for each stage of its recipe. Raises UserError."""
    recipe = cell.recipe
    if recipe.stages is None:
        return [cell]
    named = {stage: "_".join(filter(None, (cell.name, f"{STAGE}-{stage}")))
             for stage in (*recipe.stages.in_order, *recipe.compose)}  # fmt: skip
    problems: list[Problem] = []
    cells: list[Cell] = []
    for stage, name in named.items():
        try:
            own, made_of = stage_recipe(recipe, stage), recipe.compose.get(stage)
        except UserError as error:
            problems += error.problems
            continue
        parents = {earlier: named[earlier] for earlier in stages_before(recipe, stage)}
        evaluated = recipe.evaluation.after == "every-stage" or made_of is not None or is_last(recipe, stage)
        start = recipe.stages.in_order[stage].start if made_of is None else "made"
        order, by_language = tuple(recipe.stages.in_order), recipe.stages.each is not None
        writers = {source: named[by] for source, by in stages_that_write(recipe, stage).items()}
        of_recipe = Staged(stage, start, parents, order, by_language, stated(recipe, stage), made_of, writers)
        place, labels = {**cell.place, STAGE: stage}, (*cell.labels, stage)
        cells.append(Cell(name, own, place, labels, stage=of_recipe, evaluated=evaluated))
    if problems:
        raise UserError(problems)
    return cells


def stage_recipe(recipe: Recipe, stage: str) -> Recipe:
    """The recipe of one stage, or of a composed cell. Raises UserError with every mistake, at the stage's keys."""
    if stage in recipe.compose:
        return nothing_trained(recipe)
    assert recipe.stages is not None
    own = one_stage(recipe, stage)
    where = "stages." if recipe.stages.each else f"stages.{stage}."
    problems = [replace(problem, where=where + problem.where) if problem.where.startswith("mixture") else problem
                for problem in check_varied(own) if not problem.where.startswith("generated")]  # fmt: skip
    if problems:
        raise UserError(problems)
    return own


def base_names(recipe: Recipe, cells: Sequence[Cell]) -> dict[str, str]:
    """Cell → what its base model is called: "base" where all have the same, else "base-" and its value on the axis."""
    models = {cell.name: cell.recipe.base_model.model_dump_json() for cell in cells}
    if len(set(models.values())) < 2:
        return dict.fromkeys(models, BASE)
    axes = [name for name, axis in recipe.grid.items() if not {*axis.paths}.isdisjoint(MODEL)]
    names: dict[str, str] = {}
    for cell in cells:
        labels = dict(zip(recipe.axes, cell.labels, strict=True))
        names.setdefault(models[cell.name], "-".join([BASE, *(labels[axis] for axis in axes)]))
    return {cell: names[model] for cell, model in models.items()}


def _naming_problems(recipe: Recipe, cells: Sequence[Cell]) -> list[Problem]:
    """Two base models, or one and a cell, that would have the same name."""
    names = base_names(recipe, cells)
    models = {(cell.recipe.base_model.model_dump_json(), names[cell.name]) for cell in cells}
    bases = [name for _, name in models]
    taken = {name for cell in cells for name in cell.names}
    return [
        Problem("grid", f"a base model would be named {name!r}, as another model is; call its value otherwise")
        for name in sorted(set(bases))
        if name in taken or bases.count(name) > 1
    ]


def is_excluded(recipe: Recipe, labels: Sequence[str]) -> bool:
    """Whether the recipe excludes the combination of the grid whose values are called so."""
    called = dict(zip(recipe.axes, labels))  # noqa: B905  # a combination has no stage as yet
    return any(
        all(called.get(axis) == label_of(value) for axis, value in combination.items())
        for combination in recipe.exclude
    )


def _exclusion_problems(recipe: Recipe) -> list[Problem]:
    """Excluded combinations that name an axis or a value which the grid does not have."""
    known = {axis: [label for label, _ in labelled(spec.values)] for axis, spec in recipe.axes.items()}
    problems: list[Problem] = []
    for number, combination in enumerate(recipe.exclude):
        for axis, value in combination.items():
            where = f"exclude.{number}.{axis}"
            if axis not in known:
                problems.append(Problem(where, f"no axis of the grid has this name; {suggestion(axis, known)}"))
            elif label_of(value) not in known[axis]:
                message = f"got {value!r}, which is no value of this axis; {suggestion(str(value), known[axis])}"
                problems.append(Problem(where, message))
        if not combination:
            problems.append(Problem(f"exclude.{number}", "names no axis, and would leave out every cell; remove it"))
    return problems


def _axis_problems(grid: Mapping[str, Axis]) -> list[Problem]:
    """Axes that vary nothing, or what another one varies."""
    problems = [
        Problem(
            f"grid.{axis}.path",
            f"names no key; give one, or a list, or have each value name those that it sets, as in {SETTINGS}",
        )
        for axis, spec in grid.items()
        if not spec.paths
    ]
    for axis, spec in grid.items():
        given = list(map(str, spec.values)) if not isinstance(spec.values, dict) else []
        problems += [
            Problem(f"grid.{axis}.values", f"{value} stands there {given.count(value)} times; keep one")
            for value in dict.fromkeys(given)
            if given.count(value) > 1
        ]
    taken: dict[str, str] = {}
    for axis, spec in grid.items():
        for path in spec.paths:
            for other, known in taken.items():
                if f"{path}.".startswith(f"{other}.") or f"{other}.".startswith(f"{path}."):
                    problems.append(Problem(f"grid.{axis}.path", f"{path!r} is varied by the axis {known!r} already"))
            taken[path] = axis
    return problems


def joined(cells: Sequence[Cell], same: Mapping[str, str]) -> list[Cell]:
    """The cells without those that come out as another one, which then stands at their places too.

    `same` maps the names of the former to those of the latter.
    """
    also: dict[str, tuple[Cell, ...]] = {}
    for cell in cells:
        if cell.name in same:
            also[same[cell.name]] = (*also.get(same[cell.name], ()), replace(cell, also=()), *cell.also)
    return [replace(cell, also=(*cell.also, *also.get(cell.name, ()))) for cell in cells if cell.name not in same]


def only_evaluated(cells: Sequence[Cell]) -> list[Cell]:
    """The cells that are evaluated."""
    return [cell for cell in cells if cell.is_evaluated]


def name_of(cells: Sequence[Cell], name: str) -> str:
    """The name that a cell is trained under, given any of its names; another name as it is."""
    return next((cell.name for cell in cells if name in cell.names), name)


class Named(Protocol):
    """What can be chosen by a name."""

    @property
    def names(self) -> tuple[str, ...]:
        """All its names."""
        ...


Chosen = TypeVar("Chosen", bound=Named)


def choose(cells: list[Chosen], names: str | None) -> list[Chosen]:
    """The cells of a comma-separated list of names or patterns such as "amount-4*", or all.

    Raises UserError for one that no cell is called.
    """
    if names is None:
        return cells
    named = chosen_names([name for cell in cells for name in cell.names], names, "cell")
    return [cell for cell in cells if not named.isdisjoint(cell.names)]


def chosen_names(known: Sequence[str], names: str, kind: str) -> set[str]:
    """Those of the known names, each of one `kind`, that a comma-separated list of names or patterns is of.

    Raises UserError for one that is of none.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    named = {name: filter_names(known, name) for name in wanted}
    problems = [
        Problem("--cells", f"no {kind} {name!r}; {suggestion(name, known)}") for name in wanted if not named[name]
    ]
    if problems or not wanted:
        raise UserError(problems or [Problem("--cells", f"names no {kind}; {suggestion('', known)}")])
    return {name for found in named.values() for name in found}


def _combinations(
    grid: Mapping[str, Axis],
) -> Iterator[tuple[str, dict[str, Any], dict[str, float | str], tuple[str, ...]]]:
    """Each cell's name, its value per axis, the same as numbers or labels, and its labels."""
    choices = [[(axis, label, value) for label, value in labelled(spec.values)] for axis, spec in grid.items()]
    for combination in product(*choices):
        name = "_".join(f"{axis}-{label}" for axis, label, _ in combination)
        place = {axis: place_on(grid[axis], label, value) for axis, label, value in combination}
        yield name, {axis: value for axis, _, value in combination}, place, tuple(label for _, label, _ in combination)


def place_on(axis: Axis, label: str, value: Any) -> float | str:
    """Where a value stands: at the step that a revision's name tells, at a number itself, or by what it is called."""
    if axis.paths == ("model.revision",) and (step := step_of(label)) is not None:
        return step
    return value if is_number(value) else label


def is_number(value: Any) -> bool:
    """Whether a value can stand on a scale; true and false cannot."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def labelled(values: tuple[Any, ...] | dict[str, Any]) -> list[tuple[str, Any]]:
    """The values of an axis, each with what it is called in a cell's name."""
    if isinstance(values, dict):
        return list(values.items())
    return [(label_of(value), value) for value in values]


def label_of(value: Any) -> str:
    """What a value is called in a cell's name; a number of any size in a form that can be one, 1e30 for 1e+30.

    Of a path or a Hugging Face id that is the last part.
    """
    if isinstance(value, list):
        return "-".join(map(label_of, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(value, str):
        return value.rstrip("/").rpartition("/")[2]
    if value is None:
        return "none"
    return str(value).replace("e+", "e") if isinstance(value, float) else str(value)


def _substituted(raw: Mapping[str, Any], grid: Mapping[str, Axis], values: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe's data with each axis's value at its path and no grid."""
    varied = {path.split(".")[0] for axis in values for path in grid[axis].paths}
    data = {key: copy.deepcopy(value) if key in varied else value for key, value in raw.items() if key != "grid"}
    problems = [
        Problem(
            f"grid.{axis}.path",
            f"got {path!r}; an axis varies {', '.join((*MODEL, BLOCKS[0]))}, or a key of {', '.join(VARIED)}",
        )
        for axis in values
        for path in grid[axis].paths
        if path not in (*MODEL, *BLOCKS) and path.split(".")[0] not in VARIED
    ]
    if problems:
        raise UserError(problems)
    for axis, value in values.items():
        for path, setting in grid[axis].settings(value).items():
            put(data, f"grid.{axis}.path", path, setting)
    return data


def put(data: dict[str, Any], where: str, path: str, value: Any) -> None:
    """Puts a value at a dotted path. Raises UserError for a path that leads nowhere."""
    *parents, last = path.split(".")
    section: Any = data
    data.setdefault(parents[0] if parents else last, {})  # a section left to its defaults
    if path in BLOCKS and isinstance(data.get("model"), dict):
        data["model"].setdefault("reinitialise", {})
    for parent in parents:
        if not isinstance(section, dict) or parent not in section:
            known = list(section) if isinstance(section, dict) else []
            raise UserError([Problem(where, f"the recipe has no {path!r}: at {parent!r}, {suggestion(parent, known)}")])
        section = section[parent]
    if not isinstance(section, dict):
        raise UserError([Problem(where, f"{path!r} leads into a list; name the whole list's key")])
    section[last] = value

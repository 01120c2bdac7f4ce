"""The models that a study has along the steps of some training: of its own cells, or of a suite of checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from eval.analysis.checkpoints import Course
from eval.analysis.transfer import Sources
from harness.planning.design import is_scale, setting_places
from harness.planning.kept_plan import PlannedCell, PlannedStudy
from harness.recipe.grid import Cell, labelled
from harness.recipe.revisions_section import step_of, tokens_of
from harness.runs.steps import evaluated_steps, own_step, step_name

REVISION = ("model.revision",)


def courses_of(study: PlannedStudy, sources: Sources) -> list[Course]:
    """Of steps of cells, of cells that began with the revisions of a suite, and of such revisions as they are.

    `sources` are those of the transfer matrix.
    """
    return [*along_training(study, sources), *along_revisions(study, sources), *along_suites(study)]


def along_training(study: PlannedStudy, sources: Sources) -> Iterator[Course]:
    """Of each setting all of whose runs are trained, the models at the steps that all its runs have."""
    every = study.recipe.evaluated_every
    plans = {plan.name: plan for plan in study.plans}
    for setting, runs in study.design.settings.items() if every else ():
        on_the_way = [models_of(plans[run], every) for run in runs if run in plans and plans[run].run.trained]
        if len(on_the_way) < len(runs):
            continue
        common = set[int].intersection(*(set(models) for models in on_the_way))
        models = {step: tuple(models[step] for models in on_the_way) for step in sorted(common)}
        of_runs = [cell for cell in study.cells if cell.name in runs]
        before = {0: (study.design.base_of(setting),)} if begin_untuned(of_runs) else {}
        yield course(study, sources, setting, before | models, setting)


def begin_untuned(cells: Iterable[Cell]) -> bool:
    """Whether cells begin with their base model as it is: no stage comes before, and no weights of theirs are new."""
    return not any(cell.parents or cell.recipe.reinitialised for cell in cells)


def models_of(plan: PlannedCell, every: int | None) -> dict[int, str]:
    """Step → the model that a trained cell was after it."""
    steps = {step: step_name(plan.name, step) for step in evaluated_steps(plan.run, every)}
    return steps | {own_step(plan.run): plan.name}


def along_revisions(study: PlannedStudy, sources: Sources) -> Iterator[Course]:
    """Of each curve over an axis of revisions, the settings that began with them; and these base models untuned."""
    grid, design = study.recipe.grid, study.design
    axes = [name for name, axis in grid.items() if axis.paths == REVISION and is_scale(axis)]
    if not axes:
        return
    places = setting_places(study.recipe, study.cells)
    tokens = {
        step: tokens_of(label) for label, _ in labelled(grid[axes[0]].values) if (step := step_of(label)) is not None
    }
    untuned = {int(place[axes[0]]): (design.base_of(name),) for name, place in places.items()}
    yield Course("untuned", dict(sorted(untuned.items())), (), tokens=tokens)
    for curve in (curve for curve in design.curves if curve.axis == axes[0]):
        models = dict(zip(map(int, curve.amounts), (design.runs(name) for name in curve.settings), strict=True))
        along = course(study, sources, curve.name or study.recipe.study, models, curve.settings[0])
        yield replace(along, tokens=tokens)


def along_suites(study: PlannedStudy) -> Iterator[Course]:
    """Of models from elsewhere that are revisions of one repository, these."""
    suites: dict[str, dict[int, str]] = {}
    for name, given in study.recipe.models.items():
        if given.name and given.commit and (step := step_of(name)) is not None:
            suites.setdefault(given.name, {})[step] = name
    for repository, models in suites.items():
        tokens = {step: tokens_of(name) for step, name in models.items()}
        yield Course(
            repository.rpartition("/")[2], {step: (models[step],) for step in sorted(models)}, (), tokens=tokens
        )


def course(
    study: PlannedStudy, sources: Sources, called: str, models: Mapping[int, tuple[str, ...]], setting: str
) -> Course:
    """A course of models that are trained on the same languages as a setting."""
    source = sources.get(setting)
    return Course(called, models, study.groups.of(setting).seen, source and source.language)

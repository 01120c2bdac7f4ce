"""What differences a planned study will be able to detect, task by task, and what that is reckoned from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from eval.analysis.planned import SEEDS, SETTINGS, SHARE, WITHIN, Variances, assumed, detectable, observed, of_clusters
from eval.analysis.summary import main_panels
from eval.generation.conditions import task_of
from eval.scorers.metrics import metric_of
from harness.console import line
from harness.errors import Problem, UserError
from harness.planning.kept_plan import PlannedStudy, planned_study
from harness.planning.plan import PlannedDetectable, StudyPlan, TestedSet
from harness.reporting.current import current_scores


def detectable_of(study: PlannedStudy, pilot: PlannedStudy | None) -> tuple[PlannedDetectable, ...]:
    """A figure for each task, over its primary group of languages; none of tasks without a bounded metric.

    From the stored scores of an earlier study where there is one with the task, else from assumptions. Raises UserError
    for an earlier study without scores.
    """
    tested = study.kept.overview.evaluation
    tasks = dict.fromkeys(tested_set.task for tested_set in tested)
    figures = (
        _figure(study, pilot, task, [tested_set for tested_set in tested if tested_set.task == task]) for task in tasks
    )
    return tuple(figure for figure in figures if figure)


def _figure(
    study: PlannedStudy, pilot: PlannedStudy | None, task: str, tested: list[TestedSet]
) -> PlannedDetectable | None:
    metric = metric_of(study.recipe.known_tasks[task_of(task)].metric)
    group = study.groups.primary_of(task)
    languages = study.groups.means().get(group, ())
    there = [tested_set for tested_set in tested if tested_set.language in languages]
    if not there or metric.best == float("inf"):
        return None
    span, items = metric.best - metric.worst, min(tested_set.items for tested_set in there)
    clusters = min((tested_set.clusters for tested_set in there if tested_set.clusters), default=items)
    earlier = _observed(pilot, task, [tested_set.language for tested_set in there], span) if pilot else None
    variances = earlier or of_clusters(assumed(len(there), span), items, clusters)
    runs = {name: len(members) for name, members in study.design.settings.items()}
    if len(runs) + study.recipe.evaluation.base < 2:
        return None  # there is nothing to compare
    smallest = detectable(runs, study.design.references, study.recipe.evaluation.base, clusters, variances)
    return PlannedDetectable(
        task=task,
        group=group,
        where=study.groups.phrase(group),
        items=items,
        clusters=clusters if clusters < items else None,
        runs=min(runs.values()),
        from_base=smallest.from_base and metric.factor * smallest.from_base,
        from_reference=smallest.from_reference and metric.factor * smallest.from_reference,
        pilot=pilot.recipe.study if pilot and earlier else None,
        seeds=metric.factor * variances.seeds**0.5,
        seeds_assumed=variances.seeds_assumed,
    )


def _observed(pilot: PlannedStudy, task: str, languages: list[str], span: float) -> Variances | None:
    """What an earlier study says of a task in the languages that it has of these."""
    scores, _ = current_scores(pilot)
    for panel in main_panels(scores):
        common = [language for language in languages if language in panel.languages]
        if panel.task == task and common:
            return observed(panel, pilot.design, common, span)
    return None


def pilot_study(recipe: Path, runs: Path) -> PlannedStudy:
    """An earlier study whose scores are to plan by. Raises UserError where it has none."""
    pilot = planned_study(recipe, runs)
    try:
        current_scores(pilot)
    except UserError as error:
        message = f"{recipe} is to plan by, but has no scores under {runs}: {error.problems[0].message}"
        raise UserError([Problem("--pilot", message)]) from None
    return pilot


def show_detectable(plan: StudyPlan) -> None:
    """A line for each task, then what is assumed."""
    for figure in plan.detectable:
        line(figure.in_words())
    for assumption in _assumptions(plan.detectable, trains=bool(plan.cells)):
        line(f"  {assumption}")


def _assumptions(figures: Iterable[PlannedDetectable], trains: bool) -> list[str]:
    """What the figures rest on, of all tasks together."""
    figures = list(figures)
    said: list[str] = []
    if any(figure.pilot is None for figure in figures):
        said.append(
            f"assumed: scores vary as right and wrong answers do with {100 * SHARE:.0f} % right, nearly the "
            f"most they can; a mixture changes single items by {100 * SETTINGS:g} points"
        )
    if any(figure.seeds_assumed and figure.runs > 1 for figure in figures):
        said.append(f"assumed: seeds change a mean by {100 * SEEDS:.1f} % of the metric's range (standard deviation)")
    if any(figure.clusters and figure.pilot is None for figure in figures):
        said.append(f"assumed: differences on two items of a cluster, such as a template, correlate by {WITHIN:g}")
    if trains and any(figure.runs == 1 for figure in figures):
        said.append("one run per mixture: this is of the trained models, and says nothing of mixtures; add seeds")
    if said:
        said.append("a pilot's scores in place of assumptions: harness plan RECIPE --pilot EARLIER_RECIPE")
    return said

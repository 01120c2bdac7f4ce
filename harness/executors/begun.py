"""A study that is begun: planned, with its time and disk forecast, whoever trains it then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_mixes.holds import kernel_locks_work, waiting_to_hold
from harness.console import in_groups, say
from harness.planning.generated import waiting
from harness.planning.kept_plan import PlannedStudy, just_planned
from harness.planning.stages import with_parents
from harness.planning.study import CellPlan, Study
from harness.planning.time_left import TimeLeft
from harness.recipe.schema import Execution
from harness.runs.folder import StudyFolder
from harness.runs.record import prepare_runs_folder
from harness.training.forecast import time_left


@dataclass(frozen=True)
class Begun:
    """A study whose folder is there, and what is known of the work that is left of the chosen cells."""

    study: Study
    planned: PlannedStudy
    chosen: frozenset[str]
    left: TimeLeft
    execution: Execution
    failed: frozenset[str] = frozenset()
    """Cells that this command has tried in vain; another one tries them again."""

    @property
    def pending(self) -> Sequence[CellPlan]:
        """The chosen cells that are not finished, whose rows are there, and that are not tried in vain."""
        left_out = self.waiting.keys() | self.failed
        ready = [plan for plan in self.study.plans if plan.name in self.chosen and plan.name not in left_out]
        return [plan for plan in ready if not plan.run.finished]

    @property
    def waiting(self) -> Mapping[str, tuple[str, ...]]:
        """Chosen cell → the sources that models have to write before it can be trained."""
        held = waiting(self.study.plans, self.study.cells)
        return {name: sources for name, sources in held.items() if name in self.chosen}


def begin(recipe: Path, runs: Path, cells: str | None, measure_again: bool = True) -> Begun:
    """Plans a study, mends its folder, and forecasts how long the chosen cells take. Raises UserError.

    The pace of this machine is measured again, or only where it is not known. Processes that begin the same study at
    the same time do so one after another.
    """
    study = Study(recipe, runs)
    chosen = with_parents(study.cells, study.choice(cells).cells)
    prepare_runs_folder(runs)
    study.folder.mkdir(exist_ok=True)
    if not kernel_locks_work(study.folder):
        say(f"the file system of {study.folder} carries no locks: leases take their place, and what a process held "
            "that died on another machine is free again 90 seconds later")  # fmt: skip
    with waiting_to_hold(StudyFolder(study.folder).lock):
        for note in study.begin():
            say(note)
        planned = just_planned(study)
        left = time_left(planned, cells, measure_again)
        return Begun(study, planned, chosen, left, study.recipe.execution)


def say_finished(begun: Begun) -> None:
    """Says which of the chosen cells are finished already."""
    finished = [plan for plan in begun.study.plans if plan.name in begun.chosen and plan.run.finished]
    for told in in_groups((plan.name, f"{plan.run.record['state']} already") for plan in finished):
        say(told)

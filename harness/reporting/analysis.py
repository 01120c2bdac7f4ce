"""What the scores of a study say, by the definitions of `eval.analysis`: the tables beside a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import polars as pl

from eval.analysis.blocks import block_effects
from eval.analysis.checkpoints import CheckpointTables, checkpoint_tables
from eval.analysis.comparisons import compare
from eval.analysis.condition_effects import condition_effects
from eval.analysis.consistency import Consistency, consistency
from eval.analysis.curves import CurveFinding, as_row, curve_findings
from eval.analysis.few_shot import FewShotLaw, few_shot_laws, law_row
from eval.analysis.generated import WrittenAndLearned, recovered_table
from eval.analysis.layers import Layers
from eval.analysis.selection import highest_settings
from eval.analysis.stages import continual_table, stage_matrix
from eval.analysis.summary import main_panels, summarize
from eval.analysis.transfer import Sources, Transfer
from eval.finite import finite_table
from eval.generation.conditions import task_of
from harness.planning.design import setting_places, sources_of_transfer
from harness.planning.kept_plan import PlannedCell, PlannedStudy
from harness.planning.stages import chains_of
from harness.reporting.blocks import blocks_of
from harness.reporting.courses import courses_of
from harness.reporting.covariates import with_covariates
from harness.reporting.generated import kept_of, self_trained
from harness.reporting.instances import instances_of
from harness.reporting.layers import layers_of
from harness.reporting.objectives import held_out_retrieval, objective_losses


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the scores say, by the definitions of `eval.analysis`."""

    summary: pl.DataFrame
    comparisons: pl.DataFrame
    curves: Sequence[CurveFinding]
    highest: pl.DataFrame
    stages: pl.DataFrame
    """Scores after each of several trainings in order; empty where there are none."""
    continual: pl.DataFrame
    """What was kept and lost between them."""
    transfer: Transfer | None
    """Where settings are trained on two languages at least, each alone, or each beside the pivot."""
    consistency: Consistency
    along: CheckpointTables | None
    """Where steps of cells are evaluated as models of their own."""
    layers: Layers
    blocks: pl.DataFrame
    """What new weights in blocks change, where settings began with them."""
    few_shot: Sequence[FewShotLaw]
    conditions: pl.DataFrame
    """What prompts or answers in another language than an item's own change."""
    instances: pl.DataFrame
    """Trained runs by languages."""
    written: WrittenAndLearned
    """What models wrote to be trained on, and terms beside the likelihood."""

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """All but the summary, to be written beside the report; what is not there is empty."""
        curves = pl.DataFrame([as_row(curve) for curve in self.curves])
        tables = {"comparisons": self.comparisons, "curves": curves, "highest": self.highest, "blocks": self.blocks}
        tables |= {"stages": self.stages, "continual": self.continual}
        tables |= {"consistency": self.consistency.sizes, "consistency_pairs": self.consistency.pairs}
        for part, kind in ((self.transfer, Transfer), (self.along, CheckpointTables)):
            tables |= {field.name: getattr(part, field.name, pl.DataFrame()) for field in fields(kind)}
        tables["few_shot"] = pl.DataFrame([law_row(law) for law in self.few_shot], infer_schema_length=None)
        tables |= {"instances": self.instances, "conditions": self.conditions}
        tables |= {field.name: getattr(self.written, field.name) for field in fields(WrittenAndLearned)}
        return {name: finite_table(table) for name, table in tables.items()}


def analysed(study: PlannedStudy, scores: pl.DataFrame, with_steps: pl.DataFrame) -> Analysis:
    """The analysis of a study's scores, and of those of its cells' steps."""
    groups, design, panels = study.groups, study.design, main_panels(scores)
    trained = {plan.name: trained_on(plan) for plan in study.plans if plan.name in study.trained_once}
    sources = sources_of_transfer(trained, design, setting_places(study.recipe, study.cells), groups.pivot)
    chains, summary = chains_of(study.recipe, study.cells), finite_table(summarize(scores, groups, design))
    # a condition of a task is not another task: its scores are no transfer between tasks
    plain = [panel for panel in panels if panel.task == task_of(panel.task)]
    transfer = Transfer.by_base(plain, sources, design) if are_several(sources) else None
    courses = [*courses_of(study, sources)]
    return Analysis(
        summary=summary,
        comparisons=finite_table(compare(panels, groups, design)),
        curves=curve_findings(panels, groups, design),
        highest=finite_table(highest_settings(panels, groups, design)),
        transfer=transfer and finite_transfer(replace(transfer, transfer=with_covariates(study, transfer.transfer))),
        stages=stage_matrix(summary, chains),
        continual=finite_table(continual_table(panels, chains)),
        consistency=consistency(scores, design),
        layers=layers_of(study, courses),
        blocks=finite_table(block_effects(panels, blocks_of(study), groups, design)),
        along=checkpoint_tables(with_steps, courses) if courses else None,
        few_shot=few_shot_laws(panels, groups, design),
        conditions=finite_table(condition_effects(scores, design, tuple(study.recipe.evaluation.tasks))),
        instances=instances_of(study, panels),
        written=WrittenAndLearned(
            generated=finite_table(kept_of(study)),
            recovered=finite_table(recovered_table(panels, self_trained(study))),
            objectives=finite_table(objective_losses(study)),
            retrieval=finite_table(held_out_retrieval(study)),
        ),
    )


def finite_transfer(transfer: Transfer) -> Transfer:
    """The tables with blanks for figures that are no finite numbers."""
    return Transfer(**{field.name: finite_table(getattr(transfer, field.name)) for field in fields(Transfer)})


def are_several(sources: Sources) -> bool:
    """Whether two languages are sources alike, each alone or each beside the pivot."""
    kinds = Counter(beside for _, beside in {source.trained for source in sources.values()})
    return any(count > 1 for count in kinds.values())


def trained_on(plan: PlannedCell) -> dict[tuple[str, str], int]:
    """How many rows a cell has in each task and language."""
    return {(count.task, count.language): count.examples for count in plan.counts if count.examples}

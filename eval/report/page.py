"""All that a report shows, put together by the harness and shown by the other files of this folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from eval.analysis.checkpoints import CheckpointTables
from eval.analysis.consistency import Consistency
from eval.analysis.few_shot import FewShotLaw
from eval.analysis.generated import WrittenAndLearned
from eval.analysis.groups import LanguageGroups
from eval.analysis.layers import Layers
from eval.analysis.transfer import Transfer
from eval.report.grid import Amounts
from eval.report.headlines import Headline


@dataclass(frozen=True, slots=True)
class Selection:
    """How the step whose weights a cell has was chosen: by validation rows."""

    step: int
    curve: Sequence[Mapping[str, float]]
    """Of each comparison, "step", and the loss or score in each language at it."""
    task: str = ""
    """The task whose prompts were answered; blank where losses chose."""
    metric: str = "loss"
    rows: Mapping[str, int] = field(default_factory=dict[str, int])
    """Language → how many validation rows it has, where that is known."""


@dataclass(frozen=True, slots=True)
class CellFacts:
    """What is known of a trained cell beside its scores; None or empty where it is not known."""

    name: str
    examples: Mapping[str, int]
    """Rows per language, in one epoch."""
    tokens: int
    supervised_tokens: int
    steps: int
    state: str
    """new, training, trained or diverged."""
    seconds: float | None = None
    tokens_per_second: float | None = None
    model_flops_utilization: float | None = None
    """The share of the device's peak rate that went into the model's own arithmetic (arXiv 2204.02311)."""
    device: str = ""
    processes: int | None = None
    loss: Sequence[float] = ()
    """Per optimiser step, in nats per supervised token."""
    learning_rate: Sequence[float | None] = ()
    gradient_norm: Sequence[float | None] = ()
    """Before clipping."""
    selection: Selection | None = None
    """How its step was chosen, where that is not the last one."""
    setting: str = ""
    """What the cell is a run of, where that has another name."""


@dataclass(frozen=True, slots=True)
class Page:
    """A study's report.

    `summary` is as `eval.analysis.summary.summarize` makes it, `scores` and `predictions` as `eval.generation`
    makes them.
    Parts that a study does not have are empty or None, and are left out of the page.
    """

    study: str
    model: str
    base: str | None
    """What the untuned model is called in the tables, if it was evaluated; None where there are several."""
    groups: LanguageGroups
    cells: Sequence[CellFacts]
    """In the order of the grid."""
    settings: Mapping[str, Mapping[str, float | str]]
    """What figures are of: cells, or the runs of one under several seeds taken together; with their values on the
    axes of the grid."""
    axis: str | None
    """The axis of numbers that curves go over, if the grid has one."""
    summary: pl.DataFrame
    scores: pl.DataFrame
    predictions: pl.DataFrame | None = None
    endings: pl.DataFrame | None = None
    """How completions ended, as `eval.predictions_and_scores.endings` counts them."""
    noise: pl.DataFrame | None = None
    """What generating again in other batches changes, as `eval.analysis.noise` has it."""
    cards: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict[str, Sequence[Mapping[str, Any]]])
    """Per cell, rows of its mixture card."""
    provenance: Mapping[str, object] = field(default_factory=dict[str, object])
    recipe: str = ""
    """What the study was described by, as text."""
    notes: Sequence[str] = ()
    """What the reader must know of whole cells: not evaluated, diverged, scores of other weights."""
    headlines: Sequence[Headline] = ()
    """What the study found in each task, at a glance."""
    sentences: Sequence[str] = ()
    """The study's answers in plain words and figures, the most important first."""
    comparisons: pl.DataFrame | None = None
    """Differences between settings, as `eval.analysis.summary.compare` makes them."""
    transfer: Transfer | None = None
    """What training on a source language did to a target."""
    consistency: Consistency | None = None
    """Whether an item gets the same answer in every language."""
    checkpoints: CheckpointTables | None = None
    """What scores say along steps of training, where these are evaluated as models of their own."""
    blocks: pl.DataFrame | None = None
    """What new weights in some blocks change, as `eval.analysis.blocks` has it; empty where there are none."""
    layers: Layers | None = None
    """What was measured of the layers of models."""
    stages: pl.DataFrame = field(default_factory=pl.DataFrame)
    """Scores after each of several trainings in order, as `eval.analysis.stages` has them."""
    continual: pl.DataFrame = field(default_factory=pl.DataFrame)
    """What was kept and lost between them."""
    also: Mapping[str, Sequence[Mapping[str, float | str]]] = field(
        default_factory=dict[str, Sequence[Mapping[str, float | str]]]
    )
    """Setting → other values on the axes that come out as the same training, as 0 of one language is 0 of another."""
    conditions: pl.DataFrame | None = None
    """What asking or answering in another language changes, as `eval.analysis.condition_effects` makes it."""
    few_shot: Sequence[FewShotLaw] = ()
    """What scores are as a function of the amount, for each curve, task and language or group."""
    written: WrittenAndLearned = field(default_factory=WrittenAndLearned)
    """What models wrote to be trained on, and terms beside the likelihood."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """What readers see for axes of the grid and for tasks, where that is not their names."""
    amounts: Amounts = "auto"
    """How amounts are laid out along the axis of numbers."""
    prompts: pl.DataFrame | None = None
    """Test prompts as the models got them: task, language, id, rendered."""
    candidates: Sequence[str] = ()
    """The languages that answers may be told to be in."""
    reference: pl.DataFrame | None = None
    """Published curves to lay over one's own: task, metric, language, x, score in the metric's unit, name."""
    outside: Sequence[str] = ()
    """Models from elsewhere, as they are called in the tables."""
    bases: Mapping[str, str] = field(default_factory=dict[str, str])
    """Setting → what its untuned model is called, where there are several and they were evaluated."""

    @property
    def untuned(self) -> tuple[str, ...]:
        """What the untuned models are called, as far as they were evaluated."""
        return tuple(dict.fromkeys(self.bases.values())) or ((self.base,) if self.base else ())

    @property
    def names(self) -> tuple[str, ...]:
        """What tables have rows of: the untuned models, then the settings and models from elsewhere."""
        return tuple(dict.fromkeys((*self.untuned, *self.settings, *self.outside)))

    @property
    def models(self) -> tuple[str, ...]:
        """What predictions are of: the untuned models, then the cells and models from elsewhere."""
        return (*self.untuned, *(cell.name for cell in self.cells), *self.outside)

    @property
    def one_seed(self) -> bool:
        """Whether each mixture was trained once, so that nothing is known of other seeds."""
        return len(self.cells) <= len(self.settings)

    @property
    def kind(self) -> str:
        """What its settings are."""
        return "mixture" if self.cells else "model"

    def label(self, name: str) -> str:
        """What readers see for an axis or a task."""
        return self.labels.get(name, name)

    def series(self, place: Mapping[str, float | str]) -> str:
        """What the other axes say of a place: settings that are alike in these are one curve."""
        return ", ".join(f"{self.label(axis)} {value}" for axis, value in place.items() if axis != self.axis)

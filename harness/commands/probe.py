"""harness probe: what linear probes read off the layers of a study's models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from eval.representations.probing import ALL
from harness.console import line, plain_table, show_table
from harness.evaluation.probes import probe_models
from harness.planning.study import Study
from harness.results import Answer, Result
from harness.runs.folder import StudyFolder


class LayerProbe(Result):
    """How often probes of a layer, trained on one language, or on all to tell them apart, are right in another."""

    model: str
    weights: str | None
    """What names them; of the only base model nothing."""
    task: str
    layer: int
    """0 is the embeddings, the last one what the head reads."""
    trained_on: str
    tested_on: str
    n: int
    """Test rows: words, or pairs of words."""
    sentences: int
    """Test sentences, which intervals resample together."""
    accuracy: float | None
    low: float | None
    high: float | None
    majority: float
    """The share of test rows with the label most frequent in training."""
    shuffled: float
    """The accuracy after training on labels in random order."""


class StudyProbes(Answer):
    """What linear probes read off the models of a study."""

    study: str
    probes: tuple[LayerProbe, ...]


def probes_of(recipe: Path, runs: Path, cells: str | None) -> StudyProbes:
    """The scores of all probes. Raises UserError."""
    study = Study(recipe, runs)
    study.mend()
    table = probe_models(study, cells)
    return StudyProbes(study=study.recipe.study, probes=tuple(LayerProbe(**row) for row in table.iter_rows(named=True)))


def show_probes(answer: StudyProbes, runs: Path) -> None:
    """By model, task and layer: the mean accuracy within languages and across them, beside what chance gives."""
    shown = plain_table(
        "accuracy of linear probes (%)",
        ("model", "task"),
        ("layer", "in-language", "cross-lingual", "majority", "labels shuffled"),
    )
    groups: dict[tuple[str, str, int], list[LayerProbe]] = {}
    for probe in answer.probes:
        groups.setdefault((probe.model, probe.task, probe.layer), []).append(probe)
    for (model, task, layer), probes in groups.items():
        within = [probe for probe in probes if probe.trained_on in (probe.tested_on, ALL)]
        across = [probe for probe in probes if probe not in within]
        figures: list[Sequence[float | None]] = [
            [probe.accuracy for probe in within],
            [probe.accuracy for probe in across],
            [probe.majority for probe in within],
            [probe.shuffled for probe in within],
        ]
        shown.add_row(model, task, str(layer), *(percent(of_kind) for of_kind in figures))
    show_table(shown)
    tested = {(probe.tested_on, probe.sentences, probe.n) for probe in answer.probes}
    sizes = ", ".join(sorted(f"{language} {sentences} ({n:,} rows)" for language, sentences, n in tested))
    line(f"means over languages, or pairs of them; test sentences: {sizes}")
    line(f"every pair, with intervals: {StudyFolder(runs / answer.study).table('probe')}")


def percent(shares: Sequence[float | None]) -> str:
    """The mean of what is known, in percent."""
    known = [share for share in shares if share is not None]
    return f"{100 * fmean(known):.1f}" if known else ""

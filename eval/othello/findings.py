"""What a study of mOthello found: figures with their intervals over games and runs, and the four findings of
arXiv 2404.12444 as tests on these.

Cells that differ in their seed alone are the runs of a setting. Each setting's intervals rest on its own runs: how far
seeds lead apart differs too much between settings to be pooled. Nothing is adjusted for the number of findings.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, Literal

import numpy as np
import polars as pl

from eval.analysis.stats import Estimate, estimate, ratio
from eval.analysis.variance import Floats
from eval.othello.alignment import ChanceLines
from eval.othello.measures import LEGAL_RATE, PROBE

ALIGNED = 0.5
"""The relative alignment from which languages are called aligned; the published .85 is of larger boards."""
TOGETHER = 0.05
"""How far source and target may be apart for the one to follow the other."""
LEAST_GAIN = 0.01
"""What the source must gain for a share of it to mean anything."""
ANYWHERE = (-math.inf, math.inf)


@dataclass(frozen=True)
class Setting:
    """Cells that differ in their seed alone."""

    name: str
    runs: tuple[str, ...]
    source: str
    targets: tuple[str, ...]
    shared: Literal["nothing", "anchors", "output"]
    anchors: int
    last: int
    """The last step of fine-tuning."""


@dataclass(frozen=True)
class Finding:
    """One of the paper's findings in one setting."""

    name: str
    claim: str
    setting: str
    verdict: Literal["shown", "the opposite is shown", "open"]
    sentence: str


@dataclass(frozen=True)
class Measured:
    """The measures of a study."""

    table: pl.DataFrame
    """`MEASURES` after the columns cell and setting."""
    settings: tuple[Setting, ...]
    chance: ChanceLines

    @cached_property
    def _arrays(self) -> Mapping[tuple[str, int, str, str | None, str], Floats]:
        keys = ["cell", "step", "metric", "source", "language"]
        parts = self.table.sort("game").partition_by(keys, as_dict=True)
        return {key: part["value"].to_numpy() for key, part in parts.items()}  # pyright: ignore[reportReturnType]

    def values(
        self, setting: Setting, step: int, metric: str, languages: tuple[str, ...], source: str | None = None
    ) -> Floats:
        """Scores of shape (runs, games, languages), of the runs that are measured."""
        cells = [cell for cell in setting.runs if (cell, step, metric, source, languages[0]) in self._arrays]
        if not cells:
            return np.full((1, 2, len(languages)), np.nan)
        return np.stack(
            [np.stack([self._arrays[cell, step, metric, source, name] for name in languages], axis=1) for cell in cells]
        )

    def rate(self, setting: Setting, step: int, languages: tuple[str, ...]) -> Floats:
        """Legal rates."""
        return self.values(setting, step, LEGAL_RATE, languages)

    def probed(self, setting: Setting, step: int, languages: tuple[str, ...]) -> Floats:
        """Squares that a probe of the source reads right."""
        return self.values(setting, step, PROBE, languages, setting.source)

    def alignment(self, setting: Setting, step: int) -> Estimate:
        """(source → target − chance) / (source → source − chance): 1 where a probe serves both, 0 at chance."""
        across = self.probed(setting, step, setting.targets) - self.chance.square
        within = self.probed(setting, step, (setting.source,)) - self.chance.square
        return ratio(across, within, ends=ANYWHERE, graded=True)

    def aligned_pairs(self, setting: Setting) -> tuple[int, int]:
        """In how many runs × pairs (source, target) of languages the one's probe serves the other, and of how many."""
        chance, languages = self.chance.square, (setting.source, *setting.targets)
        found: list[bool] = []
        for cell in setting.runs:
            means = {
                (source, target): self._arrays[key].mean() - chance
                for source, target in product(languages, repeat=2)
                if (key := (cell, 0, PROBE, source, target)) in self._arrays
            }
            found += [
                across >= ALIGNED * means[source, source] > 0
                for (source, target), across in means.items()
                if source != target
            ]
        return sum(found), len(found)

    def gain(self, setting: Setting, languages: tuple[str, ...], step: int | None = None) -> Estimate:
        """What fine-tuning did to the legal rate, up to a step or to its end."""
        return estimate(self._gained(setting, languages, step), ends=ANYWHERE, graded=True)

    def transfer(self, setting: Setting, step: int | None = None) -> Estimate:
        """The target's gain as a share of the source's; undefined where the source gains next to nothing."""
        source = self._gained(setting, (setting.source,), step)
        target = self._gained(setting, setting.targets, step)
        if not np.nanmean(source) >= LEAST_GAIN:
            return Estimate(source.size + target.size, None, None, None)
        return ratio(target, source, ends=ANYWHERE, graded=True)

    def apart(self, setting: Setting) -> Estimate:
        """How far the source is above the target once fine-tuned."""
        source, target = (self.rate(setting, setting.last, of) for of in ((setting.source,), setting.targets))
        return estimate(source - target.mean(axis=2, keepdims=True), ends=ANYWHERE, graded=True)

    def _gained(self, setting: Setting, languages: tuple[str, ...], step: int | None = None) -> Floats:
        return self.rate(setting, setting.last if step is None else step, languages) - self.rate(setting, 0, languages)

    def steps(self, setting: Setting) -> list[int]:
        """The steps of fine-tuning that are measured."""
        return sorted(map(int, self.table.filter(setting=setting.name)["step"].unique()))

    def by_step(self) -> pl.DataFrame:
        """Gains since pretraining, transfer and relative alignment after every step that is measured."""
        rows = [
            {"setting": setting.name, "step": step, "figure": figure, "n": found.n}
            | {"mean": found.mean, "low": found.low, "high": found.high}
            for setting in self.settings
            for step in self.steps(setting)
            for figure, found in {
                "source_gain": self.gain(setting, (setting.source,), step),
                "target_gain": self.gain(setting, setting.targets, step),
                "transfer": self.transfer(setting, step),
                "relative_alignment": self.alignment(setting, step),
            }.items()
        ]
        return pl.DataFrame(rows, schema=BY_STEP)

    def figures(self) -> pl.DataFrame:
        """Every mean over the runs of a setting, with its 95 % interval; n are scores, a game in a run each."""
        rows: list[dict[str, Any]] = []
        keys = ["setting", "step", "metric", "source", "language"]
        for (name, step, metric, source, language), _ in self.table.group_by(keys, maintain_order=True):
            setting = next(setting for setting in self.settings if setting.name == name)
            values = self.values(setting, int(str(step)), str(metric), (str(language),), source and str(source))
            found = estimate(values, graded=True)
            rows.append(
                {"setting": name, "runs": len(values), "step": step, "metric": metric, "source": source}
                | {"language": language, "n": found.n, "mean": found.mean, "low": found.low, "high": found.high}
            )
        return pl.DataFrame(rows, schema=FIGURES)


FIGURES = {
    "setting": pl.String, "runs": pl.Int64, "step": pl.Int64, "metric": pl.String, "source": pl.String,
    "language": pl.String, "n": pl.Int64, "mean": pl.Float64, "low": pl.Float64, "high": pl.Float64,
}  # fmt: skip


BY_STEP = {
    "setting": pl.String, "step": pl.Int64, "figure": pl.String, "n": pl.Int64, "mean": pl.Float64, "low": pl.Float64,
    "high": pl.Float64,
}  # fmt: skip


def findings(measured: Measured) -> Iterator[Finding]:
    """The paper's four findings, each in the settings that it is of."""
    for setting in measured.settings:
        match setting.shared:
            case "nothing":
                yield _unaligned(measured, setting)
            case "anchors":
                yield from (_aligned(measured, setting), _no_transfer(measured, setting))
            case "output":
                yield _follows(measured, setting)


def _unaligned(measured: Measured, setting: Setting) -> Finding:
    """F1: without anything shared, a probe reads another language no better than by the number of moves."""
    found = estimate(measured.probed(setting, 0, setting.targets), graded=True)
    line = measured.chance.square_and_move
    verdict = _verdict(found.high is not None and found.high <= line, found.low is not None and found.low > line)
    told = (
        f"{_probe_of(setting)} {percent(found)} of the squares right, where the number of moves alone gives "
        f"{100 * line:.1f} % and each square's commonest colour {100 * measured.chance.square:.1f} %; relative "
        f"alignment {plain(measured.alignment(setting, 0))}"
    )
    return Finding("F1", "languages that share nothing are not aligned", setting.name, verdict, told)


def _aligned(measured: Measured, setting: Setting) -> Finding:
    """F2: anchors align."""
    found = measured.alignment(setting, 0)
    verdict = _verdict(found.low is not None and found.low >= ALIGNED, found.high is not None and found.high < ALIGNED)
    told = (
        f"relative alignment {plain(found)} before fine-tuning, aligned from {ALIGNED} on: {_probe_of(setting)} "
        f"{percent(estimate(measured.probed(setting, 0, setting.targets), graded=True))} of the squares right, and its "
        f"own language's {percent(estimate(measured.probed(setting, 0, (setting.source,)), graded=True))}"
    )
    return Finding("F2", "anchors align languages", setting.name, verdict, told)


def _no_transfer(measured: Measured, setting: Setting) -> Finding:
    """F3: with anchors, what is learnt in the source does not carry over."""
    source, target = (measured.gain(setting, of) for of in ((setting.source,), setting.targets))
    learnt = source.low is not None and source.low > 0
    verdict = _verdict(
        learnt and target.high is not None and target.high <= 0, target.low is not None and target.low > 0
    )
    return Finding(
        "F3", "aligned languages do not share what fine-tuning teaches", setting.name, verdict,
        f"the legal rate of {setting.source} changes by {points(source)}, that of {_targets(setting)} by "
        f"{points(target)}; transfer {plain(measured.transfer(setting))}",
    )  # fmt: skip


def _follows(measured: Measured, setting: Setting) -> Finding:
    """F4: with moves in a language of their own, the target follows the source."""
    target, apart = measured.gain(setting, setting.targets), measured.apart(setting)
    together = apart.low is not None and apart.high is not None and -TOGETHER <= apart.low <= apart.high <= TOGETHER
    rises = target.low is not None and target.low > 0
    far = apart.low is not None and apart.low > TOGETHER
    verdict = _verdict(together and rises, far or (target.high is not None and target.high <= 0))
    return Finding(
        "F4", "with one language of output, the other language follows", setting.name, verdict,
        f"the legal rate of {_targets(setting)} changes by {points(target)} without a game in it, and ends "
        f"{_beside(apart)} that of {setting.source}; transfer {plain(measured.transfer(setting))}",
    )  # fmt: skip


def _verdict(shown: bool, opposite: bool) -> Literal["shown", "the opposite is shown", "open"]:
    return "shown" if shown else "the opposite is shown" if opposite else "open"


def _probe_of(setting: Setting) -> str:
    return f"a probe of {setting.source} reads {_targets(setting)} with"


def _beside(apart: Estimate) -> str:
    """How far below the source the target ends, or above it."""
    if apart.mean is None or apart.mean >= 0:
        return f"{points(apart, sign=False)} below"
    low, high = (None if end is None else -end for end in (apart.high, apart.low))
    return f"{points(Estimate(apart.n, -apart.mean, low, high), sign=False)} above"


def _targets(setting: Setting) -> str:
    return " and ".join(setting.targets)


def percent(found: Estimate) -> str:
    """A share with its interval, in percent."""
    return "no figure" if found.mean is None else f"{100 * found.mean:.1f} %{_ends(found, 100, 1)}"


def points(found: Estimate, sign: bool = True) -> str:
    """A difference of shares with its interval, in points."""
    if found.mean is None:
        return "no figure"
    return f"{100 * found.mean:{'+' if sign else ''}.1f} points{_ends(found, 100, 1)}".replace("-", "−")


def plain(found: Estimate) -> str:
    """A ratio with its interval."""
    return "undefined" if found.mean is None else f"{found.mean:.2f}{_ends(found, 1, 2)}".replace("-", "−")


def short(found: Estimate, factor: int = 1) -> str:
    """A figure of a table with its interval."""
    if found.mean is None:
        return ""
    digits = 1 if factor > 1 else 2
    ends = "" if found.low is None or found.high is None else (
        f" ({factor * found.low:.{digits}f} to {factor * found.high:.{digits}f})"
    )  # fmt: skip
    return f"{factor * found.mean:.{digits}f}{ends}".replace("-", "−")


def _ends(found: Estimate, factor: int, digits: int) -> str:
    if found.low is None or found.high is None:
        return ""
    return f" (95 % CI {factor * found.low:.{digits}f} to {factor * found.high:.{digits}f})"

"""What is chosen on one half of a study and measured on the other: no luck of the choice is in what is measured.

The highest of several noisy means is partly luck, and so is a correlation of two means of the same runs. A half has
half of the items (or clusters of them) and, of settings with several runs, half of the runs; the other has the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.analysis.variance import Floats, RunVariance, contrast_spread

SPLITS = 100
"""Ways to halve a study that are averaged; in each both halves take either part."""
SEED = 0


def half_means(tables: Sequence[Floats], splits: int = SPLITS) -> Floats:
    """Means of settings over random halves, of tables (runs, items) of the same items: (2 · splits, 2, settings).

    Of the two halves on the second axis neither has an item of the other, nor a run where a setting has several. The
    halves are the same for all calls with as many items and runs. Two items at least.
    """
    rng = np.random.default_rng(SEED)
    items, most = tables[0].shape[1], max(map(len, tables))
    chosen = rng.permuted(np.tile(np.arange(items) < items // 2, (splits, 1)), axis=1).astype(np.float64)
    order = rng.permuted(np.tile(np.arange(most), (splits, 1)), axis=1)
    means = np.empty((splits, 2, len(tables)))
    for index, table in enumerate(tables):
        first = table @ chosen.T / (items // 2)
        second = (table.sum(axis=1, keepdims=True) - table @ chosen.T) / (items - items // 2)
        of_first, of_second = _half_of_runs(order, len(table))
        means[:, 0, index] = (first.T * of_first).sum(axis=1)
        means[:, 1, index] = (second.T * of_second).sum(axis=1)
    return np.concatenate([means, means[:, ::-1]])


def _half_of_runs(order: NDArray[np.int64], runs: int) -> tuple[Floats, Floats]:
    """The weights of a setting's runs in the two halves, each (splits, runs); a single run is in both."""
    if runs == 1:
        return np.ones((len(order), 1)), np.ones((len(order), 1))
    among = order[order < runs].reshape(len(order), runs)
    first = (np.argsort(among, axis=1) < runs // 2).astype(np.float64)
    return first / first.sum(axis=1, keepdims=True), (1 - first) / (1 - first).sum(axis=1, keepdims=True)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the setting with the highest mean measures on items and runs that it was not chosen on."""

    mean: float
    half_width: float
    """Of the 95 % interval; no shorter than that of any single setting."""


def highest(tables: Sequence[Floats], between: RunVariance | None, against: int | None = None) -> Chosen:
    """The mean of the highest of several settings, or how far it is above the one at the place `against`.

    The mean over `half_means` of what the first half chooses and the second measures. It is that of the settings
    chosen, without bias: where several are alike, of whichever is highest, and where one stands out, its own.
    `between` is the variance of runs, pooled over settings.
    """
    halves = half_means(tables)
    measured = halves[np.arange(len(halves)), 1, halves[:, 0].argmax(axis=1)]
    if against is not None:
        measured = measured - halves[:, 1, against]
    widths = [0.0]
    for index, table in enumerate(tables):
        if index != against:
            other = 0.0 if against is None else tables[against].mean(axis=0)
            share = 1 / len(table) + (0.0 if against is None else 1 / len(tables[against]))
            widths.append(contrast_spread(table.mean(axis=0) - other, between, share).half_width)
    return Chosen(float(measured.mean()), max(widths))

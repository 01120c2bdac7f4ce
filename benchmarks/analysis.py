"""The analysis of a large study's scores, beside scipy's bootstrap of the same data.

python benchmarks/analysis.py [--cells 20] [--items 6250]
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import polars as pl
from scipy import stats

from eval.analysis.comparisons import compare
from eval.analysis.curves import curve_findings
from eval.analysis.design import BASE, Curve, Design
from eval.analysis.groups import LanguageGroups
from eval.analysis.panel import Panel
from eval.analysis.stats import REPLICATES
from eval.analysis.summary import main_panels, summarize
from eval.analysis.transfer import Source, Transfer

GROUPS = LanguageGroups(("en", "es", "fr", "ja", "zh"), ("ar", "ko", "pt"))


def scores_of(cells: int, items: int) -> pl.DataFrame:
    """Right or wrong for every cell, language and item, as evaluation writes it."""
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 1, items)
    parts: list[pl.DataFrame] = []
    for cell in range(cells):
        for index, language in enumerate(GROUPS.all):
            right = hard + rng.normal(0, 1, items) < cell / cells - index / 10
            names = pl.Series("item", np.arange(items)).cast(pl.String)
            parts.append(
                pl.DataFrame({"item": names, "value": right.astype(np.float64)}).with_columns(
                    cell=pl.lit(f"amount-{cell}"), task=pl.lit("math"), language=pl.lit(language),
                    metric=pl.lit("accuracy"), version=pl.lit("v"), reason=pl.lit(None, dtype=pl.String),
                )
            )  # fmt: skip
    return pl.concat(parts)


def as_sources(panel: Panel, names: Sequence[str]) -> float:
    """The seconds that a transfer matrix takes, with all that is made of it; the first cell stands for the base."""
    languages = [*GROUPS.all, *(f"x{index}" for index in range(len(names)))]
    sources = {name: Source("math", language) for name, language in zip(names[1:], languages, strict=False)}
    started = time.perf_counter()
    design = Design({name: (name,) for name in sources})
    Transfer.of([replace(panel, runs=(BASE, *panel.runs[1:]))], sources, design)
    return time.perf_counter() - started


def main() -> None:
    """Prints seconds, the ratio and the memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=20)
    parser.add_argument("--items", type=int, default=6250)
    given = parser.parse_args()
    scores = scores_of(given.cells, given.items)
    names = tuple(f"amount-{cell}" for cell in range(given.cells))
    curve = Curve("", "amount", tuple(map(float, range(given.cells))), names)
    design = Design({name: (name,) for name in names}, dict.fromkeys(names, names[0]), (curve,))
    started = time.perf_counter()
    summary = summarize(scores, GROUPS, design)
    summarized = time.perf_counter() - started
    panels = main_panels(scores)
    comparisons = compare(panels, GROUPS, design)
    curve_findings(panels, GROUPS, design)
    ours = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{scores.height:,} scores, {REPLICATES:,} replicates: {ours:.1f} s in all ({summarized:.1f} s for "
        f"{summary.height} estimates, the rest for {comparisons.height} comparisons and a curve), "
        f"{memory:.0f} MiB at the peak",
        flush=True,
    )
    seconds = as_sources(panels[0], names)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"the cells as sources of transfer, all six tables: {seconds:.1f} s more, {memory:.0f} MiB", flush=True)
    one = scores.filter((pl.col("cell") == names[0]) & (pl.col("language") == "en"))["value"].to_numpy()
    started = time.perf_counter()
    stats.bootstrap((one,), np.mean, n_resamples=REPLICATES, method="percentile", batch=500, rng=0)
    theirs = time.perf_counter() - started
    columns = given.cells * len(GROUPS.all)
    print(
        f"scipy.stats.bootstrap of one cell in one language: {theirs:.2f} s, for all {columns} "
        f"{columns * theirs:.0f} s, {columns * theirs / summarized:.0f} times as long"
    )


if __name__ == "__main__":
    main()

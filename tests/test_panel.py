"""From a table of scores to figures: what counts as a score, what is averaged over what, which runs are paired."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from eval.analysis.comparisons import paired
from eval.analysis.design import BASE, Design
from eval.analysis.panel import Panel, panels_of
from eval.analysis.stats import estimate


def panel_of_scores(*rows: tuple[str, str, str, float | None]) -> Panel:
    """The panel of rows of cell, item, language and value."""
    table = pl.DataFrame(rows, schema=["cell", "item", "language", "value"], orient="row")
    (panel,) = panels_of(table.with_columns(task=pl.lit("math"), metric=pl.lit("accuracy")))
    return panel


def test_unscored_is_not_zero() -> None:
    panel = panel_of_scores(("a", "1", "en", 1.0), ("a", "2", "en", None), ("a", "3", "en", float("nan")))
    figure = estimate(panel.values)
    assert (figure.n, figure.mean) == (1, 1.0)
    assert np.isnan(panel.values[0, 1:, 0]).all()


def test_several_examples_of_an_item_count_as_one_score() -> None:
    panel = panel_of_scores(("a", "1", "en", 1.0), ("a", "1", "en", 0.0), ("a", "1", "en", None), ("a", "2", "en", 1.0))
    assert panel.values[0, :, 0].tolist() == [0.5, 1.0]


def test_every_language_weighs_the_same_however_many_items_it_has() -> None:
    rows = [("a", str(item), "en", 1.0) for item in range(6)] + [("a", str(item), "ja", 0.0) for item in range(2)]
    assert estimate(panel_of_scores(*rows).values).mean == 0.5


@pytest.mark.parametrize(
    ("scored", "pairs"),
    [
        ({"x-0", "x-1", "x-2", "y-0", "y-1", "y-2"}, [("x-0", "y-0"), ("x-1", "y-1"), ("x-2", "y-2")]),
        ({"x-0", "x-2", "y-0", "y-1", "y-2"}, [("x-0", "y-0"), ("x-2", "y-2")]),  # one seed of x is not scored yet
        ({"x-1", "x-2", "y-0", "y-2"}, [("x-2", "y-2")]),
    ],
)
def test_runs_are_paired_by_their_seed(scored: set[str], pairs: list[tuple[str, str]]) -> None:
    number = {name: float(place) for place, name in enumerate(sorted(scored))}
    panel = panel_of_scores(*((name, "1", "en", number[name]) for name in number))
    design = Design({name: tuple(f"{name}-{seed}" for seed in range(3)) for name in ("x", "y")})
    first, second = paired(panel, design, "x", "y", ["en"])
    values = [(number[one], number[other]) for one, other in pairs]
    assert list(zip(first.ravel(), second.ravel(), strict=True)) == values


def test_of_settings_with_unlike_numbers_of_runs_the_first_are_paired() -> None:
    panel = panel_of_scores(("x", "1", "en", 1.0), ("y-0", "1", "en", 2.0), ("y-1", "1", "en", 3.0))
    design = Design({"x": ("x",), "y": ("y-0", "y-1")})
    assert [values.ravel().tolist() for values in paired(panel, design, "x", "y", ["en"])] == [[1.0], [2.0]]
    assert [values.ravel().tolist() for values in paired(panel, design, "y", "x", ["en"])] == [[2.0], [1.0]]
    based = panel_of_scores((BASE, "1", "en", 0.0), ("y-0", "1", "en", 2.0), ("y-1", "1", "en", 3.0))
    assert [len(values) for values in paired(based, design, "y", BASE, ["en"])] == [2, 1], "the base has no seed"

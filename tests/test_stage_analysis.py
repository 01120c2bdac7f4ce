"""The matrix of stages and languages, and the continual metrics of chains, on scores that are made up."""

from __future__ import annotations

import numpy as np
import pytest

from eval.analysis.dynamics import continual
from eval.analysis.panel import Panel
from eval.analysis.stages import Chain, continual_table
from eval.report.stage_tables import stage_tables

LANGUAGES = ("en", "fr", "es")
ORDERS = {"up": (0, 1, 2), "down": (0, 2, 1)}


def panel_and_chains(alone: bool) -> tuple[Panel, list[Chain]]:
    """Scores of twelve items in three languages after each stage of two orders, of the base and of languages alone."""
    draw = np.random.default_rng(0)
    runs = ["base", *(f"{order}-{place}" for order in ORDERS for place in range(3)), *LANGUAGES]
    values = draw.integers(0, 2, (len(runs), 12, 3)).astype(float)
    chains = [
        Chain(f"order {order}", tuple(LANGUAGES[place] for place in places),
              tuple(f"{order}-{place}" for place in range(3)), "base", True, order, "",
              tuple(LANGUAGES[place] for place in places) if alone else ())
        for order, places in ORDERS.items()
    ]  # fmt: skip
    return Panel("math", "accuracy", tuple(runs), LANGUAGES, values), chains


@pytest.mark.parametrize("alone", [True, False])
def test_a_chain_has_the_metrics_of_its_own_matrix(alone: bool) -> None:
    panel, chains = panel_and_chains(alone)
    table = continual_table([panel], chains)
    for chain, places in zip(chains, ORDERS.values(), strict=True):
        means = panel.values.mean(axis=1)
        matrix = means[[panel.runs.index(cell) for cell in chain.cells]][:, list(places)]
        own = [float(means[panel.runs.index(LANGUAGES[place]), place]) for place in places] if alone else None
        wanted = continual(matrix, means[0][list(places)].tolist(), own)
        found = dict(table.filter(chain=chain.name).select("measure", "estimate").iter_rows())
        assert found == pytest.approx({name: float(value) for name, value in wanted.items()})
        assert ("transfer" in found) == alone
    both = table.filter(chain="mean of 2", measure="final")["estimate"].item()
    finals = [table.filter(chain=f"order {order}", measure="final")["estimate"].item() for order in ORDERS]
    assert both == pytest.approx(sum(finals) / 2)


def test_orders_stand_beside_each_other_in_one_table() -> None:
    import polars as pl

    panel, chains = panel_and_chains(alone=True)
    (table,) = stage_tables(pl.DataFrame(schema={"chain": pl.String, "task": pl.String, "metric": pl.String}),
                            continual_table([panel], chains), LANGUAGES).values()  # fmt: skip
    assert table.columns == ("chain", "final", "forgetting", "backward", "zero-shot forward", "transfer")
    assert [row[0] for row in table.rows] == ["order up", "order down", "mean of 2"]
    assert all("n " in entry for row in table.rows for entry in row[1:])

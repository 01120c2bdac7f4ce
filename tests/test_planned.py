"""The detectable difference before a study: found as often as promised, by the test that the study will be put to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.validity import AMOUNTS, Condition, compared, panel_of_amounts, studies
from eval.analysis.planned import Variances, assumed, detectable, observed, of_clusters

LANGUAGES = ("en", "fr", "ja")


def planned(condition: Condition, variances: Variances) -> Any:
    """The figures of a study of a base and eight amounts."""
    runs = {str(place): condition.runs for place in range(AMOUNTS)}
    return detectable(runs, dict.fromkeys([*runs][1:], "0"), True, condition.items, variances)


@pytest.mark.parametrize(
    "condition", [Condition(1, 0.0, 50), Condition(3, 1.6, 50), Condition(3, 1.6, 250), Condition(5, 1.6, 50)]
)
def test_power_at_the_figure_from_assumptions(condition: Condition) -> None:
    """120 simulated studies of right and wrong answers in three languages, whose seeds differ as assumed."""
    figure = planned(condition, assumed(3)).from_reference
    found: Any = [compared(study, draws=500)[-1] for study in studies(condition, 120, gain=100 * figure, seed=2)]
    power = np.mean([each.p_adjusted < 0.05 for each in found])
    assert 0.68 <= power <= 0.92, (figure, power)


@pytest.mark.parametrize("mean", [0.4, 0.15])
def test_power_at_the_figure_from_a_pilot(mean: float) -> None:
    """Of pilots with three runs on 100 items, for a study of five runs on 50."""
    pilots = [observed(*panel_of_amounts(study), LANGUAGES)
              for study in studies(Condition(3, 1.6, 100), 10, mean=mean)]  # fmt: skip
    assert all(pilot and not pilot.seeds_assumed for pilot in pilots)
    condition = Condition(5, 1.6, 50)
    figure = float(np.mean([planned(condition, pilot).from_reference for pilot in pilots if pilot]))
    made = studies(condition, 120, gain=100 * figure, mean=mean, seed=2)
    found: Any = [compared(study, draws=500)[-1] for study in made]
    assert 0.65 <= np.mean([each.p_adjusted < 0.05 for each in found]) <= 0.95


def test_a_pilot_of_one_run_leaves_the_seeds_to_be_assumed() -> None:
    pilot = observed(*panel_of_amounts(next(studies(Condition(1, 0.0, 250), 1))), LANGUAGES)
    known = assumed(3)
    assert pilot and pilot.seeds_assumed and pilot.seeds == known.seeds
    assert pilot.residual + pilot.settings == pytest.approx(known.residual + known.settings, rel=0.15)


def test_a_pilot_whose_models_are_all_alike_leaves_everything_to_be_assumed() -> None:
    panel, design = panel_of_amounts(next(studies(Condition(1, 0.0, 50), 1)))
    alike = replace(panel, values=np.zeros_like(panel.values))
    assert observed(alike, design, LANGUAGES) is None


def test_more_items_runs_and_fewer_clusters_tell() -> None:
    few, many = (planned(Condition(3, 1.6, items), assumed(3)).from_base for items in (50, 250))
    assert many < 0.8 * few
    assert planned(Condition(5, 1.6, 50), assumed(3)).from_base < few
    clustered = planned(Condition(3, 1.6, 14), of_clusters(assumed(3), 250, 14)).from_base
    assert clustered > 1.5 * many
    assert of_clusters(assumed(3), 250, 250) == assumed(3)


def test_what_cannot_be_compared_has_no_figure() -> None:
    assert detectable({"a": 3}, {"a": "a"}, False, 50, assumed(1)) == detectable({"a": 3}, {}, True, 1, assumed(1))
    found = detectable({"a": 3}, {"a": "a"}, True, 50, assumed(1))
    assert found.from_base and found.from_reference is None

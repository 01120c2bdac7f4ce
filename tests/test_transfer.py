"""What transferred: the papers' definitions on toys, and what is undefined stays blank."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl
import pytest

from eval.analysis.comparisons import compare
from eval.analysis.curves import curve_findings
from eval.analysis.design import Curve, Design
from eval.analysis.dynamics import continual, continual_estimates, forgetting, learn_step, learning
from eval.analysis.groups import GAP, OTHERS, PERFORMANCE, LanguageGroups
from eval.analysis.panel import Panel
from eval.analysis.stats import bootstrap_means
from eval.analysis.summary import main_panels, summarize
from eval.analysis.transfer import Source, Transfer
from eval.report.findings import sentences
from eval.report.tables import metric_tables
from eval.scorers.main_metric import main_metrics, with_main

GROUPS = LanguageGroups(("en", "fr"), ("ja",), {"far": ("ja",)})


def table(values: Mapping[tuple[str, str], list[float | None]], task: str = "math") -> pl.DataFrame:
    """Scores by (cell, language), a value per item."""
    rows = [
        {"cell": cell, "task": task, "language": language, "item": str(item), "id": f"{item}@{language}",
         "metric": "accuracy", "value": value, "answer": None, "reason": None if value is not None else "why",
         "version": "v1"}
        for (cell, language), column in values.items() for item, value in enumerate(column)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema_overrides={"answer": pl.String, "reason": pl.String, "value": pl.Float64})


def scores() -> pl.DataFrame:
    return table({("a", "en"): [1.0, 1.0, 0.5], ("a", "fr"): [0.5, 0.5, 0.5], ("a", "ja"): [0.0, None, 1.0]})


def random_scores(
    means: Mapping[str, float], languages: tuple[str, ...] = GROUPS.all, items: int = 60, task: str = "math"
) -> pl.DataFrame:
    """Scores of cells with the given true means, items being harder or easier for all of them."""
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 0.3, items)
    return table(
        {
            (cell, language): [float(value) for value in mean + hard + rng.normal(0, 0.1, items)]
            for cell, mean in means.items()
            for language in languages
        },
        task,
    )


def test_the_summary_follows_the_papers_definitions() -> None:
    found = {row["group"]: row for row in summarize(scores(), GROUPS).iter_rows(named=True)}
    assert found["seen"]["mean"] == 0.5 and found["seen"]["languages"] == "fr"
    assert found["unseen"]["mean"] == 0.5 and (found["unseen"]["scored"], found["unseen"]["unscored"]) == (2, 1)
    assert found["en"]["mean"] == pytest.approx(5 / 6)
    assert found[PERFORMANCE]["mean"] == pytest.approx(0.5 / (5 / 6))
    assert found["all"]["mean"] == pytest.approx((5 / 6 + 0.5 + 0.5) / 3)
    assert found["far"]["mean"] == found["ja"]["mean"] == 0.5
    assert found[GAP]["mean"] == 0.0


def test_another_pivot_is_named() -> None:
    groups = LanguageGroups(("en", "fr"), ("ja",), pivot="fr")
    found = {row["group"]: row["mean"] for row in summarize(scores(), groups).iter_rows(named=True)}
    assert found[PERFORMANCE] == pytest.approx((5 / 6 + 0.5) / 2 / 0.5)
    assert found["seen"] == pytest.approx(5 / 6) and OTHERS in found
    assert (groups.label(PERFORMANCE), groups.label(OTHERS)) == ("performance to French", "non-French")


def test_the_main_metric_is_the_one_marked_and_in_tables_without_marks_the_first() -> None:
    both = pl.concat([scores(), scores().with_columns(metric=pl.lit("chrf"))])
    assert main_metrics(both) == {"math": "accuracy"}
    marked = with_main(both, {"math": "chrf"})
    assert main_metrics(marked) == {"math": "chrf"} and {panel.metric for panel in main_panels(marked)} == {"chrf"}
    made = summarize(marked, GROUPS)
    assert made.filter("main")["metric"].unique().to_list() == ["chrf"]
    shown = {table.metric: table.main for table in metric_tables(made, GROUPS, ["a"])}
    assert shown == {"accuracy": False, "chrf": True}
    assert main_metrics(with_main(both, {})) == {"math": "accuracy"}, "nothing is marked: a judge failed"


def test_a_cell_without_scores_has_no_row_and_a_blank_has_no_zero() -> None:
    unscored = scores().with_columns(
        pl.when(pl.col("language") == "fr").then(None).otherwise(pl.col("value")).alias("value")
    )
    (made,) = metric_tables(summarize(unscored, GROUPS), GROUPS, ["base", "a"])
    assert list(made.rows) == ["a"]
    figures = dict(zip(made.columns, made.rows["a"], strict=True))
    assert figures["fr"].text == "" and figures["fr"].unscored == 3
    assert figures["seen"].text == "" and figures[PERFORMANCE].text == ""
    assert figures["en"].text == "83.3"


def test_runs_under_several_seeds_are_one_setting() -> None:
    made = random_scores({"base": 0.2, "x_seed-1": 0.5, "x_seed-2": 0.6, "x_seed-3": 0.4})
    design = Design({"x": ("x_seed-1", "x_seed-2", "x_seed-3")}, {"x": "x"})
    rows = {(row["cell"], row["group"]): row for row in summarize(made, GROUPS, design).iter_rows(named=True)}
    setting, run = rows["x", "unseen"], rows["x_seed-1", "unseen"]
    assert (setting["runs"], run["runs"]) == (3, 1) and setting["scored"] == 3 * run["scored"]
    assert setting["mean"] == pytest.approx(np.mean([rows[f"x_seed-{seed}", "unseen"]["mean"] for seed in (1, 2, 3)]))
    assert setting["high"] - setting["low"] > run["high"] - run["low"], "three seeds that differ are less certain"
    (compared,) = compare(main_panels(made), GROUPS, design).filter(pl.col("group") == "unseen").iter_rows(named=True)
    assert (compared["cell"], compared["other"], compared["runs"]) == ("x", "base", 3)
    assert compared["difference"] == pytest.approx(0.3, abs=0.05) and compared["test"] == "t over items and runs"


def test_settings_are_compared_with_their_reference_and_the_base() -> None:
    made = random_scores({"base": 0.2, "amount-0": 0.4, "amount-9": 0.6})
    design = Design(
        {"amount-0": ("amount-0",), "amount-9": ("amount-9",)}, {"amount-0": "amount-0", "amount-9": "amount-0"}
    )
    found = compare(main_panels(made), GROUPS, design)
    pairs = set(found.select("cell", "other").iter_rows())
    assert pairs == {("amount-0", "base"), ("amount-9", "base"), ("amount-9", "amount-0")}
    assert found["p_adjusted"].is_between(found["p"], 1.0).all()
    real = found.filter((pl.col("other") == "amount-0") & (pl.col("group") == "unseen")).row(0, named=True)
    assert real["difference"] == pytest.approx(0.2, abs=0.05) and real["low"] > 0 and real["p_adjusted"] < 0.01
    assert 0 < real["detectable"] < 0.1


def test_a_single_run_is_not_compared_with_several_as_if_it_had_no_luck_of_its_own() -> None:
    made = random_scores({"base": 0.2, "a-1": 0.5, "a-2": 0.6, "a-3": 0.4, "b-2": 0.45})
    design = Design({"a": ("a-1", "a-2", "a-3"), "b": ("b-1", "b-2", "b-3")}, {"a": "a", "b": "a"})
    found = compare(main_panels(made), GROUPS, design).filter((pl.col("cell") == "b") & (pl.col("group") == "unseen"))
    to_a, to_base = (found.filter(pl.col("other") == other).row(0, named=True) for other in ("a", "base"))
    assert to_a["runs"] == 1 and to_a["difference"] == pytest.approx(-0.05, abs=0.05), "of a's mean"
    assert to_a["p"] > 0.3 and to_a["high"] - to_a["low"] > 0.4, "runs of a differ by 0.1, and b has one"
    assert to_base["runs"] == 1 and to_base["p"] > 0.05
    of_a = compare(main_panels(made), GROUPS, design).filter((pl.col("cell") == "a") & (pl.col("other") == "base"))
    assert of_a["runs"].to_list() == [3] * len(of_a)


def test_a_setting_of_one_seed_has_figures_under_its_own_name() -> None:
    made = random_scores({"a_seed-1": 0.5})
    cells = summarize(made, GROUPS, Design({"a": ("a_seed-1",)}))["cell"].unique().sort().to_list()
    assert cells == ["a", "a_seed-1"]


def test_a_blank_takes_only_the_point_that_it_is_of() -> None:
    made = random_scores({"0": 0.2, "10": 0.4, "20": 0.6})
    blank = (pl.col("cell") == "10") & (pl.col("language") == "ja")
    made = made.with_columns(value=pl.when(blank).then(None).otherwise(pl.col("value")))
    found = {each.group: each for each in curve_findings(main_panels(made), GROUPS, curve((0, 10, 20)))}
    assert {name: each.points for name, each in found.items()} == {
        "seen": 3, "unseen": 2, OTHERS: 2, "all": 2, "far": 2,
    }  # fmt: skip
    assert found[OTHERS].gap_closed.mean is not None
    first = made.filter(pl.col("cell") != "0")
    without = {each.group: each for each in curve_findings(main_panels(first), GROUPS, curve((0, 10, 20)))}
    assert without["seen"].gap_closed.mean is None, "not from the first amount there happens to be"
    assert OTHERS not in without


def curve(amounts: tuple[float, ...]) -> Design:
    names = tuple(f"{amount:g}" for amount in amounts)
    return Design({name: (name,) for name in names}, curves=(Curve("", "amount", amounts, names),))


def test_the_best_donor_is_named_with_what_it_is_compared_with() -> None:
    def told(*gains: float) -> list[str]:
        base = np.random.default_rng(0).random((40, 2))
        values = np.stack([base, *(base + gain + 0.05 * np.tile([[1], [-1]], (20, 1)) for gain in gains)])
        panel = Panel("math", "accuracy", ("base", "en", "fr"), ("en", "fr"), values)
        sources = {"en": Source("math", "en"), "fr": Source("math", "fr")}
        design = Design({"en": ("en",), "fr": ("fr",)})
        found = sentences(summarize(scores(), GROUPS), compare([], GROUPS, design), [], GROUPS, design, {},
                          Transfer.of([panel], sources, design))  # fmt: skip
        return [each for each in found if "trained on" in each]

    (sure,) = told(0.1, 0.0)
    assert sure.startswith("math: English, one of 2 languages trained on, helps other languages most: +10.0 (95 % CI ")
    assert "against base (of these trained models: p < 0.001)" in sure
    (chance,) = told(0.005, 0.0)
    assert "against base; this difference is within noise (of these trained models: p = " in chance
    assert told(0.1, 0.1) == [], "none is highest"


def test_gap_closed_is_undefined_where_english_may_be_nothing() -> None:
    zeros = table({(cell, language): [0.0] * 8 for cell in ("0", "10", "20") for language in GROUPS.all})
    for each in curve_findings(main_panels(zeros), GROUPS, curve((0, 10, 20))):
        assert (each.gap_closed.mean, each.gap_closed_published, each.correlation) == (None, None, None)
    summary = {row["group"]: row for row in summarize(zeros, GROUPS).iter_rows(named=True)}
    assert summary[GAP]["mean"] == 0.0 and summary[GAP]["low"] is None


def test_sentences_say_what_is_best_and_whether_that_is_real() -> None:
    design = Design({"amount-0": ("amount-0",), "amount-9": ("amount-9",)}, {"amount-9": "amount-0"})
    models = "of these trained models: p < 0.001"
    noise = "between these trained models, this difference is within noise (p = "
    verdicts = {0.2: f"above amount-0 ({models}).", 0.001: f"above amount-0; {noise}"}
    for gain, verdict in verdicts.items():
        made = random_scores({"base": 0.2, "amount-0": 0.4, "amount-9": 0.4 + gain})
        summary, compared = summarize(made, GROUPS, design), compare(main_panels(made), GROUPS, design)
        told = sentences(summary, compared, [], GROUPS, design, {"amount-0": 60.0, "amount-9": 120.0})
        best = [
            each for each in told if each.startswith("math: amount-9 scores highest on seen languages (secondary): ")
        ]
        assert len(best) == 1 and verdict in best[0], told
        assert told[0].startswith("Each mixture was trained under one seed"), told
        assert told[1].startswith("math: amount-9 scores highest on unseen languages: "), "the primary group is first"
        took = "cost: training took from 1 min 00 s (amount-0) to 2 min 00 s (amount-9) as the machine was"
        assert told[-1] == f"{took}, with what else ran on it."
    same = table({(cell, language): [0.0] * 9 for cell in design.settings for language in GROUPS.all})
    told = sentences(
        summarize(same, GROUPS, design), compare(main_panels(same), GROUPS, design), [], GROUPS, design, {}
    )
    assert "math: the 2 mixtures score the same on unseen languages, 0.0 (95 % CI 0.0–29.9)." in told


def test_learning_and_forgetting_over_checkpoints() -> None:
    steps, values = [300, 100, 200, 400], [1.0, 0.2, 0.985, 0.7]
    assert learn_step(steps, values) == 200 and forgetting(steps, values) == pytest.approx(0.3)
    assert learn_step([1], [None]) is None and forgetting([1, 2], [0.5, None]) is None
    assert learn_step([1, 2, 3], [None, 0.5, 0.5]) == 2
    assert learn_step([1, 2], [0.0, 0.0]) is None and learn_step([1, 2], [-0.2, -0.1]) is None, "nothing is learned"


def test_the_interval_of_a_learn_step_holds_the_truth() -> None:
    """Items are learned one after another, all before checkpoint 500, and luck decides which are answered."""
    rng = np.random.default_rng(0)
    steps, chances = [100.0, 200, 300, 400, 500, 600], np.array([0.2, 0.4, 0.6, 0.75, 0.9, 0.9])
    held, widths = 0, []
    for _ in range(60):
        scores = (rng.random((6, 250)) < chances[:, None]).astype(np.float64)
        replicates = bootstrap_means(scores[:, :, None], 400)[:, :, 0]
        figures = learning(steps, scores.mean(axis=1).tolist(), replicates)
        assert figures.low is not None and figures.high is not None and figures.learn_step is not None
        held += figures.low <= 500 <= figures.high
        widths.append(figures.high - figures.low)
    assert held >= 54  # 95 % of 60 are 57
    assert np.mean(widths) < 200


def test_learning_states_what_the_checkpoints_leave_open() -> None:
    figures = learning([300, 100, 200], [0.8, 0.2, 1.0])
    assert (figures.learn_step, figures.before, figures.low) == (200, 100, None)
    assert figures.forgetting == pytest.approx(0.2) and figures.forgetting_share == pytest.approx(0.2)


def test_forgetting_has_an_interval_only_where_it_is_no_maximum() -> None:
    values = np.random.default_rng(0).random((3, 40, 3))
    panel = Panel("table", "score", ("1", "2", "3"), ("en", "fr", "ja"), values)
    baselines: dict[str, list[float] | None] = {"random": None, "alone": None}
    three = continual_estimates(panel, ("1", "2", "3"), ("en", "fr", "ja"), baselines)
    two = continual_estimates(panel, ("1", "2"), ("en", "fr"), baselines)
    assert three["forgetting"].mean is not None and three["forgetting"].low is None
    assert two["forgetting"].low is not None and three["backward"].low is not None and three["final"].low is not None


def test_continual_metrics_by_hand() -> None:
    stages = np.array([[0.8, 0.3, 0.1], [0.6, 0.9, 0.3], [0.5, 0.7, 0.9]])
    by_hand = {
        "final": 0.7,
        "forgetting": np.mean([0.2, np.mean([0.3, 0.2])]),
        "backward": np.mean([-0.2, np.mean([-0.3, -0.2])]),
        "forward": np.mean([0.2, np.mean([0.0, 0.2])]),
        "forward_1": np.mean([0.2, 0.2]),
        "forward_2": 0.0,
        "transfer": np.mean([0.1, 0.1]),
    }
    baselines = {"random": [0.1, 0.1, 0.1], "alone": [0.8, 0.8, 0.8]}
    assert continual(stages, **baselines) == pytest.approx(by_hand)
    assert continual(stages) == pytest.approx({key: by_hand[key] for key in ("final", "forgetting", "backward")})
    assert continual(stages[:1, :1]) == {"final": pytest.approx(0.8)}
    twice = continual(np.stack([stages, stages + 0.1]), **baselines)
    assert twice["final"] == pytest.approx([0.7, 0.8]) and twice["backward"] == pytest.approx([by_hand["backward"]] * 2)
    with pytest.raises(ValueError, match="N × N"):
        continual(stages[:2])


@pytest.mark.parametrize(
    "scramble", [lambda frame: frame.reverse(), lambda frame: frame.sample(fraction=1, shuffle=True, seed=1)]
)
def test_the_order_of_rows_changes_no_figure(scramble: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    made = random_scores({"a": 0.5, "b": 0.4})
    key = ["cell", "group"]
    one, other = (summarize(each, GROUPS).sort(key).select(*key, "mean", "scored") for each in (made, scramble(made)))
    assert one.select(key).equals(other.select(key))
    assert one["mean"].to_list() == pytest.approx(other["mean"].to_list())


def test_each_base_model_has_a_transfer_matrix_of_its_own() -> None:
    """What is trained on another base is no rival, and no source of the same language twice."""
    cells = {"base-a": 0.2, "base-b": 0.5, "a-en": 0.3, "a-fr": 0.4, "b-en": 0.6, "b-fr": 0.55}
    (panel,) = main_panels(random_scores(cells))
    bases = {name: f"base-{name[0]}" for name in cells if not name.startswith("base")}
    design = Design({name: (name,) for name in bases}, bases=bases)
    sources = {name: Source("math", name[2:], other=base) for name, base in bases.items()}
    made = Transfer.by_base([panel], sources, design)
    gains = {(row["cell"], row["target"]): row["difference"] for row in made.transfer.iter_rows(named=True)}
    assert gains["a-en", "ja"] == pytest.approx(0.1, abs=0.05) == pytest.approx(gains["b-en", "ja"], abs=0.05)
    assert made.transfer.select("base", "other").unique().sort("base").rows() == [("base-a",) * 2, ("base-b",) * 2]
    assert made.donors.group_by("base").len().sort("base")["len"].to_list() == [2, 2]
    assert {base: part.donors["source"].sort().to_list() for base, part in made.parts().items()} == {
        "base-a": ["en", "fr"],
        "base-b": ["en", "fr"],
    }
    rows = compare([panel], GROUPS, design)
    assert set(rows.select("cell", "other").unique().rows()) == set(bases.items())


def test_no_interval_of_a_difference_is_farther_from_0_than_two_scores_can_be() -> None:
    groups = LanguageGroups(("en", "fr"), ("ar",))
    shares = {"base": 0.0, "few_seed-0": 0.99, "few_seed-1": 0.6, "few_seed-2": 0.99}
    scores = table({(cell, language): [float(item < 20 * share * (language != "ar")) for item in range(20)]
                    for cell, share in shares.items() for language in groups.all})  # fmt: skip
    design = Design({"few": ("few_seed-0", "few_seed-1", "few_seed-2")}, {"few": "base"})
    found = compare(main_panels(scores), groups, design).filter(pl.col("difference").is_not_null())
    assert found["high"].max() == 1.0 and found["difference"].max() < 1
    gaps = summarize(scores, groups, design).filter(group="seen_minus_unseen", metric="accuracy").drop_nulls("high")
    assert gaps["high"].max() <= 1.0

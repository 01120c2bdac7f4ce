"""Seen and unseen are each cell's own, from what it is trained on."""

from __future__ import annotations

from io import StringIO

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from benchmarks.validity import OWN, Condition, groups_measured, study_of_groups
from eval.analysis.comparisons import compare, family_of
from eval.analysis.curves import curve_findings
from eval.analysis.design import BASE, Curve, Design
from eval.analysis.groups import GAP, HELD_OUT, SEEN, STUDY_SEEN, UNSEEN, LanguageGroups
from eval.analysis.selection import highest_settings
from eval.analysis.summary import main_panels, summarize
from eval.report.page import Page
from eval.report.picture_data import figure_rows
from eval.report.tables import metric_tables
from eval.report.terminal import print_tables
from eval.report.verdicts import Changes

STUDY = ("en", "es", "fr", "ja", "zh"), ("ar", "ko", "pt")
TRAINED = {"none": ("en",), "latin": ("en", "es", "fr"), "other": ("en", "ja", "zh")}
PLACES = {"none": {"scripts": "latin", "amount": 0}, "latin": {"scripts": "latin", "amount": 9},
          "other": {"scripts": "other", "amount": 9}}  # fmt: skip
GROUPS = LanguageGroups(*STUDY, named={"Latin": ("es", "fr", "pt")}, trained=TRAINED)
CURVES = tuple(Curve(f"scripts {name}", "amount", (0, 9), ("none", name)) for name in ("latin", "other"))
DESIGN = Design({name: (name,) for name in TRAINED}, dict.fromkeys(TRAINED, "none"), CURVES)


@pytest.fixture(scope="module")
def scores() -> pl.DataFrame:
    """What a cell is trained on it always gets right, else two of five items, whatever the language."""
    rows = [
        {"cell": cell, "task": "math", "language": language, "item": str(item), "metric": "accuracy",
         "value": float(language in TRAINED.get(cell, ()) or (item + place) % 5 < 2), "version": "1", "reason": None,
         "id": f"{item}@{language}", "main": True}
        for cell in (BASE, *TRAINED) for place, language in enumerate((*STUDY[0], *STUDY[1])) for item in range(20)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema_overrides={"reason": pl.String})


def test_each_cell_has_seen_what_it_is_trained_on() -> None:
    assert GROUPS.of("latin").means()[SEEN] == ("es", "fr")
    assert GROUPS.of("latin").means()[UNSEEN] == ("ja", "zh", "ar", "ko", "pt")
    assert GROUPS.of("other").means()[SEEN] == ("ja", "zh")
    assert SEEN not in GROUPS.of("none").means() and GROUPS.of("none").means()[UNSEEN] == (*STUDY[0][1:], *STUDY[1])
    assert not {SEEN, UNSEEN} & set(GROUPS.of(BASE).means()), "of the untuned model that is not known"
    for names in ((), ("latin",), (BASE,), ("none", "other")):
        means = GROUPS.of(*names).means()
        assert (
            means[STUDY_SEEN] == STUDY[0][1:] and means[HELD_OUT] == STUDY[1] and means["Latin"] == ("es", "fr", "pt")
        )
    assert GROUPS.of("latin", "other").means()[UNSEEN] == STUDY[1]


def test_where_all_cells_have_seen_the_same_there_is_nothing_to_tell_apart() -> None:
    alike = LanguageGroups(*STUDY, trained={"a": STUDY[0], "b": STUDY[0][::-1]})
    known_of_none = LanguageGroups(*STUDY)
    assert alike.of("a").means() == known_of_none.means() == known_of_none.of("a").means()
    assert alike.primary_of("math") == UNSEEN and GROUPS.primary_of("math") == HELD_OUT


def test_a_summary_has_each_cells_own_groups(scores: pl.DataFrame) -> None:
    summary = summarize(scores, GROUPS, DESIGN)
    own = {(row["cell"], row["group"]): (row["languages"], round(row["mean"], 6))
           for row in summary.filter(pl.col("group").is_in([SEEN, UNSEEN, GAP])).iter_rows(named=True)}  # fmt: skip
    assert own == {
        ("none", UNSEEN): ("es fr ja zh ar ko pt", 0.4),
        ("latin", SEEN): ("es fr", 1.0),
        ("latin", UNSEEN): ("ja zh ar ko pt", 0.4),
        ("latin", GAP): ("es fr ja zh ar ko pt", 0.6),
        ("other", SEEN): ("ja zh", 1.0),
        ("other", UNSEEN): ("es fr ar ko pt", 0.4),
        ("other", GAP): ("ja zh es fr ar ko pt", 0.6),
    }
    (table,) = metric_tables(summary, GROUPS, (BASE, *TRAINED))
    assert table.figure("latin", SEEN) and table.figure(BASE, SEEN) is None
    assert set(table.columns) >= {SEEN, UNSEEN, STUDY_SEEN, HELD_OUT, "Latin"}


def test_differences_are_of_the_same_languages_of_both(scores: pl.DataFrame) -> None:
    table = compare(main_panels(scores), GROUPS, DESIGN)
    found = {(row["cell"], row["other"], row["group"]): (row["languages"], row["difference"])
             for row in table.iter_rows(named=True)}  # fmt: skip
    assert found["latin", "none", SEEN] == ("es fr", pytest.approx(0.6))
    assert found["other", BASE, SEEN] == ("ja zh", pytest.approx(0.6))
    assert found["latin", "none", UNSEEN] == ("ja zh ar ko pt", pytest.approx(0.0))
    assert ("none", BASE, SEEN) not in found
    assert set(table.filter("primary")["group"]) == {HELD_OUT}


def test_a_curve_has_seen_what_its_points_are_trained_on(scores: pl.DataFrame) -> None:
    found = {(each.curve, each.group): each for each in curve_findings(main_panels(scores), GROUPS, DESIGN)}
    for curve in ("scripts latin", "scripts other"):
        assert (found[curve, SEEN].points, found[curve, SEEN].best) == (2, 9)
    page = Page("s", "m", BASE, GROUPS, (), PLACES, "amount", summarize(scores, GROUPS, DESIGN), scores,
                also={"none": [{"scripts": "other", "amount": 0}]})  # fmt: skip
    drawn = figure_rows(page, "math", Changes(BASE, {})).filter(group=SEEN)
    points = {(row["series"], row["x"]): (row["cell"], round(row["mean"], 6)) for row in drawn.iter_rows(named=True)}
    assert points == {
        ("scripts latin", 0.0): ("none", 40.0),
        ("scripts latin", 9.0): ("latin", 100.0),
        ("scripts other", 0.0): ("none", 40.0),
        ("scripts other", 9.0): ("other", 100.0),
    }, "the untuned model is on neither, as they are of other languages"


def test_what_is_ranked_is_of_the_same_languages(scores: pl.DataFrame) -> None:
    ranked = set(highest_settings(main_panels(scores), GROUPS, DESIGN)["group"])
    assert ranked == {STUDY_SEEN, HELD_OUT, "Latin", "non_pivot", "all"}


def test_a_seed_more_pools_the_variance_of_each_settings_own_languages() -> None:
    rng = np.random.default_rng(0)
    runs = {name: (f"{name}_0", f"{name}_1") for name in TRAINED}
    rows = [
        {"cell": run, "task": "math", "language": language, "item": str(item), "metric": "accuracy",
         "value": float(rng.random() < 0.5), "version": "1", "reason": None, "id": f"{item}@{language}", "main": True}
        for each in runs.values() for run in each for language in (*STUDY[0], *STUDY[1]) for item in range(20)
    ]  # fmt: skip
    trained = TRAINED | {run: TRAINED[name] for name, each in runs.items() for run in each}
    groups = LanguageGroups(*STUDY, trained=trained)
    made = Design(runs, dict.fromkeys(runs, "none"))
    table = compare(main_panels(pl.DataFrame(rows, schema_overrides={"reason": pl.String})), groups, made)
    assert table.filter(group=SEEN)["languages"].to_list() == ["es fr", "ja zh"]
    assert table["p_adjusted"].null_count() == 0 and set(table["runs"]) == {2}


def test_the_terminal_marks_what_a_cell_has_not_seen(scores: pl.DataFrame) -> None:
    console = Console(file=StringIO(), width=200)
    print_tables(metric_tables(summarize(scores, GROUPS, DESIGN), GROUPS, (BASE, *TRAINED)), GROUPS, console)
    assert isinstance(console.file, StringIO)
    lines = {line.split()[0]: line.split() for line in console.file.getvalue().splitlines() if line.strip()}
    assert lines["cell"][1:9] == ["en", "es", "fr", "ja", "zh", "ar*", "ko*", "pt*"], "which no cell has seen"
    assert lines["latin"][1:9] == ["100.0", "100.0", "100.0", "40.0*", "40.0*", "40.0", "40.0", "40.0"]
    assert lines["other"][1:6] == ["100.0", "40.0*", "40.0*", "100.0", "100.0"]
    assert not any("*" in figure for figure in lines[BASE])
    assert "means of seen languages are without English" in console.file.getvalue()


def test_families_of_groups_that_differ_by_cell_are_right() -> None:
    """50 simulated studies of eight mixtures that see other languages; the full table is `benchmarks/validity.py`'s."""
    row = groups_measured(Condition(3, 3.2, 50), 50)
    assert all(share <= 0.14 for share in row.false.values()), row.false
    assert all(0.6 <= share <= 0.95 for share in row.power.values()), row.power


def test_a_comparison_in_other_languages_has_the_seeds_variance_of_these() -> None:
    """Of the same seeds a mean over one language varies more than one over five."""
    panel, design = study_of_groups(np.random.default_rng(0), Condition(3, 0.0, 50))
    family = family_of(panel, OWN, design, "seen")
    widths: dict[int, list[float]] = {}
    for made in family:
        widths.setdefault(len(made["languages"].split()), []).append(made["high"] - made["low"])
    means = [np.mean(widths[count]) for count in sorted(widths)]
    assert sorted(widths) == [1, 2, 4] and means == sorted(means, reverse=True) and means[0] > 1.5 * means[-1]

"""The few-shot law: known coefficients come back, and the n that halves the gap is where the line crosses its half."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import linregress, t

from eval.analysis.design import Curve, Design
from eval.analysis.few_shot import few_shot_laws, fitted, law_row
from eval.analysis.summary import main_panels
from eval.report.files import write_page
from eval.report.gallery import gallery
from eval.report.page import Page
from tests.support import REPOSITORY, harness
from tests.synthetic import study_page

GUIDE = REPOSITORY.parent / "shared" / "data" / "guide_tables.csv"
AMOUNTS = np.array([0.0, 10, 30, 100, 300, 1000])


def test_it_recovers_the_coefficients_of_simulated_scores() -> None:
    drawn = np.random.default_rng(0)
    held = np.zeros(3)
    for _ in range(400):
        scores = 0.3 + 0.1 * np.log10(1 + AMOUNTS) + drawn.normal(0, 0.02, len(AMOUNTS))
        intercept, slope, r_squared, gap = fitted(AMOUNTS, scores, 0.7)
        assert r_squared is not None and r_squared > 0.7
        for place, (figure, true) in enumerate(((intercept, 0.3), (slope, 0.1), (gap, 99.0))):
            assert figure.low is not None and figure.high is not None
            held[place] += figure.low <= true <= figure.high
    assert (held > 0.92 * 400).all() and (held < 0.98 * 400).all()


@given(st.lists(st.floats(0, 1), min_size=6, max_size=6).filter(lambda scores: max(scores) - min(scores) > 1e-3))
def test_it_is_ordinary_least_squares(drawn: list[float]) -> None:
    scores = np.array(drawn)
    theirs = linregress(np.log10(1 + AMOUNTS), scores)
    intercept, slope, r_squared, _ = fitted(AMOUNTS, scores)
    assert (intercept.mean, slope.mean) == pytest.approx((theirs.intercept, theirs.slope), abs=1e-9)
    assert r_squared == pytest.approx(theirs.rvalue**2, abs=1e-9)
    assert slope.high is not None and slope.mean is not None and intercept.high is not None
    assert slope.high - slope.mean == pytest.approx(t.ppf(0.975, 4) * theirs.stderr, abs=1e-9)
    assert intercept.high - (intercept.mean or 0) == pytest.approx(t.ppf(0.975, 4) * theirs.intercept_stderr, abs=1e-9)


def test_half_the_gap_is_where_the_line_crosses_it() -> None:
    _, _, r_squared, gap = fitted(AMOUNTS, 0.2 + 0.1 * np.log10(1 + AMOUNTS), 0.6)
    assert r_squared == pytest.approx(1) and gap.mean == pytest.approx(99) and gap.low == pytest.approx(99)
    for scores, pivot in ((0.5 - 0.1 * np.log10(1 + AMOUNTS), 0.6), (0.2 + 0.1 * np.log10(1 + AMOUNTS), 0.1)):
        assert fitted(AMOUNTS, scores, pivot)[3].mean is None, "a fall, or nothing to close"
    uneven = 0.5 + 0.1 * np.log10(1 + AMOUNTS) + np.array([0.02, -0.02, 0.02, -0.02, 0.02, -0.02])
    assert fitted(AMOUNTS, uneven, 0.9)[3].mean is not None
    assert fitted(AMOUNTS, uneven, 0.51)[3].mean is None, "the gap is as small as what the points are off the line"
    assert fitted(AMOUNTS, np.full(6, 0.5), 0.6)[2] is None, "nothing varies, so nothing is explained"


def test_analyze_gives_the_law_of_each_language(tmp_path: Path) -> None:
    rows = [
        {"n": n, "run": run, "language": language, "score": start + slope * math.log10(1 + n) + run / 100}
        for n in (0, 9, 99, 999)
        for run in (0, 1)
        for language, start, slope in (("en", 0.8, 0.0), ("fr", 0.4, 0.1), ("ar", 0.2, 0.0))
    ]
    pl.DataFrame(rows).write_csv(tmp_path / "few.csv")
    options = ("analyze", tmp_path / "few.csv", "--x", "n", "--seen", "fr", "--unseen", "ar")
    (part,) = json.loads(harness(*options, "--json").stdout)["analyses"]
    laws = {law["group"]: law for law in part["few_shot"]}
    assert {"fr", "ar"} <= set(laws) and "en" not in laws
    assert laws["fr"]["slope"]["mean"] == pytest.approx(0.1) and laws["fr"]["slope"]["n"] == 8
    assert laws["fr"]["halves_gap"]["mean"] == pytest.approx(99) and not laws["fr"]["beyond"]
    assert laws["ar"]["halves_gap"]["mean"] is None
    shown = harness(*options).stdout
    assert "fr: 0.405 + 0.100 · log10(1 + n)" in shown and "half of the gap to English at n 99" in shown
    steps = pl.DataFrame(rows).rename({"n": "step"})
    steps.write_csv(tmp_path / "steps.csv")
    (part,) = json.loads(
        harness("analyze", tmp_path / "steps.csv", "--x", "step", "--seen", "fr", "--unseen", "ar", "--json").stdout
    )["analyses"]
    assert part["few_shot"] == [], "steps are no examples"


def test_the_law_is_drawn_from_the_least_amount_on() -> None:
    """The axis of 16, 36, … is logarithmic: a point at 0 would lie infinitely far to the left of all others."""
    page = study_page(cells=4)
    settings = {name: {**place, "amount": float(place["amount"]) + 16} for name, place in page.settings.items()}
    amounts = tuple(float(place["amount"]) for place in settings.values())
    design = Design({name: (name,) for name in settings}, curves=(Curve("", "amount", amounts, (*settings,)),))
    laws = few_shot_laws(main_panels(page.scores), page.groups, design)
    drawn = gallery(replace(page, few_shot=laws, settings=settings)).data["math"].filter(kind="law")
    assert drawn["x"].min() == pytest.approx(16) and drawn["x"].max() == pytest.approx(76)


def test_the_report_draws_the_law_and_lists_it(tmp_path: Path) -> None:
    page = study_page(cells=4)
    amounts = tuple(float(place["amount"]) for place in page.settings.values())
    design = Design(
        {name: (name,) for name in page.settings}, curves=(Curve("", "amount", amounts, (*page.settings,)),)
    )
    laws = few_shot_laws(main_panels(page.scores), page.groups, design)
    page = replace(page, few_shot=laws)
    shown = gallery(page)
    drawn = shown.data["math"].filter(kind="law")
    (es,) = [law for law in laws if law.group == "es"]
    line = drawn.filter(group="es").sort("x")
    assert line["x"].min() == 0 and line["x"].max() == pytest.approx(60)
    assert line["mean"].to_list() == pytest.approx([100 * es.at(amount) for amount in line["x"]])
    assert "law" not in set(shown.data["overview-math"]["kind"]) and len(drawn) == 25 * 7, "of no group, nor the pivot"
    write_page(tmp_path, page, shown)
    text = (tmp_path / "report.html").read_text()
    assert "halves the gap at" in text and "halves the gap at" not in html_of(study_page(cells=2), tmp_path)
    assert {"slope_low", "halves_gap_high", "beyond", "points"} <= set(law_row(es))


def test_curves_that_begin_at_one_cell_have_lines_of_their_own() -> None:
    page = study_page(cells=5)
    shared, *others = page.settings
    branches = {"fr": (shared, *others[:2]), "ja": (shared, *others[2:])}
    settings = {name: {"amount": 20 * (place % 2 + 1), "sources": "fr" if place < 2 else "ja"}
                for place, name in enumerate(others)}  # fmt: skip
    curves = tuple(Curve(f"sources {name}", "amount", (0, 20, 40), cells) for name, cells in branches.items())
    design = Design({name: (name,) for name in page.settings}, curves=curves)
    laws = few_shot_laws(main_panels(page.scores), page.groups, design)
    page = replace(page, few_shot=laws, settings={shared: {"amount": 0, "sources": "fr"}, **settings})
    drawn = gallery(page).data["math"].filter(kind="law", group="es")
    assert {series: len(rows) for (series,), rows in drawn.group_by("series")} == {"sources fr": 25, "sources ja": 25}


def html_of(page: Page, folder: Path) -> str:
    write_page(folder, page, gallery(page))
    return (folder / "report.html").read_text()


@pytest.mark.skipif(not GUIDE.is_file(), reason="the guide's tables are not there")
def test_the_guides_published_points_follow_the_law_in_math() -> None:
    done = harness("analyze", GUIDE, "--x", "per_language", "--seen", "es,fr,ja,zh", "--unseen", "ar,ko,pt",
                   "--group", "model,task,train_languages", "--json")  # fmt: skip
    parts = {tuple(part["group"].values()): part["few_shot"] for part in json.loads(done.stdout)["analyses"]}
    assert len(parts) == 7 and all(len(laws) == 10 for laws in parts.values())
    table = pl.read_csv(GUIDE).filter(task="math", model="aya-23-8b", train_languages="en es fr ja zh")
    for law in parts["aya-23-8b", "math", "en es fr ja zh"]:
        points = table.filter(language=law["group"])
        if len(points):
            x, y = np.log10(1 + points["per_language"].to_numpy()), points["score"].to_numpy()
            assert [law["slope"]["mean"], law["intercept"]["mean"]] == pytest.approx(np.polyfit(x, y, 1).tolist())
        elif law["group"] == "non_pivot":
            assert law["r_squared"] > 0.97 and law["slope"]["low"] > 0.03

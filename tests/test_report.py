"""What a report says in tables, figures and files; tests/test_page.py looks at the page in a browser."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.analysis.comparisons import COMPARISONS
from eval.analysis.design import Design
from eval.analysis.groups import OTHERS, PERFORMANCE, Kind, LanguageGroups
from eval.analysis.stats import BY_FLIPS
from eval.analysis.summary import summarize
from eval.report.files import with_finite_figures, write_report
from eval.report.gallery import gallery
from eval.report.grid import Scale
from eval.report.headlines import Headline, headlines
from eval.report.html import html_page
from eval.report.latex import escaped, latex_table
from eval.report.page import Page, Selection
from eval.report.picture_data import QUANTITIES, confusion_rows, figure_rows, scale_of, training_rows
from eval.report.predictions import Browsed, browsed, safe, sampled
from eval.report.tables import best_cells, metric_tables
from eval.report.text_tables import comparison_tables, loss_table, missing_table, overview_table
from eval.report.units import duration
from eval.report.validation import selection_table
from eval.report.verdicts import Change, Changes, Verdict, disagree, verdict_of
from harness.errors import UserError
from harness.planning.kept_plan import planned_study
from harness.recipe.grid import cells_of
from harness.recipe.load import parse_recipe
from harness.reporting.report import axis_of_numbers, report_study
from tests.synthetic import study_page, tables, transfer

GROUPS = LanguageGroups(("en", "fr"), ("ja",))
UNTESTED = Changes("base", {})
LOSS = next(iter(QUANTITIES))


def summary(*rows: tuple[str, str, str, float | None]) -> pl.DataFrame:
    """Rows of cell, metric, group and mean, as `summarize` makes them."""
    return pl.DataFrame(
        [
            {"cell": cell, "task": "math", "metric": metric, "group": group, "languages": group, "mean": mean}
            | {"low": mean and mean - 0.05, "high": mean and mean + 0.05, "scored": 20 if mean is not None else 0}
            | {
                "unscored": 0 if mean is not None else 20,
                "no_answer": 0,
                "version": "scorer/1",
                "runs": 1,
                "main": True,
            }
            | {"kind": Kind.RATIO if group == PERFORMANCE else Kind.MEAN if group in GROUPS.means() else Kind.LANGUAGE}
            for cell, metric, group, mean in rows
        ]
    )


def test_figures_are_shown_in_their_metrics_unit() -> None:
    rated, share = metric_tables(
        summary(
            ("a", "judge_rating_switch_aware", "en", 4.2),
            ("a", "judge_rating_switch_aware", "performance_to_pivot", 0.913),
            ("a", "accuracy_in_language", "en", 0.4271),
        ),
        GROUPS,
        ["a"],
    )
    assert [figure.text for figure in rated.rows["a"] if figure] == ["4.20", "91.3"]
    assert [figure.interval for figure in rated.rows["a"] if figure] == ["4.15–4.25", "86–96"]
    assert [figure.text for figure in share.rows["a"] if figure] == ["42.7"]
    assert rated.title == "judge rating (worst score for an answer in another language), 1 to 5"
    assert share.title == "accuracy (of answers in the right language), %"


def test_figures_across_languages_carry_a_caution_where_words_are_cut_differently() -> None:
    languages = (("en", 0.3), ("ja", 0.2))
    rouge, alone, accuracy = metric_tables(
        summary(
            *(("a", "rouge_l", language, mean) for language, mean in (*languages, ("performance_to_pivot", 0.7))),
            *(("a", "rouge_2", language, mean) for language, mean in languages),
            *(("a", "accuracy", language, mean) for language, mean in (*languages, ("performance_to_pivot", 0.7))),
        ),
        GROUPS,
        ["a"],
    )
    assert "not on one scale; read performance to English only as differences between settings" in rouge.caution
    assert alone.caution == accuracy.caution == ""
    assert rouge.caution in latex_table(rouge, "study", (), UNTESTED)


def test_the_best_cell_is_a_trained_one_with_a_score_and_the_first_of_equals() -> None:
    worse = Change("−40.0", Verdict.WORSE, "p = 0.01", "ja")
    changes = Changes("base", {("math", "accuracy", "a", "unseen"): worse})
    found = metric_tables(
        summary(
            ("a", "accuracy", "ja", 0.5),
            ("base", "accuracy", "unseen", 0.9),
            ("a", "accuracy", "unseen", 0.5),
            ("b", "accuracy", "unseen", 0.5),
            ("c", "accuracy", "unseen", None),
            ("d", "accuracy", "unseen", 0.3),
        ),
        GROUPS,
        ["base", "a", "b", "c", "d"],
    )
    (best,) = best_cells(found, GROUPS, ("base",), changes)
    assert (best.cell, best.group, best.change) == ("a", "unseen", worse)
    (untested,) = best_cells(found, GROUPS, (), UNTESTED)
    assert untested.cell == "base" and untested.change is None


def test_what_is_missing_is_counted_apart_from_what_is_wrong() -> None:
    page = study_page(cells=1)
    table = missing_table(page.scores)
    counts = {(row[1], row[2], row[3]): row[4] for row in table.rows}
    accuracy = page.scores.filter(metric="accuracy")
    silent = accuracy.filter(pl.col("reason").is_not_null()).height
    assert counts["accuracy", "no answer found", "yes: as wrong"] == f"{silent} of {accuracy.height}" and silent
    untold = page.scores.filter(metric="language_pass")["value"].null_count()
    assert counts["language pass", "too short to tell", "no: unscored"] == f"{untold} of {accuracy.height}" and untold
    for row in table.rows:
        for column in row[5:]:
            assert sum(map(int, re.findall(r" (\d+)(?:,|$)", column))) == int(row[4].split()[0])
    assert missing_table(page.scores.filter(pl.col("reason").is_null())).rows == ()


def test_answers_in_the_right_in_another_and_in_an_unknown_language_are_all_answers() -> None:
    page = study_page(cells=1)
    (table,) = (each for each in gallery(page).tables if each.metric == "language_pass")
    rows = confusion_rows(table, page.groups.all)
    assert set(rows.group_by("cell", "group").agg(pl.col("count").sum())["count"]) == {12}
    assert rows.height == 2 * 8 * 3


def test_changes_are_from_the_untuned_model_or_else_from_the_first_cell() -> None:
    page = study_page(cells=2)
    rows = figure_rows(page, "math", UNTESTED).filter(metric="accuracy", group="en")
    means = dict(rows.select("cell", "mean").iter_rows())
    changes = dict(rows.select("cell", "change").iter_rows())
    assert changes["base"] == 0 and changes["amount-20"] == pytest.approx(means["amount-20"] - means["base"])
    page = dataclasses.replace(page, base=None, summary=page.summary.filter(pl.col("cell") != "base"))
    changes = dict(
        figure_rows(page, "math", UNTESTED).filter(metric="accuracy", group="en").select("cell", "change").iter_rows()
    )
    assert changes["amount-0"] == 0 and changes["amount-20"] == pytest.approx(means["amount-20"] - means["amount-0"])


def test_a_learning_curve_is_thinned_by_means() -> None:
    (cell,) = study_page(cells=1).cells
    losses = [float(step % 7) for step in range(1999)]
    page = dataclasses.replace(study_page(cells=1), cells=[dataclasses.replace(cell, loss=losses)])
    rows = training_rows(page).filter(quantity=LOSS)
    assert rows.height == 200 and rows["step"][-1] == 1999
    assert rows["value"].is_between(2, 4).all()
    page = dataclasses.replace(page, cells=[dataclasses.replace(cell, loss=losses[:5])])
    rows = training_rows(page).filter(quantity=LOSS)
    assert rows.select("cell", "step", "value").rows() == [
        ("amount-0", step + 1, loss) for step, loss in enumerate(losses[:5])
    ]
    assert loss_table(page.cells).rows == (("amount-0", "5", "0.000", "0.000", "1.000", "3.000", "4.000"),)


def test_curves_go_over_an_axis_on_which_cells_differ() -> None:
    page = study_page(cells=3)
    assert scale_of(page) == Scale("amount", (0, 20, 40))
    assert scale_of(dataclasses.replace(page, axis=None)) is None
    assert scale_of(dataclasses.replace(page, settings={"amount-0": {"amount": 0}})) is None
    assert Scale("amount", (0, 20, 40)).kind == "linear"
    assert Scale("amount", (0, 100, 5000)).kind == "symlog"
    assert Scale("rate", (1e-5, 1e-3)).kind == "log"


def test_the_axis_of_numbers_is_no_seed_and_no_name(recipe_data: dict[str, Any]) -> None:
    amount = {"path": "mixture.others.amount", "values": {"none": 0, "few": 3}}
    rank = {"path": "adapter.targets", "values": {"all": "all-linear"}}
    recipe_data["grid"] = {"targets": rank, "seed": {"path": "training.seed", "values": [0, 1]}, "amount": amount}
    recipe = parse_recipe(recipe_data)
    assert axis_of_numbers(recipe) == "amount"
    places = [dict(cell.place) for cell in cells_of(recipe, recipe_data)]
    assert places[0] == {"targets": "all", "seed": 0, "amount": 0} and places[-1]["amount"] == 3
    del recipe_data["grid"]["amount"]
    assert axis_of_numbers(parse_recipe(recipe_data)) is None


def test_a_report_is_a_page_with_tables_and_figures_for_papers(tmp_path: Path) -> None:
    page = study_page(cells=2)
    write_report(tmp_path, page)
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert {"report.html", "summary.csv", "summary.parquet", "tables/math-accuracy.tex"} <= written
    names = ("overview-math", "training", "math-curves", "math-heatmap", "math-scatter", "math-confusion")
    for ending, begins in (("svg", b"<svg"), ("png", b"\x89PNG"), ("pdf", b"%PDF")):
        for name in names:
            assert (tmp_path / "figures" / f"{name}.{ending}").read_bytes().startswith(begins), name
    assert pl.read_csv(tmp_path / "summary.csv").height == page.summary.height
    assert pl.read_parquet(tmp_path / "summary.parquet").equals(page.summary)
    assert not any("unfinished" in name or name.startswith("report_files") for name in written)


def test_a_figure_of_fewer_predictions_says_of_how_many() -> None:
    page = study_page(cells=1)
    (table,) = (each for each in gallery(page).tables if each.metric == "language_pass")
    counts = {
        column: table.count(figure) for column, figure in zip(table.columns, table.rows["base"], strict=True) if figure
    }
    scored = page.scores.filter(pl.col("value").is_not_null(), cell="base", metric="language_pass")
    for language in page.groups.all:
        there = scored.filter(language=language).height
        assert counts[language] == ("" if there == 12 else f"n={there}")
    others = scored.filter(pl.col("language") != "en").height
    assert others < 7 * 12 and counts[OTHERS] == f"n={others}"


def test_a_latex_table_has_every_figure_its_interval_and_what_it_rests_on() -> None:
    (table,) = metric_tables(
        summary(("base_1", "accuracy", "en", 0.421), ("a", "accuracy", "en", None)), GROUPS, ["base_1", "a"]
    )
    text = latex_table(table, "study & co", ("ja",), UNTESTED)
    for part in (
        r"\toprule", r"\midrule", r"\bottomrule", r"base\_1 & 42.1 \\", r"{\scriptsize 37--47}", r"study \& co",
        "20 items per language", "scorer/1", r"accuracy, \%", r"a &  \\",
    ):  # fmt: skip
        assert part in text, part


@given(st.text(alphabet="\\&%$#_{}~^ab "))
def test_latex_shows_what_the_text_says(text: str) -> None:
    spelled = {r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^"}
    read = re.sub(r"\\text[a-z]+\{\}|\\[&%$#_{}]", lambda found: spelled.get(found[0], found[0][1:]), escaped(text))
    assert read == text
    assert re.sub(r"\\text[a-z]+\{\}|\\[&%$#_{}]", "", escaped(text)).strip("ab ") == ""


@given(st.recursive(st.text() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_data_in_the_page_says_the_same_and_ends_no_script(data: Any) -> None:
    text = safe(json.dumps(data, ensure_ascii=False))
    assert json.loads(text) == data and "<" not in text


@given(items=st.integers(1, 30), cells=st.integers(1, 3), most=st.integers(1, 400))
def test_a_sample_has_the_same_items_for_all_cells_and_languages(items: int, cells: int, most: int) -> None:
    names = [f"cell-{number}" for number in range(cells)]
    predictions, _ = tables(names, ["math", "summarization"], ["en", "ar"], items)
    sample = sampled(predictions, most)
    assert sample.height <= max(most, 2 * 2 * cells)
    per_task = sample.group_by("task", "cell", "language").agg(pl.col("item").sort())
    assert all(part["item"].n_unique() == 1 for part in per_task.partition_by("task"))
    assert set(sample["task"]) == {"math", "summarization"}
    assert sampled(predictions, most + 1)["item"].is_in(sample["item"].to_list()).sum() >= sample.height


def test_the_browser_has_every_prediction_at_its_item() -> None:
    page = study_page(cells=2)
    assert page.predictions is not None
    lost = pl.col("cell").eq("amount-0") & pl.col("id").eq("math-3/ja")
    predictions = page.predictions.filter(~lost)
    found = browsed(predictions, page.scores)
    assert (found.shown, found.total) == (predictions.height, predictions.height)
    seen = 0
    for chunk in found.chunks:
        data = json.loads(chunk.text)
        for cell, written in data["cells"].items():
            there = predictions.filter(cell=cell, task=chunk.task, language=chunk.language)
            texts = dict(there.select("id", "completion").iter_rows())
            assert written["completion"] == [texts.get(each) for each in data["items"]["id"]]
            scores = page.scores.filter(cell=cell, task=chunk.task, language=chunk.language, metric="accuracy")
            values = dict(scores.select("id", "value").iter_rows())
            assert written["scores"]["accuracy"]["value"] == [values[each] for each in data["items"]["id"]]
            seen += sum(text is not None for text in written["completion"])
    assert seen == predictions.height


def test_a_report_says_what_is_not_there_and_what_it_is_of(
    recipe_data: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    study = planned_study(write_recipe(recipe_data), tmp_path / "runs")
    predictions, scores = tables(["base"], ["math"], ["en", "fr", "ja"], 3)
    study.folder.mkdir(exist_ok=True)
    predictions.write_parquet(study.folder / "predictions.parquet")
    scores.write_parquet(study.folder / "scores.parquet")
    summary = report_study(study, None).summary
    assert set(summary["cell"]) == {"base"}
    text = (study.folder / "report.html").read_text(encoding="utf-8")
    for part in ("not evaluated: amount-0, amount-3", "<dd>not trained</dd>", "path: mixture.others.amount"):
        assert part in text, part
    gone = scores.with_columns(cell=pl.lit("amount-0"), weights=pl.lit("one that is gone"))
    gone.write_parquet(study.folder / "scores.parquet")
    with pytest.raises(UserError, match="only of amount-0; run: harness eval"):
        report_study(study, None)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(27.4, "27 s"), (386, "6 min 26 s"), (11_130, "3 h 05 min"), (59.9, "1 min 00 s")],
)
def test_times_are_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_parts_that_a_study_does_not_have_are_left_out(tmp_path: Path) -> None:
    page: Page = study_page(cells=1, tasks=["summarization"], unseen=(), seen=("en",), predictions=None, axis=None)
    shown = gallery(page)
    assert [picture.name for picture in shown.tasks["summarization"]] == [
        "summarization-curves",
        "summarization-heatmap",
        "summarization-confusion",
    ]
    write_report(tmp_path, page)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'id="predictions"' not in text and 'id="differences"' not in text


def compared(**parts: Any) -> dict[str, Any]:
    """A row of a table of comparisons."""
    return {
        "task": "math", "metric": "accuracy", "group": "unseen", "primary": True, "cell": "a", "other": "base",
        "languages": "ja", "items": 20, "runs": 1, "difference": 0.2, "low": 0.1, "high": 0.3, "p": 0.01,
        "p_adjusted": 0.02, "detectable": 0.15, "test": "t",
    } | parts  # fmt: skip


def test_a_verdict_needs_a_small_p_value_and_has_a_sign() -> None:
    assert verdict_of(compared()) is Verdict.BETTER
    assert verdict_of(compared(difference=-0.2)) is Verdict.WORSE
    assert verdict_of(compared(p_adjusted=1.0)) is Verdict.NOISE
    assert verdict_of(compared(p_adjusted=None)) is Verdict.UNTESTED


def test_an_interval_and_a_p_value_that_disagree_are_marked() -> None:
    assert not disagree(compared()) and not disagree(compared(low=None, high=None))
    assert disagree(compared(p_adjusted=0.2)), "the interval excludes 0"
    assert disagree(compared(low=-0.1)), "the interval includes 0"
    tables = comparison_tables(pl.DataFrame([compared(p_adjusted=0.2), compared(group="ja", primary=False)]), GROUPS)
    main, single = tables.values()
    assert main.rows[0][6] == "+10.0 to +30.0 ‡" and main.rows[0][-1] == "within noise"
    assert single.rows[0][2] == "ja" and single.rows[0][6] == "+10.0 to +30.0" and single.rows[0][-1] == "better ▲"


def headlines_of(means: dict[str, float | None], comparisons: list[dict[str, Any]]) -> list[Headline]:
    """The cards of one task, tested in Japanese."""
    made = summary(*((cell, "accuracy", "unseen", mean) for cell, mean in means.items()))
    scores = pl.DataFrame(
        [{"task": "math", "metric": "accuracy", "value": mean, "reason": None if mean is not None else "no constraints"}
         for mean in means.values()],
        schema_overrides={"reason": pl.String, "value": pl.Float64},
    )  # fmt: skip
    design = Design({cell: (cell,) for cell in means if cell != "base"})
    table = pl.DataFrame(comparisons, schema=COMPARISONS)
    return headlines(scores, made, table, GROUPS, design)


def test_a_card_says_what_is_highest_and_whether_that_is_more_than_chance() -> None:
    (sure,) = headlines_of({"base": 0.3, "a": 0.5, "b": 0.4}, [compared()])
    assert (sure.finding, sure.change) == ("a highest", "+20.0 ▲ against base, p = 0.02")
    assert sure.basis == "50.0 (95 % CI 45.0–55.0) on unseen languages"
    (noise,) = headlines_of({"base": 0.3, "a": 0.5, "b": 0.4}, [compared(p_adjusted=0.4, low=-0.1)])
    assert (noise.finding, noise.verdict) == ("No difference shown", Verdict.NOISE)
    assert noise.notes == ("This evaluation finds differences of 15.0 or more.",)


def test_a_card_of_single_runs_says_that_its_p_value_is_of_these_models() -> None:
    (card,) = headlines_of({"base": 0.3, "a": 0.5}, [compared(test=BY_FLIPS)])
    assert card.change == "+20.0 ▲ against base, p = 0.02, of these trained models"


def test_no_sentence_table_or_plot_of_single_runs_has_a_p_value_of_mixtures(tmp_path: Path) -> None:
    """Wherever a page of one run per mixture says p < or p =, the same passage says of what."""
    page = study_page(
        comparisons=pl.DataFrame(
            [compared(test=BY_FLIPS, cell="amount-20", group=group) for group in ("unseen", "ar")],
            schema=COMPARISONS,
        ),
        transfer=transfer(),
    )
    assert page.one_seed
    shown = gallery(page)
    html = html_page(page, shown, Browsed((), 0, 0))
    text = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL).replace("\u00a0", " ")
    passages = re.split(r"</(?:p|li|tr|caption|figcaption|summary|article)>", text)
    told = [passage for passage in passages if re.search(r"\bp (?:<|&lt;|=) ", passage)]
    assert told and not [passage for passage in told if "of these trained models" not in passage and "*" not in passage]
    tips = [row["p"] for rows in shown.data.values() if "p" in rows.columns for row in rows.to_dicts() if row["p"]]
    assert tips and all(tip.endswith("of these trained models") for tip in tips)


def test_a_card_of_cells_that_are_alike_compares_them_with_the_base() -> None:
    (card,) = headlines_of({"base": 0.3, "a": 0.0, "b": 0.0}, [compared(difference=-0.3, low=-0.4, high=-0.2)])
    assert (card.finding, card.verdict) == ("All mixtures alike", Verdict.WORSE)
    assert card.change == "−30.0 ▼ against base, p = 0.02"


def test_a_task_without_scores_has_a_card_that_says_why() -> None:
    (card,) = headlines_of({"base": None, "a": None}, [])
    assert (card.task, card.finding) == ("math", "No scores")
    assert card.basis == "2 predictions are unscored: no constraints"


def test_a_task_without_scores_has_no_empty_charts() -> None:
    page = study_page(cells=2, tasks=("math", "summarization"))
    nothing = pl.when(pl.col("task") != "math").then
    scores = page.scores.with_columns(value=nothing(pl.col("value")))
    page = dataclasses.replace(page, scores=scores, summary=summarize(scores, page.groups))
    shown = gallery(page)
    assert shown.tasks["math"] == [] and [picture.name for picture in shown.overview] == ["overview-summarization"]


def test_colour_is_strong_where_a_difference_is_more_than_chance() -> None:
    page = study_page(cells=2)
    tested = {"languages": "ar", "group": "ar", "primary": False}
    table = pl.DataFrame([compared(cell="amount-20", **tested), compared(cell="amount-0", p_adjusted=0.9, **tested)])
    shown = gallery(dataclasses.replace(page, comparisons=table))
    rows = shown.data["math"].filter(metric="accuracy", group="ar")
    assert dict(rows.select("cell", "verdict").iter_rows()) == {
        "base": "not tested", "amount-0": "within noise", "amount-20": "better"
    }  # fmt: skip
    marked = dict(rows.select("cell", "marked").iter_rows())
    assert marked["amount-20"].endswith(" ▲") and not marked["amount-0"].endswith("▲")


def two_axes(others: int) -> Page:
    """A study of two amounts at so many places of another axis."""
    page = study_page(cells=2 * others)
    places = {
        name: {"amount": 20 * (number % 2), "set": f"set-{number // 2}"} for number, name in enumerate(page.settings)
    }
    return dataclasses.replace(page, settings=places, labels={"amount": "examples", "set": "languages"})


def test_the_figures_behind_the_overview_are_those_that_it_draws_where_cells_have_seen_other_languages() -> None:
    page = study_page(cells=2, seen=("en", "fr"), unseen=("ja",))
    groups = LanguageGroups(("en", "fr"), ("ja",), trained={"amount-0": ("en",), "amount-20": ("en", "fr")})
    page = dataclasses.replace(page, groups=groups, summary=summarize(page.scores, groups))
    shown = gallery(page)
    behind = overview_table(shown.data["overview-math"])
    drawn = {(row["cell"], row["label"]): row["shown"] for row in shown.data["overview-math"].iter_rows(named=True)}
    for name, *figures in behind.rows:
        for label, figure in zip(behind.columns[1:], figures, strict=True):
            assert figure.partition(" (")[0] == drawn[name, label], (name, label)
    means = {
        (row["cell"], row["group"]): row["mean"]
        for row in page.summary.filter(kind="language", metric="accuracy").to_dicts()
    }
    at_zero = dict(zip(behind.columns, next(row for row in behind.rows if row[0] == "amount-0"), strict=True))
    assert at_zero["seen"].startswith(f"{100 * means['amount-0', 'fr']:.1f}"), "that the curve's other point has seen"
    assert at_zero["unseen"].startswith(f"{100 * means['amount-0', 'ja']:.1f}")
    rows = [compared(cell="amount-0", languages="fr ja"), compared(cell="amount-20", languages="ja")]
    (main,) = comparison_tables(pl.DataFrame(rows), groups).values()
    assert [row[2] for row in main.rows] == ["unseen: fr ja", "unseen: ja"]


def test_a_second_axis_has_a_panel_for_each_of_its_places_and_no_other() -> None:
    shown = gallery(two_axes(3))
    (overview,) = shown.overview
    rows = shown.data["overview-math"]
    series = [f"languages set-{number}" for number in range(3)]
    assert overview.spec["usermeta"]["panels"] == 3 and rows["series"].unique().sort().to_list() == series
    assert rows.filter(kind="base", group="en")["series"].to_list() == series, "the untuned model is in every panel"
    assert "examples" in json.dumps(overview.spec)


@pytest.mark.parametrize(("others", "bands"), [(4, True), (5, False)])
def test_bands_are_left_out_where_curves_are_many(others: int, bands: bool) -> None:
    curves = gallery(two_axes(others)).tasks["math"][0]
    assert any(layer["mark"]["type"] == "area" for layer in curves.spec["spec"]["layer"]) is bands
    assert ("95 % intervals" in curves.title) is bands


@pytest.mark.parametrize(("amounts", "x"), [("categorical", "ordinal"), ("symlog", "quantitative")])
def test_amounts_are_laid_out_as_the_recipe_says(amounts: Any, x: str) -> None:
    page = dataclasses.replace(study_page(cells=2), amounts=amounts)
    encoding = gallery(page).overview[0].spec["layer"][-1]["encoding"]
    assert encoding["x"]["type"] == x and encoding["x"].get("scale", {}).get("type") in (amounts, None)


def test_charts_name_the_metric_with_its_unit_and_the_untuned_model() -> None:
    shown = gallery(study_page(cells=2, tasks=("summarization",)))
    for picture in (shown.overview[0], shown.tasks["summarization"][0]):
        text = json.dumps(picture.spec, ensure_ascii=False)
        assert '"title": "ROUGE-L × 100"' in text and '"domain": ["untuned model"]' in text


def test_training_curves_show_what_was_recorded() -> None:
    page = study_page(cells=1)
    cell = dataclasses.replace(page.cells[0], loss=[2.0, 1.0], learning_rate=[0.1, 0.2], gradient_norm=[3.0, None])
    page = with_finite_figures(dataclasses.replace(page, cells=[cell]))
    rows = training_rows(page)
    assert rows.group_by("quantity", maintain_order=True).agg("value").rows() == [
        (name, values) for name, values in zip(QUANTITIES, ([2.0, 1.0], [0.1, 0.2], [3.0]), strict=True)
    ]


def test_what_chose_a_step_is_drawn_per_language_in_its_unit() -> None:
    page = study_page(cells=3)
    losses = [{"step": 5, "en": 2.0, "ar": 3.0}, {"step": 10, "en": 1.5, "ar": 2.0}, {"step": 15, "en": 1.0, "ar": 4.0}]
    shares = [{"step": 5, "en": 0.25, "ar": float("nan")}, {"step": 10, "en": 0.375, "ar": 0.5}]
    by = [Selection(10, losses), Selection(10, shares, "math", "accuracy", {"en": 8, "ar": 8}), None]
    cells = [dataclasses.replace(cell, selection=each) for cell, each in zip(page.cells, by, strict=True)]
    page = with_finite_figures(dataclasses.replace(page, cells=cells, labels={"math": "word problems"}))
    shown = gallery(page)
    assert shown.data["validation"].select("group", "step", "value", "kept").rows() == [
        (language, point["step"], point[language], point["step"] == 10) for point in losses for language in ("en", "ar")
    ]
    assert shown.data["validation-math-accuracy"].select("cell", "group", "step", "value", "kept").rows() == [
        ("amount-20", "en", 5, 25.0, False), ("amount-20", "en", 10, 37.5, True), ("amount-20", "ar", 10, 50.0, True)
    ]  # fmt: skip
    pictures = {picture.name: picture for picture in shown.training}
    assert list(pictures) == ["training", "validation", "validation-math-accuracy"]
    assert pictures["validation"].title.startswith("Losses on validation rows; a point marks the step")
    assert pictures["validation-math-accuracy"].title.startswith("word problems, accuracy on validation rows; a point")
    drawn = json.dumps(pictures["validation-math-accuracy"].spec)
    assert "Arabic, unseen" in drawn and '"title": "accuracy, %"' in drawn and "nats" not in drawn
    assert shown.behind["validation"].rows == (
        ("amount-0", "en", "", "10", "1.500", "15", "1.000"), ("amount-0", "ar", "", "10", "2.000", "15", "4.000"),
    )  # fmt: skip
    assert shown.behind["validation-math-accuracy"].columns[4] == "accuracy, %"
    assert shown.behind["validation-math-accuracy"].rows[0] == ("amount-20", "en", "8", "10", "37.5", "10", "37.5")
    assert selection_table(page.cells).rows()[-2:] == [
        ("amount-20", "math", "accuracy", "en", 10, 0.375, 8, True),
        ("amount-20", "math", "accuracy", "ar", 10, 0.5, 8, True),
    ]
    assert [picture.name for picture in gallery(study_page(cells=1)).training] == ["training"]


def test_latex_has_the_best_value_bold_and_a_dagger_where_it_differs() -> None:
    (table,) = metric_tables(
        summary(*((cell, "accuracy", "en", mean) for cell, mean in (("base", 0.2), ("a", 0.5), ("b", 0.3)))),
        GROUPS,
        ["base", "a", "b"],
    )
    sure = Change("+30.0", Verdict.BETTER, "p = 0.01", "en")
    noise = Change("+10.0", Verdict.NOISE, "p = 0.4", "en")
    changes = Changes("base", {("math", "accuracy", "a", "en"): sure, ("math", "accuracy", "b", "en"): noise})
    text = latex_table(table, "study", (), changes)
    for part in (r"base & 20.0 \\", r"a & \textbf{50.0}$^\dagger$ \\", r"b & 30.0 \\", "differs from base, $p<0.05$"):
        assert part in text, part


def test_a_metric_that_is_defined_nowhere_has_no_table_unless_it_is_the_main_one() -> None:
    page = study_page(cells=2)
    nothing = page.summary.with_columns(pl.lit(None, pl.Float64).alias(name) for name in ("mean", "low", "high"))
    beside = nothing.with_columns(metric=pl.lit("word_pass"), main=pl.lit(False))
    shown = metric_tables(pl.concat([page.summary.filter(metric="accuracy"), beside]), page.groups, page.names)
    assert [table.metric for table in shown] == ["accuracy"]
    assert [table.metric for table in metric_tables(nothing, page.groups, page.names)] == ["accuracy"]

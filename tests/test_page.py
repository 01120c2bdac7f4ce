"""The report's page in a real browser: drawn, filtered, escaped, offline, on a desk and on a phone, light and dark."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from eval.report import predictions as chunks
from eval.report.files import write_page
from eval.report.gallery import gallery
from eval.report.headlines import Headline
from eval.report.verdicts import Verdict
from tests.synthetic import study_page, transfer

DESK, PHONE = 1280, 390
HOSTILE = "</script><script>window.harm = 1</script><img src=x onerror='window.harm = 2'><!-- <b>bold</b>"
MARKS = ".mark-line path, .mark-rect path, .mark-symbol path, .mark-area path, .mark-rule line"


@dataclasses.dataclass
class Opened:
    """A page in the browser, with all that it said and asked for."""

    page: Page
    said: list[str]
    asked: list[str]

    def count(self, selector: str) -> int:
        return self.page.locator(selector).count()

    def texts(self, selector: str) -> list[str]:
        return self.page.locator(selector).all_text_contents()

    def unfold(self) -> None:
        """Opens every folded part."""
        self.page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")

    def choose(self, **filters: str) -> None:
        for name, value in filters.items():
            self.page.select_option(f"#filter-{name}", value)

    @property
    def matches(self) -> str:
        """How many items match, when the search is over."""
        self.page.wait_for_selector("#matches:not(:text('Loading'))")
        return self.page.locator("#matches").inner_text()


Open = Callable[..., Opened]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Open]:
    """Opens a report as a reader would, from the disk and without a network."""
    contexts: list[Any] = []

    def opened(report: Path, width: int = DESK, scheme: str = "light", place: str = "") -> Opened:
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)  # pyright: ignore[reportArgumentType]
        context.set_default_timeout(0)  # a busy machine is slow, and no failure
        contexts.append(context)
        found = Opened(context.new_page(), [], [])
        found.page.on("console", lambda message: found.said.append(message.text))
        found.page.on("pageerror", lambda error: found.said.append(str(error)))
        found.page.on("request", lambda request: found.asked.append(request.url))
        found.page.goto(f"{report.as_uri()}{place}")
        found.page.wait_for_selector("html[data-charts=drawn]", state="attached")
        return found

    yield opened
    for context in contexts:
        context.close()


def written(folder: Path, **parts: Any) -> Path:
    """A made-up study's page, without figures for papers."""
    page = study_page(**parts)
    write_page(folder, page, gallery(page))
    return folder / "report.html"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with every part that a study may have."""
    card = [
        {
            "task": "math", "language": language, "rows": 32, "items": 32, "repeats": 0, "duplicates": 0,
            "tokens": 2000, "supervised_tokens": 700, "fertility": 0.3, "lengths": (40, 60, 90, 120), "shortened": 0.0,
            "prompts_in_language": 1.0, "prompts_identified": 32, "targets_in_language": None, "targets_identified": 0,
        }
        for language in ("en", "ja")
    ]  # fmt: skip
    comparisons = [
        {"task": "math", "metric": "accuracy", "cell": "amount-40", "other": "base", "group": "unseen", "items": 12}
        | {"languages": "ar ko pt", "primary": True}
        | {"difference": 0.3, "low": 0.1, "high": 0.5, "p_adjusted": 0.0004, "test": "t"}
    ]
    published = [
        {"task": "math", "metric": "accuracy", "language": "fr", "x": float(amount), "score": 0.2, "name": "elsewhere"}
        for amount in (0, 20, 40)
    ]
    card_of_math = Headline(
        "math", "accuracy, %", "amount-40 highest", "56.0 on unseen languages", "+30.0 ▲ against base, p < 0.001",
        Verdict.BETTER,
    )  # fmt: skip
    return written(
        tmp_path_factory.mktemp("report"),
        tasks=("math", "summarization"),
        headlines=[card_of_math],
        sentences=["For unseen languages, amount-40 is best in math."],
        notes=["not evaluated: amount-60"],
        cards={"amount-20": card, "amount-40": card},
        transfer=transfer(),
        comparisons=pl.DataFrame(comparisons),
        reference=pl.DataFrame(published),
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [DESK, PHONE])
def test_every_chart_is_drawn_and_fits(report: Path, open_page: Open, width: int, scheme: str) -> None:
    opened = open_page(report, width, scheme)
    drawings = opened.page.locator("[data-chart]")
    opened.unfold()
    for each in drawings.all():
        each.locator("svg").wait_for()
    names = [each.get_attribute("data-chart") for each in drawings.all()]
    assert len(names) == len(set(names)) == 2 + 4 + 1 + 4 + 1 + 2  # groups, math, transfer, summaries, training, cards
    for each in drawings.all():
        assert each.locator(MARKS).count() > 0, each.get_attribute("data-chart")
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width
    assert opened.said == []
    assert opened.asked == [report.as_uri()]


def test_every_chart_says_what_it_is_and_has_its_figures_as_a_table(report: Path, open_page: Open) -> None:
    opened = open_page(report)
    opened.unfold()
    page = opened.page
    figures = page.locator("figure").all()
    assert len(figures) > 10
    for figure in figures:
        table = page.locator(f"[id='{figure.get_attribute('aria-details')}'] table").first
        assert table.locator("tbody tr").count() > 0 and table.locator("thead th[scope=col]").count() > 1
        assert page.locator(f"[id='{figure.get_attribute('aria-labelledby')}']").text_content()
        assert figure.locator(".drawing[aria-label]").count() == 1


def test_the_first_screen_answers(report: Path, open_page: Open) -> None:
    opened = open_page(report)
    assert opened.texts(".headline .finding") == ["amount-40 highest"]
    assert opened.texts(".sentences li") == ["For unseen languages, amount-40 is best in math."]
    assert opened.texts(".best tbody th") == ["math", "summarization"]
    assert all("amount-" in text and "(" in text for text in opened.texts(".best td"))
    assert "not evaluated: amount-60" in opened.texts(".warning li")
    bottom = opened.page.locator(".first").bounding_box()
    assert bottom and bottom["y"] + bottom["height"] < 900
    opened.unfold()
    row = opened.page.locator("#differences tbody tr").inner_text().split("\t")
    figures = ["+30.0", "+10.0 to +50.0", "< 0.001", "12", "better ▲"]
    assert row == ["math", "accuracy", "unseen", "amount-40", "base", *figures]


def test_what_sources_say_of_transfer_is_listed(report: Path, open_page: Open) -> None:
    opened = open_page(report)
    opened.unfold()
    donors, recipients, shares, apart, _ = opened.page.locator("#transfer table").all()
    rows = [row.inner_text().split("\t") for row in donors.locator("tbody tr").all()]
    assert [row[:3] for row in rows] == [
        ["math", "en", "fr ja ar"], ["math", "fr", "en ja ar"], ["math", "ja", "en fr ar"]
    ]  # fmt: skip
    assert rows[0][3:5] == ["base", "+19.4"] and " to +" in rows[0][5] and rows[0][6:] == ["< 0.001 *", "40"]
    assert recipients.locator("tbody tr").count() == 4 and apart.locator("tbody tr").count() == 3
    assert shares.locator("thead th").all_inner_texts() == ["task", "cell", "en", "fr", "ja"]
    assert shares.locator("tbody tr").first.inner_text().split("\t")[2] == "", "English itself"
    assert opened.page.locator("nav a[href='#transfer']").count() == 1


def test_a_tasks_metric_is_chosen_for_its_table_and_charts(report: Path, open_page: Open) -> None:
    opened = open_page(report)
    opened.unfold()
    opened.page.wait_for_selector("[data-chart=summarization-heatmap] .mark-text text")
    heatmap = "[data-chart=math-heatmap] .mark-text text"
    before = opened.texts(heatmap)
    other = opened.texts("[data-chart=summarization-heatmap] .mark-text text")
    opened.page.select_option("#math-metric", "language_pass")
    shown = opened.page.locator("#table-math [data-metric]:visible")
    assert shown.count() == 1 and shown.get_attribute("data-metric") == "language_pass"
    english = shown.locator("tbody tr").nth(1).locator("td").first.inner_text().split()[0]
    opened.page.wait_for_selector(f"[data-chart=math-heatmap] .mark-text text:text-is('{english}')")
    assert opened.texts(heatmap) != before
    assert opened.texts("[data-chart=summarization-heatmap] .mark-text text") == other


def test_charts_follow_the_mode(report: Path, open_page: Open) -> None:
    opened = open_page(report)
    label = opened.page.locator("[data-chart=overview-math] .role-axis-label text").first
    light = label.get_attribute("fill")
    opened.page.emulate_media(color_scheme="dark")
    opened.page.wait_for_selector(f"[data-chart=overview-math] .role-axis-label text:not([fill='{light}'])")
    assert opened.said == []


def test_predictions_are_filtered_by_cell_language_and_result(report: Path, open_page: Open) -> None:
    scores = study_page(tasks=("math", "summarization")).scores
    mine = scores.filter(cell="amount-20", task="math", language="ja")
    right = mine.filter(pl.col("metric") == "accuracy", pl.col("value") == 1)["id"].to_list()
    wrong_language = mine.filter(pl.col("metric") == "language_pass", pl.col("value") == 0)["id"].to_list()
    opened = open_page(report)
    opened.choose(task="math", language="ja", cell="amount-20", other="amount-40")
    assert opened.matches == "12 of 12 items match."
    opened.choose(result="right")
    assert opened.matches == f"{len(right)} of 12 items match." and 0 < len(right) < 12
    assert opened.texts(".item h3") == [f"{each}, Japanese" for each in right[:5]]
    assert all("right" in text for text in opened.texts(".item .answers > div:first-child .verdict"))
    assert {text.split()[0] for text in opened.texts(".item h4")} == {"amount-20", "amount-40"}
    opened.choose(result="", answered="another")
    assert opened.matches == f"{len(wrong_language)} of 12 items match."
    opened.choose(answered="")
    opened.page.fill("#filter-text", "本を3冊")
    assert opened.matches == "1 of 12 items match."


def test_two_cells_are_compared_and_ordered(report: Path, open_page: Open) -> None:
    scores = study_page(tasks=("math", "summarization")).scores
    values = {
        cell: scores.filter(cell=cell, task="math", language="ar", metric="accuracy")["value"].to_list()
        for cell in ("base", "amount-40")
    }
    differ = sum(one != other for one, other in zip(*values.values(), strict=True))
    opened = open_page(report)
    opened.choose(task="math", language="ar", cell="amount-40", other="base")
    opened.page.check("#filter-differ")
    assert opened.matches == f"{differ} of 12 items match." and 0 < differ < 12
    opened.page.uncheck("#filter-differ")
    opened.choose(task="summarization", order="highest")
    shown = [float(text) for text in opened.texts(".item .answers > div:first-child .verdict")]
    assert len(shown) == 5 and shown == sorted(shown, reverse=True)


def test_pages_are_turned_and_the_address_remembers(tmp_path: Path, open_page: Open) -> None:
    report = written(tmp_path, items=60, cells=1, unseen=("ar",), seen=("en",))
    opened = open_page(report)
    assert opened.matches == "60 of 60 items match." and opened.count(".item") == 5
    first = opened.texts(".item h3")[0]
    opened.choose(language="ar", result="wrong")
    matches = opened.matches
    opened.page.click("#next")
    assert opened.texts(".item h3")[0] != first and opened.texts("#page-number")[0].startswith("page 2 of")
    again = open_page(report, place=opened.page.evaluate("location.hash"))
    assert again.matches == matches
    assert again.texts(".item h3") == opened.texts(".item h3")
    assert again.page.evaluate("scrollY") > 500


def test_what_a_model_wrote_is_text_and_nothing_else(tmp_path: Path, open_page: Open) -> None:
    page = study_page(items=2, sentences=[HOSTILE], notes=[HOSTILE], provenance={"code": HOSTILE})
    predictions, scores = page.predictions, page.scores
    assert predictions is not None
    everywhere = [pl.lit(HOSTILE).alias(name) for name in ("prompt", "reference", "completion", "finish")]
    page = dataclasses.replace(
        page,
        predictions=predictions.with_columns(*everywhere),
        scores=scores.with_columns(answer=pl.lit(HOSTILE), reason=pl.lit(HOSTILE)),
    )
    write_page(tmp_path, page, gallery(page))
    opened = open_page(tmp_path / "report.html")
    opened.page.wait_for_selector(".item")
    assert opened.texts(".item .text") == [HOSTILE] * 8
    assert opened.texts(".sentences li") == [HOSTILE]
    assert opened.count("#items script, #items img, #items b, main img") == 0
    assert opened.page.evaluate("window.harm") is None and opened.said == []
    assert opened.asked == [(tmp_path / "report.html").as_uri()]


def test_even_markup_that_slipped_in_would_not_run(report: Path, open_page: Open) -> None:
    opened = open_page(report)
    opened.page.evaluate("document.getElementById('items').innerHTML = '<img src=x onerror=\"window.harm = 1\">'")
    opened.page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'harm = 1'}))")
    opened.page.wait_for_timeout(200)
    assert opened.page.evaluate("window.harm") is None
    assert any("Content Security Policy" in text for text in opened.said)


def test_texts_run_in_the_direction_of_their_script(report: Path, open_page: Open) -> None:
    opened = open_page(report)
    opened.choose(task="math", language="ar", other="")
    opened.page.wait_for_selector(".item .text[lang=ar]")
    texts = opened.page.locator(".item .text")
    directions = texts.evaluate_all("all => all.map((each) => [each.dir, getComputedStyle(each).direction])")
    assert directions == [["auto", "rtl"]] * 15
    opened.choose(language="ja")
    opened.page.wait_for_selector(".item .text[lang=ja]")
    assert texts.first.evaluate("(each) => getComputedStyle(each).direction") == "ltr"


def test_many_predictions_are_read_from_files_beside_the_page(
    tmp_path: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "MOST_INLINE", 1000)
    report = written(tmp_path)
    assert len(list((tmp_path / "report_files").iterdir())) == 8
    opened = open_page(report)
    assert opened.matches == "12 of 12 items match."
    loaded = [url.rpartition("/")[2] for url in opened.asked[1:]]
    assert len(loaded) == 1 and loaded[0].startswith("math-en-")
    opened.choose(language="ar")
    assert opened.matches == "12 of 12 items match."
    opened.choose(language="")
    assert opened.matches == "96 of 96 items match."
    assert len(opened.asked) == 9 and all(url.startswith("file:") for url in opened.asked) and opened.said == []
    shutil.rmtree(tmp_path / "report_files")
    assert "copy the folder report_files together with it" in open_page(report).matches


def test_the_page_says_that_it_shows_a_sample(tmp_path: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks.browsed, "__defaults__", (None, 100))
    opened = open_page(written(tmp_path))
    assert "A sample of 96 of 384 predictions" in opened.texts("#predictions > p")[0]
    assert opened.matches == "3 of 3 items match."


def test_the_keyboard_reaches_the_filters(report: Path, open_page: Open) -> None:
    opened = open_page(report)
    page = opened.page
    focused = "document.activeElement.id || document.activeElement.textContent"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "Skip to the answers"
    for _ in range(120):
        page.keyboard.press("Tab")
        if page.evaluate(focused) == "filter-language":
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("ArrowDown")
    page.wait_for_selector(".item .text[lang=es]")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_names_labels_headings_and_contrast_are_there(report: Path, open_page: Open, scheme: str) -> None:
    opened = open_page(report, scheme=scheme)
    page = opened.page
    assert page.locator("html").get_attribute("lang") == "en" and page.title()
    unlabelled = "all => all.filter((each) => !each.labels.length).map((each) => each.id)"
    assert page.locator("select, input").count() > 10
    assert page.locator("select, input").evaluate_all(unlabelled) == []
    assert page.locator("button").evaluate_all("all => all.filter((each) => !each.textContent.trim()).length") == 0
    levels = page.locator("h1, h2, h3, h4").evaluate_all("all => all.map((each) => Number(each.tagName[1]))")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = page.locator("[id]").evaluate_all("all => all.map((each) => each.id)")
    assert len(ids) == len(set(ids))
    assert page.evaluate(LOW_CONTRAST) == []


LOW_CONTRAST = """() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = (color) => channels(color).slice(0, 3)
    .map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, place) => sum + c * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = getComputedStyle(each).backgroundColor;
      if ((channels(color)[3] ?? 1) > 0) return color;
    }
  };
  const hasText = (each) => [...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  const low = [];
  for (const each of document.querySelectorAll("body *:not(script, svg *, button:disabled)")) {
    if (!hasText(each) || !each.checkVisibility()) continue;
    const [one, other] = [getComputedStyle(each).color, behind(each)].map(luminance);
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) low.push(`${each.tagName}.${each.className} ${contrast.toFixed(2)} ${each.textContent.trim()}`);
  }
  return low;
}"""


def test_only_the_first_task_is_unfolded_and_links_unfold_the_rest(report: Path, open_page: Open) -> None:
    opened = open_page(report)
    folded = "all => all.filter((part) => !part.open).map((part) => part.id)"
    parts = opened.page.locator("details.part")
    assert parts.evaluate_all(folded) == [
        "summarization",
        "transfer",
        "differences",
        "training",
        "missing",
        "provenance",
    ]
    opened.page.click("nav a[href='#summarization']")
    opened.page.wait_for_selector("[data-chart=summarization-heatmap] .mark-text text")
    assert "summarization" not in parts.evaluate_all(folded)
    assert "missing" not in open_page(report, place="#missing").page.locator("details.part").evaluate_all(folded)


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_nothing_scrolls_up_and_down_within_the_page(report: Path, open_page: Open, width: int) -> None:
    opened = open_page(report, width)
    opened.unfold()
    opened.page.wait_for_selector("[data-chart=summarization-heatmap] .mark-text text")
    scrolls = "box.scrollHeight > box.clientHeight + 20 && getComputedStyle(box).overflowY === 'auto'"
    boxes = f"all => all.filter((box) => {scrolls}).map((box) => box.className)"
    assert opened.page.locator("main *").evaluate_all(boxes) == []


def test_items_that_a_cell_gained_and_lost_are_found(report: Path, open_page: Open) -> None:
    scores = study_page(tasks=("math", "summarization")).scores.filter(task="math", language="ar", metric="accuracy")
    right = {cell: set(scores.filter(pl.col("value") == 1, cell=cell)["id"]) for cell in ("base", "amount-40")}
    opened = open_page(report)
    opened.choose(task="math", language="ar", cell="amount-40", other="")
    opened.choose(result="gained")
    assert opened.page.locator("#filter-other").input_value() == "base", "without another cell it is beside the first"
    gained, lost = right["amount-40"] - right["base"], right["base"] - right["amount-40"]
    assert opened.matches == f"{len(gained)} of 12 items match." and gained
    opened.choose(result="lost")
    assert opened.matches == f"{len(lost)} of 12 items match."


def test_a_link_leads_to_one_item(report: Path, open_page: Open) -> None:
    opened = open_page(report)
    opened.choose(task="math", language="ja", cell="amount-20")
    link = opened.page.locator(".item .head a").nth(2).get_attribute("href")
    name = opened.texts(".item h3")[2]
    again = open_page(report, place=link)
    assert again.texts(".item h3") == [name] and again.matches == "1 of 12 items match."
    again.page.click("#unlink")
    assert again.matches == "12 of 12 items match."
    opened.page.locator(".item .head a").nth(2).click()
    opened.page.wait_for_selector("#unlink:not([hidden])")
    assert opened.texts(".item h3") == [name]


def test_an_item_is_shown_in_all_languages_and_as_the_model_got_it(tmp_path: Path, open_page: Open) -> None:
    prompts = study_page().predictions
    assert prompts is not None
    prompts = prompts.select("task", "language", "id", rendered=pl.concat_str(pl.lit("<bos>"), "prompt"))
    opened = open_page(written(tmp_path, prompts=prompts))
    first = opened.page.locator(".item").first
    first.locator("summary", has_text="As the model got it").click()
    assert (
        first.locator("details .text").first.inner_text()
        == "<bos>Lena has 0 books and buys 7 more. How many books does she have?"
    )
    first.locator("summary", has_text="in other languages").click()
    opened.page.wait_for_selector(".item details .text[lang=ar]")
    assert first.locator("details .label").all_inner_texts() == [
        "Spanish", "French", "Japanese", "Chinese", "Arabic", "Korean", "Portuguese"
    ]  # fmt: skip


def test_what_matches_is_saved_as_csv(report: Path, open_page: Open, tmp_path: Path) -> None:
    opened = open_page(report)
    opened.choose(task="math", language="zh", cell="amount-40", other="base", result="right")
    matches = int(opened.matches.split()[0])
    with opened.page.expect_download() as download:
        opened.page.click("#save")
    download.value.save_as(tmp_path / "saved.csv")
    assert download.value.suggested_filename == "math-zh-amount-40.csv"
    saved = pl.read_csv(tmp_path / "saved.csv")
    assert saved["cell"].to_list() == ["amount-40", "base"] * matches and matches
    scores = study_page(tasks=("math", "summarization")).scores.filter(metric="accuracy", language="zh")
    expected = scores.join(saved.select("cell", "id", "accuracy"), on=["cell", "id"])
    assert expected.height == 2 * matches and (expected["value"] == expected["accuracy"]).all()
    predictions = study_page(tasks=("math", "summarization")).predictions
    assert predictions is not None
    both = saved.join(predictions, on=["cell", "id"])
    assert (both["completion"] == both["completion_right"]).all()

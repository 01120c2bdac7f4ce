"""The report of a study of mOthello: a page without scripts, figures for papers, and its figures as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from scipy.cluster.hierarchy import leaves_list, linkage

from data_mixes.storage import write_text
from eval.analysis.stats import estimate
from eval.othello.findings import ALIGNED, Finding, Measured, Setting, findings, short
from eval.othello.measures import LEGAL_RATE, PROBE
from eval.othello.published import ALIGNMENT, TRANSFER
from eval.report.files import write_folder
from eval.report.pictures.mothello import alignment_picture, curves_picture, probes_picture
from eval.report.render import as_pdf, as_png, as_svg
from eval.report.tables import TextTable

SHARED = {"nothing": "nothing", "anchors": "8 anchors", "output": "one language of output"}
"""What a setting shares → the published curves that are of the same."""


@dataclass(frozen=True)
class MothelloPage:
    """What a report is of."""

    study: str
    lead: str
    measured: Measured
    board: int
    schemes: str
    """How source and target write squares, as the published curves are named."""
    notes: Sequence[str]
    recipe: str


def write_mothello_report(folder: Path, page: MothelloPage) -> list[Finding]:
    """Writes report.html, summary.csv, transfer.csv and figures/ into a study's folder; what was found."""
    measured, told = page.measured, [*findings(page.measured)]
    write_text(folder / "summary.csv", measured.figures().write_csv())
    write_text(folder / "transfer.csv", measured.by_step().write_csv())
    pictures = {name: (title, text, as_svg(spec)) for name, title, text, spec in _pictures(page)}
    figures: dict[str, bytes] = {}
    for name, (_, _, svg) in pictures.items():
        figures |= {f"{name}.svg": svg.encode(), f"{name}.png": as_png(svg), f"{name}.pdf": as_pdf(svg)}
    write_folder(folder / "figures", figures)
    several = any(len(setting.runs) > 1 for setting in measured.settings)
    environment = Environment(
        loader=PackageLoader("eval", "report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    text = environment.get_template("mothello.html.jinja").render(
        study=page.study,
        lead=page.lead,
        notes=page.notes,
        over="games and runs" if several else "games",
        findings=told,
        pictures=[(title, said, Markup(svg)) for title, said, svg in pictures.values()],  # our own drawings
        tables=[*_tables(page)],
        recipe=page.recipe,
        style=Markup(files("eval.report").joinpath("page.css").read_text(encoding="utf-8")),
    )
    write_text(folder / "report.html", text)
    return told


def setting_table(measured: Measured) -> TextTable:
    """A row a setting: rates before and after, gains, transfer, alignment."""
    columns = (
        "setting", "runs", "source before", "source after", "target before", "target after", "target's highest",
        "source gains", "target gains", "transfer", "relative alignment", "aligned pairs",
    )  # fmt: skip
    return TextTable(columns, tuple(_row(measured, setting) for setting in measured.settings))


def _row(measured: Measured, setting: Setting) -> tuple[str, ...]:
    rates = [
        short(estimate(measured.rate(setting, step, languages), graded=True), 100)
        for languages in ((setting.source,), setting.targets)
        for step in (0, setting.last)
    ]
    runs = len(measured.rate(setting, 0, (setting.source,)))
    gains = [short(measured.gain(setting, languages), 100) for languages in ((setting.source,), setting.targets)]
    return (
        setting.name, str(runs), *rates, _highest(measured, setting), *gains, short(measured.transfer(setting)),
        short(measured.alignment(setting, 0)), "{} of {}".format(*measured.aligned_pairs(setting)),
    )  # fmt: skip


def _highest(measured: Measured, setting: Setting) -> str:
    """The highest mean of the target over the steps that were measured; a choice among several, so without interval."""
    means = [
        (float(np.nanmean(measured.rate(setting, step, setting.targets))), step) for step in measured.steps(setting)
    ]
    return f"{100 * max(means)[0]:.1f} at step {max(means)[1]}" if means else ""


def _pictures(page: MothelloPage) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Name, title, explanation and drawing."""
    measured = page.measured
    names, chance = [setting.name for setting in measured.settings], measured.chance
    lines = {
        "each square's commonest colour": chance.square,
        "the same at each number of moves": chance.square_and_move,
        "occupied squares known": chance.occupancy,
    }
    languages = ordered_languages(measured)
    return [
        (
            "alignment", "Do languages share a picture of the board?",
            "Before fine-tuning: the share of squares that a probe of the source language's states reads right, in the "
            "source and in the others, with 95 % intervals. Dashed: what is reached without any state.",
            alignment_picture(_alignment_rows(measured), names, lines),
        ),
        (
            "fine-tuning", "Does fine-tuning in one language carry over?",
            "The rate of legal moves (likeliest move after every beginning of every test game), with 95 % intervals; "
            "dashed, what a probe of the source reads right in the target." + _overlay(page),
            curves_picture(_curve_rows(measured), names, _published_rows(page)),
        ),
        (
            "probes", "Probes of every language in every language",
            "Before fine-tuning, means over runs; languages that are alike stand beside each other.",
            probes_picture(_probe_rows(measured), names, languages),
        ),
    ]  # fmt: skip


def _overlay(page: MothelloPage) -> str:
    """Whether the paper's figures are among the curves."""
    if page.board != 8:
        return f" The paper's figures are of 8×8, and stand in a table below: this is {page.board}×{page.board}."
    return " Crosses: the paper's, before and after."


def ordered_languages(measured: Measured) -> list[str]:
    """The languages, those that probes confuse least far apart: leaves of an average-linkage clustering."""
    rows = _probe_rows(measured)
    names = rows["language"].unique(maintain_order=True).to_list()
    if len(names) < 3:
        return names
    means = rows.group_by("source", "language").agg(pl.col("mean").mean())
    known = {(source, language): mean for source, language, mean in means.iter_rows()}
    vectors = np.array([[known[source, language] for language in names] for source in names])
    return [names[place] for place in leaves_list(linkage(vectors, "average"))]


def _alignment_rows(measured: Measured) -> pl.DataFrame:
    rows = [
        {"setting": setting.name, "language": kind} | _ends(measured.probed(setting, 0, languages))
        for setting in measured.settings
        for kind, languages in (("source", (setting.source,)), ("target", setting.targets))
    ]
    return pl.DataFrame(rows, schema_overrides=ENDS)


def _curve_rows(measured: Measured) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for setting in measured.settings:
        for step in measured.steps(setting):
            curves = {
                "source": measured.rate(setting, step, (setting.source,)),
                "target": measured.rate(setting, step, setting.targets),
                "probe, in the target": measured.probed(setting, step, setting.targets),
            }
            rows += [{"setting": setting.name, "curve": curve, "step": step} | _ends(values)
                     for curve, values in curves.items()]  # fmt: skip
    return pl.DataFrame(rows, schema_overrides=ENDS)


def _probe_rows(measured: Measured) -> pl.DataFrame:
    probes = measured.table.filter(metric=PROBE, step=0)
    return probes.group_by("setting", "source", "language", maintain_order=True).agg(mean=100 * pl.col("value").mean())


def _published_rows(page: MothelloPage) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for setting in page.measured.settings if page.board == 8 else ():
        if curves := TRANSFER.get((page.schemes, SHARED[setting.shared])):
            rows += [{"setting": setting.name, "curve": curve, "step": step, "mean": 100 * rate}
                     for curve, rates in zip(("source", "target"), curves, strict=True)
                     for step, rate in zip((0, setting.last), rates, strict=True)]  # fmt: skip
    return pl.DataFrame(rows, schema={"setting": pl.String, "curve": pl.String, "step": pl.Int64, "mean": pl.Float64})


ENDS: dict[str, Any] = dict.fromkeys(("mean", "low", "high"), pl.Float64)
"""The types of a mean and its interval, also where no row has them."""


def _ends(values: Any) -> dict[str, float | None]:
    """Mean and interval in percent."""
    found = estimate(values, graded=True)
    ends = {"mean": found.mean, "low": found.low, "high": found.high}
    return {name: None if value is None else 100 * value for name, value in ends.items()}


def _tables(page: MothelloPage) -> list[tuple[str, str, TextTable]]:
    games = page.measured.table.filter(metric=LEGAL_RATE)["game"].n_unique()
    anchors = sorted({number for row in ALIGNMENT.values() for number in row})
    published = TextTable(
        ("languages", *(f"{number} anchors" for number in anchors)),
        tuple((name, *(f"{100 * row[number]:.0f} %" for number in anchors)) for name, row in ALIGNMENT.items()),
    )
    moved = TextTable(
        ("languages", "shared", "source before", "source after", "target before", "target after"),
        tuple(
            (*name, *(f"{100 * rate:.1f} %" for rates in curves for rate in rates)) for name, curves in TRANSFER.items()
        ),
    )
    return [
        (
            "Settings",
            f"Means over runs and {games} test games, and their 95 % intervals: rates in percent, gains in points. "
            "Transfer is the target's gain over the source's. The target's highest is chosen among the steps that were "
            f"measured, and looks better than it is. A pair of languages is aligned in a run from {ALIGNED} on.",
            setting_table(page.measured),
        ),
        ("Published: alignment", "arXiv 2404.12444, table 1, 8×8: squares read right across languages.", published),
        ("Published: transfer", "The same, legal rates read off its figure to about a point.", moved),
    ]  # fmt: skip

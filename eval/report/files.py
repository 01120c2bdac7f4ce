"""A report's files: the page with what stands beside it, and tables and figures for papers."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

from data_mixes.storage import whole_file, whole_folder, write_text
from eval.finite import finite_scores, finite_table
from eval.report.gallery import Gallery, gallery
from eval.report.html import FOLDER, html_page
from eval.report.latex import latex_table
from eval.report.page import CellFacts, Page
from eval.report.predictions import Browsed, browsed, scripts
from eval.report.render import as_pdf, as_png, as_svg


def gallery_of(page: Page) -> Gallery:
    """The tables and pictures of a report that is not written."""
    return gallery(with_finite_figures(page))


def write_report(folder: Path, page: Page) -> Gallery:
    """Writes report.html, summary.csv, summary.parquet, tables/*.tex and figures/*.svg, .png, .pdf into the folder.

    Many predictions go to report_files/, from where the page loads them. Earlier figures and tables
    are replaced. Returns the tables and pictures. Figures that are no finite numbers are left out.
    """
    page = with_finite_figures(page)
    with whole_file(folder / "summary.parquet") as unfinished, unfinished.open("wb") as file:
        page.summary.write_parquet(file)
    write_text(folder / "summary.csv", page.summary.write_csv())
    shown = gallery(page)
    write_page(folder, page, shown)
    write_folder(
        folder / "tables",
        {
            f"{table.task}-{table.metric}.tex": latex_table(
                table, page.study, page.groups.unseen, shown.changes
            ).encode()
            for table in shown.tables
        },
    )
    write_folder(folder / "figures", drawn(shown))
    return shown


def write_page(folder: Path, page: Page, shown: Gallery) -> None:
    """Writes report.html, and report_files/ if there are too many predictions for it."""
    browser = Browsed((), 0, 0) if page.predictions is None else browsed(page.predictions, page.scores, page.prompts)
    write_folder(folder / FOLDER, {name: text.encode() for name, text in scripts(browser)})
    write_text(folder / "report.html", html_page(page, shown, browser))


def with_finite_figures(page: Page) -> Page:
    """The page with blanks for NaN and infinity, which JSON lacks and any of which would blank a whole chart."""
    return replace(
        page,
        summary=finite_table(page.summary),
        scores=finite_scores(page.scores),
        comparisons=None if page.comparisons is None else finite_table(page.comparisons),
        cells=[with_finite_curves(cell) for cell in page.cells],
    )


def with_finite_curves(cell: CellFacts) -> CellFacts:
    """The cell with its training curves up to where a figure is none."""
    curves = (cell.loss, cell.learning_rate, cell.gradient_norm)
    loss, learning_rate, gradient_norm = ([*takewhile(is_figure, curve)] for curve in curves)
    chosen = cell.selection
    if chosen is not None:
        points = [{name: value for name, value in point.items() if is_figure(value)} for point in chosen.curve]
        chosen = replace(chosen, curve=points)
    return replace(cell, loss=loss, learning_rate=learning_rate, gradient_norm=gradient_norm, selection=chosen)


def is_figure(value: float | None) -> bool:
    """Whether a value is there, and finite."""
    return value is not None and math.isfinite(value)


def drawn(shown: Gallery) -> dict[str, bytes]:
    """Every picture as SVG, PNG and PDF, by file name; one that cannot be drawn is noted in `broken`."""
    contents: dict[str, bytes] = {}
    for picture in shown.pictures:
        try:
            svg = as_svg(shown.whole(picture))
            files = {"svg": svg.encode(), "png": as_png(svg), "pdf": as_pdf(svg)}
        except Exception as error:  # Vega's, whatever they are: the other pictures are worth having
            shown.broken[picture.name] = " ".join(str(error).split())[:300]
            continue
        contents |= {f"{picture.name}.{ending}": content for ending, content in files.items()}
    return contents


def write_folder(folder: Path, contents: dict[str, bytes]) -> None:
    """Makes the folder hold these files and no others; no files, no folder."""
    if not contents:
        shutil.rmtree(folder, ignore_errors=True)
        return
    with whole_folder(folder) as unfinished:
        for name, content in contents.items():
            (unfinished / name).write_bytes(content)

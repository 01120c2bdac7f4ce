"""A report's files: the page with what stands beside it, and tables and figures for papers."""

from __future__ import annotations

import shutil
from pathlib import Path

from data_mixes.storage import whole_file, whole_folder, write_text
from eval.report.gallery import Gallery, gallery
from eval.report.html import FOLDER, html_page
from eval.report.latex import latex_table
from eval.report.page import Page
from eval.report.predictions import Browsed, browsed, scripts
from eval.report.render import as_pdf, as_png, as_svg


def write_report(folder: Path, page: Page) -> Gallery:
    """Writes report.html, summary.csv, summary.parquet, tables/*.tex and figures/*.svg, .png, .pdf into the folder.

    Many predictions go to report_files/, from where the page loads them. Earlier figures and tables
    are replaced. Returns the tables and pictures.
    """
    with whole_file(folder / "summary.parquet") as unfinished, unfinished.open("wb") as file:
        page.summary.write_parquet(file)
    write_text(folder / "summary.csv", page.summary.write_csv())
    shown = gallery(page)
    write_page(folder, page, shown)
    write_folder(
        folder / "tables",
        {
            f"{table.task}-{table.metric}.tex": latex_table(table, page.study, page.groups.unseen).encode()
            for table in shown.tables
        },
    )
    write_folder(folder / "figures", drawn(shown))
    return shown


def write_page(folder: Path, page: Page, shown: Gallery) -> None:
    """Writes report.html, and report_files/ if there are too many predictions for it."""
    browser = Browsed((), 0, 0) if page.predictions is None else browsed(page.predictions, page.scores)
    write_folder(folder / FOLDER, {name: text.encode() for name, text in scripts(browser)})
    write_text(folder / "report.html", html_page(page, shown, browser))


def drawn(shown: Gallery) -> dict[str, bytes]:
    """Every picture as SVG, PNG and PDF, by file name."""
    found: dict[str, bytes] = {}
    for picture in (each for pictures in shown.pictures.values() for each in pictures):
        svg = as_svg(shown.whole(picture))
        found |= {
            f"{picture.name}.svg": svg.encode(),
            f"{picture.name}.png": as_png(svg),
            f"{picture.name}.pdf": as_pdf(svg),
        }
    return found


def write_folder(folder: Path, contents: dict[str, bytes]) -> None:
    """Makes the folder hold these files and no others; no folder at all for none."""
    if not contents:
        shutil.rmtree(folder, ignore_errors=True)
        return
    with whole_folder(folder) as unfinished:
        for name, content in contents.items():
            (unfinished / name).write_bytes(content)

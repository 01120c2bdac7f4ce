"""The report as one HTML file; only many predictions stand beside it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from data_mixes.json_text import json_text
from eval.analysis.groups import HELD_OUT, OTHERS, SEEN, STUDY_SEEN, UNSEEN, LanguageGroups, language_name
from eval.report.block_pictures import block_tables
from eval.report.cards import card_table
from eval.report.checkpoint_pictures import asymmetry_sentences, checkpoint_text_tables
from eval.report.consistency import consistency_table, pair_tables
from eval.report.gallery import Gallery, data_columns
from eval.report.grid import Picture
from eval.report.page import Page
from eval.report.pictures.training import card_picture
from eval.report.predictions import Browsed, safe
from eval.report.render import vega_scripts
from eval.report.stage_tables import stage_tables
from eval.report.tables import Best, TaskTable, TextTable, best_cells
from eval.report.text_tables import (
    comparison_tables,
    conditions_table,
    confusion_table,
    cost_table,
    endings_table,
    few_shot_table,
    loss_table,
    missing_table,
    mixture_table,
    noise_table,
    overview_table,
    transfer_table,
    transfer_tables,
)
from eval.report.theme import themes
from eval.report.training_tables import learned_tables, written_tables
from eval.report.units import depends_on_language, duration, metric_name, names_in_words
from eval.report.verdicts import ARROWS, DISAGREEMENT
from eval.scorers.metrics import metric_of

FEW_CELLS = 6
FOLDER = "report_files"
"""Where chunks of predictions stand, beside the page."""


@dataclass(frozen=True, slots=True)
class Section:
    """One task: its tables, the one it is judged by first, and its pictures."""

    task: str
    label: str
    """What readers see for the task."""
    tables: Sequence[TaskTable]
    pictures: Sequence[Picture]
    no_answer: int
    unscored: int
    laws: TextTable
    """The few-shot laws of its main metric's curves."""

    @property
    def small(self) -> list[Picture]:
        """The pictures that stand beside each other where there is room and cells are few."""
        few = len(self.tables[0].rows) <= FEW_CELLS
        ends = ("-scatter", "-confusion") if few else ("-scatter",)
        return [picture for picture in self.pictures if picture.name.endswith(ends)]

    @property
    def large(self) -> list[Picture]:
        """The pictures that take the whole width."""
        return [picture for picture in self.pictures if picture not in self.small]

    @property
    def title(self) -> str:
        """The section's heading."""
        return self.label[:1].upper() + self.label[1:]


def html_page(page: Page, gallery: Gallery, browser: Browsed) -> str:
    """The page; everything put into it is escaped, and its policy lets it load nothing but its own chunks."""
    cards = {cell: (card_table(card), card_picture(cell, card)) for cell, card in page.cards.items()}
    scripts = [Markup(text) for text in (vega_scripts(), _own("charts.js"), _own("browser.js"))]
    return (
        _templates()
        .get_template("page.html.jinja")
        .render(
            page=page,
            groups=page.groups,
            means=own_languages(page.groups),
            style=Markup(_own("page.css")),
            scripts=scripts,
            policy=policy(scripts),
            overview=gallery.overview,
            training=gallery.training,
            checkpoints=gallery.checkpoints,
            blocks=gallery.blocks,
            layers=gallery.layers,
            asymmetry=asymmetry_sentences(page.checkpoints) if page.checkpoints else [],
            sections=[section(page, gallery, task) for task in gallery.tasks],
            best=best_by_task(best_cells(gallery.primary, page.groups, page.untuned, gallery.changes)),
            arrows=ARROWS,
            disagreement=DISAGREEMENT,
            candidates=[language_name(code) for code in page.candidates],
            cut_by_language=any(depends_on_language(table.metric) for table in gallery.primary if table.scored),
            best_groups=[
                name
                for name in (page.groups.pivot, *page.groups.comparable())
                if name in page.groups.all or name in (SEEN, UNSEEN, STUDY_SEEN, HELD_OUT, OTHERS, *page.groups.named)
            ],
            behind=tables_behind(page, gallery),
            comparisons={} if page.comparisons is None else comparison_tables(page.comparisons, page.groups),
            transfer=transfer_tables(page.transfer, page.groups.all) if page.transfer else {},
            conditions=conditions_table(page.conditions),
            planes=gallery.consistency,
            consistency=consistency_table(page),
            consistency_pairs=pair_tables(page),
            written=written_tables(page.written),
            learned=learned_tables(page.written),
            stages=stage_tables(page.stages, page.continual, page.groups.all) if page.stages.height else {},
            seconds=training_time(page),
            devices=sorted({cell.device for cell in page.cells if cell.device}),
            mixtures=mixture_table(page),
            costs=cost_table(page.cells),
            missing=missing_table(page.scores),
            noise=None if page.noise is None else noise_table(page.noise, page.groups),
            endings=None if page.endings is None else endings_table(page.endings),
            cards=cards,
            browser=browser,
            islands=islands(page, gallery, [picture for _, picture in cards.values()], browser),
        )
    )


@cache
def _templates() -> Environment:
    """The page's templates, each of which is compiled once."""
    environment = Environment(
        loader=PackageLoader("eval", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"in_words": names_in_words, "language_name": language_name, "metric_name": metric_name}
    return environment


def own_languages(groups: LanguageGroups) -> dict[str, tuple[str, ...]]:
    """Group → its languages, to stand below its heading; those of a cell's own groups are not the same in every row."""
    return groups.comparable() | (dict.fromkeys((SEEN, UNSEEN), ("of each cell",)) if groups.differ else {})


def training_time(page: Page) -> str:
    """How long all cells took to train; blank if it is not recorded."""
    seconds = sum(cell.seconds or 0 for cell in page.cells)
    return duration(seconds) if seconds else ""


def _own(name: str) -> str:
    """A file of this folder."""
    return files("eval.report").joinpath(name).read_text(encoding="utf-8")


def policy(scripts: Sequence[Markup]) -> str:
    """What the page may load: these very scripts, scripts beside it, and nothing from a network.

    A script or a handler that slipped in with a prediction would not be among them.
    """
    hashes = " ".join(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts)
    return f"default-src 'none'; script-src 'self' file: {hashes}; style-src 'unsafe-inline'; img-src data:"


def section(page: Page, gallery: Gallery, task: str) -> Section:
    """What the page says of one task."""
    tables = gallery.of(task)
    single = [tables[0].figure(cell, language) for cell in tables[0].rows for language in page.groups.all]
    figures = [figure for figure in single if figure]
    no_answer, unscored = sum(figure.no_answer for figure in figures), sum(figure.unscored for figure in figures)
    laws = few_shot_table([law for law in page.few_shot if law.task == task], page.groups)
    return Section(task, page.label(task), tables, gallery.tasks[task], no_answer, unscored, laws)


def best_by_task(bests: Sequence[Best]) -> Mapping[str, Mapping[str, Best]]:
    """Task → group → the best cell."""
    tasks = dict.fromkeys(best.task for best in bests)
    return {task: {best.group: best for best in bests if best.task == task} for task in tasks}


def tables_behind(page: Page, gallery: Gallery) -> dict[str, TextTable]:
    """The figures of those pictures that are of no task's table, by the picture's name."""
    tables = gallery.behind | {"training": loss_table(page.cells)}
    if page.checkpoints:
        tables |= checkpoint_text_tables(page.checkpoints)
    if page.blocks is not None:
        tables |= block_tables(page.blocks)
    for picture in gallery.overview:
        tables[picture.name] = overview_table(gallery.data[picture.data])
    for picture in gallery.pictures:
        if picture.name.endswith("-confusion"):
            tables[picture.name] = confusion_table(gallery.data[picture.data])
        if picture.name.endswith("-transfer"):
            tables[picture.name] = transfer_table(gallery.data[picture.data])
    return tables


def islands(page: Page, gallery: Gallery, cards: Sequence[Picture], browser: Browsed) -> dict[str, Markup]:
    """Data for the page's scripts, by the id of the element that holds it."""
    pictures = [*gallery.pictures, *cards]
    held: dict[str, Any] = {
        "charts": {
            picture.name: {"spec": picture.spec, "data": picture.data, "is": picture.description}
            for picture in pictures
        },
        "tables": data_columns(gallery.data),
        "themes": themes(),
        "index": browser_index(page, browser, {table.metric for table in gallery.tables}),
    }
    texts = {name: json_text(data) for name, data in held.items()}
    if browser.inline:
        texts |= {f"chunk-{chunk.name}": chunk.text for chunk in browser.chunks}
    return {name: Markup(safe(text)) for name, text in texts.items()}


def browser_index(page: Page, browser: Browsed, metrics: set[str]) -> dict[str, Any]:
    """What the browser of predictions knows before it loads a chunk."""
    units = {name: metric_of(name) for name in sorted(metrics)}
    return {
        "cells": page.models,
        "languages": {language: language_name(language) for language in page.groups.all},
        "metrics": {
            name: {
                "label": metric_name(name),
                "factor": unit.factor,
                "best": unit.best if unit.best < float("inf") else None,
            }
            for name, unit in units.items()
        },
        "chunks": [{"name": chunk.name, "task": chunk.task, "language": chunk.language} for chunk in browser.chunks],
        "folder": FOLDER,
    }

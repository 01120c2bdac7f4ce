"""The predictions of a report's browser: chunks of items, each of one task and language, with all cells' answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl
import polars.selectors as columns

from data_mixes.json_text import json_text
from data_mixes.order import keys_of, seeded_order
from eval.scorers.metrics import IN_LANGUAGE, SWITCH_AWARE

SPLITS = (IN_LANGUAGE, SWITCH_AWARE)
"""For a single prediction they add nothing to its score and its language."""

MOST_PREDICTIONS = 100_000
"""Beyond, the browser holds a sample of the items."""
MOST_IN_A_CHUNK = 20_000
MOST_INLINE = 1_500_000
"""Characters of all chunks up to which they stand in the page itself."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some items of a task in one language, as JSON, named by what is in it."""

    task: str
    language: str
    items: int
    text: str

    @property
    def name(self) -> str:
        """A name of its own: a page never takes an older page's chunk for its own."""
        return f"{self.task}-{self.language}-{hashlib.sha256(self.text.encode()).hexdigest()[:12]}"

    @property
    def script(self) -> str:
        """The chunk as a script: a page opened from a disk may load scripts beside it, and no other data."""
        return f'receiveChunk("{self.name}", {safe(self.text)});\n'


@dataclass(frozen=True, slots=True)
class Browsed:
    """What the browser holds: its chunks, and how many predictions of how many."""

    chunks: tuple[Chunk, ...]
    shown: int
    total: int

    @property
    def inline(self) -> bool:
        """Whether the chunks are small enough to stand in the page."""
        return sum(len(chunk.text) for chunk in self.chunks) <= MOST_INLINE


def browsed(
    predictions: pl.DataFrame, scores: pl.DataFrame, prompts: pl.DataFrame | None = None, most: int = MOST_PREDICTIONS
) -> Browsed:
    """The predictions with their scores, or where they are too many, those to a sample of each task's items.

    `prompts` are those of the test items as the models got them: task, language, id, rendered. The sample is the first
    items in the order of a seeded hash of their ids: the same in all languages and for all cells, and the same again
    when the report is made anew.
    """
    chosen = sampled(predictions, most)
    kept = scores.join(chosen.select("task", "item").unique(), on=["task", "item"], how="semi", maintain_order="left")
    plain: dict[Any, Any] = {columns.categorical(): pl.String}  # so few rows need not be held compactly
    chosen, kept = chosen.cast(plain), kept.cast(plain)
    prompts = None if prompts is None else prompts.cast(plain)
    by_place = kept.partition_by("task", "language", as_dict=True, maintain_order=True)
    chunks: list[Chunk] = []
    for (task, language), part in chosen.partition_by("task", "language", as_dict=True, maintain_order=True).items():
        items = part.select("id", "item", "prompt", "reference").unique("id", keep="first", maintain_order=True)
        items = items if prompts is None else with_rendered(items, prompts.filter(task=task, language=language))
        size = max(1, MOST_IN_A_CHUNK // part["cell"].n_unique())
        for block in items.iter_slices(size):
            chunks.append(_chunk(str(task), str(language), block, part, by_place[task, language]))
    return Browsed(tuple(chunks), chosen.height, predictions.height)


def with_rendered(items: pl.DataFrame, prompts: pl.DataFrame) -> pl.DataFrame:
    """The items with their prompts as the models got them, as far as these are known."""
    rendered = prompts.select("id", "rendered").unique("id", keep="first")
    return items.join(rendered, on="id", how="left", maintain_order="left")


def sampled(predictions: pl.DataFrame, most: int) -> pl.DataFrame:
    """The predictions to as many whole items of each task as give at most `most` in all, but at least one item."""
    if predictions.height <= most:
        return predictions
    items = predictions.select("task", "item").unique(maintain_order=True)
    kept: list[pl.DataFrame] = []
    for part in items.partition_by("task", maintain_order=True):
        count = max(1, part.height * most // predictions.height)
        kept.append(part[seeded_order(keys_of(part["item"]), "browser")[:count]])
    return predictions.join(pl.concat(kept), on=["task", "item"], how="semi", maintain_order="left")


def _chunk(task: str, language: str, items: pl.DataFrame, predictions: pl.DataFrame, scores: pl.DataFrame) -> Chunk:
    """One chunk: its items, and per cell columns in the items' order; null where there is no prediction."""
    ids = items.select("id")
    metrics = [name for name in scores["metric"].unique(maintain_order=True) if not name.endswith(SPLITS)]
    answers = predictions.partition_by("cell", as_dict=True, maintain_order=True)
    judged = scores.partition_by("cell", "metric", as_dict=True, maintain_order=True)
    cells: dict[str, dict[str, Any]] = {}
    for (cell,), part in answers.items():
        written = _aligned(ids, part, ["completion", "tokens", "finish"])
        marks = {metric: judged.get((cell, metric)) for metric in metrics}
        cells[str(cell)] = written | {
            "scores": {
                metric: _aligned(ids, part, ["value", "answer", "reason"])
                for metric, part in marks.items()
                if part is not None
            }
        }
    data = {
        "task": task,
        "language": language,
        "metrics": metrics,
        "items": items.to_dict(as_series=False),
        "cells": cells,
    }
    return Chunk(task, language, items.height, json_text(data))


def _aligned(ids: pl.DataFrame, table: pl.DataFrame, columns: list[str]) -> dict[str, list[Any]]:
    """The columns in the order of the ids, numbers to four decimals; a column without any entry is left out."""
    aligned = ids.join(table.select("id", *columns), on="id", how="left", maintain_order="left").select(columns)
    aligned = aligned.with_columns(pl.col(pl.Float64).round(4))
    return {name: aligned[name].to_list() for name in columns if aligned[name].null_count() < aligned.height}


def safe(text: str) -> str:
    """JSON that can stand in a script: no "<" in it, so neither an end of the script nor a comment."""
    return text.replace("<", "\\u003c")


def scripts(browser: Browsed) -> Iterator[tuple[str, str]]:
    """File name and text of every chunk to stand beside the page; none where they stand in it."""
    if not browser.inline:
        yield from ((f"{chunk.name}.js", chunk.script) for chunk in browser.chunks)

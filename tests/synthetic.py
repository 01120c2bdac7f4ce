"""A study made up on the spot, as large as is asked for, to make reports of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from eval.analysis.design import BASE, Design
from eval.analysis.groups import LanguageGroups
from eval.analysis.panel import Panel
from eval.analysis.summary import summarize
from eval.analysis.transfer import Source, Transfer
from eval.report.page import CellFacts, Page

SEEN, UNSEEN = ("en", "es", "fr", "ja", "zh"), ("ar", "ko", "pt")
METRICS = {
    "math": ("accuracy", "language_pass", "word_pass", "accuracy_in_language", "accuracy_switch_aware"),
    "summarization": ("rouge_l", "language_pass", "length_ratio"),
}
PROMPTS = {
    "ar": "لدى ليلى {} كتابًا وتشتري {} أخرى. كم كتابًا لديها؟",
    "ja": "花子さんは本を{}冊持っていて、あと{}冊買います。全部で何冊ですか。",
    "ko": "지민이는 책 {}권을 가지고 있고 {}권을 더 삽니다. 모두 몇 권입니까?",
    "zh": "小明有{}本书，又买了{}本。他一共有多少本书？",
}
ENGLISH = "Lena has {} books and buys {} more. How many books does she have?"
ANSWERS = {"ar": "الجواب هو {}", "ja": "答えは{}です。", "ko": "정답은 {}입니다.", "zh": "答案是{}。"}


def tables(
    cells: Sequence[str], tasks: Sequence[str], languages: Sequence[str], items: int, seed: int = 0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Predictions and scores as `eval.generation` makes them; later cells are better, later languages worse."""
    drawn = np.random.default_rng(seed)
    predictions: list[pl.DataFrame] = []
    scores: list[pl.DataFrame] = []
    for place, cell in enumerate(cells):
        weights = None if cell == "base" else f"weights-of-{cell}"
        for task in tasks:
            for rank, language in enumerate(languages):
                ids = pl.DataFrame({"item": [f"{task}-{number}" for number in range(items)]})
                ids = ids.select(
                    cell=pl.lit(cell), weights=pl.lit(weights, dtype=pl.String), task=pl.lit(task),
                    language=pl.lit(language), item="item", id=pl.col("item") + f"/{language}",
                )  # fmt: skip
                share = 0.1 + 0.6 * place / len(cells) - 0.03 * rank
                predictions.append(_written(ids, task, language, drawn))
                scores += [_scored(ids, task, metric, share, drawn) for metric in METRICS[task]]
    return pl.concat(predictions), pl.concat(scores)


def transfer() -> Transfer:
    """Of English, French and Japanese, each trained on alone, to these and Arabic."""
    rng, languages = np.random.default_rng(0), ("en", "fr", "ja", "ar")
    base = rng.random((40, 4))
    cells = [base + rng.normal(gain, 0.05, (40, 4)) for gain in (0.2, 0.1, -0.1)]
    panel = Panel("math", "accuracy", (BASE, *languages[:3]), languages, np.stack([base, *cells]))
    sources = {language: Source("math", language) for language in languages[:3]}
    return Transfer.of([panel], sources, Design({language: (language,) for language in sources}))


def _written(ids: pl.DataFrame, task: str, language: str, drawn: np.random.Generator) -> pl.DataFrame:
    """Prompts that are the same for every cell, and completions that are not."""
    numbers = range(len(ids))
    prompt, answer = PROMPTS.get(language, ENGLISH), ANSWERS.get(language, "The answer is {}.")
    guesses = drawn.integers(0, 1000, len(ids)).tolist()
    return ids.with_columns(
        prompt=pl.Series([prompt.format(number, 7) for number in numbers], dtype=pl.String),
        reference=pl.Series([answer.format(number + 7) for number in numbers], dtype=pl.String),
        completion=pl.Series([answer.format(guess) for guess in guesses], dtype=pl.String),
        tokens=pl.Series(drawn.integers(5, 48, len(ids))),
        finish=pl.lit("stop"),
    )


def _scored(ids: pl.DataFrame, task: str, metric: str, share: float, drawn: np.random.Generator) -> pl.DataFrame:
    """One metric's scores: right as often as `share` says, some unscored, some without an answer."""
    if metric in ("rouge_l", "length_ratio"):
        values = np.clip(drawn.normal(share, 0.1, len(ids)), 0, None)
        reason = np.full(len(ids), None, dtype=object)
    else:
        values = (drawn.random(len(ids)) < (0.9 if metric == "language_pass" else share)).astype(np.float64)
        silent = (values == 0) & (drawn.random(len(ids)) < 0.05) & (metric == "accuracy")
        reason = np.where(silent, "no answer found", None)
    untold = (drawn.random(len(ids)) < 0.04) & (metric not in ("accuracy", "rouge_l"))
    reason = np.where(untold, "too short to tell", reason)
    return ids.with_columns(
        metric=pl.lit(metric),
        value=pl.Series(np.where(untold, np.nan, values)).fill_nan(None),
        version=pl.lit(f"{metric}/1"),
        answer=pl.lit(None, dtype=pl.String),
        reason=pl.Series(reason.tolist(), dtype=pl.String),
    )


def study_page(
    cells: int = 3, tasks: Sequence[str] = ("math",), seen: Sequence[str] = SEEN, unseen: Sequence[str] = UNSEEN,
    items: int = 12, **parts: Any,
) -> Page:  # fmt: skip
    """A study with the base model and so many cells, amount-0, amount-20, …; `parts` are other fields of the page."""
    names = ["base", *(f"amount-{20 * place}" for place in range(cells))]
    groups = LanguageGroups(tuple(seen), tuple(unseen))
    predictions, scores = tables(names, tasks, groups.all, items)
    return page_of(names, groups, predictions, scores, summarize(scores, groups), **parts)


def page_of(
    names: Sequence[str], groups: LanguageGroups, predicted: pl.DataFrame, scored: pl.DataFrame,
    summary: pl.DataFrame, **parts: Any,
) -> Page:  # fmt: skip
    """The page of a study whose first model is the base."""
    settings: dict[str, Any] = {
        "study": "made-up",
        "model": "model-that-is-none",
        "base": names[0],
        "groups": groups,
        "cells": [facts(name, 20 * place, groups.seen) for place, name in enumerate(names[1:])],
        "settings": {name: {"amount": 20 * place} for place, name in enumerate(names[1:])},
        "axis": "amount",
        "summary": summary,
        "scores": scored,
        "predictions": predicted,
        "provenance": {"code": "none"},
    }
    return Page(**settings | parts)


def facts(name: str, amount: int, languages: Sequence[str]) -> CellFacts:
    """A cell trained on so many rows of each language beside English."""
    steps = 10 + amount
    return CellFacts(
        name=name,
        examples={language: 32 if language == "en" else amount for language in languages},
        tokens=1000 + 100 * amount,
        supervised_tokens=300 + 30 * amount,
        steps=steps,
        state="trained",
        seconds=20.0 + amount,
        tokens_per_second=216.9,
        device="cpu",
        processes=1,
        loss=[2 / (1 + 0.1 * step) for step in range(steps)],
    )

"""Consistency of the answers in SeaEval's published logs, where these are at hand, against the figures of its code.

The logs are folders of `log/` in SeaEval/SeaEval at SeaEval_v0.1, with five files of answers for each data set.
"""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any

import numpy as np
import polars as pl
import pytest

from eval.analysis.consistency import consistency
from eval.analysis.design import Design
from tests.support import REPOSITORY

LOGS = REPOSITORY.parent / "shared" / "data" / "seaeval"
PUBLISHED = {
    ("gemma_2b_it", "cross_mmlu"): (0.368, 0.326, 0.349),
    ("gemma_2b_it", "cross_logiqa"): (0.320, 0.301, 0.303),
    ("mistral_7b_instruct_v0_2", "cross_mmlu"): (0.493, 0.298, 0.370),
    ("mistral_7b_instruct_v0_2", "cross_logiqa"): (0.446, 0.357, 0.392),
    ("meta_llama_3_8b_instruct", "cross_mmlu"): (0.574, 0.484, 0.522),
    ("meta_llama_3_8b_instruct", "cross_logiqa"): (0.502, 0.476, 0.489),
    ("random", "cross_mmlu"): (0.258, 0.060, 0.096),
    ("random", "cross_logiqa"): (0.252, 0.057, 0.094),
}
"""Model and data set → accuracy, C_3 and AC3_3 by SeaEval's code, the medians over its five prompts."""
WHAT = {"cell": "base", "task": "options", "metric": "accuracy", "reason": None, "version": "1"}
LABEL = re.compile(r"\(([A-D])\)|^\W*([A-D])(?=[).:,]|\s*$)")


def label_in(told: str, choices: list[str], drawn: Random) -> str:
    """The option that is named, by its letter or its text; where there is none any, as in SeaEval."""
    if found := LABEL.search(told):
        return f"({found[1] or found[2]})"
    quoted = [choice[:3] for choice in choices if choice[4:] and choice[4:].lower() in told.lower()]
    return quoted[0] if len(quoted) == 1 else f"({drawn.choice('ABCD')})"


def scores_in(items: list[dict[str, Any]]) -> pl.DataFrame:
    """Scores as evaluation writes them, of a log with all its languages."""
    drawn = Random(0)
    rows: list[dict[str, Any]] = []
    for item in items:
        for language, asked in item.items():
            if language != "id":
                answer = label_in(asked["model_prediction"], asked["choices"], drawn)
                right = asked["answer"].startswith(answer)
                rows.append(WHAT | {"language": language, "item": item["id"], "value": float(right), "answer": answer})
    return pl.DataFrame(rows)


def figures(items: list[dict[str, Any]]) -> tuple[float, float, float]:
    """Accuracy, C_3 and AC3_3 of a log."""
    row = consistency(scores_in(items), Design({})).sizes.row(by_predicate=pl.col("s") == 3, named=True)
    return row["accuracy"], row["consistency"], row["ac3"]


@pytest.mark.skipif(not LOGS.is_dir(), reason="SeaEval's logs are not there")
@pytest.mark.parametrize(("model", "data"), PUBLISHED)
def test_published_logs_have_the_published_consistency(model: str, data: str) -> None:
    files = sorted((LOGS / model / data).glob("zero_shot_p[1-5].json"))
    assert len(files) == 5
    found = np.median([figures(json.loads(file.read_text(encoding="utf-8"))) for file in files], axis=0)
    assert found == pytest.approx(PUBLISHED[model, data], abs=0.03)


def test_a_log_is_read_as_it_is_written() -> None:
    """Two languages agree on every item, a third on half of them, and what names no option is any of them."""
    choices = ["(A) river", "(B) house", "(C) 42", "(D) none"]
    told = ["(B) house", "B", "The answer is (B).", "It is a House, I think."]
    assert [label_in(text, choices, Random(0)) for text in told] == ["(B)"] * 4
    assert (
        len({label_in("As a generator of concepts, I cannot say.", choices, Random(seed)) for seed in range(40)}) == 4
    )
    items: list[dict[str, Any]] = []
    for number in range(10):
        said = {"English": "(B)", "Malay": "(B) house", "Spanish": "(B)" if number % 2 else "D"}
        asked = {language: {"answer": "(B) house", "choices": choices, "model_prediction": text}
                 for language, text in said.items()}  # fmt: skip
        items.append({"id": f"test_{number}"} | asked)
    accuracy, three, ac3 = figures(items)
    assert (accuracy, three) == pytest.approx((5 / 6, 1 / 2)) and ac3 == pytest.approx(2 * 5 / 6 / 2 / (5 / 6 + 1 / 2))

"""MGSM (Shi et al. 2022): 250 problems of GSM8K's test split, translated by hand; and P-MMEval's of it.

P-MMEval (Zhang et al. 2024) has it in Arabic, Korean, Portuguese and Vietnamese as well.
"""

from __future__ import annotations

import re

import pyarrow as pa

from data_mixes.arrow import TEXT, compute
from data_mixes.reading.hub import HubSource
from data_mixes.reading.readers import LINE
from data_mixes.reading.table import Columns

LABEL = r"^[^:：]{1,40}[:：]\s*"
"""What the exemplars' questions and answers begin with, e.g. "Question: ", "Step-by-Step Answer: "."""


class Mgsm(HubSource):
    """Test rows hold a number alone; the eight training rows, worked answers to be exemplars."""

    derived_from = ("question", "answer", "answer_number")

    def adapted(self, table: pa.Table, split: str) -> pa.Table:
        """Labels away, and the number as the target where no answer is written out."""
        if split == "train":
            for name in ("question", "answer"):
                bare = [re.sub(LABEL, "", text or "") for text in table[name].to_pylist()]
                table = table.set_column(table.column_names.index(name), name, pa.array(bare, TEXT))
        return table.append_column("target", compute.coalesce(table["answer"], table["answer_number"]))


MGSM = Mgsm(
    "mgsm",
    "math",
    ("bn", "de", "en", "es", "fr", "ja", "ru", "sw", "te", "th", "zh"),
    repository="juletxara/mgsm",
    revision="b2f13d426afe3be8d69a7e739b36724db8b66bbc",
    files={"train": "{language}/train-*.parquet", "test": "{language}/test-*.parquet"},
    columns=Columns(prompt="question", target="target", answer="answer_number", item=LINE),
)

MGSM_P_MMEVAL = HubSource(
    "mgsm-p-mmeval",
    "math",
    ("ar", "en", "es", "fr", "ja", "ko", "pt", "th", "vi", "zh"),
    repository="Qwen/P-MMEval",
    revision="dc46b2b79db31d69a3ffa79300b0d81140e414c0",
    files={"test": "mgsm/test/{language}.jsonl"},
    columns=Columns(prompt="question", target="answer", answer="answer", item=LINE),
)

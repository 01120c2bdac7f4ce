"""GSM8K (Cobbe et al. 2021): English word problems with a worked solution. MIT. MGSM's are from its test split."""

from __future__ import annotations

import pyarrow as pa

from data_mixes.arrow import TEXT
from data_mixes.prompt_words import answer_sentence
from data_mixes.reading.calculator import without_calculator_marks
from data_mixes.reading.hub import HubSource
from data_mixes.reading.table import Columns

FINAL = "####"


class Gsm8k(HubSource):
    """The line "#### 72" becomes the answer, and in the target "The answer is 72."."""

    derived_from = ("question", "answer")

    def adapted(self, table: pa.Table, split: str) -> pa.Table:
        """Rationale and answer apart."""
        table = without_calculator_marks(table, "answer")
        parts = [(text or "").rpartition(FINAL) for text in table["answer"].to_pylist()]
        targets = [f"{worked.strip()}\n{answer_sentence(final.strip(), 'en')}" for worked, _, final in parts]
        table = table.append_column("target", pa.array(targets, TEXT))
        return table.append_column("number", pa.array([final.strip() for *_, final in parts], TEXT))


GSM8K = Gsm8k(
    "gsm8k",
    "math",
    ("en",),
    repository="openai/gsm8k",
    revision="740312add88f781978c0658806c59bc2815b9866",
    files={"train": "main/train-*.parquet", "test": "main/test-*.parquet"},
    columns=Columns(prompt="question", target="target", answer="number"),
)

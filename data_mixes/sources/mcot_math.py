"""mCoT-MATH (Lai & Nissim 2024): MetaMathQA and MathInstruct, machine-translated; parallel. Apache-2.0."""

from __future__ import annotations

import pyarrow as pa

from data_mixes.arrow import TEXT
from data_mixes.prompt_words import ANSWERS, answer_in
from data_mixes.reading.calculator import without_calculator_marks
from data_mixes.reading.hub import HubSource
from data_mixes.reading.table import Columns


class MCoTMath(HubSource):
    """Its column "lang-id", e.g. "fr-123", says the language and the item."""

    derived_from = ("lang-id", "question", "answer")

    def adapted(self, table: pa.Table, split: str) -> pa.Table:
        """Language and item apart, and the answer that a rationale ends with; no marks for a calculator."""
        parts = [(text or "").partition("-") for text in table["lang-id"].to_pylist()]
        table = table.append_column("language", pa.array([part[0] for part in parts], TEXT))
        table = table.append_column("item", pa.array([part[2] for part in parts], TEXT))
        solutions = zip(table["answer"].to_pylist(), parts, strict=True)
        answers = [answer_in(text or "", part[0]) if part[0] in ANSWERS else None for text, part in solutions]
        table = table.append_column("number", pa.array(answers, TEXT))
        return without_calculator_marks(table, "answer")


MCOT_MATH = MCoTMath(
    "mcot-math",
    "math",
    ("bn", "de", "en", "es", "fr", "ja", "ru", "sw", "te", "th", "zh"),
    repository="laihuiyuan/mCoT-MATH",
    revision="main",
    files={"train": "lang-id/mcot-math.json"},
    columns=Columns(prompt="question", target="answer", language="language", item="item", answer="number"),
)

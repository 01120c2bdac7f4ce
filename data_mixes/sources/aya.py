"""The Dolly prompts of the Aya evaluation suite (Singh et al. 2024): 200 in each language, parallel. Apache-2.0.

They are prompts to be judged by: the suite says of their targets that they are not applicable.
"""

from __future__ import annotations

import pyarrow as pa

from data_mixes.arrow import compute
from data_mixes.reading.hub import HubSource
from data_mixes.reading.table import Columns

NAMES = {
    "ar": "arb", "bn": "ben", "cs": "ces", "de": "deu", "el": "ell", "en": "eng", "es": "spa", "fa": "pes",
    "fr": "fra", "he": "heb", "hi": "hin", "id": "ind", "it": "ita", "ja": "jpn", "ko": "kor", "nl": "nld",
    "pl": "pol", "pt": "por", "ro": "ron", "ru": "rus", "sw": "swh", "te": "tel", "th": "tha", "tr": "tur",
    "uk": "ukr", "vi": "vie", "zh": "zho",
}  # fmt: skip
"""ISO 639-1 → the suite's ISO 639-3."""
EDITED = ("ar", "es", "fr", "hi", "ru")
"""Languages whose translations were edited by hand; all others are machine-translated."""


class AyaDolly(HubSource):
    """Rows of one script per language: of the two Chinese ones the simplified."""

    derived_from = ("inputs", "targets", "language", "script", "source_id")

    def adapted(self, table: pa.Table, split: str) -> pa.Table:
        """Without the traditional Chinese ones."""
        return table.filter(compute.not_equal(table["script"], "Hant"))


def aya(name: str, languages: tuple[str, ...], configuration: str) -> AyaDolly:
    """One of the suite's two translations of the Dolly prompts."""
    return AyaDolly(
        name,
        "instructions",
        languages,
        repository="CohereLabs/aya_evaluation_suite",
        revision="8a622ea40687244b7849e6cf15c93a8b33fa9575",
        files={"test": f"{configuration}/test-*.parquet"},
        columns=Columns(prompt="inputs", target="targets", language="language", item="source_id"),
        names=NAMES,
    )


AYA_DOLLY = aya("aya-dolly", tuple(NAMES), "dolly_machine_translated")
AYA_DOLLY_EDITED = aya("aya-dolly-edited", EDITED, "dolly_human_edited")

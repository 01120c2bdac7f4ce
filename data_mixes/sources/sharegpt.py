"""Conversations of ShareGPT's users with ChatGPT, as Vicuna's makers split them."""

from __future__ import annotations

from data_mixes.reading.hub import HubSource
from data_mixes.reading.table import Columns

SHAREGPT = HubSource(
    "sharegpt",
    "instructions",
    ("en",),
    repository="anon8231489123/ShareGPT_Vicuna_unfiltered",
    revision="192ab2185289094fc556ec8ce5ce1e8e587154ca",
    files={"train": "ShareGPT_V3_unfiltered_cleaned_split.json"},
    columns=Columns(conversation="conversations", id="id"),
)

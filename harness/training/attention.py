"""Attention on the CPU to rows that were joined: of each row by itself, in fewer products."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

BY_ROW = "sdpa_by_row"
"""The name under which transformers knows `attend_by_row`."""
SHORT = 512
"""Tokens of a row up to which two plain products take less time than PyTorch's attention."""


def attend_to_joined_rows(model: Any) -> None:
    """Has a model on the CPU compute attention row by row; a GPU does all in one product, with a mask."""
    if model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(BY_ROW)


def attend_by_row(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any, **settings: Any
) -> tuple[torch.Tensor, None]:
    """The attention of PyTorch (sdpa), of each of several joined rows by itself: products with other rows are masked.

    Tensors are 1 × heads × tokens × width. Where rows begin and end is in `cu_seq_lens_q`, as for FlashAttention.
    """
    borders = settings.pop("cu_seq_lens_q", None)
    if borders is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    plain = not settings.get("dropout") and settings.get("position_bias") is None and settings.get("scaling")
    parts: list[torch.Tensor] = []
    for start, end in pairwise(borders.tolist()):
        mask = None if attention_mask is None else without_triangle(attention_mask[:, :, start:end, start:end])
        queries, keys, values = (tensor[:, :, start:end] for tensor in (query, key, value))
        if plain and mask is None and end - start <= SHORT:
            parts.append(attend_to_short_row(queries, keys, values, settings["scaling"]))
        else:
            parts.append(sdpa_attention_forward(module, queries, keys, values, mask, **settings)[0])
    return torch.cat(parts, dim=1), None


def without_triangle(mask: torch.Tensor) -> torch.Tensor | None:
    """A row's mask, 1 × 1 × tokens × tokens; None where all it hides is what comes later, which takes no mask."""
    triangle = torch.ones(mask.shape[-2:], dtype=torch.bool, device=mask.device).tril()
    return None if mask.dtype == torch.bool and torch.equal(mask[0, 0], triangle) else mask


def attend_to_short_row(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float) -> torch.Tensor:
    """Causal attention, softmax in float32; heads that share a key are one product. 1 × tokens × heads × width."""
    _, heads, tokens, width = query.shape
    shared = key.shape[1]
    rows = query.reshape(shared, heads // shared * tokens, width)
    scores = (rows @ key[0].transpose(1, 2)).float().view(heads, tokens, tokens) * scaling
    later = torch.ones(tokens, tokens, dtype=torch.bool, device=query.device).triu(1)
    weights = torch.softmax(scores.masked_fill(later, -torch.inf), -1).to(query.dtype)
    attended = weights.view(shared, -1, tokens) @ value[0]
    return attended.view(1, heads, tokens, -1).transpose(1, 2)


AttentionInterface.register(BY_ROW, attend_by_row)
AttentionMaskInterface.register(BY_ROW, sdpa_mask)

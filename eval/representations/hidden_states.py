"""The states of sentences and of words in every layer of a model, made in one pass and pooled as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from data_mixes.reading.treebank import Sentence
from eval.engines.engine import Progress

States: TypeAlias = NDArray[np.float16]
"""Layers × rows × width. Layer 0 is the embeddings, the last one is what the head reads."""
Pooling: TypeAlias = Literal["weighted", "mean", "last"]
"""How the tokens of a sentence become one state: their mean weighted by position, 1 to n (Muennighoff 2022), which
a decoder calls for since later tokens have read more; their mean; or the last one's state."""

TOKENS_AT_ONCE = 2_048
"""Padded tokens in one forward pass."""
LARGEST = 65_504.0
"""The largest float16: a few states of a few models are beyond it, and are clipped."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A text in tokens, and the tokens of each part that gets a state: of the sentence, or of each word."""

    ids: tuple[int, ...]
    """Begins with the token that begins a text, where the tokenizer has one; it is in no part."""
    parts: tuple[tuple[int, ...], ...]
    """Positions in `ids`."""


def encoded_sentence(tokenizer: Any, text: str, longest: int) -> Encoded:
    """A sentence, all of whose tokens are one part. What is beyond `longest` tokens is cut off."""
    start = beginning(tokenizer)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"][:longest]
    return Encoded((*start, *ids), (tuple(range(len(start), len(start) + len(ids))),))


def encoded_words(tokenizer: Any, sentence: Sentence) -> Encoded:
    """A sentence whose parts are its words: a token belongs to every word that it has a character of."""
    start = beginning(tokenizer)
    encoding = tokenizer(sentence.text, add_special_tokens=False, return_offsets_mapping=True)
    parts: list[tuple[int, ...]] = []
    for word in sentence.words:
        tokens = [len(start) + number for number, (first, end) in enumerate(encoding["offset_mapping"])
                  if first < word.end and end > word.start]  # fmt: skip
        parts.append(tuple(tokens))
    return Encoded((*start, *encoding["input_ids"]), tuple(parts))


def beginning(tokenizer: Any) -> tuple[int, ...]:
    """The token that begins a text. Its state is several times as long as others' and says nothing of the text."""
    return () if tokenizer.bos_token_id is None else (tokenizer.bos_token_id,)


def states_of(model: Any, texts: Sequence[Encoded], pooling: Pooling, progress: Progress | None = None) -> States:
    """The states of all parts of all texts, in order: layers × parts × width.

    The model is one of transformers' for causal language modelling. Texts of like length share a pass, padded on the
    right; states are pooled in float32 and kept in float16. Raises ValueError for a part without tokens.
    """
    import torch

    counts = np.array([len(text.parts) for text in texts])
    starts = np.concatenate([[0], np.cumsum(counts)])
    pooled: States | None = None
    for numbers in batches([len(text.ids) for text in texts]):
        batch = [texts[number] for number in numbers]
        longest = max(len(text.ids) for text in batch)
        ids = torch.zeros((len(batch), longest), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, text in enumerate(batch):
            ids[row, : len(text.ids)] = torch.tensor(text.ids)
            mask[row, : len(text.ids)] = 1
        weights, rows = pooling_weights(batch, longest, pooling)
        with torch.inference_mode():
            layers = model.model(
                input_ids=ids.to(model.device), attention_mask=mask.to(model.device), output_hidden_states=True,
                use_cache=False,
            ).hidden_states  # fmt: skip
        where = np.concatenate([np.arange(starts[number], starts[number] + counts[number]) for number in numbers])
        if pooled is None:
            pooled = np.empty((len(layers), int(counts.sum()), layers[0].shape[-1]), np.float16)
        for layer, states in enumerate(layers):
            means = torch.einsum("pt,ptd->pd", weights.to(states.device), states.float()[rows])
            pooled[layer, where] = means.clamp(-LARGEST, LARGEST).cpu().numpy()
        if progress:
            progress(len(batch))
    return np.empty((0, 0, 0), np.float16) if pooled is None else pooled


def pooling_weights(batch: Sequence[Encoded], longest: int, pooling: Pooling) -> tuple[Any, list[int]]:
    """For each part of a batch, the weight of every token of its text, and the number of the text."""
    import torch

    weigh: dict[Pooling, Callable[[int], Any]] = {
        "weighted": lambda count: torch.arange(1, count + 1, dtype=torch.float32),
        "mean": torch.ones,
        "last": lambda count: torch.eye(count)[-1],
    }
    rows = [row for row, text in enumerate(batch) for _ in text.parts]
    weights = torch.zeros((len(rows), longest))
    for number, part in enumerate(part for text in batch for part in text.parts):
        if not part:
            raise ValueError("a part without tokens has no state")
        given = weigh[pooling](len(part))
        weights[number, list(part)] = given / given.sum()
    return weights, rows


def batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of texts, in order of length, as many together as fit `TOKENS_AT_ONCE` when padded."""
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda index: lengths[index]):
        if batch and (len(batch) + 1) * lengths[number] > TOKENS_AT_ONCE:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch

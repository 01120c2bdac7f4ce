"""Which language a model is about to write, read off every layer: the logit lens (Wendler et al. 2024).

A layer's state at the end of a prompt goes through the model's last norm and head, as if there were no later layers.
What it gives to tokens that begin the answer in a language is that language's share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from babel import Locale, UnknownLocaleError
from numpy.typing import NDArray

from eval.representations.hidden_states import beginning

EXEMPLARS = 4


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt, and the tokens that begin its answer in the language asked for and in the pivot."""

    ids: tuple[int, ...]
    target: frozenset[int]
    pivot: frozenset[int]


def translation_prompts(
    tokenizer: Any, words: Sequence[Mapping[str, str]], source: str, target: str, pivot: str
) -> Iterator[Asked]:
    """Asks for each word in the target language, given it in the source's, after four other words as exemplars.

    Words whose answers in the target language and in the pivot can begin with the same token are left out.
    """
    for number, word in enumerate(words):
        steps = range(1, min(EXEMPLARS, len(words) - 1) + 1)
        shown = [words[(number + step) % len(words)] for step in steps]
        named = [own_name(language) for language in (source, target)]
        lines = [f'{named[0]}: "{other[source]}" – {named[1]}: "{other[target]}"' for other in shown]
        text = "\n".join([*lines, f'{named[0]}: "{word[source]}" – {named[1]}: "'])
        starts = [first_tokens(tokenizer, word[language]) for language in (target, pivot)]
        if not starts[0] & starts[1]:
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            yield Asked((*beginning(tokenizer), *ids), *starts)


def own_name(language: str) -> str:
    """What a language calls itself (CLDR), capitalised; of an unknown one the code."""
    try:
        return (Locale.parse(language, sep="-").get_display_name() or language).capitalize()
    except (ValueError, UnknownLocaleError):
        return language


def first_tokens(tokenizer: Any, word: str) -> frozenset[int]:
    """The tokens that an answer may begin with: those of every beginning of the word, after a space or not."""
    beginnings = (f"{space}{word[:end]}" for end in range(1, len(word) + 1) for space in ("", " "))
    encoded = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in beginnings)
    return frozenset(ids[0] for ids in encoded if len(ids) == 1) | {first_of(tokenizer, word)}


def first_of(tokenizer: Any, word: str) -> int:
    """The first token of the word as it would be written: of a rare sign its first byte."""
    return tokenizer(word, add_special_tokens=False)["input_ids"][0]


def language_shares(model: Any, prompts: Sequence[Asked]) -> NDArray[np.float64]:
    """The shares that each layer gives to the target language and to the pivot: layers × prompts × 2."""
    import torch

    shares: list[list[list[float]]] = []
    softcap = getattr(model.config, "final_logit_softcapping", None)
    for prompt in prompts:
        with torch.inference_mode():
            layers = model.model(
                torch.tensor([prompt.ids], device=model.device), output_hidden_states=True, use_cache=False
            ).hidden_states
            states = torch.stack([layer[0, -1] for layer in layers])
            states[:-1] = model.model.norm(states[:-1])  # the last one has been through it
            logits = model.lm_head(states).float()
            if softcap:
                logits = softcap * torch.tanh(logits / softcap)
            likely = logits.softmax(-1)
            shares.append([[float(layer[list(tokens)].sum()) for tokens in (prompt.target, prompt.pivot)]
                           for layer in likely])  # fmt: skip
    return np.array(shares).transpose(1, 0, 2)

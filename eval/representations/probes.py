"""Linear probes: what can be read off a layer's states by multinomial logistic regression.

A probe is trained on one language and tested on others (Blevins et al. 2022). What it may know of another language is
in the states alone: they are standardised by the training language, and its strength is chosen there as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from data_mixes.reading.treebank import ROOT, Sentence

TreebankTask: TypeAlias = Literal["pos", "arc", "deprel"]
Split: TypeAlias = Literal["train", "validation", "test"]
Numbers: TypeAlias = NDArray[np.int64]
Features: TypeAlias = NDArray[np.float32]

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
"""L2 penalties that are tried; the one that is best on the validation part of the training language is taken."""
ITERATIONS = 60


@dataclass(frozen=True, slots=True)
class Labelled:
    """What a task asks of a language: words, or pairs of words, with labels; or texts, or pairs of texts."""

    words: Numbers
    """Rows × 1 or 2: numbers of words, counted over all sentences. In a pair the dependent stands first."""
    labels: tuple[str, ...]
    sentences: Numbers
    """Of each row the number of its sentence."""

    def features(self, states: NDArray[np.float16], rows: Numbers) -> Features:
        """Of some rows: the state of a word; of a pair both and their product (Liu et al. 2019)."""
        parts = [states[self.words[rows, column]].astype(np.float32) for column in range(self.words.shape[1])]
        return np.concatenate([*parts, parts[0] * parts[1]] if len(parts) == 2 else parts, axis=1)


def labelled(task: TreebankTask, sentences: Sequence[Sentence], seed: int = 0) -> Labelled:
    """The rows of a task.

    For `arc` each word stands with its head, and with another word drawn from its sentence that is not. A sentence in
    which there is none gives no such row.
    """
    rng = np.random.default_rng(seed)
    words: list[tuple[int, ...]] = []
    labels: list[str] = []
    of: list[int] = []
    before = 0
    for number, sentence in enumerate(sentences):
        for index, word in enumerate(sentence.words):
            if task == "pos":
                rows = [((before + index,), word.part_of_speech)]
            elif word.head == ROOT:
                continue
            elif task == "deprel":
                rows = [((before + index, before + word.head - 1), word.relation)]
            else:
                others = [other for other in range(len(sentence.words)) if other not in (index, word.head - 1)]
                rows = [((before + index, before + word.head - 1), "arc")]
                if others:
                    rows.append(((before + index, before + int(rng.choice(others))), "no arc"))
            words += [row for row, _ in rows]
            labels += [label for _, label in rows]
            of += [number] * len(rows)
        before += len(sentence.words)
    width = 1 if task == "pos" else 2
    return Labelled(np.array(words, np.int64).reshape(-1, width), tuple(labels), np.array(of, np.int64))


@dataclass(frozen=True, slots=True)
class Probe:
    """A trained probe of one layer."""

    classes: tuple[str, ...]
    mean: Features
    scale: Features
    weights: Features
    """Classes × features."""
    bias: Features
    penalty: float

    def predicted(self, features: Features) -> NDArray[np.str_]:
        """The likeliest class of each row."""
        scores = ((features - self.mean) / self.scale) @ self.weights.T + self.bias
        return np.array(self.classes)[scores.argmax(axis=1)]

    def is_right(self, features: Features, labels: Sequence[str]) -> NDArray[np.bool_]:
        """Of each row whether its label was predicted. A label that training had not is always wrong."""
        return self.predicted(features) == np.array(labels)


def trained_probe(
    features: Features, labels: Sequence[str], held_out: Features, held_out_labels: Sequence[str]
) -> Probe:
    """The probe whose penalty is best on the held-out rows, which are of the training language too."""
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 0, scale, 1).astype(np.float32)
    classes = tuple(sorted(set(labels)))
    numbers = np.searchsorted(np.array(classes), np.array(labels))
    best: tuple[float, Probe] | None = None
    for weights, bias, penalty in fitted((features - mean) / scale, numbers, len(classes)):
        probe = Probe(classes, mean, scale, weights, bias, penalty)
        reached = float(probe.is_right(held_out, held_out_labels).mean())
        if best is None or reached > best[0]:
            best = reached, probe
    assert best
    return best[1]


def fitted(features: Features, classes: Numbers, count: int) -> Iterator[tuple[Features, Features, float]]:
    """Weights and bias at the minimum of the mean cross-entropy plus the penalty on the squared weights, halved.

    For each penalty, from the largest on: every one starts from the solution before.
    """
    import torch

    x, y = torch.from_numpy(np.ascontiguousarray(features)), torch.from_numpy(classes)
    weights = torch.zeros((count, x.shape[1]), requires_grad=True)
    bias = torch.zeros(count, requires_grad=True)
    for penalty in sorted(STRENGTHS, reverse=True):
        optimizer = torch.optim.LBFGS([weights, bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

        def loss(penalty: float = penalty, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            value = torch.nn.functional.cross_entropy(x @ weights.T + bias, y) + penalty / 2 * weights.square().sum()
            value.backward()
            return value

        optimizer.step(loss)
        yield weights.detach().numpy().copy(), bias.detach().numpy().copy(), penalty

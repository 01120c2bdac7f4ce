"""Probes of all layers and languages of a model: trained on each language, tested on every one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_mixes.order import key_of
from data_mixes.reading.treebank import Sentence
from eval.analysis.stats import estimate
from eval.representations.probes import (
    Features,
    Labelled,
    Numbers,
    Probe,
    Split,
    TreebankTask,
    labelled,
    trained_probe,
)

MOST_ROWS = 20_000
"""Rows that a probe is trained on; of more a sample is drawn."""
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Treebank:
    """A language's sentences, each with the split that it belongs to."""

    sentences: tuple[Sentence, ...]
    splits: tuple[Split, ...]


@dataclass(frozen=True, slots=True)
class ProbeScore:
    """How often probes of a layer are right, over the runs under several seeds."""

    task: str
    layer: int
    trained_on: str
    tested_on: str
    n: int
    """Test rows."""
    sentences: int
    accuracy: float | None
    low: float | None
    high: float | None
    majority: float
    """The share of test rows that have the label most frequent in training."""
    shuffled: float
    """The accuracy of the same probe after training on labels in random order: what the probe can do by itself."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a task in one language, by split."""

    labelled: Labelled
    by_split: Mapping[Split, Numbers]

    @classmethod
    def of(cls, task: TreebankTask, treebank: Treebank) -> Rows:
        """Every row, in the split of its sentence."""
        return cls.split(labelled(task, treebank.sentences), treebank.splits)

    @classmethod
    def split(cls, rows: Labelled, splits: Sequence[Split]) -> Rows:
        """Rows in the splits of their sentences."""
        of_rows = np.array(splits)[rows.sentences]
        return cls(rows, {split: np.flatnonzero(of_rows == split) for split in SPLITS})

    def labels(self, rows: Numbers) -> list[str]:
        """The labels of some rows."""
        return [self.labelled.labels[row] for row in rows]


def splits_of(ids: Sequence[str]) -> tuple[Split, ...]:
    """Three in five sentences to train on, one to choose by, one to test on; translations, of one id, go together."""
    fifths: tuple[Split, ...] = ("train", "train", "train", "validation", "test")
    return tuple(fifths[key_of(f"fold {name}") % 5] for name in ids)


def probe_scores(
    task: str,
    layer: int,
    states: Mapping[str, NDArray[np.float16]],
    rows: Mapping[str, Rows],
    seeds: int,
    trained_on: Sequence[str],
) -> Iterator[ProbeScore]:
    """Probes of one layer, trained on each of some languages under several seeds, tested on every language.

    `states` are those of all words, or texts, of each language, words × width. A seed draws the rows to train on, of
    those of the training split, and shuffles the labels of the control.
    """
    for language in trained_on:
        right: dict[str, list[NDArray[np.bool_]]] = {other: [] for other in rows}
        by_chance: dict[str, list[float]] = {other: [] for other in rows}
        for seed in range(seeds):
            probe, control = trained_probes(states[language], rows[language], seed)
            for other, tested in rows.items():
                features, labels = rows_of(states[other], tested, tested.by_split["test"])
                right[other].append(probe.is_right(features, labels))
                by_chance[other].append(float(control.is_right(features, labels).mean()))
        (most, _), *_ = Counter(rows[language].labels(rows[language].by_split["train"])).most_common(1)
        for other, tested in rows.items():
            test = tested.by_split["test"]
            sentences = tested.labelled.sentences[test]
            figure = estimate(np.stack(right[other])[:, :, None].astype(np.float64), clusters=sentences)
            yield ProbeScore(
                task, layer, language, other, len(test), len(np.unique(sentences)), figure.mean, figure.low,
                figure.high, float(np.mean(np.array(tested.labels(test)) == most)), float(np.mean(by_chance[other])),
            )  # fmt: skip


def trained_probes(states: NDArray[np.float16], rows: Rows, seed: int) -> tuple[Probe, Probe]:
    """A probe of a sample of the training rows, and its control: the same one of labels in random order."""
    rng = np.random.default_rng(seed)
    train = rng.permutation(rows.by_split["train"])[:MOST_ROWS]
    features, labels = rows_of(states, rows, train)
    held_out, held_out_labels = rows_of(states, rows, rows.by_split["validation"])
    shuffled = [labels[index] for index in rng.permutation(len(labels))]
    held_out_shuffled = [held_out_labels[index] for index in rng.permutation(len(held_out_labels))]
    return (
        trained_probe(features, labels, held_out, held_out_labels),
        trained_probe(features, shuffled, held_out, held_out_shuffled),
    )


def rows_of(states: NDArray[np.float16], rows: Rows, chosen: Numbers) -> tuple[Features, list[str]]:
    """Features and labels of some rows."""
    return rows.labelled.features(states, chosen), rows.labels(chosen)


LANGUAGE, ALL = "language", "all"


def language_scores(
    layer: int, states: Mapping[str, NDArray[np.float16]], treebanks: Mapping[str, Treebank], seeds: int
) -> Iterator[ProbeScore]:
    """The control: how often a probe trained on all languages tells which one a sentence is in, by language.

    `states` are those of all words, words × width; that of a sentence is their mean.
    """
    sentences = {language: sentence_means(states[language], bank) for language, bank in treebanks.items()}
    together = np.concatenate([*sentences.values()])
    languages = [language for language, of_language in sentences.items() for _ in of_language]
    splits: list[Split] = [split for bank in treebanks.values() for split in bank.splits]
    everything = Rows.split(
        Labelled(np.arange(len(together))[:, None], tuple(languages), np.arange(len(together))), splits
    )
    probes = [trained_probes(together, everything, seed) for seed in range(seeds)]
    train = everything.labels(everything.by_split["train"])
    (most, _), *_ = Counter(train).most_common(1)
    for language, of_language in sentences.items():
        test = np.flatnonzero(np.array(treebanks[language].splits) == "test")
        features, labels = of_language[test].astype(np.float32), [language] * len(test)
        right = np.stack([probe.is_right(features, labels) for probe, _ in probes])
        figure = estimate(right[:, :, None].astype(np.float64))
        by_chance = [float(control.is_right(features, labels).mean()) for _, control in probes]
        yield ProbeScore(
            LANGUAGE, layer, ALL, language, len(test), len(test), figure.mean, figure.low, figure.high,
            float(language == most), float(np.mean(by_chance)),
        )  # fmt: skip


def sentence_means(states: NDArray[np.float16], treebank: Treebank) -> NDArray[np.float16]:
    """The mean of each sentence's words."""
    counts = np.array([len(sentence.words) for sentence in treebank.sentences])
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return (np.add.reduceat(states.astype(np.float32), starts) / counts[:, None]).astype(np.float16)

"""Probes of all layers and languages of a model: trained on each language, tested on every one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_mixes.order import key_of
from data_mixes.reading.treebank import Sentence
from eval.analysis.stats import Estimate, estimate
from eval.representations.probes import (
    Features,
    Labelled,
    Numbers,
    Probe,
    Split,
    Task,
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

    task: Task
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
    def of(cls, task: Task, treebank: Treebank) -> Rows:
        """Every row, in the split of its sentence."""
        rows = labelled(task, treebank.sentences)
        splits = np.array(treebank.splits)[rows.sentences]
        return cls(rows, {split: np.flatnonzero(splits == split) for split in SPLITS})

    def labels(self, rows: Numbers) -> list[str]:
        """The labels of some rows."""
        return [self.labelled.labels[row] for row in rows]


def split_by_id(sentences: Sequence[Sentence]) -> tuple[Split, ...]:
    """Three in five sentences to train on, one to choose by, one to test on; translations, of one id, go together."""
    fifths: tuple[Split, ...] = ("train", "train", "train", "validation", "test")
    return tuple(fifths[key_of(f"fold {sentence.id or sentence.text}") % 5] for sentence in sentences)


def probe_scores(
    task: Task,
    layer: int,
    states: Mapping[str, NDArray[np.float16]],
    rows: Mapping[str, Rows],
    seeds: int,
    trained_on: Sequence[str],
) -> Iterator[ProbeScore]:
    """Probes of one layer, trained on each of some languages under several seeds, tested on every language.

    `states` are those of all words of each language, words × width. A seed draws the rows to train on, of those of
    the training split, and shuffles the labels of the control.
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


def language_scores(states: Mapping[str, NDArray[np.float16]], test: NDArray[np.bool_]) -> Estimate:
    """The control of similarity: how often a probe tells which language a sentence of this layer is in.

    `states` are those of parallel sentences, sentences × width; the sentences marked `test` are tested on, in all
    languages, the others trained on. By chance one in as many as there are languages.
    """
    languages = sorted(states)
    train, chosen = np.flatnonzero(~test)[::2], np.flatnonzero(~test)[1::2]

    def of(rows: Numbers) -> tuple[Features, list[str]]:
        features = np.concatenate([states[language][rows] for language in languages]).astype(np.float32)
        return features, [language for language in languages for _ in rows]

    probe = trained_probe(*of(train), *of(chosen))
    right = probe.is_right(*of(np.flatnonzero(test))).reshape(len(languages), -1)
    return estimate(right.T[None].astype(np.float64))

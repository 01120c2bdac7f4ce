"""What probes read: treebanks, and texts or pairs of texts with labels, by language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data_mixes.order import key_of
from data_mixes.reading.parallel import path_of
from data_mixes.reading.records import FileError
from data_mixes.reading.treebank import Sentence, read_treebank
from eval.representations.hidden_states import Encoded, encoded_sentence, encoded_words
from eval.representations.probes import Labelled, TreebankTask
from eval.representations.probing import Rows, Treebank, splits_of
from harness.errors import Problem, UserError, suggestion
from harness.recipe.representations_section import LabelledTexts, Probes
from harness.table_files import read_table

FEWEST = 25
"""Sentences, or rows, with which probes can be trained at all."""
LONGEST = 128
"""Tokens of a labelled text that are read."""


@dataclass(frozen=True, slots=True)
class Probed:
    """Texts of every language, and the rows of each task that are made of their parts."""

    texts: Mapping[str, Sequence[Encoded]]
    rows: Mapping[str, Mapping[str, Rows]]
    """Task → language → rows."""
    treebanks: Mapping[str, Treebank]
    """Where texts are those of treebanks."""


def read_probed(settings: Probes, languages: Sequence[str], tokenizer: Any) -> list[Probed]:
    """All that probes read, in the tokens of a model. Raises UserError for files that cannot be used."""
    parts = [read_treebanks(settings.treebanks, settings, languages, tokenizer)] if settings.treebanks else []
    parts += [read_labelled(name, given, settings, languages, tokenizer) for name, given in settings.labelled.items()]
    return parts


def read_treebanks(pattern: str, settings: Probes, languages: Sequence[str], tokenizer: Any) -> Probed:
    """Sentences in tokens, and with their analyses, by language. Raises UserError for files that cannot be used.

    They are drawn by a hash of their ids, so that parallel treebanks give translations. A sentence that has a word
    without a token is left out.
    """
    texts: dict[str, list[Encoded]] = {}
    banks: dict[str, Treebank] = {}
    problems: list[Problem] = []
    for language in languages:
        path = path_of(pattern, language)
        try:
            drawn = sorted(read_treebank(path), key=lambda sentence: key_of(sentence.id or sentence.text))
        except FileError as error:
            problems.append(Problem("probe.treebanks", str(error)))
            continue
        usable = [pair for pair in map(partial(with_tokens, tokenizer), drawn[: settings.sentences]) if pair]
        if len(usable) < FEWEST:
            message = f"{path} has {len(usable)} usable sentences; it takes {FEWEST} at least"
            problems.append(Problem("probe.treebanks", message))
            continue
        texts[language] = [encoded for encoded, _ in usable]
        sentences = tuple(sentence for _, sentence in usable)
        banks[language] = Treebank(sentences, splits_of([sentence.id or sentence.text for sentence in sentences]))
    if problems:
        raise UserError(problems)
    tasks: list[TreebankTask] = [task for task in settings.tasks if task != "language"]
    rows = {task: {language: Rows.of(task, bank) for language, bank in banks.items()} for task in tasks}
    return Probed(texts, rows, banks)


def with_tokens(tokenizer: Any, sentence: Sentence) -> tuple[Encoded, Sentence] | None:
    """A sentence in tokens, and itself; None if a word has none."""
    encoded = encoded_words(tokenizer, sentence)
    return (encoded, sentence) if sentence.words and all(encoded.parts) else None


def read_labelled(
    name: str, given: LabelledTexts, settings: Probes, languages: Sequence[str], tokenizer: Any
) -> Probed:
    """Rows with labels, each a text or a pair of texts, by language. Raises UserError for files that cannot be used.

    They are drawn by a hash of their ids, or of the numbers of their lines, so that parallel files give translations.
    """
    where = f"probe.labelled.{name}"
    texts: dict[str, list[Encoded]] = {}
    rows: dict[str, Rows] = {}
    problems: list[Problem] = []
    for language in languages:
        path = path_of(given.files, language)
        wanted = [*given.texts, given.label, *([given.id] if given.id else [])]
        try:
            table = read_table(Path(path))
        except UserError as error:
            problems += [Problem(f"{where}.files", str(problem)) for problem in error.problems]
            continue
        if missing := [column for column in wanted if column not in table.columns]:
            problems += [Problem(where, f"{path} has no column {column!r}; {suggestion(column, table.columns)}")
                         for column in missing]  # fmt: skip
            continue
        ids = [str(row) for row in (table[given.id] if given.id else range(table.height))]
        whole = {row_id: row for row_id, row in zip(ids, table.select(wanted).rows(), strict=True) if None not in row}
        drawn = sorted(whole, key=key_of)[: settings.sentences]
        if len(drawn) < FEWEST:
            problems.append(Problem(where, f"{path} has {len(drawn)} whole rows; it takes {FEWEST} at least"))
            continue
        count = len(given.texts)
        texts[language] = [
            encoded_sentence(tokenizer, str(text), LONGEST) for row_id in drawn for text in whole[row_id][:count]
        ]
        labels = tuple(str(whole[row_id][count]) for row_id in drawn)
        words = np.arange(count * len(drawn)).reshape(-1, count)
        rows[language] = Rows.split(Labelled(words, labels, np.arange(len(drawn))), splits_of(drawn))
    if problems:
        raise UserError(problems)
    return Probed(texts, {name: rows}, {})

"""Linear probes of the models of a study, on the treebanks that the recipe names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import polars as pl

from data_mixes.order import key_of
from data_mixes.reading.parallel import path_of
from data_mixes.reading.records import FileError
from data_mixes.reading.treebank import Sentence, read_treebank
from data_mixes.storage import write_text
from eval.generation.requests import ModelUnderTest
from eval.representations.hidden_states import Encoded, encoded_words
from eval.representations.probing import Rows, Treebank, probe_scores, split_by_id
from harness.console import progress
from harness.errors import Problem, UserError
from harness.evaluation.inside import OpenedModels, models_of, opened
from harness.planning.bases import Base
from harness.planning.study import Study
from harness.recipe.representations_section import Probes
from harness.runs.folder import StudyFolder

FEWEST = 25
"""Sentences with which probes can be trained at all."""


def probe_models(study: Study, cells: str | None) -> pl.DataFrame:
    """The score of every probe, written as CSV, too. Raises UserError, for a recipe without `probe` as well."""
    settings = study.recipe.probe
    if settings is None:
        example = "probe: {treebanks: treebanks/{language}.conllu}"
        raise UserError([Problem("probe", f"the recipe has no such section; for example: {example}")])
    languages = settings.languages or study.recipe.all_languages
    trained_on = settings.train_on or languages
    if strange := [language for language in trained_on if language not in languages]:
        raise UserError([Problem("probe.train_on", f"{', '.join(strange)}: not among the languages of the probes")])
    read = {base: read_treebanks(settings, languages, base.tokenizer) for base in study.bases}
    models = models_of(study, cells)
    tables: list[pl.DataFrame] = []
    with opened(study) as inside:
        for base, model in [(base, model) for base, of_base in models.items() for model in of_base]:
            texts, banks = read[base]
            tables += tables_of(inside, base, model, texts, banks, settings, trained_on)
    table = pl.concat(tables)
    write_text(StudyFolder(study.folder).table("probe"), table.write_csv())
    return table


def tables_of(
    inside: OpenedModels,
    base: Base,
    model: ModelUnderTest,
    texts: Mapping[str, Sequence[Encoded]],
    banks: Mapping[str, Treebank],
    settings: Probes,
    trained_on: Sequence[str],
) -> Iterator[pl.DataFrame]:
    """The scores of the probes of a model, by task and layer."""
    with progress(f"{model.name}: sentences", sum(len(bank.sentences) for bank in banks.values())) as bar:
        states = {language: inside.states(base, model, texts[language], "mean", bar.advance) for language in banks}
    layers = chosen_layers(settings, len(next(iter(states.values()))))
    with progress(f"{model.name}: probes", len(layers) * len(settings.tasks)) as bar:
        for task in settings.tasks:
            rows = {language: Rows.of(task, bank) for language, bank in banks.items()}
            for layer in layers:
                of_layer = {language: array[layer] for language, array in states.items()}
                scores = probe_scores(task, layer, of_layer, rows, settings.seeds, trained_on)
                yield pl.DataFrame([{"model": model.name} | asdict(score) for score in scores])
                bar.advance(1)


def chosen_layers(settings: Probes, depth: int) -> list[int]:
    """The layers to probe, of a model with so many. Raises UserError for one that it has not."""
    if settings.layers == "all":
        return [*range(depth)]
    if beyond := [layer for layer in settings.layers if layer >= depth]:
        message = f"no layer {', '.join(map(str, beyond))}; the model has 0 (embeddings) to {depth - 1}"
        raise UserError([Problem("probe.layers", message)])
    return [*settings.layers]


def read_treebanks(
    settings: Probes, languages: Sequence[str], tokenizer: Any
) -> tuple[dict[str, list[Encoded]], dict[str, Treebank]]:
    """Sentences in tokens, and with their analyses, by language. Raises UserError for files that cannot be used.

    They are drawn by a hash of their ids, so that parallel treebanks give translations. A sentence that has a word
    without a token is left out.
    """
    texts: dict[str, list[Encoded]] = {}
    banks: dict[str, Treebank] = {}
    problems: list[Problem] = []
    for language in languages:
        path = path_of(settings.treebanks, language)
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
        banks[language] = Treebank(sentences, split_by_id(sentences))
    if problems:
        raise UserError(problems)
    return texts, banks


def with_tokens(tokenizer: Any, sentence: Sentence) -> tuple[Encoded, Sentence] | None:
    """A sentence in tokens, and itself; None if a word has none."""
    encoded = encoded_words(tokenizer, sentence)
    return (encoded, sentence) if sentence.words and all(encoded.parts) else None

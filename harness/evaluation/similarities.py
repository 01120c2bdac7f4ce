"""How alike the models of a study represent languages, measured on the texts that the recipe names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from data_mixes.reading.parallel import parallel_sentences
from data_mixes.reading.records import FileError
from data_mixes.storage import write_text
from eval.generation.requests import ModelUnderTest
from eval.representations.hidden_states import Encoded, encoded_sentence
from eval.representations.logit_lens import language_shares, translation_prompts
from eval.representations.tables import LENS, PAIRS, lens_rows, pair_rows, similarity_rows, with_changes
from harness.console import progress
from harness.errors import Problem, UserError, suggestion
from harness.evaluation.inside import OpenedModels, models_of, opened
from harness.planning.bases import Base
from harness.planning.study import Study
from harness.recipe.representations_section import Similarity
from harness.runs.folder import StudyFolder
from harness.table_files import read_table

FEWEST = 8
"""Sentences with which measures say anything."""


def measure_similarity(study: Study, cells: str | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Every measure of every model, layer and language, and what layers are about to write; written as CSV, too.

    Raises UserError for a recipe without `similarity`, and for files that cannot be used.
    """
    settings = study.recipe.similarity
    if settings is None:
        example = "similarity: {texts: texts/{language}.txt}"
        raise UserError([Problem("similarity", f"the recipe has no such section; for example: {example}")])
    pivot = study.recipe.languages.pivot
    languages = tuple(dict.fromkeys((pivot, *(settings.languages or study.recipe.all_languages))))
    texts = read_texts(settings, languages)
    words = read_words(settings.words, languages) if settings.words else []
    models = models_of(study, cells)
    sentences = len(texts[pivot])
    tables: list[pl.DataFrame] = []
    lenses: list[pl.DataFrame] = []
    pairs: list[pl.DataFrame] = []
    count = sum(map(len, models.values()))
    with opened(study) as inside, progress("sentences", count * len(languages) * sentences) as bar:
        for base, model in [(base, model) for base, of_base in models.items() for model in of_base]:
            states = {
                language: inside.states(
                    base, model, encoded(base, texts[language], settings), settings.pooling, bar.advance
                )
                for language in languages
            }
            named = pl.lit(model.weights, pl.String).alias("weights")
            tables.append(similarity_rows(model.name, states, pivot, settings.measures).with_columns(named))
            if model.name == base.name:
                pairs.append(pair_rows(model.name, states, settings.measures).with_columns(named))
            if words:
                lenses.append(lens_of(inside, base, model, words, pivot, languages))
    bases = {model.name: base.name for base, of_base in models.items() for model in of_base}
    similarity = with_changes(pl.concat(tables), bases)
    lens = pl.concat(lenses) if lenses else pl.DataFrame(schema=LENS)
    folder, over_pairs = StudyFolder(study.folder), pl.concat(pairs) if pairs else pl.DataFrame(schema=PAIRS)
    for name, table in (("similarity", similarity), ("lens", lens), ("similarity_pairs", over_pairs)):
        if table.height:
            write_text(folder.table(name), table.write_csv())
    return similarity, lens


def encoded(base: Base, texts: Sequence[str], settings: Similarity) -> list[Encoded]:
    """Sentences in the tokens of a base model."""
    return [encoded_sentence(base.tokenizer, text, settings.max_tokens) for text in texts]


def read_texts(settings: Similarity, languages: Sequence[str]) -> dict[str, list[str]]:
    """The sentences of every language. Raises UserError for files that cannot be used, or hold too few."""
    try:
        texts = parallel_sentences(settings.texts, languages, settings.sentences)
    except FileError as error:
        raise UserError([Problem("similarity.texts", str(error))]) from None
    count = len(texts[languages[0]])
    if count < FEWEST:
        raise UserError(
            [Problem("similarity.texts", f"{count} sentences in all languages; it takes {FEWEST} at least")]
        )
    return texts


def read_words(path: str, languages: Sequence[str]) -> list[dict[str, str]]:
    """The words that all languages have, in their order. Raises UserError."""
    table = read_table(Path(path))
    problems = [
        Problem("similarity.words", f"{path} has no column {language!r}; {suggestion(language, table.columns)}")
        for language in languages
        if language not in table.columns
    ]
    if problems:
        raise UserError(problems)
    words = table.select(pl.col(*languages).cast(pl.String)).drop_nulls()
    if words.height < FEWEST:
        message = f"{path} has {words.height} words in all languages; it takes {FEWEST} at least"
        raise UserError([Problem("similarity.words", message)])
    return list(words.iter_rows(named=True))


def lens_of(
    inside: OpenedModels,
    base: Base,
    model: ModelUnderTest,
    words: list[dict[str, str]],
    pivot: str,
    languages: Sequence[str],
) -> pl.DataFrame:
    """What the layers of a model are about to write: translations into every language but the pivot, from the next."""
    others = [language for language in languages if language != pivot]
    parts: list[pl.DataFrame] = []
    for number, target in enumerate(others):
        source = others[number - 1] if len(others) > 1 else pivot
        prompts = list(translation_prompts(base.tokenizer, words, source, target, pivot))
        if prompts:
            parts.append(lens_rows(model.name, source, target, language_shares(inside.model(base, model), prompts)))
    return pl.concat(parts) if parts else pl.DataFrame(schema=LENS)

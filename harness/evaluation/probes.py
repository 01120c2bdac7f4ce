"""Linear probes of the models of a study, on the files that the recipe names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import polars as pl

from data_mixes.storage import write_text
from eval.generation.requests import ModelUnderTest
from eval.representations.probing import ProbeScore, language_scores, probe_scores
from harness.console import progress
from harness.errors import Problem, UserError
from harness.evaluation.inside import OpenedModels, models_of, opened
from harness.evaluation.probe_texts import Probed, read_probed
from harness.planning.bases import Base
from harness.planning.study import Study
from harness.recipe.representations_section import Probes
from harness.runs.folder import StudyFolder


def probe_models(study: Study, cells: str | None) -> pl.DataFrame:
    """The score of every probe, written as CSV, too. Raises UserError, for a recipe without `probe` as well."""
    settings = study.recipe.probe
    if settings is None or not (settings.treebanks or settings.labelled):
        example = "probe: {treebanks: treebanks/{language}.conllu}"
        what = "names neither treebanks nor labelled texts" if settings else "the recipe has no such section"
        raise UserError([Problem("probe", f"{what}; for example: {example}")])
    languages = settings.languages or study.recipe.all_languages
    trained_on = settings.train_on or languages
    if strange := [language for language in trained_on if language not in languages]:
        raise UserError([Problem("probe.train_on", f"{', '.join(strange)}: not among the languages of the probes")])
    read = {base: read_probed(settings, languages, base.tokenizer) for base in study.bases}
    models = models_of(study, cells)
    tables: list[pl.DataFrame] = []
    with opened(study) as inside:
        for base, model in [(base, model) for base, of_base in models.items() for model in of_base]:
            for probed in read[base]:
                tables += tables_of(inside, base, model, probed, settings, trained_on)
    table = pl.concat(tables)
    write_text(StudyFolder(study.folder).table("probe"), table.write_csv())
    return table


def tables_of(
    inside: OpenedModels, base: Base, model: ModelUnderTest, probed: Probed, settings: Probes, trained_on: Sequence[str]
) -> Iterator[pl.DataFrame]:
    """The scores of the probes of a model, by task and layer."""
    with progress(f"{model.name}: sentences", sum(map(len, probed.texts.values()))) as bar:
        states = {
            language: inside.states(base, model, texts, "mean", bar.advance) for language, texts in probed.texts.items()
        }
    layers = chosen_layers(settings, len(next(iter(states.values()))))
    tells_languages = bool(probed.treebanks) and "language" in settings.tasks
    named = {"model": model.name, "weights": model.weights}
    with progress(f"{model.name}: probes", len(layers) * (len(probed.rows) + tells_languages)) as bar:
        for layer in layers:
            of_layer = {language: array[layer] for language, array in states.items()}
            for task, rows in probed.rows.items():
                yield table_of(named, list(probe_scores(task, layer, of_layer, rows, settings.seeds, trained_on)))
                bar.advance(1)
            if tells_languages:
                yield table_of(named, list(language_scores(layer, of_layer, probed.treebanks, settings.seeds)))
                bar.advance(1)


def table_of(named: dict[str, str | None], scores: Sequence[ProbeScore]) -> pl.DataFrame:
    """Scores of a model as a table; that of an untuned one may have no name for its weights."""
    rows = [named | asdict(score) for score in scores]
    return pl.DataFrame(rows, schema_overrides={"weights": pl.String, "low": pl.Float64, "high": pl.Float64})


def chosen_layers(settings: Probes, depth: int) -> list[int]:
    """The layers to probe, of a model with so many. Raises UserError for one that it has not."""
    if settings.layers == "all":
        return [*range(depth)]
    if beyond := [layer for layer in settings.layers if layer >= depth]:
        message = f"no layer {', '.join(map(str, beyond))}; the model has 0 (embeddings) to {depth - 1}"
        raise UserError([Problem("probe.layers", message)])
    return [*settings.layers]

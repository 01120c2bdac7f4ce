"""harness similarity: how alike the models of a study represent languages, layer by layer."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from harness.console import line, plain_table, show_table
from harness.evaluation.similarities import measure_similarity
from harness.planning.study import Study
from harness.results import Answer, Result
from harness.runs.folder import StudyFolder


class LayerSimilarity(Result):
    """A measure of one layer."""

    model: str
    measure: str
    language: str
    pivot: str
    layer: int
    """0 is the embeddings, the last one what the head reads."""
    value: float | None
    by_chance: float
    """What the highest layer stays below in 95 % of random orders of the translations."""
    sentences: int
    weights: str | None
    """What names the model's weights; of the only base model nothing."""
    base: str | None
    """Its base model, if that was measured."""
    change: float | None
    """How far the value is above its base model's."""


class LayerLanguage(Result):
    """What a layer is about to write where a word of the source is to be translated into the target."""

    model: str
    source: str
    target: str
    layer: int
    target_share: float
    """The probability of tokens that begin the answer in the target language."""
    pivot_share: float
    """The probability of tokens that begin it in the pivot."""
    words: int


class StudySimilarity(Answer):
    """How alike the models of a study represent languages."""

    study: str
    similarity: tuple[LayerSimilarity, ...]
    lens: tuple[LayerLanguage, ...]


def similarity_of(recipe: Path, runs: Path, cells: str | None) -> StudySimilarity:
    """All measures of all models and layers. Raises UserError."""
    study = Study(recipe, runs)
    study.mend()
    similarity, lens = measure_similarity(study, cells)
    return StudySimilarity(
        study=study.recipe.study,
        similarity=tuple(LayerSimilarity(**row) for row in similarity.iter_rows(named=True)),
        lens=tuple(LayerLanguage(**row) for row in lens.iter_rows(named=True)),
    )


def show_similarity(answer: StudySimilarity, runs: Path) -> None:
    """The layer in which each measure is highest, by language, and what became of it in the cells."""
    table = pl.DataFrame([row.model_dump() for row in answer.similarity], infer_schema_length=None)
    order = {model: place for place, model in enumerate(table["model"].unique(maintain_order=True))}
    highest = (
        table.drop_nulls("value").sort("value", descending=True)
        .group_by("measure", "language", "model", maintain_order=True).first()
        .sort(pl.col("model").replace_strict(order))
    )  # fmt: skip
    pivot, sentences, layers = table["pivot"][0], table["sentences"][0], table["layer"].max()
    line(f"similarity to {pivot}, of {sentences} sentences; layers 0 (embeddings) to {layers}")
    for (measure,), part in table.group_by("measure", maintain_order=True):
        languages = part["language"].unique(maintain_order=True).to_list()
        shown = plain_table(str(measure), ("model",), tuple(languages))
        for (model,), of_model in highest.filter(measure=measure).group_by("model", maintain_order=True):
            by_language = {row["language"]: f"{row['value']:.2f} in {row['layer']}" for row in of_model.to_dicts()}
            shown.add_row(str(model), *(by_language.get(language, "") for language in languages))
        chance = dict(part.group_by("language").agg(pl.col("by_chance").max()).iter_rows())
        shown.add_row("by chance", *(f"< {chance[language]:.2f}" for language in languages))
        show_table(shown)
    line("each the highest of all layers, and that layer; by chance: 95 % of random orders stay below")
    if answer.lens:
        show_lens(answer)
    folder = StudyFolder(runs / answer.study)
    line(f"every layer: {folder.table('similarity')}" + (f", {folder.table('lens')}" if answer.lens else ""))


def show_lens(answer: StudySimilarity) -> None:
    """The layer in which the pivot's share is highest, and where the target's passes it, by model."""
    shown = plain_table("what layers are about to write", ("model", "translation"), ("pivot", "target", "words"))
    table = pl.DataFrame([row.model_dump() for row in answer.lens])
    for (model, source, target), part in table.group_by("model", "source", "target", maintain_order=True):
        most = part.sort("pivot_share", descending=True).row(0, named=True)
        last = part.sort("layer").row(-1, named=True)
        shown.add_row(
            str(model), f"{source} → {target}", f"{most['pivot_share']:.2f} in {most['layer']}",
            f"{last['target_share']:.2f} in {last['layer']}", str(last["words"]),
        )  # fmt: skip
    show_table(shown)
    line("pivot: the highest share of any layer; target: the share in the last layer")

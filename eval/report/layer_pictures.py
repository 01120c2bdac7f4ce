"""What a report shows of the layers of models: similarity and probes over the depth, and over steps of training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from eval.analysis.checkpoints import CROSS_LINGUAL, IN_LANGUAGE
from eval.analysis.groups import language_name
from eval.analysis.layers import Layers
from eval.report.grid import Picture
from eval.report.pictures.checkpoints import amounts_picture
from eval.report.pictures.layers import probe_picture, similarity_picture
from eval.report.tables import TextTable
from eval.representations.probing import ALL

Drawn = tuple[Picture, pl.DataFrame, TextTable]
MAJORITY, SHUFFLED = "most frequent label", "labels shuffled in training"
FEWEST_STEPS = 3
"""Steps measured with which a picture over them says more than one over layers."""


def layer_pictures(layers: Layers) -> Iterator[Drawn]:
    """Similarity by measure, then probes by task, each over layers and, where steps were measured, over these too."""
    if layers.similarity.height:
        yield from _similarity(layers)
    if layers.probes.height:
        for (task,), part in layers.probes.group_by("task", maintain_order=True):
            yield from _probes(str(task), part, layers)


def _similarity(layers: Layers) -> Iterator[Drawn]:
    table, steps = layers.similarity, layers.on_the_way
    shown = table.filter(~pl.col("model").is_in(list(steps)))
    for (measure,), part in shown.group_by("measure", maintain_order=True):
        rows = similarity_rows(part)
        models = rows["model"].unique(maintain_order=True).to_list()
        languages = {code: language_name(code) for code in part["language"].unique(maintain_order=True)}
        pivot = language_name(part["pivot"][0])
        picture = similarity_picture(
            str(measure), pivot, models, languages, part["sentences"][0], part["layer"].unique().sort().to_list()
        )
        yield picture, rows, similarity_table(part)
    for (measure,), part in table.group_by("measure", maintain_order=True):
        means = part.group_by("model", "layer", maintain_order=True).agg(pl.col("value").mean())
        title = f"{str(measure).upper()}, mean over languages"
        yield from _over_steps(f"similarity-{measure}", title, means, layers, 1.0)


def similarity_rows(part: pl.DataFrame) -> pl.DataFrame:
    """A measure's rows as they are drawn: of every model its own and, if it has one, those of its base model."""
    untuned = part.filter(pl.col("base") == pl.col("model"))
    tuned = part.filter(pl.col("base") != pl.col("model"))
    of_bases = (
        tuned.select("model", "base", "language", "layer")
        .join(untuned.select("base", "language", "layer", "value"), on=["base", "language", "layer"], how="inner")
        .select("model", pl.lit("base").alias("kind"), "language", "layer", "value")
    )
    shown = tuned if tuned.height else untuned
    own = shown.select("model", pl.lit("cell").alias("kind"), "language", "layer", "value")
    band = shown.group_by("model", "layer", maintain_order=True).agg(
        pl.col("by_chance").max(), pl.col("value").min().clip(upper_bound=0.0).alias("floor")
    )
    return pl.concat([own, of_bases, band], how="diagonal")


def similarity_table(part: pl.DataFrame) -> TextTable:
    """Model and language down: the value of every layer, and what chance stays below."""
    layers = part["layer"].unique().sort().to_list()
    rows: list[tuple[str, ...]] = []
    for (model, language), of_pair in part.group_by("model", "language", maintain_order=True):
        values = dict(of_pair.select("layer", "value").iter_rows())
        shown = ["" if values.get(layer) is None else f"{values[layer]:.2f}" for layer in layers]
        rows.append((str(model), str(language), *shown, f"{of_pair['by_chance'][0]:.2f}"))
    return TextTable(("model", "language", *map(str, layers), "by chance below"), tuple(rows))


def _probes(task: str, part: pl.DataFrame, layers: Layers) -> Iterator[Drawn]:
    within = pl.col("trained_on").is_in([ALL]) | (pl.col("trained_on") == pl.col("tested_on"))
    kind = pl.when(within).then(pl.lit(IN_LANGUAGE)).otherwise(pl.lit(CROSS_LINGUAL))
    means = (
        part.with_columns(kind=kind)
        .group_by("model", "kind", "layer", maintain_order=True)
        .agg(pl.col("accuracy", "majority", "shuffled").mean() * 100)
    )
    shown = means.filter(~pl.col("model").is_in(list(layers.on_the_way)))
    own = shown.filter(kind=IN_LANGUAGE)
    rows = pl.concat([
        shown.select("model", pl.col("kind").alias("line"), "layer", pl.col("accuracy").alias("value")),
        *(own.select("model", pl.lit(line).alias("line"), "layer", pl.col(column).alias("value"))
          for line, column in ((MAJORITY, "majority"), (SHUFFLED, "shuffled"))),
    ])  # fmt: skip
    lines = [line for line in (IN_LANGUAGE, CROSS_LINGUAL, MAJORITY, SHUFFLED) if line in set(rows["line"])]
    models = rows["model"].unique(maintain_order=True).to_list()
    tested = part.group_by("tested_on", maintain_order=True).agg(pl.col("n").first())
    counts = "test rows: " + ", ".join(f"{language} {n:,}" for language, n in tested.iter_rows())
    depth = part["layer"].unique().sort().to_list()
    yield probe_picture(task, models, lines, counts, depth), rows, probe_table(shown)
    for name in (IN_LANGUAGE, CROSS_LINGUAL):
        of_kind = means.filter(kind=name).select("model", "layer", pl.col("accuracy").alias("value"))
        yield from _over_steps(f"probe-{task}-{name}", f"Probes of {task}, {name}: accuracy in %", of_kind, layers, 0.1)


def probe_table(means: pl.DataFrame) -> TextTable:
    """Model, kind and layer: the means that are drawn."""
    rows = tuple(
        (row["model"], row["kind"], str(row["layer"]),
         *("" if row[name] is None else f"{row[name]:.1f}" for name in ("accuracy", "majority", "shuffled")))
        for row in means.iter_rows(named=True)
    )  # fmt: skip
    return TextTable(("model", "languages", "layer", "accuracy, %", MAJORITY, SHUFFLED), rows)


def _over_steps(name: str, title: str, means: pl.DataFrame, layers: Layers, unit: float) -> Iterator[Drawn]:
    """A heatmap of layers by steps for each setting whose steps were measured; `means` has model, layer and value."""
    values = {(model, layer): value for model, layer, value in means.select("model", "layer", "value").iter_rows()}
    depth = means["layer"].unique().sort(descending=True).to_list()
    digits = 2 if unit == 1.0 else 0
    for setting, models in layers.steps.items():
        rows: list[dict[str, object]] = []
        for step, runs in models.items():
            for layer in depth:
                known = [value for run in runs if (value := values.get((run, layer))) is not None]
                if known:
                    mean = sum(known) / len(known)
                    told = f"step {step:,}, layer {layer}: {mean:.{digits + 1}f}"
                    rows.append(
                        {"row": layer, "column": step, "value": mean, "shown": f"{mean:.{digits}f}", "told": told}
                    )
        steps = list(dict.fromkeys(row["column"] for row in rows))
        if len(steps) >= FEWEST_STEPS:
            whole = f"{title}; layers down, steps of {setting} across"
            picture = amounts_picture(
                f"{name}-{setting}-steps", whole, title, ("layer", depth), ("optimiser step", steps)
            )
            yield picture, pl.DataFrame(rows), steps_table(rows, steps, depth)


def steps_table(rows: Sequence[Mapping[str, object]], steps: Sequence[object], depth: Sequence[int]) -> TextTable:
    """Layers down, steps across."""
    values = {(row["row"], row["column"]): str(row["shown"]) for row in rows}
    return TextTable(
        ("layer", *map(str, steps)),
        tuple((str(layer), *(values.get((layer, step), "") for step in steps)) for layer in depth),
    )

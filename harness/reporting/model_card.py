"""The card of a trained model, as the Hugging Face hub shows it: what it is, what it learned from, how it scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import polars as pl
from huggingface_hub import ModelCardData

from eval.report.tables import Figure, TaskTable, metric_tables
from harness.planning.card import CardRow
from harness.planning.kept_plan import KeptCell, PlannedCell, PlannedStudy
from harness.recipe.schema import Recipe
from harness.recipe.yaml_files import as_yaml

Kind = Literal["adapter", "model", "merged"]
KINDS: dict[Kind, str] = {
    "adapter": "a LoRA adapter on",
    "model": "all weights tuned, beginning with",
    "merged": "a LoRA adapter merged into",
}
"""What a card is of, in words."""
RELATIONS: dict[Kind, str] = {"adapter": "adapter", "model": "finetune", "merged": "finetune"}
"""The same in the hub's words."""
LOADING: dict[Kind, str] = {
    "adapter": """from peft import PeftModel
from transformers import AutoModelForCausalLM

base = AutoModelForCausalLM.from_pretrained({base!r}, dtype={dtype!r})
model = PeftModel.from_pretrained(base, "this folder")""",
    "model": """from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("this folder", dtype={dtype!r})""",
}
FOUR_BITS = """four_bits = BitsAndBytesConfig(
    load_in_4bit=True, bnb_4bit_quant_type={kind!r}, bnb_4bit_compute_dtype={dtype!r}
)"""


def model_card(study: PlannedStudy, plan: PlannedCell, recipe: Recipe, kind: Kind, summary: pl.DataFrame | None) -> str:
    """The card as Markdown; `recipe` is the cell's, and `summary` is of the scores that there are of its weights."""
    base, identity = base_name(study, plan.name, recipe), study.base_of(plan.name).model
    (cell,) = (kept for kept in study.kept.cells if kept.name == plan.name)
    parts = [
        f"---\n{front_matter(study, plan, recipe, kind)}\n---",
        f"# {study.recipe.study}: {plan.name}",
        f"This is {KINDS[kind]} {base} (`{identity}`), trained as the cell `{plan.name}` of the study "
        f"`{study.recipe.study}`, a controlled experiment of which data carries over between languages. "
        f"Its fingerprint is `{plan.run.record['fingerprint']}`, its weights are `{plan.run.weights_hash}`.",
        "## How to load it",
        f"```python\n{loading(recipe, kind, base, study.kept.dtype)}\n```",
        "Prompts are worded and ended as the recipe below says; `harness plan RECIPE --show-rows 1` shows them.",
        "## What it was trained on",
        *mixture_lines(study, cell),
        "## How it was trained",
        training_line(plan, recipe),
        "## Scores",
        *score_lines(study, plan, summary),
        "## Recipe",
        f"The whole study; this cell is `{plan.name}`.",
        f"```yaml\n{as_yaml(study.raw).strip()}\n```",
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def loading(recipe: Recipe, kind: Kind, base: str, dtype: str) -> str:
    """The lines of Python that load what is in the folder."""
    lines = LOADING["adapter" if kind == "adapter" else "model"].format(base=base, dtype=dtype)
    if recipe.base_model.quantization == "none":
        return lines
    rounded = FOUR_BITS.format(kind=recipe.base_model.quantization, dtype=dtype)
    lines = lines.replace("import AutoModelForCausalLM", "import AutoModelForCausalLM, BitsAndBytesConfig")
    return lines.replace(f"dtype={dtype!r})", f"dtype={dtype!r}, quantization_config=four_bits)").replace(
        "\nbase = ", f"\n{rounded}\nbase = "
    )


def base_name(study: PlannedStudy, cell: str, recipe: Recipe) -> str:
    """The base model as others can name it: its id on the hub, or else the last part of where it was."""
    name = recipe.base_model.name
    return name if is_of_hub(study, cell, recipe) else name.rstrip("/").rpartition("/")[2]


def is_of_hub(study: PlannedStudy, cell: str, recipe: Recipe) -> bool:
    """Whether a cell's base model was read from the Hugging Face hub, so that its name is an id there."""
    return study.base_of(cell).model.startswith(f"{recipe.base_model.name}@")


def front_matter(study: PlannedStudy, plan: PlannedCell, recipe: Recipe, kind: Kind) -> str:
    """What the hub reads of the card; a base model that is not on the hub is not among it."""
    trained = next(cell.trained for cell in study.kept.overview.cells if cell.name == plan.name)
    of_hub = is_of_hub(study, plan.name, recipe)
    relation: dict[str, Any] = {"base_model_relation": RELATIONS[kind]} if of_hub else {}
    return ModelCardData(
        base_model=recipe.base_model.name if of_hub else None,
        language=[*trained],
        library_name="peft" if kind == "adapter" else "transformers",
        pipeline_tag="text-generation",
        tags=["transfer-study-harness", *(["lora"] if kind != "model" else [])],
        **relation,
    ).to_yaml()


def mixture_lines(study: PlannedStudy, cell: KeptCell) -> Iterator[str]:
    """The rows of one epoch by task and language, and the versions of their sources."""
    yield "Rows of one epoch:"
    heads = ("task", "language", "rows", "different items", "tokens", "supervised tokens")
    yield markdown_table(heads, [mixture_row(row) for row in cell.card])
    (planned,) = (planned for planned in study.kept.overview.cells if planned.name == cell.name)
    used = {rows.source for rows in planned.allotments if rows.examples}
    sources = [source for source in study.kept.overview.sources if source.name in used]
    if sources:
        yield "\n".join(f"- `{source.name}`, version `{source.version}` ({source.origin})" for source in sources)


def mixture_row(row: CardRow) -> tuple[str, ...]:
    """A task in a language."""
    counts = (row.rows, row.items, row.tokens, row.supervised_tokens)
    return (row.task, row.language, *(f"{count:,}" for count in counts))


def training_line(plan: PlannedCell, recipe: Recipe) -> str:
    """Steps, settings and where."""
    training, record = recipe.training, plan.run.record
    parents = ", ".join(record.get("parents", {}))
    if "loss" not in record:
        return f"Made of the weights of {parents}, and not trained: see `compose` below."
    begun = f"Begun with the weights of {parents} (`start: {record['start']}`). " if parents else ""
    lora = f"LoRA of rank {recipe.adapter.rank} and alpha {recipe.adapter.alpha:g}, "
    adapter = lora if training.method == "lora" else ""
    chosen = f"; the weights are those of step {record['selection']['step']}" if "selection" in record else ""
    loss = f"; loss {record['loss'][0]:.3f} at the first step, {record['loss'][-1]:.3f} at the last"
    return (
        f"{begun}{adapter}{record['steps']:,} steps of {training.global_batch} rows, "
        f"learning rate {training.learning_rate:g} ({training.schedule}), seed {training.seed}{loss}{chosen}. "
        f"Trained on {record['device']} with {packages(record)}."
    )


def packages(record: dict[str, object]) -> str:
    """The packages that trained a cell."""
    versions: dict[str, str] = record["provenance"]["packages"]  # pyright: ignore[reportIndexIssue, reportUnknownVariableType]
    return ", ".join(
        f"{name} {versions[name]}" for name in ("torch", "transformers", "peft", "trl") if name in versions
    )


def score_lines(study: PlannedStudy, plan: PlannedCell, summary: pl.DataFrame | None) -> Iterator[str]:
    """A table per task, by the metric that it is judged by."""
    names = [study.base_of(plan.name).name, plan.name]
    tables = [] if summary is None else metric_tables(summary, study.groups, names)
    shown = [table for table in tables if table.main and table.scored and plan.name in table.rows]
    if not shown:
        yield "These weights were not evaluated."
        return
    for table in shown:
        yield f"### {table.task}: {table.title}"
        yield markdown_table(("tested on", *table.rows, "n", "unscored"), list(score_rows(table, plan.name)))
        yield f"Scorer `{table.version}`, {table.items} items per language, engine and versions in the study's report."
        if table.caution:
            yield table.caution
    yield (
        "In brackets are 95 % intervals, and n is how many predictions of this model a figure rests on. Whether it "
        "differs from another model is for `harness compare` to say, which pairs items, not for two intervals."
    )


def score_rows(table: TaskTable, cell: str) -> Iterator[tuple[str, ...]]:
    """A row per language and group: each model's figure, then what this one's rests on."""
    for column, heading in zip(table.columns, table.headings, strict=True):
        figures = [table.figure(name, column) for name in table.rows]
        own = table.figure(cell, column)
        counts = (f"{own.scored:,}", f"{own.unscored:,}") if own else ("", "")
        yield (heading, *map(in_words, figures), *counts)


def in_words(figure: Figure | None) -> str:
    """The mean with its interval; a blank where there is none."""
    if figure is None or not figure.text:
        return ""
    return f"{figure.text} ({figure.interval})" if figure.interval else figure.text


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, texts to the left and figures to the right."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines)

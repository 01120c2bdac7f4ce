"""Recipes: frozen models of the YAML. `load` reads them, `checks` looks for what no single key shows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache
from glob import glob
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from data_mixes.example import Split
from data_mixes.leakage import Kind
from data_mixes.mixture import Component, ItemPolicy, Unit
from data_mixes.pairs import Variant
from data_mixes.reading.files import FileSource
from data_mixes.reading.hub import HubSource
from data_mixes.reading.table import Columns, TableSource
from data_mixes.source import Source
from data_mixes.sources import SOURCES
from eval.scorers.language import Identifier

PositiveInt = Annotated[int, Field(gt=0)]
Amount = Annotated[int, Field(ge=0)]
LeakagePolicy: TypeAlias = Literal["refuse", "drop", "allow"]


class Section(BaseModel):
    """A part of a recipe: no unknown keys, no changes, no guessing of types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Model(Section):
    """The base model: a packaged name, a folder with safetensors, or a Hugging Face id.

    `dtype: auto` is bfloat16 where the device that begins the study computes in it, else float32.
    """

    name: str
    revision: str | None = None
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    trust_remote_code: bool = False


class Adapter(Section):
    """The LoRA adapter each cell trains."""

    rank: Annotated[int, Field(gt=0, le=512)] = 8  # vLLM serves no larger one
    alpha: PositiveInt = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: Literal["all-linear"] | tuple[str, ...] = "all-linear"


class Training(Section):
    """Optimisation, the same for every cell.

    One of `epochs`, `steps` and `supervised_tokens` is held constant over the grid; the others follow.
    Rows of more than `max_length` tokens are refused, or dropped for the next ones; none is cut.
    """

    epochs: PositiveInt | None = None
    steps: PositiveInt | None = None
    supervised_tokens: PositiveInt | None = None
    global_batch: PositiveInt = 16
    micro_batch: PositiveInt = 8
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: Amount = 0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    max_length: PositiveInt = 512
    long_rows: Literal["refuse", "drop"] = "refuse"
    seed: Amount = 0
    checkpoint_every: PositiveInt = 50


class Languages(Section):
    """Which languages some cell trains on, and which none may; groups of them for the report."""

    seen: tuple[str, ...] = Field(min_length=1)
    unseen: tuple[str, ...] = ()
    groups: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = {}
    pivot: str = "en"


def split_paths(path: str) -> dict[Split, str]:
    """A path with {split} stands for all three splits; one without for training rows."""
    if "{split}" not in path:
        return {"train": path}
    splits: tuple[Split, ...] = ("train", "validation", "test")
    paths: dict[Split, str] = {split: path.replace("{split}", split) for split in splits}
    there: dict[Split, str] = {split: each for split, each in paths.items() if glob(each.replace("{language}", "*"))}  # noqa: PTH207  # the pattern may be absolute
    return there or paths


class SourceColumns(Section):
    """Which columns of a data set hold what; see data_mixes.reading.table.Columns."""

    prompt: str = "prompt"
    target: str = "target"
    id: str | None = None
    item: str | None = None
    language: str | None = None
    answer: str | None = None
    constraints: str | None = None
    conversation: str | None = None


class SourceSettings(Section):
    """A source of the user's own, in files or on the hub; or where a ready-made one is to be read."""

    task: str | None = None
    languages: tuple[str, ...] | None = Field(default=None, min_length=1)
    files: dict[Split, str] | None = None
    header: bool = True
    hub: Annotated[str, Field(min_length=1)] | None = None
    revision: Annotated[str, Field(min_length=1)] | None = None
    configuration: str | dict[str, str] | None = None
    splits: dict[Split, str] | None = None
    columns: SourceColumns = SourceColumns()

    @field_validator("files", mode="before")
    @classmethod
    def _by_split(cls, given: Any) -> Any:
        """A path alone is by split as well."""
        return split_paths(given) if isinstance(given, str) else given

    def made(self, name: str) -> Source:
        """The source, the same object for the same settings."""
        return _source_of(name, self.model_dump_json())


@lru_cache(maxsize=256)
def _source_of(name: str, settings: str) -> Source:
    given = SourceSettings.model_validate_json(settings)
    known = SOURCES.get(name)
    if isinstance(known, HubSource):
        return known.read_from(given.hub, given.revision)
    assert given.task and given.languages
    columns = Columns(**given.columns.model_dump())
    if given.files is not None:
        return FileSource(name, given.task, given.languages, given.files, columns, given.header)
    assert given.hub and given.revision
    splits: dict[Split, str] = given.splits or {"train": "train"}
    names: Mapping[str, str] = {}
    configuration = given.configuration
    if isinstance(configuration, dict):
        names, configuration = configuration, "{language}"
    return HubSource(
        name,
        given.task,
        given.languages,
        repository=given.hub,
        revision=given.revision,
        columns=columns,
        configuration=configuration,
        splits=splits,
        names=names,
    )


class Ingredient(Section):
    """A component of the mixture: an `amount` per source and language, or a `total` per source to divide.

    Instead of `languages`, `prompts_in` and `answers_in` pair each language of the one with every other
    of the other: prompts in one language with targets in another, or `translate` one into the other.
    """

    sources: tuple[str, ...] = Field(min_length=1)
    languages: tuple[str, ...] | None = Field(default=None, min_length=1)
    prompts_in: tuple[str, ...] | None = Field(default=None, min_length=1)
    answers_in: tuple[str, ...] | None = Field(default=None, min_length=1)
    translate: bool = False
    amount: Amount | None = None
    total: Amount | None = None
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=True)] | None = None
    shares: dict[str, Annotated[float, Field(gt=0)]] | None = None
    unit: Unit = "examples"
    items: ItemPolicy | None = None
    max_repeats: PositiveInt = 1

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The languages, or pairs of languages, that rows are made in."""
        if self.languages is not None:
            return tuple(map(Variant, self.languages))
        return tuple(
            Variant(answers, prompts, self.translate)
            for prompts in self.prompts_in or ()
            for answers in self.answers_in or ()
            if prompts != answers
        )

    @property
    def all_languages(self) -> tuple[str, ...]:
        """Every language that rows are read in."""
        return tuple(dict.fromkeys((*(self.languages or ()), *(self.prompts_in or ()), *(self.answers_in or ()))))


class Axis(Section):
    """What varies over the grid: the key at `path`, or every key of several, takes each of the `values`."""

    path: str | tuple[str, ...]
    values: tuple[Any, ...] | dict[str, Any] = Field(min_length=1)

    @property
    def paths(self) -> tuple[str, ...]:
        """The keys that take the value."""
        return (self.path,) if isinstance(self.path, str) else self.path


class FewShot(Section):
    """Exemplars before each evaluation prompt of a task: the source's first ones, or drawn under a seed."""

    shots: PositiveInt
    seed: Amount | None = None


class Prompts(Section):
    """How examples are put to the model, in training and in evaluation."""

    chat_template: str | None = None
    words: dict[str, dict[str, str]] = {}
    max_tokens: PositiveInt | None = None
    few_shot: dict[str, FewShot] = {}


class Leakage(Section):
    """What becomes of training rows that are also tested on: the same item, the same text, nearly the same."""

    items: LeakagePolicy = "refuse"
    text: LeakagePolicy = "refuse"
    near: LeakagePolicy = "refuse"
    similarity: Annotated[float, Field(ge=0.6, le=1)] = 0.8  # below, MinHash would miss some

    @model_validator(mode="before")
    @classmethod
    def _one_for_all(cls, given: Any) -> Any:
        """A policy alone is one for every kind."""
        return {"items": given, "text": given, "near": given} if isinstance(given, str) else given

    def policy(self, kind: Kind) -> LeakagePolicy:
        """What becomes of a row that leaks in this way."""
        policies: dict[Kind, LeakagePolicy] = {"item": self.items, "text": self.text, "near": self.near}
        return policies[kind]


NamesOrMapping: TypeAlias = Annotated[
    Annotated[tuple[str, ...], Tag("tuple[str, ...]")] | Annotated[dict[str, dict[str, str]], Tag("dict[str, ...]")],
    Discriminator(lambda given: "dict[str, ...]" if isinstance(given, dict) else "tuple[str, ...]"),
]


class Price(Section):
    """What an endpoint's tokens cost, in USD per million."""

    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]


class Judge(Section):
    """A model that rates the completions of tasks from 1 to 5, and compares them with those of another model.

    Behind an `endpoint` it goes by its name there; without one it runs in our own engine, and is named as a base
    model is. `max_cost`, in USD, is of all judgements together, those of earlier runs among them.
    """

    model: Annotated[str, Field(min_length=1)]
    endpoint: str | None = None
    tasks: tuple[str, ...] = Field(default=("instructions",), min_length=1)
    against: str | None = None
    max_tokens: PositiveInt = 512
    decoding: Literal["greedy", "own"] = "greedy"
    """own: by the endpoint's own temperature, which models that reason let nobody set."""
    concurrency: PositiveInt = 16
    price: Price | None = None
    max_cost: Annotated[float, Field(gt=0)] | None = None
    api_key_variable: Annotated[str, Field(min_length=1)] = "OPENAI_API_KEY"


class Evaluation(Section):
    """What every cell and the untuned base model are tested on."""

    tasks: tuple[str, ...] = ()
    lm_eval: NamesOrMapping = ()
    """Tasks of lm-evaluation-harness by name; or by a name for the task and the language each is in."""
    lm_eval_folder: str | None = None
    sources: dict[str, str] = {}
    engine: Literal["auto", "vllm", "transformers"] = "auto"
    """auto: vLLM where it is installed, else transformers."""
    split: Literal["validation", "test"] = "test"
    items: PositiveInt = 100
    max_tokens: dict[str, PositiveInt] = {}
    identifier: Identifier = "py3langid"
    base: bool = True
    judge: Judge | None = None

    @field_validator("lm_eval", mode="before")
    @classmethod
    def _one_of_them(cls, given: Any) -> Any:
        """A name alone is a list of one."""
        return tuple([given] if isinstance(given, str) else given) if isinstance(given, str | list) else given


class Reference(Section):
    """A published curve to lay over the study's own: a table with columns task, language, score and an axis `x`.

    Scores are in the metric's own unit: shares from 0 to 1, ratings from 1 to 5. `where` picks rows by their columns.
    """

    name: str
    file: str
    x: str
    where: dict[str, str] = {}


class Recipe(Section):
    """A whole study."""

    study: str
    model: Model
    adapter: Adapter = Adapter()
    training: Training
    languages: Languages
    sources: dict[str, SourceSettings] = {}
    mixture: dict[str, Ingredient] = Field(min_length=1)
    prompts: Prompts = Prompts()
    leakage: Leakage = Leakage()
    grid: dict[str, Axis] = {}
    evaluation: Evaluation
    reference: tuple[Reference, ...] = ()

    @cached_property
    def known_sources(self) -> dict[str, Source]:
        """All sources that the recipe may name: its own, and the ready-made ones."""
        return SOURCES | {name: settings.made(name) for name, settings in self.sources.items()}

    @property
    def components(self) -> list[Component]:
        """The mixture in the words of `data_mixes`."""
        return [
            Component(
                name=name,
                sources=[self.known_sources[source] for source in part.sources],
                variants=part.variants,
                amount=part.amount,
                total=part.total,
                temperature=part.temperature or 1.0,
                shares=part.shares,
                unit=part.unit,
                items=part.items,
                max_repeats=part.max_repeats,
            )
            for name, part in self.mixture.items()
        ]

    @property
    def all_languages(self) -> tuple[str, ...]:
        """Seen languages, then unseen."""
        return (*self.languages.seen, *self.languages.unseen)


def is_ready_made(name: str) -> bool:
    """Whether a source comes with the harness and is read from tables, so that a recipe may say where from."""
    return isinstance(SOURCES.get(name), TableSource)

"""Recipes: frozen models of the YAML. `load` reads them, `checks` looks for what no single key shows."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from data_mixes.leakage import Kind
from data_mixes.mixture import Component, ItemPolicy, Unit
from data_mixes.pairs import Variant
from data_mixes.source import Source
from data_mixes.sources import SOURCES
from eval.scorers.language import Identifier
from harness.recipe.section import Amount, Batch, PositiveInt, Section, Written
from harness.recipe.source_settings import SourceSettings

LeakagePolicy: TypeAlias = Literal["refuse", "drop", "allow"]


class Model(Section):
    """The base model: a packaged name, a folder with safetensors, or a Hugging Face id.

    `dtype: auto` is bfloat16 where the device that begins the study computes in it, else float32.
    """

    name: str
    """A packaged name such as `gemma-3-270m`, a folder with safetensors, or a Hugging Face id."""
    revision: str | None = None
    """The commit or branch of a Hugging Face id; a branch is resolved to a commit."""
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    """The number format of training and of every engine. `auto` is bfloat16 where the device that begins the study
    computes in it, else float32."""
    trust_remote_code: bool = False
    """Whether to run Python code that comes with the model. Only for models you trust."""


class Adapter(Section):
    """The LoRA adapter each cell trains."""

    rank: Annotated[int, Field(gt=0, le=512)] = 8  # vLLM serves no larger one
    """The rank of the LoRA matrices; vLLM serves up to 512."""
    alpha: PositiveInt = 16
    """The LoRA scale: updates are multiplied by alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The share of inputs to the adapter that are dropped in training."""
    targets: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    """The modules that get an adapter, by name, or all linear layers."""


class Training(Section):
    """Optimisation, the same for every cell.

    One of `epochs`, `steps` and `supervised_tokens` is held constant over the grid; the others follow.
    Rows of more than `max_length` tokens are refused, or dropped for the next ones; none is cut.
    """

    epochs: PositiveInt | None = None
    """How often the mixture is trained on. Give one of `epochs`, `steps` and `supervised_tokens`."""
    steps: PositiveInt | None = None
    """How many optimizer steps to train, whatever the size of the mixture."""
    supervised_tokens: PositiveInt | None = None
    """How many tokens that carry a loss to train on."""
    global_batch: Batch = 16
    """Rows per optimizer step, over all processes; at most 65,536."""
    micro_batch: PositiveInt = 8
    """The most rows in one forward pass. Not part of the fingerprint."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    """The peak learning rate of AdamW."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """How the learning rate changes after the warm-up."""
    warmup_steps: Amount = 0
    """Steps in which the learning rate rises from 0."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """AdamW's weight decay."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    """The norm to which gradients are clipped."""
    max_length: PositiveInt = 512
    """The longest row in tokens. Longer rows are refused or dropped, never cut."""
    long_rows: Literal["refuse", "drop"] = "refuse"
    """What happens to rows longer than `max_length`: an error, or the next row instead."""
    seed: Amount = 0
    """The seed of the order of rows, of the adapter's initial weights and of dropout."""
    checkpoint_every: PositiveInt = 50
    """Steps between checkpoints. Not part of the fingerprint."""


class Languages(Section):
    """Which languages some cell trains on, and which none may; groups of them for the report."""

    seen: tuple[str, ...] = Field(min_length=1)
    """Languages that cells may train on."""
    unseen: tuple[str, ...] = ()
    """Languages that no cell may train on, and that are evaluated all the same."""
    groups: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = {}
    """Groups of languages for the report, by name."""
    pivot: str = "en"
    """The language that others are compared with."""


class Ingredient(Section):
    """A component of the mixture: an `amount` per source and language, or a `total` per source to divide.

    Instead of `languages`, `prompts_in` and `answers_in` pair each language of the one with every other
    of the other: prompts in one language with targets in another, or `translate` one into the other.
    """

    sources: tuple[str, ...] = Field(min_length=1)
    """The sources of the rows, by name."""
    languages: tuple[str, ...] | None = Field(default=None, min_length=1)
    """The languages that rows are taken in."""
    prompts_in: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Languages of prompts, to be paired with answers in others."""
    answers_in: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Languages of answers, to be paired with prompts in others."""
    translate: bool = False
    """Whether the pairs become translation tasks."""
    amount: Amount | None = None
    """How much of each source in each language, in `unit`."""
    total: Amount | None = None
    """How much of each source, divided among the languages."""
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=True)] | None = None
    """How a total is divided: 1 in proportion to what each language has, `.inf` evenly."""
    shares: dict[str, Annotated[float, Field(gt=0)]] | None = None
    """How a total is divided, by language."""
    unit: Unit = "examples"
    """What budgets count."""
    items: ItemPolicy | None = None
    """Which items the languages take: the same ones, different ones, or each its own."""
    max_repeats: PositiveInt = 1
    """How often a row may be used to fill a budget."""

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
    """The key, or keys, of the recipe that the axis sets."""
    values: tuple[Any, ...] | dict[str, Any] = Field(min_length=1)
    """The values it takes, as a list or with a name for each."""

    @property
    def paths(self) -> tuple[str, ...]:
        """The keys that take the value."""
        return (self.path,) if isinstance(self.path, str) else self.path


class FewShot(Section):
    """Exemplars before each evaluation prompt of a task: the source's first ones, or drawn under a seed."""

    shots: PositiveInt
    """How many exemplars."""
    seed: Amount | None = None
    """The seed that draws them; without it they are the source's first ones."""


class Prompts(Section):
    """How examples are put to the model, in training and in evaluation."""

    chat_template: str | None = None
    """A Jinja template, or the path of a `.jinja` file, in place of the model's own."""
    words: dict[str, dict[str, str]] = {}
    """The words around a prompt, by task and language; each holds `{prompt}` once."""
    max_tokens: PositiveInt | None = None
    """The longest prompt in tokens; longer texts are shortened at their end, and counted."""
    few_shot: dict[str, FewShot] = {}
    """Exemplars before each test prompt, by task."""


class Leakage(Section):
    """What becomes of training rows that are also tested on: the same item, the same text, nearly the same."""

    items: LeakagePolicy = "refuse"
    """For training rows that are test items, in any language."""
    text: LeakagePolicy = "refuse"
    """For training rows with the same text as a test item."""
    near: LeakagePolicy = "refuse"
    """For training rows with nearly the same text as a test item."""
    similarity: Annotated[float, Field(ge=0.6, le=1)] = 0.8  # below, MinHash would miss some
    """From which Jaccard similarity on texts are nearly the same."""

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
    """USD per million prompt tokens."""
    output: Annotated[float, Field(ge=0)]
    """USD per million reply tokens."""


class Judge(Section):
    """A model that rates the completions of tasks from 1 to 5, and compares them with those of another model.

    Behind an `endpoint` it goes by its name there; without one it runs in our own engine, and is named as a base
    model is. `max_cost`, in USD, is of all judgements together, those of earlier runs among them.
    """

    model: Annotated[str, Field(min_length=1)]
    """The endpoint's name for the model; without an endpoint, a model as `model.name` has it."""
    endpoint: str | None = None
    """The address of a server with OpenAI's protocol."""
    tasks: tuple[str, ...] = Field(default=("instructions",), min_length=1)
    """The tasks whose completions are judged."""
    against: str | None = None
    """The model to compare with: `base` or a cell."""
    max_tokens: Written = 512
    """The longest reply in tokens."""
    decoding: Literal["greedy", "own"] = "greedy"
    """own: by the endpoint's own temperature, which models that reason let nobody set."""
    concurrency: PositiveInt = 16
    """How many requests are made at once."""
    price: Price | None = None
    """What the endpoint's tokens cost."""
    max_cost: Annotated[float, Field(gt=0)] | None = None
    """USD that all judgements together may cost."""
    api_key_variable: Annotated[str, Field(min_length=1)] = "OPENAI_API_KEY"
    """The environment variable that holds the key."""


class Evaluation(Section):
    """What every cell and the untuned base model are tested on."""

    tasks: tuple[str, ...] = ()
    """The tasks that every model is tested on."""
    lm_eval: NamesOrMapping = ()
    """Tasks of lm-evaluation-harness by name; or by a name for the task and the language each is in."""
    lm_eval_folder: str | None = None
    """A folder with tasks of your own for lm-evaluation-harness."""
    sources: dict[str, str] = {}
    """The source of the test items, by task."""
    engine: Literal["auto", "vllm", "transformers"] = "auto"
    """auto: vLLM where it is installed, else transformers."""
    split: Literal["validation", "test"] = "test"
    """The split that test items are taken from."""
    primary: dict[str, str] = {}
    """The group of languages that a task's main comparison is over, by task; `unseen` where none is named."""
    items: PositiveInt = 100
    """Test items per task and language: the same in every language, for every model."""
    max_tokens: dict[str, Written] = {}
    """The longest completion in tokens, by task."""
    stop: dict[str, tuple[str, ...]] = {}
    """Texts that end a completion, by task. Default: with a chat template none, so that only the end of turn does."""
    identifier: Identifier = "py3langid"
    """What identifies the language of completions."""
    base: bool = True
    """Whether the untuned base model is evaluated too."""
    judge: Judge | None = None
    """A model that judges completions."""

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
    """What the curve is called."""
    file: str
    """A table with the columns task, language, score and the axis."""
    x: str
    """The column of the axis."""
    where: dict[str, str] = {}
    """Which rows to take, by column."""


class Recipe(Section):
    """A whole study."""

    study: str
    """The name of the study and of its folder."""
    model: Model
    """The base model."""
    adapter: Adapter = Adapter()
    """The LoRA adapter that each cell trains."""
    training: Training
    """How each cell is trained."""
    languages: Languages
    """The languages of the study."""
    sources: dict[str, SourceSettings] = {}
    """Sources of your own, by name."""
    mixture: dict[str, Ingredient] = Field(min_length=1)
    """What cells train on: components by name, or the name of a mixture."""
    prompts: Prompts = Prompts()
    """How examples are put to the model."""
    leakage: Leakage = Leakage()
    """What happens to training rows that are also tested on: one of refuse, drop and allow, or one for each kind."""
    grid: dict[str, Axis] = {}
    """The axes of the grid, by name."""
    evaluation: Evaluation
    """What every model is tested on."""
    reference: tuple[Reference, ...] = ()
    """Published curves to show with the study's own."""

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

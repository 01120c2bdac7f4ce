"""Recipes: frozen models of the YAML. `load` reads them, `checks` looks for what no single key shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from data_mixes.leakage import Kind
from data_mixes.makers.lexicons import Lexicon
from data_mixes.makers.maker import LabelledMaker, Maker, PairMaker, TextMaker
from data_mixes.mixture import Component
from data_mixes.pairs import Variant
from data_mixes.prompts import Supervised
from data_mixes.source import Source
from data_mixes.sources import SOURCES
from eval.tasks.task import Task
from harness.recipe.checkpoints_section import Checkpoints
from harness.recipe.evaluation_section import Evaluation
from harness.recipe.generated_section import Generated
from harness.recipe.mixture_section import Ingredient, Mixture
from harness.recipe.models_section import Model, OutsideModel, Reinitialise
from harness.recipe.own_code import tasks_of
from harness.recipe.representations_section import Probes, Similarity
from harness.recipe.row_makers_section import LexiconSettings, languages_of
from harness.recipe.section import PositiveInt, Section, Seed
from harness.recipe.selection_section import Selection
from harness.recipe.source_settings import SourceSettings
from harness.recipe.stages_section import Composition, Stages
from harness.recipe.training_section import Adapter, Execution, Training

STAGE = "stage"
"""What the axis of stages is called; it comes after those of the grid."""
ONLY_FOR: dict[str, Maker] = {"align": PairMaker(), "keep": TextMaker(), "label_similarity": LabelledMaker()}
"""What rows are made of that only such a term sees."""
LeakagePolicy: TypeAlias = Literal["refuse", "drop", "allow"]


class Languages(Section):
    """Which languages some cell trains on, and which none may; groups of them for the report.

    Of a recipe that trains nothing, a list alone: nothing is said of which language a model has seen.
    """

    seen: tuple[str, ...] = ()
    """Languages that cells may train on."""
    unseen: tuple[str, ...] = ()
    """Languages that no cell may train on, and that are evaluated all the same."""
    tested: tuple[str, ...] = ()
    """Languages that models are tested in, of a recipe that trains nothing; the same as a list alone."""
    groups: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = {}
    """Groups of languages for the report, by name."""
    pivot: str = "en"
    """The language that others are compared with."""


class Axis(Section):
    """What varies over the grid: the key at `path`, or every key of several, takes each of the `values`.

    Without a `path` each value has a name and says which keys it sets, as in `small: {model.name: gemma-3-270m,
    training.learning_rate: 1.0e-3}`. One that leaves out a key leaves that as the recipe has it.
    """

    path: str | tuple[str, ...] | None = None
    """The key, or keys, of the recipe that the axis sets; none where each value names those that it sets."""
    values: tuple[Any, ...] | dict[str, Any] = Field(min_length=1)
    """The values it takes, as a list or with a name for each; of `model.revision` alone also a pattern for branches and
    tags of a public suite of checkpoints, as in `{pattern: "stage1-step-*", take: 8, spacing: log}`."""

    @property
    def paths(self) -> tuple[str, ...]:
        """The keys that take the value; none where there is no path, and not every value names keys."""
        if self.path is not None:
            return (self.path,) if isinstance(self.path, str) else self.path
        named = [*self.values.values()] if isinstance(self.values, dict) else []
        if not all(isinstance(settings, dict) and settings for settings in named):
            return ()
        return tuple(dict.fromkeys(str(path) for settings in named for path in settings))

    def settings(self, value: Any) -> dict[str, Any]:
        """What each key is set to by one of the values."""
        return dict(value) if self.path is None else dict.fromkeys(self.paths, value)

    def values_of(self, path: str) -> list[Any]:
        """The values that the key at this path takes."""
        values = self.values.values() if isinstance(self.values, dict) else self.values
        return [settings[path] for value in values if path in self.paths and path in (settings := self.settings(value))]


class FewShot(Section):
    """Exemplars before each evaluation prompt of a task: the source's first ones, or drawn under a seed."""

    shots: PositiveInt
    """How many exemplars."""
    seed: Seed | None = None
    """The seed that draws them; without it they are the source's first ones."""
    sources: tuple[str, ...] = ()
    """Sources to take them from: for each language the first that has it. Default: the source of the test items."""


class Prompts(Section):
    """How examples are put to the model, in training and in evaluation."""

    chat_template: str | None = None
    """A Jinja template, or the path of a `.jinja` file, in place of the model's own."""
    words: dict[str, dict[str, str]] | Literal["none"] = {}
    """The words around a prompt, by task and language; each holds `{prompt}` once. With `none` prompts are put to the
    model as they are. Conversations are in any case, where there is a chat template."""
    supervise: Supervised = "last"
    """Which of the assistant's turns in a conversation are learned: the `last`, or `every` one."""
    max_tokens: PositiveInt | None = None
    """The longest prompt in tokens; longer texts are shortened at their end, and counted."""
    few_shot: dict[str, FewShot] = {}
    """Exemplars before each test prompt, by task."""

    @property
    def verbatim(self) -> bool:
        """Whether prompts are put to the model as they are."""
        return self.words == "none"

    @property
    def own_words(self) -> dict[str, dict[str, str]]:
        """The recipe's own words, by task and language."""
        return {} if isinstance(self.words, str) else self.words


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


class Report(Section):
    """How the report shows the study. Not part of the fingerprint."""

    labels: dict[str, Annotated[str, Field(min_length=1)]] = {}
    """What the report calls axes of the grid and tasks, such as `amount: examples per language`."""
    amounts: Literal["auto", "linear", "log", "symlog", "categorical"] = "auto"
    """How amounts are laid out along an axis. `symlog` is logarithmic with room for 0, `categorical` puts them at equal
    distances; `auto` is linear, or logarithmic where the largest is at least 10 times the smallest."""


class Recipe(Section):
    """A whole study."""

    include: str | tuple[str, ...] = ()
    """Files that this recipe builds on: whole recipes, or parts of one. Its own keys are laid over theirs, and those of
    a later file over those of an earlier one: mappings key by key, lists and values whole. `null` takes a key of an
    included file away. Each file is read once, and paths are meant from the file they are written in."""
    study: str
    """The name of the study and of its folder."""
    model: Model | None = None
    """The base model. A recipe that trains nothing may have only `models`."""
    models: dict[str, OutsideModel] = {}
    """Models that are there already, by name: rows beside the base model and the cells."""
    adapter: Adapter = Adapter()
    """The LoRA adapter that each cell trains, unless it tunes the whole model."""
    training: Training = Training()
    """How each cell is trained. A recipe without `training` and `mixture` is evaluation alone."""
    execution: Execution = Execution()
    """How work is spread over GPUs and processes."""
    selection: Selection | None = None
    """Which step's weights are a cell's; without it the last step's are."""
    checkpoints: Checkpoints | None = None
    """Steps of cells that are evaluated as models of their own. Not part of the fingerprint."""
    languages: Languages
    """The languages of the study."""
    sources: dict[str, SourceSettings] = {}
    """Sources of your own, by name."""
    generated: dict[str, Generated] = {}
    """Sources whose targets a model writes, by name: the base model, an earlier stage, or one of `models`."""
    lexicons: dict[str, LexiconSettings] = {}
    """Translations of words, by the two languages that they are of, as en-es: for rows whose words are switched."""
    mixture: Mixture = Mixture.model_validate({})
    """What cells train on: components by name, or the name of a mixture."""
    stages: Stages | None = None
    """Trainings that follow one another, in place of `mixture`. Each is a cell, and an axis `stage` of the grid."""
    compose: dict[str, Composition] = {}
    """Cells that are made of the weights of stages, by name: further values of the axis `stage`."""
    prompts: Prompts = Prompts()
    """How examples are put to the model."""
    leakage: Leakage = Leakage()
    """What happens to training rows that are also tested on: one of refuse, drop and allow, or one for each kind."""
    grid: dict[str, Axis] = {}
    """The axes of the grid, by name."""
    exclude: tuple[dict[str, str | int | float], ...] = ()
    """Combinations of the grid that are no cells: each gives values of some axes, and all cells that have them are
    left out."""
    share: tuple[str, ...] = ()
    """Other studies in the same folder of runs: cells that one of them has trained are taken from there."""
    evaluation: Evaluation
    """What every model is tested on."""
    reference: tuple[Reference, ...] = ()
    """Published curves to show with the study's own."""
    similarity: Similarity | None = None
    """How alike the models represent translations. Not part of the fingerprint."""
    probe: Probes | None = None
    """What linear probes read off the models' layers. Not part of the fingerprint."""
    report: Report = Report()
    """How the report shows the study."""

    @cached_property
    def named_sources(self) -> dict[str, Source]:
        """The recipe's own sources, and the ready-made ones."""
        return SOURCES | {name: settings.made(name) for name, settings in self.sources.items()}

    @cached_property
    def known_sources(self) -> dict[str, Source]:
        """All sources that the recipe may train on: those, and what a model writes."""
        named = self.named_sources
        return named | {name: given.made(name, named, self.mixture.seed) for name, given in self.generated.items()
                        if given.prompts.source in named}  # fmt: skip

    def with_sources(self, sources: Mapping[str, Source]) -> Recipe:
        """The same with these in place of the sources of their names."""
        same = self.model_copy()
        vars(same)["known_sources"] = {**self.known_sources, **sources}  # where a cached_property keeps what it made
        return same

    @cached_property
    def known_lexicons(self) -> list[Lexicon]:
        """The lexicons, as `data_mixes` reads them."""
        named = {name: languages_of(name, self.all_languages) for name in self.lexicons}
        return [self.lexicons[name].made(name, languages, self.known_sources)
                for name, languages in named.items() if languages]  # fmt: skip

    @cached_property
    def known_tasks(self) -> dict[str, Task]:
        """All tasks that the recipe may name: its own, and those of the harness; with its own metrics.

        Raises UserError for a file of code that cannot be run.
        """
        return tasks_of(self.evaluation)

    @property
    def words(self) -> dict[str, dict[str, str]]:
        """The words around prompts, by task and language: the recipe's, and those of tasks of its own."""
        own = {name: dict(task.prompts) for name, task in self.known_tasks.items() if task.prompts}
        given = self.prompts.own_words
        return {name: own.get(name, {}) | given.get(name, {}) for name in {**own, **given}}

    @property
    def ingredients(self) -> dict[str, Ingredient]:
        """The components of the mixture, by name."""
        return self.mixture.ingredients

    @property
    def all_ingredients(self) -> list[Ingredient]:
        """The components of the mixture, or of those of all stages."""
        mixtures = [self.mixture, *(stage.mixture for stage in (self.stages.in_order if self.stages else {}).values())]
        return [part for mixture in mixtures for part in mixture.ingredients.values()]

    @property
    def axes(self) -> dict[str, Axis]:
        """The axes of the grid, and that of stages: those that are trained in some order, then composed cells."""
        if self.stages is None:
            return self.grid
        orders = [value for axis in self.grid.values() for value in axis.values_of("stages.order")]
        others = [str(name) for order in orders if isinstance(order, list) for name in order]
        names = [*self.stages.in_order, *others, *self.compose]
        return self.grid | {STAGE: Axis(path="stages", values=tuple(dict.fromkeys(names)))}

    @property
    def components(self) -> list[Component]:
        """The mixture in the words of `data_mixes`."""
        return [
            Component(
                name=name,
                sources=[self.known_sources[source] for source in part.sources],
                variants=self._variants(part),
                amount=part.amount,
                total=part.total,
                temperature=part.temperature or 1.0,
                shares=part.shares,
                unit=part.unit,
                items=part.items,
                max_repeats=part.max_repeats,
                only_for=part.only_for,
            )
            for name, part in self.ingredients.items()
            if part.only_for is None or part.only_for in self.training.objectives.names
        ]

    def _variants(self, part: Ingredient) -> tuple[Variant, ...]:
        """The languages of a component's rows, with what makes them."""
        maker: Maker | None = ONLY_FOR.get(part.only_for or "")
        if part.only_for == "own":
            maker = PairMaker() if part.languages is None else TextMaker()
        if part.made_as is not None:
            maker = part.made_as.maker(self.mixture.seed, self.known_lexicons)
        if maker is None:
            return part.variants
        return tuple(replace(variant, maker=maker) for variant in part.variants)

    @property
    def all_languages(self) -> tuple[str, ...]:
        """Seen languages, then unseen."""
        return (*self.languages.seen, *self.languages.unseen, *self.languages.tested)

    @property
    def trains(self) -> bool:
        """Whether there is anything to train; else the recipe is evaluation alone."""
        return not self.model_fields_set.isdisjoint({"training", "mixture", "stages"})

    @property
    def evaluated_every(self) -> int | None:
        """Steps of a cell from one that is evaluated to the next; None where its own weights alone are."""
        return self.checkpoints and self.checkpoints.every

    @property
    def base_model(self) -> Model:
        """The base model of a recipe that has one, as it is evaluated."""
        assert self.model is not None
        return self.model.model_copy(update={"reinitialise": None})

    @property
    def reinitialised(self) -> Reinitialise | None:
        """What begins with new random weights, if anything does."""
        given = self.model and self.model.reinitialise
        return given if given and given.layers else None

    @property
    def trains_whole_model(self) -> bool:
        """Whether what is trained is a whole model, rather than an adapter on the base model."""
        return self.training.method == "full" or self.reinitialised is not None

    @property
    def dtype(self) -> Literal["auto", "bfloat16", "float32"]:
        """The number format that is asked for."""
        return self.model.dtype if self.model else "auto"

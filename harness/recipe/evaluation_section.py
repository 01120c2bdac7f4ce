"""What a recipe says of tests: tasks, metrics, decoding, and who judges."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag, field_validator

from eval.generation.conditions import OWN
from eval.scorers.identifiers import Identifier
from eval.scorers.thoughts import THOUGHTS, Markers
from harness.recipe.section import PositiveInt, Section, Written

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


class OwnTask(Section):
    """A task of your own. Its file is run because the recipe names it."""

    code: str
    """A Python file that defines the task, and perhaps its source; see docs/tasks.md."""


class OwnMetric(Section):
    """A metric of your own beside those of tasks. Its file is run because the recipe names it."""

    code: str
    """A Python file that defines the function `score`; see docs/tasks.md."""
    tasks: tuple[str, ...] = Field(min_length=1)
    """The tasks whose completions it scores."""


NamesOrOwnTasks: TypeAlias = Annotated[
    Annotated[tuple[str, ...], Tag("tuple[str, ...]")] | Annotated[dict[str, OwnTask | None], Tag("dict[str, ...]")],
    Discriminator(lambda given: "dict[str, ...]" if isinstance(given, dict) else "tuple[str, ...]"),
]


class Decoding(Section):
    """How completions of a task are written."""

    max_tokens: Written | None = None
    """The longest completion in tokens. Default: one and a half times the longest reference of the test items."""
    stop: tuple[str, ...] | None = None
    """Texts that end a completion. Default: the task's own; none with a chat template, where the end of turn does."""
    temperature: Annotated[float, Field(ge=0)] = 0.0
    """What logits are divided by before a token is drawn; 0 takes the likeliest one."""
    samples: PositiveInt = 1
    """How many completions are drawn of each prompt: scores are their mean, and pass@k is reported."""
    system: str | None = None
    """What the system says before each test prompt."""


DEFAULT_ITEMS = 100
NumberByTask: TypeAlias = Annotated[
    Annotated[PositiveInt, Tag("int[...]")] | Annotated[dict[str, PositiveInt], Tag("dict[str, ...]")],
    Discriminator(lambda given: "dict[str, ...]" if isinstance(given, dict) else "int[...]"),
]


class Evaluation(Section):
    """What every cell and the untuned base model are tested on."""

    tasks: NamesOrOwnTasks = ()
    """The tasks that every model is tested on: a list, or names with the file of those that are your own."""
    metrics: dict[str, OwnMetric] = {}
    """Metrics of your own, by name, beside those of the tasks."""
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
    items: NumberByTask = DEFAULT_ITEMS
    """Test items per task and language, or such a number by task (100 for a task that is not named): the same in every
    language, for every model."""
    max_tokens: dict[str, Written] = {}
    """The longest completion in tokens, by task; the same as `decoding.TASK.max_tokens`."""
    decoding: dict[str, Decoding] = {}
    """How completions are written, by task."""
    prompts_in: tuple[str, ...] = Field(default=(OWN,), min_length=1)
    """Languages that test prompts are in: `own`, each language's own, and one for all, such as en."""
    answers_in: tuple[str, ...] = Field(default=(OWN,), min_length=1)
    """Languages that answers are asked for in: `own`, each language's own, and one for all, such as en."""
    repeats: PositiveInt = 1
    """How often completions are generated, each time in other batches: more than once measures generation noise."""
    batch_invariant: bool = False
    """Whether vLLM's kernels give the same completions in any batch; slower, and on some GPUs alone."""
    identifier: Identifier = "py3langid"
    """What identifies the language of completions."""
    thoughts: tuple[tuple[str, str], ...] = ()
    """What opens and closes your model's thoughts, beside <think> and the like: they are set apart before scoring."""
    base: bool = True
    """Whether the untuned base model is evaluated too."""
    after: Literal["last", "every-stage"] = "last"
    """Which stages of a recipe with `stages` are tested: the last one in order, or every one. Composed cells always
    are."""
    judge: Judge | None = None
    """A model that judges completions."""

    @property
    def thought_markers(self) -> Markers:
        """What opens and closes thoughts: the recipe's own markers, and those of models in use."""
        return (*self.thoughts, *THOUGHTS)

    def items_of(self, task: str) -> int:
        """Test items per language of a task."""
        return self.items.get(task, DEFAULT_ITEMS) if isinstance(self.items, dict) else self.items

    def decoded(self, task: str) -> Decoding:
        """How completions of a task are written."""
        given = self.decoding.get(task, Decoding())
        return given if task not in self.max_tokens else given.model_copy(update={"max_tokens": self.max_tokens[task]})

    @property
    def code_files(self) -> dict[str, str]:
        """Key → the file of Python code that it names."""
        tasks = self.tasks if isinstance(self.tasks, dict) else {}
        return {f"evaluation.tasks.{name}": task.code for name, task in tasks.items() if task} | {
            f"evaluation.metrics.{name}": metric.code for name, metric in self.metrics.items()
        }

    @field_validator("lm_eval", mode="before")
    @classmethod
    def _one_of_them(cls, given: Any) -> Any:
        """A name alone is a list of one."""
        return tuple([given] if isinstance(given, str) else given) if isinstance(given, str | list) else given

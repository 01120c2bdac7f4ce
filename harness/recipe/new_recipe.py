"""The text of a new recipe, with comments, and of the file of a new task."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from data_mixes.prompt_words import PROMPTS
from eval.tasks import TASKS

PLAIN = re.compile(r"[A-Za-z0-9_./~@-]+")
"""What YAML reads as it is written, but for the words below."""
WORDS = ("null", "true", "false", "~", "-")
ENGLISH = "en"
TASK = '''"""The task {task}: how it is prompted, and how completions are scored."""

from collections.abc import Sequence

from data_mixes.example import Example
from eval.scorers.score import Score
from eval.scorers.words import folded_text
from eval.tasks.task import Task


def score(example: Example, completion: str) -> Sequence[Score]:
    """Whether the first line of the completion is the target, in upper or lower case. Change it as the task needs.

    docs/tasks.md has a scorer for answers that are one of a few labels: it takes the first one that a completion names.
    """
    line = completion.strip().partition("\\n")[0].strip(" .,!\\"'。।")
    if not line:
        return [Score("accuracy", 0.0, "{task}/1", reason="no answer")]
    written, asked = (folded_text(text, example.language) for text in (line, example.target.strip()))
    return [Score("accuracy", float(written == asked), "{task}/1", answer=line)]


TASK = Task(
    "{task}",
    source="{source}",
    max_tokens=16,
    stop=("\\n",),
    metric="accuracy",
    scorer_version="{task}/1",
    score=score,
    prompts={{  # the words around each prompt: say in each language what is wanted
{prompts}
    }},
)
'''


@dataclass(frozen=True)
class Choices:
    """What a new recipe is made of."""

    study: str
    model: str
    task: str
    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    files: str
    """The user's own data; empty for what ships with the harness."""
    columns: Mapping[str, str]
    amounts: tuple[int, ...]
    seeds: int
    items: int
    hold_out: int = 0
    """How many items of each language to set aside for the test, where files are not by split."""

    @property
    def own_task(self) -> bool:
        """Whether the task is one of the user's own."""
        return self.task not in TASKS

    @property
    def source(self) -> str:
        """The source that cells train on."""
        return "my-data" if self.files else TASKS[self.task].source

    @property
    def languages(self) -> tuple[str, ...]:
        """Those trained on, then those that are not."""
        return (*self.seen, *self.unseen)


def task_text(choices: Choices) -> str:
    """The file of a task of the user's own, to be changed."""
    prompts = "\n".join(f'        "{language}": "{{prompt}}\\n",' for language in choices.languages)
    return TASK.format(task=choices.task, source=choices.source, prompts=prompts)


def recipe_text(choices: Choices) -> str:
    """The recipe: the first language alone, then with growing amounts of the others, each mixture under some seeds."""
    tasks = f"{{{choices.task}: {{code: {choices.task}.py}}}}" if choices.own_task else flow([choices.task])
    lines = [
        "# Written by harness init. Every key: docs/recipes.md and harness schema recipe.",
        f"study: {choices.study} # results go to runs/{choices.study}/",
        "",
        "# a packaged name, a folder with safetensors, or a Hugging Face id",
        f"model: {{name: {quoted(choices.model)}}}",
        "adapter: {rank: 8, alpha: 16}",
        "training: {epochs: 1, global_batch: 8, learning_rate: 1.0e-3, max_length: 512}",
        "",
        *language_lines(choices),
        *source_lines(choices),
        *mixture_lines(choices),
        *words_lines(choices),
        "evaluation:",
        f"  tasks: {tasks}",
        f"  items: {choices.items} # test items per language",
    ]
    return "\n".join(lines) + "\n"


def language_lines(choices: Choices) -> list[str]:
    """The section `languages`."""
    lines = [
        "languages:",
        f"  seen: {flow(choices.seen)} # what some cell trains on",
        f"  unseen: {flow(choices.unseen)} # what no cell trains on; tested all the same",
    ]
    if ENGLISH not in choices.languages and choices.seen:
        lines.append(f"  pivot: {choices.seen[0]} # what the others are compared with")
    return [*lines, ""]


def source_lines(choices: Choices) -> list[str]:
    """The section `sources`, where data is the user's own."""
    if not choices.files:
        return []
    lines = [
        "sources:",
        f"  {choices.source}:",
        f"    task: {choices.task}",
        f"    languages: {flow(choices.languages)}",
        f"    files: {quoted(choices.files)}",
        f"    columns: {{{', '.join(f'{key}: {quoted(name)}' for key, name in choices.columns.items())}}}",
    ]
    if choices.hold_out:
        lines.append(
            f"    hold_out: {{test: {choices.hold_out}}} # items set aside for the test: no cell trains on them"
        )
    if "item" not in choices.columns:
        lines.append(
            "    # if rows of several languages are translations, add what they share to columns: item: COLUMN"
        )
    return [*lines, ""]


def mixture_lines(choices: Choices) -> list[str]:
    """The sections `mixture` and `grid`."""
    first, others = choices.seen[:1], choices.seen[1:]
    amounts = [amount for amount in choices.amounts if amount or others]
    varied = "others" if others else "rows"
    lines = ["mixture: # amounts are examples per language"]
    if others:
        lines.append(component("english" if first[0] == ENGLISH else first[0], choices, first))
    lines += [
        component(varied, choices, others or first),
        "",
        "grid: # the cells are all combinations of the axes' values",
    ]
    lines.append(f"  amount: {{path: mixture.{varied}.amount, values: {flow(amounts)}}}")
    if choices.seeds > 1:
        seeds = flow(range(choices.seeds))
        lines.append(f"  seed: {{path: [training.seed, mixture.seed], values: {seeds}}} # several runs of each mixture")
    return [*lines, ""]


def component(name: str, choices: Choices, languages: tuple[str, ...]) -> str:
    """A component of the mixture."""
    most = max(choices.amounts)
    return f"  {name}: {{sources: [{choices.source}], languages: {flow(languages)}, amount: {most}}}"


def words_lines(choices: Choices) -> list[str]:
    """The section `prompts`, where the harness has no words for a language."""
    known = PROMPTS.get(choices.task, {})
    lacking = [language for language in choices.languages if language not in known]
    if choices.own_task or not lacking:
        return []
    return [
        "prompts:",
        "  words: # the harness has none for these languages: write what is asked around {prompt}",
        f"    {choices.task}:",
        *(f'      {language}: "{{prompt}}\\n"' for language in lacking),
        "",
    ]


def flow(values: Iterable[object]) -> str:
    """A list in one line of YAML."""
    return f"[{', '.join(quoted(str(value)) for value in values)}]"


def quoted(text: str) -> str:
    """A text as YAML 1.2 reads it back: in quotes, as JSON has them, unless it is of plain characters."""
    return text if PLAIN.fullmatch(text) and text.lower() not in WORDS else json.dumps(text, ensure_ascii=False)

"""lm-evaluation-harness: its tasks, their questions for our engines, and its scores. The only importer of lm_eval.

A task's own code writes its prompts, finds answers in what models write, and scores them; in between
stand questions to an engine, in token ids. They are encoded as lm_eval's Hugging Face backend does
with add_bos_token=True and without a chat template, and, where longer than the model, cut from the
left as its vLLM backend does. Decoding is greedy.
"""

from __future__ import annotations

import difflib
import hashlib
import io
import json
import logging
import math
import random
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.defaults import DEFAULT_OTHER_SEED, DEFAULT_RANDOM_SEED
from lm_eval.models.utils import normalize_gen_kwargs, resolve_max_length
from lm_eval.tasks import TaskManager
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from data_mixes.example import Example
from data_mixes.prompts import Renderer
from data_mixes.storage import cache_folder, write_text
from eval.engines.engine import Request, ScoredRow
from eval.generation.requests import Question
from eval.interop.lm_eval_names import NamedTask, readings

Definition: TypeAlias = Any
"""A task as lm_eval defines it: lm_eval.api.task.Task."""

VERSION = f"lm_eval {version('lm_eval')}"
ITEM_COLUMNS = (("link", "question_number"), ("sample_id",), ("question_id",), ("story_id",), ("idx",), ("id",))
"""By which data sets tell which of their rows are translations of each other."""
SHOWN = 5
TELLING = 30
"""Characters of a text that is one item's and no other's, unlike "yes"."""

logging.getLogger("lm_eval").setLevel(logging.ERROR)


class LmEvalError(ValueError):
    """A task that lm_eval does not know, or that cannot be asked here."""


class Catalogue:
    """The tasks that lm_eval knows by name: those in a folder of the user's first, then its own."""

    def __init__(self, folder: Path | None) -> None:
        self.own = tasks_in(TaskManager(include_path=folder, include_defaults=False)) if folder else {}
        self._kept = cache_folder() / f"{VERSION.replace(' ', '-')}.json"
        self._known: dict[str, str] = json.loads(self._kept.read_text("utf-8")) if self._kept.exists() else {}

    @cached_property
    def _lm_eval(self) -> TaskManager:
        """All that comes with lm_eval; where its tasks are is kept, for it takes seconds to find out."""
        manager = TaskManager()
        self._known = tasks_in(manager)
        write_text(self._kept, json.dumps(self._known))
        return manager

    def find(self, name: str, languages: Sequence[str]) -> Path:
        """The file that defines a task.

        Raises LmEvalError if there is none of the name, with some that are like it, or if it is
        that of a group, with some of its tasks, those in the languages first.
        """
        path = Path(self.own.get(name) or self._known.get(name, ""))
        if path.is_file():
            return path
        manager = self._lm_eval
        if name in self._known:
            return Path(self._known[name])
        if name in manager.task_index:
            members = sorted(members_of(name, manager), key=lambda member: (not readings(member, languages), member))
            shown = ", ".join(members[:SHOWN]) + (", …" if len(members) > SHOWN else "")
            raise LmEvalError(f"{name!r} is a group of {len(members)} tasks; name those you want: {shown}")
        near = difflib.get_close_matches(name, [*self.own, *self._known], n=SHOWN)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "lm-eval ls tasks lists them"
        raise LmEvalError(f"{VERSION} has no task {name!r}; {hint}")


def tasks_in(manager: TaskManager) -> dict[str, str]:
    """Task → the file that defines it."""
    return {name: str(manager.task_index[name].yaml_path) for name in manager.all_subtasks}


def members_of(name: str, manager: TaskManager) -> set[str]:
    """The tasks of a group or tag, those of groups in it too."""
    entry = manager.task_index.get(name)
    if entry is None or name in manager.all_subtasks:
        return {name}
    listed = entry.cfg.get("task", []) if entry.cfg else entry.tags
    inner = [entry if isinstance(entry, str) else entry.get("task", entry.get("group")) for entry in listed]
    return {member for entry in inner if isinstance(entry, str) for member in members_of(entry, manager)}


@contextmanager
def as_lm_eval_does() -> Generator[None]:
    """Runs a task's code under lm_eval's own seeds, without what it prints."""
    before, before_numpy = random.getstate(), np.random.get_state()
    random.seed(DEFAULT_RANDOM_SEED)
    np.random.seed(DEFAULT_OTHER_SEED)
    try:
        with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
            yield
    finally:
        random.setstate(before)
        np.random.set_state(before_numpy)


def load(path: Path) -> Definition:
    """A task with its data. Raises LmEvalError if that cannot be had, or if the task is none for us."""
    try:
        with as_lm_eval_does():
            loaded: dict[str, Definition] = {**TaskManager(include_defaults=False).load([str(path)])["tasks"]}
    except Exception as error:  # a task's code and its data's: anything
        raise LmEvalError(f"lm_eval cannot load it: {in_one_line(error)}") from None
    (definition,) = loaded.values()
    if getattr(definition, "MULTIMODAL", False):
        raise LmEvalError("its prompts are not text alone")
    if getattr(definition, "UNSAFE_CODE", False):
        raise LmEvalError("it runs code that models write, which the harness does not")
    if not means(definition):
        raise LmEvalError(f"none of its metrics is a mean over items: {', '.join(map(str, definition.aggregation()))}")
    if definition.config.num_fewshot is None:
        definition.set_config(key="num_fewshot", value=0)
    return definition


def in_one_line(error: Exception) -> str:
    """What kind of error, and the beginning of what it says."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def means(definition: Definition) -> list[str]:
    """The metrics of which lm_eval's figure is the mean over items, in the task's order."""
    return [metric for metric, aggregate in definition.aggregation().items() if is_mean(aggregate)]


def is_mean(aggregate: Callable[[list[float]], Any]) -> bool:
    """Whether a function gives the mean of numbers, told by some numbers."""
    try:
        return bool(math.isclose(aggregate([0.0, 1.0, 1.0, 0.25]), 0.5625))
    except Exception:  # what is made for other items fails in its own way
        return False


def chosen_items(docs: Mapping[str, Sequence[Mapping[str, Any]]], limit: int) -> dict[str, dict[int, str]]:
    """Language → the places of the docs to ask, in order, and the item that each is.

    Docs are translations of each other where a column says so (ITEM_COLUMNS) that all languages
    have: the first `limit` docs of the first language, and their translations. Where none says so,
    it is by their place that docs are one item, as most parallel data sets have it: the first ones.
    """
    for columns in ITEM_COLUMNS:
        ids = {language: identities(of_language, columns) for language, of_language in docs.items()}
        first, *others = ids.values()
        common = [item for item in first if all(item in other for other in others)]
        if common and len(common) >= min(limit, *map(len, docs.values())):
            wanted = set(common[:limit])
            return {language: {position: item for item, position in places.items() if item in wanted}
                    for language, places in ids.items()}  # fmt: skip
    return {
        language: {position: str(position) for position in range(min(limit, len(listed)))}
        for language, listed in docs.items()
    }


def identities(docs: Sequence[Mapping[str, Any]], columns: tuple[str, ...]) -> dict[str, int]:
    """Item → its place, by the columns; empty if they are not there, or tell no item from another."""
    if not all(column in doc for doc in docs for column in columns):
        return {}
    places = {" ".join(str(doc[column]) for column in columns): position for position, doc in enumerate(docs)}
    return places if len(places) == len(docs) else {}


@dataclass(frozen=True)
class LmEvalSet:
    """One task's questions: the same for every model."""

    named: NamedTask
    definition: Definition
    items: tuple[str, ...]
    """Of each doc asked, in order."""
    instances: tuple[Instance, ...]
    """lm_eval's requests; their doc_id is a place in `items`."""
    questions: tuple[tuple[Question, ...], ...]
    """Of each instance: one, or more where a long text is scored in parts."""
    cut: int
    """How many instances were cut from the left to fit in the model."""

    @property
    def shots(self) -> int:
        """How many exemplars stand before each prompt."""
        return self.definition.config.num_fewshot

    @property
    def left_out(self) -> list[str]:
        """Metrics that are no mean over items."""
        return [metric for metric in self.definition.aggregation() if metric not in means(self.definition)]

    @property
    def metric(self) -> str:
        """The metric that comes first."""
        filters = getattr(self.definition.config, "filter_list", None) or [{"name": "none"}]
        return metric_name(means(self.definition)[0], filters[0]["name"])

    @property
    def texts(self) -> list[Example]:
        """What each doc says, as examples that training must not see: every field long enough to tell texts apart."""
        docs: dict[int, Mapping[str, Any]] = {instance.doc_id: instance.doc for instance in self.instances}  # pyright: ignore[reportAssignmentType]
        return [
            Example(
                id=f"{self.named.name}/{self.items[number]}",
                item_id=f"{VERSION}/{self.named.name}/{self.items[number]}",
                task=self.named.task, language=self.named.language, prompt=text, target="",
            )
            for number, doc in docs.items()
            for text in doc.values()
            if isinstance(text, str) and len(text) >= TELLING
        ]  # fmt: skip

    @cached_property
    def version(self) -> str:
        """lm_eval's, the task's own or a hash of what it is, and its exemplars."""
        config = self.definition.dump_config()
        number = (config.pop("metadata", None) or {}).get("version")
        content = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()[:8]
        return f"{VERSION} {self.named.name} {content if number is None else f'v{number}'} {self.shots}-shot"


def metric_name(metric: str, filter_name: str) -> str:
    """lm_eval's own name of a figure, "none" left out: "acc", "exact_match,strict-match"."""
    return metric if filter_name == "none" else f"{metric},{filter_name}"


def ask(
    named: NamedTask, definition: Definition, items: Mapping[int, str], renderer: Renderer, longest: int
) -> LmEvalSet:
    """What a task asks of a model that takes `longest` tokens, of the docs at these places.

    Raises LmEvalError for a task whose questions cannot be put to our engines.
    """
    places = sorted(items)
    first_ones = places == list(range(len(places)))
    encoder = Encoder(renderer, longest)
    try:
        with as_lm_eval_does():
            definition.set_fewshot_seed(DEFAULT_OTHER_SEED)
            definition.build_all_requests(
                limit=len(places) if first_ones else None, samples=None if first_ones else places
            )
        questions = tuple(encoder.questions(instance) for instance in definition.instances)
    except LmEvalError:
        raise
    except Exception as error:  # a task's code: anything
        raise LmEvalError(f"lm_eval cannot build its prompts: {in_one_line(error)}") from None
    in_order = tuple(items[position] for position in places)
    return LmEvalSet(named, definition, in_order, tuple(definition.instances), questions, encoder.cut)


def longest_question(config: Any, tokenizer: Any) -> int:
    """How many tokens a model takes, with one to spare that vLLM writes, and as a multiple of 64 like its settings."""
    return resolve_max_length(config, tokenizer) // 64 * 64 - 1


@dataclass
class Encoder:
    """lm_eval's requests in token ids."""

    renderer: Renderer
    longest: int
    cut: int = 0
    """How many requests were too long."""

    def questions(self, instance: Instance) -> tuple[Question, ...]:
        """What an engine is to be asked for one request. Raises LmEvalError."""
        if instance.request_type == "generate_until":
            return (self._prompt(*instance.args),)
        if instance.request_type == "loglikelihood":
            return (self._row(*self.pair(*instance.args)),)
        windows = get_rolling_token_windows(
            self._ids(*instance.args), prefix_token=self._prefix, max_seq_len=self.longest - 1, context_len=1
        )
        return tuple(self._row(*make_disjoint_window(window)) for window in windows)

    @property
    def _prefix(self) -> int:
        """What stands before a text without a context."""
        tokenizer = self.renderer.tokenizer
        prefix = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
        assert prefix is not None
        return prefix

    def _ids(self, text: str) -> list[int]:
        return self.renderer.begun(self.renderer.ids([text])[0])

    def pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Context and continuation as TemplateLM of lm_eval.api.model has them: encoded together, then parted.

        Spaces at the context's end belong to the continuation.
        """
        if not context:
            ids = self.renderer.ids([continuation])[0]
            return (ids[:1], ids[1:]) if ids[:1] == [self._prefix] else ([self._prefix], ids)
        prompt = self._ids(context.rstrip())
        return prompt or [self._prefix], self._ids(context + continuation)[len(prompt) :]

    def _row(self, prompt: list[int], completion: list[int]) -> ScoredRow:
        if not completion:
            raise LmEvalError("it asks how likely a text is that has no token of its own")
        over = max(0, len(prompt) + len(completion) - self.longest)
        self.cut += over > 0
        whole, start = (*prompt, *completion)[over:], max(1, len(prompt) - over)
        return ScoredRow(whole[:start], whole[start:], None)

    def _prompt(self, context: str, settings: Mapping[str, Any]) -> Request:
        decoding: Any = normalize_gen_kwargs(dict(settings))
        if decoding["do_sample"]:
            raise LmEvalError(
                f"it samples what models write (temperature {decoding['temperature']}); decoding here is greedy"
            )
        tokens = decoding["max_gen_toks"]
        room = self.longest - tokens
        if room < 1:
            raise LmEvalError(f"it lets models write {tokens} tokens, and this one holds {self.longest} in all")
        ids = self._ids(context)
        self.cut += len(ids) > room
        stops = tuple(dict.fromkeys(text for text in decoding["until"] if text))
        return Request(tuple(ids[-room:]), tokens, stops, None)

"""Tasks and metrics in Python files of the user's own, which run because a recipe names them."""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import math
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from data_mixes.example import Example
from eval.scorers.metrics import metric_of
from eval.scorers.score import Score
from eval.tasks import TASKS
from eval.tasks.task import Task
from harness.errors import Problem, UserError
from harness.recipe.evaluation_section import Evaluation
from harness.recipe.objectives_section import OWN_TERM

Scorer: TypeAlias = Callable[[Example, str], Sequence[Score]]
TASK, SOURCE, SCORE, LOSS = "TASK", "SOURCE", "score", "loss"
"""What a file may define: a task, the settings of its source as a recipe has them, the scorer of a metric, a term."""


@dataclass(frozen=True)
class Code:
    """A file that has been run."""

    path: Path
    digest: str
    """The first digits of its content's SHA-256."""
    module: ModuleType

    def has(self, name: str, where: str, page: str = "docs/tasks.md") -> Any:
        """What the file defines under a name. Raises UserError if nothing."""
        if not hasattr(self.module, name):
            raise UserError([Problem(where, f"{self.path} defines no {name}; see {page}")])
        return getattr(self.module, name)

    def scorer(self, score: Scorer) -> Scorer:
        """A scorer of the file that says which code made its scores. It raises UserError for what is no score."""

        def checked(example: Example, completion: str) -> Sequence[Score]:
            try:
                scores = list(score(example, completion))
            except Exception as error:  # whatever the user's code raises
                raise UserError([Problem(str(self.path), self._failed(example, error))]) from None
            for one in scores:
                if problem := score_problem(one):
                    raise UserError([Problem(str(self.path), f"the score of {example.id} {problem}")])
            return [replace(one, version=f"{one.version}+{self.digest}") for one in scores]

        return checked

    def _failed(self, example: Example, error: Exception) -> str:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
                 if frame.filename == str(self.path)]  # fmt: skip
        where = f" in line {lines[-1]}" if lines else ""
        return f"scoring {example.id} failed{where}: {type(error).__name__}: {error}"


def score_problem(score: Any) -> str | None:
    """What is wrong with what a scorer returned."""
    if not isinstance(score, Score):
        return f"is {score!r}; return a list of eval.scorers.score.Score"
    worst, best = metric_of(score.metric).ends
    if score.value is None:
        return None if score.reason else f"by {score.metric} is None without a reason; say why it has none"
    value: Any = score.value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return f"by {score.metric} is {value!r}, which is no number"
    if not worst <= score.value <= best:
        return f"by {score.metric} is {score.value!r}; it must lie from {worst:g} to {best:g}"
    return None


def code_of(path: str, where: str) -> Code:
    """The file, run once for each content that it has. Raises UserError if it cannot be."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError([Problem(where, f"cannot read {path}: {error.strerror}")]) from None
    return _run(Path(path), hashlib.sha256(content).hexdigest()[:12], where)


@lru_cache(maxsize=64)
def _run(path: Path, digest: str, where: str) -> Code:
    name = f"own_code_{digest}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError([Problem(where, f"{path} is no Python file; its name ends with .py")])
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's code raises
        raise UserError([Problem(where, f"{path} cannot be run: {type(error).__name__}: {error}")]) from None
    return Code(path, digest, module)


def own_task(name: str, path: str) -> Task:
    """The task that a file defines. Raises UserError if it defines none of this name."""
    where = f"evaluation.tasks.{name}.code"
    code = code_of(path, where)
    task = code.has(TASK, where)
    if not isinstance(task, Task):
        raise UserError([Problem(where, f"{TASK} in {path} is {type(task).__name__}, not eval.tasks.task.Task")])
    if task.name != name:
        raise UserError([Problem(where, f"{TASK} in {path} is called {task.name!r}; call both by one name")])
    version = f"{task.scorer_version}+{code.digest}"
    return replace(task, score=code.scorer(task.score), scorer_version=version)


def own_metric(name: str, path: str) -> Scorer:
    """The scorer that a file defines for a metric beside a task's own. Raises UserError if it defines none."""
    where = f"evaluation.metrics.{name}.code"
    code = code_of(path, where)
    return code.scorer(code.has(SCORE, where))


def own_loss(path: str) -> tuple[Callable[..., Any], str]:
    """The term that a file defines beside the likelihood, and the hash of the file. Raises UserError for none."""
    where = f"{OWN_TERM}.code"
    code = code_of(path, where)
    loss = code.has(LOSS, where, "docs/recipes.md")
    if not callable(loss):
        raise UserError([Problem(where, f"{LOSS} in {path} is {type(loss).__name__}, not a function")])
    return loss, code.digest


def with_metrics(task: Task, scorers: Mapping[str, Scorer]) -> Task:
    """The task with the scores of further metrics, by name, after its own. Each gives its own metric alone."""
    if not scorers:
        return task

    def score(example: Example, completion: str) -> Sequence[Score]:
        scores = list(task.score(example, completion))
        for name, scorer in scorers.items():
            more = list(scorer(example, completion))
            if strange := [one.metric for one in more if one.metric != name]:
                message = f"gave a score by {strange[0]!r}; its scores are by {name!r}"
                raise UserError([Problem(f"evaluation.metrics.{name}.code", message)])
            scores += more
        return scores

    return replace(task, score=score)


def own_source(name: str, path: str) -> tuple[str, dict[str, Any]] | None:
    """The name and settings of the source that a task's file describes, if it does. Raises UserError."""
    task = own_task(name, path)
    settings = getattr(code_of(path, f"evaluation.tasks.{name}.code").module, SOURCE, None)
    if settings is None:
        return None
    if not isinstance(settings, dict):
        raise UserError([Problem(f"evaluation.tasks.{name}.code", f"{SOURCE} in {path} is no mapping of settings")])
    return task.source, {"task": task.name} | copy.deepcopy(settings)


def tasks_of(evaluation: Evaluation) -> dict[str, Task]:
    """All tasks that a recipe may name: its own, and those of the harness; with its own metrics. Raises UserError."""
    named = evaluation.tasks if isinstance(evaluation.tasks, dict) else {}
    own = {name: own_task(name, task.code) for name, task in named.items() if task}
    return {
        name: with_metrics(task, {key: own_metric(key, metric.code) for key, metric in evaluation.metrics.items()
                                  if name in metric.tasks})
        for name, task in (TASKS | own).items()
    }  # fmt: skip


def files_named(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The settings of a recipe's plain data that name a file of code."""
    evaluation = raw.get("evaluation")
    named = [evaluation.get(key) for key in ("tasks", "metrics")] if isinstance(evaluation, dict) else []
    settings = [given for entry in named if isinstance(entry, dict) for given in entry.values()]
    settings += [term for section in ("training", "stages", "grid") for term in _own_terms(raw.get(section))]
    return [given for given in settings if isinstance(given, dict) and isinstance(given.get("code"), str)]


def _own_terms(part: Any, key: str = "") -> Iterator[Any]:
    """The settings of terms of the user's own: those under the key `own`, or that an axis puts there."""
    if key.rpartition(".")[2] == "own":
        yield part
    elif isinstance(part, dict):
        path = part.get("path")
        for name, inner in part.items():
            if name == "values" and isinstance(path, str) and isinstance(inner, dict | list):
                values = inner.values() if isinstance(inner, dict) else inner
                yield from (term for value in values for term in _own_terms(value, path))
            else:
                yield from _own_terms(inner, str(name))

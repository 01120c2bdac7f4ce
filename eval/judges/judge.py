"""Judging with a model: cases → questions → replies → scores. Every reply is kept, so that none is paid for twice."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from eval.engines.endpoint import Arrived, Reply, Spending
from eval.engines.engine import Progress
from eval.judges.wording import (
    RATING,
    VERSION,
    WIN_RATE,
    Case,
    Order,
    Verdict,
    question,
    read,
    score_comparison,
    score_rating,
)
from eval.scorers.score import Score

BATCH = 2048
TABLE = (
    "CREATE TABLE IF NOT EXISTS replies (key BLOB PRIMARY KEY, judge TEXT, reply TEXT, finish TEXT, "
    "prompt_tokens INT, completion_tokens INT)"
)
PATIENCE = 120.0
"""Seconds to wait while another process writes."""


class JudgeError(Exception):
    """Why no question at all can be put to a judge: a wrong key, an unknown model, no server."""


class Judge(Protocol):
    """A model that replies to one message of the user's."""

    @property
    def name(self) -> str:
        """The model, without where it is served."""
        ...

    @property
    def decided_by(self) -> Mapping[str, Any]:
        """What its replies depend on beside the model and the message, as plain data."""
        ...

    @property
    def spending(self) -> Spending:
        """What its replies cost."""
        ...

    def ask(self, questions: Sequence[str], arrived: Arrived, progress: Progress) -> None:
        """Hands over a reply to every question, in any order. Raises JudgeError."""
        ...


@dataclass(frozen=True, slots=True)
class ReplyStore:
    """The cached replies, in SQLite, under a hash of everything that decides them."""

    connection: sqlite3.Connection

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Generator[ReplyStore]:
        """The store in a file, made if there is none. Raises sqlite3.Error for a file that is none."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=PATIENCE)) as connection:
            connection.execute(TABLE)
            connection.execute(
                "PRAGMA synchronous = OFF"
            )  # a killed run loses nothing by this, and replies are written without waiting
            yield cls(connection)

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Reply]:
        """The cached replies among these keys."""
        replies: dict[bytes, Reply] = {}
        for start in range(0, len(keys), BATCH):
            some = keys[start : start + BATCH]
            marks = ",".join("?" * len(some))
            query = f"SELECT key, reply, finish, prompt_tokens, completion_tokens FROM replies WHERE key IN ({marks})"
            replies |= {key: Reply(*columns) for key, *columns in self.connection.execute(query, some)}
        return replies

    def add(self, judge: str, replies: Mapping[bytes, Reply]) -> None:
        """Keeps replies, all of them or none."""
        rows = [(key, judge, reply.text, reply.finish, reply.prompt_tokens, reply.completion_tokens)
                for key, reply in replies.items()]  # fmt: skip
        with self.connection:
            self.connection.executemany("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?, ?)", rows)


def key_of(judge: Judge, question: str) -> bytes:
    """A hash of all that decides a reply; the judge's address is not part of it, as ports change from job to job."""
    return hashlib.sha256(json.dumps([judge.name, judge.decided_by, question]).encode()).digest()


def replies_of(
    judge: Judge, questions: Sequence[str], store: ReplyStore, progress: Progress
) -> tuple[dict[str, Reply], int]:
    """A reply to every question, and how many of them were there already; new ones are kept as they come.

    A failure is not kept. `progress` counts each different question once. Raises JudgeError.
    """
    keys = {question: key_of(judge, question) for question in questions}
    known = store.find(list(keys.values()))
    replies = {question: known[key] for question, key in keys.items() if key in known}
    judge.spending.kept += sum(
        (judge.spending.cost(reply.prompt_tokens, reply.completion_tokens) for reply in replies.values()), Decimal(0)
    )
    missing = [question for question in keys if question not in replies]
    kept = len(replies)
    if kept:
        progress(kept)  # not of nothing: the time left is reckoned from the first progress on

    def arrived(pairs: Iterable[tuple[int, Reply]]) -> None:
        new = {missing[number]: reply for number, reply in pairs}
        store.add(judge.name, {keys[question]: reply for question, reply in new.items() if reply.text is not None})
        replies.update(new)

    if missing:
        judge.ask(missing, arrived, progress)
    return replies, kept


@dataclass(frozen=True, slots=True)
class Question:
    """What the judge is asked about the case at a place."""

    place: int
    metric: str
    order: Order
    text: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """A question with the judge's reply, and how that was read."""

    question: Question
    reply: Reply
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Judged:
    """The scores of each case, and the judgements they rest on."""

    scores: list[list[Score]]
    judgements: list[Judgement]
    kept: int
    """How many different questions had a reply already."""


def questions_of(cases: Sequence[Case]) -> list[Question]:
    """All that the judge must be asked: a rating, and a comparison in both orders where there is an opponent."""
    return [
        Question(number, metric, order, question(case, order))
        for number, case in enumerate(cases)
        for metric in metrics_of(case)
        for order in case.orders(metric)
    ]


def metrics_of(case: Case) -> tuple[str, ...]:
    """What a case is scored by."""
    return (RATING,) if case.opponent is None else (RATING, WIN_RATE)


def judge_cases(
    cases: Sequence[Case], questions: Sequence[Question], judge: Judge, store: ReplyStore, progress: Progress
) -> Judged:
    """The judge's scores of the cases from its replies to `questions_of(cases)`. Raises JudgeError."""
    replies, kept = replies_of(judge, [question.text for question in questions], store, progress)
    judgements = [
        Judgement(question, replies[question.text], verdict_of(question, replies[question.text]))
        for question in questions
    ]
    verdicts: dict[tuple[int, str], list[Verdict]] = {}
    for judgement in judgements:
        verdicts.setdefault((judgement.question.place, judgement.question.metric), []).append(judgement.verdict)
    scorers = {RATING: score_rating, WIN_RATE: score_comparison}
    scores = [
        [scorers[metric](case, verdicts.get((number, metric), []), version_of(judge)) for metric in metrics_of(case)]
        for number, case in enumerate(cases)
    ]
    return Judged(scores, judgements, kept)


def verdict_of(asked: Question, reply: Reply) -> Verdict:
    """The verdict of a reply."""
    if reply.text is None:
        return Verdict(None, reply.problem)
    return read(reply.text, asked.order, cut_off=reply.finish == "length")


def version_of(judge: Judge) -> str:
    """The wording and the model, e.g. "judge/1 by gpt-4.1-mini"."""
    return f"{VERSION} by {judge.name}"

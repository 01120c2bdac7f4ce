"""A judge behind an OpenAI-compatible endpoint. The only importer of openai.

The client sends single requests. What it would retry is retried here, because replies that are no chat completions
must be as well, and because every attempt that may be paid for counts towards the spending cap.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, NonNegativeInt, ValidationError, field_validator

from eval.engines.engine import Progress
from eval.judges.judge import Arrived, JudgeError, Reply, Spending

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

AROUND_A_PROMPT = 64
"""Tokens that a chat template may put around a message, for the most that a prompt can come to."""
CONNECTING = 20.0
"""Seconds to wait for a server to be spoken to at all."""
PASSING = {408, 409, 425, 429}
"""HTTP statuses that a later attempt may not meet, beside those from 500."""
LASTING = {401, 402, 403, 404}
"""HTTP statuses that every request would meet."""
UNSUPPORTED = {"unsupported_parameter", "unsupported_value"}
LASTING_CODES = {"insufficient_quota", *UNSUPPORTED}
NOT_REACHED = {"ConnectError", "ConnectTimeout"}
"""The HTTP client's names for a server that was never spoken to."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a request is sent, and the seconds between: doubled each time, or what the server asks for."""

    attempts: int = 8
    first_wait: float = 0.5
    longest_wait: float = 30.0
    longest_asked: float = 120.0
    """A server that asks to wait for longer is not waited for."""
    attempts_to_reach: int = 3
    """As long as the server has not been reached even once."""

    def wait(self, attempt: int) -> float:
        """The seconds after an attempt, counted from 1; a random share of up to a quarter less."""
        return min(self.first_wait * 2 ** (attempt - 1), self.longest_wait) * (1 - 0.25 * random.random())


class Message(BaseModel):
    """What the model wrote; None where it wrote nothing."""

    content: str | None = None


class Choice(BaseModel):
    """A message and why it ended."""

    message: Message
    finish_reason: str | None = None


class Usage(BaseModel):
    """The tokens to be paid for."""

    prompt_tokens: NonNegativeInt
    completion_tokens: NonNegativeInt


class Body(BaseModel):
    """The parts of a chat completion that are used."""

    choices: list[Choice] = Field(min_length=1)
    usage: Usage | None = None

    @field_validator("usage", mode="wrap")
    @classmethod
    def _or_none(cls, given: Any, check: Any) -> Usage | None:
        """Usage that makes no sense is none: it takes no reply away."""
        try:
            return check(given)
        except ValidationError:
            return None


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt without a reply."""

    problem: str
    again: bool = True
    """Whether another attempt may do better."""
    wait: float | None = None
    """The seconds that the server asks for."""
    paid: bool = True
    """Whether the model may have been at work."""
    reached: bool = True


@dataclass
class EndpointJudge:
    """Asks a model by name, several questions at once."""

    name: str
    endpoint: str
    max_tokens: int
    concurrency: int
    greedy: bool = True
    """Whether at temperature 0; else as reasoning models want it, by the endpoint's own temperature."""
    spending: Spending = field(default_factory=Spending)
    key_variable: str = "OPENAI_API_KEY"
    """The environment variable that holds the key; a server that needs none is given none that counts."""
    timeout: float = 180.0
    """Seconds for a whole reply."""
    retries: Retries = field(default_factory=Retries)

    @property
    def decided_by(self) -> Mapping[str, Any]:
        """The decoding, as the endpoint is told of it."""
        if self.greedy:
            return {"temperature": 0, "max_tokens": self.max_tokens}
        return {"max_completion_tokens": self.max_tokens}

    def ask(self, questions: Sequence[str], arrived: Arrived, progress: Progress) -> None:
        """Hands over a reply to every question as it comes; a failure where all attempts fail, or the cap is reached.

        Raises JudgeError where no request can do better: a wrong key, an unknown model, no server.
        """
        try:
            asyncio.run(self._ask_all(questions, arrived, progress))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _ask_all(self, questions: Sequence[str], arrived: Arrived, progress: Progress) -> None:
        from openai import AsyncOpenAI, Timeout

        key = os.environ.get(self.key_variable, "").strip() or "none"
        if not (key.isascii() and key.isprintable()):
            raise JudgeError(f"the environment variable {self.key_variable} holds characters that no key has")
        self._settled = asyncio.Condition()
        self._cap_reached = self._reached = False
        waiting = iter(enumerate(questions))
        async with (
            AsyncOpenAI(
                base_url=self.endpoint, api_key=key, max_retries=0, timeout=Timeout(None, connect=CONNECTING)
            ) as client,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(min(self.concurrency, len(questions))):
                group.create_task(self._work(client, waiting, arrived, progress))

    async def _work(
        self, client: AsyncOpenAI, waiting: Iterator[tuple[int, str]], arrived: Arrived, progress: Progress
    ) -> None:
        """Asks one question after the other, of those that no other worker has taken."""
        for number, question in waiting:
            arrived([(number, await self._reply(client, question))])
            progress(1)

    async def _reply(self, client: AsyncOpenAI, question: str) -> Reply:
        """The reply to a question, after as many attempts as it takes or are allowed. Raises JudgeError."""
        worst = len(question.encode()) + AROUND_A_PROMPT, self.max_tokens
        attempt = 0
        while True:
            attempt += 1
            if not await self._held_back(self.spending.cost(*worst)):
                return Reply(None, problem=f"spending cap of ${self.spending.cap:f} reached")
            outcome = await self._attempt(client, question)
            if isinstance(outcome, Reply):
                self._reached = True
                await self._settle(worst, (outcome.prompt_tokens, outcome.completion_tokens))
                return outcome
            self._reached = self._reached or outcome.reached
            await self._settle(worst, worst if outcome.paid else (0, 0))
            allowed = self.retries.attempts if self._reached else self.retries.attempts_to_reach
            if not outcome.again or attempt >= allowed:
                break
            await asyncio.sleep(self.retries.wait(attempt) if outcome.wait is None else outcome.wait)
        if not outcome.reached:
            raise JudgeError(f"no server answers at {self.endpoint}; is it running, and is this its address?")
        return Reply(None, problem=f"judge failed: {outcome.problem}")

    async def _held_back(self, cost: Decimal) -> bool:
        """Holds back what a request may cost at most; False, from then on, if the cap does not allow it.

        Waits for requests under way as long as they may turn out to cost less than is held back for them.
        """
        async with self._settled:
            await self._settled.wait_for(
                lambda: self._cap_reached or self.spending.fits(cost) or not self.spending.held
            )
            self._cap_reached = self._cap_reached or not self.spending.fits(cost)
            if not self._cap_reached:
                self.spending.held += cost
            return not self._cap_reached

    async def _settle(self, worst: tuple[int, int], tokens: tuple[int, int]) -> None:
        """Counts the tokens in place of what was held back."""
        async with self._settled:
            self.spending.held -= self.spending.cost(*worst)
            self.spending.count(*tokens)
            self._settled.notify_all()

    async def _attempt(self, client: AsyncOpenAI, question: str) -> Reply | Failure:
        """One request. Raises JudgeError for a refusal that every request would meet."""
        from openai import APIConnectionError, APIStatusError

        try:
            async with asyncio.timeout(self.timeout):
                response = await client.chat.completions.with_raw_response.create(
                    model=self.name,
                    messages=[{"role": "user", "content": question}],
                    **self.decided_by,
                )
            body = Body.model_validate_json(response.http_response.content)
        except TimeoutError:
            return Failure(f"no reply within {self.timeout:g} seconds")
        except ValidationError as error:
            return Failure(f"the endpoint's reply is no chat completion ({error.errors()[0]['msg']})")
        except APIStatusError as error:
            return self._refusal(error, client.api_key)
        except APIConnectionError as error:
            reached = type(error.__cause__).__name__ not in NOT_REACHED
            return Failure("the connection broke", paid=reached, reached=reached)
        (choice, *_) = body.choices
        usage = body.usage
        return Reply(
            choice.message.content or "",
            choice.finish_reason or "stop",
            usage.prompt_tokens if usage else len(question.encode()) + AROUND_A_PROMPT,
            usage.completion_tokens if usage else self.max_tokens,
        )

    def _refusal(self, error: APIStatusError, key: str) -> Failure:
        """What an HTTP status other than success means. Raises JudgeError where it will not pass."""
        status = error.status_code
        body: Any = error.body
        said = body.get("message") if isinstance(body, dict) else None
        said = " ".join(str(said or error.response.reason_phrase).replace(key, "***").split())[:200]
        if status in LASTING or str(error.code) in LASTING_CODES:
            fix = self._fix(status, str(error.code))
            raise JudgeError(f"{self.endpoint} refuses every request with HTTP {status}: {said}. {fix}")
        wait = asked_wait(error.response.headers)
        again = (status in PASSING or status >= 500) and (wait or 0) <= self.retries.longest_asked
        return Failure(f"HTTP {status}: {said}", again=again, wait=wait, paid=False)

    def _fix(self, status: int, code: str) -> str:
        """What the user can do about a refusal that will not pass."""
        if code in UNSUPPORTED and self.greedy:
            return (
                "A model that reasons is asked with decoding: own (--decoding own), and max_tokens for its thoughts too"
            )
        if status in (401, 403):
            there = "is set" if os.environ.get(self.key_variable) else "is not set"
            return f"The key is read from the environment variable {self.key_variable}, which {there}"
        if status == 404:
            return f"It has no model {self.name!r}, or its address is another one, often ending in /v1"
        return "The account, or the model, is not fit for this"


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """The seconds that a Retry-After header asks for, as a number or a date (RFC 9110, section 10.2.3)."""
    asked = headers.get("retry-after")
    if asked is None:
        return None
    try:
        seconds = float(asked)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(asked).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if seconds == seconds else None

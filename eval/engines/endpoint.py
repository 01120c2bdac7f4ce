"""A model behind an OpenAI-compatible endpoint. The only importer of openai.

The client sends single requests. What it would retry is retried here, because replies that are no chat completions
must be as well, and because every attempt that may be paid for counts towards the spending cap.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import BaseModel, Field, NonNegativeInt, ValidationError, field_validator, model_validator

from eval.engines.engine import Progress

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


MILLION = 1_000_000


class EndpointError(Exception):
    """Why nothing at all can be asked of an endpoint: a wrong key, an unknown model, no server."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model wrote, or None with the problem: why it wrote nothing."""

    text: str | None
    finish: str = "stop"
    """"length" where the reply was cut off."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    problem: str | None = None
    counted: bool = True
    """Whether the endpoint says how many tokens there are; else the most that there can be are told."""


@dataclass(frozen=True, slots=True)
class Price:
    """What tokens cost, in USD per million."""

    input: float
    output: float

    def of(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        """The cost in USD, exactly."""
        per_million = prompt_tokens * Decimal(str(self.input)) + completion_tokens * Decimal(str(self.output))
        return per_million / MILLION


@dataclass
class Spending:
    """What a model's replies cost in USD, kept below a cap by holding back the most that is still in question."""

    price: Price | None = None
    cap: Decimal | None = None
    kept: Decimal = Decimal(0)
    """The cost of cached replies: they count towards the cap, so that it holds over several runs."""
    spent: Decimal = Decimal(0)
    held: Decimal = Decimal(0)
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def total(self) -> Decimal:
        """What all replies cost, those that were there already among them."""
        return self.kept + self.spent

    def fits(self, cost: Decimal) -> bool:
        """Whether so much more can be spent whatever becomes of what is held back."""
        return self.cap is None or self.total + self.held + cost <= self.cap

    def cost(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        """What tokens cost; nothing without a price."""
        return self.price.of(prompt_tokens, completion_tokens) if self.price else Decimal(0)

    def count(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Counts tokens that are paid for."""
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens
        self.spent += self.cost(prompt_tokens, completion_tokens)


Arrived: TypeAlias = Callable[[Iterable[tuple[int, Reply]]], None]
"""Called with replies as they arrive, each with the position of what it replies to."""


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
    """A message, or a text, and why it ended."""

    message: Message | None = None
    text: str | None = None
    finish_reason: str | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Choice:
        if self.message is None and self.text is None:
            raise ValueError("a choice has neither message nor text")
        return self

    @property
    def written(self) -> str:
        """What the model wrote."""
        return (self.message.content if self.message else self.text) or ""


class Usage(BaseModel):
    """The tokens to be paid for."""

    prompt_tokens: NonNegativeInt
    completion_tokens: NonNegativeInt


class Body(BaseModel):
    """The parts of a completion that are used."""

    choices: list[Choice] = Field(min_length=1)
    usage: Usage | None = None

    @field_validator("usage", mode="wrap")
    @classmethod
    def _or_none(cls, given: Any, check: Any) -> Usage | None:
        """Nonsensical usage counts as none, and does not cost the reply."""
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


@dataclass(frozen=True, slots=True)
class Ask:
    """What is put to a model: a conversation, or plain text that it is to go on with."""

    put: str | Sequence[Mapping[str, str]]
    """Messages of a chat, each with role and content; or the text."""
    decoding: Mapping[str, Any]
    """How its reply is written, in the parameters of the protocol."""

    @property
    def worst(self) -> tuple[int, int]:
        """The most tokens that it and its reply can come to."""
        texts = [self.put] if isinstance(self.put, str) else [turn["content"] for turn in self.put]
        written = self.decoding.get("max_tokens") or self.decoding.get("max_completion_tokens") or 0
        return sum(len(text.encode()) + AROUND_A_PROMPT for text in texts), int(written)


@dataclass
class Endpoint:
    """Asks a model by name, several things at once."""

    name: str
    endpoint: str
    concurrency: int
    spending: Spending = field(default_factory=Spending)
    key_variable: str = "OPENAI_API_KEY"
    """The environment variable that holds the key; a server that needs none is given none that counts."""
    timeout: float = 180.0
    """Seconds for a whole reply."""
    retries: Retries = field(default_factory=Retries)
    called: str = "model"
    """What it is called in what is said of failures."""
    if_unsupported: str = ""
    """What to do where the model refuses the decoding that it is asked for."""

    @property
    def identity(self) -> str:
        """The model and where it is."""
        return f"{self.name} at {self.endpoint}"

    def ask(self, asks: Sequence[Ask], arrived: Arrived, progress: Progress) -> None:
        """Hands over a reply to each as it comes; a failure where all attempts fail, or the cap is reached.

        Raises EndpointError where no request can do better: a wrong key, an unknown model, no server.
        """
        try:
            asyncio.run(self._ask_all(asks, arrived, progress))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _ask_all(self, asks: Sequence[Ask], arrived: Arrived, progress: Progress) -> None:
        from openai import AsyncOpenAI, Timeout

        key = os.environ.get(self.key_variable, "").strip() or "none"
        if not (key.isascii() and key.isprintable()):
            raise EndpointError(f"the environment variable {self.key_variable} holds characters that no key has")
        self._settled = asyncio.Condition()
        self._cap_reached = self._reached = False
        waiting = iter(enumerate(asks))
        async with (
            AsyncOpenAI(
                base_url=self.endpoint, api_key=key, max_retries=0, timeout=Timeout(None, connect=CONNECTING)
            ) as client,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(min(self.concurrency, len(asks))):
                group.create_task(self._work(client, waiting, arrived, progress))

    async def _work(
        self, client: AsyncOpenAI, waiting: Iterator[tuple[int, Ask]], arrived: Arrived, progress: Progress
    ) -> None:
        """Asks one thing after the other, of those that no other worker has taken."""
        for number, ask in waiting:
            arrived([(number, await self._reply(client, ask))])
            progress(1)

    async def _reply(self, client: AsyncOpenAI, ask: Ask) -> Reply:
        """The reply, after as many attempts as it takes or are allowed. Raises EndpointError."""
        attempt = 0
        while True:
            attempt += 1
            if not await self._held_back(self.spending.cost(*ask.worst)):
                return Reply(None, problem=f"spending cap of ${self.spending.cap:f} reached")
            outcome = await self._attempt(client, ask)
            if isinstance(outcome, Reply):
                self._reached = True
                await self._settle(ask.worst, (outcome.prompt_tokens, outcome.completion_tokens))
                return outcome
            self._reached = self._reached or outcome.reached
            await self._settle(ask.worst, ask.worst if outcome.paid else (0, 0))
            allowed = self.retries.attempts if self._reached else self.retries.attempts_to_reach
            if not outcome.again or attempt >= allowed:
                break
            await asyncio.sleep(self.retries.wait(attempt) if outcome.wait is None else outcome.wait)
        if not outcome.reached:
            raise EndpointError(f"no server answers at {self.endpoint}; is it running, and is this its address?")
        return Reply(None, problem=f"{self.called} failed: {outcome.problem}")

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

    async def _attempt(self, client: AsyncOpenAI, ask: Ask) -> Reply | Failure:
        """One request. Raises EndpointError for a refusal that every request would meet."""
        from openai import APIConnectionError, APIStatusError

        decoding: dict[str, Any] = dict(ask.decoding)
        try:
            async with asyncio.timeout(self.timeout):
                if isinstance(ask.put, str):
                    response = await client.completions.with_raw_response.create(
                        model=self.name, prompt=ask.put, **decoding
                    )
                else:
                    messages: list[Any] = list(ask.put)
                    response = await client.chat.completions.with_raw_response.create(
                        model=self.name, messages=messages, **decoding
                    )
            body = Body.model_validate_json(response.http_response.content)
        except TimeoutError:
            return Failure(f"no reply within {self.timeout:g} seconds")
        except ValidationError as error:
            return Failure(f"the endpoint's reply is no completion ({error.errors()[0]['msg']})")
        except APIStatusError as error:
            return self._refusal(error, client.api_key)
        except APIConnectionError as error:
            reached = type(error.__cause__).__name__ not in NOT_REACHED
            return Failure("the connection broke", paid=reached, reached=reached)
        (choice, *_) = body.choices
        prompt_tokens, written = (body.usage.prompt_tokens, body.usage.completion_tokens) if body.usage else ask.worst
        return Reply(
            choice.written, choice.finish_reason or "stop", prompt_tokens, written, counted=body.usage is not None
        )

    def _refusal(self, error: APIStatusError, key: str) -> Failure:
        """What an HTTP status other than success means. Raises EndpointError where it will not pass."""
        status = error.status_code
        body: Any = error.body
        said = body.get("message") if isinstance(body, dict) else None
        said = " ".join(str(said or error.response.reason_phrase).replace(key, "***").split())[:200]
        if status in LASTING or str(error.code) in LASTING_CODES:
            fix = self._fix(status, str(error.code))
            raise EndpointError(f"{self.endpoint} refuses every request with HTTP {status}: {said}. {fix}")
        wait = asked_wait(error.response.headers)
        again = (status in PASSING or status >= 500) and (wait or 0) <= self.retries.longest_asked
        return Failure(f"HTTP {status}: {said}", again=again, wait=wait, paid=False)

    def _fix(self, status: int, code: str) -> str:
        """What the user can do about a refusal that will not pass."""
        if code in UNSUPPORTED and self.if_unsupported:
            return self.if_unsupported
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

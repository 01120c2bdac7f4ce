"""A judge in our own engine, against a stand-in for the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from data_mixes.prompt_words import PromptError
from data_mixes.prompts import Renderer
from eval.engines.engine import Completion, Likelihood, Progress, Request, ScoredRow
from eval.judges.engine_judge import EngineJudge
from eval.judges.judge import ReplyStore, replies_of

QUESTIONS = [f"question {number}" for number in range(5)]


class StandIn:
    """Says how long the prompt is; breaks down after so many chunks."""

    version = "stand-in 1"
    chunk = 2

    def __init__(self, chunks: int = 99) -> None:
        self.chunks = chunks
        self.asked: list[Request] = []
        self.closed = False

    def generate(self, requests: Sequence[Request], progress: Progress) -> list[Completion]:
        if not self.chunks:
            raise RuntimeError("the engine broke down")
        self.chunks -= 1
        self.asked += requests
        progress(len(requests))
        return [Completion(f"{len(request.prompt_ids)}", 3, "stop") for request in requests]

    def likelihoods(self, rows: Sequence[ScoredRow]) -> list[Likelihood]:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True


def judge_with(tokenizer: Any, start: Callable[[int], StandIn], **settings: Any) -> EngineJudge:
    given: dict[str, Any] = {
        "name": "sha256:0",
        "renderer": Renderer(tokenizer),
        "context": 200,
        "max_tokens": 50,
        "engine_settings": {"engine": StandIn.version},
    }
    return EngineJudge(start_engine=start, **given | settings)


def ignore(_: int) -> None:
    pass


def test_questions_are_put_by_the_chat_template_with_one_beginning(chat_tokenizer: Any, tmp_path: Path) -> None:
    engine, lengths = StandIn(), list[int]()

    def start(longest: int) -> StandIn:
        lengths.append(longest)
        return engine

    judge = judge_with(chat_tokenizer, start)
    with ReplyStore.opened(tmp_path / "replies.sqlite") as store:
        replies, kept = replies_of(judge, QUESTIONS, store, ignore)
        again, kept_then = replies_of(judge, QUESTIONS, store, ignore)
    assert again == replies and (kept, kept_then) == (0, 5) and engine.closed
    assert lengths == [max(len(request.prompt_ids) for request in engine.asked) + 50], "the engine was started once"
    for question, request in zip(QUESTIONS, engine.asked, strict=True):
        assert chat_tokenizer.decode(request.prompt_ids) == f"<bos><|user|>{question}<|end|>\n<|assistant|>"
        assert (request.max_tokens, request.stop, request.adapter) == (50, (), None)
        assert replies[question].text == str(len(request.prompt_ids)) and replies[question].completion_tokens == 3


def test_a_question_longer_than_the_context_is_not_asked(chat_tokenizer: Any, tmp_path: Path) -> None:
    engine = StandIn()
    long = "why " * 200
    with ReplyStore.opened(tmp_path / "replies.sqlite") as store:
        judge = judge_with(chat_tokenizer, lambda _: engine)
        replies, _ = replies_of(judge, [long, QUESTIONS[0]], store, ignore)
        assert len(engine.asked) == 1 and replies[QUESTIONS[0]].text
        assert replies[long].text is None and "the judge can read 150" in (replies[long].problem or "")
        larger = judge_with(chat_tokenizer, lambda _: engine, context=2000)
        replies, kept = replies_of(larger, [long, QUESTIONS[0]], store, ignore)
    assert kept == 1 and replies[long].text, "it was no reply, and so not kept"


def test_finished_chunks_are_kept_when_the_engine_breaks_down(chat_tokenizer: Any, tmp_path: Path) -> None:
    broken, whole = StandIn(chunks=2), StandIn()
    with ReplyStore.opened(tmp_path / "replies.sqlite") as store:
        with pytest.raises(RuntimeError):
            replies_of(judge_with(chat_tokenizer, lambda _: broken), QUESTIONS, store, ignore)
        _, kept = replies_of(judge_with(chat_tokenizer, lambda _: whole), QUESTIONS, store, ignore)
    assert kept == 4 and len(whole.asked) == 1 and broken.closed


def test_another_engine_or_rendering_is_asked_for_itself(chat_tokenizer: Any, tmp_path: Path) -> None:
    template = chat_tokenizer.chat_template + " "
    with ReplyStore.opened(tmp_path / "replies.sqlite") as store:
        engine = StandIn()
        judges = [
            judge_with(chat_tokenizer, lambda _: engine),
            judge_with(chat_tokenizer, lambda _: engine, engine_settings={"engine": "stand-in 2"}),
            judge_with(chat_tokenizer, lambda _: engine, renderer=Renderer(chat_tokenizer, template)),
            judge_with(chat_tokenizer, lambda _: engine, name="sha256:1"),
        ]
        assert [replies_of(judge, QUESTIONS, store, ignore)[1] for judge in judges] == [0, 0, 0, 0]


def test_a_model_without_a_chat_template_cannot_be_talked_to(tokenizer: Any) -> None:
    with pytest.raises(PromptError, match="no chat template"):
        Renderer(tokenizer).messages(["Hello"])

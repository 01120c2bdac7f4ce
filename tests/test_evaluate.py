"""Evaluation against a stand-in engine: chunks, keys, the gate."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_mixes.prompts import Renderer
from data_mixes.storage import read_sealed
from eval.engines.engine import (
    Adapter,
    Completion,
    EngineSettings,
    Likelihood,
    ModelFiles,
    Progress,
    Request,
    ScoredRow,
    cut_at,
)
from eval.generation.canary import CanaryError
from eval.generation.generate import canary_rows, generate
from eval.generation.kept import Answers, Kept
from eval.generation.requests import Evaluation, EvaluationSet, ModelUnderTest, Prompted, fixed_chunks
from eval.predictions_and_scores import cut_off_notes, endings, scores_table
from tests.support import embedded

ADAPTER = Adapter("abc", Path("adapter"), 8)


class StandIn:
    """Writes the prompt's length; its log-probabilities are the adapter's if it applies adapters."""

    version = "stand-in 1"
    chunk = 5

    def __init__(self, applies_adapters: bool) -> None:
        self.applies_adapters = applies_adapters
        self.asked: list[int] = []

    def generate(self, requests: Sequence[Request], progress: Progress) -> list[Completion]:
        self.asked.append(len(requests))
        progress(len(requests))
        return [Completion(f"line \u2028 {len(request.prompt_ids)}", 1, "stop") for request in requests]

    def likelihoods(self, rows: Sequence[ScoredRow]) -> list[Likelihood]:
        tuned = -0.5 if self.applies_adapters else -2.0
        return [Likelihood((tuned if row.adapter else -2.0,) * len(row.completion_ids), False) for row in rows]

    def close(self) -> None:
        pass


class Reloadable(StandIn):
    """Writes what it computes with, and may take other weights: as vLLM where the head is tied, not all of them."""

    def __init__(self, settings: EngineSettings, head: str) -> None:
        super().__init__(True)
        self.first = self.weights = self.head_of = settings.model
        self.head, self.taken, self.closed = head, list[str](), False

    def can_reload(self, location: str) -> bool:
        return True

    def reload(self, location: str) -> None:
        self.taken.append(location)
        if self.head == "unknown":
            raise NotImplementedError("no reload of such a head\nat all")
        self.weights, self.head_of = location, self.head_of if self.head == "tied" else location

    def generate(self, requests: Sequence[Request], progress: Progress) -> list[Completion]:
        return [Completion(f"{self.weights} {self.head_of}", 1, "stop") for _ in requests]

    def likelihoods(self, rows: Sequence[ScoredRow]) -> list[Likelihood]:
        value = -2.0 - 0.254 * (self.weights != self.head_of) - 0.1 * len(self.weights)
        return [Likelihood((value,) * len(row.completion_ids), False) for row in rows]

    def close(self) -> None:
        assert not self.closed
        self.closed = True


@pytest.fixture
def evaluation(tmp_path: Path, tokenizer: Any) -> Evaluation:
    source = embedded()[0]
    sets = [
        EvaluationSet("math", language, tuple(source.pool("test", language).examples(range(4))), 8)
        for language in ("en", "ja")
    ]
    renderer = Renderer(tokenizer)
    return Evaluation(
        folder=tmp_path,
        base=ModelFiles("model", None, "model"),
        engine_version="stand-in 1",
        models=[ModelUnderTest("base", None), ModelUnderTest("cell", ADAPTER)],
        evaluation_sets=sets,
        renderer=renderer,
        rendered=lambda tested: renderer.prompts(tested.examples),
        start_engine=lambda settings: StandIn(True),
        start_reference=lambda settings: StandIn(True),
        dtype="float32",
        identifier="py3langid",
    )


def main_scores(
    evaluation: Evaluation, prompts: Sequence[Prompted], completions: Mapping[str, Completion]
) -> pl.DataFrame:
    return scores_table(evaluation, prompts, completions).filter(pl.col("metric") == "accuracy")


def ignore(*_: object) -> None:
    pass


def test_all_is_generated_once(evaluation: Evaluation) -> None:
    prompts = evaluation.prompts()
    assert len(prompts) == len({each.key for each in prompts}) == 16
    completions = generate(evaluation, Answers.read(evaluation), ignore, ignore)
    assert dict(Kept(evaluation.generations, Completion.of)) == completions

    def refuse(settings: EngineSettings) -> StandIn:
        raise AssertionError("nothing is left to generate")

    again = replace(evaluation, start_engine=refuse, start_reference=refuse)
    assert generate(again, Answers.read(again), ignore, ignore) == completions
    assert main_scores(evaluation, prompts, completions).height == 16


def test_an_engine_that_ignores_adapters_makes_no_scores(evaluation: Evaluation) -> None:
    deaf = replace(evaluation, start_engine=lambda settings: StandIn(False))
    with pytest.raises(CanaryError, match="cell"):
        generate(deaf, Answers.read(deaf), ignore, ignore)
    assert not list(Kept(deaf.generations, Completion.of))


def test_a_completion_is_never_taken_for_anothers(evaluation: Evaluation) -> None:
    keys = {each.key for each in evaluation.prompts()}
    others = [
        replace(evaluation, base=ModelFiles("model", None, "other")),
        replace(evaluation, engine_version="stand-in 2"),
        replace(evaluation, evaluation_sets=[replace(each, max_tokens=9) for each in evaluation.evaluation_sets]),
        replace(evaluation, dtype="bfloat16"),
    ]
    for other in others:
        assert not keys & {each.key for each in other.prompts()}
    retrained = replace(
        evaluation, models=[ModelUnderTest("base", None), ModelUnderTest("cell", replace(ADAPTER, name="def"))]
    )
    assert len(keys & {each.key for each in retrained.prompts()}) == 8


def test_a_resumed_chunk_holds_the_same_requests(evaluation: Evaluation) -> None:
    prompts = evaluation.prompts()
    whole = [chunk.left(()) for chunk in fixed_chunks(prompts, 5)]
    assert [len(chunk) for chunk in whole] == [5, 5, 5, 1]
    done = {each.key for each in whole[1]}
    assert [chunk.left(done) for chunk in fixed_chunks(prompts, 5)] == [whole[0], [], whole[2], whole[3]]


@pytest.mark.parametrize(
    ("head", "started", "told"),
    [
        ("own", ["model"], "the engine has the weights of bbb now, and passes the canary gate"),
        ("tied", ["model", "aa", "bbb"], "the engine does not compute weights that it takes as the reference (the base "
         "model is 0.254 nats a token apart, and 0.110 pass); a new one will"),
        ("unknown", ["model", "aa", "bbb"], "(NotImplementedError: no reload of such a head); a new one will"),
    ],
)  # fmt: skip
def test_an_engine_takes_the_next_models_weights_where_the_gate_finds_it_right(
    evaluation: Evaluation, head: str, started: list[str], told: str
) -> None:
    engines, said = list[Reloadable](), list[str]()

    def start(settings: EngineSettings) -> Reloadable:
        assert all(engine.closed for engine in engines), "one at a time"
        engines.append(Reloadable(settings, head))
        return engines[-1]

    whole = [ModelUnderTest(name, whole=ModelFiles(name, None, f"hash of {name}")) for name in ("aa", "bbb")]
    tuned = replace(evaluation, models=[ModelUnderTest("base", None), *whole], start_engine=start,
                    start_reference=lambda settings: Reloadable(settings, "own"))  # fmt: skip
    completions = generate(tuned, Answers.read(tuned), ignore, said.append)
    assert told in "\n".join(said)
    assert [engine.first for engine in engines] == started and all(engine.closed for engine in engines)
    assert engines[0].taken == (["aa", "bbb"] if head == "own" else ["aa"])
    assert not any(engine.taken for engine in engines[1:]), "one that failed is not tried again"
    for prompt in tuned.prompts():
        model = "model" if prompt.model.name == "base" else prompt.model.name
        assert completions[prompt.key].text == f"{model} {model}"
    verdicts = json.loads(read_sealed(tuned.folder / "canary.json"))
    assert {name: verdict["passed"] for name, verdict in verdicts.items()} == {"base": True, "aa": True, "bbb": True}
    for chunk in tuned.generations.glob("*.jsonl"):
        chunk.unlink()
    engines.clear()
    assert generate(tuned, Answers.read(tuned), ignore, ignore) == completions
    assert [engine.taken for engine in engines] == [[], [], []], "without a reference beside it no weights are taken"


def test_what_lm_eval_asks_is_answered_by_the_same_engine_once(evaluation: Evaluation) -> None:
    engines: list[StandIn] = []

    def start(settings: EngineSettings) -> StandIn:
        assert settings.max_length > 300, "the longest question fits"
        engines.append(StandIn(True))
        return engines[-1]

    rows = [ScoredRow((1, 2, place), (3,), None) for place in range(6)]
    questions = [Request((1,) * 300, 8, ("\n",), None), *rows, rows[0]]
    asking = replace(evaluation, questions=questions, start_engine=start)
    completions = generate(asking, Answers.read(asking), ignore, ignore)
    assert sum(engines[0].asked) == len(completions) == 16 + 2
    likelihoods = dict(Kept(asking.likelihoods, Likelihood.of))
    assert likelihoods == {
        each.key: Likelihood((-0.5 if each.request.adapter else -2.0,), False) for each in asking.asked(ScoredRow)
    }
    assert len(likelihoods) == 2 * 6
    (lost, *_) = sorted(asking.likelihoods.glob("*.jsonl"))
    lost.unlink()
    assert generate(asking, Answers.read(asking), ignore, ignore) == completions
    assert engines[1].asked == [] and dict(Kept(asking.likelihoods, Likelihood.of)) == likelihoods
    generate(asking, Answers.read(asking), ignore, ignore)
    assert len(engines) == 2, "nothing was left to ask"


def test_a_study_of_lm_evals_tasks_alone_passes_the_gate(evaluation: Evaluation) -> None:
    rows = [ScoredRow((1, 2, 3, 4), (5, 6), None), ScoredRow((1,), (2, 3, 4), None), Request((7, 8), 8, (), None)]
    alone = replace(evaluation, evaluation_sets=[], questions=rows)
    assert canary_rows(alone, alone.models[:1]) == [
        ScoredRow((1, 2, 3), (4, 5, 6), None), ScoredRow((1, 2), (3, 4), None), ScoredRow((7,), (8,), None)
    ]  # fmt: skip
    assert (
        generate(alone, Answers.read(alone), ignore, ignore) and len(dict(Kept(alone.likelihoods, Likelihood.of))) == 4
    )
    deaf = replace(alone, folder=alone.folder / "deaf", start_engine=lambda settings: StandIn(False))
    with pytest.raises(CanaryError, match="cell"):
        generate(deaf, Answers.read(deaf), ignore, ignore)


def test_stop_texts_cut_where_the_first_stands() -> None:
    assert cut_at("a\nb\n\nc", ("\n\n", "\n")) == "a"
    assert cut_at("abc", ("\n",)) == "abc"


def test_what_was_not_generated_is_unscored_and_counted(evaluation: Evaluation) -> None:
    prompts = evaluation.prompts()
    completions = dict(generate(evaluation, Answers.read(evaluation), ignore, ignore))
    del completions[prompts[0].key]
    scores = main_scores(evaluation, prompts, completions)
    assert scores.height == 16 and scores["value"].null_count() == 1
    assert scores["reason"][0] == "not generated"
    assert scores["weights"].unique().sort().to_list() == [None, "abc"]


def test_a_chat_model_is_stopped_by_its_end_of_turn_alone(
    evaluation: Evaluation, chat_tokenizer: Any, tokenizer: Any
) -> None:
    for tokens, stops in ((tokenizer, ("\n\n",)), (chat_tokenizer, ())):
        prompts = replace(evaluation, renderer=Renderer(tokens)).prompts()
        assert {prompt.request.stop for prompt in prompts} == {stops}
    named = [replace(tested, stop=("###",)) for tested in evaluation.evaluation_sets]
    prompts = replace(evaluation, renderer=Renderer(chat_tokenizer), evaluation_sets=named).prompts()
    assert {prompt.request.stop for prompt in prompts} == {("###",)}


def test_how_completions_ended_is_counted_and_said() -> None:
    finishes = ["stop"] * 17 + ["stop text"] + ["length"] * 2
    table = pl.DataFrame({"finish": [*finishes, "log-probabilities"], "cell": "a", "task": "math", "language": "en"})
    assert endings(table).to_dicts() == [
        {"cell": "a", "task": "math", "language": "en", "completions": 20, "end_of_turn": 17, "stop_text": 1,
         "max_tokens": 2}
    ]  # fmt: skip
    assert cut_off_notes(endings(table)) == [
        "math: 2 of 20 completions of a were cut off at max_tokens; "
        "raise evaluation.decoding.math.max_tokens if they should have gone on"
    ]
    rarely = pl.DataFrame({"finish": ["stop"] * 19 + ["length"], "cell": "a", "task": "math", "language": "en"})
    assert cut_off_notes(endings(rarely)) == []

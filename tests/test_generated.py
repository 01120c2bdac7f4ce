"""Rows that models write: planned before, written once, kept by rule with every drop counted, and part of identity."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_mixes.example import Example
from eval.analysis.generated import SelfTrained, kept_table, recovered_table
from eval.analysis.panel import Panel
from eval.engines.engine import END_OF_TURN, LENGTH, Completion, Progress, Request
from eval.engines.transformers_engine import TransformersEngine
from eval.generation.targets import (
    ANOTHER_LANGUAGE,
    CUT_OFF,
    DISAGREE,
    EMPTY,
    NO_ANSWER,
    UNLIKELY,
    Rules,
    candidates_for,
    targets_among,
)
from eval.scorers.identifiers import DEFAULT
from harness.planning.generated import ABOUT
from harness.runs.record import CellRun
from tests.judge_server import Answer, judge_server
from tests.support import (
    changed,
    harness,
    killed_after_two_chunks,
    run_here,
    small_recipe,
    train_in_this_process,
    written_chunks,
)

SELF, GOLD, SOURCE = "labels-pseudo_stage-self", "labels-gold_stage-self", "labels-pseudo_stage-source"
Write = Callable[[dict[str, Any]], Path]
GENERATE = TransformersEngine.generate


def self_training(tiny_model: Path) -> dict[str, Any]:
    """A stage in English, and one in French on what the first one writes, or on the source's own targets."""
    data = small_recipe(tiny_model)
    del data["mixture"], data["grid"], data["training"]["epochs"]
    data["study"] = "self-training"
    data["training"]["steps"] = 2
    data["generated"] = {
        "pseudo": {"by": "source", "prompts": {"source": "word-problems", "languages": ["fr"], "amount": 12},
                   "samples": 2, "keep": {"agree": 0.6, "most_likely": 0.8}}
    }  # fmt: skip
    data["stages"] = {
        "source": {"mixture": {"rows": {"sources": ["word-problems"], "languages": ["en"], "amount": 6}}},
        "self": {"mixture": {"rows": {"sources": ["pseudo"], "languages": ["fr"], "amount": 3}}},
    }
    labels = {"pseudo": ["pseudo"], "gold": ["word-problems"]}
    data["grid"] = {"labels": {"path": "stages.self.mixture.rows.sources", "values": labels}}
    data["evaluation"] |= {"tasks": ["math"], "max_tokens": {"math": 4}}
    return data


class Scribe:
    """Writes in place of a model: to two prompts of four what is always the same, else what no other sample has."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def __call__(self, engine: Any, requests: Sequence[Request], progress: Progress) -> list[Completion]:
        self.asked += requests
        progress(len(requests))
        return [self.reply(request) for request in requests]

    def reply(self, request: Request) -> Completion:
        kind = sum(request.prompt_ids) % 4
        number = 7 if kind < 2 else (request.seed or 1) % 9973
        return Completion(f" La réponse est {number}.", 8, LENGTH if kind == 1 else END_OF_TURN)


@pytest.fixture(scope="module")
def scribe() -> Iterator[Scribe]:
    """What writes for every model of this file's studies."""
    with pytest.MonkeyPatch.context() as patched:
        scribe = Scribe()
        patched.setattr(TransformersEngine, "generate", lambda *given: scribe(*given))
        yield scribe


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, scribe: Scribe) -> tuple[Path, Path, str]:
    """A recipe, the study's folder after `harness run`, and what `harness plan` said before."""
    folder = tmp_path_factory.mktemp("self-training")
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(self_training(tiny_model)))
    planned = harness("plan", recipe, "--runs", folder / "runs")
    assert planned.returncode == 0, planned.stderr
    ended = run_here(recipe, "--runs", folder / "runs")
    assert ended.returncode == 0, ended.stderr
    return recipe, folder / "runs" / "self-training", planned.stdout + planned.stderr


def table(study: Path) -> pl.DataFrame:
    (path,) = (study / "generated").glob("*.parquet")
    return pl.read_parquet(path)


def record(study: Path, cell: str) -> dict[str, Any]:
    return json.loads((study / cell / "record.json").read_text())


def test_a_plan_counts_rows_before_they_are_written(written: tuple[Path, Path, str]) -> None:
    recipe, study, planned = written
    assert f"pseudo: 12 prompts of word-problems, 3 completions each, to be written by {SOURCE}" in planned
    assert "a prompt stands for each" in planned
    after = harness("plan", recipe, "--runs", study.parent)
    assert "written by labels-pseudo_stage-source (" in after.stdout + after.stderr


def test_every_prompt_has_a_target_or_a_reason(written: tuple[Path, Path, str]) -> None:
    _, study, _ = written
    rows = table(study)
    assert len(rows) == 12 and rows["id"].n_unique() == 12
    reasons = Counter(rows["reason"].to_list())
    assert reasons[None] >= 3 and {*reasons} <= {None, DISAGREE, CUT_OFF, UNLIKELY} and reasons[UNLIKELY]
    kept = rows.filter(pl.col("reason").is_null())
    assert {*kept["target"]} == {"La réponse est 7."} and {*kept["agreement"]} == {1.0}
    assert kept["log_prob"].min() >= rows.filter(pl.col("reason") == UNLIKELY)["log_prob"].max()  # pyright: ignore[reportOperatorIssue, reportOptionalOperand]
    assert rows["answer"].null_count() == 12, "the hidden answers are not among what is trained on"
    assert rows["score"].null_count() == 0, "but they tell what is right"


def test_a_cell_trains_on_what_was_written_and_says_by_whom(written: tuple[Path, Path, str]) -> None:
    _, study, _ = written
    identity = record(study, SELF)["identity"]
    (path,) = (study / "generated").glob("*.parquet")
    assert path.stem == f"pseudo-{identity['sources']['pseudo']}" and identity["mixture"]["pseudo/fr"] == 3
    assert "pseudo" not in record(study, GOLD)["identity"]["sources"]
    assert record(study, GOLD)["identity"]["after"] == identity["after"], "both go on from the same stage"
    about = json.loads((parquet.read_schema(path).metadata or {})[ABOUT])
    assert (about["written_by"], about["weights"]) == (SOURCE, record(study, SOURCE)["weights"])
    assert about["settings"]["samples"] == 2 and about["settings"]["temperature"] == 0.7


def test_the_report_says_what_was_kept_and_what_it_was_worth(written: tuple[Path, Path, str]) -> None:
    recipe, study, _ = written
    rows, kept = table(study), pl.read_csv(study / "generated.csv")
    assert kept.select("source", "written_by", "language", "prompts", "kept").row(0) == (
        "pseudo", SOURCE, "fr", 12, rows["reason"].null_count())  # fmt: skip
    assert kept["score_of_all"][0] == pytest.approx(rows["score"].mean()) and kept["scored_of_all"][0] == 12
    assert UNLIKELY in kept["left_out"][0]
    told = json.loads(harness("report", recipe, "--runs", study.parent, "--json").stdout)
    assert [row["language"] for row in told["generated"]] == ["fr"] and told["objectives"] == []
    assert "Rows that models wrote" in (study / "report.html").read_text(encoding="utf-8")
    assert told["recovered"] == [], "the stage that wrote is not tested"


def panel(own: float, gold: float, zero_shot: float, seeds: int = 3) -> Panel:
    """Shares of right answers of 200 items in two languages, of which the second is never right."""
    generator = np.random.default_rng(0)
    draws = generator.random((seeds, 200))
    shares = {"own": own, "gold": gold, "zero": zero_shot}
    runs = tuple(f"{name}-{seed}" for name in shares for seed in range(seeds))
    right = [(draws[seed] < share).astype(float) for share in shares.values() for seed in range(seeds)]
    values = np.stack([np.stack([one, np.zeros(200)], axis=1) for one in right])
    return Panel("math", "accuracy", runs, ("es", "ja"), values)


def recovery(own: float, gold: float, zero_shot: float, seeds: int = 3) -> dict[str, dict[str, Any]]:
    names = {name: tuple(f"{name}-{seed}" for seed in range(seeds)) for name in ("own", "gold", "zero")}
    study = SelfTrained("own", names["own"], "gold", names["gold"], "zero", names["zero"], ("es", "ja"))
    rows = recovered_table([panel(own, gold, zero_shot, seeds)], [study]).to_dicts()
    return {row["languages"]: row for row in rows}


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_gap_recovered_is_the_share_of_what_gold_gains(seeds: int) -> None:
    found = recovery(0.5, 0.7, 0.3, seeds)
    assert {*found} == {"es", "ja", "es ja"}
    for languages in ("es", "es ja"):
        row = found[languages]
        assert row["recovered"] == pytest.approx(row["gained"] / row["by_gold"])
        assert row["recovered"] == pytest.approx(0.5, abs=0.1) and row["runs"] == seeds and row["items"] == 200
        assert 0.2 < row["recovered_low"] < row["recovered"] < row["recovered_high"] < 0.8
    assert found["es ja"]["gained"] == pytest.approx(found["es"]["gained"] / 2)
    assert found["ja"]["recovered"] is None, "nothing of nothing is no share"


def test_of_a_gap_within_noise_no_share_is_recovered() -> None:
    assert recovery(0.5, 0.305, 0.3)["es"]["recovered"] is None
    assert recovery(0.5, 0.1, 0.3)["es"]["recovered"] is None, "nor of a loss"
    assert recovery(0.2, 0.7, 0.3)["es"]["recovered"] < 0


def test_what_is_kept_is_counted_by_language_with_the_hidden_scores() -> None:
    rows = [{"source": "pseudo", "written_by": "base", "language": language, "item_id": f"{language}/{number}",
             "cluster": f"template {number % 5}", "metric": "accuracy", "reason": None if number % 2 else DISAGREE,
             "score": None if number == 1 else float(number % 4 != 0)}
            for language in ("es", "ja") for number in range(20)]  # fmt: skip
    kept = kept_table(pl.DataFrame(rows))
    assert kept["language"].to_list() == ["es", "ja"] and kept["kept"].to_list() == [10, 10]
    first = kept.row(0, named=True)
    assert first["left_out"] == f"10 × {DISAGREE}" and first["share"] == 0.5
    assert (first["scored"], first["scored_of_all"]) == (9, 19), "unscored is not zero"
    assert first["score"] == 1 and first["score_of_all"] == pytest.approx(14 / 19)
    assert first["score_of_all_low"] < 14 / 19 < first["score_of_all_high"]


def test_nothing_is_written_twice(written: tuple[Path, Path, str], scribe: Scribe) -> None:
    recipe, study, _ = written
    asked, (path,) = len(scribe.asked), (study / "generated").glob("*.parquet")
    content = path.read_bytes()
    assert run_here(recipe, "--runs", study.parent).returncode == 0
    path.unlink()  # a table that is lost leaves the cell that was trained on it as it is
    again = run_here(recipe, "--runs", study.parent)
    assert again.returncode == 0 and not path.exists(), again.stderr
    path.write_bytes(content)
    assert len(scribe.asked) == asked


def test_a_cell_is_refused_when_who_writes_has_changed(written: tuple[Path, Path, str], tmp_path: Path) -> None:
    recipe, study, _ = written
    data = changed(json.loads(recipe.read_text()), "generated.pseudo.samples", 3)
    other = tmp_path / "recipe.yaml"
    other.write_text(json.dumps(data))
    ended = harness("plan", other, "--runs", study.parent)
    assert ended.returncode == 2 and "sources.pseudo was" in ended.stderr, ended.stderr
    assert "sources.word-problems" not in ended.stderr and SOURCE not in ended.stderr


def test_what_one_stage_writes_another_may_write_on(tiny_model: Path, write_recipe: Write, scribe: Scribe) -> None:
    """Two rounds of self-training under two seeds: each model writes for the cells that follow from it."""
    data = self_training(tiny_model)
    data["generated"]["pseudo"] |= {"samples": 0, "keep": {}}
    data["generated"]["second"] = data["generated"]["pseudo"] | {"by": "self"}
    rows = {"sources": ["second"], "languages": ["fr"], "amount": 3}
    data["stages"]["again"] = {"start": "fresh", "mixture": {"rows": rows}}
    data["grid"] = {"seed": {"path": "training.seed", "values": [0, 1]}}
    recipe = write_recipe(data)
    ended = run_here(recipe, "--runs", recipe.parent)
    assert ended.returncode == 0, ended.stderr
    study = recipe.parent / "self-training"
    versions = {(name, seed): record(study, f"seed-{seed}_stage-{stage}")["identity"]["sources"][name]
                for seed in (0, 1) for name, stage in (("pseudo", "self"), ("second", "again"))}  # fmt: skip
    assert len({*versions.values()}) == 4, "each is another model's"
    tables = {path.stem for path in (study / "generated").glob("*.parquet")}
    assert tables == {f"{name}-{version}" for (name, _), version in versions.items()}
    before = len(scribe.asked)
    other = changed(data, "stages.source.training", {"learning_rate": 1e-3})
    ended = harness("plan", write_recipe(changed(other, "study", "other")), "--runs", recipe.parent)
    assert "to be written by seed-0_stage-self, seed-1_stage-self" in ended.stdout + ended.stderr
    assert len(scribe.asked) == before


def test_what_fails_is_tried_once_and_what_waits_for_it_says_so(
    tiny_model: Path, write_recipe: Write, monkeypatch: pytest.MonkeyPatch, scribe: Scribe
) -> None:
    data = self_training(tiny_model)
    data["generated"]["early"] = data["generated"]["pseudo"] | {"by": "base", "samples": 0, "keep": {}}
    data["stages"]["self"]["start"] = "fresh"
    data["grid"]["labels"]["values"] = {"pseudo": ["pseudo"], "early": ["early"]}
    recipe, tried = write_recipe(data), list[str]()

    def launch(study: Path, names: Sequence[str], processes: int | None, execution: Any) -> int:
        for name in names:
            tried.append(name)
            run = CellRun(study / name, json.loads((study / name / "job.json").read_text())["identity"])
            run.begin()
            run.update(state="failed", reason="no such luck")
        return 0

    monkeypatch.setattr("harness.executors.local.launch_training", launch)
    ended = harness("train", recipe, "--runs", recipe.parent)
    early = SELF.replace("pseudo", "early")
    assert sorted(tried) == sorted([SOURCE, early]), ended.stderr
    assert scribe.asked, "the base model has written its rows"
    assert ended.returncode == 1 and "no such luck" in ended.stderr, ended.stderr
    assert f"{SELF}: waits for rows of pseudo, which are not written" in ended.stdout + ended.stderr


def test_too_few_rows_is_an_error_that_names_the_largest_amount(
    written: tuple[Path, Path, str], tmp_path: Path, scribe: Scribe
) -> None:
    recipe, study, _ = written
    kept = table(study)["reason"].null_count()
    more = changed(json.loads(recipe.read_text()), "stages.self.mixture.rows.amount", kept + 1)
    more = changed(more, "study", "more") | {"share": ["self-training"]}
    other = tmp_path / "recipe.yaml"
    other.write_text(json.dumps(more))
    before = len(scribe.asked)
    ended = run_here(other, "--runs", study.parent)
    assert ended.returncode == 2, ended.stderr
    assert f"pseudo can serve {kept} in 'fr'; ask for {kept} or fewer" in ended.stderr
    assert "generated.pseudo.short: allow" in ended.stderr and f"fr: {DISAGREE}" in ended.stderr
    other.write_text(json.dumps(changed(more, "generated.pseudo.short", "allow")))
    allowed = run_here(other, "--runs", study.parent)
    assert allowed.returncode == 0, allowed.stderr
    assert record(study.parent / "more", SELF)["identity"]["mixture"]["pseudo/fr"] == kept
    assert len(scribe.asked) > before


def test_more_rows_than_prompts_is_an_error_before_anything_is_trained(tiny_model: Path, write_recipe: Write) -> None:
    data = changed(self_training(tiny_model), "stages.self.mixture.rows.amount", 13)
    ended = harness("plan", write_recipe(data), "--runs", write_recipe(data).parent)
    assert ended.returncode == 2 and "pseudo can serve 12 in 'fr'" in ended.stderr


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("generated.pseudo.by", "target", "no model 'target'"),
        ("generated.pseudo.by", "self", "does not come before this stage"),
        ("generated.pseudo.prompts.source", "problems", "no source 'problems'"),
        ("generated.pseudo.prompts.languages", ["xx"], "word-problems has no 'xx'"),
        ("generated.pseudo.samples", 0, "a greedy completion agrees with itself"),
        ("generated.pseudo.prompts.source", "instructions", "only math has answers that can be read"),
        ("stages.self.mixture.rows.unit", "tokens", "has no tokens before it is written"),
    ],
)
def test_what_cannot_be_written_is_refused(
    path: str, value: Any, told: str, tiny_model: Path, write_recipe: Write
) -> None:
    recipe = write_recipe(changed(self_training(tiny_model), path, value))
    ended = harness("plan", recipe, "--runs", recipe.parent)
    assert ended.returncode == 2 and told in ended.stderr, ended.stderr


def written_by_base(tiny_model: Path) -> dict[str, Any]:
    """A cell on rows that the base model writes, which needs no training before."""
    data = small_recipe(tiny_model)
    del data["grid"]
    asked = {"source": "word-problems", "languages": ["fr"], "amount": 24}
    data["generated"] = {"own": {"by": "base", "prompts": asked, "samples": 1, "short": "allow"}}
    data["mixture"]["others"]["sources"] = ["own"]
    return data


def test_killed_in_the_middle_of_writing_it_ends_the_same(
    tiny_model: Path, write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, tables = write_recipe(written_by_base(tiny_model)), list[pl.DataFrame]()
    study = tmp_path / "killed" / "small"
    kept = killed_after_two_chunks(8, study, "train", recipe, "--runs", tmp_path / "killed")
    assert 2 <= len(kept) < 6 and not [*(study / "generated").glob("*.parquet")]
    train_in_this_process(monkeypatch)
    monkeypatch.setattr(TransformersEngine, "chunk", 8)
    monkeypatch.setattr(TransformersEngine, "generate", GENERATE)
    for runs in ("killed", "undisturbed"):
        ended = harness("train", recipe, "--runs", tmp_path / runs)
        assert ended.returncode == 0, ended.stderr
        tables.append(table(tmp_path / runs / "small"))
    assert kept.items() <= written_chunks(study).items()
    assert tables[0].equals(tables[1]) and len(tables[0]) == 24


def test_a_model_behind_an_endpoint_may_write(
    tiny_model: Path, write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_in_this_process(monkeypatch)
    monkeypatch.setenv("OPENAI_API_KEY", "of nobody")
    with judge_server(lambda number, _: Answer(text=f"Voilà : {number}.")) as server:
        data = written_by_base(tiny_model)
        data["models"] = {"remote": {"endpoint": server.endpoint, "model": "remote-1"}}
        data["generated"]["own"] |= {"by": "remote"}
        recipe = write_recipe(data)
        ended = harness("train", recipe, "--runs", tmp_path)
        assert ended.returncode == 0, ended.stderr
        assert len(server.requests) == 48
    rows = table(tmp_path / "small")
    assert rows["reason"].null_count() == 24 and rows["target"].str.starts_with("Voilà").all()
    likely = changed(data, "generated.own.keep", {"most_likely": 0.5})
    refused = harness("plan", write_recipe(likely), "--runs", tmp_path)
    assert refused.returncode == 2 and "gives no likelihoods" in refused.stderr


def test_a_test_item_among_the_prompts_is_refused(tiny_model: Path, write_recipe: Write, tmp_path: Path) -> None:
    data = written_by_base(tiny_model)
    rows = [{"prompt": f"Combien font {number} et {number} ?", "target": f"{2 * number}", "answer": f"{2 * number}",
             "id": str(number)} for number in range(2, 40)]  # fmt: skip
    for split, own in (("train", rows), ("test", rows[:2])):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in own))
    columns = {"id": "id", "answer": "answer"}
    data["sources"] = {"sums": {"task": "math", "languages": ["fr"], "files": str(tmp_path / "{split}.jsonl"),
                                "columns": columns}}  # fmt: skip
    data["generated"]["own"]["prompts"] |= {"source": "sums", "amount": 38}
    data["mixture"]["english"]["sources"] = ["instructions"]
    data["evaluation"]["sources"] = {"math": "sums"}
    ended = harness("plan", write_recipe(data), "--runs", tmp_path)
    assert ended.returncode == 2 and "training rows that give test items away" in ended.stderr, ended.stderr
    data["leakage"] = "drop"
    dropped = harness("plan", write_recipe(data), "--runs", tmp_path)
    assert dropped.returncode == 2 and "generated.own.prompts" in dropped.stderr, "38 prompts are 36 without them"
    data["generated"]["own"]["prompts"]["amount"] = 36
    assert harness("plan", write_recipe(data), "--runs", tmp_path).returncode == 0


def problem(number: int = 1, language: str = "en") -> Example:
    name = f"word-problems/{number}"
    return Example(id=name, item_id=name, task="math", language=language, prompt="How many?", target="18", answer="18")


def completions(*texts: str, finish: str = END_OF_TURN) -> list[Completion]:
    return [Completion(text, 5, finish) for text in texts]


def made(rules: Rules, *texts: str, language: str = "en", finish: str = END_OF_TURN) -> Any:
    (target,) = targets_among(
        [candidates_for(problem(language=language), completions(*texts, finish=finish), rules, DEFAULT, ("en", "fr"))],
        rules, None,
    )  # fmt: skip
    return target


def test_the_answer_that_most_completions_come_to_is_kept() -> None:
    rules = Rules(agree=0.5)
    target = made(rules, "It is 17.", "So 6 × 3 = 18.", "The answer is 18.", "nothing")
    assert (target.text, target.reason, target.agreement) == ("So 6 × 3 = 18.", None, 0.5)
    assert made(Rules(agree=0.6), "17", "18", "18", "nothing").reason == DISAGREE
    assert made(rules, "no number", "none either").reason == NO_ANSWER
    assert made(rules, "١٨", "18", language="ar").reason is None, "numerals of any script are compared"


def test_what_is_cut_off_or_empty_or_in_another_language_is_left_out() -> None:
    french = "La réponse à cette question est de dix-huit pommes."
    assert made(Rules(), "A whole answer.", finish=LENGTH).reason == CUT_OFF
    assert made(Rules(), "  ").reason == EMPTY
    assert made(Rules(language=True), french).reason == ANOTHER_LANGUAGE
    assert made(Rules(language=True), french, language="fr").reason is None
    assert made(Rules(language=True), "18").reason is None, "too short to tell"
    assert made(Rules(language=True), french, "The answer to this question is eighteen apples.").reason is None


@given(st.lists(st.floats(-9, 0), min_size=1, max_size=12), st.floats(0.01, 1))
def test_the_likeliest_share_is_kept_rounded_up(likelihoods: list[float], share: float) -> None:
    rules = Rules(most_likely=share)
    candidates = [candidates_for(problem(number), completions(f"It is {number}."), rules, DEFAULT, ("en",))
                  for number in range(len(likelihoods))]  # fmt: skip
    by_id = {f"word-problems/{number}": likelihood for number, likelihood in enumerate(likelihoods)}
    targets = targets_among(candidates, rules, lambda example, _: by_id[example.id])
    kept = [target.log_prob for target in targets if target.reason is None]
    left = [target.log_prob for target in targets if target.reason == UNLIKELY]
    assert len(kept) + len(left) == len(likelihoods) and len(kept) - 1 < share * len(likelihoods) <= len(kept)
    assert not left or min(map(float, filter(None, kept)), default=0.0) >= max(
        map(float, filter(None, left)), default=-9
    )


def test_of_several_candidates_the_likeliest_becomes_the_target() -> None:
    rules = Rules(agree=0.5, most_likely=1)
    own = completions("It is 18.", "That makes 18.", "17")
    candidates = candidates_for(problem(), own, rules, DEFAULT, ("en",))
    assert candidates.texts == ("It is 18.", "That makes 18.")
    (target,) = targets_among([candidates], rules, lambda _, text: -float(text.startswith("It")))
    assert target.text == "That makes 18." and copy.copy(target.log_prob) == 0

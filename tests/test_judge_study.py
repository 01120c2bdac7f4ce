"""A study judged from the shell: behind an endpoint, and by a model in our own engine; and the judge command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from data_mixes.example import Example, Exchange
from data_mixes.prompts import Renderer
from eval.engines.engine import Completion
from eval.generation.kept import Kept
from eval.prediction_files.file import BadRow, PredictionFile
from eval.prediction_files.rows import CaseRow, ScoredRow, cases_of
from eval.prediction_files.score import output_rows
from eval.prediction_files.tally import Tallies
from eval.scorers.score import Score
from harness.commands.judge import judge_file
from harness.errors import UserError
from harness.evaluation.cells import evaluate_cells, evaluations_of
from harness.evaluation.judged import instruction_of, judge_study
from harness.planning.study import Study
from harness.recipe.load import parse_recipe
from tests.judge_server import Answer, JudgeServer, judge_server, refusal
from tests.support import harness, run_here, small_recipe

ITEMS = 3 * 2  # languages, items
MODELS = ["base", "amount-0", "amount-3"]


def rates_and_prefers_what_stands_first(number: int, question: str) -> Answer:
    if question.endswith("Verdict: X"):
        return Answer("A reads better.\nVerdict: A")
    return Answer("It tries.\nRating: 2" if "French" in question else "It is noise.\n**Rating:** 1/5")


@pytest.fixture(scope="module")
def server() -> Iterator[JudgeServer]:
    with judge_server(rates_and_prefers_what_stands_first) as served:
        yield served


@pytest.fixture(scope="module")
def study(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, server: JudgeServer
) -> tuple[Path, dict[str, Any], str]:
    """The folder with recipe and runs after `harness run` with a judge, the recipe's data, and what was said."""
    folder = tmp_path_factory.mktemp("judged")
    data = small_recipe(tiny_model)
    data["evaluation"]["judge"] = {
        "model": "test-judge",
        "endpoint": server.endpoint,
        "against": "base",
        "price": {"input": 0.4, "output": 1.6},
        "max_cost": 1,
        "concurrency": 3,
    }
    ran = run_here(written(folder, data), "--runs", folder / "runs")
    assert ran.returncode == 0, ran.stderr
    return folder, data, ran.stdout + ran.stderr


def written(folder: Path, data: dict[str, Any]) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(data))
    return path


def table(folder: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(folder / "runs" / "small" / f"{name}.parquet")


def test_every_completion_is_rated_and_compared_with_the_base(
    study: tuple[Path, dict[str, Any], str], server: JudgeServer
) -> None:
    folder, _, said = study
    scores = table(folder, "scores")
    ratings = scores.filter(pl.col("metric") == "judge_rating")
    wins = scores.filter(pl.col("metric") == "win_rate")
    assert set(ratings["task"]) == set(wins["task"]) == {"instructions"}
    assert ratings["cell"].unique(maintain_order=True).to_list() == MODELS and ratings.height == 3 * ITEMS
    assert wins["cell"].unique(maintain_order=True).to_list() == MODELS[1:] and wins.height == 2 * ITEMS
    assert set(ratings.filter(pl.col("language") == "fr")["value"]) <= {1.0, 2.0}
    texts = {(row["cell"], row["id"]): row["completion"].strip() for row in table(folder, "predictions").to_dicts()}
    tied = [bool(texts[cell, row]) == bool(texts["base", row]) for cell, row in wins.select("cell", "id").iter_rows()]
    assert ratings["value"].is_not_null().all() and any(tied), "an empty answer loses without being judged"
    assert all(value == 0.5 for value, is_tied in zip(wins["value"], tied, strict=True) if is_tied)
    assert set(scores.filter(pl.col("metric") == "judge_rating")["version"]) == {"judge/1 by test-judge"}
    assert "judge/1 by test-judge: " in said and "0 unparsable, 0 failed" in said and ", $0.0" in said
    assert 0 < server.most_at_once <= 3


def test_ratings_are_split_by_the_language_of_the_completion(study: tuple[Path, dict[str, Any], str]) -> None:
    folder, _, _ = study
    scores = table(folder, "scores").filter(pl.col("task") == "instructions")
    wide = scores.pivot("metric", index=["cell", "language", "id"], values="value")
    assert wide.height == 3 * ITEMS and wide["language_pass"].is_null().all(), "their targets carry no language"
    for row in wide.iter_rows(named=True):
        assert row["judge_rating_switch_aware"] == row["judge_rating"]
        assert row["judge_rating_in_language"] is None


def test_every_judgement_is_stored_with_what_was_asked_and_replied(
    study: tuple[Path, dict[str, Any], str], server: JudgeServer
) -> None:
    folder, _, _ = study
    judgements = table(folder, "judgements")
    assert set(judgements["question"]) == set(server.questions) and judgements["reply"].is_not_null().all()
    assert set(judgements["judge"]) == {"test-judge"} and set(judgements["wording"]) == {"judge/1"}
    assert set(judgements["order"]) == {"pointwise", "A/B", "B/A"}
    predictions = table(folder, "predictions").filter(pl.col("task") == "instructions")
    joined = judgements.join(predictions, on=["cell", "weights", "language", "id"], nulls_equal=True)
    assert joined.height == judgements.height
    for row in joined.iter_rows(named=True):
        assert row["completion"] in row["question"] and row["prompt"] in row["question"]
        assert (row["reference"] in row["question"]) == (row["order"] == "pointwise")
        assert (row["verdict"], row["problem"]) == ({"A/B": 1.0, "B/A": 0.0}.get(row["order"], row["verdict"]), None)


def test_scored_again_it_asks_nothing_and_says_the_same(
    study: tuple[Path, dict[str, Any], str], server: JudgeServer
) -> None:
    folder, _, _ = study
    before, asked = table(folder, "scores"), len(server.requests)
    again = harness("eval", folder / "recipe.yaml", "--runs", folder / "runs")
    assert again.returncode == 0 and "all there already" in again.stderr
    assert f"{asked} questions, {asked} of them answered before" in again.stderr and "$0.0000 (" in again.stderr
    assert len(server.requests) == asked and table(folder, "scores").equals(before)


def test_the_summary_holds_ratings_as_they_are(study: tuple[Path, dict[str, Any], str]) -> None:
    folder, _, said = study
    assert "instructions: judge rating (worst score" in said, "what its tasks are judged by comes first"
    summary = table(folder, "summary").filter(pl.col("metric") == "judge_rating")
    french = summary.filter((pl.col("cell") == "base") & (pl.col("group") == "fr"))
    assert 1 <= french["mean"].item() <= 2 and french["unscored"].item() == 0


def test_what_was_not_generated_is_unscored_and_compared_with_nothing(study: tuple[Path, dict[str, Any], str]) -> None:
    folder, _, _ = study
    opened = Study(folder / "recipe.yaml", folder / "runs")
    (evaluation,) = evaluations_of(opened, opened.plans).values()
    prompts, completions = evaluation.prompts(), dict(Kept(evaluation.generations, Completion.of))
    asked = [each for each in prompts if each.example.task == "instructions"]
    of_base, of_cell = (next(each for each in asked if each.model.name == name) for name in ("base", "amount-0"))
    other = next(each for each in asked if each.model.name == "amount-3" and each.example.id != of_base.example.id)
    del completions[of_base.key], completions[other.key]
    scores, _ = judge_study(opened, prompts, completions)
    unscored = scores.filter(pl.col("value").is_null()).select("cell", "id", "metric", "reason").rows()
    assert scores.height == 5 * ITEMS and sorted(unscored) == sorted(
        [
            ("base", of_base.example.id, "judge_rating", "not generated"),
            ("amount-0", of_base.example.id, "win_rate", "base: not generated"),
            ("amount-3", of_base.example.id, "win_rate", "base: not generated"),
            ("amount-3", other.example.id, "judge_rating", "not generated"),
            ("amount-3", other.example.id, "win_rate", "not generated"),
        ]
    )
    assert of_cell.example.id == of_base.example.id


@pytest.mark.parametrize(("shots", "shown"), [(None, "User: A?"), (1, "User: B?"), (2, "C?")])
def test_the_judge_sees_the_conversation_but_no_exemplars(
    shots: int | None, shown: str, tokenizer: Any, recipe_data: dict[str, Any]
) -> None:
    if shots:
        recipe_data["prompts"] = {"few_shot": {"math": {"shots": shots}}}
    recipe_data.setdefault("prompts", {})["words"] = words = {"math": {"en": "{prompt}\n"}}
    base = SimpleNamespace(renderer=Renderer(tokenizer, words=words))
    stub: Any = SimpleNamespace(recipe=parse_recipe(recipe_data), hosts=[base])
    turns = (Exchange("A?", "a"), Exchange("B?", "b"))
    example = Example(id="1", item_id="1", task="math", language="en", prompt="C?", target="c", history=turns)
    asked = instruction_of(stub, example)
    assert asked.startswith(shown) and asked.endswith("C?") and asked.count("?") == 3 - (shots or 0)


def test_a_judge_that_refuses_all_takes_no_score_away(study: tuple[Path, dict[str, Any], str], tmp_path: Path) -> None:
    folder, data, _ = study
    shutil.copytree(folder, tmp_path / "copy")
    with judge_server(lambda *_: refusal(401, "wrong key")) as refusing:
        data = json.loads(json.dumps(data))
        data["evaluation"]["judge"] |= {"model": "locked", "endpoint": refusing.endpoint, "api_key_variable": "NO_KEY"}
        recipe = written(tmp_path / "copy", data)
        with pytest.raises(UserError, match=r"^evaluation.judge.endpoint: .*NO_KEY, which is not set"):
            evaluate_cells(Study(recipe, tmp_path / "copy" / "runs"), None)
    scores = table(tmp_path / "copy", "scores")
    assert scores.filter(pl.col("metric") == "prompt_pass").height == 3 * ITEMS
    assert "judge_rating" not in set(scores["metric"]), "of the judge that is asked for there is no score"


@pytest.fixture(scope="module")
def chat_model(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, chat_tokenizer: Any) -> Path:
    """The tiny model as a chat model: its weights are random, and so are its replies."""
    folder = tmp_path_factory.mktemp("chat") / "tiny-chat"
    shutil.copytree(tiny_model, folder)
    chat_tokenizer.save_pretrained(folder)
    return folder


def test_a_judge_in_our_own_engine_replies_once_and_noise_is_counted(
    study: tuple[Path, dict[str, Any], str], chat_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, data, _ = study
    shutil.copytree(folder, tmp_path / "copy")
    data = json.loads(json.dumps(data))
    data["evaluation"]["judge"] = {"model": str(chat_model), "max_tokens": 16}
    recipe, runs = written(tmp_path / "copy", data), tmp_path / "copy" / "runs"
    first = harness("eval", recipe, "--runs", runs)
    assert first.returncode == 0, first.stderr
    ratings = table(tmp_path / "copy", "scores").filter(pl.col("metric") == "judge_rating")
    assert ratings.height == 3 * ITEMS and ratings["value"].null_count() > 0
    unscored = ratings.filter(pl.col("value").is_null())
    assert unscored["reason"].str.starts_with("unparsable: ").all()
    assert set(ratings["version"].str.slice(0, 18)) == {"judge/1 by sha256:"}
    judgements = table(tmp_path / "copy", "judgements")
    assert (judgements["reply"].str.len_chars() > 0).any()
    unparsable = judgements.unique("question")["problem"].is_not_null().sum()
    assert f" {unparsable} unparsable, 0 failed" in first.stderr and "starting the judge" in first.stderr
    evaluate_cells(Study(recipe, runs), None)
    assert "starting the judge" not in capsys.readouterr().err
    assert table(tmp_path / "copy", "judgements").equals(judgements)


def test_a_judge_that_is_no_chat_model_is_refused_before_anything_is_trained(tiny_model: Path, tmp_path: Path) -> None:
    data = small_recipe(tiny_model)
    data["evaluation"]["judge"] = {"model": str(tiny_model)}
    with pytest.raises(UserError, match=r"^evaluation.judge.model: .* cannot judge: .* no chat template"):
        _ = Study(written(tmp_path, data), tmp_path / "runs").plans


# --- the judge command

GOOD: dict[str, Any] = {"id": "a", "language": "en", "prompt": "Name a colour.", "prediction": "Red."}


def rows_file(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_the_command_judges_predictions_made_anywhere(server: JudgeServer, tmp_path: Path) -> None:
    rows = [GOOD, GOOD | {"id": 2, "language": "fr-FR", "opponent": "Blue."}, "{", GOOD | {"id": "c", "prompt": None}]
    path = rows_file(tmp_path / "rows.jsonl", rows)
    command = ("judge", path, "--model", "commanded", "--endpoint", server.endpoint)
    ran = harness(*command, "--out", tmp_path / "out.jsonl", "--json")
    assert ran.returncode == 0, ran.stderr
    assert (
        "bad row: line 3: not a JSON object" in ran.stderr and "bad row: line 4 (id 'c'): prompt missing" in ran.stderr
    )
    data = json.loads(ran.stdout)
    french = data["languages"]["fr-FR"]
    assert french["judge_rating"]["mean"] == 2.0 and french["win_rate"]["mean"] == 0.5
    assert (data["judging"]["questions"], data["judging"]["kept"], data["judging"]["unparsable"]) == (4, 0, 0)
    out = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["id"], row["metric"], row["value"], len(row["judgements"])) for row in out] == [
        ("a", "judge_rating", 1.0, 1), (2, "judge_rating", 2.0, 1), (2, "win_rate", 0.5, 2),
        ("c", "judge_rating", None, 0),
    ]  # fmt: skip
    assert out[0]["judgements"][0]["reply"] == "It is noise.\n**Rating:** 1/5"
    asked = len(server.requests)
    table = harness(*command)
    assert table.returncode == 0 and "judge_rating" in table.stdout and "2.000" in table.stdout
    assert "4 of them answered before" in table.stderr and len(server.requests) == asked


def test_mistakes_on_the_command_line_are_said_before_anything_is_asked(
    server: JudgeServer, tiny_model: Path, tmp_path: Path
) -> None:
    good, asked = rows_file(tmp_path / "good.jsonl", [GOOD]), len(server.requests)
    at = {"model": "mistaken", "endpoint": server.endpoint}
    mistakes: list[tuple[Path, Path | None, dict[str, Any], str]] = [
        (tmp_path / "absent.jsonl", None, at, "No such file"),
        (rows_file(tmp_path / "bad.jsonl", ["["]), None, at, "holds no row that can be judged"),
        (good, None, at | {"max_cost": 1.0}, "--price-in, --price-out: missing; max_cost needs what tokens cost"),
        (good, None, at | {"max_cost": -1.0}, "--max-cost: got -1.0"),
        (good, None, at | {"price": {"input": 1.0, "output": None}}, "--price-in, --price-out: got None"),
        (good, None, {"model": ""}, "--model: got ''"),
        (good, None, {"model": "x", "max_cost": 1.0}, "--max-cost: goes with an endpoint"),
        (
            good,
            None,
            {"model": "./x"},
            "--model: no folder './x'; a path is seen from the recipe's folder; a model behind",
        ),
        (good, None, {"model": str(tiny_model)}, "no chat template"),
        (good, good / "out.jsonl", at, "good.jsonl is not a folder that can be written to"),
    ]
    for file, out, options, said in mistakes:
        with pytest.raises(UserError) as caught:
            judge_file(file, out, options)
        assert said in str(caught.value)
    assert len(server.requests) == asked
    ran = harness("judge", good, "--model", "x", "--endpoint", "localhost:8000")
    assert ran.returncode == 2 and "Traceback" not in ran.stderr
    assert "error: --endpoint: got 'localhost:8000'; an endpoint is an address such as http" in ran.stderr


def test_bad_rows_for_a_judge_are_told_by_line(tmp_path: Path) -> None:
    rows = [
        GOOD,
        GOOD | {"prompt": 3},
        GOOD | {"reference": "nul \0"},
        GOOD | {"opponent": []},
        GOOD | {"opponent": ""},
    ]
    found = cases_of(PredictionFile(rows_file(tmp_path / "rows.jsonl", rows)))
    assert [row.line for row in found if isinstance(row, CaseRow)] == [1, 5]
    problems = [row.problem for row in found if isinstance(row, BadRow)]
    assert problems == [
        "prompt is not text but int",
        "reference holds a NUL character",
        "opponent is not text but list",
    ]
    assert all(output_rows("judge_rating", row)[0]["value"] is None for row in found if isinstance(row, BadRow))


def test_ratings_that_are_all_alike_have_no_interval() -> None:
    tallies = Tallies()
    for number, value in enumerate((5.0, 5.0, 5.0)):
        tallies.add(ScoredRow(number, number, "en", (Score("judge_rating", value, "judge/1"),)))
    tally = tallies.as_data()["languages"]["en"]["judge_rating"]
    assert (tally["mean"], tally["low"], tally["high"]) == (5.0, None, None)

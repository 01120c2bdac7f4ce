"""`harness export --to inspect`: what inspect_ai's own reader and viewer make of our logs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inspect_ai.log import (
    EvalSample,
    bundle_log_dir,
    list_eval_logs,
    read_eval_log,
    read_eval_log_sample_summaries,
    read_eval_log_samples,
)

from eval.analysis.groups import LanguageGroups
from eval.analysis.summary import summarize
from eval.interop.inspect_logs import Origin, header, results, sample, sample_rows, write_log, write_logs
from eval.predictions_and_scores import PROMPT_SCHEMA
from harness.commands.export import export_study
from harness.errors import UserError
from harness.planning.kept_plan import planned_study
from harness.recipe.grid import cells_of
from harness.recipe.load import parse_recipe
from tests.support import harness

TEXTS = {"en": "<b>Sum</b> & <script>alert('no')</script>", "ar": "الجواب: ١٢", "ja": "答えは\n12です。"}
GROUPS = LanguageGroups(("en", "ja"), ("ar",))
ORIGIN = Origin(
    study="toy",
    base_identity="tiny:0123",
    created=datetime(2026, 11, 21, 12, tzinfo=UTC),
    packages={"torch": "2.13.0"},
    git="abc123+changes",
    sources={"math": "word-problems"},
    max_tokens={"math": 40},
    stop={},
)
EXAMPLES = [(language, item) for language in TEXTS for item in range(4)]
CELLS = {"base": None, "amount-3": "f00d"}
MISSING = ("amount-3", "ja", 3)
"""What was never generated: its one score says so."""


def place(cell: str, language: str, item: int) -> dict[str, Any]:
    shared = f"word-problems/{item}"
    return {"cell": cell, "weights": CELLS[cell], "task": "math", "language": language, "item": shared,
            "id": f"{shared}@{language}"}  # fmt: skip


def toy_predictions() -> pl.DataFrame:
    rows = [
        place(cell, language, item)
        | {"prompt": f"{TEXTS[language]} {item}?", "reference": f"{item}", "completion": f"{TEXTS[language]} {cell}"}
        | {"tokens": 7, "finish": "length" if item else "stop"}
        for cell in CELLS
        for language, item in EXAMPLES
        if (cell, language, item) != MISSING
    ]
    return pl.DataFrame(rows, schema_overrides={"weights": pl.String})


CHAT = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Say 0?"}]
"""What the first example is asked as a chat; the second is asked in plain text, and the others are not in the table."""


def toy_prompts() -> pl.DataFrame:
    (first, item), (second, other) = EXAMPLES[:2]
    rows = [
        {
            "language": first,
            "id": f"word-problems/{item}@{first}",
            "rendered": "<s>Be kind. Say 0?",
            "messages": json.dumps(CHAT),
        },
        {"language": second, "id": f"word-problems/{other}@{second}", "rendered": "<s>Q: Say 1?\nA:"},
    ]
    return pl.DataFrame([{"task": "math", "shortened": 0} | row for row in rows], schema=PROMPT_SCHEMA)


def toy_scores() -> pl.DataFrame:
    """Accuracy is 1 of even items and chrF a tenth of an item's number; item 1 has no answer, one chrF no value."""
    rows: list[dict[str, Any]] = []
    for cell in CELLS:
        for language, item in EXAMPLES:
            right: dict[str, Any] = {"value": float(item % 2 == 0), "answer": str(item), "reason": None}
            if (cell, language, item) == MISSING:
                right = {"value": None, "answer": None, "reason": "not generated"}
            elif item == 1:
                right |= {"answer": None, "reason": "no number"}
            rows.append(place(cell, language, item) | {"metric": "accuracy", "version": "final-answer/2"} | right)
            if (cell, language, item) != MISSING:
                unscored = (language, item) == ("ar", 2)
                near = {
                    "value": None if unscored else item / 10,
                    "answer": None,
                    "reason": "short" if unscored else None,
                }
                rows.append(place(cell, language, item) | {"metric": "chrf", "version": "chrF2++"} | near)
    return pl.DataFrame(
        rows, schema_overrides={"value": pl.Float64, **dict.fromkeys(("weights", "answer", "reason"), pl.String)}
    )


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports") / "inspect"
    scores = toy_scores()
    told: list[int] = []
    paths = write_logs(folder, ORIGIN, toy_prompts(), toy_predictions(), scores, summarize(scores, GROUPS), told.append)
    assert [path.name for path in paths] == ["base_math.eval", "amount-3_math.eval"] and told == [12, 12]
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in paths)
    return folder


def samples_of(logs: Path, cell: str) -> dict[str, EvalSample]:
    return {str(each.id): each for each in read_eval_log_samples(str(logs / f"{cell}_math.eval"))}


def test_every_prediction_is_read_back_as_it_was_written(logs: Path) -> None:
    found = {cell: samples_of(logs, cell) for cell in CELLS}
    for row in toy_predictions().iter_rows(named=True):
        read = found[row["cell"]][row["id"]]
        assert (read.target, read.output.completion) == (row["reference"], row["completion"])
        if row["id"] not in toy_prompts()["id"]:
            assert read.input == row["prompt"]
            assert [message.text for message in read.messages] == [row["prompt"], row["completion"]]
        assert read.output.stop_reason == {"stop": "stop", "length": "max_tokens"}[row["finish"]]
        assert read.metadata == {"language": row["language"], "item": row["item"], "tokens": 7}
        assert read.error is None


def test_samples_hold_the_prompt_as_the_model_got_it(logs: Path) -> None:
    samples = samples_of(logs, "base")
    chat, plain = (samples[name].input for name in toy_prompts()["id"])
    assert isinstance(chat, list) and [{"role": turn.role, "content": turn.text} for turn in chat] == CHAT
    assert plain == "<s>Q: Say 1?\nA:"


def test_every_score_is_read_back_and_the_unscored_is_not_zero(logs: Path) -> None:
    found = {cell: samples_of(logs, cell) for cell in CELLS}
    scores = toy_scores()
    assert sum(len(each.scores or {}) for samples in found.values() for each in samples.values()) == scores.height
    for row in scores.iter_rows(named=True):
        read = (found[row["cell"]][row["id"]].scores or {})[row["metric"]]
        if row["value"] is None:
            assert isinstance(read.value, float) and math.isnan(read.value)
        else:
            assert read.value == row["value"]
        assert (read.answer, read.explanation, read.metadata) == (
            row["answer"], row["reason"], {"version": row["version"]},
        )  # fmt: skip
    summaries = read_eval_log_sample_summaries(str(logs / "base_math.eval"))
    assert sum(math.isnan(each.scores["chrf"].as_float()) for each in summaries if each.scores) == 1


def test_what_was_never_generated_is_an_error_that_shows_what_was_asked(logs: Path) -> None:
    samples = samples_of(logs, "amount-3")
    (missing,) = [each for each in samples.values() if each.error]
    assert missing.id == "word-problems/3@ja" and missing.error and missing.error.message == "not generated"
    assert missing.output.empty and missing.input == f"{TEXTS['ja']} 3?"
    log = read_eval_log(str(logs / "amount-3_math.eval"), header_only=True)
    assert log.results and (log.results.total_samples, log.results.completed_samples) == (12, 11)


def test_means_are_those_of_the_report(logs: Path) -> None:
    log = read_eval_log(str(logs / "amount-3_math.eval"), header_only=True)
    assert log.status == "success" and log.results
    accuracy, chrf = log.results.scores
    assert (accuracy.name, accuracy.scored_samples, accuracy.unscored_samples) == ("accuracy", 11, 1)
    assert (chrf.name, chrf.scored_samples, chrf.unscored_samples) == ("chrf", 10, 1)
    assert accuracy.metrics["en"].value == 0.5 and accuracy.metrics["ja"].value == pytest.approx(2 / 3)
    assert chrf.metrics["ar"].value == pytest.approx((0 + 0.1 + 0.3) / 3)
    told = accuracy.metrics["ja"].params
    assert (told["scored"], told["unscored"], told["no_answer"]) == (3, 1, 1) and told["low"] < 2 / 3 < told["high"]
    report = summarize(toy_scores(), GROUPS).filter(cell="amount-3")
    figures = {(each.name, group): metric.value for each in (accuracy, chrf) for group, metric in each.metrics.items()}
    blank = {key: None if math.isnan(value) else value for key, value in figures.items()}
    assert blank == {(row["metric"], row["group"]): row["mean"] for row in report.iter_rows(named=True)}
    assert log.results.headline and log.results.headline.metric == "all"


def test_a_mean_of_nothing_scored_is_no_number() -> None:
    blank = toy_scores().filter(cell="base").with_columns(value=pl.lit(None, pl.Float64))
    rows = sample_rows(blank, toy_predictions(), toy_prompts(), "base")
    for each in results(rows, blank, summarize(blank, GROUPS)).scores:
        assert each.scored_samples == 0 and all(math.isnan(metric.value) for metric in each.metrics.values())


def test_a_log_says_where_it_comes_from(logs: Path) -> None:
    spec = read_eval_log(str(logs / "amount-3_math.eval"), header_only=True).eval
    assert (spec.task, spec.model, spec.tags) == ("math", "tiny:0123+f00d", ["amount-3"])
    assert spec.dataset.name == "word-problems" and spec.dataset.samples == 12
    assert spec.model_generate_config.max_tokens == 40 and spec.model_generate_config.temperature == 0
    assert spec.revision and (spec.revision.commit, spec.revision.dirty) == ("abc123", True)
    assert spec.packages == {"torch": "2.13.0"} and spec.created.startswith("2026-11-21T12:00:00")
    assert read_eval_log(str(logs / "base_math.eval"), header_only=True).eval.model == "tiny:0123"


def test_the_viewers_bundle_lists_every_log(logs: Path, tmp_path: Path) -> None:
    bundle_log_dir(str(logs), str(tmp_path / "bundle"))
    listing = json.loads((tmp_path / "bundle" / "logs" / "listing.json").read_text(encoding="utf-8"))
    assert set(listing) == {"base_math.eval", "amount-3_math.eval"} and (tmp_path / "bundle" / "index.html").is_file()
    assert {each.task for each in list_eval_logs(str(logs))} == {"math"}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=3, max_size=3))
@settings(max_examples=30, deadline=None)
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    scores = toy_scores().filter(cell="base").head(1).with_columns(answer=pl.lit(texts[2]))
    predictions = toy_predictions().head(1).with_columns(prompt=pl.lit(texts[0]), completion=pl.lit(texts[1]))
    rows = sample_rows(scores, predictions, toy_prompts().clear(), "base")
    path = tmp_path_factory.mktemp("any") / "log.eval"
    log = header(ORIGIN, "base", None, "math", rows, results(rows, scores, summarize(scores, GROUPS)))
    write_log(path, log, (sample(row, "tiny") for row in rows.iter_rows(named=True)))
    (read,) = read_eval_log_samples(str(path))
    assert [read.input, read.output.completion, (read.scores or {})["accuracy"].answer] == texts


def test_a_log_is_written_whole_or_not_at_all(logs: Path, tmp_path: Path) -> None:
    log = read_eval_log(str(logs / "base_math.eval"))
    assert log.samples

    def stopped() -> Iterator[EvalSample]:
        yield from (log.samples or [])[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_log(tmp_path / "base_math.eval", log, stopped())
    assert list_eval_logs(str(tmp_path)) == []
    write_log(tmp_path / "base_math.eval", log.model_copy(update={"samples": None}), log.samples)
    assert len(list(tmp_path.iterdir())) == 1 and len(samples_of(tmp_path, "base")) == 12


def test_the_command_writes_what_is_evaluated_and_names_what_is_not(
    recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    recipe, runs = write_recipe(recipe_data), tmp_path / "runs"
    (runs / "small").mkdir(parents=True)
    toy_predictions().write_parquet(runs / "small" / "predictions.parquet")
    toy_scores().write_parquet(runs / "small" / "scores.parquet")
    done = harness("export", recipe, "--runs", runs, "--to", "inspect")
    assert done.returncode == 0, done.stderr
    folder = runs / "small" / "exports" / "inspect"
    assert [path.name for path in folder.iterdir()] == ["base_math.eval"], "amount-3's scores are of another adapter"
    assert "amount-0: not evaluated" in done.stderr and "amount-3: scores of other weights only" in done.stderr
    assert f"logs: 1, samples: 12; to look at them: inspect view --log-dir {folder}" in done.stderr


def test_what_cannot_be_exported_says_why(
    recipe_data: dict[str, Any],
    write_recipe: Callable[[dict[str, Any]], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = planned_study(write_recipe(recipe_data), tmp_path / "runs")
    with pytest.raises(
        UserError, match=r"--to: no format 'inspct'; did you mean 'inspect'\? \(allowed: csv, hf, inspect, merged\)"
    ):
        export_study(study, "inspct", None, None)
    with pytest.raises(UserError, match="no scores yet; run: harness eval RECIPE"):
        export_study(study, "inspect", None, None)
    with pytest.raises(UserError, match=r"--cells: no cell 'amount-9'; did you mean 'amount-[03]'"):
        export_study(study, "inspect", "amount-9", None)
    study.folder.mkdir(parents=True, exist_ok=True)
    toy_predictions().write_parquet(study.folder / "predictions.parquet")
    toy_scores().write_parquet(study.folder / "scores.parquet")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"--out: cannot write to .*file.*choose another folder with --out DIR"):
        export_study(study, "inspect", None, tmp_path / "file")
    monkeypatch.setattr("harness.commands.export.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"inspect_ai is not installed: pip install '\.\[inspect\]'"):
        export_study(study, "inspect", None, None)


def test_no_cell_can_be_named_like_the_folder_of_exports(recipe_data: dict[str, Any]) -> None:
    del recipe_data["grid"]
    recipe_data["study"] = "exports"
    with pytest.raises(UserError, match="exports"):
        cells_of(parse_recipe(recipe_data), recipe_data)


def test_a_table_has_a_row_per_prediction_and_a_column_per_metric(
    recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    recipe, runs = write_recipe(recipe_data), tmp_path / "runs"
    (runs / "small").mkdir(parents=True)
    toy_predictions().write_parquet(runs / "small" / "predictions.parquet")
    toy_scores().write_parquet(runs / "small" / "scores.parquet")
    done = harness("export", recipe, "--runs", runs, "--to", "csv")
    assert done.returncode == 0, done.stderr
    table = pl.read_csv(runs / "small" / "exports" / "csv" / "small.csv")
    base = toy_predictions().filter(cell="base")
    assert table["completion"].to_list() == base["completion"].to_list(), "amount-3's scores are of another adapter"
    assert table["accuracy"].to_list() == [float(item % 2 == 0) for _, item in EXAMPLES]
    assert table.filter(id="word-problems/2@ar")["chrf"].to_list() == [None], "unscored is blank"
    assert set(table["versions"]) == {"final-answer/2; chrF2++"}

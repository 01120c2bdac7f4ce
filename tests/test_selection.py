"""The step that does best on validation rows is the one that is kept, evaluated and recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eval.tasks import TASKS
from harness.errors import UserError
from harness.planning.study import Study
from harness.reporting.report import selection_of
from harness.training.loop import ShowProgress
from harness.training.selection import best_step, curve_of
from tests.support import harness, train_here
from tests.test_training import distance, record, weights

Write = Callable[[dict[str, Any]], Path]


@pytest.fixture
def overfitting(recipe_data: dict[str, Any]) -> dict[str, Any]:
    """A recipe of one cell with few rows and many steps: what it learns by heart harms it on others."""
    del recipe_data["grid"]
    recipe_data["mixture"]["english"] |= {"sources": ["instructions"], "amount": 4}
    recipe_data["mixture"]["others"]["amount"] = 0
    recipe_data["training"] |= {"method": "full", "epochs": 40, "learning_rate": 5e-3, "checkpoint_every": 7}
    recipe_data["selection"] = {"languages": ["en", "fr"], "every": 5, "items": 6}
    return recipe_data


def without_selection(data: dict[str, Any], steps: int) -> dict[str, Any]:
    """The same training, ending at a step."""
    training = {key: value for key, value in data["training"].items() if key != "epochs"} | {"steps": steps}
    return {key: value for key, value in data.items() if key != "selection"} | {"training": training}


def test_the_best_step_is_kept_with_its_curve(overfitting: dict[str, Any], write_recipe: Write, tmp_path: Path) -> None:
    assert train_here(write_recipe(overfitting), tmp_path / "chosen").returncode == 0
    done = record(tmp_path / "chosen", "small")
    chosen, curve = done["selection"]["step"], done["selection"]["curve"]
    assert [point["step"] for point in curve] == list(range(5, 41, 5)) and done["steps"] == 40
    means = {point["step"]: (point["en"] + point["fr"]) / 2 for point in curve}
    assert means[chosen] == min(means.values()) and 5 <= chosen < 40, "it was made to overfit"
    assert done["loss"][-1] < done["loss"][chosen], "while the loss on its own rows goes on falling"
    assert train_here(write_recipe(without_selection(overfitting, chosen)), tmp_path / "ended").returncode == 0
    kept, ended = weights(tmp_path / "chosen", "small"), weights(tmp_path / "ended", "small")
    assert distance(kept, ended) <= 1e-6
    assert done["loss"][:chosen] == pytest.approx(record(tmp_path / "ended", "small")["loss"], abs=1e-6)


def test_out_of_patience_training_ends(overfitting: dict[str, Any], write_recipe: Write, tmp_path: Path) -> None:
    overfitting["selection"]["patience"] = 2
    recipe = write_recipe(overfitting)
    assert train_here(recipe, tmp_path).returncode == 0
    done = record(tmp_path, "small")
    assert done["selection"]["step"] == done["steps"] - 10 and done["steps"] < 40
    assert f"{done['steps']}/40" in harness("status", recipe, "--runs", tmp_path).stdout


def test_stopped_in_the_middle_it_chooses_the_same(
    overfitting: dict[str, Any], write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_recipe(overfitting)
    assert train_here(recipe, tmp_path / "undisturbed").returncode == 0

    def stop(self: ShowProgress, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 26:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ShowProgress, "on_step_end", stop)
        assert train_here(recipe, tmp_path / "stopped").returncode == 130
    assert train_here(recipe, tmp_path / "stopped").returncode == 0
    one, other = record(tmp_path / "undisturbed", "small"), record(tmp_path / "stopped", "small")
    assert other["resumed_at"] == 21 and one["selection"]["step"] == other["selection"]["step"]
    for point, same in zip(one["selection"]["curve"], other["selection"]["curve"], strict=True):
        assert point == pytest.approx(same, abs=1e-6)
    assert distance(weights(tmp_path / "undisturbed", "small"), weights(tmp_path / "stopped", "small")) <= 1e-6


def test_what_chooses_is_part_of_what_a_cell_is(
    overfitting: dict[str, Any], write_recipe: Write, tmp_path: Path
) -> None:
    def stated(**changes: Any) -> dict[str, Any]:
        selection = overfitting["selection"] | changes
        (plan,) = Study(write_recipe(overfitting | {"selection": selection}), tmp_path).plans
        return dict(plan.run.identity["selection"])

    first = stated()
    assert first == {"by": "loss", "languages": ["en", "fr"], "every": 5, "items": 6, "rows": first["rows"]}
    assert stated(items=5)["rows"] != first["rows"] and stated(patience=3)["patience"] == 3
    assert stated(languages=["en"])["rows"] != first["rows"]


def test_an_unseen_language_chooses_only_by_name(overfitting: dict[str, Any], write_recipe: Write) -> None:
    overfitting["selection"]["languages"] = ["en", "ja", "xx"]
    said = harness("plan", write_recipe(overfitting)).stderr
    assert "selection.languages.1: 'ja' is in languages.unseen: a step chosen by it is no zero-shot model" in said
    assert "selection.languages.2: 'xx' is none of the study's" in said
    overfitting["selection"] |= {"languages": ["en", "ja"], "allow_unseen": ["ja"]}
    assert harness("plan", write_recipe(overfitting)).returncode == 0
    overfitting["evaluation"]["split"] = "validation"
    assert "a step must not be chosen by test items" in harness("plan", write_recipe(overfitting)).stderr


def test_rows_that_cannot_be_scored_choose_no_step(
    overfitting: dict[str, Any], write_recipe: Write, tmp_path: Path
) -> None:
    rows = [{"prompt": f"{number}?", "target": "so", "number": "no" if number % 2 else "3"} for number in range(12)]
    for split in ("train", "validation"):
        lines = [json.dumps(row | {"prompt": f"{split} {row['prompt']}"}) for row in rows]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    files = {split: str(tmp_path / f"{split}.jsonl") for split in ("train", "validation")}
    overfitting["sources"] = {"sums": {"task": "math", "languages": ["en"], "files": files,
                                       "columns": {"answer": "number"}}}  # fmt: skip
    overfitting["mixture"] = {"english": {"sources": ["sums"], "languages": ["en"], "amount": 8}}
    overfitting["grid"] = {"amount": {"path": "mixture.english.amount", "values": [6, 8]}}
    overfitting["selection"] |= {"by": "math", "languages": ["en"], "items": 4}
    study = Study(write_recipe(overfitting), tmp_path)
    (chosen,) = study.bases[0].validation_examples.values()
    assert [example.answer for example in chosen] == ["3"] * 4
    overfitting["sources"]["sums"]["columns"] = {"answer": "target"}
    with pytest.raises(UserError, match="validation rows of math in 'en', with an answer that is a number"):
        _ = Study(write_recipe(overfitting), tmp_path).bases[0].validation_examples


def test_a_tasks_metric_may_choose_the_step(overfitting: dict[str, Any], write_recipe: Write, tmp_path: Path) -> None:
    """What is chosen is the best by answers to validation prompts, which evaluation gives the same scores."""
    overfitting["selection"] |= {"by": "instructions chrf", "every": 20, "items": 3}
    overfitting["training"] |= {"learning_rate": 5e-3, "keep_checkpoints": {"every": 20}}
    recipe = write_recipe(overfitting)
    said = harness("plan", recipe, "--runs", tmp_path)
    assert said.returncode == 2 and "selection.by: instructions has no metric 'chrf'; it has " in said.stderr
    overfitting["selection"]["by"] = "instructions"
    assert train_here(write_recipe(overfitting), tmp_path).returncode == 0
    chosen = record(tmp_path, "small")["selection"]
    assert chosen["by"] == "instructions" and [point["step"] for point in chosen["curve"]] == [20, 40]
    assert all(0 <= point[language] <= 1 for point in chosen["curve"] for language in ("en", "fr"))
    means = {point["step"]: (point["en"] + point["fr"]) / 2 for point in chosen["curve"]}
    assert means[chosen["step"]] == max(means.values())
    drawn = selection_of(record(tmp_path, "small"))
    assert drawn and (drawn.task, drawn.metric) == ("instructions", TASKS["instructions"].metric)
    assert (drawn.step, drawn.curve, drawn.rows) == (chosen["step"], chosen["curve"], {"en": 3, "fr": 3})
    (plan,) = Study(write_recipe(overfitting), tmp_path).plans
    assert plan.run.trained and plan.run.identity["selection"]["answered"]["max_tokens"] == 8


def test_what_can_choose_a_step(overfitting: dict[str, Any], write_recipe: Write) -> None:
    overfitting["selection"]["by"] = "maths"
    said = harness("plan", write_recipe(overfitting)).stderr
    assert (
        "selection.by: got 'maths'; a step is chosen by `loss`, or by one of math, summarization, instructions" in said
    )
    overfitting["selection"]["by"] = "math"
    overfitting["execution"] = {"sharding": "fsdp2"}
    assert "does not answer prompts in training" in harness("plan", write_recipe(overfitting)).stderr
    curve = {5: {"en": 0.5}, 10: {"en": 0.7}, 15: {"en": 0.7}}
    assert best_step(curve, highest=True) == 10 and best_step(curve) == 5


def test_the_first_of_equal_steps_is_the_best() -> None:
    history = [{"loss": 1.0, "step": 1}, *({"step": step, "validation": {"en": 2.0, "fr": 1.0}} for step in (5, 10))]
    curve = curve_of([*history, {"step": 15, "validation": {"en": 1.5, "fr": 1.6}}])
    assert list(curve) == [5, 10, 15] and best_step(curve) == 5

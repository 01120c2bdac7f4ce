"""Tasks and metrics of one's own, as docs/tasks.md has them: planned, scored, and refused where they are wrong."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest

from data_mixes.example import Example
from eval.engines.engine import Completion
from eval.predictions_and_scores import scores_table
from harness.errors import UserError
from harness.evaluation.cells import evaluations_of
from harness.planning.plan import plan_of
from harness.planning.study import Study
from harness.recipe.yaml_files import as_yaml
from tests.support import REPOSITORY, small_recipe

DOCUMENTED = re.findall(
    r"```python\n(.*?)```", (REPOSITORY / "docs" / "tasks.md").read_text(encoding="utf-8"), re.DOTALL
)
SENTIMENT, BREVITY = DOCUMENTED
REVIEWS = {
    "en": [("I loved it", "good"), ("A waste of time", "bad")],
    "sw": [("Nimeipenda sana", "nzuri"), ("Kupoteza muda", "mbaya")],
    "hi": [("मुझे बहुत पसंद आया", "अच्छा"), ("समय की बर्बादी", "बुरा")],
}


def study(folder: Path, tiny_model: Path, task: str = SENTIMENT, metric: str = BREVITY, **evaluation: Any) -> Study:
    """A study that trains and tests on the documented task."""
    (folder / "reviews").mkdir(parents=True, exist_ok=True)
    (folder / "sentiment.py").write_text(task, encoding="utf-8")
    (folder / "brevity.py").write_text(metric, encoding="utf-8")
    for language, rows in REVIEWS.items():
        for split in ("train", "validation", "test"):
            with (folder / "reviews" / f"{language}.{split}.csv").open("w", encoding="utf-8", newline="") as file:
                table = csv.writer(file)
                table.writerow(("text", "label"))
                table.writerows((f"{text}, {split}", label) for text, label in rows)
    data = small_recipe(tiny_model)
    data["languages"] = {"seen": ["en", "sw"], "unseen": ["hi"]}
    data["mixture"] = {"reviews": {"sources": ["reviews"], "languages": ["en", "sw"], "amount": 2}}
    del data["grid"]
    data["leakage"] = "allow"
    data["evaluation"] = {
        "engine": "transformers", "items": 2, "tasks": {"sentiment": {"code": "sentiment.py"}},
        "metrics": {"brevity": {"code": "brevity.py", "tasks": ["sentiment"]}},
    } | evaluation  # fmt: skip
    path = folder / "recipe.yaml"
    path.write_text(as_yaml(data), encoding="utf-8")
    return Study(path, folder / "runs")


def test_the_documented_task_is_planned_trained_on_and_scored(tmp_path: Path, tiny_model: Path) -> None:
    made = study(tmp_path, tiny_model)
    shown = plan_of(made)
    assert [count.examples for count in shown.cells[0].counts] == [2, 2]
    assert {(each.task, each.source, each.items) for each in shown.evaluation} == {("sentiment", "reviews", 2)}
    task, metric = shown.notes
    assert re.fullmatch(
        rf"Runs {tmp_path}/sentiment.py \([0-9a-f]{{12}}\), as evaluation.tasks.sentiment.code says", task
    )
    assert "brevity.py" in metric
    (evaluation_set, *_) = made.evaluation_sets
    example = next(one for one in evaluation_set.examples if one.target == "good")
    assert made.bases[0].renderer.prompt_text(example) == f"Review: {example.prompt}\nIs it good or bad?\n"
    assert evaluation_set.max_tokens == 8
    (evaluation,) = evaluations_of(made, []).values()
    prompts = evaluation.prompts()
    assert {prompt.request.stop for prompt in prompts} == {("\n",)}
    right = {prompt.key: Completion(f"{prompt.example.target}!", 3, "stop") for prompt in prompts}
    scores = scores_table(evaluation, prompts, right).filter(metric="accuracy")
    assert scores["value"].to_list() == [1.0] * 6
    assert all(re.fullmatch(r"sentiment/1\+[0-9a-f]{12}", version) for version in scores["version"])
    beside = scores_table(evaluation, prompts, right).filter(metric="brevity")
    assert beside["value"].to_list() == [0.0] * 6
    silent = {prompt.key: Completion("?", 3, "stop") for prompt in prompts}
    assert set(scores_table(evaluation, prompts, silent).filter(metric="accuracy")["reason"]) == {"no label found"}


def test_other_code_is_another_version_of_its_scores(tmp_path: Path, tiny_model: Path) -> None:
    versions: set[str] = set()
    for name, task in (("one", SENTIMENT), ("two", SENTIMENT + "\n# changed\n")):
        versions.add(study(tmp_path / name, tiny_model, task).recipe.known_tasks["sentiment"].scorer_version)
    assert len(versions) == 2


SCORES_NOTHING = "def score(example, completion):\n    return [3]\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "TASK = 1"}, r"evaluation.tasks.sentiment.code: TASK in .* is int, not eval.tasks.task.Task"),
        ({"task": "import nothing_there"}, r"sentiment.py cannot be run: ModuleNotFoundError"),
        ({"task": "x = 1"}, r"sentiment.py defines no TASK; see docs/tasks.md"),
        ({"task": SENTIMENT.replace('"sentiment",', '"mood",')}, r"is called 'mood'; call both by one name"),
        ({"task": SENTIMENT.replace("LABELS[example", "LABELS[1, example")}, r"failed in line \d+: KeyError"),
        ({"task": SENTIMENT.replace("float(first ==", "2.0 * float(first ==")}, r"is 2.0; it must lie from 0"),
        ({"task": SENTIMENT.replace('metric="accuracy"', 'metric="recall"')}, r"first score is by accuracy"),
        ({"task": SENTIMENT.replace("{prompt}\\nIs it", "Is it")}, r"its words in 'en' must hold"),
        ({"metric": SCORES_NOTHING}, r"the score of .* is 3; return a list of eval.scorers.score.Score"),
        ({"metric": BREVITY.replace('Score("brevity"', 'Score("other"')}, r"gave a score by 'other'"),
        ({"metric": "x = 1"}, r"brevity.py defines no score"),
        ({"tasks": {"sentiment": {"code": "absent.py"}}}, r"evaluation.tasks.sentiment.code: cannot read .*absent.py"),
        ({"tasks": {"math": {"code": "sentiment.py"}}}, r"is called 'sentiment'; call both"),
        ({"metrics": {"brevity": {"code": "brevity.py", "tasks": ["math"]}}}, r"'math' is not in evaluation.tasks"),
        ({"tasks": {"sentiment": None}}, r"no task 'sentiment'"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_before_anything_is_trained(
    changes: dict[str, Any], message: str, tmp_path: Path, tiny_model: Path
) -> None:
    with pytest.raises(UserError, match=message):
        _ = study(tmp_path, tiny_model, **changes).plans


def test_an_exception_while_scoring_is_the_users_and_names_the_item(tmp_path: Path, tiny_model: Path) -> None:
    broken = BREVITY.replace("    return", "    assert completion != 'boom', 'too loud'\n    return")
    task = study(tmp_path, tiny_model, metric=broken).recipe.known_tasks["sentiment"]
    example = Example(id="x@en", item_id="x", task="sentiment", language="en", prompt="p", target="good")
    assert [score.metric for score in task.score(example, "good")] == ["accuracy", "brevity"]
    with pytest.raises(UserError, match=r"brevity.py: scoring x@en failed in line \d+: AssertionError: too loud"):
        task.score(example, "boom")

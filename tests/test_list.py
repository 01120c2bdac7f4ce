"""What recipes can name, and the version of the program that says so."""

from __future__ import annotations

import json

from data_mixes.sources import SOURCES
from eval.scorers.metrics import MEANINGS
from eval.tasks import TASKS
from harness import __version__
from tests.support import REPOSITORY, harness


def test_everything_a_recipe_can_name_is_listed() -> None:
    printed = harness("list", "--json").stdout
    listed = json.loads(printed)
    assert printed.isascii(), "for a terminal that shows nothing else"
    assert {source["name"] for source in listed["sources"]} == {*SOURCES}
    assert [source["name"] for source in listed["sources"] if source["shipped"]] == [
        "word-problems", "notices", "instructions"
    ]  # fmt: skip
    assert {task["name"]: task["metric"] for task in listed["tasks"]} == {
        task.name: task.metric for task in TASKS.values()
    }
    languages = {language["code"]: language for language in listed["languages"]}
    assert languages["sw"]["name"] == "Swahili" and "mgsm" in languages["sw"]["sources"]
    assert {"math", "summarization", "instructions"} <= {*languages["sw"]["prompts"]}
    assert languages["yo"]["prompts"] == [], "XL-Sum has Yoruba; a recipe brings the prompt's words"
    shown = harness("list").stdout
    assert "mcot-math" in shown and "prompt_pass" in shown and "Swahili" in shown


def test_a_kind_or_one_of_it_is_listed_alone() -> None:
    metrics = json.loads(harness("list", "metrics", "--json").stdout)
    assert metrics["sources"] == metrics["tasks"] == metrics["languages"] == []
    assert {metric["name"] for metric in metrics["metrics"]} >= {task.metric for task in TASKS.values()}
    one = harness("list", "languages", "sw").stdout
    assert "mcot-math" in one and "French" not in one
    for arguments, message in ((["metric"], "did you mean 'metrics'"), (["tasks", "maths"], "did you mean 'math'")):
        refused = harness("list", *arguments)
        assert refused.returncode == 2 and message in refused.stderr


def test_every_metric_of_the_tasks_has_a_meaning() -> None:
    for task in TASKS.values():
        example = SOURCES[task.source].pool("test", "en").examples([0])[0]
        assert {score.metric for score in task.score(example, example.target)} <= set(MEANINGS)


def test_shells_can_complete_commands() -> None:
    assert "--install-completion" in harness("--help").stdout


def test_the_version_is_the_packages() -> None:
    assert harness("--version").stdout == f"harness {__version__}\n"
    assert f'version = "{__version__}"' in (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")

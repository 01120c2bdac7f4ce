"""harness init: recipes that are right as they are written, from options and from questions."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.commands import init
from harness.recipe.load import load_recipe
from harness.recipe.new_recipe import quoted
from tests.support import harness


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Reviews in three languages, twelve training rows and four test rows each, one more in Swahili."""
    (tmp_path / "data").mkdir()
    for language in ("sw", "vi", "hi"):
        for split, count in (("train", 12), ("test", 4 + (language == "sw"))):
            rows = [f"{language} {split} {number},{'good' if number % 2 else 'bad'}" for number in range(count)]
            (tmp_path / "data" / f"{language}.{split}.csv").write_text("\n".join(["review,label", *rows]) + "\n")
    return tmp_path


OWN = ("--task", "mood", "--seen", "sw,vi", "--unseen", "hi", "--files", "data/{language}.{split}.csv")


def test_a_recipe_of_what_ships_is_right_as_it_is_written(tmp_path: Path) -> None:
    made = harness("init", tmp_path / "first.yaml")
    assert made.returncode == 0, made.stderr
    recipe, _ = load_recipe(tmp_path / "first.yaml")
    assert recipe.study == "first" and recipe.evaluation.tasks == ("math",) and len(recipe.grid) == 2
    again = harness("init", tmp_path / "first.yaml")
    assert again.returncode == 2 and "is there already" in again.stderr


def test_a_task_of_ones_own_gets_its_file_and_what_its_data_has(data: Path, tiny_model: Path) -> None:
    made = harness("init", data / "moods.yaml", *OWN, "--model", tiny_model)
    assert made.returncode == 0, made.stderr
    recipe, _ = load_recipe(data / "moods.yaml")
    assert recipe.evaluation.items == 4, "as many as every language has"
    assert recipe.grid["amount"].values == (0, 5, 11)
    columns = recipe.sources["my-data"].columns
    assert (columns.prompt, columns.target) == ("review", "label")
    planned = harness("plan", data / "moods.yaml", "--runs", data / "runs")
    assert planned.returncode == 0 and "moods: 9 cells (9 new)" in planned.stdout
    assert "mood (4 items of my-data), each in sw vi hi" in planned.stdout
    example = recipe.known_sources["my-data"].pool("test", "hi").examples([0])[0]
    (right,), (wrong,) = (recipe.known_tasks["mood"].score(example, text) for text in (f" {example.target}.\n", "no"))
    assert (right.value, wrong.value) == (1.0, 0.0)
    turkish = replace(example, language="tr", target="iyi")
    assert [recipe.known_tasks["mood"].score(turkish, text)[0].value for text in ("İyi", "ıyi")] == [1.0, 0.0]


def test_where_files_are_not_by_split_a_fifth_is_set_aside_for_the_test(data: Path, tiny_model: Path) -> None:
    for language in ("sw", "vi", "hi"):
        (data / "data" / f"{language}.train.csv").rename(data / "data" / f"{language}.csv")
    made = harness("init", data / "moods.yaml", *OWN[:-1], "data/{language}.csv", "--model", tiny_model)
    assert made.returncode == 0, made.stderr
    recipe, _ = load_recipe(data / "moods.yaml")
    assert recipe.sources["my-data"].hold_out == {"test": 2} and recipe.evaluation.items == 2
    assert recipe.grid["amount"].values == (0, 4, 9), (
        "of twelve rows, two of them set aside and one left for what leakage drops"
    )
    planned = harness("plan", data / "moods.yaml", "--runs", data / "runs")
    assert planned.returncode == 0 and "mood (2 items of my-data), each in sw vi hi" in planned.stdout


def test_one_file_may_hold_all_languages(data: Path, tiny_model: Path) -> None:
    rows = [f"{code} review {number},good,{code}" for code in ("sw", "vi", "hi") for number in range(8)]
    (data / "all.csv").write_text("\n".join(["review,mood,lang", *rows]) + "\n")
    made = harness("init", data / "moods.yaml", *OWN[:-1], "all.csv", "--model", tiny_model)
    assert made.returncode == 0, made.stderr
    columns = load_recipe(data / "moods.yaml")[0].sources["my-data"].columns
    assert (columns.language, columns.target) == ("lang", "mood"), "a target may be called like its task"


def test_on_a_terminal_it_asks(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init, "on_terminal", lambda: True)
    replies = iter(["mood", "data/{language}.{split}.csv", "sw,vi", "hi", "gemma-3-270m", "1"])
    monkeypatch.setattr(init.typer, "prompt", lambda question, **_: next(replies))
    assert harness("init", data / "asked.yaml").returncode == 0
    recipe, _ = load_recipe(data / "asked.yaml")
    assert recipe.languages.seen == ("sw", "vi") and recipe.languages.unseen == ("hi",) and [*recipe.grid] == ["amount"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--task", "mood", "--seen", "sw"), "no data for mood"),
        ((*OWN[:-1], "few/{language}.csv"), "vi has 4 items in few/{language}.csv; a fifth is set aside"),
        (("--files", "elsewhere/{language}.{split}.csv"), "no file is called"),
        (("--files", "data/{language}.{split}.csv", "--seen", "sw"), "which column holds the answer"),
        ((*OWN, "--column", "promt=review"), "did you mean 'prompt'"),
        ((*OWN, "--column", "review"), "KEY=COLUMN"),
        ((*OWN, "--amounts", "0,few"), "whole numbers"),
        ((*OWN[:-1], "data/{language}.{split}.csv", "--unseen", "ar"), "ar.test.csv: No such file"),
        (("--seen", "xx", "--unseen", ""), "word-problems has no 'xx'"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_left(options: tuple[str, ...], message: str, data: Path) -> None:
    (data / "few").mkdir()
    for language in ("sw", "vi", "hi"):
        shutil.copy(data / "data" / f"{language}.test.csv", data / "few" / f"{language}.csv")
    made = harness("init", data / "new.yaml", *options)
    assert made.returncode == 2 and message in " ".join(made.stderr.split()), made.stderr
    assert not [*data.glob("*.yaml"), *data.glob("*.py")]


@pytest.mark.parametrize(("text", "yaml"), [("a/b.csv", "a/b.csv"), ("null", '"null"'), ("a: {b}", '"a: {b}"')])
def test_texts_are_quoted_where_yaml_would_read_something_else(text: str, yaml: str) -> None:
    assert quoted(text) == yaml

"""A wrong recipe: one clear message per mistake, all at once, exit 2, no traceback, no model loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.planning.study import Study
from harness.recipe.grid import cells_of, choose
from harness.recipe.load import load_recipe, parse_recipe
from harness.recipe.yaml_files import read_yaml
from tests.support import changed, harness

# ruff: noqa: E501
SHARED = {"sources": ["word-problems"], "languages": ["en", "fr"], "total": 9}
MISTAKES = [
    ("trainig", {}, "trainig: unknown key; did you mean 'training'?"),
    ("training.learning_rat", 1, "training.learning_rat: unknown key; did you mean 'learning_rate'?"),
    ("languages.unseen.0", "jp", "languages.unseen.0: unknown language 'jp'; did you mean 'ja'?"),
    ("mixture.others.languages.0", "frr", "mixture.others.languages.0: 'frr' is not in languages.seen; did you mean 'fr'?"),
    ("mixture.others.languages.0", "ja", "mixture.others.languages.0: 'ja' is in languages.unseen"),
    ("mixture.others.sources.0", "word-problem", "mixture.others.sources.0: no source 'word-problem'; did you mean 'word-problems'?"),
    ("mixture.english.amount", -1, "mixture.english.amount: got -1; should be at least 0"),
    ("training.seed", 2**32, "training.seed: got 4294967296; should be at most 4294967295"),
    ("grid.seed", {"path": "training.seed", "values": [0, 99999999999999]}, "got 99999999999999; should be at most"),
    ("mixture.english.amount", 1.5, "mixture.english.amount: got 1.5"),
    ("mixture.english.amount", 99999, "ask for"),
    ("adapter.modules_to_save", ["lm_head"], "adapter.modules_to_save: vLLM cannot serve adapters with modules_to_save"),
    ("adapter.use_dora", True, "adapter.use_dora: vLLM cannot serve DoRA"),
    ("adapter.targets", "everything", "adapter.targets: got 'everything'"),
    ("evaluation.tasks.0", "maths", "evaluation.tasks.0: no task 'maths'; did you mean 'math'?"),
    ("evaluation.tasks", [], "evaluation: tests nothing; give tasks (math, summarization, instructions), or lm_eval"),
    ("evaluation.lm_eval", 5, "evaluation.lm_eval: got 5; should be a valid array"),
    ("evaluation.lm_eval", {"xnli": {"en": 1}}, "evaluation.lm_eval.xnli.en: got 1; should be a valid string"),
    ("evaluation.lm_eval", ["xnli_fr", "xnli_fr"], "evaluation.lm_eval: 'xnli_fr' stands there 2 times"),
    ("evaluation.lm_eval", {"xnli": {"de": "xnli_de"}}, "evaluation.lm_eval.xnli.de: 'de' is no language of the study; did you mean 'en'?"),
    ("evaluation.lm_eval", {"math": {"en": "hendrycks_math"}}, "evaluation.lm_eval.math.en: 'math' is a task of the harness's own"),
    ("evaluation.lm_eval", ["xnli_fr", "xnli_fra"], "evaluation.lm_eval.1: 'xnli_fra' and 'xnli_fr' are both xnli in 'fr'; call one another name: lm_eval: {other-name: {fr: xnli_fra}}"),
    ("evaluation.lm_eval_folder", "nowhere", "evaluation.lm_eval_folder: no folder"),
    ("evaluation.items", 10**6, "evaluation.items: got 1000000, but word-problems has"),
    ("evaluation.sources", {"math": "notices"}, "evaluation.sources.math: 'notices' is a source for summarization; for math there is word-problems"),
    ("evaluation.sources", {"maths": "notices"}, "'maths' is not in evaluation.tasks; did you mean 'math'?"),
    ("mixture.others.total", 5, "mixture.others: give either amount"),
    ("mixture.others.shares", {"fr": 1}, "mixture.others: temperature and shares divide a total"),
    ("mixture.others.unit", "words", "mixture.others.unit: got 'words'"),
    ("sources.mine", {"task": "math", "languages": ["en"], "files": "x.jsonl", "columns": {"prmopt": "q"}}, "sources.mine.columns.prmopt: unknown key; did you mean 'prompt'?"),
    ("sources.mine", {"task": "math", "languages": ["de", "fr"], "hub": "a/b", "revision": "main"}, "sources.mine.configuration: several languages"),
    ("sources.mine", {"task": "math", "languages": ["en"], "files": "x.jsonl", "revision": "main"}, "sources.mine.revision: does not go with files"),
    ("sources.mine", {"task": "maths", "languages": ["en"], "files": "x.jsonl"}, "sources.mine.task: no task 'maths'"),
    ("sources.mine", {"languages": ["EN"], "hub": ""}, "sources.mine.hub"),
    ("sources.notices", {}, "sources.notices: is a ready-made source"),
    ("sources.xlsum", {"task": "math"}, "sources.xlsum: is a ready-made source: only its hub, revision and hold_out"),
    ("leakage", {"itms": "drop"}, "leakage.itms: unknown key; did you mean 'items'?"),
    ("leakage", "ignore", "leakage.items: got 'ignore'"),
    ("leakage", {"similarity": 0.3}, "leakage.similarity: got 0.3"),
    ("prompts.words", {"math": {"en": "no field"}}, "prompts.words.math.en: got 'no field'; it must hold the field {prompt} once"),
    ("prompts.few_shot", {"summarization": {"shots": 2}}, "prompts.few_shot: 'summarization' is not in evaluation.tasks"),
    ("mixture.english", SHARED | {"shares": {"en": "rest", "fr": 1.2}}, "mixture.english.shares: the others have 1.2 of 1, so that nothing is left"),
    ("mixture.english", SHARED | {"shares": {"en": "rest", "fr": "rest"}}, "mixture.english.shares: gives the rest to several languages"),
    ("mixture.english", SHARED | {"shares": {"en": 1, "fr": 0}}, "mixture.english.shares.fr: got 0; leave the language out, or give another one the rest"),
    ("mixture.english.temperature", 2.0, "mixture.english: temperature and shares divide a total"),
    ("mixture.english.prompts_in", ["fr"], "mixture.english: languages excludes prompts_in"),
    ("mixture.more", {"sources": ["notices"], "prompts_in": ["en"], "amount": 1}, "mixture.more: give languages, or prompts_in and answers_in"),
    ("mixture.more", {"sources": ["notices"], "prompts_in": ["en"], "answers_in": ["en"], "amount": 1}, "mixture.more: prompts_in and answers_in name one language"),
    ("mixture.more", {"sources": ["notices"], "languages": ["en", "fr"], "total": 9, "temperature": 2.0}, "mixture.more.temperature: temperature divides by what each language has"),
    ("mixture.more", {"sources": ["xlsum"], "languages": ["en", "fr"], "amount": 9, "items": "shared"}, "mixture.more.sources.0: items: shared needs translations"),
    ("grid.again", {"path": "mixture.others.amount", "values": [1]}, "grid.again.path: 'mixture.others.amount' is varied by the axis 'amount' already"),
    ("grid.none", {"path": [], "values": [1]}, "grid.none.path: names no key"),
    ("mixture.more", {"sources": ["word-problems"], "languages": ["fr"], "amount": 1, "items": "disjoint"}, "mixture.more.items: shares word-problems with 'english', so both need the same items policy"),
    ("training.steps", 5, "training: give one of epochs, steps and supervised_tokens"),
    ("adapter.rank", 1024, "adapter.rank: got 1024"),
    ("adapter.targets", ["lm_head"], "adapter.targets: lm_head cannot be trained"),
    ("languages.seen", ["en", "fr", "fr"], "languages.seen: 'fr' stands there 2 times"),
    ("mixture.english.sources", ["word-problems", "word-problems"], "mixture.english.sources: 'word-problems' stands there 2 times"),
    ("grid.amount", {"path": "languages.pivot", "values": ["a", "b"]}, "grid.amount.path: got 'languages.pivot'; an axis varies model.name, model.revision, model.quantization, model.reinitialise, or a key of mixture, training, adapter"),
    ("grid.amount.path", "mixture.others.languages.0", "leads into a list"),
    ("study", "../elsewhere", "study: got '../elsewhere'"),
    ("grid.amount.path", "mixture.other.amount", "grid.amount.path: the recipe has no 'mixture.other.amount': at 'other', did you mean 'others'?"),
    ("grid.amount.values", [0, -3], "mixture.others.amount: got -3"),
    ("model.name", "no/such/folder/here", "model.name: no folder 'no/such/folder/here'"),
    ("model.name", "gemma-3-270", "did you mean 'gemma-3-270m'?"),
    ("model.trust_remote_code", "yes", "model.trust_remote_code: got 'yes'"),
    ("training.learning_rate", float("inf"), "training.learning_rate: got "),
    ("sources", {"own": {"task": "math", "files": "own.csv", "columns": {"prompt": ""}}}, "sources.own.columns.prompt: got ''"),
    ("evaluation.judge", {"modell": "x"}, "evaluation.judge.modell: unknown key; did you mean 'model'?"),
    ("evaluation.judge", {"endpoint": "http://localhost:8000/v1"}, "evaluation.judge.model: missing; add this key"),
    ("evaluation.judge", {"model": "x", "endpoint": "localhost:8000/v1"}, "evaluation.judge.endpoint: got 'localhost:8000/v1'; an endpoint is an address such as http"),
    ("evaluation.judge", {"model": "x", "endpoint": "http://[::1"}, "evaluation.judge.endpoint: got 'http://[::1'; an endpoint is an address such as http"),
    ("evaluation.judge", {"model": "x", "endpoint": "http://a/v1/chat/completions"}, "evaluation.judge.endpoint: got 'http://a/v1/chat/completions'; leave off /chat/completions"),
    ("evaluation.judge", {"model": "x", "endpoint": "http://me:secret@a/v1"}, "evaluation.judge.endpoint: its address must hold no name"),
    ("evaluation.judge", {"model": "x", "endpoint": "http://a/v1", "tasks": ["summarization"]}, "evaluation.judge.tasks: 'summarization' is not in evaluation.tasks"),
    ("evaluation", {"tasks": ["math"], "judge": {"model": "x", "endpoint": "http://a/v1"}}, "evaluation.judge.tasks: 'instructions' is not in evaluation.tasks"),
    ("evaluation.judge", {"model": "x", "endpoint": "http://a/v1", "tasks": ["math", "math"]}, "evaluation.judge.tasks: 'math' stands there 2 times"),
    ("evaluation.judge", {"model": "x", "endpoint": "http://a/v1", "against": "amount-4"}, "evaluation.judge.against: no cell 'amount-4'; did you mean 'amount-"),
    ("evaluation", {"tasks": ["instructions"], "base": False, "judge": {"model": "x", "endpoint": "http://a/v1", "against": "base"}}, "evaluation.judge.against: 'base' is not evaluated: evaluation.base is false"),
    ("evaluation.judge", {"model": "x", "endpoint": "http://a/v1", "max_cost": 5}, "evaluation.judge.price: missing; max_cost needs what tokens cost"),
    ("evaluation.judge", {"model": "x", "endpoint": "http://a/v1", "price": {"input": -1, "output": 1}}, "evaluation.judge.price.input: got -1"),
    ("evaluation.judge", {"model": "./no-judge", "concurrency": 4}, "evaluation.judge.concurrency: goes with an endpoint"),
    ("report", {"labels": {"amuont": "examples"}}, "report.labels.amuont: no axis of the grid and no tested task of this name; did you mean 'amount'?"),
    ("report", {"amounts": "logarithmic"}, "report.amounts: got 'logarithmic'"),
    ("evaluation.judge", {"model": "./no-judge"}, "evaluation.judge.model: no folder './no-judge'; a path is seen from the recipe's folder; a model behind an endpoint needs evaluation.judge.endpoint"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "message"), MISTAKES, ids=[f"{path}={value}" for path, value, _ in MISTAKES])
def test_a_mistake_is_named_with_its_path_and_the_fix(
    path: str, value: Any, message: str, recipe_data: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = write_recipe(changed(recipe_data, path, value))
    with pytest.raises(UserError) as caught:
        Study(recipe, tmp_path / "runs").check()
    assert any(message in str(problem) for problem in caught.value.problems), str(caught.value)
    assert not (tmp_path / "runs" / "small").exists()


def test_all_mistakes_are_told_at_once_with_exit_2(
    recipe_data: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    wrong = changed(recipe_data, "trainig", {})
    wrong = changed(wrong, "mixture.english.amount", -1)
    wrong = changed(wrong, "adapter.modules_to_save", ["lm_head"])
    run = harness("plan", write_recipe(wrong), "--runs", tmp_path)
    assert run.returncode == 2
    *lines, rest = run.stderr.strip().splitlines()
    assert rest.startswith("Not checked before this is mended: ")
    assert len(lines) == 3 and all(line.startswith("error: ") for line in lines), run.stderr
    assert "Traceback" not in run.stderr


def test_an_unwritable_runs_folder_is_said_where_something_is_to_be_written(
    recipe_data: dict[str, Any], write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    recipe = write_recipe(recipe_data)
    assert harness("plan", recipe, "--runs", tmp_path / "file" / "runs").returncode == 0, "a plan can be read anywhere"
    run = harness("run", recipe, "--runs", tmp_path / "file" / "runs")
    assert run.returncode == 2 and "--runs: cannot write to" in run.stderr and "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("study: [", "not valid YAML"),
        ("- a\n", "a recipe is a mapping"),
        ("study: a\nstudy: b\n", "not valid YAML"),
        ("study: !!python/object/apply:os.system [true]\n", "not valid YAML"),
        ("study: \x00", "not valid YAML"),
    ],
)
def test_yaml_from_strangers(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        load_recipe(path)


def test_a_missing_recipe_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the recipe"):
        load_recipe(tmp_path / "none.yaml")


def test_norwegian_is_a_language(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("languages: {seen: [no, en]}")
    assert read_yaml(path) == {"languages": {"seen": ["no", "en"]}}


def test_cells_are_named_by_their_axes_and_differ_in_them_alone(recipe_data: dict[str, Any]) -> None:
    data = changed(recipe_data, "grid.seed", {"path": "training.seed", "values": [0, 1]})
    cells = cells_of(parse_recipe(data), data)
    assert [cell.name for cell in cells] == ["amount-0_seed-0", "amount-0_seed-1", "amount-3_seed-0", "amount-3_seed-1"]
    assert [cell.recipe.ingredients["others"].amount for cell in cells] == [0, 0, 3, 3]
    assert [cell.recipe.training.seed for cell in cells] == [0, 1, 0, 1]
    assert {cell.recipe.ingredients["english"].amount for cell in cells} == {5}


def test_equal_cells_are_one_and_values_can_be_named(recipe_data: dict[str, Any]) -> None:
    values = {"none": 0, "zero": 0, "few": 3}
    data = changed(recipe_data, "grid.amount.values", values)
    assert [cell.name for cell in cells_of(parse_recipe(data), data)] == ["amount-none", "amount-few"]


def test_numbers_of_any_size_can_be_in_names(recipe_data: dict[str, Any]) -> None:
    data = changed(
        recipe_data, "grid", {"lr": {"path": "training.learning_rate", "values": [1e30, 2.5e17, 1e-05, 0.1]}}
    )
    names = [cell.name for cell in cells_of(parse_recipe(data), data)]
    assert names == ["lr-1e30", "lr-2.5e17", "lr-1e-05", "lr-0.1"]


def test_a_recipe_without_a_grid_is_one_cell(recipe_data: dict[str, Any]) -> None:
    data = {key: value for key, value in recipe_data.items() if key != "grid"}
    assert [cell.name for cell in cells_of(parse_recipe(data), data)] == ["small"]


def test_an_axis_has_a_label_in_every_cell(recipe_data: dict[str, Any]) -> None:
    data = recipe_data | {"report": {"labels": {"amount": "examples"}}}
    assert [cell.recipe.report.labels for cell in cells_of(parse_recipe(data), data)] == [{"amount": "examples"}] * 2


def test_a_misspelt_cell_is_said(recipe_data: dict[str, Any]) -> None:
    cells = cells_of(parse_recipe(recipe_data), recipe_data)
    assert [cell.name for cell in choose(cells, "amount-3")] == ["amount-3"]
    with pytest.raises(UserError, match=r"no cell 'amount-4'; did you mean 'amount-"):
        choose(cells, "amount-4")


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parent.parent / "recipes").glob("[!m]*.yaml")), ids=lambda path: path.name
)
def test_the_recipes_that_ship_are_right(path: Path) -> None:
    recipe, raw = load_recipe(path)
    assert cells_of(recipe, raw)


def test_the_readme_shows_a_recipe_that_is_right(tmp_path: Path) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(study:.*?)```", readme, re.DOTALL)
    path = tmp_path / "recipe.yaml"
    path.write_text(block, encoding="utf-8")
    recipe, raw = load_recipe(path)
    assert [cell.name for cell in cells_of(recipe, raw)] == ["amount-0", "amount-25", "amount-50"]
    quickstart, raw = load_recipe(Path(__file__).parent.parent / "recipes" / "quickstart.yaml")
    for named in re.findall(r"--cells ([\w,-]+)", readme):
        assert named == "NAME," or choose(cells_of(quickstart, raw), named)


def test_excluded_combinations_are_no_cells(recipe_data: dict[str, Any]) -> None:
    recipe_data["grid"] = {
        "amount": {"path": "mixture.others.amount", "values": [0, 1, 2]},
        "seed": {"path": "training.seed", "values": [1, 2]},
        "size": {"path": "adapter.rank", "values": {"small": 4, "large": 8}},
    }
    recipe_data["exclude"] = [{"amount": 0, "seed": 2}, {"amount": 1}, {"size": "large", "amount": 2}]
    assert [cell.name for cell in cells_of(parse_recipe(recipe_data), recipe_data)] == [
        "amount-0_seed-1_size-small", "amount-0_seed-1_size-large", "amount-2_seed-1_size-small",
        "amount-2_seed-2_size-small",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("exclude", "message"),
    [
        ([{"amuont": 0}], r"exclude.0.amuont: no axis of the grid has this name; did you mean 'amount'\?"),
        ([{"amount": 3}, {"amount": 4}], r"exclude.1.amount: got 4, which is no value of this axis"),
        ([{}], "exclude.0: names no axis, and would leave out every cell"),
        ([{"amount": 0}, {"amount": 3}], "exclude: leaves no cell of the grid"),
    ],
)
def test_what_cannot_be_excluded_is_said(
    exclude: list[dict[str, Any]], message: str, recipe_data: dict[str, Any]
) -> None:
    recipe_data["exclude"] = exclude
    with pytest.raises(UserError, match=message):
        cells_of(parse_recipe(recipe_data), recipe_data)


def as_file(folder: Path, name: str, data: dict[str, Any]) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_a_recipe_builds_on_files_that_it_includes(recipe_data: dict[str, Any], tmp_path: Path) -> None:
    rows = {"task": "math", "languages": ["en"], "files": "../parts/rows.jsonl"}
    as_file(tmp_path, "parts/data.yaml", {"include": "training.yaml", "sources": {"mine": rows}})
    as_file(tmp_path, "parts/training.yaml", {"training": {"learning_rate": 1e-5, "epochs": 1}, "adapter": {"rank": 4}})
    own = recipe_data | {"include": ["parts/training.yaml", "parts/data.yaml"], "training": {"learning_rate": 1e-4}}
    own["adapter"] = {"rank": None, "alpha": 8}
    recipe, raw = load_recipe(as_file(tmp_path, "recipe.yaml", own))
    assert (recipe.training.learning_rate, recipe.training.epochs) == (1e-4, 1), "key by key, its own above"
    assert raw["adapter"] == {"alpha": 8}, "null takes a key away"
    assert recipe.sources["mine"].files == {"train": str(tmp_path / "parts" / "rows.jsonl")}
    assert "include" not in raw


def test_of_two_included_files_the_later_has_the_last_word(recipe_data: dict[str, Any], tmp_path: Path) -> None:
    del recipe_data["mixture"]
    first = {"mixture": {"own": {"sources": ["notices"], "languages": ["en"], "amount": 3}}, "adapter": {"rank": 2}}
    as_file(tmp_path, "first.yaml", first)
    as_file(tmp_path, "second.yaml", {"mixture": "english-and-others", "adapter": {"rank": 4}})
    data = recipe_data | {"include": ["first.yaml", "second.yaml"], "adapter": {}, "grid": {}}
    data["languages"] = {"seen": ["en", "es", "fr", "ja", "zh"], "unseen": ["ko"]}
    recipe, _ = load_recipe(as_file(tmp_path, "recipe.yaml", data))
    assert recipe.adapter.rank == 4 and "own" not in recipe.ingredients, "a mix is a whole"


def test_wrong_includes_are_refused(recipe_data: dict[str, Any], tmp_path: Path) -> None:
    as_file(tmp_path, "a.yaml", {"include": "b.yaml"})
    as_file(tmp_path, "b.yaml", {"include": "a.yaml"})
    for given, message in (("a.yaml", "includes itself, by way of b.yaml"), ("none.yaml", "cannot read the recipe"),
                           (3, "include: got 3; name a YAML file")):  # fmt: skip
        with pytest.raises(UserError, match=message):
            load_recipe(as_file(tmp_path, "recipe.yaml", recipe_data | {"include": given}))

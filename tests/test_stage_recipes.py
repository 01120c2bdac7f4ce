"""Recipes with stages: what is refused, what cells come of them, their rows, and what identifies them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.planning.contrast import neighbours
from harness.planning.stages import chains_of, with_parents
from harness.planning.study import Study
from harness.recipe.grid import cells_of
from harness.recipe.load import load_recipe
from harness.runs.record import fingerprint
from tests.support import compared
from tests.test_stages import continual, parts

Write = Callable[[dict[str, Any]], Path]
ORDER = {"path": "stages.order", "values": {"up": ["en", "fr", "es"], "down": ["en", "es", "fr"]}}
METHOD = {
    "values": {
        "naive": {"stages.start": "continue"},
        "replay": {"stages.replay": 2},
        "own": {"stages.start": "fresh"},
        "joint": {"stages.start": "fresh", "stages.joint": True},
    }
}
MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"stages": {"on-fr": {"after": "nowhere"}}}, "stages.on-fr.after: no stage 'nowhere' comes before"),
    ({"stages": {"text-fr": {"after": "text-en"}}}, "stages.text-fr.after: a fresh stage begins with the base model"),
    ({"stages": {"text-fr": {"replay": 3}}}, "stages.text-fr.replay: a fresh stage goes on from none"),
    ({"stages": {"again": {"start": "continue"}}}, "stages.again.start: 'on-fr' is a stack"),
    (
        {"stages": {"task": {"start": "continue"}}},
        "stages.task.adapter.rank: got 8, and 'text-fr', which it goes on from, has 4",
    ),
    ({"stages": {"on-fr": {"adapter": {"targets": ["q_proj"]}}}}, "stages.on-fr.adapter.targets: got ('q_proj',)"),
    ({"stages": {"on-fr": {"adapter": {"rank": 512}}}}, "the stack has rank 516, and vLLM serves 512"),
    (
        {"stages": {"again": {"training": {"method": "full"}}}},
        "stages.again.start: stack puts an adapter on top of others",
    ),
    (
        {"stages": {"task": {"mixture": {"rows": {"sources": ["word-problem"]}}}}},
        "stages.task.mixture.rows.sources.0: no source 'word-problem'; did you mean 'word-problems'?",
    ),
    (
        {"stages": {"task": {"mixture": {"rows": {"languages": ["ja"]}}}}},
        "stages.task.mixture.rows.languages.0: 'ja' is in languages.unseen",
    ),
    (
        {"stages": {"order": ["task"]}},
        "stages.order: got task; name each stage once: text-en, text-fr, task, on-fr, again",
    ),
    ({"stages": {"joint": True}}, "stages.joint: goes with each: language"),
    (
        {"mixture": {"rows": {"sources": ["notices"], "languages": ["en"], "amount": 1}}},
        "mixture: a recipe with stages names the components of each stage",
    ),
    ({"training": {"keep": "nothing-after-evaluation"}}, "training.keep: stages go on from the weights of others"),
    (
        {"grid": {"stage": {"path": "training.seed", "values": [0, 1]}}},
        "grid.stage: stages are an axis of this name already",
    ),
    ({"compose": {"task": {"sum": {"task": 1}}}}, "compose.task: a stage is called 'task' too"),
    ({"compose": {"away": {"sum": {"tsak": 1}}}}, "compose.away: no stage 'tsak'; did you mean 'task'?"),
    ({"compose": {"away": {"take": "task"}}}, "compose.away: give either sum, or ties, or take with layers"),
    ({"compose": {"away": {"density": 0.5}}}, "compose.away.density: goes with ties; remove it"),
    ({"compose": {"more": {"ties": {"task": 1, "tsak": 1}}}}, "compose.more: no stage 'tsak'"),
    (
        {"compose": {"away": {"sum": {"task.own": 1}}}},
        "compose.away: 'task.own': the adapter of a stage that is no stack is its own",
    ),
    (
        {"compose": {"swap": {"layers": {"text-fr": [[0, 2]], "text-en": [[1, 2]]}}}},
        "compose.swap.layers: a layer is named twice",
    ),
    ({"compose": {"swap": {"layers": {"text-fr": [[1, 1]]}}}}, "compose.swap.layers: [1, 1] holds no layer"),
]


def merged(data: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Data with nested keys changed."""
    nested = {key: merged(data.get(key, {}), value) for key, value in change.items() if isinstance(value, dict)}
    return {**data, **change, **nested}


@pytest.mark.parametrize(("change", "message"), MISTAKES, ids=[message[:50] for _, message in MISTAKES])
def test_a_mistake_is_told(change: dict[str, Any], message: str, tiny_model: Path, write_recipe: Write) -> None:
    with pytest.raises(UserError) as refused:
        cells_of(*load_recipe(write_recipe(merged(parts(tiny_model), change))))
    assert message in str(refused.value)


def test_layers_that_the_model_does_not_have_are_refused_before_training(
    tiny_model: Path, write_recipe: Write, tmp_path: Path
) -> None:
    data = merged(parts(tiny_model), {"compose": {"swap": {"layers": {"text-fr": [[1, 3]]}}}})
    with pytest.raises(UserError, match=r"compose\.swap\.layers: got \[1, 3\], and the model has 2 layers"):
        Study(write_recipe(data), tmp_path).check()


def test_what_begins_alike_is_one_cell(tiny_model: Path, write_recipe: Write, tmp_path: Path) -> None:
    data = continual(tiny_model) | {"grid": {"order": ORDER, "method": METHOD}}
    study = Study(write_recipe(data), tmp_path)
    names = [plan.name.replace("order-", "").replace("method-", "").replace("stage-", "") for plan in study.plans]
    assert names == [
        "up_naive_en", "up_naive_fr", "up_naive_es", "up_replay_fr", "up_replay_es", "up_own_fr", "up_own_es",
        "up_joint_fr", "up_joint_es", "down_naive_es", "down_naive_fr", "down_replay_es", "down_replay_fr",
        "down_joint_es",
    ]  # fmt: skip
    chains = {chain.name: chain for chain in chains_of(study.recipe, study.cells)}
    assert len(chains) == 8 and all(len(chain.cells) == 3 for chain in chains.values())
    joint = chains["order down, method joint"]
    assert joint.stages == ("en", "es", "fr") and joint.cells[2] == "order-up_method-joint_stage-es", (
        "all three languages"
    )
    assert study.learned["order-down_method-naive_stage-fr"] == ("en", "fr", "es")
    assert study.learned["order-up_method-own_stage-es"] == ("es",)


def test_replayed_rows_are_the_first_ones_of_the_stages_before(tiny_model: Path, write_recipe: Write) -> None:
    data = continual(tiny_model)
    data["stages"]["replay"] = 2
    recipe, raw = load_recipe(write_recipe(data))
    rows = {each.cell.name: each.mixture for each in compared(recipe, raw)}
    first, second, third = (rows[f"order-up_stage-{name}"] for name in ("en", "fr", "es"))

    def ids(mixture: Any, language: str) -> list[str]:
        return sorted(example.id for example in mixture if example.language == language)

    assert len(first) == 6 and len(second) == 8 and len(third) == 10
    assert {*ids(second, "en")} < {*ids(first, "en")} and ids(second, "en") == ids(third, "en")
    assert {*ids(third, "fr")} < {*ids(second, "fr")} and len(ids(third, "fr")) == 2


def test_a_changed_stage_leaves_those_before_it(tiny_model: Path, write_recipe: Write, tmp_path: Path) -> None:
    def prints(change: dict[str, Any]) -> dict[str, str]:
        plans = Study(write_recipe(merged(parts(tiny_model), change)), tmp_path / "runs").plans
        return {plan.cell.name: fingerprint(json.loads(json.dumps(dict(plan.run.identity)))) for plan in plans}

    before = prints({})
    assert len({*before.values()}) == 8
    after = prints({"stages": {"on-fr": {"training": {"learning_rate": 2e-2}}}})
    assert {name for name in before if before[name] != after[name]} == {"stage-on-fr", "stage-again", "stage-mad-x"}
    after = prints({"stages": {"text-fr": {"training": {"steps": 1}}}})
    assert {name for name in before if before[name] == after[name]} == {"stage-text-en", "stage-task"}
    after = prints({"compose": {"away": {"sum": {"text-en": -0.5}}}})
    assert {name for name in before if before[name] != after[name]} == {"stage-away"}
    alone = {"stages": {"text-en": parts(tiny_model)["stages"]["text-en"]}}
    data = {key: value for key, value in parts(tiny_model).items() if key not in ("compose", "stages")} | {
        "study": "one"
    }
    (plan,) = Study(write_recipe(data | {"mixture": alone["stages"]["text-en"]["mixture"]}), tmp_path / "runs").plans
    assert fingerprint(dict(plan.run.identity)) == before["stage-text-en"], "a single training is a list of one"


def test_cells_that_others_begin_with_are_chosen_with_them(tiny_model: Path, write_recipe: Write) -> None:
    cells = cells_of(*load_recipe(write_recipe(parts(tiny_model))))
    chosen = with_parents(cells, ["stage-mad-x"])
    assert chosen == {"stage-mad-x", "stage-on-fr", "stage-text-fr", "stage-text-en"}


def test_a_stage_that_is_not_gone_on_from_is_no_difference(tiny_model: Path, write_recipe: Write) -> None:
    data = continual(tiny_model)
    rows = {"sources": ["word-problems"], "languages": ["en"], "amount": 3}
    data["stages"] = {"first": {"mixture": {"rows": rows}}, "task": {"mixture": {"rows": rows | {"amount": 2}}}}
    key = "stages.first.mixture.rows"
    data["grid"] = {"first": {"values": {
        "one": {"stages.task.start": "continue", key: rows | {"as": "text"}},
        "other": {"stages.task.start": "continue", key: rows | {"languages": ["fr"]}},
        "nothing": {"stages.task.start": "fresh"},
    }}}  # fmt: skip
    recipe, raw = load_recipe(write_recipe(data))
    pairs = {(each.before, each.after): each for each in neighbours(compared(recipe, raw), recipe.axes)}
    assert all(each.one_factor for each in pairs.values())
    last = pairs["first-other_stage-task", "first-nothing_stage-task"]
    assert [str(change) for change in last.changes] == ["stages.task.start continue → fresh"]


def test_the_last_stage_alone_is_tested_unless_all_are(tiny_model: Path, write_recipe: Write) -> None:
    data = continual(tiny_model)
    del data["evaluation"]["after"]
    cells = cells_of(*load_recipe(write_recipe(data)))
    assert [cell.name for cell in cells if cell.is_evaluated] == ["order-up_stage-es", "order-down_stage-fr"]


def test_parts_that_are_one_and_the_same_training_count_as_often_as_they_stand(
    tiny_model: Path, write_recipe: Write, tmp_path: Path
) -> None:
    data = continual(tiny_model)
    rows = {"rows": {"sources": ["word-problems"], "languages": ["en"], "amount": 3}}
    data["stages"] = {"one": {"mixture": rows}, "again": {"start": "fresh", "mixture": rows}}
    data["compose"] = {"once": {"sum": {"one": 1}}, "twice": {"sum": {"one": 1, "again": 1}},
                       "doubled": {"sum": {"again": 2}}}  # fmt: skip
    del data["grid"]
    study = Study(write_recipe(data), tmp_path)
    prints = {name: fingerprint(plan.run.identity) for plan in study.plans for name in plan.cell.names}
    assert prints["stage-one"] == prints["stage-again"], "trained once"
    assert prints["stage-once"] != prints["stage-twice"] == prints["stage-doubled"]

"""A term of one's own, as docs/recipes.md has it: trained with, identified by content, refused where it is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness.planning.study import Study
from harness.runs.record import fingerprint
from tests.support import REPOSITORY, changed, harness, small_recipe, train_here

(CENTRES,) = re.findall(
    r"```python\n(.*?)```", (REPOSITORY / "docs" / "recipes.md").read_text(encoding="utf-8"), re.DOTALL
)
OWN = {"code": "centres.py", "on": "mixed", "batch": 4, "weight": 1.0}
MIXED = {"sources": ["instructions"], "languages": ["en", "fr"], "amount": 8, "only_for": "own"}


def write(folder: Path, tiny_model: Path, content: str = CENTRES, **changes: Any) -> Path:
    """A recipe of a plain cell, one with the term, and one with it at weight 0, and its file of code."""
    data = small_recipe(tiny_model)
    data["mixture"] = {"rows": {"sources": ["word-problems"], "languages": ["en"], "amount": 16}, "mixed": MIXED}
    terms = {"plain": {}, "centres": {"own": OWN | changes}, "nothing": {"own": OWN | {"weight": 0}}}
    data["grid"] = {"loss": {"path": "training.objectives", "values": terms}}
    data["evaluation"] |= {"tasks": ["math"], "max_tokens": {"math": 4}}
    data["evaluation"]["sources"] = {"math": "word-problems"}
    folder.mkdir(exist_ok=True)
    (folder / "centres.py").write_text(content, encoding="utf-8")
    (folder / "recipe.yaml").write_text(json.dumps(data), encoding="utf-8")
    return folder / "recipe.yaml"


def record(folder: Path, cell: str) -> dict[str, Any]:
    return json.loads((folder / "small" / cell / "record.json").read_text())


def test_the_documented_term_is_trained_with(tmp_path: Path, tiny_model: Path) -> None:
    recipe = write(tmp_path, tiny_model)
    ended = train_here(recipe, tmp_path)
    assert ended.returncode == 0, ended.stderr
    trained = record(tmp_path, "loss-centres")
    own = trained["objective_own"]
    assert len(own) == trained["steps"] == 4 and own[0] == pytest.approx(1, abs=1e-4), "nothing has moved as yet"
    assert min(own[1:]) < 1 and trained["objectives"]["own"]["code"] == trained["identity"]["training"]["objectives"][
        "own"]["code"]  # fmt: skip
    assert not (tmp_path / "small" / "loss-nothing").exists(), "with weight 0 it is the plain cell"
    assert "objective_own" not in record(tmp_path, "loss-plain")
    planned = harness("plan", recipe, "--runs", tmp_path)
    assert f"Runs {tmp_path / 'centres.py'} (" in planned.stdout + planned.stderr
    (tmp_path / "centres.py").write_text(CENTRES.replace("0.5", "0.6"), encoding="utf-8")
    refused = harness("plan", recipe, "--runs", tmp_path)
    assert refused.returncode == 2 and "training.objectives.own.code was" in refused.stderr


def test_it_is_known_by_its_content_not_by_its_path(tmp_path: Path, tiny_model: Path) -> None:
    prints = []
    for folder, code in (("one", CENTRES), ("two", CENTRES), ("three", CENTRES + "\n")):
        plans = Study(write(tmp_path / folder, tiny_model, code), tmp_path / "runs").plans
        prints.append(fingerprint(next(plan.run.identity for plan in plans if plan.name == "loss-centres")))
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize(
    ("code", "changes", "told"),
    [
        ("def other(batch): ...", {}, "defines no loss; see docs/recipes.md"),
        ("loss = 1", {}, "is int, not a function"),
        ("import nothing_of_the_kind", {}, "cannot be run: ModuleNotFoundError"),
        (CENTRES, {"code": "elsewhere.py"}, "cannot read"),
        (CENTRES, {"on": "rows"}, "give it only_for: own"),
    ],
)
def test_what_is_no_term_is_refused(
    code: str, changes: dict[str, Any], told: str, tmp_path: Path, tiny_model: Path
) -> None:
    ended = harness("plan", write(tmp_path, tiny_model, code, **changes), "--runs", tmp_path)
    assert ended.returncode == 2 and told in ended.stderr, ended.stderr


def test_what_returns_no_loss_fails_the_cell_and_says_why(tmp_path: Path, tiny_model: Path) -> None:
    recipe = write(tmp_path, tiny_model, "def loss(batch):\n    return batch.states(1, of='beginning').mean()\n")
    ended = train_here(recipe, tmp_path, "--cells", "loss-centres")
    assert ended.returncode != 0
    assert "returned a tensor of shape () without gradients" in record(tmp_path, "loss-centres")["reason"]


def test_pairs_of_translations_have_two_sides(tmp_path: Path, tiny_model: Path) -> None:
    code = (
        "def loss(batch):\n"
        "    assert set(batch.languages) == {'en>fr'} and len(set(batch.items)) == 4\n"
        "    return ((batch.states(1) - batch.states(1, side='second')) ** 2).mean()\n"
    )
    recipe = write(tmp_path, tiny_model, code)
    data = changed(
        json.loads(recipe.read_text()), "mixture.mixed", MIXED | {"prompts_in": ["en"], "answers_in": ["fr"]}
    )
    del data["mixture"]["mixed"]["languages"]
    recipe.write_text(json.dumps(data))
    ended = train_here(recipe, tmp_path, "--cells", "loss-centres")
    assert ended.returncode == 0, ended.stderr
    assert record(tmp_path, "loss-centres")["objective_own"][-1] > 0

"""mOthello as a recipe like any other: read, trained, stopped and gone on with, measured, reported."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from eval.othello.alignment import ChanceLines
from eval.othello.findings import Measured, Setting, findings
from eval.othello.measures import LEGAL_RATE, PROBE
from harness.errors import UserError
from harness.othello.stages import measured_steps, state_file, train_cell, weights_file
from harness.othello.study import MothelloStudy, identity_of
from harness.othello.world import CellWorld
from harness.recipe.mothello import Mothello, load_mothello
from harness.recipe.reference import sections
from harness.recipe.yaml_files import read_yaml
from harness.runs.folder import CellFolder
from harness.runs.record import fingerprint
from tests.support import REPOSITORY, harness

SMALL: dict[str, Any] = {
    "study": "small",
    "kind": "mothello",
    "world": {"board": 4, "opening": 2, "games": {"pretrain": 64, "finetune": 64, "probe": 20, "test": 8}},
    "languages": {"a": "atomic", "b": "atomic"},
    "model": {"layers": 1, "heads": 2, "width": 16},
    "pretrain": {"steps": 10, "batch": 16, "learning_rate": 3e-3, "warmup_steps": 2},
    "finetune": {"language": "a", "steps": 6, "batch": 16, "learning_rate": 1e-3, "checkpoints": 2},
    "probe": {"layer": 1, "hidden": 8},
    "checkpoint_every": 4,
    "grid": {"sharing": {"path": "shared", "values": {"naive": {}, "unified": {"output": True}}}},
}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "small.yaml"
    path.write_text(json.dumps(SMALL | changes), encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "cells"), [("mothello-tiny", 15), ("mothello-small", 3), ("mothello", 9)])
def test_the_recipes_that_ship_are_read(name: str, cells: int) -> None:
    path = REPOSITORY / "recipes" / f"{name}.yaml"
    recipe, found = load_mothello(path)
    assert len(found) == cells and recipe.study == name
    settings = MothelloStudy(recipe, found, Path()).settings.values()
    assert {len(runs) for runs in settings} == ({1} if "trained once" in path.read_text(encoding="utf-8") else {3})


def test_what_was_trained_stays_what_it_was() -> None:
    """A key that comes later must leave the fingerprints of earlier runs, at its default."""
    _, cells = load_mothello(REPOSITORY / "recipes" / "mothello-tiny.yaml")
    prints = [fingerprint(identity_of(cell.recipe)) for cell in cells]
    assert len({*prints}) == 15 and prints[0] == "7f40e7f7eff2ec83"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"modle": {}}, "modle: unknown key; did you mean 'model'?"),
        ({"languages": {"a": "atomic"}}, "languages: got"),
        ({"finetune": SMALL["finetune"] | {"language": "c"}}, "finetune.language: got 'c'; use one of a, b"),
        ({"probe": {"layer": 2}}, "probe.layer: got 2, but the model has 1 layers"),
        ({"model": {"layers": 1, "heads": 3, "width": 16}}, "model.width: got 16; use a multiple of the 3 heads"),
        ({"shared": {"anchors": 13}, "grid": {}}, "shared.anchors: got 13; the board has 12 squares to move to"),
        ({"shared": {"anchors": {"5": ["a", "b"]}}, "grid": {}}, "shared.anchors: square 5 is never played"),
        ({"shared": {"anchors": {"0": ["a", "x"]}}, "grid": {}}, "shared.anchors: no language x; there are a, b"),
        ({"world": SMALL["world"] | {"opening": [0]}}, "square 0 is no legal move"),
        ({"pretrain": SMALL["pretrain"] | {"batch": 65}}, "pretrain.batch: got 65, but world.games.pretrain is 64"),
        ({"grid": {"g": {"path": "world.seed", "values": [0]}}}, "an axis of mothello varies a key of shared"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    done = harness("plan", written(tmp_path, **changes), "--runs", tmp_path)
    assert done.returncode == 2 and said in " ".join(done.stderr.split()), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]


def test_every_key_says_what_it_is_for_and_the_schema_holds() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(harness("schema", "mothello").stdout)
    for path in sorted((REPOSITORY / "recipes").glob("mothello*.yaml")):
        jsonschema.validate(json.loads(json.dumps(read_yaml(path))), schema)
    keys = [
        (path, name, field) for path, section in sections("", Mothello) for name, field in section.model_fields.items()
    ]
    assert len(keys) > 30 and not [f"{path}.{name}" for path, name, field in keys if not field.description]


def test_other_commands_say_which_ones_know_such_a_recipe(tmp_path: Path) -> None:
    recipe = written(tmp_path)
    for command in ("eval", "train", "fetch"):
        done = harness(command, recipe, "--runs", tmp_path)
        assert done.returncode == 2 and "goes through harness plan, run, work, status and report alone" in done.stderr
    refused = harness("plan", recipe, "--runs", tmp_path, "--card")
    assert refused.returncode == 2 and "has no mixtures to show" in refused.stderr


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe and what came of it."""
    folder = tmp_path_factory.mktemp("mothello")
    done = harness("run", written(folder), "--runs", folder / "runs", "--processes", "1")
    assert done.returncode == 0, done.stderr
    assert "F1, languages that share nothing are not aligned; sharing-naive:" in " ".join(done.stdout.split())
    return folder


def test_a_study_is_planned_run_and_reported(study: Path) -> None:
    recipe, runs = study / "small.yaml", study / "runs"
    plan = json.loads(harness("plan", recipe, "--runs", runs, "--json").stdout)
    assert [cell["state"] for cell in plan["cells"]] == ["measured", "measured"] and plan["seconds"] == 0
    assert len(plan["opening"]) == 2 and plan["parameters"] > 1000
    status = json.loads(harness("status", recipe, "--runs", runs, "--json").stdout)
    assert [(cell["steps_done"], cell["steps"]) for cell in status["cells"]] == [(16, 16)] * 2
    again = harness("run", recipe, "--runs", runs)
    assert again.returncode == 0 and "every cell is trained and measured already" in again.stderr
    told = json.loads(harness("report", recipe, "--runs", runs, "--json").stdout)
    assert [found["name"] for found in told["findings"]] == ["F1", "F4"]
    rows = pl.DataFrame(told["summary"])
    assert set(rows["step"]) == {0, 3, 6} and set(rows["n"]) == {8} and set(rows["runs"]) == {1}
    assert rows.filter(metric=PROBE, step=0).select("source", "language").unique().height == 4
    assert rows.filter(metric=PROBE, step=3)["source"].unique().to_list() == ["a"]
    by_step = pl.read_csv(runs / "small" / "transfer.csv")
    assert by_step.height == 2 * 3 * 4 and by_step.filter(figure="target_gain", step=0)["mean"].to_list() == [0.0, 0.0]
    page = (runs / "small" / "report.html").read_text(encoding="utf-8")
    assert "of these trained models" in page and "<script" not in page and page.count("<svg") == 3
    assert (runs / "small" / "figures" / "fine-tuning.pdf").is_file()


def test_another_experiment_of_this_name_is_refused_and_another_probe_trains_nothing(study: Path) -> None:
    runs, changed = study / "runs", study / "changed.yaml"
    changed.write_text(json.dumps(SMALL | {"pretrain": SMALL["pretrain"] | {"learning_rate": 1e-4}}), encoding="utf-8")
    refused = harness("run", changed, "--runs", runs)
    assert refused.returncode == 2 and "pretrain.learning_rate was 0.003, is 0.0001" in " ".join(refused.stderr.split())
    weights = runs / "small" / "sharing-naive" / "weights" / "step-00006.safetensors"
    before = weights.stat().st_mtime_ns
    changed.write_text(json.dumps(SMALL | {"probe": {"layer": 1, "hidden": 9}}), encoding="utf-8")
    assert '"trained"' in harness("status", changed, "--runs", runs, "--json").stdout
    done = harness("run", changed, "--runs", runs, "--processes", "1")
    assert done.returncode == 0 and weights.stat().st_mtime_ns == before, done.stderr
    damaged = runs / "small" / "sharing-naive" / "measures.parquet"
    damaged.write_bytes(b"?")
    harness("report", changed, "--runs", runs)
    assert damaged.with_name("measures.parquet.damaged").is_file() and not damaged.exists()
    assert harness("run", study / "small.yaml", "--runs", runs, "--processes", "1").returncode == 0


class StoppedError(Exception):
    """As by a signal."""


def test_a_cell_that_was_stopped_comes_out_as_one_that_was_not(tmp_path: Path) -> None:
    """Stopped in pretraining two steps after a checkpoint, and in fine-tuning before there is one."""
    _, cells = load_mothello(written(tmp_path))
    world, whole, broken = CellWorld(cells[1].recipe), CellFolder(tmp_path / "whole"), CellFolder(tmp_path / "broken")
    undisturbed = train_cell(world, whole)
    for after in (6, 9):
        steps = 0

        def count(number: int, after: int = after) -> None:
            nonlocal steps
            steps += number
            if steps == after:
                raise StoppedError

        torch.manual_seed(after)
        with pytest.raises(StoppedError):
            train_cell(world, broken, count)
    state_file(broken).with_name("other").touch()
    assert train_cell(world, broken).losses == undisturbed.losses
    for step in measured_steps(world.recipe):
        one, other = (load_file(weights_file(folder, step)) for folder in (whole, broken))
        assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_two_studies_at_once_leave_a_cell_to_one_of_them(tmp_path: Path) -> None:
    from harness.runs.locks import locked

    recipe, folder = written(tmp_path), tmp_path / "runs" / "small" / "sharing-naive"
    folder.mkdir(parents=True)
    with locked(folder / ".lock"):
        done = harness("run", recipe, "--runs", tmp_path / "runs", "--processes", "1")
    assert done.returncode == 0 and "sharing-naive: another process is at it" in done.stderr, done.stderr
    assert "Not measured yet: sharing-naive" in (folder.parent / "report.html").read_text(encoding="utf-8")


def made_up(rates: dict[str, tuple[float, float, float, float]], probes: dict[str, tuple[float, float]]) -> Measured:
    """A study of three runs and forty games: rates of source and target before and after, and what probes read."""
    rng, rows = np.random.default_rng(0), list[pl.DataFrame]()
    kinds: Any = {"naive": "nothing", "anchors": "anchors", "unified": "output"}
    for setting, (source, after, target, target_after) in rates.items():
        means = {
            (0, LEGAL_RATE, None, "a"): source, (9, LEGAL_RATE, None, "a"): after,
            (0, LEGAL_RATE, None, "b"): target, (9, LEGAL_RATE, None, "b"): target_after,
            (0, PROBE, "a", "a"): probes[setting][0], (0, PROBE, "a", "b"): probes[setting][1],
        }  # fmt: skip
        for run in range(3):
            for (step, metric, read, language), mean in means.items():
                values = mean + rng.normal(0, 0.01) + rng.normal(0, 0.05, 40)
                rows.append(pl.DataFrame({"game": range(40), "value": values}).with_columns(
                    cell=pl.lit(f"{setting}-{run}"), setting=pl.lit(setting), step=pl.lit(step),
                    metric=pl.lit(metric), source=pl.lit(read, dtype=pl.String), language=pl.lit(language),
                ))  # fmt: skip
    settings = [
        Setting(name, tuple(f"{name}-{run}" for run in range(3)), "a", ("b",), kinds[name], 4, 9) for name in rates
    ]
    return Measured(pl.concat(rows), tuple(settings), ChanceLines(0.53, 0.62, 0.76))


def test_the_papers_findings_are_found_where_they_are() -> None:
    as_published = made_up(
        {"naive": (0.6, 0.9, 0.6, 0.1), "anchors": (0.6, 0.9, 0.6, 0.4), "unified": (0.6, 0.9, 0.6, 0.9)},
        {"naive": (0.75, 0.54), "anchors": (0.75, 0.72), "unified": (0.75, 0.75)},
    )
    assert [(found.name, found.verdict) for found in findings(as_published)] == [
        ("F1", "shown"), ("F2", "shown"), ("F3", "shown"), ("F4", "shown"),
    ]  # fmt: skip
    otherwise = made_up(
        {"naive": (0.6, 0.9, 0.6, 0.1), "anchors": (0.6, 0.9, 0.6, 0.8), "unified": (0.6, 0.9, 0.6, 0.7)},
        {"naive": (0.75, 0.74), "anchors": (0.75, 0.55), "unified": (0.75, 0.75)},
    )
    told = [*findings(otherwise)]
    assert [found.verdict for found in told] == ["the opposite is shown"] * 4
    assert [as_published.aligned_pairs(setting) for setting in as_published.settings] == [(0, 3), (3, 3), (3, 3)]
    assert "transfer 0.5" in told[2].sentence and "points" in told[3].sentence
    flat = made_up({"anchors": (0.6, 0.6, 0.6, 0.4)}, {"anchors": (0.75, 0.75)})
    assert [found.verdict for found in findings(flat)] == ["shown", "open"], "the source learns nothing"
    unsure = made_up({"unified": (0.6, 0.9, 0.6, 0.85)}, {"unified": (0.75, 0.75)})
    assert [found.verdict for found in findings(unsure)] == ["open"]
    above = made_up({"unified": (0.6, 0.8, 0.6, 0.85)}, {"unified": (0.75, 0.75)})
    assert re.search(
        r"ends [\d.]+ points \(95 % CI [\d.−]+ to [\d.]+\) above that of a", next(findings(above)).sentence
    )


def test_a_source_that_gains_nothing_has_no_transfer() -> None:
    flat = made_up({"unified": (0.9, 0.9, 0.9, 0.9)}, {"unified": (0.75, 0.75)})
    assert flat.transfer(flat.settings[0]).mean is None


def test_nothing_measured_is_said(tmp_path: Path) -> None:
    done = harness("report", written(tmp_path), "--runs", tmp_path)
    assert done.returncode == 2 and "nothing is measured yet; first: harness run RECIPE" in done.stderr
    with pytest.raises(UserError):
        load_mothello(tmp_path / "none.yaml")

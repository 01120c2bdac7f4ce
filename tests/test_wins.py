"""Win rates over configurations: Wilson's intervals as published, and intervals that know of models and languages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from eval.analysis.instances import codes_of
from eval.analysis.wins import by_clusters
from tests.support import harness

CORE = ("en", "es", "ja", "bn", "sw")
TESTED = (*CORE, "te")
PUBLISHED = {"english": (30, 40, 59.8, 85.8), "trained": (35, 40, 73.9, 94.5), "other": (119, 160, 67.1, 80.5)}
"""Wins, configurations and Wilson's interval in percent, of arXiv 2604.13286."""


def published_table(path: Path) -> Path:
    """Bilingual mixtures over English alone: five models, two tasks, six languages, with as many wins as published."""
    left = {name: wins for name, (wins, *_) in PUBLISHED.items()}
    rows: list[dict[str, Any]] = []
    for other in CORE[1:]:
        for model in range(5):
            for task in ("math", "api"):
                place = {"model": f"m{model}", "task": task}
                for target in TESTED:
                    kind = "english" if target == "en" else "trained" if target == other else "other"
                    left[kind] -= 1
                    score = 0.6 if left[kind] >= 0 else 0.4
                    rows.append({"mixture": f"en+{other}", "target": target, "kind": kind, "score": score} | place)
    rows += [{"mixture": "en", "target": target, "kind": "none", "score": 0.5, "model": f"m{model}", "task": task}
             for model in range(5) for task in ("math", "api") for target in TESTED]  # fmt: skip
    pl.DataFrame(rows).write_csv(path)
    return path


def counted(path: Path, *options: str) -> Any:
    done = harness("wins", path, "--setting", "mixture", "--over", "en", *options, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["analyses"]


def test_wilsons_intervals_are_those_published(tmp_path: Path) -> None:
    path = published_table(tmp_path / "table.csv")
    of = ",".join(f"en+{language}" for language in CORE[1:])
    parts = {part["group"]["kind"]: part for part in counted(path, "--of", of, "--group", "kind")}
    for kind, (wins, n, low, high) in PUBLISHED.items():
        part = parts[kind]
        assert (part["wins"], part["rate"]["n"], part["ties"], part["unpaired"]) == (wins, n, 0, 0)
        assert [100 * end for end in part["wilson"]] == pytest.approx([low, high], abs=0.1)
        assert part["rate"]["mean"] == pytest.approx(wins / n)
    assert parts["english"]["rate"]["low"] is None and parts["english"]["clusters"] == [5, 1], "one language"
    assert parts["other"]["rate"]["low"] < parts["other"]["wilson"][0], "clusters make it wider"
    shown = harness("wins", path, "--setting", "mixture", "--of", of, "--over", "en", "--group", "kind").stdout
    assert "67.1–80.5" in shown and "clusters: 5 of model and 5 of target" in shown


def test_intervals_by_clusters_hold_the_truth_where_wilsons_do_not() -> None:
    drawn, held, too_sure = np.random.default_rng(0), 0, 0
    one, other = (codes.ravel() for codes in np.indices((10, 8)))
    one, other = np.repeat(one, 2), np.repeat(other, 2)
    for _ in range(300):
        lean = drawn.normal(0, 1, 10)[one] + drawn.normal(0, 1, 8)[other] + drawn.normal(0, 1, len(one))
        outcomes = (lean > 0).astype(np.float64)
        low, high = by_clusters(outcomes, one, other)
        assert low is not None and high is not None
        held += low <= 0.5 <= high
        half = 1.96 * 0.5 / np.sqrt(len(one))
        too_sure += abs(outcomes.mean() - 0.5) > half
    assert held >= 0.9 * 300 and too_sure > 0.3 * 300


def test_ties_are_half_a_win_seeds_are_averaged_and_what_lacks_a_score_is_counted(tmp_path: Path) -> None:
    rows = [
        {"cell": cell, "model": model, "task": "math", "target": target, "seed": seed, "score": score}
        for (cell, target, seed), score in {
            ("a", "fr", 0): 0.4, ("a", "fr", 1): 0.6, ("b", "fr", 0): 0.5, ("b", "fr", 1): 0.5,
            ("a", "ja", 0): 0.9, ("b", "ja", 0): 0.1, ("a", "ko", 0): 0.9, ("b", "ko", 0): None,
        }.items()
        for model in ("m", "n")
    ]  # fmt: skip
    path = tmp_path / "table.csv"
    pl.DataFrame(rows).write_csv(path)
    (part,) = json.loads(harness("wins", path, "--of", "a", "--over", "b", "--json").stdout)["analyses"]
    assert (part["wins"], part["ties"], part["losses"], part["unpaired"]) == (2, 2, 0, 2)
    assert part["rate"]["mean"] == 0.75 and part["clusters"] == [2, 2]
    for options, message in (
        (("--of", "c", "--over", "b"), "column 'cell' has no 'c'; it has a, b"),
        (("--of", "a,b", "--over", "b"), "'b' is compared with itself"),
        (("--of", "a", "--over", "b", "--clusters", "model"), "give two columns, as in model,target"),
        (("--of", "a", "--over", "b", "--by", "base"), "no column 'base'"),
    ):
        refused = harness("wins", path, *options)
        assert refused.returncode == 2 and message in refused.stderr, refused.stderr


def test_wins_everywhere_are_as_many_as_the_fewer_clusters() -> None:
    codes = codes_of(pl.Series(["a", "b", "c", "a", "b", "c"]))
    low, high = by_clusters(np.ones(6), codes, np.arange(6))
    assert high == 1.0 and low == pytest.approx(0.438, abs=0.001), "Wilson's of three of three"

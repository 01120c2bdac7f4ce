"""harness similarity and harness probe, on a tiny model and files that look like real ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from harness.runs.folder import StudyFolder
from tests.support import harness, train_here

NOUNS, VERBS = ("apple", "river", "table", "stone"), ("eats", "finds", "sees", "holds")


def texts(folder: Path, **counts: int) -> None:
    """Numbered sentences, a line each; Japanese ones begin alike in every line."""
    for language, count in counts.items():
        lines = [f"{language} {NOUNS[number % 4]} number {number} {VERBS[number % 3]}" for number in range(count)]
        (folder / f"{language}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def treebank(folder: Path, language: str, count: int) -> None:
    """Sentences of a noun, a verb and a noun."""
    rng = np.random.default_rng(0)
    blocks: list[str] = []
    for number in range(count):
        forms = [(NOUNS[rng.integers(4)], "NOUN", 2, "nsubj"), (VERBS[rng.integers(4)], "VERB", 0, "root"),
                 (NOUNS[rng.integers(4)], "NOUN", 2, "obj")]  # fmt: skip
        rows = [f"{place}\t{form}\t_\t{tag}\t_\t_\t{head}\t{relation}\t_\t_"
                for place, (form, tag, head, relation) in enumerate(forms, 1)]  # fmt: skip
        blocks.append("\n".join([f"# sent_id = n{number}", *rows]))
    (folder / f"{language}.conllu").write_text("\n\n".join(blocks) + "\n", encoding="utf-8")


def labelled(folder: Path, *languages: str) -> None:
    """Pairs of texts, the second of which says whether they go together."""
    for language in languages:
        rows = [{"one": f"{language} {NOUNS[number % 4]}", "other": f"{VERBS[number % 2]} it", "gold": number % 2}
                for number in range(80)]  # fmt: skip
        (folder / f"{language}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_the_base_model_and_cells_are_compared_by_layer(
    recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    texts(tmp_path, en=12, fr=12, ja=12)
    words = "\n".join(["en,fr,ja", *(f"one{number},un{number},いち{number}" for number in range(9))])
    (tmp_path / "words.csv").write_text(words, encoding="utf-8")
    recipe_data["similarity"] = {"texts": "{language}.txt", "measures": ["mexa", "anc"], "words": "words.csv"}
    recipe, runs = write_recipe(recipe_data), tmp_path / "runs"
    assert train_here(recipe, runs, "--cells", "amount-3").returncode == 0
    ended = harness("similarity", recipe, "--runs", runs, "--json")
    assert ended.returncode == 0, ended.stderr
    answer = json.loads(ended.stdout)
    rows = answer["similarity"]
    assert {row["model"] for row in rows} == {"base", "amount-3"}
    assert {(row["measure"], row["language"]) for row in rows} == {
        (measure, language) for measure in ("mexa", "anc") for language in ("fr", "ja")
    }
    assert {row["layer"] for row in rows} == {0, 1, 2}
    by_model = {model: [row["value"] for row in rows if row["model"] == model] for model in ("base", "amount-3")}
    assert by_model["base"] != by_model["amount-3"]
    changes = {(row["model"], row["change"] is None, row["base"]) for row in rows}
    assert changes == {("base", True, "base"), ("amount-3", False, "base")}
    pairs = pl.read_csv(runs / "small" / "similarity_pairs.csv")
    assert pairs.filter(measure="mexa").select("model", "one", "other").rows() == [
        ("base", "en", "fr"), ("base", "en", "ja"), ("base", "fr", "ja"),
    ]  # fmt: skip
    of_french = [row["value"] for row in rows
                 if (row["model"], row["measure"], row["language"]) == ("base", "anc", "fr")]  # fmt: skip
    assert pairs.filter(measure="anc", one="en", other="fr")["mean"].item() == pytest.approx(np.mean(of_french))
    assert {row["words"] for row in answer["lens"]} <= set(range(1, 10))
    states = StudyFolder(runs / "small").states
    made = {path.name: path.stat().st_mtime_ns for path in states.glob("*.npy")}
    assert len(made) == 6
    next(iter(states.glob("*.npy"))).write_bytes(b"broken")
    shown = harness("similarity", recipe, "--runs", runs, "--cells", "amount-3")
    assert shown.returncode == 0
    assert "similarity to en, of 12 sentences; layers 0 (embeddings) to 2" in shown.stdout
    assert sum(path.stat().st_mtime_ns != made[path.name] for path in states.glob("*.npy")) <= 1


def test_probes_are_trained_on_every_language_and_tested_on_all(
    recipe_data: dict[str, Any], write_recipe: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    for language in ("en", "fr"):
        treebank(tmp_path, language, 60)
    labelled(tmp_path, "en", "fr")
    recipe_data["probe"] = {"treebanks": "{language}.conllu", "languages": ["en", "fr"],
                            "tasks": ["pos", "deprel", "language"], "layers": [0, 2], "seeds": 2,
                            "labelled": {"nli": {"files": "{language}.jsonl", "texts": ["one", "other"],
                                                 "label": "gold"}}}  # fmt: skip
    ended = harness("probe", write_recipe(recipe_data), "--runs", tmp_path / "runs", "--json")
    assert ended.returncode == 0, ended.stderr
    rows = json.loads(ended.stdout)["probes"]
    assert len(rows) == 2 * (3 * 4 + 2)
    of_texts = {(row["trained_on"], row["tested_on"]): row for row in rows if row["task"] == "nli" and row["layer"]}
    assert {*of_texts} == {(one, other) for one in ("en", "fr") for other in ("en", "fr")}
    assert all(row["n"] == row["sentences"] for row in of_texts.values())
    assert min(row["accuracy"] for (one, other), row in of_texts.items() if one == other) > 0.9, "other words"
    assert {row["trained_on"] for row in rows if row["task"] == "language"} == {"all"}
    for row in [row for row in rows if row["task"] in ("pos", "deprel")]:
        low, high = row["low"] or 0, row["high"] or 1
        assert low - 1e-9 <= row["accuracy"] <= high + 1e-9
        assert row["task"] == "deprel" or row["accuracy"] > row["majority"] + 0.2, "nouns and verbs are other words"
        assert row["n"] == (3 if row["task"] == "pos" else 2) * row["sentences"]
    shown = harness("probe", tmp_path / "recipe.yaml", "--runs", tmp_path / "runs")
    assert "labels shuffled" in shown.stdout


@pytest.mark.parametrize(
    ("section", "command", "message"),
    [
        ({}, "similarity", "similarity: the recipe has no such section"),
        ({}, "probe", "probe: the recipe has no such section"),
        ({"similarity": {"texts": "{language}.txt"}}, "similarity", "got en.txt 12, fr.txt 11, ja.txt 12"),
        ({"similarity": {"texts": "{language}.tsv"}}, "similarity", "no file"),
        ({"probe": {"treebanks": "{language}.conllu"}}, "probe", "cannot read"),
        ({"probe": {"treebanks": "{language}.conllu", "train_on": ["de"]}}, "probe", "probe.train_on: de"),
        ({"probe": {"layers": [0]}}, "probe", "names neither treebanks nor labelled texts"),
        (
            {"probe": {"labelled": {"nli": {"files": "{language}.txt", "texts": ["premise"], "label": "gold"}}}},
            "probe",
            "probe.labelled.nli",
        ),
    ],
)
def test_what_cannot_be_measured_is_told(
    section: dict[str, Any],
    command: str,
    message: str,
    recipe_data: dict[str, Any],
    write_recipe: Callable[[dict[str, Any]], Path],
    tmp_path: Path,
) -> None:
    texts(tmp_path, en=12, fr=11, ja=12)
    ended = harness(command, write_recipe(recipe_data | section), "--runs", tmp_path / "runs")
    assert ended.returncode == 2
    assert message in " ".join(ended.stderr.split())

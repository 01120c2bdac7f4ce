"""Sources without splits: rows set aside are the same items in all languages, and no cell trains on them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_mixes.example import Split
from data_mixes.source import Source, SourceError
from harness.recipe.source_settings import SourceSettings
from tests.support import harness

LANGUAGES = ("sw", "vi", "hi")
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def written(folder: Path, counts: dict[str, int], item: bool = True) -> None:
    """A file per language of numbered reviews; a longer file goes on where a shorter one ends."""
    folder.mkdir(exist_ok=True)
    for language, count in counts.items():
        rows = [f"{number},{language} review {number},{'good' if number % 2 else 'bad'}" for number in range(count)]
        (folder / f"{language}.csv").write_text("\n".join(["number,review,label", *rows]) + "\n", encoding="utf-8")


def source(folder: Path, item: bool = True, **hold_out: int) -> Source:
    columns: dict[str, Any] = {"prompt": "review", "target": "label"} | ({"item": "number"} if item else {})
    given = {"task": "math", "languages": LANGUAGES, "files": str(folder / "{language}.csv"), "columns": columns}
    return SourceSettings.model_validate(given | ({"hold_out": hold_out} if hold_out else {})).made("reviews")


def items(made: Source, split: Split, language: str) -> set[int]:
    return set(made.pool(split, language).items.tolist())


def test_every_item_is_in_one_split_in_all_languages(tmp_path: Path) -> None:
    written(tmp_path, {"sw": 40, "vi": 40, "hi": 50})
    made = source(tmp_path, test=10, validation=5)
    splits = {split: [items(made, split, language) for language in LANGUAGES] for split in SPLITS}
    for split, count in (("test", 10), ("validation", 5)):
        assert len(splits[split][0]) == count and splits[split][0] == splits[split][1] == splits[split][2]
    assert [len(rest) for rest in splits["train"]] == [25, 25, 35]
    held = splits["test"][0] | splits["validation"][0]
    assert not any(held & rest for rest in splits["train"]) and not splits["test"][0] & splits["validation"][0]
    pools = [made.pool(split, "vi") for split in SPLITS]
    texts = [example.prompt for pool in pools for example in pool.examples(range(len(pool)))]
    assert sorted(texts) == sorted(f"vi review {number}" for number in range(40)), "each row once, and none is lost"


def test_what_is_drawn_depends_on_the_items_alone(tmp_path: Path) -> None:
    written(tmp_path / "one", dict.fromkeys(LANGUAGES, 40))
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    for path in (tmp_path / "other").iterdir():
        head, *rows = path.read_text().splitlines()
        path.write_text("\n".join([head, *reversed(rows)]) + "\n")
    first, turned = source(tmp_path / "one", test=10), source(tmp_path / "other", test=10)
    assert items(first, "test", "vi") == items(turned, "test", "vi")
    assert items(source(tmp_path / "one", test=10, validation=5), "test", "vi") == items(first, "test", "vi")
    assert items(first, "test", "vi") < items(source(tmp_path / "one", test=20), "test", "vi")


def test_how_much_is_set_aside_is_part_of_the_version(tmp_path: Path) -> None:
    written(tmp_path, dict.fromkeys(LANGUAGES, 40))
    made = [
        source(tmp_path),
        source(tmp_path, test=10),
        source(tmp_path, test=11),
        source(tmp_path, test=10, validation=1),
    ]
    assert len({one.version for one in made}) == 4
    assert not made[0].has("test") and made[1].has("test") and not made[1].has("validation")


def test_without_shared_items_each_language_has_its_own(tmp_path: Path) -> None:
    written(tmp_path, {"sw": 12, "vi": 30, "hi": 30})
    made = source(tmp_path, item=False, test=10)
    assert [len(made.pool("test", language)) for language in LANGUAGES] == [10, 10, 10]
    assert [len(made.pool("train", language)) for language in LANGUAGES] == [2, 20, 20]
    with pytest.raises(SourceError, match="hold_out sets 12 aside, but reviews has 12 items in 'sw'; set fewer aside"):
        source(tmp_path, item=False, test=12).pool("train", "sw")


def test_a_study_of_files_without_splits_says_what_it_lacks_and_runs_with_it(
    tmp_path: Path, recipe_data: dict[str, Any]
) -> None:
    written(tmp_path, dict.fromkeys(("en", "fr", "ja"), 20))
    columns = {"prompt": "review", "target": "label", "item": "number"}
    given: dict[str, Any] = {"task": "summarization", "languages": ["en", "fr", "ja"], "columns": columns}
    recipe_data["sources"] = {"reviews": given | {"files": "{language}.csv"}}
    recipe_data["mixture"] = {"all": {"sources": ["reviews"], "languages": ["en", "fr"], "amount": 8}}
    recipe_data["grid"] = {"amount": {"path": "mixture.all.amount", "values": [4, 8]}}
    recipe_data["evaluation"] |= {"tasks": ["summarization"], "items": 5, "sources": {"summarization": "reviews"}}
    del recipe_data["evaluation"]["max_tokens"]
    recipe = tmp_path / "recipe.yaml"

    def planned() -> Any:
        recipe.write_text(json.dumps(recipe_data))
        return harness("plan", recipe, "--runs", tmp_path / "runs")

    assert "sources.reviews.hold_out: {test: 5}" in planned().stderr
    recipe_data["sources"]["reviews"]["hold_out"] = {"test": 5}
    shown = planned()
    assert shown.returncode == 0 and "(5 items of reviews)" in shown.stdout, shown.stderr
    recipe_data["sources"]["reviews"]["hold_out"] = {"test": 20}
    assert "sets 20 aside, but reviews has 20 items that every language has" in planned().stderr
    recipe_data["sources"]["reviews"] |= {
        "hold_out": {"test": 5},
        "files": {"train": "{language}.csv", "test": "en.csv"},
    }
    assert "sources.reviews.hold_out.test: files has test rows already; remove one" in planned().stderr
    recipe_data["sources"]["reviews"] |= {"hold_out": {"train": 5}, "files": "{language}.csv"}
    assert "sources.reviews.hold_out.train" in planned().stderr


def test_pools_give_the_rows_at_any_places(tmp_path: Path) -> None:
    written(tmp_path, dict.fromkeys(LANGUAGES, 40))
    pool = source(tmp_path, test=10).pool("train", "hi")
    shuffled = np.random.default_rng(0).permutation(len(pool))
    examples = pool.examples(shuffled)
    assert [example.prompt for example in examples] == [pool.examples([place])[0].prompt for place in shuffled]

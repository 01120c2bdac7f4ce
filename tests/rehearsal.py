"""The shape of every recipe in recipes/, run in small: tiny models, a few rows of the real data sets' schemas, a judge.

    python -m tests.rehearsal [--runs FOLDER] [RECIPE…]

A recipe keeps its sources, tasks, languages, axes and methods. Its amounts, items, steps and lengths shrink, its models
become random ones of three layers, and data sets are read from folders laid out like those on the hub.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import pyarrow as pa
import pyarrow.parquet as pq

from data_mixes.prompt_words import answer_sentence
from data_mixes.sources.aya import NAMES
from data_mixes.sources.mcot_math import MCOT_MATH
from data_mixes.sources.mgsm import MGSM, MGSM_P_MMEVAL
from data_mixes.sources.xlsum import FOLDERS
from harness.recipe.grid import cells_of
from harness.recipe.load import load_recipe
from harness.recipe.mothello import is_mothello
from harness.recipe.written import read_recipe
from harness.recipe.yaml_files import as_yaml
from tests.judge_server import judge_server
from tests.support import REPOSITORY

RECIPES = REPOSITORY / "recipes"
ROWS = 60
"""Training rows of each stand-in data set in each language."""
TESTED = 10
"""Test rows of each."""
TOKENIZER = REPOSITORY / "tests" / "data" / "made-by-2f60a04" / "model"
LONGEST = 8192
"""Positions of a stand-in model."""
WORDS = ("river garden winter letter market station picture window morning doctor village paper bridge music").split()  # noqa: SIM905
TOO_LONG = ("mothello.yaml", "mothello-small.yaml")
"""Recipes of mOthello whose shape is that of mothello-tiny.yaml, at more hours."""


def recipes() -> list[Path]:
    """Every recipe in the folder; a file without a study is a part of others."""
    found = sorted(RECIPES.rglob("*.yaml"))
    return [path for path in found if "study" in read_recipe(path) and "shared" not in path.parts]


def text(name: str, number: int, words: int = 24) -> str:
    """Text that is like no other of the stand-in data."""
    drawn = [WORDS[(number * 7 + place * place * (number % 5 + 1)) % len(WORDS)] for place in range(words)]
    return f"{name} {number * 31 + 7}: " + " ".join(f"{word}{(crc32(name.encode()) + number) % 9973}" for word in drawn)


def stand_ins(folder: Path) -> dict[str, Path]:
    """Writes a few rows of each data set of the hub that a recipe names, in its schema; source → folder."""
    for language, name in FOLDERS.items():
        for split, count in (("train", ROWS), ("validation", TESTED), ("test", TESTED)):
            rows = [{"id": f"{split}{number}", "text": text(f"news {split} {language}", number, 60),
                     "summary": text(f"sum {split} {language}", number, 6)} for number in range(count)]  # fmt: skip
            parquet(folder / "xlsum" / name / split / "0000.parquet", rows)
    rows = [{"lang-id": f"{language}-{number}", "question": text(f"question {language}", number),
             "answer": f"{number} + 1 = {number + 1}. {answer_sentence(number + 1, language)}"}
            for language in MCOT_MATH.languages for number in range(ROWS)]  # fmt: skip
    written(folder / "mcot-math" / "lang-id" / "mcot-math.json", json.dumps(rows))
    for language in MGSM.languages:
        worked = [{"question": f"Question: {text(f'shown {language}', number)}", "answer": f"Answer: {number}.",
                   "answer_number": number, "equation_solution": ""} for number in range(8)]  # fmt: skip
        asked = [{"question": text(f"asked {language}", number), "answer": None, "answer_number": number,
                  "equation_solution": None} for number in range(TESTED)]  # fmt: skip
        parquet(folder / "mgsm" / language / "train-0.parquet", worked)
        parquet(folder / "mgsm" / language / "test-0.parquet", asked)
    for language in MGSM_P_MMEVAL.languages:
        rows = [{"question": text(f"tested {language}", number), "answer": str(number)} for number in range(TESTED)]
        written(folder / "mgsm-p-mmeval" / "mgsm" / "test" / f"{language}.jsonl", lines(rows))
    rows = [{"inputs": text(f"dolly {language}", number), "targets": "not applicable", "language": name,
             "script": "Latn", "source_id": number}
            for language, name in NAMES.items() for number in range(TESTED)]  # fmt: skip
    parquet(folder / "aya-dolly" / "dolly_machine_translated" / "test-0.parquet", rows)
    return {path.name: path for path in folder.iterdir()}


def own_files(pattern: str, language: str, split: str) -> None:
    """Writes a file that a recipe asks its user for, unless it is there."""
    path = Path(pattern.replace("{language}", language))
    rows = [{"item": f"{split} {number}", "prompt": text(f"ask {split} {language}", number),
             "target": text(f"reply {split} {language}", number, 8)} for number in range(ROWS)]  # fmt: skip
    written(path, lines(rows))


def parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    """Rows as a Parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def written(path: Path, content: str) -> None:
    """A text file and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def lines(rows: list[dict[str, Any]]) -> str:
    """Rows as JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def in_small(path: Path, folder: Path, data: Mapping[str, Path], models: list[Path], judge: str) -> Path:
    """A recipe in small, as a file in `folder`, its models in turn those given."""
    raw = read_recipe(path)
    recipe, _ = load_recipe(path)
    used = [*recipe.ingredients.values()]
    names = {name for part in used for name in part.sources} | {*recipe.evaluation.sources.values()}
    names |= {name for few_shot in recipe.prompts.few_shot.values() for name in few_shot.sources}
    for name in names & data.keys():
        raw.setdefault("sources", {}).setdefault(name, {})["hub"] = str(data[name])
    for name, source in (raw.get("sources") or {}).items():
        if source.get("hold_out"):
            source["hold_out"] = dict.fromkeys(source["hold_out"], 4)
        files = source.get("files") or {}
        for split, pattern in ({"train": files} if isinstance(files, str) else files).items():
            if Path(pattern).resolve().parent == RECIPES / path.parent.name / "data":  # its users bring these
                stand_in = str(folder / path.stem / Path(pattern).name)
                source["files"] = stand_in if isinstance(files, str) else source["files"] | {split: stand_in}
                for language in source["languages"]:
                    own_files(stand_in, language, f"{name} {split}")
    shrink_amounts(raw)
    for asked in (raw.get("generated") or {}).values():
        asked["prompts"]["amount"], asked["short"] = 4, "allow"  # a tiny model writes nothing that is kept
    for made in (raw.get("compose") or {}).values():
        made |= {"layers": {key: [[0, 1]] for key in made["layers"]}} if "layers" in made else {}
    replace_models(raw, models)
    raw.pop("execution", None)
    raw["training"] = (raw.get("training") or {}) | {"global_batch": 4, "micro_batch": 4, "warmup_steps": 0}
    for key in ("epochs", "steps", "supervised_tokens"):
        raw["training"].pop(key, None)
    raw["training"] |= {"steps": 3, "learning_rate": 1e-3, "checkpoint_every": 2, "max_length": 4096}
    if raw.get("selection"):
        raw["selection"] |= {"every": 2, "items": 2}
    evaluation = raw["evaluation"]
    evaluation["items"] = dict.fromkeys(evaluation["items"], 2) if isinstance(evaluation.get("items"), dict) else 2
    evaluation["max_tokens"] = dict.fromkeys(evaluation.get("tasks") or (), 6)
    evaluation.pop("decoding", None)
    whole = raw["training"].get("method") == "full" or len(models_in(raw)) > 1  # each would need an engine of its own
    evaluation["engine"] = "transformers" if whole else "auto"
    if evaluation.get("judge"):
        evaluation["judge"] |= {"endpoint": judge, "model": "stand-in"}
    small = folder / path.stem / f"{path.parent.name}-{path.name}"
    written(small, as_yaml(raw))
    return small


def shrink_amounts(raw: dict[str, Any]) -> None:
    """Amounts and totals become small ones in the same order: 0 stays 0, the least of the others is 2, and so on."""
    stages = raw.get("stages") or {}
    mixtures = [part.get("mixture") for part in (raw, *([stages] if "each" in stages else stages.values()))]
    components = [part for mixture in mixtures for part in (mixture or {}).values() if isinstance(part, dict)]
    axes = [
        axis for axis in (raw.get("grid") or {}).values() if str(axis.get("path", "")).endswith((".amount", ".total"))
    ]
    given = {part[key] for part in components for key in ("amount", "total") if key in part}
    given |= {value for axis in axes for value in axis["values"]}
    few = {amount: 2 * place for place, amount in enumerate(sorted(given | {0}))}
    share = 12 if any("shares" in part for part in components) else 1  # every language of a divided total gets a row
    for part in components:
        part |= {key: few[part[key]] * share for key in ("amount", "total") if key in part}
        if part.get("unit", "examples") != "examples":
            part["unit"] = "examples"
    for axis in axes:
        axis["values"] = [few[value] for value in axis["values"]]


def models_in(raw: dict[str, Any]) -> set[str]:
    """The base models that a recipe names."""
    settings = [settings for axis in (raw.get("grid") or {}).values() if axis.get("path") is None
                for settings in axis["values"].values()]  # fmt: skip
    named = {str(each["model.name"]) for each in settings if "model.name" in each}
    for axis in (raw.get("grid") or {}).values():
        if axis.get("path") == "model.name":
            named |= set(axis["values"].values() if isinstance(axis["values"], dict) else axis["values"])
    return named or {raw["model"]["name"]}


def replace_models(raw: dict[str, Any], models: list[Path]) -> None:
    """Every model that the recipe names becomes one of those given: the first for the first, and so on."""
    known: dict[str, str] = {}

    def small(name: str) -> str:
        return known.setdefault(name, str(models[len(known) % len(models)]))

    axes = (raw.get("grid") or {}).values()
    for axis in axes:
        values = axis["values"]
        if axis.get("path") == "model.name":
            named = values.items() if isinstance(values, dict) else enumerate(values)
            axis["values"] = {str(key): small(name) for key, name in named}
        elif axis.get("path") is None and isinstance(values, dict):
            for settings in values.values():
                if "model.name" in settings:
                    settings["model.name"] = small(settings["model.name"])
    if raw.get("model"):
        raw["model"] = {"name": small(raw["model"]["name"]), "dtype": "float32"}


def tiny_models(folder: Path, count: int = 3) -> list[Path]:
    """Writes causal models of two layers with random weights, each of its own seed."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(TOKENIZER)
    config.update({"max_position_embeddings": LONGEST, "hidden_size": 64, "head_dim": 32})  # vLLM wants 32 on CPUs
    config.update({"num_attention_heads": 2, "num_key_value_heads": 2})
    for number in range(count):
        torch.manual_seed(number)
        model = AutoModelForCausalLM.from_config(config)
        model.save_pretrained(folder / f"model-{number}")
        for file in TOKENIZER.glob("token*"):
            shutil.copy(file, folder / f"model-{number}")
    return [folder / f"model-{number}" for number in range(count)]


def rehearse(path: Path, runs: Path) -> bool:
    """Runs the first, a middle and the last cell of a recipe to its report; whether all went well."""
    cells = [] if is_mothello(path) else [cell.name for cell in cells_of(*load_recipe(path))]
    chosen = {cells[0], cells[len(cells) // 2], cells[-1]} if cells else set()
    options = [option for name in sorted(chosen) for option in ("--cells", name)]
    command = [sys.executable, "-m", "harness.cli", "run", path, "--runs", runs, *options]
    begun = time.monotonic()
    environment = os.environ | {"OPENAI_API_KEY": "of nobody"}  # for the judge beside
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment)
    shown = f"{path.parent.name}/{path.name}" if cells else path.name
    print(f"{'ok' if done.returncode == 0 else 'FAILED'}  {shown}  {time.monotonic() - begun:.0f} s", flush=True)
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-4000:], sep="\n", flush=True)
    return done.returncode == 0


def main() -> None:
    """Rehearses each recipe; exits with 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", type=Path, help="Default: all in recipes/.")
    parser.add_argument("--runs", type=Path, help="Where the studies go; by default they are not kept.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, judge_server() as judge:
        folder = Path(name)
        data, models = stand_ins(folder / "data"), tiny_models(folder)
        wanted = [path.resolve() for path in given.recipes] or [path for path in recipes() if path.name not in TOO_LONG]
        small = [path if is_mothello(path) else in_small(path, folder / "small", data, models, judge.endpoint)
                 for path in wanted]  # fmt: skip
        went_well = [rehearse(path, given.runs or folder / "runs") for path in small]
    print(f"{sum(went_well)} of {len(went_well)} recipes ran to their reports")
    sys.exit(not all(went_well))


if __name__ == "__main__":
    main()

"""Ten million rows in thirty languages from Parquet: planned and written in training order, beside `datasets`.

    python benchmarks/mixtures_at_scale.py [--rows 10000000] [--folder /tmp/scale] [--skip-datasets]

Both sides take the same mixture, a tenth less of every language than there is, from one Parquet file with a
language column, and write the rows in their shuffled order to Arrow on disk. Each runs in a process of its own,
whose peak of resident memory is read from the kernel. `datasets` is used as its documentation teaches: one filter a
language, shuffle and select, concatenate, shuffle, and its indices flattened to rows on disk.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

LANGUAGES = tuple(f"{first}{second}" for first in "abcdef" for second in "vwxyz")
GROUP = 131_072


def make_parquet(path: Path, rows: int) -> None:
    """A file of short rows, the languages mixed."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    words = np.array([f"word{number}" for number in range(4096)])
    schema = pa.schema([(name, pa.string()) for name in ("id", "language", "text", "summary")])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, rows, GROUP):
            count = min(GROUP, rows - start)
            numbers = np.arange(start, start + count)
            texts = [" ".join(row) for row in words[rng.integers(0, len(words), (count, 16))]]
            columns = [
                [f"item-{number}" for number in numbers // len(LANGUAGES)],
                [LANGUAGES[number % len(LANGUAGES)] for number in numbers],
                texts,
                [text[:40] for text in texts],
            ]
            writer.write_table(pa.table([pa.array(column) for column in columns], schema=schema))


def ours(path: Path, folder: Path, amount: int) -> int:
    """The mixture made by this project; the rows written."""
    os.environ["HARNESS_CACHE"] = str(folder / "cache")
    import pyarrow as pa

    from data_mixes.example import SCHEMA
    from data_mixes.mixture import Component, Orders, allot, materialise
    from data_mixes.pairs import Variant
    from data_mixes.reading.files import FileSource
    from data_mixes.reading.table import Columns

    columns = Columns(prompt="text", target="summary", item="id", language="language")
    source = FileSource("scale", "summarization", LANGUAGES, {"train": str(path)}, columns)
    components = [Component("all", [source], [Variant(language) for language in LANGUAGES], amount=amount)]
    orders = Orders(components)
    rows = materialise(allot(components, orders), components, orders, 0)
    said("planned")
    with pa.OSFile(str(folder / "ours.arrow"), "wb") as sink, pa.ipc.new_stream(sink, SCHEMA) as writer:
        for table in rows.tables():
            writer.write_table(table)
    return len(rows)


def by_datasets(path: Path, folder: Path, amount: int) -> int:
    """The same mixture made by filter, shuffle, select and concatenate; the rows written."""
    os.environ["HF_DATASETS_CACHE"] = str(folder / "datasets")
    from datasets import concatenate_datasets, disable_progress_bars, load_dataset

    disable_progress_bars()
    data = load_dataset("parquet", data_files=str(path), split="train")
    parts = []
    for language in LANGUAGES:
        own = data.filter(
            lambda languages, language=language: [each == language for each in languages],
            input_columns=["language"],
            batched=True,
            batch_size=10_000,
        )
        parts.append(own.shuffle(seed=0).select(range(amount)))
    mixture = concatenate_datasets(parts).shuffle(seed=0)
    said("shuffled")
    return len(mixture.flatten_indices())


def said(stage: str) -> None:
    """A line on how far it is."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  {stage} after {time.monotonic() - STARTED:.0f} s, peak {peak:.0f} MiB", file=sys.stderr, flush=True)


def measured(side: str, path: Path, folder: Path, amount: int) -> dict[str, float]:
    """Seconds and the peak of resident memory in MiB of one side, in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--folder", str(folder), "--rows", str(amount), str(path)]
    return json.loads(subprocess.run(command, check=True, capture_output=False, stdout=subprocess.PIPE).stdout)


def main() -> None:
    """Measures both sides and prints the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/mixtures-at-scale"))
    parser.add_argument("--skip-datasets", action="store_true")
    parser.add_argument("--side", choices=["ours", "datasets"], help=argparse.SUPPRESS)
    parser.add_argument("path", nargs="?", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        rows = (ours if given.side == "ours" else by_datasets)(given.path, given.folder, given.rows)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"rows": rows, "seconds": time.monotonic() - STARTED, "peak": peak}))
        return
    import shutil

    given.folder.mkdir(parents=True, exist_ok=True)
    path = given.folder / f"{given.rows}.parquet"
    if not path.exists():
        make_parquet(path, given.rows)
    amount = int(given.rows / len(LANGUAGES) * 0.9)
    sides = ["ours"] if given.skip_datasets else ["ours", "datasets"]
    measured_sides: dict[str, dict[str, float]] = {}
    for side in sides:
        for left in ("cache", "datasets"):
            shutil.rmtree(given.folder / left, ignore_errors=True)
        measured_sides[side] = measured(side, path, given.folder, amount)
        print(side, {key: round(value) for key, value in measured_sides[side].items()}, flush=True)
    if len(sides) == 2:
        print(f"ratio: {measured_sides['datasets']['seconds'] / measured_sides['ours']['seconds']:.1f}")


STARTED = time.monotonic()

if __name__ == "__main__":
    main()

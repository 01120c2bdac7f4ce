"""Sources read from tables: converted to one form once, and cached as Arrow by split and language."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tempfile
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from data_mixes.ahead import ahead
from data_mixes.arrow import TEXT, compute, joined
from data_mixes.example import SCHEMA, Split
from data_mixes.order import Keys, keys_of
from data_mixes.reading.conversations import exchanges
from data_mixes.reading.readers import LINE, PLACE
from data_mixes.source import Drops, Pool, Source, SourceError
from data_mixes.storage import cache_folder

NO_NAMES: Mapping[str, str] = {}
LANGUAGE = "{language}"
DROPS, KEYS, ROWS = "drops.json", ".keys.npy", ".rows.npy"
"""Files beside the rows of a language: what was dropped, the items' keys, and which rows are used if not all."""
PROBLEM = "problem"
FORMAT = "2"
"""Raised when the same tables come out as different rows."""
CACHED = "sources-2"
"""The cache's folder of sources; another one when what is kept beside the same rows changes."""
CONVERSATIONS = "2"
"""The same, of conversations."""
KEPT = pa.schema(
    [SCHEMA.field(name) for name in ("item_id", "prompt", "target", "answer", "constraints", "history", "cluster")]
)
BATCH_ROWS, BATCH_BYTES = 16_384, 1 << 25
PLAIN_NUMBER = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which columns of a data set hold what; `conversation` holds turns and stands for prompt and target."""

    prompt: str | None = "prompt"
    target: str | None = "target"
    id: str | None = None
    """Unique to a row within its language; without it, a hash of prompt and target."""
    item: str | None = None
    """The same for the translations of an item."""
    language: str | None = None
    answer: str | None = None
    constraints: str | None = None
    """A JSON list of constraints; or IFEval's `instruction_id_list`, where `kwargs` is named too."""
    kwargs: str | None = None
    """IFEval's arguments of its instructions."""
    conversation: str | None = None
    cluster: str | None = None
    """The same for items that have something in common beyond one item: a template, an article, a conversation."""

    @property
    def named(self) -> dict[str, str | None]:
        """What is held → the column that holds it."""
        named = asdict(self)
        return named | {"prompt": None, "target": None} if self.conversation else named

    @property
    def names(self) -> list[str]:
        """The columns that are read."""
        return list(dict.fromkeys(name for name in self.named.values() if name))


class TableSource(Source):
    """A source whose rows come as tables of text."""

    columns = Columns()

    derived_from: tuple[str, ...] = ()
    """The data set's columns that are read, where `adapted` derives from them those that `columns` names."""

    @property
    def reads(self) -> Sequence[str]:
        """The data set's columns that are read."""
        return self.derived_from or self.columns.names

    @property
    def parallel(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether some column says which rows are translations of one another."""
        return self.columns.item is not None

    @property
    def conversational(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether a column holds conversations."""
        return self.columns.conversation is not None

    names: Mapping[str, str] = NO_NAMES
    """Language code → the data set's own name for it, where they differ."""

    @property
    @abstractmethod
    def apart(self) -> bool:
        """Whether each language can be read without the others."""

    @abstractmethod
    def read(self, split: Split, languages: Sequence[str], drops: Drops) -> Iterator[tuple[str | None, str, pa.Table]]:
        """Yields the language (None where a column holds it), what places count ("a.jsonl line"), and some rows."""

    @abstractmethod
    def origin(self) -> str:
        """Identifies the content that is read: a commit, or a hash of files. Raises SourceError."""

    @cached_property
    def version(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A hash of content and columns."""
        columns = asdict(self.columns)
        del columns["cluster"]  # it changes no row, but only how sure one is of what was tested on them
        if not columns["kwargs"]:
            del columns["kwargs"]  # sources made before it existed keep their version
        decided_by: list[Any] = [FORMAT, self.origin(), self.name, self.languages, columns]
        if self.columns.conversation:
            decided_by.append(CONVERSATIONS)
        return hashlib.sha256(json.dumps(decided_by).encode()).hexdigest()[:12]

    def adapted(self, table: pa.Table, split: Split) -> pa.Table:
        """The table with the columns that `columns` names, derived from the data set's own."""
        return table

    def pool(self, split: Split, language: str) -> Pool:
        """The rows of a split in a language."""
        if language not in self.languages:
            raise SourceError(self.name, f"has no {language!r}, only {', '.join(self.languages)}")
        if (split, language) not in self._pools:
            self._pools[split, language] = TablePool(self, self._folder(split, language), split, language)
        return self._pools[split, language]

    @cached_property
    def _pools(self) -> dict[tuple[Split, str], TablePool]:
        return {}

    def drops(self, split: Split) -> Drops:
        """What was left out of a split, in the languages read so far."""
        drops = Drops()
        for folder in sorted({pool.path.parent for (read, _), pool in self._pools.items() if read == split}):
            dropped = json.loads((folder / DROPS).read_text(encoding="utf-8"))
            for reason, count in dropped["counts"].items():
                drops.add(reason, dropped["places"][reason], count)
        return drops

    def _folder(self, split: Split, language: str) -> Path:
        """The folder with one language of a split as Arrow, or all languages; written on first use, atomically."""
        wanted = (language,) if self.apart else self.languages
        group = language if self.apart else "all"
        clusters = self.columns.cluster
        kept = f"{self.name}-{self.version}" + (f"-{xxhash.xxh3_64_hexdigest(clusters.encode())}" if clusters else "")
        folder = cache_folder() / CACHED / kept / split / group
        if folder.is_dir():
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as work:
            finished = Path(work) / group
            finished.mkdir()
            self._prepare(split, wanted, finished)
            with contextlib.suppress(OSError):  # another process was first
                finished.rename(folder)
        return folder

    def _prepare(self, split: Split, languages: Sequence[str], folder: Path) -> None:
        drops = Drops()
        writers = {language: PoolWriter(folder / f"{language}.arrow") for language in languages}
        for language, places, table in ahead(self.read(split, languages, drops)):
            mapped = self._mapped(self.adapted(table, split), language)
            for row_language, rows in by_language(checked(mapped, places, self._required, languages, drops)):
                writers[row_language].write(self._identified(rows, split, row_language))
        for language, writer in writers.items():
            writer.close(language, drops)
        (folder / DROPS).write_text(json.dumps(asdict(drops), ensure_ascii=False, sort_keys=True), encoding="utf-8")

    @property
    def _required(self) -> list[str]:
        """What every row must have."""
        columns = self.columns
        identified = ["item"] if columns.item else ["id"] if columns.id else []
        return ["prompt", "target", *identified]

    def _mapped(self, table: pa.Table, language: str | None) -> pa.Table:
        """A table whose columns are those of examples, null where the data set has none."""
        columns = self.columns
        nothing = pa.nulls(table.num_rows, TEXT)

        def column(name: str | None) -> Any:
            return nothing if name is None else compute.cast(table[name], TEXT)

        fields = {field: column(name) for field, name in columns.named.items() if field != "conversation"}
        fields["history"], fields["problem"] = nothing, nothing
        if columns.conversation:
            parsed = [exchanges(text) for text in table[columns.conversation].to_pylist()]
            for field in ("prompt", "target", "history", "problem"):
                fields[field] = pa.array([conversation[field] for conversation in parsed], TEXT)
        if columns.answer:
            answers = [plain_number(text) for text in fields["answer"].to_pylist()]
            fields["answer"] = pa.array(answers, TEXT)
        if columns.language is not None and self.names:
            ours = {theirs: code for code, theirs in self.names.items()}
            fields["language"] = pa.array([ours.get(name, name) for name in fields["language"].to_pylist()], TEXT)
        if columns.language is None:
            fields["language"] = pa.array([language] * table.num_rows, TEXT)
        if columns.constraints:
            valid = list(map(json_list, fields["constraints"].to_pylist()))
            if columns.kwargs:
                both = zip(fields["constraints"].to_pylist(), fields["kwargs"].to_pylist(), strict=True)
                valid = [ifeval_list(names, kwargs) for names, kwargs in both]
            fields["constraints"] = pa.array([text if ok else None for text, ok in valid], TEXT)
            faults = ["constraints are not a JSON list of objects" if not ok else None for _, ok in valid]
            fields["problem"] = compute.coalesce(fields["problem"], pa.array(faults, TEXT))
        return pa.table({**fields, PLACE: table[PLACE]})

    def _identified(self, rows: pa.Table, split: Split, language: str) -> pa.Table:
        """The rows with their item's id, in the form that is kept. A line's number is one of its split."""
        columns = self.columns
        if columns.item:
            ids, prefix = rows["item"], f"{self.name}/{split}" if columns.item == LINE else self.name
        elif columns.id:
            ids, prefix = rows["id"], f"{self.name}/{split}/{language}"
        else:
            pairs = zip(rows["prompt"].to_pylist(), rows["target"].to_pylist(), strict=True)
            hashes = [xxhash.xxh3_64_hexdigest(f"{prompt}\0{target}".encode()) for prompt, target in pairs]
            ids, prefix = pa.array(hashes, TEXT), f"{self.name}/{language}"
        item_ids = joined("/", prefix, ids)
        return pa.table([item_ids, *(rows[name] for name in KEPT.names[1:])], names=KEPT.names).cast(KEPT)


def checked(table: pa.Table, places: str, required: Sequence[str], languages: Sequence[str], drops: Drops) -> pa.Table:
    """The rows that are valid examples; the others are counted in `drops`."""

    def blank(name: str) -> Any:
        return compute.equal(compute.utf8_trim_whitespace(compute.fill_null(table[name], "")), "")

    known = compute.fill_null(compute.is_in(table["language"], pa.array(languages, TEXT)), False)
    tests = {
        PROBLEM: compute.is_valid(table["problem"]),
        **{f"no {name}": blank(name) for name in required},
        f"language not among {', '.join(languages)}": compute.invert(known),
    }
    bad = np.zeros(table.num_rows, dtype=bool)
    for reason, failed in tests.items():
        fresh = failed.to_numpy() & ~bad
        if fresh.any():
            rows = np.flatnonzero(fresh)
            reasons = table["problem"].take(rows).to_pylist() if reason == PROBLEM else [reason] * len(rows)
            for row, why in zip(rows, reasons, strict=True):
                drops.add(why, [f"{places} {table[PLACE][int(row)].as_py()}"])
            bad |= fresh
    return table.filter(pa.array(~bad)) if bad.any() else table


def ifeval_list(names: str | None, kwargs: str | None) -> tuple[str | None, bool]:
    """IFEval's names of instructions and their arguments as a JSON list of constraints, and whether they can be one."""
    try:
        pairs = list(zip(json.loads(names or "[]"), json.loads(kwargs or "[]"), strict=True))
        constraints = [
            {key: value for key, value in given.items() if value is not None} | {"kind": name} for name, given in pairs
        ]
    except (ValueError, TypeError, AttributeError, RecursionError):
        return names, False
    return json.dumps(constraints, ensure_ascii=False) if constraints else None, True


def json_list(text: str | None) -> tuple[str | None, bool]:
    """The text, and whether it is a JSON list of objects, or nothing."""
    try:
        return text, text is None or (
            isinstance(value := json.loads(text), list) and all(isinstance(entry, dict) for entry in value)
        )
    except (ValueError, RecursionError):
        return text, False


def by_language(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each language, in their order."""
    encoded = compute.dictionary_encode(table["language"].combine_chunks())
    languages, codes = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    if len(languages) > 1:
        table = table.take(pa.array(np.argsort(codes, kind="stable")))
    start = 0
    for language, count in zip(languages, np.bincount(codes, minlength=len(languages)), strict=True):
        yield language, table.slice(start, count)
        start += count


def plain_number(text: str | None) -> str | None:
    """An answer without the commas between its thousands."""
    if text is None:
        return None
    stripped = text.strip()
    return stripped.replace(",", "") if PLAIN_NUMBER.fullmatch(stripped) else stripped


class PoolWriter:
    """Writes the rows of one language, and the keys of their items beside them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pending: list[pa.Table] = []
        self.keys: list[Keys] = []
        self.writer = pa.ipc.new_file(pa.OSFile(str(path), "wb"), KEPT)

    def write(self, table: pa.Table) -> None:
        """Takes rows; writes them when there are enough for a batch."""
        self.keys.append(keys_of(table["item_id"].to_pylist()))
        self.pending.append(table)
        rows, size = sum(table.num_rows for table in self.pending), sum(table.nbytes for table in self.pending)
        if rows >= BATCH_ROWS or size >= BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        for batch in pa.concat_tables(self.pending).combine_chunks().to_batches(max_chunksize=BATCH_ROWS):
            self.writer.write_batch(batch)
        self.pending = []

    def close(self, language: str, drops: Drops) -> None:
        """Writes the rest, and the keys; of rows with the same id the first counts."""
        if self.pending:
            self._flush()
        self.writer.close()
        keys = np.concatenate(self.keys) if self.keys else np.empty(0, np.uint64)
        _, first = np.unique(keys, return_index=True)
        if len(first) < len(keys):
            again = np.setdiff1d(np.arange(len(keys)), first)
            drops.add("id seen before", [f"{language} row {row + 1}" for row in again[:10]], len(again))
            np.save(self.path.with_suffix(ROWS), np.sort(first))
            keys = keys[np.sort(first)]
        np.save(self.path.with_suffix(KEYS), keys)


@lru_cache(maxsize=4)
def loaded(path: Path) -> NDArray[Any]:
    """An array on disk."""
    return np.load(path)


class TablePool(Pool):
    """The rows of one language on disk."""

    def __init__(self, source: TableSource, folder: Path, split: Split, language: str) -> None:
        self.name, self.source, self.task = f"{source.name}/{split}/{language}", source.name, source.task
        self.variant = self.language = language
        self.path = folder / f"{language}.arrow"
        self._count = len(np.load(self.path.with_suffix(KEYS), mmap_mode="r"))

    def __len__(self) -> int:
        return self._count

    @property
    def items(self) -> Keys:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The key of each row's item, from disk or a small cache."""
        return loaded(self.path.with_suffix(KEYS))

    def tables(self, places: NDArray[np.int64]) -> Iterator[pa.Table]:
        """The rows at ascending places, batch by batch, without those between the batches."""
        kept = self.path.with_suffix(ROWS)
        rows = loaded(kept)[places] if kept.exists() else places
        with pa.OSFile(str(self.path)) as opened, pa.ipc.open_file(opened) as reader:
            ends = self._ends(reader)
            for number in np.unique(np.searchsorted(ends, rows, side="right")):
                begin = int(ends[number - 1]) if number else 0
                first, last = np.searchsorted(rows, np.array([begin, ends[number]]))
                batch = reader.get_batch(int(number)).take(pa.array(rows[first:last] - begin))
                yield self._examples(pa.Table.from_batches([batch]))

    def _ends(self, reader: pa.RecordBatchFileReader) -> NDArray[np.int64]:
        """Where each batch ends, in rows."""
        if self._known_ends is None:
            sizes = [reader.get_batch(number).num_rows for number in range(reader.num_record_batches)]
            self._known_ends = np.cumsum(sizes)
        return self._known_ends

    _known_ends: NDArray[np.int64] | None = None

    def _examples(self, kept: pa.Table) -> pa.Table:
        """Kept rows with what all rows of the pool have in common."""
        constant: dict[str, str | None] = {"task": self.task, "language": self.language, "prompt_language": None}
        constant |= {name: None for name in SCHEMA.names if name not in ("id", *constant, *kept.column_names)}
        ids = joined("@", kept["item_id"], self.language)
        columns = {
            name: ids
            if name == "id"
            else pa.repeat(pa.scalar(constant[name], TEXT), kept.num_rows)
            if name in constant
            else kept[name]
            for name in SCHEMA.names
        }
        return pa.table(columns, schema=SCHEMA)

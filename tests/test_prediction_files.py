"""Files of predictions: every kind that sources read, columns of any name, several references, repeated ids."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_mixes.json_text import json_text
from data_mixes.reading.streams import kind_of
from eval.prediction_files.file import PredictionFile
from eval.prediction_files.rows import ScoredRow
from eval.prediction_files.score import score_file
from tests.support import REPOSITORY, harness

ROWS: list[dict[str, Any]] = [
    {"id": "a", "language": "en", "prediction": "The answer is 18.", "reference": "18", "model": "m", "amount": 0},
    {"id": "b", "language": "de", "prediction": "Es sind 1.250.", "reference": "1250", "model": "m", "amount": 0},
    {
        "id": "c",
        "language": "en",
        "prediction": 'He said "17",\nthen left',
        "reference": "18",
        "model": "m",
        "amount": 5,
    },
]


def as_bytes(kind: str, rows: list[dict[str, Any]]) -> bytes:
    """The rows as a file of this kind."""
    if kind == ".parquet":
        sink = io.BytesIO()
        pl.DataFrame(rows).write_parquet(sink)
        return sink.getvalue()
    if kind in (".csv", ".tsv"):
        text = io.StringIO()
        table = csv.DictWriter(text, list(rows[0]), delimiter="\t" if kind == ".tsv" else ",")
        table.writeheader()
        table.writerows(rows)
        return text.getvalue().encode()
    lines = json.dumps(rows) if kind == ".json" else "\n".join(map(json.dumps, rows))
    return lines.encode()


def packed(packing: str, content: bytes) -> bytes:
    if packing == ".zst":
        return zstd(content)
    return gzip.compress(content) if packing == ".gz" else content


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


def scored(path: Path, *options: object) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
    """What `harness score` says in JSON, the scores it writes, and what it says in words."""
    out = path.with_name("scores.out")
    ran = harness("score", path, *options, "--out", out, "--json")
    assert ran.returncode == 0, ran.stderr
    return (
        json.loads(ran.stdout),
        [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()],
        ran.stderr,
    )


@pytest.mark.parametrize(
    ("kind", "packing"),
    [(".parquet", ""), *product([".jsonl", ".json", ".csv", ".tsv"], ["", ".gz", ".zst"])],
)
def test_every_kind_of_file_that_sources_read_is_scored(kind: str, packing: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows{kind}{packing}"
    path.write_bytes(packed(packing, as_bytes(kind, ROWS)))
    data, rows, _ = scored(path, "--task", "math")
    assert [(row["id"], row["value"], row["model"], int(row["amount"])) for row in rows] == [
        ("a", 1.0, "m", 0), ("b", 1.0, "m", 0), ("c", 0.0, "m", 5),
    ]  # fmt: skip
    assert data["languages"]["en"]["accuracy"]["mean"] == 0.5 and not data["bad"]


@pytest.mark.parametrize("kind", [".jsonl", ".json", ".csv", ".tsv", ".parquet", ".csv.gz", ".json.zst"])
def test_standard_input_is_known_by_what_it_begins_with(kind: str) -> None:
    plain, _, packing = kind[1:].partition(".")
    content = packed(f".{packing}" if packing else "", as_bytes(f".{plain}", ROWS))
    command = [sys.executable, "-m", "harness.cli", "score", "-", "--task", "math", "--json"]
    ran = subprocess.run(command, input=content, cwd=REPOSITORY, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["languages"]["de"]["accuracy"]["mean"] == 1.0


def test_what_a_file_begins_with_says_its_kind() -> None:
    beginnings = {
        b"\xef\xbb\xbf\n [1": ".json",
        b'{"a"': ".jsonl",
        b"a\tb\nc,d": ".tsv",
        b"a,b\nc\td": ".csv",
        b"PAR1": ".parquet",
    }
    assert {head: kind_of(head) for head in beginnings} == beginnings


def test_columns_may_be_called_anything(tmp_path: Path) -> None:
    rows = [{"lang": row["language"], "output": row["prediction"], "gold": row["reference"]} for row in ROWS]
    path = tmp_path / "rows.csv"
    path.write_bytes(as_bytes(".csv", rows))
    refused = harness("score", path, "--task", "math")
    assert refused.returncode == 2
    assert (
        "no column 'id', 'language', 'prediction', 'reference'; its columns are: lang, output, gold" in refused.stderr
    )
    assert "--column id=COLUMN" in refused.stderr
    named = ("language=lang", "prediction=output", "reference=gold", "id=@line")
    _, scores, _ = scored(path, "--task", "math", *(part for name in named for part in ("--column", name)))
    assert [(row["id"], row["value"]) for row in scores] == [(1, 1.0), (2, 1.0), (3, 0.0)]
    mistakes = {"prediction": "write KEY=COLUMN", "predicton=a": "mean 'prediction'", "source=@line": "only an id"}
    for column, said in mistakes.items():
        refused = harness("score", path, "--task", "math", "--column", column)
        assert refused.returncode == 2 and said in refused.stderr, refused.stderr


def test_an_id_that_comes_again_is_named_and_counts_once(tmp_path: Path) -> None:
    rows = [ROWS[0], ROWS[0] | {"prediction": "17"}, ROWS[2], ROWS[0], ROWS[0] | {"language": "fr"}]
    path = tmp_path / "rows.jsonl"
    path.write_bytes(as_bytes(".jsonl", rows))
    data, scores, said = scored(path, "--task", "math")
    assert "a: lines 1, 2, 4 (en); the first of them counts" in said and "were there before: 2" in said
    assert (data["languages"]["en"]["accuracy"]["scored"], data["languages"]["fr"]["accuracy"]["scored"]) == (2, 1)
    assert [row["value"] for row in scores] == [1.0, 0.0, 1.0]


def test_rows_of_several_models_are_scored_apart(tmp_path: Path) -> None:
    rows = [*ROWS, *(row | {"model": "n", "prediction": "no idea"} for row in ROWS)]
    path = tmp_path / "rows.jsonl"
    path.write_bytes(as_bytes(".jsonl", rows))
    assert "name the columns that tell these apart: --group" in scored(path, "--task", "math")[2]
    data, scores, said = scored(path, "--task", "math", "--group", "model")
    assert "repeated" not in said and len(scores) == 6
    assert [(part["group"], part["languages"]["en"]["accuracy"]["mean"]) for part in data["groups"]] == [
        ({"model": "m"}, 0.5), ({"model": "n"}, 0.0),
    ]  # fmt: skip
    assert "math, model n" in harness("score", path, "--task", "math", "--group", "model").stdout


def test_of_several_references_the_best_counts(tmp_path: Path) -> None:
    row = {"id": 1, "language": "en", "prediction": "It is 1.5"}
    path = tmp_path / "rows.jsonl"
    several: list[list[Any]] = [["2", 1.5], ["2", "3"], [], ["2", "x"]]
    rows = [row | {"id": number, "reference": references} for number, references in enumerate(several)]
    path.write_bytes(as_bytes(".jsonl", rows))
    data, scores, _ = scored(path, "--task", "math")
    assert [score["value"] for score in scores] == [1.0, 0.0, None, None]
    assert data["bad"][0]["problem"] == "reference is an empty list"
    texts = ["the cat sat", "a dog ran far away today"]
    table = tmp_path / "rows.csv"
    table.write_bytes(
        as_bytes(".csv", [{"id": 1, "language": "en", "prediction": "the cat ran", "reference": json.dumps(texts)}])
    )
    (both,) = score_file(PredictionFile(table), "summarization")
    assert isinstance(both, ScoredRow)
    single: dict[str, list[float | None]] = {}
    for text in texts:
        path.write_bytes(
            as_bytes(".jsonl", [{"id": 1, "language": "en", "prediction": "the cat ran", "reference": text}])
        )
        (one,) = score_file(PredictionFile(path), "summarization")
        assert isinstance(one, ScoredRow)
        for score in one.scores:
            single.setdefault(score.metric, []).append(score.value)
    found = {score.metric: score.value for score in both.scores}
    assert found["length_ratio"] == single["length_ratio"][0], "of the reference with the best main score"
    assert all(
        found[name] == max(values, key=lambda value: -1 if value is None else value)
        for name, values in single.items()
        if name != "length_ratio"
    )


def test_numbers_that_are_missing_or_infinite_never_leave(tmp_path: Path) -> None:
    rows = [ROWS[0] | {"score": math.nan, "nested": [math.inf, {"a": -math.inf}]}, ROWS[2] | {"prediction": math.nan}]
    path = tmp_path / "rows.json"
    path.write_bytes(as_bytes(".json", rows))
    data, scores, said = scored(path, "--task", "math")
    assert scores[0]["score"] is None and scores[0]["nested"] == [None, {"a": None}]
    assert "bad row: row 2 (id 'c'): prediction missing" in said and data["bad"][0]["line"] == 2
    assert "NaN" not in (tmp_path / "scores.out").read_text(encoding="utf-8")


@given(
    st.recursive(
        st.none() | st.floats() | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_is_written_as_json_is_json(value: Any) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(json_text(value), parse_constant=refuse)


def test_a_file_that_is_no_utf_8_is_told_so(tmp_path: Path) -> None:
    rows = [ROWS[0] | {"prediction": "Die Lösung ist 18"}]
    latin = tmp_path / "rows.jsonl"
    latin.write_bytes(json.dumps(rows[0], ensure_ascii=False).encode("latin-1"))
    assert (
        "line 1 (id 'a'): prediction is not UTF-8 text; save the file as UTF-8"
        in harness("score", latin, "--task", "math").stderr
    )
    array = tmp_path / "rows.json"
    array.write_bytes(json.dumps(rows, ensure_ascii=False).encode("latin-1"))
    refused = harness("score", array, "--task", "math")
    assert refused.returncode == 2 and "rows.json is not UTF-8 text; save it as UTF-8" in refused.stderr
    latin.write_bytes(json.dumps(rows[0], ensure_ascii=False).encode("utf-16"))
    assert scored(latin, "--task", "math")[0]["languages"]["en"]["accuracy"]["mean"] == 1.0, "as PowerShell writes it"


def test_scores_can_be_analysed_by_the_columns_that_came_along(tmp_path: Path) -> None:
    rows = [
        {"id": item, "language": language, "prediction": str(17 + (item % 2 or amount > 0)), "reference": 18,
         "amount": amount}
        for item in range(6) for language in ("en", "fr", "ja") for amount in (0, 10)
    ]  # fmt: skip
    path = tmp_path / "rows.jsonl"
    path.write_bytes(as_bytes(".jsonl", rows))
    scores = tmp_path / "scores.jsonl"
    assert harness("score", path, "--task", "math", "--group", "amount", "--out", scores).returncode == 0
    done = harness("analyze", scores, "--x", "amount", "--seen", "fr", "--unseen", "ja", "--json")
    assert done.returncode == 0, done.stderr
    (analysis,) = json.loads(done.stdout)["analyses"]
    means = {row["x"]: row["mean"] for row in analysis["summary"] if row["group"] == "ja"}
    assert means == {0: 0.5, 10: 1.0} and analysis["group"] == {"metric": "accuracy"}


def test_two_models_of_a_table_of_scores_are_compared_item_by_item(tmp_path: Path) -> None:
    rows = [
        {"id": item, "language": language, "prediction": "18" if item % 4 or model == "a" else "17", "reference": 18,
         "model": model}
        for item in range(40) for language in ("en", "ja") for model in ("a", "b")
    ]  # fmt: skip
    path, scores = tmp_path / "rows.jsonl", tmp_path / "scores.jsonl"
    path.write_bytes(as_bytes(".jsonl", rows))
    assert harness("score", path, "--task", "math", "--group", "model", "--out", scores).returncode == 0
    done = harness("compare", scores, "a", "b", "--json")
    assert done.returncode == 0, done.stderr
    found = {row["group"]: (row["difference"], row["items"]) for row in json.loads(done.stdout)["differences"]}
    assert found == {language: (pytest.approx(0.25), 40) for language in ("en", "ja", "all")}
    assert "+25.0" in harness("compare", scores, "a", "b").stdout
    for other, said in (("c", "no column holds both 'a' and 'c'"), ("a", "twice")):
        refused = harness("compare", scores, "a", other)
        assert refused.returncode == 2 and said in refused.stderr, refused.stderr
    refused = harness("compare", path, "a", "b")
    assert refused.returncode == 2 and "is one that harness score --out wrote" in refused.stderr

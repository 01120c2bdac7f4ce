"""Sources in files and in repositories of the hub: every row is an example or counted, with its place."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_mixes.example import Example, Exchange
from data_mixes.reading.delimited import is_quoted, records
from data_mixes.reading.files import FileSource
from data_mixes.reading.hub import HubSource
from data_mixes.reading.table import Columns
from data_mixes.source import SourceError, common
from data_mixes.sources import SOURCES

ROWS = [
    {"key": "a", "lang": "en", "text": "The cat sat.", "short": "Cat."},
    {"key": "a", "lang": "ar", "text": "جلست القطة.", "short": "قطة."},
    {"key": "b", "lang": "en", "text": 'A dog, "big"\nand loud.', "short": "Dog\ttail."},
    {"key": "b", "lang": "ar", "text": "كلب كبير.", "short": "كلب."},
]
COLUMNS = Columns(prompt="text", target="short", item="key", language="lang")


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".jsonl":
            path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        case ".gz":
            with gzip.open(path, "wt", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)
        case ".json":
            path.write_text(json.dumps(rows), encoding="utf-8")
        case ".csv":
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        case ".parquet":
            pq.write_table(pa.Table.from_pylist(list(rows)), path, row_group_size=3)
        case other:
            raise AssertionError(other)
    return path


def source(path: Path | str, languages: tuple[str, ...] = ("en", "ar"), columns: Columns = COLUMNS) -> FileSource:
    return FileSource("mine", "summarization", languages, {"train": str(path)}, columns)


def examples(of: Any, language: str, split: Any = "train") -> list[Example]:
    pool = of.pool(split, language)
    return pool.examples(range(len(pool)))


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz", "rows.json", "rows.csv", "rows.parquet"])
def test_every_format_gives_the_same_examples(name: str, tmp_path: Path) -> None:
    made = source(write(tmp_path / name, ROWS))
    for language in ("en", "ar"):
        expected = [row for row in ROWS if row["lang"] == language]
        found = examples(made, language)
        assert [(row["text"], row["short"]) for row in expected] == [(each.prompt, each.target) for each in found]
        assert [each.id for each in found] == [f"mine/a@{language}", f"mine/b@{language}"]
        assert [each.item_id for each in found] == ["mine/a", "mine/b"]
    assert made.parallel and len(common(made.pool("train", language).items for language in ("en", "ar"))) == 2
    assert str(made.drops("train")) == ""


def test_tabs_without_header_and_lines_as_items(tmp_path: Path) -> None:
    for language, texts in {"en": ["one", "two"], "fr": ["un", "deux"]}.items():
        lines = [f'{text} "?\t{number}' for number, text in enumerate(texts, 1)]
        (tmp_path / f"{language}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    made = FileSource(
        "mine", "math", ("en", "fr"), {"test": str(tmp_path / "{language}.tsv")},
        Columns(prompt="1", target="2", answer="2", item="@line"), header=False,
    )  # fmt: skip
    english, french = examples(made, "en", "test"), examples(made, "fr", "test")
    assert [each.prompt for each in french] == ['un "?', 'deux "?']
    assert [each.item_id for each in english] == [each.item_id for each in french] == ["mine/test/1", "mine/test/2"]
    assert [each.answer for each in english] == ["1", "2"]


def test_bad_rows_are_counted_with_their_lines_and_nothing_else_is_lost(tmp_path: Path) -> None:
    good = {"lang": "en", "text": "fine", "short": "ok"}
    lines: list[str | bytes] = [
        json.dumps(good | {"key": "1"}), "{broken", json.dumps([1, 2]), json.dumps(good | {"text": "  ", "key": "2"}),
        json.dumps(good | {"key": "3", "short": None}), json.dumps(good | {"lang": "xx", "key": "4"}),
        '{"key": "5", "lang": "en", "text": "\\ud800", "short": "s"}', b'{"key": "6", "lang": "en", "text": "\xff"}',
        "", "[" * 5000, json.dumps(good | {"key": "1", "text": "again"}),
        json.dumps(good | {"key": "7", "text": "nul \0 and " + "x" * 1_000_000}),
    ]  # fmt: skip
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    made = source(path, columns=Columns(prompt="text", target="short", id="key", language="lang"))
    kept = examples(made, "en")
    assert [each.id for each in kept] == ["mine/train/en/1@en", "mine/train/en/7@en"]
    drops = made.drops("train")
    assert drops.counts == {
        "not a JSON object": 3, "not valid Unicode": 2, "no prompt": 1, "no target": 1,
        "language not among en, ar": 1, "id seen before": 1,
    }  # fmt: skip
    assert drops.places["not a JSON object"] == [f"rows.jsonl line {line}" for line in (2, 3, 10)]
    assert drops.places["no target"] == ["rows.jsonl line 5"]


def test_rows_of_the_wrong_width_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,short\na,b\nc\nd,e,f\ng,h\n", encoding="utf-8")
    made = source(path, ("en",), Columns(prompt="text", target="short"))
    assert [each.prompt for each in examples(made, "en")] == ["a", "g"]
    assert made.drops("train").counts == {"1 fields instead of 2": 1, "3 fields instead of 2": 1}


def test_lines_are_rows_even_where_text_has_line_breaks(tmp_path: Path) -> None:
    write(tmp_path / "en.csv", [{"text": "one\nmore", "short": "1"}, {"text": "two", "short": "2"}])
    write(tmp_path / "fr.csv", [{"text": "un", "short": "1"}, {"text": "deux", "short": "2"}])
    made = source(tmp_path / "{language}.csv", ("en", "fr"), Columns(prompt="text", target="short", item="@line"))
    pairs = {each.item_id: each.target for each in examples(made, "en")}
    assert pairs == {each.item_id: each.target for each in examples(made, "fr")} and len(pairs) == 2


def test_a_header_is_part_of_the_version(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("1,2\na,b\n", encoding="utf-8")
    columns = Columns(prompt="1", target="2")
    made = [FileSource("mine", "math", ("en",), {"train": str(path)}, columns, header) for header in (True, False)]
    assert [len(examples(each, "en")) for each in made] == [1, 2]


def test_rows_without_id_or_with_broken_constraints_are_counted(tmp_path: Path) -> None:
    rows = [{"key": "a", "text": "t", "short": "s", "c": [{"kind": "uppercase"}]}, {"text": "t", "short": "s"},
            {"key": "b", "text": "t", "short": "s", "c": "{"},
            {"key": "d", "text": "t", "short": "s", "c": {}}]  # fmt: skip
    made = source(write(tmp_path / "rows.jsonl", rows), ("en",),
                  Columns(prompt="text", target="short", item="key", constraints="c"))  # fmt: skip
    (only,) = examples(made, "en")
    assert only.constraints == ({"kind": "uppercase"},)
    assert made.drops("train").counts == {"no item": 1, "constraints are not a JSON list of objects": 2}


def test_a_mirror_is_known_by_its_contents(tmp_path: Path) -> None:
    versions: list[str] = []
    for folder in ("one", "two"):
        for language in ("en", "fr"):
            write(tmp_path / folder / f"{language}.jsonl", [{"text": language, "short": "s"}])
        versions.append(configured(tmp_path / folder, files={"train": "{language}.jsonl"}).version)
        (tmp_path / folder / "README.md").write_text("added", encoding="utf-8")
        versions.append(configured(tmp_path / folder, names={}, files={"train": "{language}.jsonl"}).version)
    assert versions[1] == versions[3]


def test_a_missing_column_is_an_error_that_names_those_there(tmp_path: Path) -> None:
    for name in ("rows.jsonl", "rows.csv", "rows.parquet", "rows.json"):
        made = source(write(tmp_path / name, ROWS), columns=Columns(prompt="body", target="short", language="lang"))
        with pytest.raises(SourceError, match=r"no column 'body'; its columns are: .*key.*lang.*text.*short"):
            made.pool("train", "en")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.jsonl", None, "cannot read .*absent.jsonl: No such file"),
        ("rows.xlsx", "x", r"got a .xlsx file; allowed: .jsonl, .json, .csv, .tsv, .parquet"),
        ("rows.parquet", "x", "not a Parquet file"),
        ("rows.json", '{"a": ', "not an array of JSON objects"),
        ("rows.jsonl.gz", "x", "cannot read"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error(name: str, content: str | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(SourceError, match=message):
        source(tmp_path / name).pool("train", "en")


def test_added_rows_change_no_id_and_another_content_is_another_version(tmp_path: Path) -> None:
    columns = Columns(prompt="text", target="short", language="lang")
    one = source(write(tmp_path / "one.jsonl", ROWS), columns=columns)
    more = source(write(tmp_path / "more.jsonl", [ROWS[2] | {"text": "new"}, *reversed(ROWS)]), columns=columns)
    assert {each.id for each in examples(one, "en")} < {each.id for each in examples(more, "en")}
    assert one.version != more.version and not one.parallel


def test_conversations_end_with_what_is_learned(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "conversations": [{"from": "system", "value": "Be kind."}, {"from": "human", "value": "Hi"},
                                      {"from": "gpt", "value": "Hello"}, {"from": "human", "value": "More?"},
                                      {"from": "gpt", "value": "Yes"}, {"from": "human", "value": "unanswered"}]},
        {"id": "2", "conversations": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]},
        {"id": "3", "conversations": [{"from": "gpt", "value": "first"}, {"from": "human", "value": "late"}]},
        {"id": "4", "conversations": [{"from": "human", "value": None}, {"from": "gpt", "value": "x"}]},
        {"id": "5", "conversations": []},
        {"id": "6", "conversations": "text"},
        {"id": "7", "conversations": [{"role": "user", "content": "Q"}, {"role": "system", "content": "late"},
                                      {"role": "assistant", "content": "A"}]},
    ]  # fmt: skip
    made = source(write(tmp_path / "chat.json", rows), ("en",), Columns(conversation="conversations", id="id"))
    first, second = examples(made, "en")
    assert (first.prompt, first.target) == ("More?", "Yes")
    assert first.history == (Exchange("Hi", "Hello"),) and first.system == "Be kind."
    assert first.conversation and second.conversation and second.system is None
    assert (second.prompt, second.target, second.history) == ("Q", "A", ())
    assert made.drops("train").counts == {
        "turns do not alternate between user and assistant": 2, "not a conversation": 2,
        "a system message that is not the first": 1,
    }  # fmt: skip


def hub(name: str, folder: Path) -> HubSource:
    """A ready-made source read from a local folder laid out like its repository."""
    ready_made = SOURCES[name]
    assert isinstance(ready_made, HubSource)
    return ready_made.read_from(str(folder), None)


def test_xlsum_is_read_by_language_from_the_hubs_parquet(tmp_path: Path) -> None:
    for folder, text in {"french": "Un texte.", "chinese_simplified": "一篇文章。"}.items():
        for split in ("train", "validation", "test"):
            row = {"id": "news-1", "url": "u", "title": "t", "summary": f"{split} résumé", "text": text}
            write(tmp_path / folder / split / "0000.parquet", [row])
    made = hub("xlsum", tmp_path)
    with pytest.raises(SourceError, match="has no file arabic/train"):
        made.pool("train", "ar")
    (chinese,) = examples(made, "zh", "test")
    assert (chinese.prompt, chinese.target, chinese.task) == ("一篇文章。", "test résumé", "summarization")
    assert chinese.item_id == "xlsum/test/zh/news-1" and not made.parallel


def test_mcot_math_is_parallel_by_its_lang_id(tmp_path: Path) -> None:
    rows = [
        {"lang-id": "en-7", "question": "1+1?", "answer": "1+1=<<1+1=2>>2. The answer is 2."},
        {"lang-id": "fr-7", "question": "1+1 ?", "answer": "La réponse est 1 000,5."},
        {"lang-id": "ja-8", "question": "?", "answer": "2。"},
        {"lang-id": "xx-7", "question": "?", "answer": "2"},
    ]
    write(tmp_path / "lang-id" / "mcot-math.json", rows)
    made = hub("mcot-math", tmp_path)
    (english,), (french,) = examples(made, "en"), examples(made, "fr")
    assert english.item_id == french.item_id == "mcot-math/7"
    assert english.target == "1+1=2. The answer is 2."
    assert (english.answer, french.answer) == ("2", "1 000,5"), "what the last sentence says"
    assert [example.answer for example in examples(made, "ja")] == [None], "in other words"
    assert sum(made.drops("train").counts.values()) == 1


def test_mgsm_has_answers_and_bare_exemplars(tmp_path: Path) -> None:
    made = hub("mgsm", tmp_path)
    labels = {"en": ("Question: ", "Step-by-Step Answer: "), "fr": ("Question : ", "Réponse étape par étape : ")}
    for language, (question, answer) in labels.items():
        worked = {"question": f"{question}Roger: 5 balls?", "answer": f"{answer}He has 11.", "answer_number": 11}
        tested = {"question": "Q: 1250?", "answer": None, "answer_number": 1250}
        for split, row in (("train", worked), ("test", tested)):
            write(tmp_path / language / f"{split}-00000-of-00001.parquet", [row | {"equation_solution": "x"}])
    for language in labels:
        (exemplar,), (tested,) = examples(made, language), examples(made, language, "test")
        assert (exemplar.prompt, exemplar.target) == ("Roger: 5 balls?", "He has 11.")
        assert (tested.prompt, tested.target, tested.answer) == ("Q: 1250?", "1250", "1250")
        assert (exemplar.item_id, tested.item_id) == ("mgsm/train/1", "mgsm/test/1")
    assert made.exemplars == "train"


def test_p_mmeval_answers_lose_their_commas(tmp_path: Path) -> None:
    made = hub("mgsm-p-mmeval", tmp_path)
    for language in made.languages:
        write(tmp_path / "mgsm" / "test" / f"{language}.jsonl", [{"question": "?", "answer": "2,125"}])
    assert {examples(made, language, "test")[0].answer for language in made.languages} == {"2125"}


def test_gsm8k_ends_with_the_answer_marker(tmp_path: Path) -> None:
    row = {"question": "How many?", "answer": "48/2 = <<48/2=24>>24 clips\n#### 1,024"}
    for split in ("train", "test"):
        write(tmp_path / "main" / f"{split}-00000-of-00001.parquet", [row])
    (example,) = examples(hub("gsm8k", tmp_path), "en")
    assert example.target == "48/2 = 24 clips\nThe answer is 1,024." and example.answer == "1024"


def test_aya_has_our_language_codes_and_one_chinese_script(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "inputs": f"{code} {script}?", "targets": "n/a", "language": code, "script": script, "source_id": 9}
        for code, script in [("fra", "Latn"), ("zho", "Hans"), ("zho", "Hant"), ("zul", "Latn")]
    ]
    write(tmp_path / "dolly_machine_translated" / "test-00000-of-00001.parquet", rows)
    made = hub("aya-dolly", tmp_path)
    (french,), (chinese,) = examples(made, "fr", "test"), examples(made, "zh", "test")
    assert french.item_id == chinese.item_id == "aya-dolly/9" and chinese.prompt == "zho Hans?"


def test_sharegpt_is_read_from_its_file(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]
    write(tmp_path / "ShareGPT_V3_unfiltered_cleaned_split.json", [{"id": "x_0", "conversations": turns}])
    (example,) = examples(hub("sharegpt", tmp_path), "en")
    assert (example.prompt, example.target, example.id) == ("Q", "A", "sharegpt/train/en/x_0@en")


def configured(tmp_path: Path, **options: Any) -> HubSource:
    settings: dict[str, Any] = {
        "repository": str(tmp_path), "revision": "main", "configuration": "{language}", "splits": {"train": "train"},
        "names": {"en": "english"}, "columns": Columns(prompt="text", target="short"),
    }  # fmt: skip
    return HubSource("any", "summarization", ("en", "fr"), **settings | options)


def test_any_repository_is_loaded_by_configuration(tmp_path: Path) -> None:
    header = ["---", "configs:"]
    for configuration, text in {"english": "Hello", "fr": "Salut"}.items():
        write(tmp_path / configuration / "train.parquet", [{"text": text, "short": "s", "n": 1}])
        header += [f"- config_name: {configuration}", f"  data_files: {configuration}/train.parquet"]
    (tmp_path / "README.md").write_text("\n".join([*header, "---"]), encoding="utf-8")
    assert [examples(configured(tmp_path), language)[0].prompt for language in ("en", "fr")] == ["Hello", "Salut"]
    with pytest.raises(SourceError, match="no column 'body'; its columns are: text, short, n"):
        configured(tmp_path, columns=Columns(prompt="body", target="short")).pool("train", "en")
    with pytest.raises(SourceError, match=r"cannot load .*BuilderConfig 'german' not found"):
        configured(tmp_path, names={"en": "german"}).pool("train", "en")


def test_a_hub_that_cannot_be_reached_is_asked_once_and_its_cache_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "1" * 40
    cached = tmp_path / "datasets--someone--something" / "snapshots" / commit
    write(cached / "en.jsonl", [{"text": "Hello", "short": "Hi"}])
    asked: list[str] = []

    def unreachable(name: str, **options: Any) -> None:
        asked.append(name)
        raise ConnectionError("no network")

    monkeypatch.setattr("huggingface_hub.dataset_info", unreachable)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    options = {"revision": commit, "files": {"train": "{language}.jsonl"}}
    made = HubSource(
        "any",
        "summarization",
        ("en",),
        repository="someone/something",
        columns=Columns(prompt="text", target="short"),
        revision=commit,
        files={"train": "{language}.jsonl"},
    )
    assert [example.prompt for example in examples(made, "en")] == ["Hello"] and asked == ["someone/something"]
    with pytest.raises(SourceError, match=r"cannot get someone/other at .*ConnectionError"):
        configured(Path("someone/other"), **options).pool("train", "en")


@pytest.mark.parametrize("revision", ["main", "0" * 40])
def test_offline_is_said_with_what_helps(revision: str) -> None:
    for options in ({}, {"files": {"train": "{language}.jsonl"}}):
        made = configured(Path("someone/something"), revision=revision, **options)
        with pytest.raises(SourceError, match=r"cannot get someone/something at .*offline.*sources\.any\.hub"):
            made.pool("train", "en")


def written(path: Path, text: str | bytes) -> FileSource:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return source(path, ("en",), Columns(prompt="text", target="short"))


@pytest.mark.parametrize("after", ["c,3\n", 'c,"3"\n', '"c, and more",3\n', 'c,3\nd,"4\n4"\n'])
def test_a_quote_that_is_never_closed_costs_its_line_alone(after: str, tmp_path: Path) -> None:
    made = written(tmp_path / "rows.csv", 'text,short\na,1\nb,"2\n' + after)
    texts = [(each.prompt, each.target) for each in examples(made, "en")]
    assert texts[0] == ("a", "1") and texts[1] in (("c", "3"), ("c, and more", "3"))
    assert len(texts) == 2 + after.count("d,") and all(target in ("1", "3", "4\n4") for _, target in texts)
    drops = made.drops("train")
    assert drops.counts == {"a quoted field is not closed": 1}
    assert drops.places["a quoted field is not closed"] == ["rows.csv line 3"]


def test_a_quote_left_open_in_the_last_line_is_no_row(tmp_path: Path) -> None:
    made = written(tmp_path / "rows.csv", 'text,short\na,1\nb,"2')
    assert [each.prompt for each in examples(made, "en")] == ["a"]
    assert made.drops("train").places == {"a quoted field is not closed": ["rows.csv line 3"]}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.text(st.sampled_from('ab"\n,\t '), min_size=1), min_size=2, max_size=2)))
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_what_pythons_csv_writes_is_read_as_it_was(delimiter: str, rows: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    lines = text.getvalue().splitlines(keepends=True)
    quoted = delimiter == "," or is_quoted(lines, delimiter)
    read = [fields for _, fields in records(lines, delimiter, quoted)]
    assert read == rows or (not quoted and not any(c in field for row in rows for field in row for c in '"\n'))


def test_tabs_as_pandas_writes_them_and_as_they_are(tmp_path: Path) -> None:
    quoted = written(tmp_path / "quoted.tsv", 'text\tshort\n"She says ""go""."\t1\nplain\t2\n')
    assert [each.prompt for each in examples(quoted, "en")] == ['She says "go".', "plain"]
    plain = written(tmp_path / "plain.tsv", 'text\tshort\n"Go" she says.\t1\n"Go."\t2\n')
    assert [each.prompt for each in examples(plain, "en")] == ['"Go" she says.', '"Go."']


@pytest.mark.parametrize(
    "lines",
    ['"Nia packs shoes."\t3\n"Nia packs lamps."\t4', '"a\ttab"\t1\nplain\t2', '"a ""b"""\t1', '"two\nlines"\t1\nc\t2'],
)
def test_tabs_with_quotes_that_are_quoting_alone_are_read_without_them(lines: str, tmp_path: Path) -> None:
    made = written(tmp_path / "rows.tsv", f"text\tshort\n{lines}\n")
    read = [each.prompt for each in examples(made, "en")]
    assert read == [fields[0] for fields in csv.reader(io.StringIO(lines), delimiter="\t")]


def test_columns_between_semicolons_are_told(tmp_path: Path) -> None:
    made = written(tmp_path / "rows.csv", "text;short\na;b\n")
    with pytest.raises(SourceError, match="separated by ';'; save it with commas"):
        examples(made, "en")


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    made = written(tmp_path / "rows.csv", "text,short,text\na,b,c\n")
    with pytest.raises(SourceError, match="two columns called 'text'"):
        examples(made, "en")
    other = written(tmp_path / "rows.csv", "text,short,,\na,b,c,d\n")
    assert [each.prompt for each in examples(other, "en")] == ["a"]


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_an_array_with_a_byte_order_mark_nan_long_ids_and_surrogates(packed: str, tmp_path: Path) -> None:
    rows = [{"text": "a", "short": "1", "n": math.nan, "id": 2**64 + 1}, {"text": "b", "short": math.nan, "id": -1}]
    rows += [{"text": "c" + "x" * 200_000, "short": "3", "id": 2**64 + 3}]
    text = "\ufeff \n" + json.dumps(rows)[:-1] + ', {"text": "\\ude00", "short": "4", "id": 5}, 17]\n'
    path = tmp_path / f"rows.json{packed}"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    made = source(path, ("en",), Columns(prompt="text", target="short", id="id"))
    assert [each.id.split("/")[-1] for each in examples(made, "en")] == [f"{2**64 + 1}@en", f"{2**64 + 3}@en"]
    assert made.drops("train").counts == {"no target": 1, "not valid Unicode": 1, "not a JSON object": 1}
    assert made.drops("train").places["not valid Unicode"] == [f"rows.json{packed} row 4"], "an array may be one line"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"text": "café", "short": "1"}]'.encode("latin-1"), r"rows.json is not UTF-8 text; save it as UTF-8"),
        ('{"text": "a"}', r"it does not begin with \[.*name a file of JSON lines .jsonl"),
        ('[{"text": "a", "short": "1"}', "it ends within or after item 1, without"),
        ('[{"text": "a", "short": "1"} {}]', "got '{' after item 1"),
        ('[{"text": "a", "short": tru, "more": "much more text"}]', "item 1: Expecting value"),
        ("[" * 100_000, "nested too deeply"),
    ],
)  # fmt: skip
def test_what_is_no_array_is_told_in_words(text: str | bytes, message: str, tmp_path: Path) -> None:
    made = written(tmp_path / "rows.json", text)
    with pytest.raises(SourceError, match=message):
        examples(made, "en")


def test_missing_numbers_of_parquet_are_missing(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "short": [1.5, math.nan]}), tmp_path / "rows.parquet")
    made = source(tmp_path / "rows.parquet", ("en",), Columns(prompt="text", target="short"))
    assert [each.target for each in examples(made, "en")] == ["1.5"]
    assert made.drops("train").counts == {"no target": 1}

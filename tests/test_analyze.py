"""`harness analyze` and `harness compare`: long tables from anywhere, two cells side by side."""

from __future__ import annotations

import gzip
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.special import stdtrit

from eval.analysis.groups import LanguageGroups
from eval.analysis.long_tables import Columns, analyse
from tests.support import REPOSITORY, harness

GUIDE = REPOSITORY.parent / "shared" / "data" / "guide_tables.csv"
HEADER = "model,amount,language,score\n"


def write(path: Path, rows: str) -> Path:
    path.write_text(HEADER + rows, encoding="utf-8")
    return path


def analyze(path: Path, *options: str) -> Any:
    done = harness("analyze", path, "--x", "amount", "--seen", "fr", "--unseen", "ja", *options, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["analyses"]


@pytest.mark.skipif(not GUIDE.is_file(), reason="the guide's tables are not beside this checkout")
def test_the_guides_own_tables_give_the_guides_own_figures() -> None:
    done = harness(
        "analyze", GUIDE, "--x", "per_language", "--seen", "es,fr,ja,zh", "--unseen", "ar,ko,pt", "--pivot", "en",
        "--group", "model,setting,task,train_languages", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    closed = {
        (part["group"]["model"], part["group"]["task"], part["group"]["train_languages"]): 100
        * curve["gap_closed"]["mean"]
        for part in json.loads(done.stdout)["analyses"]
        for curve in part["curves"]
        if curve["group"] == "non_pivot"
    }
    assert round(closed["aya-23-8b", "instructions", "en es fr ja zh"], 1) == 6.8
    assert round(closed["aya-23-8b", "summarization", "en es fr ja zh"], 1) == 8.7
    assert len(closed) == 7


def test_means_have_no_interval_and_scores_per_item_have(tmp_path: Path) -> None:
    rows = [(amount, language, 0.5 + amount / 10) for amount in (0, 1) for language in ("en", "fr", "ja")]
    means = write(
        tmp_path / "means.csv", "".join(f"m,{amount},{language},{score}\n" for amount, language, score in rows)
    )
    (part,) = analyze(means)
    assert {row["low"] for row in part["summary"]} == {None}
    assert {curve["plateau"] for curve in part["curves"]} == {None}
    unseen = [row["mean"] for row in part["summary"] if row["group"] == "unseen"]
    assert unseen == [0.5, 0.6]
    items = pl.DataFrame(
        [{"amount": amount, "language": language, "score": score + item / 100, "item": str(item)}
         for amount, language, score in rows for item in range(20)]
    )  # fmt: skip
    items.write_parquet(tmp_path / "items.parquet")
    (part,) = analyze(tmp_path / "items.parquet")
    found = [row for row in part["summary"] if row["group"] == "unseen"]
    assert all(row["low"] < row["mean"] < row["high"] and row["scored"] == 20 for row in found)
    assert {curve["plateau"] for curve in part["curves"]} == {1.0}


def test_two_rows_for_a_point_name_the_column_that_tells_them_apart(tmp_path: Path) -> None:
    rows = "".join(f"{model},0,{language},0.5\n" for model in ("a", "b") for language in ("en", "fr", "ja"))
    path = write(tmp_path / "table.csv", rows)
    refused = harness("analyze", path, "--x", "amount", "--seen", "fr", "--unseen", "ja")
    assert refused.returncode == 2 and "add model to --group" in refused.stderr
    assert "2 rows for the point amount 0" in refused.stderr
    assert [part["group"] for part in analyze(path, "--group", "model")] == [{"model": "a"}, {"model": "b"}]


def test_groups_named_by_numbers_are_numbers_in_json(tmp_path: Path) -> None:
    rows = "".join(
        f"{size},{version},0,{language},0.5\n"
        for size, version in ((8, "007"), (0.5, "1e3"))
        for language in ("en", "fr", "ja")
    )
    path = tmp_path / "table.csv"
    path.write_text("size,version,amount,language,score\n" + rows)
    assert [part["group"] for part in analyze(path, "--group", "size,version")] == [
        {"size": 8, "version": "007"}, {"size": 0.5, "version": "1e3"}
    ]  # fmt: skip


def stages_table(path: Path, items: int = 1, **columns: float) -> Path:
    """R[i, j] of three stages, in en, fr and ja; per item if there are several."""
    scores = [[0.8, 0.3, 0.1], [0.6, 0.9, 0.3], [0.5, 0.7, 0.9]]
    rows = [
        {"stage": stage, "language": language, "score": score + (item % 3 - 1) / 10, "item": str(item)} | columns
        for stage, row in enumerate(scores, 1)
        for language, score in zip(("en", "fr", "ja"), row, strict=True)
        for item in (range(items) if items > 1 else [1])
    ]
    table = pl.DataFrame(rows)
    (table if items > 1 else table.drop("item")).write_csv(path)
    return path


def staged(path: Path, *options: str) -> Any:
    return harness("analyze", path, "--x", "stage", "--seen", "en,fr,ja", "--stages", "en,fr,ja", *options)


def test_stages_of_training_say_what_was_forgotten_and_transferred(tmp_path: Path) -> None:
    means = json.loads(staged(stages_table(tmp_path / "a.csv"), "--json").stdout)["analyses"][0]["continual"]
    assert {name: each["mean"] for name, each in means.items()} == pytest.approx(
        {"final": 0.7, "forgetting": 0.225, "backward": -0.225}
    )
    assert {each["low"] for each in means.values()} == {None}
    items = stages_table(tmp_path / "b.csv", 30, random=0.1, alone=0.8)
    (part,) = json.loads(staged(items, "--json").stdout)["analyses"]
    assert part["continual"]["forward"]["mean"] == pytest.approx(0.15)
    assert part["continual"]["transfer"]["mean"] == pytest.approx(0.1)
    final = part["continual"]["final"]
    assert (
        final["low"] < final["mean"] < final["high"] and final["n"] == 90 and part["continual"]["backward"]["n"] == 180
    )
    assert part["continual"]["backward"]["low"] is None, "every item changed alike"
    assert part["continual"]["forgetting"]["low"] is None, "a maximum of noise has no honest interval"
    assert part["stages"] == {"en": 1.0, "fr": 2.0, "ja": 3.0}
    shown = staged(items).stdout
    assert "mean after the last stage: 0.700 (0." in shown and "above guessing: 0.150" in shown


def test_stages_that_do_not_fit_the_table_are_refused(tmp_path: Path) -> None:
    table = stages_table(tmp_path / "a.csv")
    refused = harness("analyze", table, "--x", "stage", "--seen", "en,fr,ja", "--stages", "en")
    assert refused.returncode == 2 and "has 3 values (1, 2, 3); 1 stages take 1, or 2" in refused.stderr
    refused = harness("analyze", table, "--x", "stage", "--seen", "en,fr", "--stages", "en,ja,ja")
    assert refused.returncode == 2 and "'ja' is neither in --seen" in refused.stderr and "named twice" in refused.stderr
    lower = pl.read_csv(table).filter(~((pl.col("stage") == 1) & (pl.col("language") == "ja")))
    lower.write_csv(tmp_path / "lower.csv")
    (part,) = json.loads(staged(tmp_path / "lower.csv", "--json").stdout)["analyses"]
    assert part["continual"]["backward"]["mean"] == pytest.approx(-0.225), "it needs no score before a stage"
    blank = pl.read_csv(table).with_columns(random=pl.when(pl.col("language") != "ja").then(0.1))
    blank.write_csv(tmp_path / "blank.csv")
    refused = staged(tmp_path / "blank.csv")
    assert refused.returncode == 2 and "column 'random' is blank in ja" in refused.stderr


ORDERS = ("en,fr,ja", "ja,en,fr", "fr,ja,en")
EFFECTS = {"en,fr,ja": 0.0, "ja,en,fr": -0.1, "fr,ja,en": 0.1}


def ordered_table(path: Path, seeds: int = 2, items: int = 1) -> Path:
    """R of three orders and some seeds: .5 at a language's own stage, less after it by what the order loses."""
    drawn = np.random.default_rng(0)
    rows = [
        {"order": order, "seed": seed, "stage": stage, "language": language, "random": 0.1, "item": str(item),
         "score": (0.5 + (EFFECTS[order] - 0.2 if stage > place else 0.0) if stage >= place else 0.2)
         + seed / 100 + (drawn.normal(0, 0.1) if items > 1 else 0.0)}
        for order in ORDERS for seed in range(seeds) for stage in range(3)
        for place, language in enumerate(order.split(","))
        for item in range(items)
    ]  # fmt: skip
    table = pl.DataFrame(rows).sample(fraction=1, shuffle=True, seed=1)
    (table if items > 1 else table.drop("item")).write_csv(path)
    return path


def over_orders(path: Path, *options: str) -> Any:
    said = harness("analyze", path, "--x", "stage", "--seen", "en,fr,ja", "--stages-in", "order", "--run", "seed",
                   "--json", *options)  # fmt: skip
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)


def test_orders_of_stages_are_a_random_factor(tmp_path: Path) -> None:
    data = over_orders(ordered_table(tmp_path / "orders.csv"))
    by_order = {part["group"]["order"]: part["continual"]["backward"]["mean"] for part in data["analyses"]}
    assert by_order == pytest.approx({order: EFFECTS[order] - 0.2 for order in ORDERS})
    (whole,) = data["orders"]
    assert len(whole["orders"]) == 3 and whole["runs"] == 6
    backward = whole["continual"]["backward"]
    half = stdtrit(2, 0.975) * 0.1 / np.sqrt(3)
    assert backward["mean"] == pytest.approx(-0.2)
    assert (backward["low"], backward["high"]) == pytest.approx((-0.2 - half, -0.2 + half), rel=1e-2)
    assert whole["continual"]["forward_1"]["mean"] == whole["continual"]["forward_2"]["mean"] == pytest.approx(0.105)
    shown = harness("analyze", tmp_path / "orders.csv", "--x", "stage", "--seen", "en,fr,ja", "--stages-in", "order",
                    "--run", "seed").stdout  # fmt: skip
    assert "over 3 orders in 6 runs" in shown and "a language 2 stages before its own, above guessing: 0.105" in shown


def test_one_orders_runs_are_a_random_factor_and_items_add_their_part(tmp_path: Path) -> None:
    path = ordered_table(tmp_path / "orders.csv", seeds=3)
    one = pl.read_csv(path).filter(order=ORDERS[0])
    one.drop("order").write_csv(tmp_path / "one.csv")
    (part,) = json.loads(staged(tmp_path / "one.csv", "--run", "seed", "--json").stdout)["analyses"]
    final, half = part["continual"]["final"], stdtrit(2, 0.975) * 0.01 / np.sqrt(3)
    assert (final["low"], final["high"]) == pytest.approx((final["mean"] - half, final["mean"] + half), rel=1e-2)
    means, items = (
        over_orders(ordered_table(tmp_path / f"{number}.csv", items=number))["orders"][0]["continual"]["final"]
        for number in (1, 8)
    )
    assert items["high"] - items["low"] > 0.8 * (means["high"] - means["low"]) and items["n"] == 8 * means["n"]


def test_orders_that_have_no_mean_are_refused(tmp_path: Path) -> None:
    table = pl.read_csv(ordered_table(tmp_path / "orders.csv"))
    options = ("--x", "stage", "--seen", "en,fr,ja", "--stages-in", "order", "--run", "seed")
    shorter = table.with_columns(order=pl.col("order").replace("fr,ja,en", "fr,ja")).filter(
        (pl.col("order") != "fr,ja") | (pl.col("stage") < 2)
    )
    shorter.write_csv(tmp_path / "shorter.csv")
    refused = harness("analyze", tmp_path / "shorter.csv", *options)
    assert refused.returncode == 2 and "has orders of unlike languages" in refused.stderr
    table.filter((pl.col("seed") == 0) | (pl.col("stage") < 2)).write_csv(tmp_path / "lacking.csv")
    refused = harness("analyze", tmp_path / "lacking.csv", *options)
    assert refused.returncode == 2 and "each run needs all stages" in refused.stderr
    refused = harness("analyze", tmp_path / "orders.csv", *options, "--stages", "en,fr,ja")
    assert refused.returncode == 2 and "stands in place of --stages" in refused.stderr


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ("m,0,en,0.5\nm,0,fr,0.5\n", (), "no rows in ja; the languages are en, fr"),
        ("m,0,en,half\nm,0,fr,0.5\nm,0,ja,0.5\n", (), "column 'score' must hold numbers; got 'half'"),
        ("m,0,en,0.5\nm,0,fr,inf\nm,0,ja,0.5\n", (), "column 'score' must hold numbers; got 'inf'"),
        ("m,0,en,0.5\n", ("--group", "modell"), "no column 'modell'; there are model, amount, language, score"),
    ],
)
def test_a_table_that_cannot_be_analysed_says_why(
    rows: str, options: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "table.csv", rows)
    refused = harness("analyze", path, "--x", "amount", "--seen", "fr", "--unseen", "ja", *options)
    assert refused.returncode == 2 and message in refused.stderr and "Traceback" not in refused.stderr


def test_languages_are_seen_or_unseen_and_what_is_neither_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "table.csv", "".join(f"m,0,{language},0.5\n" for language in ("en", "fr", "ja", "ko")))
    said = harness("analyze", path, "--x", "amount", "--seen", "fr", "--unseen", "ja")
    assert said.returncode == 0 and "left out, as neither seen nor unseen: ko" in said.stderr
    both = harness("analyze", path, "--x", "amount", "--seen", "fr,ja", "--unseen", "ja")
    assert both.returncode == 2 and "'ja' is also in --seen" in both.stderr
    none = harness("analyze", path, "--x", "amount", "--seen", "en", "--unseen", "ja")
    assert none.returncode == 2 and "names no language besides 'en'" in none.stderr


def test_a_blank_score_is_missing_and_not_zero(tmp_path: Path) -> None:
    path = write(tmp_path / "table.csv", "m,0,en,0.5\nm,0,fr,\nm,0,ja,0.4\nm,1,en,0.5\nm,1,fr,0.2\nm,1,ja,0.4\n")
    (part,) = analyze(path)
    seen = [(row["mean"], row["unscored"]) for row in part["summary"] if row["group"] == "seen"]
    assert seen == [(None, 1), (0.2, 0)]


def test_amounts_that_are_close_stay_apart(tmp_path: Path) -> None:
    rows = "".join(f"m,{step},{language},{score}\n" for step, score in ((1234561, 0.1), (1234564, 0.9))
                   for language in ("en", "fr", "ja"))  # fmt: skip
    (part,) = analyze(write(tmp_path / "table.csv", rows))
    assert [(row["x"], row["mean"]) for row in part["summary"] if row["group"] == "unseen"] == [
        (1234561.0, 0.1), (1234564.0, 0.9),
    ]  # fmt: skip


def test_checkpoints_give_learning_and_forgetting(tmp_path: Path) -> None:
    path = tmp_path / "steps.csv"
    values = {10: 0.2, 20: 0.8, 30: 0.6}
    path.write_text(
        "step,language,score\n"
        + "".join(f"{step},{language},{score}\n" for step, score in values.items() for language in ("en", "fr", "ja"))
    )
    done = harness("analyze", path, "--x", "step", "--seen", "fr", "--unseen", "ja", "--json")
    found = {each["group"]: each for each in json.loads(done.stdout)["analyses"][0]["dynamics"]}
    assert found["ja"]["learn_step"] == 20 and found["ja"]["forgetting"] == pytest.approx(0.2)
    shown = harness("analyze", path, "--x", "step", "--seen", "fr", "--unseen", "ja").stdout
    assert found["ja"]["low"] is None, "means have no interval"
    assert "ja: learned at step 20, not yet at 10; 0.200 forgotten since the best, 25% of it" in shown


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--x", "amount", "--group", "model,amount"), "column 'amount' has two parts to play"),
        (("--x", "language"), "column 'language' has two parts to play"),
        (("--x", "mean"), "column 'mean' is called as a figure of the analysis is"),
        (("--x", "amount", "--score", "many"), "column 'many' holds lists"),
    ],
)
def test_columns_that_cannot_play_their_part_are_refused(
    options: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    rows = [{"model": "m", "amount": 0, "mean": 1, "language": language, "score": 0.5, "many": [1, 2]}
            for language in ("en", "fr", "ja")]  # fmt: skip
    path = tmp_path / "table.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    refused = harness("analyze", path, "--seen", "fr", "--unseen", "ja", *options)
    assert refused.returncode == 2 and message in refused.stderr, refused.stderr


def test_brackets_in_names_are_no_markup(tmp_path: Path) -> None:
    rows = "".join(f"a[/b] [red],0,{language},0.5\n" for language in ("en", "fr", "ja"))
    path = write(tmp_path / "table.csv", rows)
    done = harness("analyze", path, "--x", "amount", "--seen", "fr", "--unseen", "ja", "--group", "model")
    assert done.returncode == 0 and "a[/b] [red]" in done.stdout, done.stderr


def test_items_of_a_cluster_are_resampled_together(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    easy = rng.normal(0.5, 0.2, 10)
    rows = [{"amount": 0, "language": language, "item": item, "cluster": f"template-{item % 10}",
             "score": easy[item % 10] + rng.normal(0, 0.02)}
            for item in range(100) for language in ("en", "fr", "ja")]  # fmt: skip
    groups, columns = LanguageGroups(("en", "fr"), ("ja",)), Columns("amount", item="item", cluster="cluster")
    table = pl.DataFrame(rows)
    alone, together = (
        analyse(table, each, groups)[0]["summary"][0] for each in (replace(columns, cluster=None), columns)
    )
    assert together["mean"] == alone["mean"]
    assert together["high"] - together["low"] > 2 * (alone["high"] - alone["low"])


TABLE = "m,0,en,0.5\nm,0,fr,\nm,0,ja,0.2\nm,5,en,0.5\nm,5,fr,0.4\nm,5,ja,0.3\n"


def means(parts: Any) -> list[tuple[float, str, float | None]]:
    return [(row["x"], row["group"], row["mean"]) for row in parts[0]["summary"] if row["kind"] == "language"]


@pytest.mark.parametrize(
    "name", ["t.csv", "t.tsv", "t.jsonl", "t.json", "t.parquet", "t.jsonl.gz", "t.bom.jsonl", "t.bom.json"]
)
def test_every_kind_of_table_says_the_same(name: str, tmp_path: Path) -> None:
    expected = means(analyze(write(tmp_path / "table.csv", TABLE)))
    assert (0.0, "fr", None) in expected
    table = pl.read_csv(tmp_path / "table.csv")
    rows = [row | {"score": math.nan if row["score"] is None else row["score"]} for row in table.to_dicts()]
    path, start = tmp_path / name, "\ufeff" if ".bom" in name else ""
    if ".json" in name:
        lines = json.dumps(rows) if name.endswith(".json") else "\n".join(map(json.dumps, rows))
        content = (start + lines).encode()
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    elif name.endswith(".parquet"):
        pl.DataFrame(rows).write_parquet(path)
    else:
        table.write_csv(path, separator="\t" if name.endswith(".tsv") else ",", null_value="NaN")
    assert means(analyze(path)) == expected


@pytest.mark.parametrize("blank", ["NA", "N/A", "nan", "NaN", "null", "None", "-"])
def test_what_stands_for_no_score_is_a_blank(blank: str, tmp_path: Path) -> None:
    path = write(tmp_path / "table.csv", TABLE.replace("fr,\n", f"fr,{blank}\n"))
    assert (0.0, "fr", None) in means(analyze(path))


def test_a_table_with_a_broken_line_names_it(tmp_path: Path) -> None:
    for name, content, said in (
        ("t.jsonl", b'{"amount": 0, "language": "en", "score": 1}\n{oops', "line 2: not a JSON object"),
        ("t.csv", b"amount,language,score\n0,en\n", "line 2: 2 fields instead of 3"),
        ("t.csv", b'amount,language,score\n0,"en,1\n', "line 2: a quoted field is not closed"),
        ("t.csv", "amount,language,score\n0,español,1\n".encode("latin-1"), "line 2 is not UTF-8 text; save it"),
        ("t.csv", b"amount,language,score,score\n0,en,1,2\n", "two columns called 'score'"),
        ("t.csv", b"", "the file is empty"), ("t.xlsx", b"", "got a .xlsx file; allowed: .jsonl"),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
        refused = harness("analyze", tmp_path / name, "--x", "amount", "--seen", "fr", "--unseen", "ja")
        assert refused.returncode == 2 and said in refused.stderr, refused.stderr


def test_runs_of_a_setting_are_one_point_and_widen_its_interval(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    easy = rng.normal(0, 0.1, 40)
    luck = {0: 0.0, 1: 0.1, 2: -0.1}
    rows = [{"amount": amount, "language": language, "item": item, "seed": run, "score": 0.5 + luck[run] + easy[item]}
            for amount in (0, 10) for language in ("en", "fr", "ja") for item in range(40) for run in luck]  # fmt: skip
    path = tmp_path / "table.csv"
    pl.DataFrame(rows).write_csv(path)
    refused = harness("analyze", path, "--x", "amount", "--seen", "fr", "--unseen", "ja")
    assert refused.returncode == 2 and "rows for the point" in refused.stderr
    (one,) = analyze(path, "--run", "seed")
    pl.DataFrame(rows).rename({"seed": "run"}).write_csv(path)
    assert analyze(path) == [one], "a column run needs no naming"
    (unseen,) = [row for row in one["summary"] if row["group"] == "unseen" and row["x"] == 10]
    assert unseen["runs"] == 3 and unseen["mean"] == pytest.approx(0.5 + easy.mean())
    (single,) = analyze(path, "--group", "run")[:1]
    (alone,) = [row for row in single["summary"] if row["group"] == "unseen" and row["x"] == 10]
    assert unseen["high"] - unseen["low"] > 2 * (alone["high"] - alone["low"])


def test_any_column_may_say_which_items_belong_together(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    easy = rng.normal(0.5, 0.2, 10)
    rows = [{"amount": 0, "language": language, "item": item, "template": f"t{item % 10}", "score": easy[item % 10]}
            for item in range(100) for language in ("en", "fr", "ja")]  # fmt: skip
    path = tmp_path / "table.csv"
    pl.DataFrame(rows).write_csv(path)
    alone, together = (analyze(path, *options)[0]["summary"][0] for options in ((), ("--cluster", "template")))
    assert together["mean"] == alone["mean"]
    assert together["high"] - together["low"] > 2 * (alone["high"] - alone["low"])


def of_mixtures(path: Path, column: str = "trained", **other: str) -> Path:
    """Two kinds of mixtures: what a model is trained on it gets right in amount tenths of the items, else never."""
    trained = {"es": "en,es", "fr": "en fr"} | other
    rows = [
        {"mixture": mixture, column: named if amount else "en", "amount": amount, "language": language,
         "item": item, "score": float(language in named.replace(",", " ").split() and item < amount)}
        for mixture, named in trained.items() for amount in (0, 5, 9)
        for language in ("en", "es", "fr", "ja") for item in range(10)
    ]  # fmt: skip
    pl.DataFrame(rows).write_csv(path)
    return path


def test_seen_and_unseen_are_each_models_own_where_a_column_says_so(tmp_path: Path) -> None:
    table = of_mixtures(tmp_path / "scores.csv")
    done = harness("analyze", table, "--x", "amount", "--seen-in", "trained", "--group", "mixture", "--json")
    assert done.returncode == 0, done.stderr
    parts = {part["group"]["mixture"]: part["summary"] for part in json.loads(done.stdout)["analyses"]}
    for mixture, unseen in {"es": "fr ja", "fr": "es ja"}.items():
        at_nine = {row["group"]: row for row in parts[mixture] if row["x"] == 9}
        assert (at_nine["seen"]["languages"], at_nine["seen"]["mean"]) == (mixture, 0.9)
        assert (at_nine["unseen"]["languages"], at_nine["unseen"]["mean"]) == (unseen, 0.0)
        assert (at_nine["seen_in_study"]["languages"], at_nine["held_out"]["languages"]) == ("es fr", "ja")
        assert "seen" not in {row["group"] for row in parts[mixture] if row["x"] == 0}, "English alone has no other"


def test_a_column_of_languages_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    table = of_mixtures(tmp_path / "scores.csv")
    usual = ("analyze", table, "--x", "amount", "--group", "mixture")
    for options, problem in (
        (["--seen-in", "trained", "--seen", "es"], "--seen-in: stands in place of --seen; give one of them"),
        (["--seen-in", "none"], "no column 'none'"),
        (["--seen-in", "trained", "--unseen", "es"], "--unseen: 'es' is also in column 'trained'; keep it in one"),
        ([], "--seen: names no language besides 'en'; name those trained on, or by --seen-in the column that does"),
    ):
        done = harness(*usual, *options)
        assert done.returncode == 2 and problem in " ".join(done.stderr.split()), done.stderr
    both = pl.concat(
        [pl.read_csv(table), pl.read_csv(table).with_columns(trained=pl.lit("en"), item=pl.col("item") + 10)]
    )
    both.write_csv(table)
    done = harness(*usual, "--seen-in", "trained")
    assert "column 'trained' has 'en,es' and 'en' at mixture es, amount 5; add what tells them apart to --group" in (
        " ".join(done.stderr.split())
    )

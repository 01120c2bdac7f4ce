"""Clusters of items: from the source that names them to the counts and intervals of the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data_mixes.reading import table
from data_mixes.reading.files import FileSource
from data_mixes.reading.table import Columns
from data_mixes.templates.embedded import EmbeddedSource
from eval.analysis.comparisons import compare
from eval.analysis.design import Design
from eval.analysis.groups import LanguageGroups
from eval.analysis.panel import panels_of
from eval.analysis.stats import estimate
from eval.engines.engine import Completion, Request
from eval.generation.requests import EvaluationSet, ModelUnderTest, Prompted
from eval.predictions_and_scores import place_of, predictions_table
from harness.reporting.report import notes_on_clusters
from tests.support import embedded


@pytest.mark.parametrize("source", embedded(), ids=lambda source: source.name)
def test_items_of_one_template_are_a_cluster_in_every_language(source: EmbeddedSource) -> None:
    items = source.item_ids("test")[:200]
    clusters = {language: [each.cluster for each in source.render(items, language)] for language in source.languages}
    assert len({tuple(names) for names in clusters.values()}) == 1
    assert set(clusters["en"]) == {f"{source.name}/{source.draw(item).template}" for item in items}
    pool = source.pool("test", "fr")
    (stored,) = pool.tables(np.arange(3))
    assert stored["cluster"].to_pylist() == [each.cluster for each in pool.examples(range(3))]


def test_a_cluster_goes_with_the_rows_and_changes_no_version(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"p{number}", "target": "t", "id": str(number), "event": f"e{number % 2}"} for number in range(4)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def source(**more: str) -> FileSource:
        return FileSource(
            "own", "summarization", ("en",), {"test": str(tmp_path / "rows.jsonl")}, Columns(id="id", **more)
        )

    plain, clustered = source(), source(cluster="event")
    assert plain.version == clustered.version, "a cluster changes no row, and naming one retrains nothing"
    for made, expected in ((plain, {None}), (clustered, {"e0", "e1"})):
        examples = made.pool("test", "en").examples(range(4))
        assert {example.cluster for example in examples} == expected
        assert sorted(example.prompt for example in examples) == ["p0", "p1", "p2", "p3"]


def test_rows_kept_before_there_were_clusters_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows.jsonl").write_text('{"prompt": "p", "target": "t"}\n', encoding="utf-8")
    without = table.KEPT.remove(table.KEPT.get_field_index("cluster"))
    monkeypatch.setattr(table, "KEPT", without)
    made = FileSource("old", "summarization", ("en",), {"test": str(tmp_path / "rows.jsonl")}, Columns())
    made.pool("test", "en").examples([0])
    monkeypatch.undo()
    again = FileSource("old", "summarization", ("en",), {"test": str(tmp_path / "rows.jsonl")}, Columns())
    assert again.pool("test", "en").examples([0])[0].cluster is None


def test_predictions_carry_clusters_and_the_report_counts_them() -> None:
    source, model = embedded()[0], ModelUnderTest("cell", None)
    examples = tuple(source.render(source.item_ids("test")[:60], "fr"))
    tested = EvaluationSet(source.task, "fr", examples, 5)
    prompts = [Prompted(model, tested, example, Request((1,), 5, (), None), example.id) for example in examples]
    written = predictions_table(prompts, {each.key: Completion("x", 1, "length") for each in prompts})
    assert written["cluster"].to_list() == [each.example.cluster for each in prompts]
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = [
        place_of(each) | {"cell": cell, "metric": "accuracy", "value": float(rng.random() < 0.5), "version": "1",
                          "reason": None, "answer": None}
        for cell in ("base", "cell") for each in prompts
    ]  # fmt: skip
    scores = pl.DataFrame(rows, schema_overrides={"weights": pl.String})
    templates = scores["cluster"].n_unique()
    found = compare([*panels_of(scores)], LanguageGroups(("en",), ("fr",)), Design({"cell": ("cell",)}))
    assert found.filter(group="unseen")["items"].to_list() == [templates]
    (note,) = notes_on_clusters(scores)
    assert f"math has 60 items in {templates} clusters" in note
    assert notes_on_clusters(scores.drop("cluster")) == [], "scores of earlier studies"
    assert notes_on_clusters(scores.with_columns(cluster=pl.lit(None, pl.String))) == []


def test_right_answers_of_one_run_in_one_language_have_an_interval_over_clusters() -> None:
    values, codes = np.tile([1.0, 0.0, 0.0, 1.0], 10)[None, :, None], np.repeat(np.arange(8), 5)
    alone, together = estimate(values), estimate(values, clusters=codes)
    assert alone.mean == together.mean == 0.5 and together.low is not None and together.n == 40

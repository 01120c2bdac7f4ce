"""ROUGE as XL-Sum publishes it, beside ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.prediction_files.file import PredictionFile
from eval.prediction_files.rows import ScoredRow
from eval.prediction_files.score import score_file
from eval.scorers import xl_sum_rouge
from eval.scorers.xl_sum_rouge import METRICS, score_as_xl_sum


def test_turkish_and_hindi_words_are_stemmed() -> None:
    pytest.importorskip("multilingual_rouge")
    assert [score.value for score in score_as_xl_sum("kitaplar", "kitap", "tr")] == [1.0, 0.0, 1.0]
    assert score_as_xl_sum("लड़कों", "लड़का", "hi")[0].value == 1.0
    assert score_as_xl_sum("vitabu vipya", "vitabu vikubwa", "sw")[0].value == 0.5


def test_what_cannot_be_had_is_blank_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for language in ("bn", "ja"):
        assert all(score.value is None and score.reason for score in score_as_xl_sum("a", "a", language))
    monkeypatch.setattr(xl_sum_rouge, "_scorer", lambda name: f"{name} needs stop words")
    (first, *_) = score_as_xl_sum("a", "a", "ru")
    assert (first.metric, first.value, first.reason) == ("rouge_1_xl_sum", None, "russian needs stop words")


@pytest.mark.parametrize("error", [LookupError("no corpus"), ValueError("<ArabicStemmer> has no list of stopwords")])
def test_stop_words_that_are_not_there_are_said(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> None:
        raise error

    xl_sum_rouge._scorer.cache_clear()  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(xl_sum_rouge, "version", lambda _: "0")
    monkeypatch.setattr(xl_sum_rouge, "import_module", broken)
    (first, *_) = score_as_xl_sum("a", "a", "ar")
    assert first.value is None and first.reason and "NLTK's stop words, which XL-Sum's arabic needs" in first.reason
    xl_sum_rouge._scorer.cache_clear()  # pyright: ignore[reportPrivateUsage]


def test_it_stands_beside_ours(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"id": 1, "language": "sw", "prediction": "vitabu vipya", "reference": "vitabu"}))
    (row,) = score_file(PredictionFile(path), "summarization-xl-sum", processes=1)
    assert isinstance(row, ScoredRow)
    metrics = [score.metric for score in row.scores]
    assert metrics[0] == "rouge_l" and set(METRICS) <= set(metrics)

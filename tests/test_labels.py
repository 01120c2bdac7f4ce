"""Tasks whose answers are a few labels: the share of the most frequent one, and models that write none of them."""

from __future__ import annotations

import polars as pl

from eval.labels import label_notes


def rows(cell: str, language: str, references: list[str], completions: list[str | None]) -> list[dict[str, str | None]]:
    return [
        {"cell": cell, "task": "mood", "language": language, "item": f"{language}/{number}", "reference": reference,
         "completion": completion}
        for number, (reference, completion) in enumerate(zip(references, completions, strict=True))
    ]  # fmt: skip


GERMAN = ["gut", "gut", "gut", "gut", "schlecht", "schlecht"]
TURKISH = ["iyi", "iyi", "iyi", "kötü", "kötü", "kötü"]


def test_the_most_frequent_label_and_answers_in_another_language_are_told() -> None:
    predictions = pl.DataFrame([
        *rows("tuned", "de", GERMAN, ["gut"] * 6),
        *rows("tuned", "tr", TURKISH, ["Gut", "Gut", "Gut", "schlecht", "İyi", "iyi"]),
    ])  # fmt: skip
    assert label_notes(predictions) == [
        "mood: share of items, in %, that have the most frequent answer of their language: "
        "de 66.7 (n = 6), tr 50.0 (n = 6)",
        "mood in Turkish: 4 of 6 completions of tuned hold none of its 2 answers; the most frequent is “Gut” "
        "(3 times, an answer of German)",
        "mood: every item is completed in the same way in de by tuned",
    ]


def test_labels_in_half_of_the_completions_are_enough_and_those_not_generated_do_not_count() -> None:
    written = ["The answer: gut.", "SCHLECHT", "gut", None, "?", "?"]
    assert len(label_notes(pl.DataFrame(rows("tuned", "de", GERMAN, written)))) == 1
    assert len(label_notes(pl.DataFrame(rows("tuned", "de", GERMAN, [*written[:2], *"????"])))) == 2


def test_completions_that_all_differ_have_no_most_frequent_one() -> None:
    notes = label_notes(pl.DataFrame(rows("base", "de", GERMAN, [*"abcdef"])))
    assert notes[1].endswith("completions of base hold none of its 2 answers; one is “a”")


def test_references_that_differ_or_are_all_the_same_are_no_labels() -> None:
    every = [str(number) for number in range(6)]
    assert label_notes(pl.DataFrame(rows("tuned", "de", every, ["x"] * 6))) == []
    assert label_notes(pl.DataFrame(rows("tuned", "de", ["gut"] * 6, ["x"] * 6))) == []


def test_many_models_are_counted_rather_than_named() -> None:
    table = pl.DataFrame([row for number in range(6) for row in rows(f"cell-{number}", "de", GERMAN, ["x"] * 6)])
    assert "36 of 36 completions of all 6 models hold none" in label_notes(table)[1]

"""The language confusion benchmark's own rule; benchmarks/language_confusion.py runs its authors' program beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.language_confusion import agreement, stand_ins, their_program
from eval.scorers.language_confusion import score_as_benchmark

CHINESE = "图书馆星期一关闭，因为暴风雨损坏了主楼的屋顶。"
ARABIC = "ستكون المكتبة مغلقة يوم الاثنين لأن العاصفة ألحقت أضرارا بسقف المبنى الرئيسي"
SPANISH = "La biblioteca estará cerrada el lunes porque la tormenta dañó el techo del edificio principal."
ENGLISH = "Sure, here is a summary of the potential negative effects of artificial intelligence."


@pytest.mark.parametrize(
    ("language", "answer", "line", "word"),
    [
        ("ar", ARABIC, 1.0, 1.0),
        ("ar", ENGLISH, 0.0, None),  # no row of the file need be in English
        ("es", SPANISH, 1.0, None),  # no words are looked for among Latin letters
        ("fr", SPANISH, 0.0, None),
        ("ar", f"{ARABIC}\n{ENGLISH}", 0.0, None),
        ("ar", f"{ARABIC}\nSure, here it is.", 1.0, 1.0),  # four tokens
        ("ar", "Sure, here it is.", None, None),
        ("ar", f"{ARABIC}\nQ: {ENGLISH}", 1.0, 1.0),  # the next question of a base model
        ("zh", f"{CHINESE} because {CHINESE}", 1.0, 0.0),
        (
            "zh",
            f"{CHINESE} Because, the {CHINESE}",
            1.0,
            1.0,
        ),  # a capital, three letters
    ],
)
def test_the_rule(language: str, answer: str, line: float | None, word: float | None) -> None:
    found = score_as_benchmark(answer, language)
    assert [score.value for score in found] == [line, word], found


PROGRAM = """
import fasttext
model, words = fasttext.load_model("lid.176.bin"), set(open("words").read().split())

def normalize(text):
    return text.split("\\nQ:")[0]

def tokenize(line, language):
    return line.split()

def compute_metrics(answers, language):
    lines = [line for line in normalize(answers[0]).split("\\n") if len(line.split()) >= 5]
    told = [model.predict(line)[0][0].removeprefix("__label__") for line in lines]
    return {"lpr": float(all(name == language for name in told)), "wpr": 1.0}
"""


def test_a_program_like_the_authors_is_run_on_what_the_harness_has(tmp_path: Path) -> None:
    (tmp_path / "compute_metrics.py").write_text(PROGRAM, encoding="utf-8")
    rows = [{"language": "ar", "completion": text} for text in (ARABIC, ENGLISH, "Sure.", f"{ARABIC} because")]
    with stand_ins():
        counts, differing = agreement(their_program(tmp_path), rows)
    assert (counts["all"], counts["judged"], counts["lines"], counts["alike"]) == (4, 3, 2, 3)
    assert [row["completion"] for row in differing] == [f"{ARABIC} because"], "it looks for no English words"

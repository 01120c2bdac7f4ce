"""harness score: predictions made anywhere, bad rows by line, nothing skewed."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from eval.prediction_files.file import BadRow, PredictionFile
from eval.prediction_files.rows import ScoredRow
from eval.prediction_files.score import score_file
from eval.prediction_files.tally import Tallies
from eval.scorers.answers import final_answer, score_answer
from eval.scorers.language import score_language
from eval.scorers.language_confusion import language_confusion_pass_rate
from eval.scorers.lm_eval_mgsm import score_as_lm_eval
from eval.scorers.summaries import score_summary
from tests.support import harness

LANGUAGES = ["ar", "bn", "de", "en", "es", "fr", "ja", "ko", "pt", "ru", "sw", "te", "th", "zh"]
GOOD = {"id": "a", "language": "en", "prediction": "The answer is 18.", "reference": "18"}


def write(path: Path, lines: list[Any]) -> Path:
    path.write_bytes(
        b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    )
    return path


def test_bad_rows_are_told_by_line_and_skew_nothing(tmp_path: Path) -> None:
    bad = [
        b"{broken", b"[1]", {**GOOD, "id": None}, {**GOOD, "language": "xx"}, {**GOOD, "language": 3},
        {**GOOD, "prediction": 5}, b'{"id": "s", "language": "en", "prediction": "\\ud800", "reference": "1"}',
        {**GOOD, "prediction": "nul \0"}, {**GOOD, "prediction": "x" * 1_000_000}, {**GOOD, "reference": "five"},
        {**GOOD, "reference": None}, {key: GOOD[key] for key in ("id", "language", "reference")},
        b'\xff\xfe{"id": 1}', b"[" * 100_000,
    ]  # fmt: skip
    good = [GOOD, {**GOOD, "id": 2, "prediction": "no idea"}, {**GOOD, "id": 3, "language": "pt-BR", "reference": 18}]
    lines = [line for pair in zip(bad, [good[index % 3] for index in range(len(bad))], strict=True) for line in pair]
    path = write(tmp_path / "rows.jsonl", lines)
    rows = list(score_file(PredictionFile(path), "math", 1))
    assert [row.line for row in rows if isinstance(row, BadRow)] == list(range(1, 2 * len(bad), 2))
    tallies = Tallies()
    for row in rows:
        tallies.add(row)
    english, portuguese = (tallies.as_data()["languages"][code]["accuracy"] for code in ("en", "pt-BR"))
    assert (english["scored"], english["mean"], english["no_answer"]) == (10, 0.5, 5)
    assert (portuguese["scored"], portuguese["mean"]) == (4, 1.0)


def test_the_command_writes_scores_a_table_and_json(tmp_path: Path) -> None:
    rows = [GOOD, {**GOOD, "id": "b", "prediction": "17"}, {**GOOD, "id": "c", "language": "xx"}]
    path = write(tmp_path / "rows.jsonl", rows)
    ran = harness("score", path, "--task", "math", "--out", tmp_path / "out.jsonl", "--json")
    assert ran.returncode == 0, ran.stderr
    assert "bad row: line 3 (id 'c'): unknown language 'xx'" in ran.stderr
    assert json.loads(ran.stdout)["languages"]["en"]["accuracy"]["mean"] == 0.5
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["id"], row["metric"], row["value"]) for row in written] == [
        ("a", "accuracy", 1.0), ("b", "accuracy", 0.0), ("c", "accuracy", None),
    ]  # fmt: skip
    assert written[2]["reason"] == "line 3: unknown language 'xx'"
    table = harness("score", path, "--task", "math")
    assert table.returncode == 0 and "accuracy" in table.stdout and "0.500" in table.stdout


def test_the_users_mistakes_exit_with_2(tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.jsonl", [])
    for arguments, said in (
        ((tmp_path / "absent.jsonl", "--task", "math"), "No such file"),
        ((empty, "--task", "math"), "holds no row that can be scored"),
        ((empty, "--task", "maths"), "--task: no task 'maths'; did you mean 'math'?"),
        (
            (write(tmp_path / "ok.jsonl", [GOOD]), "--task", "math", "--out", tmp_path / "no" / "out.jsonl"),
            "--out: there is no folder",
        ),
    ):
        ran = harness("score", *arguments)
        assert ran.returncode == 2 and said in ran.stderr and "Traceback" not in ran.stderr, ran.stderr


def test_several_processes_give_the_same_in_the_same_order(tmp_path: Path) -> None:
    rows = [{**GOOD, "id": number, "prediction": f"Answer: {number % 20}"} for number in range(3000)]
    path = write(tmp_path / "rows.jsonl", [*rows, b"{", *rows])
    assert list(score_file(PredictionFile(path), "math", 1)) == list(score_file(PredictionFile(path), "math", 2))


def test_instructions_say_what_is_wrong_with_their_constraints(tmp_path: Path) -> None:
    row = {"id": 1, "language": "en", "prediction": "ABC"}
    lines = [
        row | {"constraints": [{"kind": "uppercase"}, {"kind": "contains", "text": "B"}]},
        row | {"constraints": [{"kind": "lowercase"}]}, row | {"constraints": [{"kind": "rhymes"}]},
        row | {"constraints": [{"kind": "contains"}]}, row, row | {"constraints": "uppercase"},
    ]  # fmt: skip
    found = list(score_file(PredictionFile(write(tmp_path / "rows.jsonl", lines)), "instructions"))
    assert [each.scores[0].value for each in found if isinstance(each, ScoredRow)] == [1.0, 0.0]
    problems = [each.problem for each in found if isinstance(each, BadRow)]
    assert "no constraint of kind 'rhymes'" in problems[0] and "contains is not complete" in problems[1]
    assert problems[2] == problems[3]
    assert problems[2].startswith("constraints missing, or not a list of objects; or instruction_id_list and kwargs")


def test_language_of_answers_is_told_row_by_row(tmp_path: Path) -> None:
    rows = {
        "fr": ["Le chat dort sur la table de la cuisine.", "The cat sleeps on the kitchen table today."],
        "ja": ["猫は台所のテーブルの上で寝ています。", "猫は kitchen のテーブルの上で寝ています。"],
        "en": ["The cat sleeps on the kitchen table today.", "18", "Oui !"],
    }
    lines = [{"id": f"{language}{number}", "language": language, "prediction": text}
             for language, texts in rows.items() for number, text in enumerate(texts)]  # fmt: skip
    tallies = Tallies()
    for row in score_file(PredictionFile(write(tmp_path / "rows.jsonl", lines)), "language"):
        tallies.add(row)
    data = tallies.as_data()["languages"]
    assert data["fr"]["language_pass"]["mean"] == 0.5
    assert data["ja"]["language_pass"]["mean"] == 1.0 and data["ja"]["word_pass"]["mean"] == 0.5
    assert data["ja"]["lcpr"]["mean"] == pytest.approx(2 / 3)
    assert (data["en"]["language_pass"]["scored"], data["en"]["language_pass"]["unscored"]) == (1, 2)


def test_no_other_row_changes_the_language_of_an_answer(tmp_path: Path) -> None:
    italian = {"id": 1, "language": "es", "prediction": "Il gatto dorme ogni giorno sul tavolo della cucina"}
    english = {"id": 2, "language": "es", "prediction": "The cat sleeps on the kitchen table every day"}
    rows = [italian, english, {"id": 3, "language": "it", "prediction": italian["prediction"]}]
    alone = [next(iter(score_file(PredictionFile(write(tmp_path / "one.jsonl", [row])), "language"))) for row in rows]
    together = list(score_file(PredictionFile(write(tmp_path / "all.jsonl", rows)), "language"))
    values = [row.scores[0].value for row in together if isinstance(row, ScoredRow)]
    assert values == [0.0, 0.0, 1.0]
    assert [row.scores for row in alone if isinstance(row, ScoredRow)] == [
        row.scores for row in together if isinstance(row, ScoredRow)
    ]


@pytest.mark.parametrize("rule", ["harness", "benchmark"])
def test_english_answers_fail_whether_or_not_the_file_has_an_english_row(rule: str, tmp_path: Path) -> None:
    """Ten Arabic answers, of which three are Arabic and the others English: the share that the authors' code gives."""
    arabic, english = "القطة تنام كل يوم على طاولة المطبخ الكبيرة", "The cat sleeps on the kitchen table every day"
    rows = [{"id": number, "language": "ar", "prediction": arabic if number < 3 else english} for number in range(10)]
    more = [{"id": 10, "language": "en", "prediction": english}, {"id": 11, "language": "ja", "prediction": english}]
    shares: list[float] = []
    for added in (0, 1, 2):
        path = write(tmp_path / f"{added}.jsonl", [*rows, *more[:added]])
        told = harness("score", path, "--task", "language", "--rule", rule, "--json")
        assert told.returncode == 0, told.stderr
        shares.append(json.loads(told.stdout)["languages"]["ar"]["language_pass"]["mean"])
    assert shares == [0.3, 0.3, 0.3]


def test_among_says_what_a_pass_means(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [
        {"id": 1, "language": "es", "prediction": "Il gatto dorme ogni giorno sul tavolo della cucina"}
    ])  # fmt: skip
    closed = harness("score", path, "--task", "language", "--among", "es,zh")
    assert "nearer to its language than to the others" in closed.stdout
    assert "nearer" not in harness("score", path, "--task", "language").stdout
    for options, said in (
        (["--among", "iw"], "'iw' is another code of 'he'; write that"),
        (["--among", "xx"], "py3langid knows no language 'xx'"),
        (["--among", ","], "names no language"),
        (["--rule", "bench"], "no rule 'bench'; did you mean 'benchmark'?"),
        (["--rule", "benchmark", "--among", "en"], "does not go with --rule benchmark"),
        (["--rule", "benchmark", "--identifier", "py3langid"], "does not go with --rule benchmark"),
        (["--thoughts", "<r>"], "got '<r>'; give an opening and a closing text"),
    ):
        refused = harness("score", path, "--task", "language", *options)
        assert refused.returncode == 2 and said in refused.stderr, refused.stderr


def test_thoughts_and_code_are_set_apart_for_every_scorer(tmp_path: Path) -> None:
    thoughts = "<think>\nThe user wants a sentence in French, so let me write one.\n</think>\n"
    answer = "Le chat dort sur la table de la cuisine."
    row = {"id": 1, "language": "fr", "reference": answer, "constraints": [{"kind": "lines", "count": 1}]}
    code = "\n```python\nprint('the cat sleeps on the kitchen table')\n```\n"
    for task in ("summarization", "instructions", "language"):
        for written in (thoughts + answer, answer + code, thoughts + answer + code):
            path = write(tmp_path / "rows.jsonl", [row | {"prediction": written}])
            (scored,) = score_file(PredictionFile(path), task)
            assert isinstance(scored, ScoredRow) and scored.scores[0].value == 1.0, (task, written)
    own = write(tmp_path / "own.jsonl", [row | {"prediction": f"[[The user wants French.]]{answer}"}])
    out = tmp_path / "scores.jsonl"
    for options, value in ([], 0.0), (["--thoughts", "[[ ]]"], 1.0):
        harness("score", own, "--task", "instructions", "--out", out, *options)
        assert json.loads(out.read_text().splitlines()[0])["value"] == 1.0
        harness("score", own, "--task", "summarization", "--out", out, *options)
        assert (json.loads(out.read_text().splitlines()[0])["value"] == 1.0) is (value == 1.0)


def test_every_line_must_be_in_the_language() -> None:
    study = ["en", "fr", "zh"]
    both = "Le chat dort sur la table de la cuisine.\nThe cat sleeps on the kitchen table today."
    assert [score.value for score in score_language(both, "fr", study)] == [0.0, None]
    assert score_language("", "fr", study)[0].reason == "no letters"
    assert language_confusion_pass_rate(0.0, 0.0) == 0.0
    assert language_confusion_pass_rate(1.0, 0.5) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("prediction", "reference", "language", "strict", "flexible"),
    [
        ("The answer is 18.", "18", "en", 1.0, 1.0),
        ("It is $1,250.", "1250", "en", 0.0, 1.0),
        ("So 1.5 in all", "15", "en", 0.0, 1.0),  # its fault: punctuation is dropped
        ("答案是18。", "18", "zh", 0.0, 1.0),  # its fault: it wants a space
        ("উত্তর ১৮", "18", "bn", 0.0, 0.0),  # its fault: ASCII digits alone
        ("답은 18", "18", "ko", None, 1.0),
    ],
)
def test_lm_evals_way_of_scoring(
    prediction: str, reference: str, language: str, strict: float | None, flexible: float
) -> None:
    assert [score.value for score in score_as_lm_eval(prediction, reference, language)] == [strict, flexible]


def test_nothing_that_can_be_written_breaks_a_scorer_or_leaves_its_range() -> None:
    """30,000 random strings through the answers; one in twenty through summaries and languages as well."""
    chosen = random.Random(1)
    pieces = ["\\boxed{", "}", "####", "Answer:", "答案", "1", "٣", "२", ".", ",", "/", "½", "万", "만", "-", "$", "e",
              "×10^", " ", "\n", "\u00a0", "'", "%", "\\frac{", "=", "\u200f", "٫", "٬", "，", "〇"]  # fmt: skip

    def character() -> str:
        code = chosen.choice((chosen.randrange(0x20, 0x3000), chosen.randrange(0x110000)))
        return chosen.choice(pieces) if chosen.random() < 0.5 or 0xD800 <= code < 0xE000 else chr(code)

    for number in range(30_000):
        text = "".join(character() for _ in range(chosen.randrange(24)))
        language = LANGUAGES[number % len(LANGUAGES)]
        score = score_answer(text, "18", language)
        assert score.value in (0.0, 1.0) and (score.answer is None) == isinstance(final_answer(text, language), str)
        if number % 20 == 0:
            for each in (*score_summary(text, text[::-1], text, language), *score_language(text, language, LANGUAGES)):
                assert (each.value is None and each.reason) or (each.value is not None and each.value >= 0)
                assert each.metric == "length_ratio" or each.value is None or each.value <= 1


def test_results_are_never_written_over_what_they_are_of(tmp_path: Path) -> None:
    row = {"id": 1, "language": "en", "prediction": "18"}
    path = write(tmp_path / "rows.jsonl", [row | {"reference": "18"}])
    refused = harness("score", path, "--task", "math", "--out", path)
    assert refused.returncode == 2 and "is the file of predictions itself" in refused.stderr
    older = tmp_path / "older.jsonl"
    older.write_text("older\n")
    nothing = write(tmp_path / "nothing.jsonl", ["{broken"])
    assert harness("score", nothing, "--task", "math", "--out", older).returncode == 2
    assert older.read_text() == "older\n" and len(list(tmp_path.iterdir())) == 3, "and nothing is left behind"


def test_intervals_of_few_rows_are_wide_and_stay_on_the_scale(tmp_path: Path) -> None:
    rows = [{"id": n, "language": "en", "prediction": "a b c", "reference": text}
            for n, text in enumerate(("a b c", "a b x", "x y z"))]  # fmt: skip
    tallies = Tallies()
    for row in score_file(PredictionFile(write(tmp_path / "rows.jsonl", rows)), "summarization"):
        tallies.add(row)
    found = tallies.as_data()["languages"]["en"]["rouge_l"]
    assert (found["low"], found["high"]) == (0.0, 1.0), "three rows say next to nothing"


def test_a_region_changes_how_numbers_are_written_and_nothing_else(tmp_path: Path) -> None:
    chinese, english = "今天天气很好，我们去公园散步吧。", "The weather is fine today, so let us go for a walk."
    rows = [
        {"id": "1", "language": "zh-CN", "prediction": chinese, "reference": "今天天气很好。"},
        {"id": "2", "language": "en-GB", "prediction": english, "reference": "The weather is fine."},
        {"id": "3", "language": "zh-CN", "prediction": english, "reference": "今天天气很好。"},
    ]
    path = tmp_path / "rows.jsonl"

    def scores(task: str, regions: bool) -> list[float | None]:
        given = [row if regions else row | {"language": row["language"][:2]} for row in rows]
        path.write_text("".join(json.dumps(row) + "\n" for row in given), encoding="utf-8")
        out = tmp_path / "out.jsonl"
        assert harness("score", path, "--task", task, "--out", out).returncode == 0
        return [json.loads(line)["value"] for line in out.read_text(encoding="utf-8").splitlines()]

    for task in ("language", "summarization"):
        assert scores(task, regions=True) == scores(task, regions=False)
    assert scores("language", regions=True)[::2] == [1.0, 1.0, 0.0]

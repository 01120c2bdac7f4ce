"""Scoring a million math answers and a hundred thousand summaries, beside rouge_score and lm-eval's regex.

python benchmarks/scoring.py [--answers 1000000] [--summaries 100000]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from rouge_score.rouge_scorer import RougeScorer

from eval.prediction_files.file import PredictionFile
from eval.prediction_files.rows import ScoredTask
from eval.prediction_files.score import score_to_text
from eval.scorers.lm_eval_mgsm import score_as_lm_eval
from eval.scorers.summaries import rouge_l
from eval.scorers.words import words

VOCABULARY = [
    f"{head}{tail}" for head in "bcdfglmnprst" for tail in ("an", "or", "elling", "issue", "ut", "over", "in")
]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    """The rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def timed(path: Path, task: ScoredTask, processes: int) -> float:
    """Seconds to score a file."""
    started = time.perf_counter()
    count = sum(text.count("\n") for text, _ in score_to_text(PredictionFile(path), task, processes))
    seconds = time.perf_counter() - started
    print(f"{task}: {count:,} scores, {processes} processes: {seconds:.1f} s", flush=True)
    return seconds


def main() -> None:
    """Prints seconds and ratios, all of one run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=1_000_000)
    parser.add_argument("--summaries", type=int, default=100_000)
    given = parser.parse_args()
    chosen = random.Random(0)
    folder = Path(tempfile.mkdtemp())
    answers: list[dict[str, object]] = []
    for number in range(given.answers):
        a, b = chosen.randrange(10, 900), chosen.randrange(10, 900)
        text = f"There are {a} at first, and {b} more come.\n{a} + {b} = {a + b}\nThe answer is {a + b}."
        answers.append({"id": number, "language": "en", "prediction": text, "reference": str(a + b)})
    path = write(folder / "answers.jsonl", answers)
    one, two = (timed(path, "math", processes) for processes in (1, 2))
    started = time.perf_counter()
    for row in answers:
        score_as_lm_eval(str(row["prediction"]), str(row["reference"]), "en")
    theirs = time.perf_counter() - started
    print(f"math: 2 processes {one / two:.2f} times as fast; lm-eval's regexes alone: {theirs:.1f} s")
    summaries: list[dict[str, object]] = []
    for number in range(given.summaries):
        texts = [" ".join(chosen.choices(VOCABULARY, k=chosen.randrange(15, 35))) for _ in range(2)]
        summaries.append({"id": number, "language": "en", "prediction": texts[0], "reference": texts[1]})
    path = write(folder / "summaries.jsonl", summaries)
    one, two = (timed(path, "summarization", processes) for processes in (1, 2))
    print(f"summarization (ROUGE-1/2/L, chrF++, …): 2 processes {one / two:.2f} times as fast")
    sample = [(str(row["prediction"]), str(row["reference"])) for row in summaries]
    started = time.perf_counter()
    for prediction, reference in sample:
        rouge_l(words(prediction, "en"), words(reference, "en"))
    ours = time.perf_counter() - started
    scorer = RougeScorer(["rougeL"])
    started = time.perf_counter()
    for prediction, reference in sample:
        scorer.score(reference, prediction)
    theirs = time.perf_counter() - started
    print(f"ROUGE-L alone: {ours:.1f} s, rouge_score {theirs:.1f} s, ratio {theirs / ours:.1f}")


if __name__ == "__main__":
    main()

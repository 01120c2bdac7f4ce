"""What the figures of a metric are: their range, and how tables show them."""

from __future__ import annotations

from dataclasses import dataclass

IN_LANGUAGE, SWITCH_AWARE = "_in_language", "_switch_aware"
"""Ends of the names of split scores: of completions in the right language alone; with the worst value for others."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's range and the factor that tables show its figures times."""

    worst: float = 0.0
    best: float = 1.0
    factor: float = 100.0
    graded: bool = False
    """Whether a single score may lie between the ends; else it is right or wrong, and its mean a share."""

    @property
    def ends(self) -> tuple[float, float]:
        """The worst and the best value."""
        return self.worst, self.best


SHARE = Metric()
GRADED = Metric(graded=True)
METRICS = {
    "judge_rating": Metric(1.0, 5.0, 1.0, graded=True),
    "length_ratio": Metric(0.0, float("inf"), 1.0, graded=True),
    **dict.fromkeys(("chrf", "copy_rate", "instruction_pass", "instruction_pass_loose", "win_rate"), GRADED),
}


MEANINGS = {
    "accuracy": "the answer is right",
    "prompt_pass": "all constraints of the instruction hold",
    "instruction_pass": "the share of its constraints that hold",
    "prompt_pass_loose": "all hold once markup, or the first or last line, is left out (IFEval)",
    "instruction_pass_loose": "the same of single constraints",
    "rouge_l": "the longest common subsequence of words with the reference, as an F-measure",
    "rouge_1": "words in common with the reference, as an F-measure",
    "rouge_2": "pairs of words in common with the reference, as an F-measure",
    "chrf": "n-grams of characters and words in common with the reference (chrF++)",
    "length_ratio": "the length in words, over the reference's",
    "copy_rate": "the share of word triples that are copied from the text",
    "language_pass": "every line that can be judged is in the language asked for",
    "word_pass": "no English word is among the words of another script",
    "thinking_pass": "every line of its thoughts that can be judged is in the language asked for",
    "thinking_in_english": "every line of its thoughts that can be judged is in English",
    "judge_rating": "a model's rating from 1 to 5",
    "win_rate": "1 if a judge prefers the response to an opponent's, 0.5 for a tie",
}
"""What a metric is of one completion, in a line. `…_in_language` and `…_switch_aware` are splits of a task's own."""


def metric_of(name: str) -> Metric:
    """The metric of a name; most are shares of right answers."""
    whole = name.removesuffix(IN_LANGUAGE).removesuffix(SWITCH_AWARE)
    return METRICS.get(whole, GRADED if whole.startswith("rouge") else SHARE)

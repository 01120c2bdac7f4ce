"""Word problems with a worked line and a final answer, written for the harness."""

from __future__ import annotations

from data_mixes.example import Example
from data_mixes.prompt_words import ANSWER_MARKERS
from data_mixes.templates.bank import Draw, compute
from data_mixes.templates.embedded import EmbeddedSource

SIGNS = {"+": "+", "-": "-", "*": "×", "/": "÷"}


class WordProblems(EmbeddedSource):
    """One- and two-step arithmetic; the target is e.g. "3 × 12 = 36, 36 - 5 = 31⏎Answer: 31"."""

    name = "word-problems"
    task = "math"

    def example(self, item_id: str, draw: Draw, language: str) -> Example:
        """One item in one language."""
        template = self.bank.templates[draw.template]
        numbers = {name: value for name, value in draw.values if isinstance(value, int)}
        worked, answer = work_out(template["steps"], numbers)
        gap = "" if ANSWER_MARKERS[language].endswith("：") else " "
        return Example(
            id=f"{item_id}@{language}",
            item_id=item_id,
            task=self.task,
            language=language,
            prompt=self.bank.render(template["question"], draw, language),
            target=f"{worked}\n{ANSWER_MARKERS[language]}{gap}{answer}",
            answer=str(answer),
        )


def work_out(steps: list[str], numbers: dict[str, int]) -> tuple[str, int]:
    """The worked line and the result of steps like ["a * b", "r1 - c"]."""
    known, lines, result = dict(numbers), list[str](), 0
    for number, step in enumerate(steps, 1):
        left, operator, right = step.split()
        result = compute(step, known)
        known[f"r{number}"] = result
        x, y = (known[side] if side in known else int(side) for side in (left, right))
        lines.append(f"{x} {SIGNS[operator]} {y} = {result}")
    return ", ".join(lines), result

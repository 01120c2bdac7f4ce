"""Word problems with a solution in words and a final answer, written for the harness."""

from __future__ import annotations

from data_mixes.example import Example
from data_mixes.prompt_words import answer_sentence
from data_mixes.templates.bank import Draw, compute
from data_mixes.templates.embedded import EmbeddedSource

SIGNS = {"+": "+", "-": "-", "*": "×", "/": "÷"}


class WordProblems(EmbeddedSource):
    """One- and two-step arithmetic.

    The target is e.g. "Sara starts with 12 apples and buys 5 more: 12 + 5 = 17.⏎The answer is 17."
    """

    name = "word-problems"
    task = "math"

    def example(self, item_id: str, draw: Draw, language: str) -> Example:
        """One item in one language."""
        template = self.bank.templates[draw.template]
        numbers = {name: value for name, value in draw.values if isinstance(value, int)}
        steps, answer = work_out(template["steps"], numbers)
        worked = {f"s{number}": step for number, step in enumerate(steps, 1)}
        solution = self.bank.render(template["solution"], draw, language, **worked)
        return Example(
            id=f"{item_id}@{language}",
            item_id=item_id,
            task=self.task,
            language=language,
            prompt=self.bank.render(template["question"], draw, language),
            target=f"{solution}\n{answer_sentence(answer, language)}",
            answer=str(answer),
        )


def work_out(steps: list[str], numbers: dict[str, int]) -> tuple[list[str], int]:
    """Steps like ["a * b", "r1 - c"] with their numbers, as in "3 × 12 = 36", and the result of the last."""
    known, worked, result = dict(numbers), list[str](), 0
    for number, step in enumerate(steps, 1):
        left, operator, right = step.split()
        result = compute(step, known)
        known[f"r{number}"] = result
        x, y = (known[side] if side in known else int(side) for side in (left, right))
        worked.append(f"{x} {SIGNS[operator]} {y} = {result}")
    return worked, result

"""What models see: training rows as they are learned, and test prompts as they are put."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from data_mixes.prompts import IGNORED, Renderer, Rendering
from harness.console import line, output
from harness.planning.testsets import tested_source
from harness.results import Result

if TYPE_CHECKING:
    from harness.planning.bases import Base
    from harness.planning.cells import CellPlan
    from harness.planning.study import Study

OPEN, CLOSE = "⟦", "⟧"
"""Around what is supervised."""
INSTEAD, OTHER = "→", "other"
"""Before what is supervised in place of what is read, and the kind of such parts."""


class Part(Result):
    """A stretch of a row."""

    text: str
    supervised: bool
    """Whether it carries a loss."""
    learned: str | None = None
    """What is learned in its place, where that is another token."""


class RenderedRow(Result):
    """A training row, or a test prompt, with special tokens as text."""

    kind: Literal["training", "test"]
    task: str
    language: str
    """The language, or the pair of languages."""
    source: str
    id: str
    tokens: int
    shortened: int
    """Tokens that were left out, so that the prompt is no longer than prompts.max_tokens."""
    parts: tuple[Part, ...]


def rendered_rows(study: Study, chosen: Collection[str], count: int) -> Iterator[RenderedRow]:
    """So many training rows of each source and language in the chosen cells, then so many prompts of each test set.

    Of several base models, as each of them sees them.
    """
    for base in study.bases:
        yield from rows_for(study, base, [plan for plan in study.plans if plan.name in chosen], count)


def rows_for(study: Study, base: Base, plans: Sequence[CellPlan], count: int) -> Iterator[RenderedRow]:
    """Those of the plans' rows, and the prompts, that one base model sees."""
    taken: dict[str, int] = {}
    for plan in plans:
        for pool, _, places in plan.mixture.by_pool() if study.base_of(plan.cell) is base else ():
            start = taken.setdefault(pool.name, 0)
            for example in pool.examples([*dict.fromkeys(places.tolist())][: count - start]):
                row = base.renderer.render(example)
                taken[pool.name] += 1
                yield RenderedRow(
                    kind="training", task=pool.task, language=pool.variant, source=pool.source, id=example.id,
                    tokens=row.tokens, shortened=row.cut, parts=tuple(parts_of(row, base.renderer)),
                )  # fmt: skip
    for tested in study.evaluation_sets:
        prompts = base.prompts(tested)
        for example, (ids, shortened) in zip(tested.examples[:count], prompts, strict=False):
            yield RenderedRow(
                kind="test", task=tested.name, language=tested.language,
                source=tested_source(study.recipe, tested.task).name, id=example.id, tokens=len(ids),
                shortened=shortened, parts=(Part(text=base.renderer.text(ids), supervised=False),),
            )  # fmt: skip


def parts_of(row: Rendering, renderer: Renderer) -> Iterator[Part]:
    """The stretches of a row with and without a loss, each as what it adds to the text before it."""
    ids, labels = row.prompt_ids + row.completion_ids, row.labels
    kinds = [OTHER if label not in (token, IGNORED) else label != IGNORED
             for token, label in zip(ids, labels, strict=True)]  # fmt: skip
    starts = [place for place in range(1, len(ids)) if kinds[place] != kinds[place - 1] or kinds[place] == OTHER]
    before = ""
    for start, end in zip([0, *starts], [*starts, len(ids)], strict=True):
        text = renderer.text(ids[:end])
        learned = renderer.text([labels[start]]) if kinds[start] == OTHER else None
        yield Part(text=text.removeprefix(before), supervised=labels[start] != IGNORED, learned=learned)
        before = text


def show_rows(rows: Sequence[RenderedRow]) -> None:
    """Prints them; what is supervised stands in brackets, and in colour where there is any."""
    line(f"Rows as the model sees them; what is supervised stands between {OPEN} and {CLOSE}")
    for row in rows:
        what = "training row" if row.kind == "training" else "test prompt"
        cut = f", {row.shortened} tokens left out" if row.shortened else ""
        line(f"\n{what}: {row.task}, {row.language}, {row.source} {row.id} ({row.tokens} tokens{cut})")
        for part in row.parts:
            learned = "" if part.learned is None else f"{INSTEAD}{part.learned}"
            text = f"{OPEN}{part.text}{learned}{CLOSE}" if part.supervised else part.text
            style = "green" if part.supervised else None
            output.print(text, style=style, markup=False, highlight=False, soft_wrap=True, end="")
        line("")

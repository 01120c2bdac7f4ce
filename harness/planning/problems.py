"""What keeps a recipe from being planned, as the user's mistakes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from data_mixes.generated import GeneratedSource
from data_mixes.makers.lexicons import Lexicon, LexiconError
from data_mixes.mixture import TOKEN_UNITS, BudgetError, allot
from data_mixes.prompt_words import PromptError
from data_mixes.source import Source, SourceError
from harness.errors import Problem, UserError
from harness.planning.asides import asides_for, learned
from harness.planning.drawing import Drawing
from harness.planning.generated import prompts_for
from harness.recipe.grid import Cell
from harness.recipe.schema import Recipe

if TYPE_CHECKING:
    pass
Result = TypeVar("Result")


@contextmanager
def as_problems(recipe: Recipe) -> Generator[None]:
    """Errors of `data_mixes` as the user's mistakes, at their keys."""
    try:
        yield
    except BudgetError as error:
        raise UserError(budget_problems(error, recipe)) from None
    except SourceError as error:
        raise UserError([Problem(f"sources.{error.source}", str(error))]) from None
    except LexiconError as error:
        raise UserError([Problem(f"lexicons.{error.name}", str(error))]) from None
    except PromptError as error:
        raise UserError([Problem("prompts", str(error))]) from None


def gathered(calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """What all calls return. Raises UserError with the problems of all that fail."""
    results: list[Result] = []
    problems: list[Problem] = []
    for call in calls:
        try:
            results.append(call())
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(list(dict.fromkeys(problems)))
    return results


def problems_of(call: Callable[[], object]) -> list[Problem]:
    """The user's mistakes for which a call fails; none if it succeeds."""
    try:
        call()
    except UserError as error:
        return list(error.problems)
    return []


def opening_problems(cells: Sequence[Cell]) -> list[Problem]:
    """Sources of some cell's mixture that cannot be read."""
    wanted: dict[str, tuple[Source, set[str]]] = {}
    for component in [component for cell in cells for component in cell.recipe.components]:
        for source in component.sources:
            languages = {
                language for variant in component.variants for language in (variant.language, variant.prompt_language)
            }
            wanted.setdefault(source.name, (source, set()))[1].update(filter(None, languages))
    problems: list[Problem] = []
    for name, (source, languages) in wanted.items():
        try:
            for language in sorted(languages):
                source.pool("train", language)
        except SourceError as error:
            problems.append(Problem(f"sources.{name}", str(error)))
    return problems or [problem for lexicon in lexicons_used(cells) for problem in lexicon_problems(lexicon)]


def lexicons_used(cells: Sequence[Cell]) -> list[Lexicon]:
    """The lexicons that rows of some cell are made with."""
    switched = [(variant.language, variant.maker.switches) for cell in cells for part in cell.recipe.components
                for variant in part.variants if variant.maker and variant.maker.switches]  # fmt: skip
    return list(dict.fromkeys(each for language, switching in switched for each in switching.lexicons_of(language)))


def lexicon_problems(lexicon: Lexicon) -> list[Problem]:
    """Why a lexicon cannot be had, if it cannot."""
    try:
        _ = lexicon.pairs
    except LexiconError as error:
        return [Problem(f"lexicons.{lexicon.name}", str(error))]
    return []


def shortfalls(cell: Cell, drawing: Drawing) -> list[Problem]:
    """Amounts that a source cannot serve, as far as can be told without a tokenizer."""
    components = cell.recipe.components
    if cell.is_made:
        return []
    if not any(component.amount or component.total for component in learned(components)):
        return [Problem("mixture", f"cell {cell.name!r} has no training rows; give some component an amount above 0")]
    if any(component.unit in TOKEN_UNITS for component in components):
        return []
    try:
        allot(learned(components), drawing.orders(cell))
        prompts_for(cell, drawing.orders(cell))
        asides_for(cell, drawing.orders(cell), None)
    except BudgetError as error:
        return budget_problems(error, cell.recipe)
    return []


def budget_problems(error: BudgetError, recipe: Recipe) -> list[Problem]:
    """The budgets that cannot be served, at their keys, with what their source had to leave out."""
    problems: list[Problem] = []
    for shortfall in error.shortfalls:
        source, where = recipe.known_sources[shortfall.source], shortfall.component
        left_out = str(source.drops("train"))
        note = f" ({shortfall.source} left out when read: {left_out})" if left_out else ""
        if isinstance(source, GeneratedSource) and source.written is not None:
            note = f", or set generated.{source.name}.short: allow to take what there is{note}"
        problems.append(Problem(where if where.startswith("generated.") else f"mixture.{where}", f"{shortfall}{note}"))
    return problems

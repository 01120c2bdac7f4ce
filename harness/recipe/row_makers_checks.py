"""Whether the rows that components are to be made as can be made, and whether lexicons name two languages."""

from __future__ import annotations

from collections.abc import Iterator

from harness.errors import Problem, suggestion
from harness.recipe.mixture_section import Ingredient
from harness.recipe.row_makers_section import RowMaker, languages_of
from harness.recipe.schema import Recipe

FORMS = ", ".join(RowMaker.model_fields)


def check_lexicons(recipe: Recipe) -> list[Problem]:
    """All mistakes in `lexicons`."""
    problems: list[Problem] = []
    for name, given in recipe.lexicons.items():
        where, languages = f"lexicons.{name}", languages_of(name, recipe.all_languages)
        if languages is None:
            known = ", ".join(recipe.all_languages)
            problems.append(Problem(where, f"its name is of two languages of the study, as en-es; these are {known}"))
        if (given.file is None) == (not given.teachers):
            problems.append(Problem(where, "give either file, or learned_from with a source that has translations"))
        if given.file is not None and "rows" in given.model_fields_set:
            problems.append(Problem(f"{where}.rows", "goes with learned_from; remove it"))
        for source in given.teachers:
            problems += _source_problems(recipe, f"{where}.learned_from", source, languages or ())
    return problems


def _source_problems(recipe: Recipe, where: str, name: str, languages: tuple[str, ...]) -> Iterator[Problem]:
    """Why a lexicon cannot be learned from a source."""
    if name not in recipe.known_sources:
        yield Problem(where, f"no source {name!r}; {suggestion(name, recipe.known_sources)}")
        return
    source = recipe.known_sources[name]
    if lacking := [language for language in languages if language not in source.languages]:
        yield Problem(where, f"{name} has no {', '.join(map(repr, lacking))}, only {', '.join(source.languages)}")
    if not source.parallel:
        yield Problem(where, f"needs translations, and {name} does not say which rows are; name its columns.item")


def check_row_makers(recipe: Recipe) -> list[Problem]:
    """All mistakes in the `as` of components."""
    return [
        problem
        for name, part in recipe.ingredients.items()
        if part.made_as
        for problem in _maker_problems(recipe, f"mixture.{name}", part, part.made_as)
    ]


def _maker_problems(recipe: Recipe, where: str, part: Ingredient, made: RowMaker) -> Iterator[Problem]:
    given = [form for form in RowMaker.model_fields if getattr(made, form) is not None]
    if len(given) != 1:
        yield Problem(f"{where}.as", f"got {', '.join(given) or 'none'}; give one of {FORMS}")
        return
    if made.pair and (part.languages is not None or part.translate):
        yield Problem(f"{where}.as.pair", "is of two languages: give prompts_in and answers_in, without translate")
    if not made.pair and part.languages is None:
        yield Problem(f"{where}.as.{given[0]}", "is of texts in one language each: give languages")
    if recipe.prompts.verbatim and made.restore:
        message = "got none, but a text does not say that it is to be restored; leave out prompts.words"
        yield Problem("prompts.words", message)
    if made.switching:
        yield from _switching_problems(recipe, f"{where}.as.{given[0]}.into", part, made.switching.into)


def _switching_problems(recipe: Recipe, where: str, part: Ingredient, into: tuple[str, ...]) -> Iterator[Problem]:
    """Languages without a lexicon, or that no cell may train on."""
    for index, language in enumerate(into):
        if language in recipe.languages.unseen:
            message = f"{language!r} is in languages.unseen, so no cell may train on its words"
            yield Problem(f"{where}.{index}", message)
        elif language not in recipe.languages.seen:
            hint = suggestion(language, recipe.languages.seen)
            yield Problem(f"{where}.{index}", f"{language!r} is not in languages.seen; {hint}")
    known = [{*languages} for name in recipe.lexicons if (languages := languages_of(name, recipe.all_languages))]
    for language in part.languages or ():
        if not any({language, other} in known for other in into if other != language):
            wanted = next((other for other in into if other != language), into[0])
            message = f"no lexicon of {language!r} and one of {', '.join(into)}"
            yield Problem(where, f"{message}; add one, as lexicons: {{{language}-{wanted}: {{file: …}}}}")

"""Whether test prompts and answers can be in the languages that a recipe names for them."""

from __future__ import annotations

from data_mixes.prompt_words import RESPONSE_LANGUAGE
from eval.generation.conditions import OWN, conditions
from harness.errors import Problem, suggestion
from harness.recipe.schema import Recipe
from harness.recipe.tested import tested_source_name


def condition_problems(recipe: Recipe) -> list[Problem]:
    """Languages of test prompts and answers that the study does not test, or that no prompt can ask for."""
    evaluation, problems = recipe.evaluation, list[Problem]()
    for key, names in (("prompts_in", evaluation.prompts_in), ("answers_in", evaluation.answers_in)):
        where = f"evaluation.{key}"
        problems += [
            Problem(where, f"{name!r} is not a language of the study; {suggestion(name, (OWN, *recipe.all_languages))}")
            for name in names
            if name not in (OWN, *recipe.all_languages)
        ]
        if len({*names}) < len(names):
            problems.append(Problem(where, f"got {', '.join(names)}; name each once"))
    crossed = [condition for condition in conditions(evaluation.prompts_in, evaluation.answers_in) if condition.suffix]
    if not conditions(evaluation.prompts_in, evaluation.answers_in):
        message = f"leaves nothing to test: prompts or answers must be in each language's own; add {OWN} to one of them"
        problems.append(Problem("evaluation.prompts_in", message))
    if not crossed or problems:
        return problems
    if recipe.prompts.verbatim:
        message = "with prompts.words: none, no prompt says in which language to answer; leave out one of the two"
        problems.append(Problem("evaluation.answers_in", message))
    for task in evaluation.tasks:
        source = recipe.known_sources.get(tested_source_name(recipe, task)) if task in recipe.known_tasks else None
        if source and not source.parallel:
            message = f"{source.name} has no translations of its items, so prompts and answers are in one language"
            problems.append(Problem(f"evaluation.sources.{task}", f"{message}; name a source that has"))
    asking = {condition.languages(own)[0] for own in recipe.all_languages for condition in crossed}
    for language in sorted(asking - RESPONSE_LANGUAGE.keys()):
        there = ", ".join(RESPONSE_LANGUAGE)
        message = f"no words in {language!r} ask for an answer in another language; there are some in {there}"
        problems.append(Problem("evaluation.prompts_in", message))
    return problems

"""Test items: the same for every cell, in every language of the study that their source has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from data_mixes.example import Example, Exchange, Split
from data_mixes.leakage import Holdout
from data_mixes.order import seeded_order
from data_mixes.pairs import Variant, crossed
from data_mixes.source import Pool, Source, SourceError, common
from data_mixes.templates.embedded import EmbeddedSource
from eval.generation.conditions import OWN, conditions
from eval.generation.requests import EvaluationSet
from eval.scorers.answers import reference_value
from eval.scorers.constraints import constraints_problem
from eval.tasks import TASKS
from eval.tasks.task import Task
from harness.errors import Problem, UserError
from harness.recipe.schema import FewShot, Recipe
from harness.recipe.tested import tested_source_name

EVALUATION_SEED = 0


def evaluation_sets(recipe: Recipe) -> list[EvaluationSet]:
    """The first items of each source's seeded order, with exemplars before them if the recipe wants any."""
    sets: list[EvaluationSet] = []
    for task in recipe.evaluation.tasks:
        source = tested_source(recipe, task)
        tested = tested_examples(recipe, source)
        shown = exemplars(recipe, source, tested, recipe.prompts.few_shot.get(task))
        decoding = recipe.evaluation.decoded(task)
        max_tokens = decoding.max_tokens or recipe.known_tasks[task].max_tokens
        for condition in conditions(recipe.evaluation.prompts_in, recipe.evaluation.answers_in):
            for language in tested:
                of_prompts, of_answers = condition.languages(language)
                examples = in_languages(tested, shown, of_prompts, of_answers)
                prompted = tuple(replace(example, system=example.system or decoding.system) for example in examples)
                sets.append(
                    EvaluationSet(
                        task, language, prompted, max_tokens, decoding.stop, decoding.temperature, decoding.samples,
                        condition.suffix,
                    )
                )  # fmt: skip
    return sets


def in_languages(
    tested: Mapping[str, Sequence[Example]], shown: Mapping[str, Sequence[Exchange]], prompts: str, answers: str
) -> list[Example]:
    """The test examples with prompts in one language and answers in another, and exemplars likewise before them."""
    history = tuple(
        Exchange(prompt.prompt, target.target) for prompt, target in zip(shown[prompts], shown[answers], strict=True)
    )
    examples = tested[answers]
    if prompts != answers:
        asked = {example.item_id: example for example in tested[prompts]}
        variant = Variant(answers, prompts).name
        examples = [crossed(asked[example.item_id], example, variant) for example in examples]
    return [replace(example, history=(*history, *example.history)) for example in examples]


def tested_examples(recipe: Recipe, source: Source) -> dict[str, list[Example]]:
    """Language → test examples, without exemplars."""
    return {
        language: source.pool(recipe.evaluation.split, language).examples(
            tested_places(recipe, source, language)[: recipe.evaluation.items_of(source.task)]
        )
        for language in tested_languages(recipe, source)
    }


def tested_source(recipe: Recipe, task: str) -> Source:
    """Where a task's test items come from."""
    return recipe.known_sources[tested_source_name(recipe, task)]


def tested_languages(recipe: Recipe, source: Source) -> list[str]:
    """The study's languages in which the source has rows to test with."""
    return [
        language
        for language in recipe.all_languages
        if language in source.languages and len(source.pool(recipe.evaluation.split, language))
    ]


def tested_places(recipe: Recipe, source: Source, language: str) -> NDArray[np.int64]:
    """The positions of the test items in order; for a parallel source, those that all languages have."""
    split = recipe.evaluation.split
    items = source.pool(split, language).items
    kept = np.arange(len(items))
    if source.parallel:
        kept = np.flatnonzero(
            np.isin(items, common(source.pool(split, other).items for other in tested_languages(recipe, source)))
        )
    return kept[seeded_order(items[kept], EVALUATION_SEED)]


def exemplars(
    recipe: Recipe, source: Source, tested: Mapping[str, Sequence[Example]], few_shot: FewShot | None
) -> dict[str, list[Exchange]]:
    """Language → its exemplars: the first ones of their split, or the first under a seed.

    No exemplar is a test item, by item or text in any language; those of a parallel source are the same in all.
    """
    if few_shot is None or not tested:
        return {language: [] for language in tested}
    taken = exemplar_sources(recipe, source, few_shot, tested)
    pools = {language: taken[language].pool(exemplar_split(recipe, taken[language]), language) for language in tested}
    parallel = len(set(map(id, taken.values()))) == 1 and next(iter(taken.values())).parallel
    ordered = orders_of_exemplars(pools, parallel, few_shot.seed)
    holdout = Holdout([example for examples in tested.values() for example in examples])
    looked_at, most = few_shot.shots, max(map(len, ordered.values()))
    while True:  # rows are read as far as it takes, which in a large pool is not far
        kept = {language: without_leaks(holdout, pool, ordered[language][:looked_at])
                for language, pool in pools.items()}  # fmt: skip
        if parallel:
            shared = common(pool.items[kept[language]] for language, pool in pools.items())
            kept = {
                language: places[np.isin(pools[language].items[places], shared)] for language, places in kept.items()
            }
        if looked_at >= most or min(map(len, kept.values())) >= few_shot.shots:
            break
        looked_at *= 4
    return {
        language: [Exchange(row.prompt, row.target) for row in pool.examples(kept[language][: few_shot.shots])]
        for language, pool in pools.items()
    }


def orders_of_exemplars(pools: Mapping[str, Pool], parallel: bool, seed: int | None) -> dict[str, NDArray[np.int64]]:
    """Language → the places of a pool in the order in which exemplars are taken: under the seed, or as they stand.

    Of parallel pools those of the items that all have, in one order: without a seed that of the first language.
    """
    ordered = {language: np.arange(len(pool)) for language, pool in pools.items()}
    if parallel:
        shared = common(pool.items for pool in pools.values())
        ordered = {language: np.flatnonzero(np.isin(pool.items, shared)) for language, pool in pools.items()}
    if seed is not None:
        orders = {language: seeded_order(pool.items[ordered[language]], f"exemplars {seed}")
                  for language, pool in pools.items()}  # fmt: skip
        return {language: places[orders[language]] for language, places in ordered.items()}
    if parallel:  # whatever the order of the others' files
        first = next(iter(pools))
        rank = {key: number for number, key in enumerate(pools[first].items[ordered[first]].tolist())}
        for language, places in ordered.items():
            order = np.argsort([rank[key] for key in pools[language].items[places].tolist()], kind="stable")
            ordered[language] = places[order]
    return ordered


def without_leaks(holdout: Holdout, pool: Pool, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of a pool whose rows are no test item, by item or text, in their order."""
    leaking = [leak.row for leak in holdout.leaks(pool, places, ("item", "text"))]
    return places[~np.isin(places, leaking)]


def exemplar_sources(recipe: Recipe, source: Source, few_shot: FewShot, languages: Iterable[str]) -> dict[str, Source]:
    """Language → where its exemplars are from: the first source named that has the language, or the tested one."""
    named = [recipe.known_sources[name] for name in few_shot.sources]
    return {language: next((each for each in named if language in each.languages), source) for language in languages}


def exemplar_split(recipe: Recipe, source: Source) -> Split:
    """The split that exemplars are taken from: never the tested one."""
    return "train" if source.exemplars == recipe.evaluation.split else source.exemplars


def evaluation_problems(recipe: Recipe) -> list[Problem]:
    """Test sources that cannot be read, or have too few items, exemplars or answers."""
    problems: list[Problem] = []
    for task in recipe.evaluation.tasks:
        source = tested_source(recipe, task)
        try:
            problems += _problems_of(recipe, task, source)
        except SourceError as error:
            problems.append(Problem(f"sources.{source.name}", str(error)))
    return problems


def _problems_of(recipe: Recipe, task: str, source: Source) -> list[Problem]:
    evaluation, languages = recipe.evaluation, tested_languages(recipe, source)
    if not languages:
        has = f"its languages: {', '.join(source.languages)}"
        message = f"{source.name} has no {evaluation.split} rows in any of the study's languages ({has})"
        if source.name in recipe.sources and not source.has(evaluation.split):
            message = (
                f"{source.name} has no {evaluation.split} rows; name files that have them, or set some of its training "
                f"rows aside, as in sources.{source.name}.hold_out: {{{evaluation.split}: {evaluation.items_of(task)}}}"
            )
        return [Problem(f"evaluation.sources.{task}", message)]
    wanted = [*evaluation.prompts_in, *evaluation.answers_in]
    lacking = [name for name in dict.fromkeys(wanted) if name not in (OWN, *languages)]
    if lacking:
        message = f"{source.name} has no {evaluation.split} rows in {', '.join(lacking)}, as evaluation.prompts_in and "
        return [Problem(f"evaluation.sources.{task}", f"{message}answers_in need; it has {', '.join(languages)}")]
    problems: list[Problem] = []
    available = {language: len(tested_places(recipe, source, language)) for language in languages}
    fewest = min(available, key=lambda language: available[language])
    if (wanted := evaluation.items_of(task)) > available[fewest]:
        has = f"{source.name} has {available[fewest]} {evaluation.split} items"
        where = "" if source.parallel else f" in {fewest!r}"
        message = f"got {wanted}, but {has}{where}; ask for {available[fewest]} or fewer"
        key = "evaluation.items" if isinstance(evaluation.items, int) else f"evaluation.items.{task}"
        problems.append(Problem(key, message))
    tested = tested_examples(recipe, source)
    few_shot = recipe.prompts.few_shot.get(task)
    if few_shot:
        taken = exemplar_sources(recipe, source, few_shot, tested)
        for language, shown in exemplars(recipe, source, tested, few_shot).items():
            if len(shown) < few_shot.shots:
                has = f"{taken[language].name} has {len(shown)} exemplars in {language!r}"
                message = f"got {few_shot.shots}, but {has}"
                problems.append(Problem(f"prompts.few_shot.{task}.shots", message))
    problems += scorer_problems(recipe.known_tasks[task], tested)
    judged = evaluation.judge is not None and task in evaluation.judge.tasks
    if task == "instructions" and not judged:
        problems += unscorable(source, tested)
    if task == "math":
        for language, examples in tested.items():
            without = [example for example in examples if not is_number(example.answer)]
            if without:
                message = (
                    f"{source.name} has items whose answer is not a number in {language}, e.g. {without[0].answer!r}"
                )
                problems.append(
                    Problem(f"evaluation.sources.{task}", f"{message} of {without[0].id}; see columns.answer")
                )
    return problems


def scorer_problems(task: Task, tested: Mapping[str, Sequence[Example]]) -> list[Problem]:
    """A scorer that fails on a test item's own target: said now, rather than once all is generated."""
    if task.name in TASKS and task is TASKS[task.name]:
        return []
    try:
        for examples in tested.values():
            metrics = [score.metric for score in task.score(examples[0], examples[0].target)]
            if metrics[:1] != [task.metric]:
                message = f"its first score is by {metrics[0] if metrics else 'none'}, its metric is {task.metric}"
                return [Problem(f"evaluation.tasks.{task.name}", message)]
            if len(set(metrics)) < len(metrics):
                message = (
                    f"an item has several scores by one metric ({', '.join(metrics)}); give each a name of its own"
                )
                return [Problem(f"evaluation.tasks.{task.name}", message)]
    except UserError as error:
        return list(error.problems)
    return []


def unscorable(source: Source, tested: Mapping[str, Sequence[Example]]) -> list[Problem]:
    """Instructions that neither a program nor a judge can score: there would be completions, and no figure."""
    without = {language: sum(not example.constraints for example in examples) for language, examples in tested.items()}
    if not any(without.values()):
        return uncheckable(source, tested)
    if all(without[language] == len(examples) for language, examples in tested.items()):
        has = f"{source.name} has no constraints: instructions cannot be scored"
    else:
        counts = ", ".join(f"{count} in {language}" for language, count in without.items() if count)
        has = f"{source.name} has test items without constraints ({counts}): they cannot be scored"
    fix = "add evaluation.judge or columns.constraints, or remove the task"
    return [Problem("evaluation.tasks", f"{has}; {fix}")]


def uncheckable(source: Source, tested: Mapping[str, Sequence[Example]]) -> list[Problem]:
    """Items whose constraints are wrong in themselves, or can never hold; of the embedded sources, tests say so."""
    problems: list[Problem] = []
    if isinstance(source, EmbeddedSource):
        return problems
    for language, examples in tested.items():
        problems_of = {example.id: constraints_problem(example.constraints, language) for example in examples}
        wrong = [(name, problem) for name, problem in problems_of.items() if problem]
        if wrong:
            name, problem = wrong[0]
            message = f"{source.name} has {len(wrong)} test items in {language!r} that cannot be scored, e.g. {name}"
            problems.append(Problem("evaluation.tasks", f"{message}: {problem}; mend or remove them"))
    return problems


def is_number(answer: str | None) -> bool:
    """Whether a math problem's answer can be compared."""
    try:
        reference_value(answer or "")
    except ValueError:
        return False
    return True

"""What no single key of a recipe shows: names of sources, tasks and languages, and whether keys fit each other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from data_mixes.languages import canonical, same_language
from data_mixes.prompt_words import PROMPTS
from data_mixes.sources import SOURCES
from eval.analysis.design import BASE
from eval.analysis.groups import GAP, HELD_OUT, PERFORMANCE, STUDY_SEEN, LanguageGroups
from eval.generation.conditions import conditions
from harness.errors import Problem, suggestion
from harness.recipe.evaluation_checks import check_evaluation, check_judge
from harness.recipe.generated_checks import check_generated
from harness.recipe.mixture_section import Ingredient
from harness.recipe.models_checks import check_models, check_phases
from harness.recipe.named_tasks import named_tasks
from harness.recipe.objectives_checks import check_objectives
from harness.recipe.row_makers_checks import check_lexicons, check_row_makers
from harness.recipe.schema import Recipe
from harness.recipe.source_settings import SourceSettings, is_ready_made
from harness.recipe.stages_checks import check_stages
from harness.recipe.training_checks import check_training

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
RESERVED_CELLS = {
    BASE,
    "study.json", "plan.json", "pace.json", "revisions.json", "prompts.parquet", "predictions.parquet",
    "scores.parquet", "judgements.parquet", "repeats.parquet", "report.html", "summary.csv", "summary.parquet",
    "plan", "evaluation", "generated", "logs", "states", "cards", "comparisons", "exports", "figures", "tables",
    "report_files",
}  # fmt: skip
"""Names of what commands write beside the cells' folders: those of `harness.runs.folder.StudyFolder`."""
COUNTRIES = {"br": "pt", "cn": "zh", "gb": "en", "jp": "ja", "kr": "ko", "mx": "es", "sa": "ar", "tw": "zh", "us": "en"}
"""Country codes often written for a language's (ISO 3166 for ISO 639)."""


def cross_check(recipe: Recipe) -> list[Problem]:
    """All mistakes found in how the recipe's keys fit together; sources are not opened for it."""
    broken = _check_sources(recipe)
    problems = _check_names(recipe) + broken + check_judge(recipe) + _check_labels(recipe)
    if not broken:
        problems += _check_languages(recipe) + check_evaluation(recipe)
    return problems + check_varied(recipe, not broken)


def check_varied(recipe: Recipe, sources_fit: bool = True) -> list[Problem]:
    """Mistakes in what cells may differ in, and in how that fits what all of them share, which is checked once."""
    problems = check_phases(recipe) + check_models(recipe) + _check_repetitions(recipe) + _check_prompts(recipe)
    if sources_fit:
        alone = "mixture" in recipe.model_fields_set and recipe.stages is None
        problems += _check_codes(recipe) + check_lexicons(recipe) + check_generated(recipe)
        problems += _check_amounts(recipe) + _check_mixture(recipe) + check_row_makers(recipe) if alone else []
        problems += check_objectives(recipe) if alone else []
    return problems + check_training(recipe) + check_stages(recipe)


def _check_names(recipe: Recipe) -> list[Problem]:
    """Names that are none, or that are taken."""
    problems = [
        Problem(
            where, f"got {name!r}; a name is of letters, digits, '.', '_' and '-', and begins with a letter or digit"
        )
        for where, name in {
            "study": recipe.study,
            **{f"grid.{axis}": axis for axis in recipe.grid},
            **{f"sources.{source}": source for source in recipe.sources},
            **{f"generated.{source}": source for source in recipe.generated},
            **{f"share.{number}": name for number, name in enumerate(recipe.share)},
            **{f"models.{model}": model for model in recipe.models},
            **{f"stages.{stage}": stage for stage in (recipe.stages.in_order if recipe.stages else {})},
            **{f"compose.{cell}": cell for cell in recipe.compose},
        }.items()
        if not NAME.fullmatch(name)
    ]
    return problems + [
        Problem(f"models.{name}", f"{name!r} is taken; call it otherwise")
        for name in recipe.models
        if name in RESERVED_CELLS
    ]


def _check_labels(recipe: Recipe) -> list[Problem]:
    """Labels are of axes and tasks that there are."""
    asked = [named.task for _, read in named_tasks(recipe).values() for named in read]
    tested = conditions(recipe.evaluation.prompts_in, recipe.evaluation.answers_in)
    tasks = [task + condition.suffix for task in recipe.evaluation.tasks for condition in tested]
    known = [*recipe.axes, *recipe.evaluation.tasks, *tasks, *asked]
    return [
        Problem(
            f"report.labels.{name}", f"no axis of the grid and no tested task of this name; {suggestion(name, known)}"
        )
        for name in recipe.report.labels
        if name not in known
    ]


def _check_ready_made(name: str, given: SourceSettings) -> list[Problem]:
    """A ready-made source is read from another place at most, and rows are set aside for splits that it lacks."""
    where, allowed = f"sources.{name}", {"hub", "revision", "hold_out"} if is_ready_made(name) else set[str]()
    problems: list[Problem] = []
    if given.model_fields_set - allowed or not allowed:
        fix = "only its hub, revision and hold_out can be given" if allowed else "its items ship with the harness"
        problems.append(Problem(where, f"is a ready-made source: {fix}; or choose another name"))
    return problems + [
        Problem(f"{where}.hold_out.{split}", f"{name} has {split} rows already; remove it")
        for split in given.hold_out or ()
        if SOURCES[name].has(split)
    ]


def _check_sources(recipe: Recipe) -> list[Problem]:
    """The recipe's own sources: either files or a place on the hub, and a task and languages that there are."""
    problems: list[Problem] = []
    for name, given in recipe.sources.items():
        where = f"sources.{name}"
        if name in SOURCES:
            problems += _check_ready_made(name, given)
            continue
        problems += [Problem(f"{where}.{key}", "missing; add this key") for key in ("task", "languages")
                     if getattr(given, key) is None]  # fmt: skip
        if given.task is not None and given.task not in recipe.known_tasks:
            problems.append(
                Problem(f"{where}.task", f"no task {given.task!r}; {suggestion(given.task, recipe.known_tasks)}")
            )
        for index, language in enumerate(given.languages or ()):
            if not LANGUAGE.fullmatch(language):
                message = f"got {language!r}; a language is named by its code, as in en, fr, zh"
                problems.append(Problem(f"{where}.languages.{index}", message))
        if (given.files is None) == (given.hub is None):
            problems.append(Problem(where, "give either files (paths) or hub (a data set's id, with its revision)"))
        elif given.hub is not None and given.revision is None:
            message = "missing; pin the data set to a commit, or name a branch, which is resolved to a commit"
            problems.append(Problem(f"{where}.revision", message))
        elif given.languages and len(given.languages) > 1 and not given.columns.language:
            by_language = isinstance(given.configuration, dict) or "{language}" in (given.configuration or "")
            apart = all("{language}" in path for path in given.files.values()) if given.files else by_language
            if not apart:
                key = "the path" if given.files else "the configuration"
                message = f"several languages: put {{language}} into {key}, or name columns.language"
                problems.append(Problem(f"{where}.{'files' if given.files else 'configuration'}", message))
        if isinstance(given.configuration, dict) and set(given.configuration) != set(given.languages or ()):
            message = f"name each of its languages once: {', '.join(given.languages or ())}"
            problems.append(Problem(f"{where}.configuration", message))
        problems += [
            Problem(
                f"{where}.hold_out.{split}",
                f"{'files' if given.files else 'splits'} has {split} rows already; remove one",
            )
            for split in given.hold_out or ()
            if split in (given.files or given.splits or {})
        ]
        foreign = {"revision", "configuration", "splits"} if given.files else {"header"}
        problems += [
            Problem(f"{where}.{key}", f"does not go with {'files' if given.files else 'hub'}; remove it")
            for key in sorted(foreign & given.model_fields_set)
        ]
    return problems


def _check_languages(recipe: Recipe) -> list[Problem]:
    known = {language for source in recipe.known_sources.values() for language in source.languages}
    known |= {read[0].language for _, read in named_tasks(recipe).values() if len(read) == 1}
    problems: list[Problem] = []
    for group, named in groups_given(recipe):
        for index, language in enumerate(named):
            if language not in known:
                where = f"languages.{group}.{index}"
                meant: str = COUNTRIES.get(language.lower(), language)
                hint = (
                    suggestion(meant, known)
                    if meant not in known
                    else f"did you mean {meant!r}? (allowed: {', '.join(sorted(known))})"
                )
                problems.append(Problem(where, f"unknown language {language!r}; {hint}"))
    for language in sorted(set(recipe.languages.seen) & set(recipe.languages.unseen)):
        problems.append(Problem("languages.unseen", f"{language!r} is also in languages.seen; keep it in one"))
    return problems + _check_groups(recipe)


def groups_given(recipe: Recipe) -> list[tuple[str, tuple[str, ...]]]:
    """The keys of `languages` that name the study's, with what they name."""
    given = recipe.languages
    return [("seen", given.seen), ("unseen", given.unseen), ("tested", given.tested)]


def _check_codes(recipe: Recipe) -> list[Problem]:
    """Codes that are not canonical, and two codes of one language: it would be seen and unseen, or count twice."""
    problems: list[Problem] = []
    known: dict[str, str] = {}
    for group, codes in groups_given(recipe):
        for index, code in enumerate(codes):
            where = f"languages.{group}.{index}"
            other = next((other for other in known if other != code and same_language(code, other)), None)
            if other:
                message = f"{code!r} is another code of {other!r}, which is in languages.{known[other]}; keep one"
                problems.append(Problem(where, message))
            elif canonical(code) != code:
                problems.append(Problem(where, f"{code!r} is another code of {canonical(code)!r}; write that"))
            known[code] = group
    for name, settings in recipe.sources.items():
        problems += [
            Problem(f"sources.{name}.languages.{index}", f"{code!r} is another code of {canonical(code)!r}; write that")
            for index, code in enumerate(settings.languages or ())
            if canonical(code) != code and code not in known
        ]
    given = {
        f"mixture.{name}.{key}.{index}": code
        for name, part in recipe.ingredients.items()
        for key, codes in (("prompts_in", part.prompts_in), ("answers_in", part.answers_in))
        for index, code in enumerate(codes or ())
    }
    by_task = recipe.evaluation.lm_eval if isinstance(recipe.evaluation.lm_eval, dict) else {}
    given |= {f"evaluation.lm_eval.{task}.{code}": code for task, names in by_task.items() for code in names}
    return problems + [
        Problem(where, f"{code!r} is another code of {canonical(code)!r}; write that")
        for where, code in given.items()
        if canonical(code) != code and code not in known
    ]


def _check_groups(recipe: Recipe) -> list[Problem]:
    """Groups of languages that are not the study's, or whose names mean something else already."""
    tested = recipe.all_languages
    given = recipe.languages
    known = LanguageGroups(given.seen, given.unseen, pivot=given.pivot, others=given.tested)
    names = {*tested, *known.means(), PERFORMANCE, GAP, STUDY_SEEN, HELD_OUT}
    taken = names | {known.label(name) for name in names}
    problems = [
        Problem(f"languages.groups.{name}", f"{name!r} is a group or a language already; choose another name")
        for name in given.groups
        if name in taken
    ]
    problems += [
        Problem(f"languages.groups.{name}", f"{language!r} is none of the study's; {suggestion(language, tested)}")
        for name, members in given.groups.items()
        for language in members
        if language not in tested
    ]
    groups = LanguageGroups(given.seen, given.unseen, dict(given.groups), given.pivot, others=given.tested).means()
    problems += [
        Problem(f"evaluation.primary.{task}", f"{name!r} is no group of languages; {suggestion(name, groups)}")
        for task, name in recipe.evaluation.primary.items()
        if name not in groups
    ]
    if "pivot" in given.model_fields_set and given.pivot not in tested:
        message = f"{given.pivot!r} is none of the study's; {suggestion(given.pivot, tested)}"
        problems.append(Problem("languages.pivot", message))
    return problems


def _check_repetitions(recipe: Recipe) -> list[Problem]:
    """Lists in which something stands twice: it would count double."""
    lists: dict[str, tuple[str, ...]] = {
        "languages.seen": recipe.languages.seen,
        "languages.unseen": recipe.languages.unseen,
        "training.report_to": recipe.training.report_to,
        "languages.tested": recipe.languages.tested,
        "selection.languages": recipe.selection.languages if recipe.selection else (),
        "evaluation.tasks": tuple(recipe.evaluation.tasks),
        "evaluation.lm_eval": tuple(name for name, _ in named_tasks(recipe).values()),
        "evaluation.judge.tasks": recipe.evaluation.judge.tasks if recipe.evaluation.judge else (),
    } | {f"languages.groups.{name}": members for name, members in recipe.languages.groups.items()}
    for name, part in recipe.ingredients.items():
        for key in ("sources", "languages", "prompts_in", "answers_in"):
            lists[f"mixture.{name}.{key}"] = getattr(part, key) or ()
    return [
        Problem(where, f"{entry!r} stands there {names.count(entry)} times; keep one")
        for where, names in lists.items()
        for entry in dict.fromkeys(names)
        if names.count(entry) > 1
    ]


def _check_mixture(recipe: Recipe) -> list[Problem]:
    problems: list[Problem] = []
    for name, part in recipe.ingredients.items():
        for index, source in enumerate(part.sources):
            where = f"mixture.{name}.sources.{index}"
            if source not in recipe.known_sources:
                problems.append(Problem(where, f"no source {source!r}; {suggestion(source, recipe.known_sources)}"))
                continue
            known = recipe.known_sources[source]
            lacking = [language for language in part.all_languages if language not in known.languages]
            if lacking:
                message = f"{source} has no {', '.join(map(repr, lacking))}, only {', '.join(known.languages)}"
                problems.append(Problem(f"mixture.{name}", message))
            shares_items = known.parallel and part.items != "independent"
            if part.temperature is not None and shares_items and len(part.variants) > 1:
                message = "temperature divides by what each language has, and languages that share items have as much"
                problems.append(Problem(f"mixture.{name}.temperature", f"{message}; use items: independent, or shares"))
            if not known.parallel and (part.items in ("shared", "disjoint") or part.prompts_in):
                asked = f"items: {part.items}" if part.items else "pairs of languages"
                message = f"{asked} needs translations, and {source} does not say which rows are"
                problems.append(Problem(where, f"{message}; name its columns.item, or use items: independent"))
        for key in ("languages", "prompts_in", "answers_in"):
            problems += _untrainable(recipe, f"mixture.{name}.{key}", getattr(part, key) or ())
    return problems


def _untrainable(recipe: Recipe, where: str, languages: Iterable[str]) -> list[Problem]:
    """Languages that no cell may train on."""
    problems: list[Problem] = []
    for index, language in enumerate(languages):
        if language in recipe.languages.unseen:
            message = f"{language!r} is in languages.unseen, so no cell may train on it"
            problems.append(Problem(f"{where}.{index}", message))
        elif language not in recipe.languages.seen:
            hint = suggestion(language, recipe.languages.seen)
            problems.append(Problem(f"{where}.{index}", f"{language!r} is not in languages.seen; {hint}"))
    return problems


def _check_amounts(recipe: Recipe) -> list[Problem]:
    """Either amount or total, the keys that go with total, languages or pairs, and item policies that do not clash."""
    problems = [] if recipe.ingredients else [Problem("mixture", "names no component; see recipes/quickstart.yaml")]
    for name, part in recipe.ingredients.items():
        where = f"mixture.{name}"
        if (part.amount is None) == (part.total is None):
            message = "give either amount (per source and language) or total (per source, divided among languages)"
            problems.append(Problem(where, message))
        if part.total is None and (part.temperature is not None or part.shares is not None):
            problems.append(Problem(where, "temperature and shares divide a total; give total instead of amount"))
        if part.temperature is not None and part.shares is not None:
            problems.append(Problem(where, "temperature and shares exclude each other; keep one"))
        if part.total is not None and part.unit == "items" and part.items != "disjoint":
            message = "unit: items divides a total of different items among languages, so it needs items: disjoint"
            problems.append(Problem(f"{where}.unit", message))
        problems += _check_pairs(where, part)
        names = [variant.plain_name for variant in part.variants]
        if part.shares is not None and set(part.shares) != set(names):
            problems.append(Problem(f"{where}.shares", f"name each of its languages once: {', '.join(names)}"))
        problems += _check_shares(f"{where}.shares", part.shares or {})
    parts = list(recipe.ingredients.items())
    for index, (name, part) in enumerate(parts):
        for other, earlier in parts[:index]:
            common = sorted(set(part.sources) & set(earlier.sources))
            parallel = [recipe.known_sources[source].parallel for source in common if source in recipe.known_sources]
            default = "shared" if all(parallel) else "independent"
            if common and (part.items or default) != (earlier.items or default):
                message = f"shares {common[0]} with {other!r}, so both need the same items policy"
                problems.append(Problem(f"mixture.{name}.items", message))
    return problems


def _check_shares(where: str, shares: Mapping[str, float | str]) -> list[Problem]:
    """One rest at most, of which the others leave something; without one, no language has nothing."""
    numbers = {language: share for language, share in shares.items() if not isinstance(share, str)}
    if len(numbers) == len(shares):
        return [Problem(f"{where}.{language}", "got 0; leave the language out, or give another one the rest")
                for language, share in numbers.items() if not share]  # fmt: skip
    if len(shares) - len(numbers) > 1:
        return [Problem(where, "gives the rest to several languages; it is one's")]
    if sum(numbers.values()) > 1:
        message = f"the others have {sum(numbers.values()):g} of 1, so that nothing is left for the rest"
        return [Problem(where, f"{message}; beside a rest, shares are parts of 1")]
    return []


def _check_pairs(where: str, part: Ingredient) -> list[Problem]:
    """Languages, or pairs of them, and not both."""
    if part.languages is not None:
        if part.prompts_in or part.answers_in or part.translate:
            return [Problem(where, "languages excludes prompts_in, answers_in and translate; keep one or the others")]
        return []
    if not part.prompts_in or not part.answers_in:
        return [Problem(where, "give languages, or prompts_in and answers_in for pairs of languages")]
    if not part.variants:
        return [Problem(where, "prompts_in and answers_in name one language: a pair is of two")]
    return []


def _check_prompts(recipe: Recipe) -> list[Problem]:
    """Words with their fields, for tasks that there are."""
    problems: list[Problem] = []
    for task, words in recipe.prompts.own_words.items():
        known = {**PROMPTS, **recipe.known_tasks}
        if task not in known:
            problems.append(Problem(f"prompts.words.{task}", f"no task {task!r}; {suggestion(task, known)}"))
        problems += [
            Problem(f"prompts.words.{task}.{language}", f"got {text!r}; it must hold the field {{prompt}} once")
            for language, text in words.items()
            if text.count("{prompt}") != 1
        ]
    if recipe.prompts.verbatim and any(part.translate for part in recipe.ingredients.values()):
        message = "got none, but a text to translate does not say into which language; leave out prompts.words"
        problems.append(Problem("prompts.words", message))
    return problems

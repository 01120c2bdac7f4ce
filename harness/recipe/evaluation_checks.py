"""Whether what a recipe is tested on, and by whom it is judged, can be had."""

from __future__ import annotations

from urllib.parse import urlsplit

from data_mixes.languages import nearest
from data_mixes.prompt_words import PROMPTS
from eval.analysis.design import BASE
from eval.scorers.identifiers import IDENTIFIERS, available
from eval.tasks import TASKS
from harness.errors import Problem, suggestion
from harness.recipe.condition_checks import condition_problems
from harness.recipe.evaluation_section import Judge
from harness.recipe.named_tasks import naming_problems
from harness.recipe.schema import Recipe
from harness.recipe.tested import own_tested_sources, tested_source_name


def check_evaluation(recipe: Recipe) -> list[Problem]:
    """Tasks with a source and prompts in every language."""
    problems = naming_problems(recipe)
    evaluation, sources, tasks = recipe.evaluation, recipe.known_sources, recipe.known_tasks
    problems += own_code_problems(recipe)
    if not evaluation.tasks and not evaluation.lm_eval:
        problems.append(Problem("evaluation", f"tests nothing; give tasks ({', '.join(tasks)}), or lm_eval"))
    for index, task in enumerate(evaluation.tasks):
        if task not in tasks:
            problems.append(Problem(f"evaluation.tasks.{index}", f"no task {task!r}; {suggestion(task, tasks)}"))
            continue
        source, where = tested_source_name(recipe, task), f"evaluation.sources.{task}"
        own = own_tested_sources(recipe, task)
        if len(own) > 1 and task not in evaluation.sources:
            message = f"{' and '.join(own)} have {evaluation.split} rows for {task}; name the one to test on"
            problems.append(Problem(where, f"{message}, as in sources: {{{task}: {own[0]}}}"))
            continue
        if source not in sources:
            problems.append(Problem(where, f"no source {source!r}; {suggestion(source, sources)}"))
            continue
        if sources[source].task != task:
            fitting = ", ".join(name for name, source in sources.items() if source.task == task)
            message = f"{source!r} is a source for {sources[source].task}; for {task} there is {fitting}"
            problems.append(Problem(where, message))
            continue
        for language in recipe.all_languages:
            known = [*PROMPTS.get(task, {}), *recipe.words.get(task, {})]
            worded = recipe.prompts.verbatim or nearest(language, known) is not None
            if language in sources[source].languages and not worded:
                message = f"no prompt for {task!r} in {language!r}; write one under prompts.words.{task}.{language}"
                problems.append(Problem(f"evaluation.tasks.{index}", message))
    problems += identifier_problems("evaluation.identifier", evaluation.identifier)
    items = evaluation.items if isinstance(evaluation.items, dict) else {}
    for key in (*evaluation.sources, *evaluation.max_tokens, *evaluation.decoding, *items):
        if key not in evaluation.tasks and not (key in items and key in evaluation.lm_eval):
            message = f"{key!r} is not in evaluation.tasks; {suggestion(key, evaluation.tasks)}"
            problems.append(Problem("evaluation", message))
    return problems + decoding_problems(recipe) + few_shot_problems(recipe) + condition_problems(recipe)


def decoding_problems(recipe: Recipe) -> list[Problem]:
    """Lengths that are given twice, samples that would all be the same, and repeats of nothing."""
    problems: list[Problem] = []
    evaluation = recipe.evaluation
    if evaluation.repeats > 1 and all(evaluation.decoded(task).samples > 1 for task in evaluation.tasks):
        message = (
            f"got {evaluation.repeats}, but no task has one completion per prompt to repeat; set it to 1: "
            "samples are told apart by their mean, and lm_eval's tasks are asked once"
        )
        problems.append(Problem("evaluation.repeats", message))
    if evaluation.batch_invariant and evaluation.engine == "transformers":
        message = "only vLLM has batch-invariant kernels; set it to false, or evaluation.engine to vllm"
        problems.append(Problem("evaluation.batch_invariant", message))
    for task, given in recipe.evaluation.decoding.items():
        where = f"evaluation.decoding.{task}"
        if given.max_tokens is not None and task in recipe.evaluation.max_tokens:
            problems.append(Problem(f"{where}.max_tokens", f"evaluation.max_tokens.{task} is given too; keep one"))
        if given.samples > 1 and not given.temperature:
            message = f"got {given.samples} with temperature 0, which writes the same each time; give a temperature"
            problems.append(Problem(f"{where}.samples", message))
    return problems


def few_shot_problems(recipe: Recipe) -> list[Problem]:
    """Exemplars for tasks that are not tested, or from sources of other tasks."""
    problems: list[Problem] = []
    for task in recipe.prompts.few_shot:
        if task not in recipe.evaluation.tasks:
            message = f"{task!r} is not in evaluation.tasks; {suggestion(task, recipe.evaluation.tasks)}"
            problems.append(Problem("prompts.few_shot", message))
    for task, few_shot in recipe.prompts.few_shot.items():
        fitting = [name for name, source in recipe.known_sources.items() if source.task == task]
        problems += [
            Problem(f"prompts.few_shot.{task}.sources", f"no source {name!r} of {task}; {suggestion(name, fitting)}")
            for name in few_shot.sources
            if name not in fitting
        ]
    return problems


def own_code_problems(recipe: Recipe) -> list[Problem]:
    """Tasks and metrics of the recipe's own that are called as others are, or score no task that is tested."""
    given, metrics = recipe.evaluation.tasks, recipe.evaluation.metrics
    own = [name for name, task in given.items() if task] if isinstance(given, dict) else []
    problems = [Problem(f"evaluation.tasks.{name}", "is a task of the harness's own; call yours otherwise")
                for name in own if name in TASKS]  # fmt: skip
    problems += [
        Problem(f"evaluation.tasks.{name}.code", f"its words in {language!r} must hold the field {{prompt}} once")
        for name in own
        for language, text in recipe.known_tasks[name].prompts.items()
        if text.count("{prompt}") != 1
    ]
    return problems + [
        Problem(f"evaluation.metrics.{name}.tasks", f"{task!r} is not in evaluation.tasks; {suggestion(task, given)}")
        for name, metric in metrics.items()
        for task in metric.tasks
        if task not in given
    ]


def check_judge(recipe: Recipe) -> list[Problem]:
    """A judge that can be asked, about something, and an opponent that there is."""
    judge, evaluation = recipe.evaluation.judge, recipe.evaluation
    if judge is None:
        return []
    where = "evaluation.judge"
    problems = [Problem(f"{where}.{key}", message) for key, message in judge_problems(judge)]
    if judge.against == BASE and not evaluation.base:
        message = "'base' is not evaluated: evaluation.base is false; set it to true, or name a cell"
        problems.append(Problem(f"{where}.against", message))
    for task in judge.tasks:
        if task not in evaluation.tasks:
            hint = suggestion(task, evaluation.tasks)
            problems.append(Problem(f"{where}.tasks", f"{task!r} is not in evaluation.tasks; {hint}"))
    return problems


ONLY_BEHIND_AN_ENDPOINT = ("concurrency", "decoding", "price", "max_cost", "api_key_variable")


def judge_problems(judge: Judge) -> list[tuple[str, str]]:
    """What does not fit together in a judge's settings: the key and what is wrong with it."""
    if judge.endpoint is None:
        said = [key for key in ONLY_BEHIND_AN_ENDPOINT if key in judge.model_fields_set]
        return [(key, "goes with an endpoint: a judge in our own engine costs nothing; remove it") for key in said]
    problems: list[tuple[str, str]] = []
    if problem := endpoint_problem(judge.endpoint):
        problems.append(("endpoint", problem))
    if judge.max_cost is not None and judge.price is None:
        message = "missing; max_cost needs what tokens cost, input and output, in USD per million"
        problems.append(("price", message))
    return problems


def endpoint_problem(url: str) -> str | None:
    """What keeps a text from being the address of an OpenAI-compatible endpoint."""
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole, parts = False, None
    if not whole or parts is None:
        return f"got {url!r}; an endpoint is an address such as http://localhost:8000/v1"
    if parts.path.rstrip("/").endswith("/completions"):
        return f"got {url!r}; leave off /chat/completions: it is added to every request"
    if parts.username or parts.query:
        return "its address must hold no name, key or query; a key is read from the environment, see api_key_variable"
    return None


def identifier_problems(where: str, identifier: str) -> list[Problem]:
    """What keeps a language identifier from being used."""
    if identifier not in IDENTIFIERS:
        return [Problem(where, f"no identifier {identifier!r}; {suggestion(identifier, IDENTIFIERS)}")]
    if not available(identifier):
        return [Problem(where, f"{identifier} is not installed: pip install '.[{identifier}]', or take py3langid")]
    return []

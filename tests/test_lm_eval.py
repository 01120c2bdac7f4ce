"""lm-evaluation-harness's tasks: asked of our engines as lm_eval asks, scored by lm_eval, in a study's tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_mixes.prompts import Renderer
from data_mixes.storage import write_sealed
from eval.engines.engine import Adapter, Completion, EngineSettings, Likelihood, ModelFiles, Request
from eval.generation.requests import Evaluation, ModelUnderTest
from eval.interop.lm_eval_names import NamedTask, readings
from tests.support import run_here, small_recipe

LANGUAGES = ("en", "fr", "ja")
CAPITALS = {
    "en": ("The capital of {} is", ["France", "Japan", "Italy", "Egypt"], ["Paris", "Tokyo", "Rome", "Cairo"]),
    "fr": ("Voici la capitale : {} →", ["France", "Japon", "Italie", "Égypte"], ["Paris", "Tokyo", "Rome", "Le Caire"]),
    "ja": ("{}の首都は", ["フランス", "日本", "イタリア", "エジプト"], ["パリ", "東京", "ローマ", "カイロ"]),
}
MEAN = {"aggregation": "mean", "higher_is_better": True}


def write_task(folder: Path, name: str, rows: list[dict[str, Any]], **config: Any) -> None:
    """A task of the user's own: a YAML file (JSON is YAML) and its data beside it."""
    data = folder / f"{name}.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    task = {"task": name, "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(data)}}} | config
    (folder / f"{name}.yaml").write_text(json.dumps({"test_split": "test"} | task), encoding="utf-8")


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tasks: of multiple choice in three languages, of writing in two, of likelihood in one."""
    folder = tmp_path_factory.mktemp("tasks")
    for language, (question, countries, cities) in CAPITALS.items():
        rows = [
            {"question_id": f"q{n}", "question": question.format(country), "choices": cities, "answer": n}
            for n, country in enumerate(countries)
        ]
        write_task(
            folder,
            f"capitals_{language}",
            rows[::-1] if language == "fr" else rows,
            output_type="multiple_choice",
            doc_to_text="{{question}}",
            doc_to_choice="choices",
            doc_to_target="answer",
            metric_list=[
                {"metric": "acc"} | MEAN,
                {"metric": "acc_norm"} | MEAN,
                {"metric": "mcc", "aggregation": "matthews_corrcoef"},
            ],
            metadata={"version": 1.5},
        )
    sums = [{"q": f"{a} + {b}", "a": str(a + b)} for a, b in ((1, 2), (3, 4), (5, 6), (7, 1))]
    for code in ("eng_Latn", "fra_Latn"):
        write_task(
            folder,
            f"sums_{code}",
            sums,
            output_type="generate_until",
            fewshot_split="test",
            num_fewshot=2,
            doc_to_text="{{q}} = ",
            doc_to_target="a",
            generation_kwargs={"until": ["\n", "é"], "max_gen_toks": 12, "do_sample": False},
            filter_list=[
                {
                    "name": "strict",
                    "filter": [{"function": "regex", "regex_pattern": "^(\\d+)$"}, {"function": "take_first"}],
                },
                {
                    "name": "loose",
                    "filter": [{"function": "regex", "regex_pattern": "(\\w)"}, {"function": "take_first"}],
                },
            ],
            metric_list=[{"metric": "exact_match"} | MEAN],
        )
    write_task(
        folder,
        "words_en",
        [{"text": text} for text in ("one two three", "the end of the end of the", "été")],
        output_type="loglikelihood",
        doc_to_text="{{text.split(' ')[:-1]|join(' ')}}",
        doc_to_target="{{' ' + text.split(' ')[-1]}}",
        metric_list=[{"metric": "perplexity"}, {"metric": "acc"} | MEAN],
    )
    return folder


@pytest.mark.parametrize(
    ("name", "task", "language"),
    [
        ("belebele_fra_Latn", "belebele", "fr"),
        ("mgsm_direct_en", "mgsm_direct", "en"),
        ("include_base_44_japanese", "include_base_44", "ja"),
        ("global_mmlu_full_fr_law", "global_mmlu_full_law", "fr"),
        ("sib200-jpn", "sib200", "ja"),
        ("mlqa_fr_fr", "mlqa", "fr"),
        ("ja_leaderboard_jsquad", "leaderboard_jsquad", "ja"),
        ("arc_fr", "arc", "fr"),
    ],
)
def test_a_name_says_its_task_and_language(name: str, task: str, language: str) -> None:
    assert readings(name, LANGUAGES) == [NamedTask(name, task, language)]


def test_a_name_may_say_no_language_or_several() -> None:
    assert (
        readings("belebele", LANGUAGES) == readings("belebele_deu_Latn", LANGUAGES) == readings("fr", LANGUAGES) == []
    )
    assert [each.language for each in readings("flores_eng_Latn-fra_Latn", LANGUAGES)] == ["en", "fr"]
    assert [each.language for each in readings("x_tgl", ("tl",))] == ["tl"], "one language by two of its codes"


def test_a_language_may_be_tested_that_no_source_has(recipe_data: dict[str, Any]) -> None:
    from harness.errors import UserError
    from harness.recipe.load import parse_recipe

    recipe_data["languages"]["unseen"] = ["qu"]
    with pytest.raises(UserError, match="unknown language 'qu'"):
        parse_recipe(recipe_data)
    for named in (["xcopa_qu"], {"copa": {"qu": "xcopa_qu"}}):
        recipe_data["evaluation"]["lm_eval"] = named
        assert parse_recipe(recipe_data).all_languages == ("en", "fr", "qu")


def asked_of(tasks: Path, name: str, tokenizer: Any, longest: int = 1023, limit: int = 9) -> Any:
    from eval.interop.lm_eval_tasks import ask, chosen_items, load

    definition = load(tasks / f"{name}.yaml")
    items = chosen_items({"": list(definition.eval_docs)}, limit)[""]
    return ask(NamedTask(name, name, "en"), definition, items, Renderer(tokenizer), longest)


@pytest.fixture(scope="module")
def adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Adapter:
    """An adapter that changes much."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("adapter")
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_model)
    tuned = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    tuned.save_pretrained(str(folder))
    return Adapter("tuned", folder, 4)


@pytest.fixture(scope="module")
def theirs(tiny_model: Path, tokenizer: Any, adapter: Adapter) -> Mapping[Adapter | None, Any]:
    """lm_eval's own Hugging Face backend, of the base model and with the adapter."""
    from lm_eval.models.huggingface import HFLM
    from peft import PeftModel
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    backend = type(tokenizer.backend_tokenizer).from_str(tokenizer.backend_tokenizer.to_str())
    backend.post_processor = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", tokenizer.bos_token_id)])
    with_bos = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>"
    )

    def model() -> Any:
        return AutoModelForCausalLM.from_pretrained(tiny_model).eval()

    tuned = PeftModel.from_pretrained(model(), str(adapter.path))
    return {
        which: HFLM(pretrained=each, tokenizer=with_bos, add_bos_token=True, max_length=64, batch_size=2)
        for which, each in ((None, model()), (adapter, tuned))
    }


@pytest.fixture(scope="module")
def engine(tiny_model: Path, adapter: Adapter) -> Any:
    from eval.engines.transformers_engine import TransformersEngine

    return TransformersEngine(EngineSettings(str(tiny_model), None, "float32", False, (adapter,), 1024))


def answers(engine: Any, asked: Any, adapter: Adapter | None) -> list[list[Completion | Likelihood]]:
    """An engine's answers to all questions of a task."""

    def answer(question: Any) -> Completion | Likelihood:
        put = replace(question, adapter=adapter)
        return (engine.generate([put], lambda _: None) if isinstance(put, Request) else engine.likelihoods([put]))[0]

    return [[answer(question) for question in part] for part in asked.questions]


@pytest.mark.parametrize("tuned", [False, True])
@pytest.mark.parametrize("name", ["capitals_en", "capitals_ja", "sums_eng_Latn", "words_en"])
def test_answers_and_scores_are_those_of_lm_evals_own_backend(
    name: str, tuned: bool, tasks: Path, tokenizer: Any, engine: Any, theirs: Mapping[Any, Any], adapter: Adapter
) -> None:
    from lm_eval.evaluator import evaluate

    from eval.interop.lm_eval_results import response, scored
    from eval.interop.lm_eval_tasks import load

    which = adapter if tuned else None
    asked = asked_of(tasks, name, tokenizer)
    given = answers(engine, asked, which)
    own = [response(instance, each) for instance, each in zip(asked.instances, given, strict=True)]
    definition = load(tasks / f"{name}.yaml")
    definition.set_fewshot_seed(1234)
    result: Any = evaluate(theirs[which], {"tasks": {name: definition}}, bootstrap_iters=0)
    samples = sorted(result["samples"][name], key=lambda sample: sample["doc_id"])
    first_filter = [sample for sample in samples if sample["filter"] == samples[0]["filter"]]
    resps = [resp[0] for sample in first_filter for resp in sample["resps"]]
    if name.startswith("sums"):
        assert own == resps and any(own)
    else:
        assert [total for total, _ in own] == pytest.approx([total for total, _ in resps], abs=1e-4)
        assert [greedy for _, greedy in own] == [greedy for _, greedy in resps]
    scores = scored(asked, given)
    figures = {key: value for key, value in result["results"][name].items() if isinstance(value, float)}
    found = {score.metric: [row[place].value for row in scores] for place, score in enumerate(scores[0])}
    assert found
    for metric, values in found.items():
        of_sample = [
            sample[metric.split(",")[0]] for sample in samples if sample["filter"] in (metric.split(",")[-1], "none")
        ]
        assert values == of_sample
        full = metric if "," in metric else f"{metric},none"
        assert figures[full] == pytest.approx(sum(values) / len(values)), "their figure is the mean of ours"


@given(context=st.text(min_size=1), continuation=st.text(min_size=1))
def test_a_pair_of_texts_is_encoded_as_lm_eval_does(
    context: str, continuation: str, tokenizer: Any, theirs: Mapping[Any, Any]
) -> None:
    from eval.interop.lm_eval_tasks import Encoder

    assert Encoder(Renderer(tokenizer), 999).pair(context, continuation) == theirs[None]._encode_pair(
        context, continuation
    )


def test_long_and_empty_texts_are_encoded_as_lm_eval_does(
    tokenizer: Any, engine: Any, theirs: Mapping[Any, Any]
) -> None:
    from lm_eval.api.instance import Instance

    from eval.interop.lm_eval_results import response
    from eval.interop.lm_eval_tasks import Encoder

    long = "The price of 12 apples is 3 euros. " * 12
    requests = [
        Instance("loglikelihood", {}, (long, "So 24 cost 6."), 0),
        Instance("loglikelihood", {}, ("", "No context at all"), 0),
        Instance("loglikelihood", {}, ("Spaces at the end  ", "belong to what follows"), 0),
        Instance("loglikelihood", {}, ("<bos>begun already", " once"), 0),
        Instance("loglikelihood_rolling", {}, (long,), 0),
        Instance("loglikelihood_rolling", {}, ("短い文。",), 0),
    ]
    encoder = Encoder(Renderer(tokenizer), 65)  # one more than theirs: its last token is not read
    questions = [encoder.questions(request) for request in requests]
    assert encoder.cut == 1 and len(questions[4]) > 2
    own = [response(request, engine.likelihoods(asked)) for request, asked in zip(requests, questions, strict=True)]
    other = [*theirs[None].loglikelihood(requests[:4]), *theirs[None].loglikelihood_rolling(requests[4:])]
    for mine, its in zip(own[:4], other[:4], strict=True):
        assert mine[0] == pytest.approx(its[0], abs=1e-4) and mine[1] == its[1]
    assert own[4:] == pytest.approx(other[4:], abs=1e-3)


def test_vllms_log_probabilities_tell_what_greedy_decoding_would_write() -> None:
    from types import SimpleNamespace

    from eval.engines.vllm_engine import likelihood

    def place(**log_probs: float) -> dict[int, Any]:
        return {int(token[1:]): SimpleNamespace(logprob=value) for token, value in log_probs.items()}

    best, second, tied = place(t7=-0.5), place(t7=-2.0, t9=-0.1), place(t7=-1.0, t9=-1.0)
    assert likelihood((7, 7), (best, tied)) == Likelihood((-0.5, -1.0), True)
    assert likelihood((7, 7), (best, second)) == Likelihood((-0.5, -2.0), False)


def test_translations_are_one_item_whatever_their_order() -> None:
    from eval.interop.lm_eval_tasks import chosen_items

    english = [{"id": n, "link": f"page {n // 2}", "question_number": n % 2} for n in range(6)]
    french = [each | {"id": 100 + each["id"]} for each in english[::-1]]
    items = chosen_items({"en": english, "fr": french}, 3)
    assert items == {
        "en": {0: "page 0 0", 1: "page 0 1", 2: "page 1 0"},
        "fr": {3: "page 1 0", 4: "page 0 1", 5: "page 0 0"},
    }
    without = {language: [{"text": "one"}, {"text": "two"}, {"text": "three"}] for language in LANGUAGES}
    assert chosen_items(without, 2) == {language: {0: "0", 1: "1"} for language in LANGUAGES}
    assert chosen_items({"en": english, "fr": [{"id": 1}, {"id": 1}]}, 9)["fr"] == {0: "0", 1: "1"}


def test_names_that_lm_eval_does_not_know_are_said_all_at_once(
    tasks: Path, recipe_data: dict[str, Any], write_recipe: Any, tmp_path: Path, cache: Path
) -> None:
    from eval.interop.lm_eval_tasks import Catalogue
    from harness.errors import UserError
    from harness.planning.study import Study

    names = ["capitals_eng", "belebele", "hellaswag", "flores_eng_Latn-fra_Latn_prompt_1", "capitals_ja"]
    recipe_data["evaluation"] |= {"lm_eval": names, "lm_eval_folder": str(tasks)}
    study = Study(write_recipe(recipe_data), tmp_path)
    with pytest.raises(UserError) as caught:
        _ = study.bases[0].lm_eval_sets
    unknown, group, unclear, both = map(str, caught.value.problems)
    assert (
        unknown.startswith("evaluation.lm_eval.0: lm_eval")
        and "no task 'capitals_eng'; did you mean 'capitals_en'" in unknown
    )
    assert "'belebele' is a group of 122 tasks" in group
    assert "belebele_eng_Latn, belebele_fra_Latn, belebele_jpn_Jpan" in group, "those in the study's languages first"
    assert "lm_eval: {hellaswag: {en: hellaswag}}" in unclear and "names en and fr" in both
    again = Catalogue(tasks)
    assert again.find("belebele_fra_Latn", LANGUAGES).is_file() and again.find("capitals_en", LANGUAGES).is_file()
    assert "_lm_eval" not in vars(again), "where lm_eval's tasks are is found out once"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"generation_kwargs": {"until": ["\n"], "do_sample": True, "temperature": 0.8}}, "samples what models write"),
        ({"generation_kwargs": {"until": ["\n"], "max_gen_toks": 4000}}, "lets models write 4000 tokens"),
        ({"metric_list": [{"metric": "bleu"}]}, "none of its metrics is a mean over items: bleu"),
        ({"unsafe_code": True}, "runs code that models write"),
        ({"doc_to_text": "{{ 1 / 0 }}"}, "ZeroDivisionError"),
        ({"dataset_kwargs": {"data_files": {"test": "nowhere.jsonl"}}}, "lm_eval cannot load it: FileNotFoundError"),
    ],
)
def test_a_task_that_cannot_be_asked_here_is_refused(
    config: dict[str, Any], message: str, tokenizer: Any, tmp_path: Path
) -> None:
    from eval.interop.lm_eval_tasks import LmEvalError

    settings = {"output_type": "generate_until", "doc_to_text": "{{q}}", "doc_to_target": "a"} | {
        "generation_kwargs": {"until": ["\n"]},
        "metric_list": [{"metric": "exact_match"} | MEAN],
    }
    write_task(tmp_path, "sums_en", [{"q": "1 + 1 =", "a": "2"}], **(settings | config))
    with pytest.raises(LmEvalError, match=message):
        asked_of(tmp_path, "sums_en", tokenizer)


def test_what_cannot_be_scored_is_unscored_with_the_reason(
    tasks: Path, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eval.interop.lm_eval_results import tables

    asked = asked_of(tasks, "sums_eng_Latn", tokenizer)
    evaluation = Evaluation(
        folder=tmp_path,
        identifier="py3langid",
        base=ModelFiles("model", None, "model"),
        engine_version="stand-in 1",
        models=[ModelUnderTest("base", None)],
        evaluation_sets=[],
        renderer=Renderer(tokenizer),
        rendered=lambda tested: [],
        start_engine=pytest.fail,
        start_reference=pytest.fail,
        dtype="float32",
        questions=[question for part in asked.questions for question in part],
    )

    def reasons(scores: pl.DataFrame) -> list[Any]:
        assert scores["metric"][0] == "exact_match,strict"
        return scores["reason"].unique().to_list()

    given = {each.key: Completion("3", 1, "stop") for each in evaluation.asked(Request)}
    predictions, scores = tables(evaluation, [asked], given)
    assert predictions["completion"].to_list() == ["3"] * 4
    assert predictions["reference"].to_list() == ["3", "7", "11", "8"]
    strict = scores.filter(pl.col("metric") == "exact_match,strict")
    assert strict["value"].to_list() == [1.0, 0.0, 0.0, 0.0] and strict["answer"].to_list() == ["3"] * 4

    given.popitem()
    predictions, scores = tables(evaluation, [asked], given)
    assert predictions.is_empty() and scores["value"].null_count() == scores.height == 4
    assert reasons(scores) == ["not generated"]

    given = {each.key: Completion("?", 1, "length") for each in evaluation.asked(Request)}
    assert reasons(tables(evaluation, [asked], given)[1]) == ["no answer found"]
    for result, reason in (
        (lambda: {"exact_match": float("nan")}, "lm_eval gave no number"),
        (lambda: {"exact_match": ("3", "4")}, "lm_eval gave no number"),
        (lambda: 1 / 0, "lm_eval cannot score it: ZeroDivisionError: division by zero"),
    ):
        monkeypatch.setattr(asked.definition, "process_results", lambda doc, found, result=result: result())
        _, scores = tables(evaluation, [asked], given)
        assert reasons(scores) == [reason] and scores["value"].null_count() == scores.height


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, tasks: Path) -> tuple[Path, Path, str]:
    """A recipe with tasks of both kinds, its runs folder after `harness run`, and what that printed."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "tasks").symlink_to(tasks)
    data = small_recipe(tiny_model)
    del data["grid"]
    data["evaluation"] |= {
        "tasks": ["math"],
        "max_tokens": {"math": 8},
        "items": 3,
        "lm_eval": {
            "capitals": {language: f"capitals_{language}" for language in LANGUAGES},
            "sums": {"en": "sums_eng_Latn", "fr": "sums_fra_Latn"},
        },
        "lm_eval_folder": "tasks",
    }
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(data))
    run = run_here(recipe, "--runs", folder / "runs")
    assert run.returncode == 0, run.stderr
    return recipe, folder / "runs", run.stdout + run.stderr


def test_a_studys_models_answer_lm_evals_tasks_in_the_same_tables(study: tuple[Path, Path, str]) -> None:
    _, runs, printed = study
    scores = pl.read_parquet(runs / "small" / "scores.parquet")
    predictions = pl.read_parquet(runs / "small" / "predictions.parquet")
    assert scores["cell"].unique(maintain_order=True).to_list() == ["base", "small"]
    main = scores.filter(pl.col("metric").is_in(["accuracy", "acc", "exact_match,strict"]))
    rows = {"math": 2 * 3 * 3, "capitals": 2 * 3 * 3, "sums": 2 * 2 * 3}
    assert dict(main.group_by("task").len().iter_rows()) == rows
    assert dict(predictions.group_by("task").len().iter_rows()) == rows
    assert scores.select("cell", "id", "metric").is_unique().all() and main["value"].null_count() == 0
    capitals = scores.filter(pl.col("task") == "capitals")
    assert capitals["metric"].unique(maintain_order=True).to_list() == ["acc", "acc_norm"]
    assert capitals.group_by("language").agg(pl.col("item").unique().sort())["item"].n_unique() == 1
    assert capitals["version"][0].endswith(" capitals_en v1.5 0-shot")
    options = capitals.filter(metric="acc").join(predictions, on=("cell", "task", "language", "item"))
    for language, answer, completion in options.select("language", "answer", "completion").iter_rows():
        assert answer == f"option {1 + CAPITALS[language][2].index(completion.split(' (')[0])}"
    assert capitals.filter(metric="acc_norm")["answer"].is_null().all()
    consistent = pl.read_csv(runs / "small" / "consistency.csv").filter(task="capitals", s=3)
    assert consistent["items"].to_list() == [3, 3] and consistent["unscored"].to_list() == [0, 0]
    instances = pl.read_csv(runs / "small" / "instances.csv").filter(task="capitals")
    assert instances.select("cell", "target", "in_training", "amount", "coverage", "n").rows() == [
        ("small", "en", 1, 10, 1.0, 3), ("small", "fr", 1, 6, 1.0, 3), ("small", "ja", 0, 0, 1.0, 3)
    ]  # fmt: skip
    asked = predictions.filter((pl.col("task") == "capitals") & (pl.col("language") == "fr")).row(0, named=True)
    assert asked["prompt"] == "Voici la capitale : Italie →" and asked["reference"] == "Rome"
    assert asked["completion"].count("-") == 4 and asked["completion"].split(" (")[0] in CAPITALS["fr"][2]
    assert "capitals: acc, %" in printed
    assert "Left out of capitals, as they are not means over items: mcc" in printed
    assert "Not tested in sums, as the recipe names no lm_eval task for them: ja" in printed
    assert "it/s" not in printed, "no bars of lm_eval's"
    page = (runs / "small" / "report.html").read_text()
    assert "capitals_ja v1.5" in page and "exact_match,strict" in page


def test_what_is_answered_is_not_asked_again(study: tuple[Path, Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    from harness.commands.status import status_of
    from harness.evaluation.cells import evaluate_cells
    from harness.planning.kept_plan import planned_study
    from harness.planning.study import Study

    recipe, runs, printed = study
    # of 2 models: 9 docs of 4 options, and 3 sums, which are the same in both languages
    assert "78 questions of lm_eval's, 78 to answer" in printed
    before = (runs / "small" / "scores.parquet").read_bytes()
    (file,) = (runs / "small" / "evaluation" / "likelihoods").glob("*.jsonl")
    lines = file.read_text().splitlines(keepends=True)
    write_sealed(file, "".join(lines[:-10]))
    again = Study(recipe, runs)
    evaluate_cells(again, None)
    assert "78 questions of lm_eval's, 10 to answer" in capsys.readouterr().err
    assert (runs / "small" / "scores.parquet").read_bytes() == before
    assert [(cell.scored, cell.wanted) for cell in status_of(planned_study(recipe, runs)).cells] == [(24, 24)] * 2


def test_what_lm_evals_tasks_ask_is_not_trained_on(tiny_model: Path, tmp_path: Path) -> None:
    from harness.errors import UserError
    from harness.planning.study import Study

    recipe, data = tmp_path / "recipe.yaml", small_recipe(tiny_model)
    recipe.write_text(json.dumps(data))
    known = {row.id: row for plan in Study(recipe, tmp_path / "runs").plans for row in plan.mixture}
    trained = next(row for row in known.values() if row.language == "fr" and len(row.prompt) >= 30)
    docs = [{"about": trained.prompt.upper(), "short": "yes", "choices": ["a", "b"], "answer": 0}]
    write_task(tmp_path, "asked_fr", docs, output_type="multiple_choice", doc_to_text="{{short}}",
               doc_to_choice="choices", doc_to_target="answer", metric_list=[{"metric": "acc"} | MEAN])  # fmt: skip
    data["evaluation"] |= {"lm_eval": "asked_fr", "lm_eval_folder": "."}
    recipe.write_text(json.dumps(data))
    with pytest.raises(UserError, match=f"{trained.id} is the same text as test asked_fr/0"):
        _ = Study(recipe, tmp_path / "runs").plans
    data["leakage"] = "drop"
    recipe.write_text(json.dumps(data))
    study = Study(recipe, tmp_path / "runs")
    assert trained.id not in {row.id for plan in study.plans for row in plan.mixture}
    assert [(each.reason, each.language, each.count) for each in study.dropped] == [("same text as a test", "fr", 1)]


def test_answers_are_read_and_prompts_rendered_once_a_command(
    study: tuple[Path, Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from eval.generation import kept
    from harness.evaluation.cells import evaluate_cells
    from harness.planning.study import Study

    recipe, runs, _ = study
    chunks: list[Path] = []
    rendered: list[int] = []
    read, prompts = kept.rows_of, Renderer.prompts
    monkeypatch.setattr(kept, "rows_of", lambda file: (chunks.append(file), read(file))[1])
    monkeypatch.setattr(Renderer, "prompts", lambda self, each: (rendered.append(len(each)), prompts(self, each))[1])
    again = Study(recipe, runs)
    evaluate_cells(again, None)
    assert chunks and sorted(chunks) == sorted((runs / "small" / "evaluation").glob("*/*.jsonl"))
    assert len(rendered) == len(again.evaluation_sets)

"""lm-evaluation-harness's tasks: asked of our engines as lm_eval asks them, scored by lm_eval, in the tables of a study."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_mixes.prompts import Renderer
from eval.engine import Adapter, Completion, EngineSettings, Likelihood, Request, ScoredRow
from eval.evaluate import Evaluation, ModelUnderTest
from eval.lm_eval_names import NamedTask, readings
from tests.support import harness, small_recipe

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
            metric_list=[{"metric": "acc"} | MEAN, {"metric": "acc_norm"} | MEAN, {"metric": "mcc", "aggregation": "matthews_corrcoef"}],
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
                {"name": "strict", "filter": [{"function": "regex", "regex_pattern": "^(\\d+)$"}, {"function": "take_first"}]},
                {"name": "loose", "filter": [{"function": "regex", "regex_pattern": "(\\w)"}, {"function": "take_first"}]},
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
    assert readings("belebele", LANGUAGES) == readings("belebele_deu_Latn", LANGUAGES) == readings("fr", LANGUAGES) == []
    assert [each.language for each in readings("flores_eng_Latn-fra_Latn", LANGUAGES)] == ["en", "fr"]
    assert [each.language for each in readings("x_tgl", ("tl",))] == ["tl"], "one language by two of its codes"


def asked_of(tasks: Path, name: str, tokenizer: Any, longest: int = 1023, limit: int = 9) -> Any:
    from eval.lm_eval_tasks import ask, chosen_items, load

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
    from eval.transformers_engine import TransformersEngine

    return TransformersEngine(EngineSettings(str(tiny_model), None, "float32", False, (adapter,), 1024))


def answers(engine: Any, asked: Any, adapter: Adapter | None) -> list[list[Completion | Likelihood]]:
    """An engine's answers to all questions of a task."""
    from dataclasses import replace

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

    from eval.lm_eval_results import response, scored
    from eval.lm_eval_tasks import load

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
        of_sample = [sample[metric.split(",")[0]] for sample in samples if sample["filter"] in (metric.split(",")[-1], "none")]
        assert values == of_sample
        full = metric if "," in metric else f"{metric},none"
        assert figures[full] == pytest.approx(sum(values) / len(values)), "their figure is the mean of ours"


def test_long_and_empty_texts_are_encoded_as_lm_eval_does(
    tokenizer: Any, engine: Any, theirs: Mapping[Any, Any]
) -> None:
    from lm_eval.api.instance import Instance

    from eval.lm_eval_results import response
    from eval.lm_eval_tasks import Encoder

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
    own = [
        response(request, engine.likelihoods(asked)) for request, asked in zip(requests, questions, strict=True)
    ]
    other = [*theirs[None].loglikelihood(requests[:4]), *theirs[None].loglikelihood_rolling(requests[4:])]
    for mine, its in zip(own[:4], other[:4], strict=True):
        assert mine[0] == pytest.approx(its[0], abs=1e-4) and mine[1] == its[1]
    assert own[4:] == pytest.approx(other[4:], abs=1e-3)

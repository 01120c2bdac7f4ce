"""One rendering path: what is trained on is what is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_mixes.example import Example, Exchange
from data_mixes.prompt_words import ANSWERS, PROMPTS, PromptError, answer_sentence, task_prompt
from data_mixes.prompts import Renderer
from data_mixes.sources import SOURCES
from tests.support import embedded


def examples() -> list[Example]:
    return [
        example
        for source in embedded()
        for language in source.languages
        for example in source.pool("train", language).examples(range(5))
    ]


def english() -> Example:
    return SOURCES["word-problems"].pool("train", "en").examples([0])[0]


@pytest.mark.parametrize("kind", ["tokenizer", "chat_tokenizer"])
def test_prompt_ids_in_training_equal_those_in_evaluation(kind: str, request: pytest.FixtureRequest) -> None:
    tokenizer = request.getfixturevalue(kind)
    renderer = Renderer(tokenizer)
    for example in examples():
        rendering = renderer.render(example)
        assert rendering.prompt_ids == renderer.prompt_ids(example)
        assert rendering.prompt_ids[0] == tokenizer.bos_token_id
        assert rendering.prompt_ids.count(tokenizer.bos_token_id) == 1
        assert rendering.completion_ids[-1] == tokenizer.eos_token_id
        assert rendering.supervised_tokens > 1
        written = tokenizer.decode(rendering.completion_ids, skip_special_tokens=True)
        assert written == example.target


def test_a_chat_model_gets_its_own_turns(chat_tokenizer: Any) -> None:
    example = examples()[0]
    text = Renderer(chat_tokenizer).prompt_text(example)
    assert text.startswith("<|user|>") and text.endswith("<|end|>\n<|assistant|>")


def test_a_template_that_rewrites_the_turn_is_refused(chat_tokenizer: Any) -> None:
    import copy

    other = copy.deepcopy(chat_tokenizer)
    other.chat_template = "{{ messages|length }}{% for m in messages %}{{ m.content }}{% endfor %}"
    with pytest.raises(PromptError):
        Renderer(other).render(examples()[0])


def test_a_template_without_end_of_turn_is_refused(chat_tokenizer: Any) -> None:
    import copy

    other = copy.deepcopy(chat_tokenizer)
    other.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    with pytest.raises(PromptError, match="end of the assistant's turn"):
        Renderer(other).render(examples()[0])


def test_the_hash_follows_the_template(tokenizer: Any, chat_tokenizer: Any) -> None:
    assert Renderer(tokenizer).template_hash == Renderer(tokenizer).template_hash
    assert Renderer(tokenizer).template_hash != Renderer(chat_tokenizer).template_hash


def test_a_missing_prompt_says_where_to_add_it(tokenizer: Any) -> None:
    example = Example(id="x@xx", item_id="x", task="math", language="xx", prompt="?", target="!")
    with pytest.raises(PromptError, match=r"'math' in language 'xx'.*prompts.words.math.xx"):
        Renderer(tokenizer).prompt_ids(example)


def test_braces_in_an_example_are_left_alone(tokenizer: Any) -> None:
    example = Example(id="x@en", item_id="x", task="math", language="en", prompt="{0} {x} %s", target="!")
    assert "{0} {x} %s" in Renderer(tokenizer).prompt_text(example)


def test_prompts_cover_their_sources_languages_and_name_the_answer_marker() -> None:
    for source in embedded():
        assert set(source.languages) <= set(PROMPTS[source.task])
    for language, prompt in PROMPTS["math"].items():
        assert "{answer_marker}" in prompt and ANSWERS[language].count("{answer}") == 1


MGSM_ENDINGS = {
    "en": "The answer is 11.", "es": "La respuesta es 11.", "fr": "La réponse est 11.", "de": "Die Antwort ist 11.",
    "ru": "Ответ — 11.", "zh": "答案是 11。", "ja": "答えは11です。", "th": "คำตอบคือ 11", "sw": "Jibu ni 11.",
    "bn": "উত্তর হল 11।", "te": "సమాధానం 11.",
}  # fmt: skip


@pytest.mark.parametrize("language", MGSM_ENDINGS)
def test_math_prompts_ask_for_the_sentence_that_mgsms_exemplars_end_with(language: str) -> None:
    assert answer_sentence(11, language).replace(" ", "") == MGSM_ENDINGS[language].replace(" ", "")
    example = Example(id="x", item_id="x", task="math", language=language, prompt="?", target=MGSM_ENDINGS[language])
    marker, _, _ = MGSM_ENDINGS[language].partition("11")
    assert marker.strip() and marker.strip() in task_prompt(example)


def test_exemplars_come_before_the_prompt_in_training_and_evaluation_alike(tokenizer: Any, chat_tokenizer: Any) -> None:
    first, second, third = examples()[:3]
    example = replace(third, history=(Exchange(first.prompt, first.target), Exchange(second.prompt, second.target)))
    plain = Renderer(tokenizer)
    text = plain.prompt_text(example)
    parts = [task_prompt(first), first.target, "\n\n", task_prompt(second), second.target, "\n\n", task_prompt(third)]
    assert text == "".join(parts)
    chat = Renderer(chat_tokenizer)
    assert chat.prompt_text(example).count("<|assistant|>") == 3
    for renderer in (plain, chat):
        assert renderer.render(example).prompt_ids == renderer.prompt_ids(example)
        assert renderer.completion_text(example) == renderer.completion_text(third)


def test_a_recipes_chat_template_takes_the_place_of_the_tokenizers(tokenizer: Any, chat_tokenizer: Any) -> None:
    template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}[/]{% endfor %}" + (
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    for own in (tokenizer, chat_tokenizer):
        renderer = Renderer(own, template)
        assert renderer.prompt_text(english()).startswith("[user]Problem")
        assert renderer.completion_text(english()).endswith("[/]")
        assert renderer.template_hash != Renderer(own).template_hash


def test_a_recipes_words_take_the_place_of_ours(tokenizer: Any) -> None:
    renderer = Renderer(tokenizer, words={"math": {"en": "{prompt} =\n", "xx": "{prompt}?\n"}})
    example = english()
    assert renderer.prompt_text(example) == f"{example.prompt} =\n"
    assert renderer.prompt_text(replace(example, language="xx")) == f"{example.prompt}?\n"
    assert renderer.prompt_text(replace(example, language="fr")).startswith("Problème")


@settings(deadline=None, max_examples=30)
@given(st.integers(40, 120), st.sampled_from(range(20)))
def test_a_long_text_is_shortened_at_its_end_and_nothing_else_is(limit: int, place: int) -> None:
    renderer = Renderer(SHARED["tokenizer"], max_prompt_tokens=limit)
    example = SHARED["examples"][place]
    whole = Renderer(SHARED["tokenizer"]).prompt_ids(example)
    ((ids, cut),) = renderer.prompts([example])
    assert ids == renderer.render(example).prompt_ids and cut == len(whole) - len(ids)
    assert len(ids) <= limit and (cut > 0) == (len(whole) > limit)
    text = renderer.tokenizer.decode(ids, skip_special_tokens=True)
    before, after = task_prompt(replace(example, prompt="\0")).split("\0")
    assert text.startswith(before) and text.endswith(after)
    assert example.prompt.startswith(text[len(before) : len(text) - len(after)])


SHARED: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def shared(tokenizer: Any) -> None:
    """Hypothesis gives a test no fixtures of its own."""
    SHARED["tokenizer"] = tokenizer
    SHARED["examples"] = [
        example
        for language in ("en", "fr", "ja", "ar")
        for example in SOURCES["notices"].pool("train", language).examples(range(5))
    ]


def test_words_alone_too_long_is_an_error(tokenizer: Any) -> None:
    with pytest.raises(PromptError, match=r"have .* tokens alone, and no more than 3 are allowed"):
        Renderer(tokenizer, max_prompt_tokens=3).prompt_ids(examples()[0])


def test_a_template_that_says_the_date_says_the_same_every_day(tokenizer: Any) -> None:
    template = "{{ strftime_now('%Y') }}{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}" + (
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    assert Renderer(tokenizer, template).prompt_text(english()).startswith("2024<user>")


@pytest.mark.parametrize(
    "template",
    ["chat", "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% else %}</>{% endif %}{% endfor %}"],
)
def test_a_template_that_leaves_the_answer_out_is_refused(template: str, tokenizer: Any) -> None:
    with pytest.raises(PromptError, match="leaves out what the assistant says"):
        Renderer(tokenizer, template).render(english())


def test_of_a_long_conversation_the_beginning_is_left_out(tokenizer: Any) -> None:
    example = replace(english(), history=(Exchange("first " * 50, "a"), Exchange("second", "b")))
    ((ids, cut),) = Renderer(tokenizer, max_prompt_tokens=170).prompts([example])
    text = tokenizer.decode(ids)
    assert cut > 0 and len(ids) <= 170 and "second" in text and "first" not in text

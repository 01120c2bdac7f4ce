"""Conversations are put to a chat model as they are, and a key says which of the assistant's turns are learned."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_mixes.example import Example, Exchange, from_table, to_table
from data_mixes.prompt_words import PromptError
from data_mixes.prompts import IGNORED, Renderer
from data_mixes.tokens import TokenStore
from harness.errors import UserError
from harness.planning.jobs import write_jobs
from harness.planning.plan import plan_of
from harness.planning.study import Study
from harness.recipe.yaml_files import as_yaml
from harness.runs.folder import StudyFolder
from tests.support import small_recipe

CHAT = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}<eos>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CONVERSATION = Example(
    id="c@en", item_id="c", task="instructions", language="en", prompt="And now?", target="Then we go.",
    history=(Exchange("Hello", "Hi, what is it?"), Exchange("Wait", "I do.")), conversation=True, system="Be kind.",
)  # fmt: skip


def supervised(renderer: Renderer, example: Example) -> list[str]:
    """The stretches of a row that carry a loss, as text."""
    row = renderer.render(example)
    stretches: list[list[int]] = []
    for place, label in enumerate(row.labels):
        if label != IGNORED:
            if place == 0 or row.labels[place - 1] == IGNORED:
                stretches.append([])
            stretches[-1].append(label)
    assert sum(map(len, stretches)) == row.supervised_tokens
    tokenizer: Any = renderer.tokenizer
    return [tokenizer.decode(stretch) for stretch in stretches]


def test_a_chat_template_is_given_the_turns_verbatim(tokenizer: Any) -> None:
    renderer = Renderer(tokenizer, CHAT)
    assert renderer.prompt_text(CONVERSATION) == (
        "<|system|>Be kind.<eos>\n<|user|>Hello<eos>\n<|assistant|>Hi, what is it?<eos>\n"
        "<|user|>Wait<eos>\n<|assistant|>I do.<eos>\n<|user|>And now?<eos>\n<|assistant|>"
    )
    alone = replace(CONVERSATION, conversation=False, system=None, history=())
    assert "Instruction" in renderer.prompt_text(alone), "other rows stand in the words of their task"


def test_plain_text_needs_the_words_of_the_task(tokenizer: Any) -> None:
    text = Renderer(tokenizer).prompt_text(CONVERSATION)
    assert text.index("Instruction") < text.index("Be kind.\n\nHello") < text.index("Hi, what is it?")
    single = Renderer(tokenizer).prompt_text(replace(CONVERSATION, history=()))
    assert "Be kind.\n\nAnd now?" in single
    assert Renderer(tokenizer, verbatim=True).prompt_text(replace(CONVERSATION, history=(), system=None)) == "And now?"


def test_the_last_turn_or_every_turn_of_the_assistant_is_learned(tokenizer: Any) -> None:
    last, every = Renderer(tokenizer, CHAT), Renderer(tokenizer, CHAT, supervise="every")
    end = tokenizer.eos_token
    template = CHAT.replace("<eos>", end)
    last, every = replace(last, chat_template=template), replace(every, chat_template=template)
    assert supervised(last, CONVERSATION) == [f"Then we go.{end}"]
    assert supervised(every, CONVERSATION) == [f"Hi, what is it?{end}", f"I do.{end}", f"Then we go.{end}"]
    single = replace(CONVERSATION, history=())
    assert every.render(single) == last.render(single)
    assert (
        every.template_hash != last.template_hash and last.template_hash == Renderer(tokenizer, template).template_hash
    )


def test_plain_text_has_no_turns_to_supervise(tokenizer: Any) -> None:
    with pytest.raises(PromptError, match="to supervise every turn takes a chat template"):
        Renderer(tokenizer, supervise="every").render(CONVERSATION)


def test_a_template_that_rewrites_earlier_turns_cannot_have_them_learned(tokenizer: Any) -> None:
    forgets = CHAT.replace("{{ m.content | trim }}", "{{ m.content if loop.last else m.content | upper }}")
    with pytest.raises(PromptError, match="differently"):
        Renderer(tokenizer, forgets, supervise="every").render(CONVERSATION)


def test_of_a_conversation_that_is_too_long_the_earliest_turns_are_left_out(tokenizer: Any) -> None:
    template = CHAT.replace("<eos>", tokenizer.eos_token)
    whole = Renderer(tokenizer, template, supervise="every").render(CONVERSATION)
    limit = whole.tokens - 20
    cut = Renderer(tokenizer, template, max_prompt_tokens=limit, supervise="every").render(CONVERSATION)
    assert cut.cut > 0 and cut.tokens + cut.cut == whole.tokens
    text = tokenizer.decode(cut.prompt_ids + cut.completion_ids)
    assert "Hi, what is it?" not in text and "Be kind." in text and "Then we go." in text


said = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(lambda text: text.strip() == text)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns=st.lists(st.tuples(said, said), max_size=3), system=st.none() | said)
def test_what_is_learned_changes_no_text(turns: list[tuple[str, str]], system: str | None, tokenizer: Any) -> None:
    example = replace(CONVERSATION, history=tuple(Exchange(*turn) for turn in turns), system=system)
    template = CHAT.replace("<eos>", tokenizer.eos_token)
    rows = [Renderer(tokenizer, template, supervise=mode).render(example) for mode in ("last", "every")]
    last, every = (tokenizer.decode(row.prompt_ids + row.completion_ids) for row in rows)
    assert last == every
    assert rows[0].supervised_tokens == rows[0].tokens - len(rows[0].prompt_ids)
    assert rows[1].labels[-rows[0].supervised_tokens :] == rows[0].labels[-rows[0].supervised_tokens :]


def test_conversations_survive_on_disk(tokenizer: Any, tmp_path: Path) -> None:
    plain = Example(
        id="p@en", item_id="p", task="math", language="en", prompt="?", target="!", history=(Exchange("a", "b"),)
    )
    table = to_table([CONVERSATION, plain])
    assert isinstance(table, pa.Table) and list(from_table(table)) == [CONVERSATION, plain]
    renderer = Renderer(tokenizer, CHAT.replace("<eos>", tokenizer.eos_token), supervise="every")
    made = TokenStore(tmp_path / "tokens.sqlite", renderer).render([CONVERSATION, plain])
    kept = TokenStore(tmp_path / "tokens.sqlite", renderer)
    assert kept.render([CONVERSATION, plain]) == made and kept.made == 0
    assert len(made[0].between) == 2 and made[1].between


# --- in a study


def study(tmp_path: Path, tiny_model: Path, tokenizer: Any, **prompts: Any) -> Study:
    """A study of conversations of two answers each, by a chat template."""
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Count to {n}."},
             {"role": "assistant", "content": "Which way?"}, {"role": "user", "content": "Up."},
             {"role": "assistant", "content": "One and so on to {n}."}]  # fmt: skip
    rows = [{"id": n, "messages": [turn | {"content": turn["content"].replace("{n}", str(n))} for turn in turns]}
            for n in range(8)]  # fmt: skip
    (tmp_path / "chat.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    data = small_recipe(tiny_model)
    data["sources"] = {"my-chat": {"task": "instructions", "languages": ["en"], "files": "chat.jsonl",
                                   "columns": {"conversation": "messages", "id": "id"}}}  # fmt: skip
    data["mixture"] = {"chat": {"sources": ["my-chat"], "languages": ["en"], "amount": 4}}
    del data["grid"]
    data["prompts"] = {"chat_template": CHAT.replace("<eos>", tokenizer.eos_token)} | prompts
    path = tmp_path / "recipe.yaml"
    path.write_text(as_yaml(data), encoding="utf-8")
    return Study(path, tmp_path / "runs")


@pytest.mark.parametrize("mode", ["last", "every"])
def test_the_plan_says_what_is_learned_and_the_rows_carry_it(
    mode: str, tmp_path: Path, tiny_model: Path, tokenizer: Any
) -> None:
    planned = study(tmp_path, tiny_model, tokenizer, supervise=mode)
    first, second = plan_of(planned).notes
    turns = "every turn" if mode == "every" else "the last turn"
    assert f"my-chat: put to the chat template verbatim; {turns} of the assistant is supervised" in first
    assert "prompts.words: none" in second
    write_jobs(planned, planned.plans)
    (file,) = StudyFolder(planned.folder).rows.glob("*.arrow")
    with pa.OSFile(str(file)) as opened, pa.ipc.open_stream(opened) as reader:
        table = reader.read_all()
    labels = [[label for label in row if label != IGNORED] for row in table["labels"].to_pylist()]
    texts = [tokenizer.decode(row) for row in labels if row]
    assert len(texts) == 4 and all(("Which way?" in text) == (mode == "every") for text in texts)
    assert all("One and so on to" in text for text in texts)


def test_words_can_be_none(tmp_path: Path, tiny_model: Path, tokenizer: Any) -> None:
    planned = study(tmp_path, tiny_model, tokenizer, words="none")
    assert len(plan_of(planned).notes) == 1
    (example, *_) = planned.evaluation_sets[0].examples
    text = planned.bases[0].renderer.prompt_text(example)
    assert text == f"<|user|>{example.prompt.strip()}{tokenizer.eos_token}\n<|assistant|>"


def test_translation_needs_words(recipe_data: dict[str, Any], tmp_path: Path) -> None:
    recipe_data["prompts"] = {"words": "none"}
    recipe_data["mixture"]["others"] |= {"prompts_in": ["fr"], "answers_in": ["en"], "translate": True}
    del recipe_data["mixture"]["others"]["languages"]
    path = tmp_path / "recipe.yaml"
    path.write_text(as_yaml(recipe_data), encoding="utf-8")
    with pytest.raises(UserError, match=r"prompts.words: got none, but a text to translate"):
        Study(path, tmp_path / "runs").check()

"""States, similarity and probes: what the measures give where the truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_mixes.reading.records import FileError
from data_mixes.reading.treebank import Sentence, Word, read_treebank
from eval.representations.hidden_states import Encoded, encoded_sentence, encoded_words, states_of
from eval.representations.logit_lens import language_shares, translation_prompts
from eval.representations.probes import labelled, trained_probe
from eval.representations.probing import Rows, Treebank, language_scores, probe_scores, splits_of
from eval.representations.similarity import MEASURES, highest_by_chance, similarity

FRENCH = """\
# sent_id = a1
# text = Il va du port.
1\tIl\til\tPRON\t_\t_\t2\tnsubj\t_\t_
2\tva\taller\tVERB\t_\t_\t0\troot\t_\t_
3-4\tdu\t_\t_\t_\t_\t_\t_\t_\t_
3\tde\tde\tADP\t_\t_\t5\tcase\t_\t_
4\tle\tle\tDET\t_\t_\t5\tdet\t_\t_
5\tport\tport\tNOUN\t_\t_\t2\tobl:arg\t_\tSpaceAfter=No
5.1\tvide\tvide\tX\t_\t_\t_\t_\t_\t_
6\t.\t.\tPUNCT\t_\t_\t2\tpunct\t_\t_

# sent_id = a2
1\tOui\toui\tINTJ\t_\t_\t0\troot\t_\t_
"""


def test_a_treebank_is_read_with_the_characters_of_every_word(tmp_path: Path) -> None:
    (tmp_path / "fr.conllu").write_text(FRENCH, encoding="utf-8")
    first, second = read_treebank(tmp_path / "fr.conllu")
    assert (first.id, first.text, second.text) == ("a1", "Il va du port.", "Oui")
    assert [first.text[word.start : word.end] for word in first.words] == ["Il", "va", "du", "du", "port", "."]
    assert [word.relation for word in first.words] == ["nsubj", "root", "case", "det", "obl", "punct"]


def test_a_treebank_with_a_broken_line_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "fr.conllu").write_text("1\tOui\toui\n", encoding="utf-8")
    with pytest.raises(FileError, match=r"fr\.conllu: the sentence before line 1 has 3 fields instead of 10"):
        list(read_treebank(tmp_path / "fr.conllu"))


def states(seed: int, layers: int = 3, sentences: int = 60, width: int = 40) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=(layers, sentences, width)).astype(np.float16)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_language_is_wholly_similar_to_itself(measure: str) -> None:
    assert similarity(measure, states(0), states(0)) == pytest.approx([1, 1, 1], abs=1e-3)


@pytest.mark.parametrize(("measure", "chance"), [("mexa", 1 / 119), ("retrieval", 1 / 60), ("cka", 0), ("anc", 0)])
def test_unrelated_sentences_have_the_similarity_of_chance(measure: str, chance: float) -> None:
    drawn = [value for seed in range(20) for value in similarity(measure, states(seed), states(100 + seed))]
    assert np.mean(drawn) == pytest.approx(chance, abs=3 * np.std(drawn) / np.sqrt(len(drawn)) + 1e-9)


@pytest.mark.parametrize("measure", MEASURES)
def test_what_is_highest_by_chance_holds_for_all_layers_together(measure: str) -> None:
    above = 0
    for seed in range(40):
        one, other = states(seed, sentences=30), states(1000 + seed, sentences=30)
        above += max(similarity(measure, one, other)) > highest_by_chance(measure, one, other, permutations=60)
    assert above <= 7  # 5 % of 40 is 2; 8 or more have a probability of .001


@settings(max_examples=15)
@given(st.integers(0, 50), st.floats(0.1, 10))
def test_similarity_does_not_depend_on_the_length_of_states(seed: int, factor: float) -> None:
    one, other = states(seed), states(seed + 1) + states(seed)
    longer = (other * np.float16(factor)).astype(np.float16)
    for measure in MEASURES:
        assert similarity(measure, one, longer) == pytest.approx(similarity(measure, one, other), abs=0.02)


def test_states_do_not_depend_on_the_other_texts(tiny_model: Path, tokenizer: Any) -> None:
    model = loaded(tiny_model)
    texts = [encoded_sentence(tokenizer, text, 48) for text in ("one", "the number of notices", "a " * 60)]
    together = states_of(model, texts, "weighted").astype(np.float32)
    alone = [states_of(model, [text], "weighted").astype(np.float32)[:, 0] for text in texts]
    assert together.shape == (model.config.num_hidden_layers + 1, 3, model.config.hidden_size)
    for number, state in enumerate(alone):
        assert together[:, number] == pytest.approx(state, abs=2e-2)
    assert max(len(text.ids) for text in texts) == 49


def test_the_state_of_a_sentence_weighs_later_tokens_more(tiny_model: Path, tokenizer: Any) -> None:
    import torch

    model = loaded(tiny_model)
    text = encoded_sentence(tokenizer, "the sum", 48)
    with torch.inference_mode():
        tokens = model.model(torch.tensor([text.ids]), output_hidden_states=True).hidden_states[1][0, 1:].numpy()
    weights = np.arange(1, len(tokens) + 1)
    expected = {"weighted": weights @ tokens / weights.sum(), "mean": tokens.mean(axis=0), "last": tokens[-1]}
    for pooling, state in expected.items():
        assert states_of(model, [text], pooling)[1, 0] == pytest.approx(state, abs=1e-2)  # pyright: ignore[reportArgumentType]


def test_a_word_has_the_tokens_of_its_characters(tokenizer: Any) -> None:
    words = (Word(0, 5, "NOUN", 0, "root"), Word(6, 9, "NOUN", 1, "obj"))
    encoded = encoded_words(tokenizer, Sentence("a", "apple pie", words))
    assert encoded.ids[0] == tokenizer.bos_token_id
    said = ["".join(tokenizer.decode([encoded.ids[token]]) for token in part).strip() for part in encoded.parts]
    assert said == ["apple", "pie"]


def test_a_part_without_tokens_is_an_error(tiny_model: Path) -> None:
    with pytest.raises(ValueError, match="a part without tokens"):
        states_of(loaded(tiny_model), [Encoded((1, 2), ((),))], "mean")


def loaded(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder).eval()


def treebank(count: int, words: int = 6) -> Treebank:
    """Sentences of nouns and verbs by turns, each hanging on the one before."""
    sentences = tuple(
        Sentence(f"s{number}", "", tuple(Word(0, 1, "NOUN" if (number + word) % 2 else "VERB", word, "dep")
                                         for word in range(words)))
        for number in range(count)
    )  # fmt: skip
    return Treebank(sentences, splits_of([sentence.id for sentence in sentences]))


def test_rows_of_the_three_tasks() -> None:
    sentence = Sentence(
        "a", "", (Word(0, 1, "NOUN", 2, "nsubj"), Word(2, 3, "VERB", 0, "root"), Word(4, 5, "X", 2, "obj"))
    )
    assert labelled("pos", [sentence, sentence]).labels == ("NOUN", "VERB", "X") * 2
    assert labelled("pos", [sentence, sentence]).words.ravel().tolist() == [0, 1, 2, 3, 4, 5]
    relations = labelled("deprel", [sentence])
    assert (relations.labels, relations.words.tolist()) == (("nsubj", "obj"), [[0, 1], [2, 1]])
    arcs = labelled("arc", [sentence])
    assert arcs.labels == ("arc", "no arc", "arc", "no arc")
    assert arcs.words.tolist() == [[0, 1], [0, 2], [2, 1], [2, 0]]


def test_a_probe_finds_what_is_there_and_its_control_nothing() -> None:
    """In "xx" labels lie along another direction than in "en", in "fr" along the same."""
    rng = np.random.default_rng(0)
    banks = {language: treebank(120) for language in ("en", "fr", "xx")}
    rows = {language: Rows.of("pos", bank) for language, bank in banks.items()}
    states = {}
    for language, direction in (("en", 0), ("fr", 0), ("xx", 1)):
        labels = np.array([1.0 if label == "NOUN" else -1.0 for label in rows[language].labelled.labels])
        states[language] = rng.normal(size=(len(labels), 8)).astype(np.float16)
        states[language][:, direction] += (4 * labels).astype(np.float16)
    scores = {score.tested_on: score for score in probe_scores("pos", 3, states, rows, 2, ["en"])}
    assert scores["en"].accuracy == pytest.approx(1, abs=0.02)
    assert scores["fr"].accuracy == pytest.approx(1, abs=0.02)
    for language, score in scores.items():
        assert score.majority == pytest.approx(0.5, abs=0.05)
        assert score.shuffled == pytest.approx(0.5, abs=0.25), language
        assert score.n == 6 * score.sentences == len(rows[language].by_split["test"])
    low, high = scores["xx"].low, scores["xx"].high
    assert low is not None and high is not None and low < 0.5 < high


def test_translations_are_in_one_split_and_every_split_has_some() -> None:
    splits = splits_of([sentence.id for sentence in treebank(200).sentences])
    assert splits == splits_of([sentence.id for sentence in treebank(200, words=3).sentences])
    assert [round(splits.count(split) / 200, 1) for split in ("train", "validation", "test")] == [0.6, 0.2, 0.2]


def test_a_label_that_training_lacks_is_never_right() -> None:
    features = np.array([[-1.0], [1.0]] * 10, np.float32)
    probe = trained_probe(features, ["a", "b"] * 10, features, ["a", "b"] * 10)
    assert probe.is_right(features[:2], ["a", "c"]).tolist() == [True, False]


def test_languages_can_be_told_apart_where_their_states_differ() -> None:
    words = (Word(0, 3, "NOUN", 0, "root"), Word(4, 7, "NOUN", 1, "obj"))
    sentences = tuple(Sentence(str(number), "one two", words) for number in range(100))
    bank = Treebank(sentences, ("train", "train", "validation", "test") * 25)
    banks = {"en": bank, "fr": bank}
    en, fr = (states(seed, layers=1, sentences=200)[0] for seed in (0, 1))
    apart = list(language_scores(3, {"en": en, "fr": fr + np.float16(3)}, banks, seeds=2))
    assert [(row.task, row.layer, row.trained_on, row.tested_on, row.n) for row in apart] == [
        ("language", 3, "all", "en", 25), ("language", 3, "all", "fr", 25),
    ]  # fmt: skip
    assert [row.accuracy for row in apart] == [1.0, 1.0] and sum(row.majority for row in apart) == 1
    alike = list(language_scores(3, {"en": en, "fr": fr}, banks, seeds=2))
    assert 0.3 < np.mean([row.accuracy for row in alike]) < 0.7 and 0.3 < np.mean([row.shuffled for row in apart]) < 0.7


def test_the_last_layer_gives_what_the_model_does(tiny_model: Path, tokenizer: Any) -> None:
    import torch

    model = loaded(tiny_model)
    words = [{"en": "one", "es": "uno"}, {"en": "two", "es": "dos"}, {"en": "four", "es": "cuatro"}]
    prompts = list(translation_prompts(tokenizer, words, "en", "es", "en"))
    shares = language_shares(model, prompts)
    assert shares.shape == (model.config.num_hidden_layers + 1, len(prompts), 2)
    with torch.inference_mode():
        likely = model(torch.tensor([prompts[0].ids])).logits[0, -1].softmax(-1)
    assert shares[-1, 0, 0] == pytest.approx(float(likely[list(prompts[0].target)].sum()), abs=1e-5)


def test_words_that_begin_alike_in_both_languages_are_left_out(tokenizer: Any) -> None:
    words = [{"en": "one", "es": "uno"}, {"en": "animal", "es": "animal"}, {"en": "sun", "es": "sol"}]
    asked = list(translation_prompts(tokenizer, words, "en", "es", "en"))
    assert [prompt.target & prompt.pivot for prompt in asked] == [frozenset()]
    text = tokenizer.decode(asked[0].ids, skip_special_tokens=True)
    assert text.endswith('English: "one" – Español: "')
    assert 'English: "sun" – Español: "sol"' in text

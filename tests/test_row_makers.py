"""Rows made as text, as pairs of texts, and with words of other languages; the lexicons that give these words."""
# pyright: reportPrivateUsage=false

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_mixes.example import Example, from_table, to_table
from data_mixes.leakage import Holdout
from data_mixes.makers.ibm_model_1 import ibm_model_1
from data_mixes.makers.lexicons import FileLexicon, LearnedLexicon, Lexicon, LexiconError, pieces
from data_mixes.makers.maker import Maker, PairMaker, RestoreMaker, SwitchMaker, TextMaker
from data_mixes.makers.switching import Switching, span_length
from data_mixes.pairs import Variant
from data_mixes.prompts import IGNORED, Renderer
from data_mixes.sources import SOURCES
from data_mixes.tokens import TokenStore
from harness.errors import UserError
from harness.planning.made_rows import switched_words
from harness.planning.study import Study
from harness.recipe import row_makers_section
from harness.recipe.load import load_recipe
from tests.support import changed, compared, harness

SOURCE = SOURCES["notices"]
ENGLISH = SOURCE.pool("train", "en").examples(range(20))
Write = Callable[[dict[str, Any]], Path]


class Written(Lexicon):
    """A lexicon of a test."""

    def __init__(self, languages: tuple[str, str], pairs: list[tuple[str, str]]) -> None:
        self.name, self.languages, self._given = "-".join(languages), languages, pairs

    @property
    def origin(self) -> str:
        return "written"

    @property
    def version(self) -> str:
        return "1"

    def read(self) -> list[tuple[str, str]]:
        return self._given


ES = Written(("en", "es"), [("city", "ciudad"), ("new", "otro"), ("new", "fresco"), ("the", "el"),
                            ("the", "la"), ("museum", "museo"), ("is", "es"), ("of", "de"), ("no", "no")])  # fmt: skip
JA = Written(("en", "ja"), [("city", "市"), ("new", "新しい"), ("bridge", "橋"), ("museum", "美術館")])


def text_of(item: Any, language: str) -> str:
    """The text of an item in a language."""
    pool = SOURCE.pool("train", language)
    return pool.examples(np.flatnonzero(pool.items == item))[0].prompt


def switching(share: float = 0.35, into: tuple[str, ...] = ("es",), seed: int = 0) -> Switching:
    return Switching(share, into, (ES, JA), seed)


@pytest.mark.parametrize("kind", ["tokenizer", "chat_tokenizer"])
def test_of_a_text_everything_is_learned_and_no_template_is_around_it(
    kind: str, request: pytest.FixtureRequest
) -> None:
    tokenizer = request.getfixturevalue(kind)
    row = Renderer(tokenizer).render(TextMaker().made(ENGLISH[0]))
    text = tokenizer([ENGLISH[0].prompt], add_special_tokens=False)["input_ids"][0]
    assert row.prompt_ids == [tokenizer.bos_token_id]
    assert row.completion_ids == [*text, tokenizer.eos_token_id] and row.supervised_tokens == len(text) + 1
    assert TextMaker("target").made(ENGLISH[0]).spans[0].text == ENGLISH[0].target


def test_without_a_beginning_the_first_token_is_not_counted_as_learned(tokenizer: Any) -> None:
    alone = copy.deepcopy(tokenizer)
    alone.bos_token = None
    row = Renderer(alone).render(TextMaker().made(ENGLISH[0]))
    assert len(row.prompt_ids) == 1 and row.supervised_tokens == row.tokens - 1
    assert sum(label != IGNORED for label in row.labels[1:]) == row.supervised_tokens


@pytest.mark.parametrize("loss", ["both", "second"])
def test_of_a_pair_exactly_the_chosen_texts_are_learned(loss: Any, tokenizer: Any) -> None:
    renderer, maker = Renderer(tokenizer), PairMaker(loss)
    pool = Variant("es", "en", maker=maker).pool(SOURCE, "train")
    (example,) = pool.examples([3])
    english, spanish = (text_of(pool.items[3], language) for language in ("en", "es"))
    assert [span.text for span in example.spans] == [english, "\n", spanish] and pool.task == "pair"
    row = renderer.render(example)
    ids, labels = row.prompt_ids + row.completion_ids, row.labels
    first, separator, second = renderer.ids([english, "\n", spanish])
    assert ids == [tokenizer.bos_token_id, *first, *separator, *second, tokenizer.eos_token_id]
    learned = first if loss == "both" else [IGNORED] * len(first)
    assert labels == [IGNORED, *learned, *[IGNORED] * len(separator), *second, tokenizer.eos_token_id]
    assert row.supervised_tokens == sum(label != IGNORED for label in labels)


def test_both_orders_are_two_rows_of_each_pair(recipe_data: dict[str, Any], write_recipe: Write) -> None:
    recipe_data["languages"]["seen"] = ["en", "fr", "es"]
    recipe_data["mixture"] = {"pairs": {"sources": ["notices"], "prompts_in": ["en"], "answers_in": ["fr", "es"],
                                        "amount": 7, "as": {"pair": {"order": "both"}}}}  # fmt: skip
    del recipe_data["grid"]
    (cell,) = compared(*load_recipe(write_recipe(recipe_data)))
    counts = {allotment.variant: allotment.examples for allotment in cell.allotments}
    assert counts == dict.fromkeys(["en>fr as pair", "en>es as pair", "fr>en as pair", "es>en as pair"], 7)
    items = {pool.variant: set(pool.items[places].tolist()) for pool, _, places in cell.mixture.by_pool()}
    assert len({frozenset(each) for each in items.values()}) == 1, "the same items in both orders"


@pytest.mark.parametrize("language", ["en", "ja", "zh", "ar"])
def test_a_text_is_cut_into_pieces_with_nothing_left_out(language: str) -> None:
    for example in SOURCE.pool("train", language).examples(range(10)):
        cut = pieces(example.prompt, language)
        assert "".join(piece for piece, _ in cut) == example.prompt
        assert sum(is_word for _, is_word in cut) > 5
        assert all(any(map(str.isalpha, piece)) for piece, is_word in cut if is_word)
    assert [piece for piece, is_word in pieces("彼は新しい橋を見た。", "ja") if is_word] == [
        "彼", "は", "新しい", "橋", "を", "見", "た"
    ]  # fmt: skip


TEXTS = st.lists(st.sampled_from(["The", "new", "city", "5", "of", "is", "unknown", "museum,"]), min_size=1)


@given(TEXTS, st.integers(0, 20), st.integers(0, 3), st.text(max_size=5))
def test_as_many_words_are_switched_as_are_asked_for_and_known(
    words: list[str], twentieths: int, seed: int, row: str
) -> None:
    share, text = twentieths / 20, " ".join(words)
    mixed = switching(share, seed=seed).mixed(text, "en", row)
    assert mixed.words == sum(word != "5" for word in words)
    assert mixed.wanted == math.ceil(Fraction(twentieths, 20) * mixed.words), "exact, where .55 · 20 would be 12"
    assert mixed.known == sum(word.lower().strip(",") not in ("5", "unknown") for word in words)
    assert mixed.switched == min(mixed.wanted, mixed.known)
    assert "".join(piece.original or piece.text for piece in mixed.pieces) == text
    assert mixed == switching(share, seed=seed).mixed(text, "en", row)
    more = switching(min(1.0, share + 0.2), seed=seed).mixed(text, "en", row)
    fewer = {number for number, piece in enumerate(mixed.pieces) if piece.original}
    assert fewer <= {number for number, piece in enumerate(more.pieces) if piece.original}, "shares nest"


@given(st.sampled_from(ENGLISH), st.floats(0, 1), st.floats(0.1, 20), st.integers(0, 3))
def test_spans_switch_as_many_words_and_a_larger_share_more_of_them(
    example: Example, share: float, mean: float, seed: int
) -> None:
    share = round(share, 2)
    of_spans = Switching(share, ("es",), (ES, JA), seed, mean)
    mixed = of_spans.mixed(example.prompt, "en", example.id)
    assert mixed.switched == min(math.ceil(Fraction(str(share)) * mixed.words), mixed.known)
    more = replace(of_spans, share=1.0).mixed(example.prompt, "en", example.id)
    switched, all_of_them = ([piece.original is not None for piece in each.pieces] for each in (mixed, more))
    assert all(other for one, other in zip(switched, all_of_them, strict=True) if one)


def test_words_of_a_span_stand_beside_each_other() -> None:
    """All words have an entry: those that are switched form fewer runs in spans than each for itself."""
    words = [f"word{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    lexicon = Written(("en", "es"), [(word, f"otra{word}") for word in words])
    runs = {}
    for mean in (None, 3.5):
        mixed = [Switching(0.35, ("es",), (lexicon,), 0, mean).mixed(" ".join(words), "en", str(row))
                 for row in range(50)]  # fmt: skip
        switched = [[piece.original is not None for piece in each.pieces if piece.text.strip()] for each in mixed]
        assert {sum(each) for each in switched} == {10}, "⌈.35 · 26⌉"
        runs[mean] = sum(one and not before for each in switched for before, one in pairwise([False, *each])) / 50
    assert runs[3.5] < 4.5 < 6 < runs[None]


def test_lengths_of_spans_are_a_poisson_distribution_without_0() -> None:
    lengths = np.array([span_length(3.5, (2 * number + 1) * 2**63 // 20_000) for number in range(20_000)])
    whole = 1 - math.exp(-3.5)
    for length in range(1, 9):
        expected = math.exp(-3.5) * 3.5**length / math.factorial(length) / whole
        assert np.mean(lengths == length) == pytest.approx(expected, abs=2e-3)
    assert lengths.mean() == pytest.approx(3.5 / whole, abs=0.01) and lengths.min() == 1
    assert span_length(3.5, 2**64 - 1) < 40 and 100 < span_length(100, 2**64 - 1) < 300 and span_length(100, 0) == 1


def test_words_keep_their_capitals_and_stand_apart() -> None:
    everything = switching(1.0)
    assert everything.mixed("The City", "en", "r").text in ("El Ciudad", "La Ciudad")
    back = Switching(1.0, ("en",), (JA,), 0)
    assert back.mixed("新しい橋", "ja", "r").text == "new bridge"
    assert back.mixed("新しい5", "ja", "r").text == "new 5"


def test_another_seed_or_row_switches_others() -> None:
    texts = {switching(0.35, seed=seed).mixed(ENGLISH[0].prompt + " the new city museum of is", "en", row).text
             for seed in range(3) for row in "abc"}  # fmt: skip
    assert len(texts) >= 5


def test_a_language_more_takes_rows_and_moves_none_between_others() -> None:
    fr = Written(("en", "fr"), [("city", "ville")])
    two, three = switching(0.35, ("es", "ja")), Switching(0.35, ("es", "ja", "fr"), (ES, JA, fr), 0)
    before, after = ([each.lexicon("en", str(row)).name for row in range(300)] for each in (two, three))
    moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert {new for _, new in moved} == {"en-fr"} and 60 < len(moved) < 140
    assert 100 < before.count("en-es") < 200


def test_to_restore_is_to_write_the_original(tokenizer: Any) -> None:
    example = replace(ENGLISH[0], prompt="The new museum is no bridge of 5 cities.")
    made = RestoreMaker(switching()).made(example)
    assert made.target == example.prompt and made.task == "restore" and made.answer is None
    assert made.prompt != example.prompt and "5 cities." in made.prompt
    text = Renderer(tokenizer).prompt_text(made)
    assert text == f"Text with words from other languages: {made.prompt}\nThe whole text in English:\n"
    nothing = RestoreMaker(switching(0.0)).made(example)
    assert nothing.prompt == nothing.target == example.prompt, "the copy that is its control"


def test_a_word_that_is_read_in_another_language_is_learned_in_its_own(tokenizer: Any, tmp_path: Path) -> None:
    example = replace(ENGLISH[0], prompt="A new cat")
    made = SwitchMaker(switching(0.3), "text").made(example)
    ((place, switched),) = [(number, span) for number, span in enumerate(made.spans) if span.instead]
    assert switched.instead == " new" and not switched.learned and place == 1
    row = Renderer(tokenizer).render(made)
    ids, labels = row.prompt_ids + row.completion_ids, row.labels
    before, read, wanted = Renderer(tokenizer).ids([made.spans[0].text, switched.text, switched.instead or ""])
    start = 1 + len(before)
    assert ids[start : start + len(read)] == read and labels[start] == wanted[0] != read[0]
    assert labels[start + 1 : start + len(read)] == [IGNORED] * (len(read) - 1)
    assert labels[1:start] == before and labels[-1] == tokenizer.eos_token_id
    store = TokenStore(tmp_path / "tokens.sqlite", Renderer(tokenizer))
    assert store.render([made]) == [row] and store.render([made]) == [row], "made, then read again"
    assert next(from_table(to_table([made]))) == made


@pytest.mark.parametrize("of", ["prompt", "target"])
def test_words_of_a_tasks_own_rows_are_switched(of: Any) -> None:
    example = replace(ENGLISH[0], prompt="The new city", target="The museum is new")
    made = SwitchMaker(switching(1.0), of).made(example)
    other = "target" if of == "prompt" else "prompt"
    assert getattr(made, other) == getattr(example, other) and getattr(made, of) != getattr(example, of)
    assert made.task == example.task and made.spans == ()


MAKERS: list[Maker] = [TextMaker(), RestoreMaker(switching(1.0)), SwitchMaker(switching(1.0), "text"), PairMaker()]


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.name)
def test_a_test_text_is_found_whatever_is_made_of_it(maker: Maker) -> None:
    languages = ("en", "es") if isinstance(maker, PairMaker) else ("en",)
    variant = Variant(languages[-1], "en" if len(languages) > 1 else None, maker=maker)
    pool, rows = variant.pool(SOURCE, "train"), np.arange(20)
    tested = [replace(ENGLISH[0], item_id=f"elsewhere in {language}", prompt=text_of(pool.items[row], language))
              for row, language in zip((4, 5), languages, strict=False)]  # fmt: skip
    assert [leak.row for leak in Holdout(tested).leaks(pool, rows, ["text"])] == [4, 5][: len(tested)]
    assert [leak.row for leak in Holdout(pool.examples([7])).leaks(pool, rows, ["item"])] == [7]


def test_ibm_model_1_is_that_of_nltk() -> None:
    from nltk.translate import AlignedSent, IBMModel1

    texts = [("the house is small", "das haus ist klein"), ("the house is big", "das haus ist gross"), ("a book",
             "ein buch"), ("the book is small", "das buch ist klein"), ("a a big house", "ein haus")]  # fmt: skip
    pairs = [(english.split(), german.split()) for english, german in texts]
    theirs = IBMModel1([AlignedSent(german, english) for english, german in pairs], 6).translation_table
    ours = ibm_model_1(pairs, 6).likely(0.0)
    assert len(ours) > 20
    for (source, target), probability in ours.items():
        assert math.isclose(probability, theirs[target][source], rel_tol=1e-9), (source, target)


def test_a_lexicon_is_learned_from_translations() -> None:
    sources = tuple(SOURCES[name] for name in ("notices", "word-problems", "instructions"))
    lexicon = LearnedLexicon("en-es", ("en", "es"), sources, 200)
    known = {"museum": "museo", "library": "biblioteca", "school": "escuela", "bridge": "puente"}
    assert {word: lexicon.forward[word][0] for word in known if word in lexicon.forward}.items() <= known.items()
    assert len(lexicon.forward) > 100 and "bridge" in lexicon.forward
    assert lexicon.backward["puente"] == ("bridge",) and lexicon.entries("es") is lexicon.backward
    with pytest.raises(LexiconError, match="got 20,001 rows, but notices has 16,000 in both languages"):
        _ = LearnedLexicon("en-es", ("en", "es"), (SOURCE,), 20_001).pairs


def test_a_file_of_muse_is_a_lexicon(tmp_path: Path) -> None:
    path = tmp_path / "en-es.txt"
    path.write_text("cat gato\ncat gata\nCat felino\ncat michi\nParis paris\nhouse\tla casa\n\n", encoding="utf-8")
    lexicon = FileLexicon("en-es", ("en", "es"), path)
    assert lexicon.forward == {"cat": ("gato", "gata", "felino"), "house": ("la casa",)}, (
        "the first three; no same word"
    )
    assert lexicon.backward["gata"] == ("cat",)
    path.write_text("cat gato negro\nhouse\n", encoding="utf-8")
    with pytest.raises(LexiconError, match=r"2 lines are no such pair .*line 1: 'cat gato negro'; line 2"):
        _ = FileLexicon("en-es", ("en", "es"), path).pairs
    with pytest.raises(LexiconError, match="cannot read"):
        _ = FileLexicon("en-es", ("en", "es"), tmp_path / "none.txt").pairs


def mixed_recipe(recipe_data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A recipe of rows to restore, of texts, and of a task's rows with words of another language."""
    (folder / "en-fr.txt").write_text("the le\nnew nouveau\nof de\nmuseum musée\nhow comment\n", encoding="utf-8")
    return recipe_data | {
        "lexicons": {"en-fr": {"file": "en-fr.txt"}},
        "mixture": {
            "mixed": {"sources": ["notices"], "languages": ["en", "fr"], "amount": 6,
                      "as": {"restore": {"share": 0.5, "into": ["en", "fr"]}}},
            "texts": {"sources": ["instructions"], "languages": ["fr"], "amount": 2, "as": "text"},
        },
        "grid": {"share": {"path": "mixture.mixed.as.restore.share", "values": [0, 0.5]}},
    }  # fmt: skip


def test_a_plan_says_how_many_words_are_switched_and_shows_them(
    recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path
) -> None:
    recipe = write_recipe(mixed_recipe(recipe_data, tmp_path))
    shown = json.loads(harness("plan", recipe, "--runs", tmp_path, "--json", "--show-rows", 1).stdout)
    assert shown["lexicons"][0]["entries"] == {"en": 5, "fr": 5} and shown["lexicons"][0]["origin"] == "in en-fr.txt"
    by_variant = {each["variant"]: each for each in shown["switched"]}
    switched = by_variant["en as restore 0.5 into en, fr"]
    assert switched["rows"] == 6 and 0 < switched["switched"] <= switched["known"] < switched["wanted"]
    assert by_variant["en as restore 0 into en, fr"]["switched"] == 0
    (difference,) = shown["differences"]
    assert difference["one_factor"] and difference["factors"] == ["share"]
    rows = [row for row in shown["rendered"] if row["task"] == "restore"]
    assert len(rows) == 4 and all([part["supervised"] for part in row["parts"]] == [False, True] for row in rows)
    told = harness("plan", recipe, "--runs", tmp_path).stdout
    assert "Switched in notices en as restore 0.5 into en, fr: " in told and "for want of entries" in told


def test_what_rows_are_made_of_is_in_the_fingerprint(
    recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path
) -> None:
    data = mixed_recipe(recipe_data, tmp_path)
    study = Study(write_recipe(data), tmp_path / "runs")
    plan = study.plans[1]
    assert plan.run.identity["mixture"]["notices/en as restore 0.5 into en, fr"] == 6
    assert [*plan.run.identity["lexicons"]] == ["en-fr"]
    plan.run.begin()
    (tmp_path / "en-fr.txt").write_text("the la\n", encoding="utf-8")
    row_makers_section._file_lexicon.cache_clear()  # what another process would not have either
    with pytest.raises(UserError, match=r"Changed: .*lexicons\.en-fr was "):
        _ = Study(write_recipe(data), tmp_path / "runs").plans
    assert next(switched_words(study.plans)).words > 0


def test_a_budget_counts_what_is_learned(recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path) -> None:
    recipe_data["mixture"] = {"pairs": {"sources": ["notices"], "prompts_in": ["en"], "answers_in": ["fr"],
                                        "total": 900, "unit": "supervised_tokens", "as": {"pair": {}}}}  # fmt: skip
    recipe_data["grid"] = {"loss": {"path": "mixture.pairs.as.pair.loss", "values": ["second", "both"]}}
    study = Study(write_recipe(recipe_data), tmp_path)
    second, both = study.plans
    for plan in (second, both):
        rows = study.bases[0].renderer.render_all(list(plan.mixture))
        learned = sum(label != IGNORED for row in rows for label in row.labels[1:])
        assert learned == int(plan.lengths.supervised_tokens.sum()) <= 900
    assert 1.5 < len(second.mixture) / len(both.mixture) < 2.5


MISTAKES: list[tuple[str, Any, str]] = [
    ("mixture.mixed.as", {"text": {}, "pair": {}}, "mixture.mixed.as: got text, pair; give one of text, pair, restore"),
    ("mixture.mixed.as", {}, "mixture.mixed.as: got none; give one of"),
    ("mixture.mixed.as", "txt", "mixture.mixed.as.txt: unknown key; did you mean 'text'?"),
    ("mixture.mixed.as", "pair", "mixture.mixed.as.pair: is of two languages: give prompts_in and answers_in"),
    ("mixture.mixed.as.restore.into", ["es"], "'es' is not in languages.seen"),
    ("mixture.mixed.as.restore.into", ["ja"], "'ja' is in languages.unseen, so no cell may train on its words"),
    ("mixture.mixed.as.restore.into", ["en"], "no lexicon of 'en' and one of en; add one, as lexicons: {en-en"),
    ("mixture.mixed.as.restore.share", 1.5, "mixture.mixed.as.restore.share: got 1.5; "),
    ("lexicons", {}, "mixture.mixed.as.restore.into: no lexicon of 'en' and one of en, fr; add one, as lexicons: "
     "{en-fr: {file: …}}"),
    ("lexicons.en-fr", {}, "lexicons.en-fr: give either file, or learned_from"),
    ("lexicons.en-xx", {"file": "x"}, "lexicons.en-xx: its name is of two languages of the study, as en-es"),
    ("lexicons.en-fr", {"learned_from": "notice"}, "lexicons.en-fr.learned_from: no source 'notice'; did you mean"),
    ("lexicons.en-fr", {"learned_from": ["gsm8k"]}, "gsm8k has no 'fr', only en"),
    ("lexicons.en-fr.rows", 10, "lexicons.en-fr.rows: goes with learned_from"),
    ("lexicons.en-fr.file", "nowhere.txt", "lexicons.en-fr: cannot read "),
    ("prompts", {"words": "none"}, "prompts.words: got none, but a text does not say that it is to be restored"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "message"), MISTAKES, ids=[message[:60] for _, _, message in MISTAKES])
def test_a_mistake_is_told(
    path: str, value: Any, message: str, recipe_data: dict[str, Any], write_recipe: Write, tmp_path: Path
) -> None:
    data = mixed_recipe(recipe_data, tmp_path)
    del data["grid"]
    with pytest.raises(UserError) as refused:
        Study(write_recipe(changed(data, path, value)), tmp_path / "runs").check()
    assert message in str(refused.value)

"""What is looked at inside the models: how alike languages are in them, and what can be read off their layers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from eval.representations.hidden_states import Pooling
from eval.representations.probes import TreebankTask
from harness.recipe.section import Amount, PositiveInt, Section

Layers = Literal["all"] | tuple[Amount, ...]


class Similarity(Section):
    """How alike the models represent translations of a sentence, layer by layer: `harness similarity`."""

    texts: str
    """A text file per language, parallel line by line, or a treebank in CoNLL-U; {language} stands for the language."""
    languages: tuple[str, ...] | None = None
    """The languages compared with the pivot; by default those of the study."""
    sentences: PositiveInt = 200
    """How many sentences: the first ones of the files."""
    measures: tuple[Literal["mexa", "retrieval", "cka", "anc"], ...] = ("mexa", "cka", "anc")
    """The measures. One alone misleads: they are highest in different layers."""
    pooling: Pooling = "weighted"
    """How the states of a sentence's tokens become one: their mean weighted by position, their mean, or the last."""
    max_tokens: PositiveInt = 128
    """Tokens of a sentence that are read; the rest is cut off."""
    words: str | None = None
    """A table of words with a column for each language, to tell which language a layer is about to write."""


class LabelledTexts(Section):
    """A file of rows per language, each with a text or a pair of texts and a label, for a probe of texts' states."""

    files: str
    """A table per language, JSON Lines or any other kind that sources are read from; {language} stands for it."""
    texts: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)]
    """The columns of the text, or of both texts of a pair, such as [premise, hypothesis]."""
    label: str
    """The column of the label."""
    id: str | None = None
    """The column of what translations have in common; by default rows of the same number are translations."""


class Probes(Section):
    """What linear probes read off the models' layers in treebanks and labelled texts: `harness probe`."""

    treebanks: str | None = None
    """A treebank in CoNLL-U per language; {language} stands for the language."""
    labelled: dict[str, LabelledTexts] = {}
    """Texts, or pairs of texts, with labels, by the name of the task, such as `nli`."""
    languages: tuple[str, ...] | None = None
    """The languages; by default those of the study."""
    train_on: tuple[str, ...] | None = None
    """The languages that probes are trained on; by default every one. All are tested in every language."""
    tasks: tuple[TreebankTask | Literal["language"], ...] = ("pos",)
    """What is read off treebanks: parts of speech (pos), whether a word depends on another (arc), and how (deprel);
    and as a control which language a sentence is in (language)."""
    layers: Layers = "all"
    """The layers, by number. Layer 0 is the embeddings."""
    sentences: PositiveInt = 500
    """How many sentences of each treebank, or rows: three in five to train on, one to choose by, one to test on."""
    seeds: Annotated[int, Field(gt=0, le=100)] = 3
    """Probes under so many seeds, which draw what they are trained on."""

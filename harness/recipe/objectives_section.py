"""What a recipe says of terms beside the likelihood: what is learned besides writing the supervised tokens."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from harness.recipe.section import PositiveInt, Section

Weight: TypeAlias = Annotated[float, Field(ge=0)]
Layer: TypeAlias = PositiveInt | Annotated[float, Field(gt=0, lt=1)]
"""A decoder block, counted from 1, whose output is meant; or a share of their number."""
Reference: TypeAlias = Literal["base", "previous"]
"""The base model, or what the stage began with."""


class Align(Section):
    """Has the model represent a text and its translation alike in one layer, more so than other texts of the batch.

    InfoNCE over mean-pooled states, after arXiv 2502.14830.
    """

    on: str
    """The component with the pairs, which is `only_for: align`."""
    layer: Layer | Literal["best"] = "best"
    """The block whose output is aligned, as a number from 1 or a share of all; `best` is the one, without the last, in
    which translations of held-out pairs are found most often before training."""
    temperature: Annotated[float, Field(gt=0)] = 0.1
    """What cosines are divided by."""
    batch: Annotated[int, Field(ge=2, le=4096)] = 32
    """Pairs that are compared with each other."""
    schedule: Literal["alternate", "sum"] = "alternate"
    """`alternate` takes an optimizer step of its own after each step of the likelihood; `sum` adds the term to it."""
    weight: Weight = 1.0
    """What the term is multiplied by; with 0 it is left out. AdamW heeds the direction of a step of its own, not its
    size, so that with `alternate` other weights above 0 change little."""


class Distil(Section):
    """Has the model keep to the distribution of an earlier one at the supervised positions (Hinton et al. 2015).

    The loss is (1 − weight) · likelihood + weight · T² · KL(earlier ‖ model), both at temperature T.
    """

    to: Reference = "previous"
    """Whose distribution: the base model's, or that of what the stage began with."""
    weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The share of the loss; with 0 the term is left out."""
    temperature: Annotated[float, Field(gt=0)] = 2.0
    """T, above 1 to heed unlikely tokens more."""


class Ewc(Section):
    """Holds weights near where the stage began, each by how much earlier stages' rows depend on it.

    Elastic weight consolidation (Kirkpatrick et al. 2017): weight / 2 · Σ F (θ − θ₀)².
    """

    weight: Weight
    """The strength, λ; with 0 the term is left out."""
    rows: PositiveInt = 64
    """How much of each component of the earlier stages, in its unit, F is estimated on: the rows that came first."""


class Keep(Section):
    """Holds the states of texts near those of an earlier model: mean ‖h − h₀‖² / ‖h₀‖² of mean-pooled states."""

    on: str
    """The component with the texts, which is `only_for: keep`."""
    layer: Layer
    """The block whose output is held, as a number from 1 or a share of all."""
    to: Reference = "base"
    """Whose states: the base model's, or those of what the stage began with."""
    batch: Annotated[int, Field(ge=1, le=4096)] = 16
    """Texts in each step."""
    weight: Weight = 1.0
    """What the term is multiplied by; with 0 it is left out."""


class LabelSimilarity(Section):
    """Has the model represent prompts in different languages as alike as their targets are (after arXiv 2009.14510).

    Mean (cos(h_i, h_j) − s_ij)² over the pairs of a batch in different languages; s is 1 for translations of one item,
    else the cosine of the targets' states in an earlier model. The prompts need not be translations.
    """

    on: str
    """The component with the examples, which is `only_for: label_similarity`."""
    layer: Layer
    """The block whose output is compared, as a number from 1 or a share of all."""
    to: Reference = "base"
    """The model whose states of the targets say how alike these are: the base, or what the stage began with."""
    batch: Annotated[int, Field(ge=2, le=4096)] = 16
    """Examples in each step."""
    weight: Weight = 1.0
    """What the term is multiplied by; with 0 it is left out."""


class Own(Section):
    """A term of your own: a function `loss` in a Python file, which runs because the recipe names it."""

    code: str
    """The file. Its hash is part of the fingerprint, and its path is not."""
    on: str
    """The component with the texts, or pairs of texts, which is `only_for: own`."""
    batch: Annotated[int, Field(ge=1, le=4096)] = 16
    """Rows in each step."""
    weight: Weight = 1.0
    """What the term is multiplied by; with 0 it is left out."""


OWN_TERM = "training.objectives.own"
"""The key of a term of one's own."""
LOGGED_AS = "objective_"
"""What begins the names of terms in the record of a cell."""
TERMS = ("align", "distil", "ewc", "keep", "label_similarity", "own")


class Objectives(Section):
    """Terms beside the likelihood. What each came to is recorded for every step."""

    align: Align | None = None
    """Translations alike in one layer."""
    distil: Distil | None = None
    """The distribution of an earlier model."""
    ewc: Ewc | None = None
    """Weights near their beginning."""
    keep: Keep | None = None
    """States of texts near those of an earlier model."""
    label_similarity: LabelSimilarity | None = None
    """Prompts in different languages as alike as their targets."""
    own: Own | None = None
    """A function of your own."""

    @property
    def active(self) -> Objectives:
        """Those whose weight is not 0: the others are as if they were not there."""
        kept = {name: term for name in TERMS if (term := getattr(self, name)) and term.weight}
        return Objectives.model_construct({*kept}, **dict.fromkeys(TERMS) | kept)

    @property
    def names(self) -> tuple[str, ...]:
        """The terms that are active, by name."""
        return tuple(name for name in TERMS if (term := getattr(self, name)) and term.weight)

    @property
    def of_before(self) -> tuple[str, ...]:
        """Those that need a stage before, whatever their weight."""
        terms = {name: term for name in TERMS if (term := getattr(self, name))}
        return tuple(name for name, term in terms.items()
                     if name == "ewc" or getattr(term, "to", None) == "previous")  # fmt: skip

    def without(self, names: tuple[str, ...]) -> Objectives:
        """The same without some terms."""
        return self.model_copy(update=dict.fromkeys(names))

"""What a recipe says of training data: the components of the mixture."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator

from data_mixes.mixture import ItemPolicy, Unit
from data_mixes.pairs import Variant
from harness.recipe.row_makers_section import RowMaker
from harness.recipe.section import Amount, PositiveInt, Section, Seed


class Ingredient(Section):
    """A component of the mixture: an `amount` per source and language, or a `total` per source to divide.

    Instead of `languages`, `prompts_in` and `answers_in` pair each language of the one with every other
    of the other: prompts in one language with targets in another, or `translate` one into the other.
    """

    sources: tuple[str, ...] = Field(min_length=1)
    """The sources of the rows, by name."""
    languages: tuple[str, ...] | None = Field(default=None, min_length=1)
    """The languages that rows are taken in."""
    prompts_in: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Languages of prompts, to be paired with answers in others."""
    answers_in: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Languages of answers, to be paired with prompts in others."""
    translate: bool = False
    """Whether the pairs become translation tasks."""
    amount: Amount | None = None
    """How much of each source in each language, in `unit`."""
    total: Amount | None = None
    """How much of each source, divided among the languages."""
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=True)] | None = None
    """How a total is divided: 1 in proportion to what each language has, `.inf` evenly."""
    shares: dict[str, Annotated[float, Field(ge=0)] | Literal["rest"]] | None = None
    """How a total is divided, by language: in proportion; or, where one of them has the `rest`, as parts of 1."""
    unit: Unit = "examples"
    """What budgets count."""
    items: ItemPolicy | None = None
    """Which items the languages take: the same ones, different ones, or each its own."""
    max_repeats: PositiveInt = 1
    """How often a row may be used to fill a budget."""
    made_as: RowMaker | None = Field(default=None, alias="as")
    """What rows are made of the examples, where that is not their task: `text`, or one of text, pair, restore and
    switch with its own keys."""

    only_for: Literal["align", "keep", "label_similarity", "ewc", "own"] | None = None
    """The term of `training.objectives` that alone sees the rows; without that term there are none."""

    @field_validator("made_as", mode="before")
    @classmethod
    def _by_name_alone(cls, given: Any) -> Any:
        """The name of a maker alone is one with its defaults."""
        return {given: {}} if isinstance(given, str) else given

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The languages, or pairs of languages, that rows are made in."""
        if self.languages is not None:
            return tuple(map(Variant, self.languages))
        pairs = [(answers, prompts) for prompts in self.prompts_in or () for answers in self.answers_in or ()
                 if prompts != answers]  # fmt: skip
        if self.made_as and self.made_as.pair and self.made_as.pair.order == "both":
            pairs += [(prompts, answers) for answers, prompts in pairs]
        return tuple(dict.fromkeys(Variant(answers, prompts, self.translate) for answers, prompts in pairs))

    @property
    def all_languages(self) -> tuple[str, ...]:
        """Every language that rows are read in."""
        return tuple(dict.fromkeys((*(self.languages or ()), *(self.prompts_in or ()), *(self.answers_in or ()))))


class Mixture(Section):
    """What cells train on: components by name, and the seed under which their rows are drawn.

    Under another seed every component takes other rows of its sources; the counts are the same.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Ingredient]  # pyright: ignore[reportIncompatibleVariableOverride]
    seed: Seed = 0
    """The seed that draws the rows of all components from their sources."""

    @property
    def ingredients(self) -> dict[str, Ingredient]:
        """The components by name."""
        return self.__pydantic_extra__

    def of_languages(self, languages: tuple[str, ...]) -> Mixture:
        """The same with these languages in the components that name none."""
        return self.model_copy(
            update={
                name: part.model_copy(update={"languages": languages})
                for name, part in self.ingredients.items()
                if not part.all_languages
            }
        )

"""What a recipe says of the step whose weights are a cell's."""

from __future__ import annotations

from pydantic import Field

from harness.recipe.section import PositiveInt, Section


class Selection(Section):
    """Keeps the weights of the step that does best on validation rows, rather than those of the last step.

    The rows are of the validation split of the mixture's sources: the same for all cells of the study.
    """

    by: str = "loss"
    """What is compared: `loss`, the mean over languages of the loss of a supervised token; or a task such as `math`, by
    its main metric, or by another as in `summarization chrf`. The model then answers its validation prompts."""
    languages: tuple[str, ...] = Field(min_length=1)
    """The languages whose validation rows choose the step."""
    allow_unseen: tuple[str, ...] = ()
    """Unseen languages that may be among them. What a model does in these is then no zero-shot transfer."""
    every: PositiveInt
    """Steps from one comparison to the next; the last step is always compared."""
    patience: PositiveInt | None = None
    """Ends training after so many comparisons without an improvement; without it training takes all its steps."""
    items: PositiveInt = 50
    """Validation rows per source and language."""

    @property
    def task(self) -> str | None:
        """The task by whose metric steps are compared; None where it is the loss."""
        return None if self.by == "loss" else self.by.partition(" ")[0]

    @property
    def metric(self) -> str | None:
        """The metric, where it is not the task's main one."""
        return self.by.partition(" ")[2] or None

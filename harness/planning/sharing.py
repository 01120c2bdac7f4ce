"""What the languages of a study share: the items of a source, and so rows that are translations of each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from data_mixes.mixture import ItemPolicy
from data_mixes.order import Keys
from data_mixes.source import Source
from harness.planning.cells import CellPlan
from harness.recipe.schema import Recipe
from harness.results import Result


class SharedItems(Result):
    """How the languages of a source choose their items, and what that comes to in the cell with most of its rows."""

    source: str
    policy: ItemPolicy
    parallel: bool
    """Whether it is known which rows are translations of each other."""
    languages: tuple[str, ...]
    """Those that some cell trains on."""
    pivot: str
    cell: str
    rows: int
    """The cell's rows of the source in other languages than the pivot."""
    translations: int
    """Of these, the rows of items that the cell also trains on in the pivot."""

    def __str__(self) -> str:
        return f"Items of {self.source}: {self._choice}"

    @property
    def _choice(self) -> str:
        languages = f"{', '.join(self.languages[:-1])} and {self.languages[-1]}"
        if not self.parallel:
            return f"{languages} have texts of their own; which are translations of each other is not known"
        share = (
            f"in {self.cell} {self.translations:,} of {self.rows:,} rows in other languages translate "
            f"{self.pivot} rows that are trained on too"
        )
        if self.policy == "shared":
            return f"{languages} take the same ones, and a language more brings no other content; {share}"
        if self.policy == "disjoint":
            return f"{languages} take different ones, and a language more brings other content; {share}"
        return f"{languages} choose independently, and a language more brings other content; {share}"


def shared_items(recipe: Recipe, plans: Sequence[CellPlan]) -> Iterator[SharedItems]:
    """The sources that cells train on in several languages."""
    pivot = recipe.languages.pivot
    policies: dict[str, tuple[Source, ItemPolicy]] = {source.name: (source, part.policy(source))
                for plan in plans for part in plan.cell.recipe.components for source in part.sources}  # fmt: skip
    for source, policy in policies.values():
        languages = {language for plan in plans for language in languages_of(plan, source.name)}
        if len(languages) < 2:
            continue
        largest = max(plans, key=lambda plan: len(items_of(plan, source.name, languages - {pivot})))
        others = items_of(largest, source.name, languages - {pivot})
        yield SharedItems(
            source=source.name,
            policy=policy,
            parallel=source.parallel,
            languages=tuple(language for language in recipe.languages.seen if language in languages),
            pivot=pivot,
            cell=largest.name,
            rows=len(others),
            translations=int(np.isin(others, items_of(largest, source.name, {pivot})).sum()),
        )


def languages_of(plan: CellPlan, source: str) -> set[str]:
    """The languages in which a cell trains on a source: those of the targets."""
    return {pool.language for pool in plan.mixture.pools if pool.source == source}


def items_of(plan: CellPlan, source: str, languages: set[str]) -> Keys:
    """The item of each row that a cell trains on from a source in some languages."""
    parts = [
        pool.items[plan.mixture.place[plan.mixture.pool == number]]
        for number, pool in enumerate(plan.mixture.pools)
        if pool.source == source and pool.language in languages
    ]
    return np.concatenate([np.empty(0, np.uint64), *parts])

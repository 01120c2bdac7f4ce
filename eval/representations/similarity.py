"""How alike a model represents translations: measures over the states of parallel sentences, and what chance gives.

Each takes the states of the same sentences in two languages, sentences × width, of one layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from eval.representations.hidden_states import States

Floats = NDArray[np.float64]
PERMUTATIONS = 100


def mexa(cosines: Floats) -> float:
    """The share of sentences whose translation is nearer than any other pair with either (Kargaran et al. 2024).

    That is, whose cosine is the largest of its row and of its column. By chance 1 / (2n − 1).
    """
    return float((np.diag(cosines) > np.maximum(*_highest_others(cosines))).mean())


def retrieval(cosines: Floats) -> float:
    """The share of sentences whose translation is the nearest, of both directions the mean. By chance 1 / n."""
    of_row, of_column = _highest_others(cosines)
    own = np.diag(cosines)
    return float(((own > of_row).mean() + (own > of_column).mean()) / 2)


def _highest_others(cosines: Floats) -> tuple[Floats, Floats]:
    """For each sentence the highest cosine with another's translation, and of its translation with another."""
    others = cosines.copy()
    np.fill_diagonal(others, -np.inf)
    return others.max(axis=1), others.max(axis=0)


def hsic(one: Floats, other: Floats) -> float:
    """The unbiased Hilbert–Schmidt independence criterion of two Gram matrices, diagonals 0 (Song et al. 2012)."""
    n = len(one)
    both = (one * other).sum()
    product = one.sum() * other.sum() / ((n - 1) * (n - 2))
    crossed = one.sum(axis=0) @ other.sum(axis=0) * 2 / (n - 2)
    return float((both + product - crossed) / (n * (n - 3)))


def _hollow(matrix: Floats) -> Floats:
    hollow = matrix.copy()
    np.fill_diagonal(hollow, 0)
    return hollow


def cosine_table(one: Floats, other: Floats) -> Floats:
    """The cosine of every sentence with every translation."""
    units = [side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12) for side in (one, other)]
    return units[0] @ units[1].T


Measured: TypeAlias = Callable[[NDArray[np.int64]], float]
"""A measure of two languages' states in one layer, by the order in which the translations stand."""


def neighbours(share: Callable[[Floats], float]) -> Callable[[Floats, Floats], Measured]:
    """A share of sentences whose translation is nearest, as a measure of states."""

    def measure(one: Floats, other: Floats) -> Measured:
        cosines = cosine_table(one, other)
        return lambda order: share(cosines[:, order])

    return measure


def kernel_alignment(one: Floats, other: Floats) -> Measured:
    """Linear CKA (Kornblith et al. 2019) without its bias. By chance 0.

    The biased estimator gives unrelated sentences .4 where there are fewer of them than dimensions. NaN where a
    language's states are all alike.
    """
    first, second = _hollow(one @ one.T), _hollow(other @ other.T)
    own = hsic(first, first) * hsic(second, second)
    scale = float(np.sqrt(own)) if own > 0 else float("nan")
    return lambda order: hsic(first, second[np.ix_(order, order)]) / scale


def neuron_correlation(one: Floats, other: Floats) -> Measured:
    """The mean over neurons of the correlation of a neuron with itself across languages (Del and Fishel 2022).

    Signed: the mean of absolute values is √(2 / πn) by chance, this one 0. Neurons that never vary are left out.
    """
    varied = (one.std(axis=0) > 0) & (other.std(axis=0) > 0)
    first, second = (
        (side - side.mean(axis=0)) / side.std(axis=0) for side in (one[:, varied], other[:, varied])
    )  # fmt: skip
    return lambda order: float((first * second[order]).mean()) if varied.any() else float("nan")


MEASURES: Mapping[str, Callable[[Floats, Floats], Measured]] = {
    "mexa": neighbours(mexa),
    "retrieval": neighbours(retrieval),
    "cka": kernel_alignment,
    "anc": neuron_correlation,
}


def similarity(measure: str, one: States, other: States) -> list[float]:
    """A measure of each layer of two languages' states, layers × sentences × width."""
    as_they_are = np.arange(one.shape[1])
    return [layer(as_they_are) for layer in layers_of(measure, one, other)]


def highest_by_chance(measure: str, one: States, other: States, permutations: int = PERMUTATIONS) -> float:
    """What the highest of all layers stays below in 95 % of random orders of the translations.

    An order is the same in all layers, so that the figure holds for the whole curve.
    """
    rng = np.random.default_rng(0)
    orders = [rng.permutation(one.shape[1]) for _ in range(permutations)]
    drawn = np.array([[layer(order) for order in orders] for layer in layers_of(measure, one, other)])
    return float(np.quantile(np.nan_to_num(drawn, nan=-1.0).max(axis=0), 0.95))


def layers_of(measure: str, one: States, other: States) -> Iterator[Measured]:
    """A measure of two languages' states, layer by layer."""
    for first, second in zip(one, other, strict=True):
        yield MEASURES[measure](first.astype(np.float64), second.astype(np.float64))

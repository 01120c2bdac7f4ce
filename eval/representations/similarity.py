"""How alike a model represents translations: measures over the states of parallel sentences, and what chance gives.

Each takes the states of the same sentences in two languages, sentences × width, of one layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from eval.representations.hidden_states import States

Floats = NDArray[np.float64]
PERMUTATIONS = 200


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


def kernel_alignment(one: Floats, other: Floats) -> float:
    """Linear CKA without its bias, of two Gram matrices (Kornblith et al. 2019, HSIC₁ of Song et al. 2012).

    By chance 0. The biased estimator gives unrelated sentences .4 where there are fewer of them than dimensions.
    Blank where a language's states are all alike.
    """
    own = hsic(one, one) * hsic(other, other)
    return hsic(one, other) / float(np.sqrt(own)) if own > 0 else float("nan")


def hsic(one: Floats, other: Floats) -> float:
    """The unbiased Hilbert–Schmidt independence criterion of two Gram matrices, whose diagonals do not count."""
    n = len(one)
    one, other = _hollow(one), _hollow(other)
    both = (one * other).sum()
    product = one.sum() * other.sum() / ((n - 1) * (n - 2))
    crossed = one.sum(axis=0) @ other.sum(axis=0) * 2 / (n - 2)
    return float((both + product - crossed) / (n * (n - 3)))


def _hollow(matrix: Floats) -> Floats:
    hollow = matrix.copy()
    np.fill_diagonal(hollow, 0)
    return hollow


def neuron_correlation(one: Floats, other: Floats) -> float:
    """The mean over neurons of the correlation of a neuron with itself across languages (Del and Fishel 2022).

    Signed: the mean of absolute values is √(2 / πn) by chance, this one 0. Neurons that never vary are left out.
    """
    varied = (one.std(axis=0) > 0) & (other.std(axis=0) > 0)
    if not varied.any():
        return float("nan")
    standard = [(side - side.mean(axis=0)) / side.std(axis=0) for side in (one[:, varied], other[:, varied])]
    return float((standard[0] * standard[1]).mean())


def cosine_table(one: Floats, other: Floats) -> Floats:
    """The cosine of every sentence with every translation."""
    units = [side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12) for side in (one, other)]
    return units[0] @ units[1].T


def of_cosines(measure: Callable[[Floats], float]) -> Callable[[Floats, Floats, NDArray[np.int64]], float]:
    """A measure of a table of cosines as one of states, whose translations are put in another order."""

    def measured(one: Floats, other: Floats, order: NDArray[np.int64]) -> float:
        return measure(cosine_table(one, other)[:, order])

    return measured


def permuted_alignment(one: Floats, other: Floats, order: NDArray[np.int64]) -> float:
    """CKA of states, with the translations in another order."""
    gram_of_other = other @ other.T
    return kernel_alignment(one @ one.T, gram_of_other[np.ix_(order, order)])


def permuted_correlation(one: Floats, other: Floats, order: NDArray[np.int64]) -> float:
    """The correlation of neurons, with the translations in another order."""
    return neuron_correlation(one, other[order])


MEASURES: Mapping[str, Callable[[Floats, Floats, NDArray[np.int64]], float]] = {
    "mexa": of_cosines(mexa),
    "retrieval": of_cosines(retrieval),
    "cka": permuted_alignment,
    "anc": permuted_correlation,
}
"""Measure → its value for states and an order of the translations."""


def similarity(measure: str, one: States, other: States) -> list[float]:
    """A measure of each layer of two languages' states, layers × sentences × width."""
    order = np.arange(one.shape[1])
    return [MEASURES[measure](*sides, order) for sides in layers_of(one, other)]


def highest_by_chance(measure: str, one: States, other: States, permutations: int = PERMUTATIONS) -> float:
    """What the highest of all layers stays below in 95 % of random orders of the translations.

    An order is the same in all layers, so that the figure holds for the whole curve.
    """
    rng = np.random.default_rng(0)
    orders = [rng.permutation(one.shape[1]) for _ in range(permutations)]
    drawn = np.array([[MEASURES[measure](*sides, order) for order in orders] for sides in layers_of(one, other)])
    return float(np.quantile(np.nan_to_num(drawn, nan=-1.0).max(axis=0), 0.95))


def layers_of(one: States, other: States) -> list[tuple[Floats, Floats]]:
    """The two languages' states, layer by layer."""
    return [(first.astype(np.float64), second.astype(np.float64)) for first, second in zip(one, other, strict=True)]

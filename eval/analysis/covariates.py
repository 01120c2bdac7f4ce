"""What is known of two languages before anything is trained: whether they share a script, and how far apart they are.

Distances are URIEL's (Littell et al. 2017, E17-2002), by the tables of the package urielplus and the angular distance
of URIEL+ (Khan et al. 2025, 2025.coling-main.463). The package's own code is not run: it copies its tables into
site-packages at first, and takes a quarter of a minute for the genetic distances of ten languages. The further
databases that URIEL+ can integrate (Grambank and others, 95 seconds) are left out, as they are by its default.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import as_file, files
from math import acos, pi
from typing import NamedTuple

import numpy as np
import polars as pl
from babel.core import get_global
from numpy.typing import NDArray

from eval.scorers.scripts import script_of


class Features(NamedTuple):
    """Where the features of a distance are: a table of URIEL's, and the prefix of their names."""

    table: str
    prefix: str


DISTANCES = {
    "genetic": Features("family_features", "F_"),
    "geographic": Features("geocoord_features", "GC_"),
    "syntactic": Features("features", "S_"),
    "phonological": Features("features", "P_"),
    "inventory": Features("features", "INV_"),
    "featural": Features("features", ""),
}
COVARIATES = ("script", *DISTANCES)
"""What can be computed for any pair of languages."""


def origin(name: str) -> str | None:
    """Where a covariate comes from, with the version; None if its package is not installed."""
    if name == "script":
        return f"CLDR by babel-{version('babel')}"
    try:
        return f"URIEL by urielplus-{version('urielplus')}"
    except PackageNotFoundError:
        return None


def with_covariates(table: pl.DataFrame, names: Sequence[str], source: str, target: str) -> pl.DataFrame:
    """The table with columns of computed covariates of its pairs of languages, blank where they are not known."""
    pairs = table.select(source, target).rows()
    return table.with_columns(
        pl.Series(name, [covariate(name, one, other) for one, other in pairs], dtype=pl.Float64) for name in names
    )


@lru_cache(maxsize=65536)
def covariate(name: str, one: str, other: str) -> float | None:
    """A covariate of two languages, by their codes (ISO 639, as in en, jpn, zh-Hant).

    script: 1 if texts of both are usually in one script (CLDR's likely one, Japanese and Korean being scripts of
    their own), else 0. Others: a distance, 0 to 1. None where too little is known.
    """
    if name != "script":
        return distance(name, one, other)
    scripts = script_of(one), script_of(other)
    return None if None in scripts else float(scripts[0] == scripts[1])


def distance(kind: str, one: str, other: str) -> float | None:
    """The angle between two languages' features as a share of the right angle, over features known of both.

    None where there is no such feature, or a language has none (genetic: languages without a family in URIEL).
    """
    u, v = _vector(kind, one), _vector(kind, other)
    if u is None or v is None:
        return None
    known = (u >= 0) & (v >= 0)
    lengths = float(np.linalg.norm(u[known]) * np.linalg.norm(v[known]))
    return 2 / pi * acos(min(1.0, float(u[known] @ v[known]) / lengths)) if lengths else None


@lru_cache(maxsize=4096)
def _vector(kind: str, language: str) -> NDArray[np.float64] | None:
    """A language's features, the union of their sources, -1 where unknown; None if URIEL does not know the language.

    Of the codes for it the one of which URIEL knows most: it has the features of Arabic as ara, its family as arb.
    """
    features = DISTANCES[kind]
    rows, names, values = _table(features.table)
    chosen = np.char.startswith(names, features.prefix)
    vectors = [values[rows[code], chosen].astype(np.float64) for code in _iso_codes(language) if code in rows]
    return max(vectors, key=lambda vector: ((vector >= 0).sum(), (vector > 0).sum()), default=None)


def _iso_codes(language: str) -> list[str]:
    """The ISO 639-3 codes which by CLDR stand for a language, that of its main variety first: cmn and zho for zh."""
    code = language.replace("_", "-").split("-")[0]
    aliases = get_global("language_aliases")
    usual = aliases.get(code, code)
    return [*(alias for alias, meant in aliases.items() if meant == usual), usual]


@lru_cache(maxsize=3)
def _table(name: str) -> tuple[dict[str, int], NDArray[np.str_], NDArray[np.float32]]:
    """A table of URIEL's: the row of each language, the names of its features, and their union over sources."""
    with (
        as_file(files("urielplus") / "database" / "original_uriel" / f"{name}.npz") as path,
        np.load(path, allow_pickle=False) as stored,
    ):
        rows = {str(language): row for row, language in enumerate(stored["langs"])}
        return rows, stored["feats"], stored["data"].max(axis=2)

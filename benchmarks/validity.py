"""Do the statistics hold what they promise? Simulated studies of right and wrong answers, whose truth is known.

    python benchmarks/validity.py [STUDIES] [differences|equals|coverage|curves|transfer|planned|groups]

A study has a base and eight amounts, each trained under 1, 3 or 5 seeds, and 50 or 250 items in three languages. Items,
items in a language, items under a setting, seeds, and an item under a seed all have effects of their own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from eval.analysis.comparisons import family_of
from eval.analysis.curves import (
    Correlation,
    GapClosed,
    gap_closed,
    margin_of,
    plateau,
    points_of,
    seen_unseen_correlation,
)
from eval.analysis.design import BASE, Curve, Design
from eval.analysis.families import Arm, compare_family
from eval.analysis.groups import OTHERS, LanguageGroups
from eval.analysis.halves import highest
from eval.analysis.panel import Panel
from eval.analysis.planned import assumed, detectable
from eval.analysis.stats import Difference, contributions, estimate
from eval.analysis.transfer import Source, Transfer
from eval.analysis.variance import Floats, run_variance

AMOUNTS, LANGUAGES, DRAWS = 8, 3, 1000
GROUPS = LanguageGroups(("en", "fr"), ("ja",))
"""Of the studies of curves."""


class Condition(NamedTuple):
    """What kind of studies are simulated."""

    runs: int
    seeds: float
    """The standard deviation of seeds, in points."""
    items: int


CONDITIONS = [
    Condition(runs, seeds, items) for runs in (1, 3, 5) for seeds in (0.0, 1.6, 3.2) for items in (50, 250)
    if runs > 1 or not seeds
]  # fmt: skip


def studies(
    condition: Condition, count: int, gain: float = 0.0, mean: float = 0.4, seed: int = 0, languages: int = LANGUAGES
) -> Iterator[Floats]:
    """Scores (base and amounts, runs, items, languages); the last amount truly gains so many points."""
    rng = np.random.default_rng([seed, condition.runs, int(10 * condition.seeds), condition.items])
    runs, items = condition.runs, condition.items
    for _ in range(count):
        share = mean + rng.normal(0, 0.15 * min(1, 2.5 * mean), (1, 1, items, 1))
        share = share + rng.normal(0, 0.06 * min(1, 2.5 * mean), (1, 1, items, languages))
        share = share + rng.normal(0, 0.04, (AMOUNTS + 1, 1, items, 1))
        luck = rng.normal(0, condition.seeds / 100, (AMOUNTS + 1, runs, 1, 1))
        luck[0] = 0  # the base has no seed
        share = share + luck
        share[-1] += gain / 100
        yield (rng.random(share.shape) < np.clip(share, 0.005, 0.995)).astype(np.float64)


def panel_of_amounts(study: Floats) -> tuple[Panel, Design]:
    """A study of a base and amounts as a panel in English, French and Japanese, in which a setting is an amount."""
    panel, design = panel_of_curve(study[1:])
    values = np.concatenate([panel.values, study[0][:1]])
    return Panel("math", "accuracy", (*panel.runs, BASE), GROUPS.all, values), design


def compared(study: Floats, draws: int = DRAWS) -> list[Difference]:
    """The primary family: every amount against the base, and against the first."""
    base = Arm("base", study[0][:1], has_seed=False)
    arms = [Arm(str(index), values) for index, values in enumerate(study[1:])]
    between = run_variance([contributions(arm.values) for arm in arms])
    pairs = [(arm, base) for arm in arms] + [(arm, arms[0]) for arm in arms[1:]]
    return compare_family(pairs, between, draws=draws)


class Row(NamedTuple):
    """What came out of the studies of one condition."""

    condition: Condition
    false: float
    """Studies with a false finding among the family's 15 comparisons."""
    tails: tuple[float, ...]
    """P(p < α) / α at .05, .01 and .002, of single comparisons."""
    printed: float
    """The detectable difference, in points."""
    power: float
    """How often a true difference of that size is found."""


def measured(condition: Condition, count: int) -> Row:
    """False findings and tails in studies without effects, power in others with one."""
    null = [compared(study) for study in studies(condition, count)]
    p_values = np.array([each.p for family in null for each in family])
    false = float(np.mean([any((each.p_adjusted or 0) < 0.05 for each in family) for family in null]))
    printed = 100 * float(np.mean([family[-1].detectable or np.nan for family in null]))
    real = [compared(study)[-1] for study in studies(condition, count, gain=printed, seed=1)]
    power = float(np.mean([(each.p_adjusted or 0) < 0.05 for each in real]))
    return Row(condition, false, tuple((p_values < level).mean() / level for level in LEVELS), printed, power)


LEVELS = (0.05, 0.01, 0.002)


def between_equals(
    condition: Condition, count: int, languages: int = LANGUAGES, draws: int = DRAWS
) -> tuple[float, float]:
    """How often p < .05 of two equal mixtures, whose seeds differ; and of any of four such pairs, once adjusted."""
    single, adjusted = list[bool](), list[bool]()
    for study in studies(condition, count, languages=languages):
        arms = [Arm(str(index), values) for index, values in enumerate(study[1:])]
        between = run_variance([contributions(arm.values) for arm in arms])
        family = compare_family([*zip(arms[::2], arms[1::2], strict=True)], between, draws=draws)
        single += [(made.p or 0) < 0.05 for made in family]
        adjusted.append(any((made.p_adjusted or 0) < 0.05 for made in family))
    return float(np.mean(single)), float(np.mean(adjusted))


def covered(condition: Condition, count: int, mean: float, pooled: bool) -> float:
    """How often the interval of a setting's mean holds the true mean; its runs alone, or pooled over the settings."""
    many = Condition(condition.runs, condition.seeds, 2000)
    truth = float(np.mean([study.mean() for study in studies(many, 60, mean=mean, seed=9)]))
    held = list[bool]()
    for study in studies(condition, count, mean=mean):
        between = run_variance([contributions(values) for values in study[1:]]) if pooled else None
        found = estimate(study[1], between=between)
        held.append(found.low is not None and found.high is not None and found.low <= truth <= found.high)
    return float(np.mean(held))


class CurveCondition(NamedTuple):
    """What kind of curves are simulated."""

    runs: int
    seeds: float
    """The standard deviation of seeds, in points; of seeds in a language a third of it."""
    items: int


CURVES = [CurveCondition(1, 0.0, 50), CurveCondition(1, 0.0, 250), CurveCondition(1, 1.6, 250)]
CURVES += [CurveCondition(runs, seeds, items) for runs in (3, 5) for seeds in (1.6, 3.2) for items in (50, 250)]


def curve_study(rng: np.random.Generator, condition: CurveCondition, rise: float = 0.0) -> Floats:
    """Scores (amounts, runs, items, languages) in English, French and Japanese, whose means rise by so many points.

    English is at 60 % and the others at 40 %; what the amount gives, it gives to the others.
    """
    runs, items, luck = condition.runs, condition.items, condition.seeds / 100
    share = np.array([0.6, 0.4, 0.4]) + rng.normal(0, 0.15, (1, 1, items, 1)) + rng.normal(0, 0.06, (1, 1, items, 3))
    share = share + rng.normal(0, 0.04, (AMOUNTS, 1, items, 1)) + rng.normal(0, luck, (AMOUNTS, runs, 1, 1))
    share = share + rng.normal(0, luck / 3, (AMOUNTS, runs, 1, 3))
    share = share + np.linspace(0, rise / 100, AMOUNTS)[:, None, None, None] * [0.0, 1.0, 1.0]
    return (rng.random(share.shape) < np.clip(share, 0.005, 0.995)).astype(np.float64)


def panel_of_curve(study: Floats) -> tuple[Panel, Design]:
    """A study of a curve as a panel, in which a setting is an amount, and the curve over them."""
    points, runs = study.shape[:2]
    names = [tuple(f"{point}-{run}" for run in range(runs)) for point in range(points)]
    settings = tuple(map(str, range(points)))
    design = Design(
        dict(zip(settings, names, strict=True)),
        curves=(Curve("", "amount", tuple(map(float, range(points))), settings),),
    )
    flat = tuple(name for members in names for name in members)
    return Panel("math", "accuracy", flat, GROUPS.all, study.reshape(points * runs, *study.shape[2:])), design


def others_of(study: Floats, draws: int = DRAWS) -> tuple[GapClosed, Correlation, float | None]:
    """The gap closed, the correlation of seen and unseen, and the plateau over all languages but English."""
    panel, design = panel_of_curve(study)
    runs, others = [list(names) for names in design.settings.values()], GROUPS.means()[OTHERS]
    points = points_of(panel, design.curves[0], others, design)
    margin = margin_of(panel, points)
    return (
        gap_closed(panel, runs, GROUPS, draws),
        seen_unseen_correlation(panel, runs, GROUPS),
        plateau(panel, points, others, design, margin, draws),
    )


def curve_row(condition: CurveCondition, count: int) -> str:
    """A row of the table of curves: flat ones, and ones that rise by 6.8 points at the last amount."""
    rng = np.random.default_rng(0)
    flat = [curve_study(rng, condition) for _ in range(count)]
    results = [others_of(study) for study in flat]
    gaps = np.array([[one.estimate.mean, one.estimate.low, one.estimate.high, one.p, one.published]
                     for one, _, _ in results], dtype=np.float64)  # fmt: skip
    rhos = np.array([[one.rho, one.published] for _, one, _ in results], dtype=np.float64)
    covered = np.mean((gaps[:, 1] <= 0) & (gaps[:, 2] >= 0))
    best = [[max(table.mean() for table in tables), highest(tables, run_variance(tables)).mean]
            for tables in ([contributions(values) for values in study[..., 1:]] for study in flat)]  # fmt: skip
    excess = 100 * (np.mean(best, axis=0) - 0.4)
    shown, wrong = [place is not None for _, _, place in results], 0
    for _ in range(count):
        study = curve_study(rng, condition)
        study[-1] += 0.068
        place = others_of(study)[2]
        wrong += place is not None and place < AMOUNTS - 1
    return (
        f"| {condition.runs} | {condition.seeds:g} | {condition.items} "
        f"| {100 * gaps[:, 4].mean():+.1f} | {100 * gaps[:, 0].mean():+.1f} | {100 * covered:.0f} % "
        f"| {100 * (gaps[:, 3] < 0.05).mean():.1f} % | {rhos[:, 1].mean():.2f} | {rhos[:, 0].mean():.2f} "
        f"| {excess[0]:+.1f} | {excess[1]:+.1f} | {100 * np.mean(shown):.0f} % | {100 * wrong / count:.1f} % |"
    )


def false_transfers(runs: int, seeds: float, count: int) -> dict[str, float]:
    """Table of transfer → studies with a false finding in it: four languages trained on, to no effect."""
    rng, languages, items, luck = np.random.default_rng(0), ("en", "fr", "ja", "ko"), 100, seeds / 100
    sources = {language: Source("math", language) for language in languages}
    names = {language: tuple(f"{language}-{run}" for run in range(runs)) for language in languages}
    design, rejections = Design(names), dict.fromkeys(("transfer", "donors", "recipients", "asymmetry"), 0)
    for _ in range(count):
        share = 0.4 + rng.normal(0, 0.15, (1, 1, items, 1)) + rng.normal(0, 0.06, (1, 1, items, 4))
        of_runs = rng.normal(0, luck, (5, runs, 1, 1)) + rng.normal(0, luck / 3, (5, runs, 1, 4))
        of_runs[-1] = 0  # the base has no seed
        share = share + rng.normal(0, 0.04, (5, 1, items, 1)) + of_runs
        right = (rng.random(share.shape) < np.clip(share, 0.005, 0.995)).astype(np.float64)
        values = np.concatenate([right[:4].reshape(4 * runs, items, 4), right[4:, 0]])
        flat = (*(run for members in names.values() for run in members), BASE)
        made = Transfer.of([Panel("math", "accuracy", flat, languages, values)], sources, design)
        for name in rejections:
            rejections[name] += bool((getattr(made, name)["p_adjusted"] < 0.05).any())
    return {name: times / count for name, times in rejections.items()}


OWN = LanguageGroups(
    ("en", "es", "fr", "ja", "zh"),
    ("ar", "ko"),
    trained={
        "en": ("en",), "en+es": ("en", "es"), "en+fr": ("en", "fr"), "en+ja": ("en", "ja"), "en+zh": ("en", "zh"),
        "es+fr": ("en", "es", "fr"), "ja+zh": ("en", "ja", "zh"), "all": ("en", "es", "fr", "ja", "zh"),
    },
)  # fmt: skip
"""Eight mixtures that see other languages, each its own."""


def study_of_groups(
    rng: np.random.Generator, condition: Condition, group: str = "", gain: float = 0.0
) -> tuple[Panel, Design]:
    """A study of these mixtures, in which "en+es" truly gains so many points in a group of its own, and none else.

    Seeds differ in each language by a third of what they differ by in all, beside that.
    """
    runs, items, luck, width = condition.runs, condition.items, condition.seeds / 100, len(OWN.all)
    share = 0.4 + rng.normal(0, 0.15, (1, 1, items, 1)) + rng.normal(0, 0.06, (1, 1, items, width))
    of_runs = rng.normal(0, luck, (9, runs, 1, 1)) + rng.normal(0, luck / 3, (9, runs, 1, width))
    of_runs[-1] = 0  # the base has no seed
    share = share + rng.normal(0, 0.04, (9, 1, items, 1)) + of_runs
    gaining = OWN.of("en+es", "en").means().get(group, ())
    share[1, ..., [OWN.all.index(language) for language in gaining]] += gain / 100
    right = (rng.random(share.shape) < np.clip(share, 0.005, 0.995)).astype(np.float64)
    names = {name: tuple(f"{name}-{run}" for run in range(runs)) for name in OWN.trained}
    design = Design(names, references=dict.fromkeys([*names][1:], "en"))
    values = np.concatenate([right[:8].reshape(8 * runs, items, width), right[8:, 0]])
    flat = (*(run for members in names.values() for run in members), BASE)
    return Panel("math", "accuracy", flat, OWN.all, values), design


class GroupRow(NamedTuple):
    """What came out of the studies of groups that are each mixture's own, by group of languages."""

    false: dict[str, float]
    """Studies with a false finding in the group's family."""
    printed: dict[str, float]
    """What the comparison of "en+es" and English alone prints as detectable, in points."""
    power: dict[str, float]
    """How often a true difference of that size is found."""


OWN_GROUPS = ("held_out", "seen", "unseen")


def groups_measured(condition: Condition, count: int) -> GroupRow:
    """False findings in studies without effects, and power in others where one mixture gains."""
    rng, row = np.random.default_rng(0), GroupRow({}, {}, {})
    null = [study_of_groups(rng, condition) for _ in range(count)]
    for group in OWN_GROUPS:
        families = [family_of(panel, OWN, design, group) for panel, design in null]
        row.false[group] = float(np.mean([any(made["p_adjusted"] < 0.05 for made in family) for family in families]))
        row.printed[group] = 100 * float(np.mean([of_pair(family)["detectable"] for family in families]))
        found = 0
        for _ in range(count):
            panel, design = study_of_groups(rng, condition, group, row.printed[group])
            found += of_pair(family_of(panel, OWN, design, group))["p_adjusted"] < 0.05
        row.power[group] = found / count
    return row


def of_pair(family: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The comparison of "en+es" and English alone."""
    return next(made for made in family if (made["cell"], made["other"]) == ("en+es", "en"))


def print_groups(count: int) -> None:
    """The table of groups that are each mixture's own."""
    print("| runs | seeds, points | items | group | false findings | printed, points | power |")
    print("| ---: | ---: | ---: | --- | ---: | ---: | ---: |")
    for condition in (Condition(1, 0.0, 100), Condition(3, 1.6, 100), Condition(3, 3.2, 100), Condition(5, 1.6, 100)):
        row = groups_measured(condition, count)
        for group in OWN_GROUPS:
            print(
                f"| {condition.runs} | {condition.seeds:g} | {condition.items} | {group.replace('_', ' ')} "
                f"| {100 * row.false[group]:.1f} % | {row.printed[group]:.1f} | {100 * row.power[group]:.0f} % |",
                flush=True,
            )


def print_transfer(count: int) -> None:
    """The table of matrices."""
    print("| runs | seeds, points | matrix | donors | recipients | asymmetry |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for runs, seeds in ((1, 0.0), (3, 1.6), (3, 3.2), (5, 3.2)):
        shares = (f"{100 * share:.1f} %" for share in false_transfers(runs, seeds, count).values())
        print(f"| {runs} | {seeds:g} | {' | '.join(shares)} |", flush=True)


def print_planned(count: int) -> None:
    """The table of what `harness plan` prints from its assumptions, and the power there."""
    print("| runs | seeds, points | items | planned, points | power |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for runs, items in ((1, 50), (1, 250), (3, 50), (3, 250), (5, 50), (5, 250)):
        condition = Condition(runs, 1.6 if runs > 1 else 0.0, items)
        settings = {str(index): runs for index in range(AMOUNTS)}
        figure = detectable(settings, dict.fromkeys([*settings][1:], "0"), True, items, assumed(LANGUAGES))
        gain = 100 * (figure.from_reference or np.nan)
        differences = [compared(study)[-1] for study in studies(condition, count, gain=gain, seed=2)]
        power = np.mean([(each.p_adjusted or 0) < 0.05 for each in differences])
        print(f"| {runs} | {condition.seeds:g} | {items} | {gain:.1f} | {100 * power:.0f} % |", flush=True)


def print_curves(count: int) -> None:
    """The table of curves."""
    print(
        "| runs | seeds, points | items | gap closed of a flat ratio, published | ours | covered | p < .05 "
        "| ρ of a flat truth, published | ours | the highest of equals, plain | ours "
        "| plateau shown, flat | shown wrongly, rise of 6.8 |"
    )
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for condition in CURVES:
        print(curve_row(condition, count), flush=True)


def print_differences(count: int) -> None:
    """The table of differences."""
    print("| runs | seeds, points | items | false findings | P(p < α)/α at .05, .01, .002 | printed, points | power |")
    print("| ---: | ---: | ---: | ---: | --- | ---: | ---: |")
    for condition in CONDITIONS:
        row = measured(condition, count)
        tails = ", ".join(f"{tail:.2f}" for tail in row.tails)
        print(
            f"| {condition.runs} | {condition.seeds:g} | {condition.items} | {100 * row.false:.1f} % | {tails} "
            f"| {row.printed:.1f} | {100 * row.power:.0f} % |",
            flush=True,
        )


def print_equals(count: int) -> None:
    """The table of equal mixtures, of one run each and of three, in three languages and in eight."""
    print("| runs | seeds, points | items | languages | p < .05 of a pair | any of four pairs, adjusted |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for runs in (1, 3):
        for seeds in (0.0, 1.6, 3.2):
            for items, languages in ((50, LANGUAGES), (250, LANGUAGES), (250, 8)):
                shares = between_equals(Condition(runs, seeds, items), count, languages)
                told = " | ".join(f"{100 * share:.0f} %" for share in shares)
                print(f"| {runs} | {seeds:g} | {items} | {languages} | {told} |", flush=True)


def print_coverage(count: int) -> None:
    """The table of intervals of a setting of two runs."""
    print("| right answers | seeds, points | items | two runs alone | pooled over eight settings |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for mean in (0.4, 0.02):
        for seeds in (0.0, 1.6, 3.2):
            for items in (50, 250):
                shares = [covered(Condition(2, seeds, items), count, mean, pooled) for pooled in (False, True)]
                told = " | ".join(f"{100 * share:.1f} %" for share in shares)
                print(f"| {100 * mean:.0f} % | {seeds:g} | {items} | {told} |", flush=True)


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    tables = {
        "differences": print_differences,
        "equals": print_equals,
        "coverage": print_coverage,
        "curves": print_curves,
        "transfer": print_transfer,
        "planned": print_planned,
        "groups": print_groups,
    }
    for table in sys.argv[2:] or tables:
        tables[table](wanted)

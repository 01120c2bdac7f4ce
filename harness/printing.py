"""What commands print: tables without frames, and lines beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from harness.console import duration, say

output = Console()

CONTINUAL = {
    "final": "mean after the last stage",
    "forgetting": "forgotten of earlier stages' languages, after their best (noise makes it more)",
    "backward": "change of a language since its own stage",
    "forward": "a language before its stage, above guessing",
    "transfer": "a language after its stage, above training on it alone",
}
"""What `harness analyze --stages` calls the metrics of continual training."""


def plain_table(title: str, words: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    """A table without a frame: columns of words, then columns of numbers."""
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for column in words:
        table.add_column(column, no_wrap=True)
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def show_table(table: Table) -> None:
    """Prints a table as wide as it is: a figure that wraps can be read, one that is cut off cannot."""
    width = Console(width=10_000, markup=False).measure(table).maximum
    Console(width=max(output.width, width), markup=False).print(table)


def line(text: str) -> None:
    """Prints a line as it is."""
    output.print(text, highlight=False, markup=False, soft_wrap=True)


def show_cards(folder: Path, cards: dict[str, list[dict[str, Any]]], quietly: bool) -> None:
    """The mixture cards as tables, and as pictures in the study's folder."""
    if not cards:
        return
    from data_mixes.storage import write_text
    from eval.report.cards import card_table
    from eval.report.pictures import as_svg, card_picture

    for cell, card in cards.items():
        table = card_table(card)
        if not quietly:
            shown = plain_table(f"mixture card: {cell}", table.columns[:2], table.columns[2:])
            for row in table.rows:
                shown.add_row(*row)
            show_table(shown)
        write_text(folder / "cards" / f"{cell}.svg", as_svg(card_picture(cell, card).spec))
        write_text(folder / "cards" / f"{cell}.json", json.dumps(card, indent=1) + "\n")
    say(f"pictures and figures: {folder / 'cards'}")


def show_plan(data: dict[str, Any]) -> None:
    """The plan: examples per cell, task and language; then what each cell comes to, and how they differ."""
    languages = sorted({count["language"] for cell in data["cells"] for count in cell["counts"]})
    examples = plain_table(
        f"{data['study']}: training examples", ("cell", "task"), (*languages, "tokens", "supervised")
    )
    for cell in data["cells"]:
        for place, task in enumerate(sorted({count["task"] for count in cell["counts"]})):
            counts = {count["language"]: count for count in cell["counts"] if count["task"] == task}
            amounts = [str(counts[language]["examples"]) if language in counts else "" for language in languages]
            totals = [f"{sum(count[key] for count in counts.values()):,}" for key in ("tokens", "supervised_tokens")]
            examples.add_row("" if place else cell["name"], task, *amounts, *totals)
    lengths = plain_table("", ("cell", "state"), ("epochs", "steps", "rows", "supervised tokens"))
    for cell in data["cells"]:
        figures = (f"{cell['epochs']:g}", f"{cell['steps']:,}", f"{cell['rows']:,}", f"{cell['supervised_tokens']:,}")
        lengths.add_row(cell["name"], cell["state"], *figures)
    show_table(examples)
    show_table(lengths)
    show_differences(data["differences"])
    show_left_out(data)
    tested = ", ".join(dict.fromkeys(f"{each['task']} ({each['items']} items)" for each in data["evaluation"]))
    in_languages = " ".join(dict.fromkeys(each["language"] for each in data["evaluation"]))
    line(f"Base model {data['model']}, in {data['precision']['dtype']}: {data['precision']['reason']}")
    line(f"Generation by {data['engine']['version']}: {data['engine']['reason']}")
    if tested:
        line(f"Evaluation: {tested}, each in {in_languages}")
    for task in dict.fromkeys(each["task"] for each in data["evaluation"]):
        there = {each["language"] for each in data["evaluation"] if each["task"] == task}
        lacking = [language for language in data["languages"] if language not in there]
        if lacking:
            line(f"Not tested in {task}, for want of rows: {' '.join(lacking)}")
    show_lm_eval(data)
    show_time(data["time"])


def show_time(left: dict[str, Any]) -> None:
    """How long the study will still take here, and how that is known."""
    if "problem" in left:
        line(f"Time: not known, since the probe failed: {left['problem']}")
    elif left["total"]:
        line(
            f"Time on this machine: about {duration(left['total'])}, of which training {duration(left['training'])}, "
            f"generation {duration(left['generation'])} at most, starts and report {duration(left['starts'])} "
            f"(measured on {left['device']} in {left['probe']:.0f} s)"
        )
        if left["emulation"]:
            line(
                f"bfloat16 is emulated by this processor: a product takes {left['emulation']:.0f} times as long as in "
                f"float32, in which the same would take about {duration(left['total_in_float32'])}"
            )
    else:
        line("Time: nothing is left to train or to generate")


def show_lm_eval(data: dict[str, Any]) -> None:
    """The tasks of lm_eval that models are tested on, what of their metrics is no figure of items, and what was cut."""
    for task in dict.fromkeys(each["task"] for each in data["lm_eval"]):
        parts = [each for each in data["lm_eval"] if each["task"] == task]
        named = ", ".join(f"{each['language']} ({each['name']}, {each['items']} items)" for each in parts)
        line(f"Evaluation by lm_eval: {task}, {parts[0]['metric']}, in {named}")
        lacking = [language for language in data["languages"] if language not in {each["language"] for each in parts}]
        if lacking:
            line(f"Not tested in {task}, no task of lm_eval being named for it: {' '.join(lacking)}")
        if left_out := list(dict.fromkeys(metric for each in parts for metric in each["left_out"])):
            line(f"Left out of {task}, not being means over items: {', '.join(left_out)}")
        if cut := [f"{each['shortened']} {each['language']}" for each in parts if each["shortened"]]:
            line(f"Questions of {task} longer than the model takes, cut from the left: {', '.join(cut)}")


def show_differences(differences: list[dict[str, Any]]) -> None:
    """What differs between neighbouring cells, and a warning where it is more than one factor."""
    if not differences:
        return
    several = sum(not each["one_factor"] for each in differences)
    if len(differences) == 1:
        line(f"Neighbouring cells: one pair differs, in {'more than one factor' if several else 'one factor'}.")
    else:
        verdict = f"{several} of them in more than one factor" if several else "each in one factor"
        line(f"Neighbouring cells: {len(differences)} pairs differ, {verdict}.")
    for each in differences:
        rows = [f"+{count} {language}" for language, count in each["added"].items()]
        rows += [f"-{count} {language}" for language, count in each["removed"].items()]
        warning = "" if each["one_factor"] else "  MORE THAN ONE FACTOR"
        line(f"  {each['before']} | {each['after']}: {'; '.join(each['changes'])}{warning}")
        line(f"    rows {', '.join(rows) or 'the same'}; {each['steps'][0]} → {each['steps'][1]} steps")


def show_scores(task: str, data: dict[str, Any]) -> None:
    """A row per language and metric: the mean with its interval, and how many rows it is of."""
    table = plain_table(task, ("language", "metric"), ("mean", "95 %", "scored", "unscored", "no answer"))
    for language, metrics in data["languages"].items():
        for place, (metric, tally) in enumerate(metrics.items()):
            figures = [f"{tally[key]:.3f}" if tally.get(key) is not None else "" for key in ("mean", "low", "high")]
            interval = f"{figures[1]}–{figures[2]}" if figures[1] else ""
            counts = [f"{tally[key]:,}" if key in tally else "" for key in ("scored", "unscored", "no_answer")]
            table.add_row("" if place else language, metric, figures[0], interval, *counts)
    show_table(table)
    versions = dict.fromkeys(tally["version"] for each in data["languages"].values() for tally in each.values()
                             if tally.get("version"))  # fmt: skip
    line(f"versions: {'; '.join(versions)}")


def show_comparison(data: dict[str, Any], shown: int) -> None:
    """A table of differences per language and group, then some of the items that flipped."""
    from eval.report.text_tables import p_value
    from eval.scorers.metrics import metric_of

    title = f"{data['one']} − {data['other']}"
    table = plain_table(title, ("task", "metric", "language"), ("difference", "95 %", "p", "p (Holm)", "items"))
    before = ""
    for row in data["differences"]:
        factor = metric_of(row["metric"]).factor
        figures = [None if row[key] is None else factor * row[key] for key in ("difference", "low", "high")]
        known = [f"{each:+.1f}" for each in figures if each is not None]
        interval = f"{known[1]} to {known[2]}" if len(known) == 3 else ""
        p_values = [p_value(row[key]) for key in ("p", "p_adjusted")]
        words = (row["task"], row["metric"]) if row["task"] != before else ("", "")
        table.add_row(*words, row["group"], known[0] if known else "", interval, *p_values, str(row["items"]))
        before = row["task"]
    show_table(table)
    for item in data["flipped"][:shown]:
        line(f"\n{item['task']} {item['language']} {item['item']}")
        line(f"  prompt     {' '.join(item['prompt'].split())}")
        line(f"  reference  {' '.join(item['reference'].split())}")
        for cell in (data["one"], data["other"]):
            line(f"  {cell}: {item[cell]['value']:g}  {' '.join(item[cell]['completion'].split())}")
    line(f"{len(data['flipped'])} items differ: {data['file']}")
    line(f"versions: {'; '.join(dict.fromkeys(row['version'] for row in data['differences']))}")


def show_analysis(found: list[dict[str, Any]], x: str) -> None:
    """A table per group of rows: the axis down, groups of languages across; then what its curve says."""
    for part in found:
        names = list(dict.fromkeys(row["group"] for row in part["summary"]))
        title = ", ".join(f"{name} {value}" for name, value in part["group"].items())
        table = plain_table(title, (x,), tuple(names))
        by_amount: dict[float, dict[str, Any]] = {}
        for row in part["summary"]:
            by_amount.setdefault(row[x], {})[row["group"]] = row
        for amount, row in by_amount.items():
            table.add_row(f"{amount:g}", *(interval_text(row.get(name)) for name in names))
        show_table(table)
        line(f"  {scores_in_words(part['summary'])}")
        for curve in part["curves"]:
            told = f"{curve['group']}: highest at {x} {curve['best']:g}"
            told += f", plateau from {curve['plateau']:g}" if curve["plateau"] is not None else ""
            closed = curve["gap_closed"]
            told += f"; gap closed {100 * closed['mean']:.1f} points" if closed["mean"] is not None else ""
            told += f" ({100 * closed['low']:.1f} to {100 * closed['high']:.1f})" if closed["low"] is not None else ""
            rho = curve["correlation"]
            told += f"; Spearman seen/unseen {rho:.2f} over {curve['points']} points" if rho is not None else ""
            line(f"  {told}")
        if "stages" in part:
            line(f"  stages: {', '.join(f'{name} at {x} {value:g}' for name, value in part['stages'].items())}")
        for name, each in part.get("continual", {}).items():
            line(f"  {CONTINUAL[name]}: {interval_text(each) or 'undefined, scores being missing'}")
        for each in part.get("dynamics", ()):
            if each["learn_step"] is not None:
                lost = "" if each["forgetting"] is None else f", {each['forgetting']:.3f} forgotten since the best"
                line(f"  {each['group']}: learned at {x} {each['learn_step']:g}{lost}")


def analysed(data: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The title and the figures of each group of pairs; says the problem with those that have none."""
    for part in data["analyses"]:
        title = ", ".join((data["transfer"], *(f"{name} {value}" for name, value in part["group"].items())))
        if "problem" in part:
            line(f"{title}: {part['problem']}")
        else:
            yield title, part


def show_explanation(data: dict[str, Any]) -> None:
    """A table per group of rows: what goes with each covariate, and of which pairs this is."""
    for title, part in analysed(data):
        line(title)
        table = plain_table("", ("covariate",), ("per SD", "p (QAP)", "p (Holm)", "alone: Spearman", "p (QAP)"))
        for each in part["effects"]:
            p_values = [f"{each[key]:.4f}" for key in ("p", "p_adjusted", "p_alone")]
            effect, alone = f"{each['coefficient']:+.3g}", f"{each['spearman']:+.2f}"
            table.add_row(each["covariate"], effect, *p_values[:2], alone, p_values[2])
        show_table(table)
        sides = ", ".join(f"{len(part[side])} {side} ({' '.join(part[side])})" for side in ("sources", "targets"))
        permuted = f"{'all ' if part['exact'] else ''}{part['permutations']:,} permutations"
        line(f"{part['pairs']} pairs: {sides}; R² {part['r_squared']:.2f}; {permuted}")
        for name, blank in part["left_out"].items():
            more = ", …" if len(blank) > 3 else ""
            line(f"  left out: {len(blank)} without {name} ({', '.join(blank[:3])}{more})")
        for warning in part["warnings"]:
            line(f"  warning: {warning}")
    line(f"covariates: {'; '.join(f'{name} of {origin}' for name, origin in data['covariates'].items())}")


def show_agreement(data: dict[str, Any]) -> None:
    """A table of donors and one of recipients per group of rows, models across; then the rank correlations."""
    for title, part in analysed(data):
        line(f"{title}: {part['pairs']} pairs, {part['left_out']} left out that some {data['across']} lacks")
        for name, role in (("donors", "gives"), ("recipients", "gets")):
            table = plain_table("", (role,), tuple(part["models"]))
            for language, means in part[name]["means"].items():
                table.add_row(language, *(f"{means[model]:+.3g}" for model in part["models"]))
            show_table(table)
            for each in part[name]["between"]:
                line(f"  {name}, {each['one']} and {each['other']}: {tau_in_words(each)}")
            if not part[name]["between"]:
                line(f"  {name}: {len(part[name]['means'])} languages have no order to agree on")
            if len(part[name]["between"]) > 1 and part[name]["tau"] is not None:
                line(f"  {name}, mean over pairs of {data['across']}s: τ {part[name]['tau']:.2f}")


def tau_in_words(found: dict[str, Any]) -> str:
    """A rank correlation with its p-value, and how many languages it is of."""
    from eval.analysis.stats import LEVEL
    from eval.report.text_tables import p_value

    if found["tau"] is None:
        return f"τ undefined, one ranks all {found['languages']} languages alike"
    few = f"; it cannot be below {found['least_p']:.2g}" if found["least_p"] > LEVEL else ""
    return f"τ {found['tau']:.2f} (p {p_value(found['p'])}{few}), {found['languages']} languages"


def scores_in_words(summary: list[dict[str, Any]]) -> str:
    """How many scores means are of, from the rows of single languages, and how many were blank."""
    single = [row for row in summary if row["languages"] == row["group"]]
    scored, blank = (sum(row[key] for row in single) for key in ("scored", "unscored"))
    return f"{scored:,} scores" + (f", {blank:,} blank, in no mean" if blank else "")


def interval_text(row: dict[str, Any] | None) -> str:
    """A mean with its interval, as far as they are known."""
    if row is None or row["mean"] is None:
        return ""
    return f"{row['mean']:.3f}" + (f" ({row['low']:.3f}–{row['high']:.3f})" if row["low"] is not None else "")


def show_left_out(data: dict[str, Any]) -> None:
    """Rows that are not trained on as they are: repeated, shortened, dropped, or no examples at all."""
    for source in data["sources"]:
        if source["report"]:
            line(f"{source['name']}: rows left out when read: {source['report']}")
    for each in data["dropped"]:
        count = f"rows of {each['source']} in {each['language']}: {each['count']}"
        shown = f", e.g. {each['examples'][0]}" if each["examples"] else ""
        line(f"Dropped, others taken instead: {count}, {each['reason']}{shown}")
    cut = [f"{each['shortened']} {each['task']} {each['language']}" for each in data["evaluation"] if each["shortened"]]
    if cut:
        line(f"Test prompts shortened to prompts.max_tokens: {', '.join(cut)}")
    for cell in data["cells"]:
        short = [
            f"{each['shortened']} {each['task']} {each['language']}" for each in cell["counts"] if each["shortened"]
        ]
        if short:
            line(f"{cell['name']}: texts shortened to prompts.max_tokens: {', '.join(short)}")
        nothing = [f"{each['source']} {each['variant']}" for each in cell["allotments"] if not each["examples"]]
        if nothing:
            line(f"{cell['name']}: the budget holds no whole row of {', '.join(nothing)}")
        again = [f"{each['source']} {each['variant']} up to {each['repeats']} times"
                 for each in cell["allotments"] if each["repeats"] > 1]  # fmt: skip
        if again:
            line(f"{cell['name']}: rows repeated: {', '.join(again)}")

"""A plan in the terminal: every cell down to the row, how cells differ, and what this machine will need."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.console import counted, duration, in_groups, line, plain_table, say, show_table, size, some_of
from harness.planning.detectable import show_detectable
from harness.planning.layouts import OnDevices, in_words
from harness.planning.plan import PlannedCell, PlannedDifference, StudyPlan
from harness.planning.time_left import TimeLeft
from harness.runs.folder import StudyFolder

MORE_SPACE = "free some, or choose a folder on another disk with --runs"
FEW = 12
"""As many cells have a line of their own each."""


def show_cards(
    folder: Path, cards: Mapping[str, list[dict[str, Any]]], seeds: Mapping[str, int], quietly: bool
) -> None:
    """The mixture cards as tables, and as pictures in the study's folder; `seeds` are those that drew the rows."""
    if not cards:
        return
    from data_mixes.storage import is_writable, write_text
    from eval.report.cards import card_table
    from eval.report.pictures.training import card_picture
    from eval.report.render import as_svg

    cards_folder, kept = StudyFolder(folder).cards, is_writable(folder)
    for cell, card in cards.items():
        table = card_table(card)
        if not quietly:
            shown = plain_table(
                f"mixture card: {cell}, rows drawn under seed {seeds[cell]}", table.columns[:2], table.columns[2:]
            )
            for row in table.rows:
                shown.add_row(*row)
            show_table(shown)
        if kept:
            write_text(cards_folder / f"{cell}.svg", as_svg(card_picture(cell, card).spec))
            write_text(cards_folder / f"{cell}.json", json.dumps(card, indent=1) + "\n")
    say(f"pictures and figures: {cards_folder}" if kept else f"{folder} can only be read, so no pictures are written")


def show_plan(plan: StudyPlan, verbose: bool = False) -> None:
    """What the cells come to, how they differ, what they are tested on and the time; every cell if `verbose`.

    A grid of more than `FEW` cells is shown by its axes.
    """
    every = verbose or len(plan.cells) <= FEW
    if plan.cells:
        if every:
            show_cells(plan)
        show_totals(plan)
    else:
        line(f"{plan.study}: evaluation alone, nothing is trained")
    show_axes(plan)
    if every:
        for cell in plan.cells:
            if cell.also:
                line(f"{cell.name} is also {', '.join(cell.also)}: the same training on the same rows, run once")
    show_differences(plan.differences, verbose)
    if not verbose and (len(plan.cells) > FEW or plan.differences):
        line("Every cell and every pair of neighbours: harness plan RECIPE -v")
    if plan.cells:
        show_seeds(plan)
    for told in (*plan.items, *plan.lexicons, *plan.switched):
        line(str(told))
    show_left_out(plan)
    base = f"Base model {plan.model}, in" if plan.model else "In"
    line(f"{base} {plan.precision.dtype}: {plan.precision.reason}")
    for name, identity in plan.outside.items():
        line(f"Model from elsewhere, {name}: {identity}")
    line(f"Generation by {plan.engine.version}: {plan.engine.reason}")
    show_evaluation(plan)
    show_detectable(plan)
    show_lm_eval(plan)
    for note in plan.notes:
        line(note)
    if plan.orphans:
        line(orphans_in_words(plan.orphans))
    if plan.elsewhere:
        show_elsewhere(plan.elsewhere, verbose)
    else:
        show_time(plan.time)
    for name, count in plan.time.requests.items():
        line(f"Requests: {count:,} to the endpoint of {name}; how long it takes for them cannot be told from here")


def show_elsewhere(found: OnDevices, verbose: bool) -> None:
    """What the study takes on GPUs that are not here; every layout if `verbose`."""
    for told in in_words(found):
        line(told)
    if verbose:
        table = plain_table("Layouts of a cell, estimated", ("model", "execution"), ("GB on each GPU", "fits", "disk"))
        for model in found.models:
            for layout in model.layouts:
                memory, fits = f"{layout.memory / 1e9:,.0f}", "yes" if layout.fits else "no"
                table.add_row(model.model, layout.in_words, memory, fits, size(layout.disk))
        show_table(table)


def orphans_in_words(names: Sequence[str]) -> str:
    """Runs that no cell of the recipe is, and what can be done."""
    folders = f"{some_of(names)}: in the study's folder, but in no cell of the recipe any more"
    return f"{folders}; put their values back into the grid, or delete the folders"


def show_cells(plan: StudyPlan) -> None:
    """Each cell: its examples by task and language, then what they come to."""
    languages = sorted({count.language for cell in plan.cells for count in cell.counts})
    examples = plain_table(f"{plan.study}: training examples", ("cell", "task"), (*languages, "tokens", "supervised"))
    for cell in plan.cells:
        for position, task in enumerate(sorted({count.task for count in cell.counts})):
            counts = {count.language: count for count in cell.counts if count.task == task}
            amounts = [str(counts[language].examples) if language in counts else "" for language in languages]
            sums = [
                f"{sum(getattr(count, key) for count in counts.values()):,}" for key in ("tokens", "supervised_tokens")
            ]
            examples.add_row("" if position else cell.name, task, *amounts, *sums)
    lengths = plain_table("", ("cell", "state"), ("epochs", "steps", "rows", "supervised tokens"))
    for cell in plan.cells:
        figures = (f"{cell.epochs:g}", f"{cell.steps:,}", f"{cell.rows:,}", f"{cell.supervised_tokens:,}")
        lengths.add_row(cell.name, cell.state, *figures)
    show_table(examples)
    show_table(lengths)


def show_totals(plan: StudyPlan) -> None:
    """What all cells come to, epochs counted, and what single ones do."""
    states = Counter(cell.state for cell in plan.cells)
    known = ", ".join(f"{count:,} {state}" for state, count in states.items())
    keys = ("steps", "rows", "tokens", "supervised_tokens")
    table = plain_table(f"{plan.study}: {counted(len(plan.cells), 'cell')} ({known})", ("",),
                        tuple(key.replace("_", " ") for key in keys))  # fmt: skip
    table.add_row("in all", *(f"{sum(getattr(cell, key) for cell in plan.cells):,}" for key in keys))
    table.add_row("each", *(span(getattr(cell, key) for cell in plan.cells) for key in keys))
    show_table(table)


def span(numbers: Iterable[int]) -> str:
    """The least and the most of some numbers: "3–8"."""
    ordered = sorted(numbers)
    least, most = ordered[0], ordered[-1]
    return f"{least:,}" if least == most else f"{least:,}–{most:,}"


def show_axes(plan: StudyPlan) -> None:
    """A line for each axis: the keys that it sets, its values, and what comes and goes along it."""
    if not plan.axes:
        return
    table = plain_table("", ("axis", "sets", "values", "from one to the next"), ())
    for axis in plan.axes:
        along = [difference for difference in plan.differences if difference.axes == (axis.name,)]
        table.add_row(axis.name, ", ".join(axis.paths), ", ".join(map(str, axis.values)), ", ".join(rows_along(along)))
    show_table(table)


def rows_along(differences: Sequence[PlannedDifference]) -> list[str]:
    """The rows that come and go between neighbours on one axis: ["+8 es"], ["+20–40 en", "up to +8 es"]."""
    if not differences:
        return ["no neighbours on this axis alone"]
    told = [
        f"{f'{sign}{span(rows)}' if min(rows) else f'up to {sign}{max(rows):,}'} {language}"
        for sign, counts in (("+", "added"), ("-", "removed"))
        for language in dict.fromkeys(name for difference in differences for name in getattr(difference, counts))
        for rows in [[getattr(difference, counts).get(language, 0) for difference in differences]]
    ]
    return told or ["the same rows"]


def show_seeds(plan: StudyPlan) -> None:
    """The seeds that draw rows, and those of their order and the weights."""
    drawn, ordered = (
        ", ".join(map(str, sorted({getattr(cell, name) for cell in plan.cells})))
        for name in ("drawn_under", "ordered_under")
    )
    line(f"Seeds: rows drawn under {plan.rows_drawn_under} {drawn}; order and weights under training.seed {ordered}")
    if plan.rows_drawn_under == "training.seed":
        line("This study was begun before there was a mixture.seed, and keeps its rows")


def show_evaluation(plan: StudyPlan) -> None:
    """What models are tested on, how they write, and where there are no test rows."""
    tested = ", ".join(
        dict.fromkeys(
            f"{tested_set.task} ({tested_set.items} items of {tested_set.source})" for tested_set in plan.evaluation
        )
    )
    in_languages = " ".join(dict.fromkeys(tested_set.language for tested_set in plan.evaluation))
    if tested:
        line(f"Evaluation: {tested}, each in {in_languages}")
        if every := plan.evaluated_every:
            steps = sum(len(range(every, cell.steps, every)) for cell in plan.cells)
            line(
                f"Checkpoints: of each cell those after every {counted(every, 'step')}, {counted(steps, 'model')} more"
            )
        for tested_set in {tested_set.task: tested_set for tested_set in plan.evaluation}.values():
            drawn = (
                f"{tested_set.samples} sampled at temperature {tested_set.temperature:g}"
                if tested_set.temperature
                else "greedy"
            )
            times = f", generated {tested_set.repeats} times" if tested_set.repeats > 1 else ""
            line(f"Completions of {tested_set.task}: {drawn}, up to {tested_set.max_tokens} tokens{times}")
    for task in dict.fromkeys(tested_set.task for tested_set in plan.evaluation):
        there = {tested_set.language for tested_set in plan.evaluation if tested_set.task == task}
        lacking = [language for language in plan.languages if language not in there]
        if lacking:
            line(f"Not tested in {task}, which has no test rows for them: {' '.join(lacking)}")


def show_time(left: TimeLeft) -> None:
    """How long the study will still take here, and how that is known."""
    if left.problem:
        line(f"Time: unknown, as the probe failed: {left.problem}")
    elif left.total:
        line(
            f"Time on this machine: about {duration(left.total)}, of which training {duration(left.training)}, "
            f"generation {duration(left.generation)} at most, starts and report {duration(left.starts)} "
            f"(measured on {left.device}{', the whole model,' if left.whole else ''} in {left.probe:.0f} s, as busy "
            "as it was then; --measure measures again)"
        )
        if left.by_workers:
            show_workers(left)
        if left.disk:
            line(f"Disk: {disk_in_words(left)}")
        if left.emulation:
            line(
                f"bfloat16 is emulated by this processor: a product takes {left.emulation:.0f} times as long as in "
                f"float32, in which the same would take about {duration(left.total_in_float32)}"
            )
    else:
        line(f"Time: nothing is left to train or to generate{' on this machine' if left.requests else ''}")


def show_workers(left: TimeLeft) -> None:
    """What each number of workers makes of the time."""
    unit = "GPU-hours" if left.on_gpu else "hours of such a machine"
    table = plain_table("by workers, each with a device of its own", ("workers",), ("time", unit))
    for of in left.by_workers:
        table.add_row(str(of.workers), duration(of.seconds), f"{of.device_hours:.2f}")
    show_table(table)


def disk_in_words(left: TimeLeft) -> str:
    """What of the disk training needs, and what is free; what to do where that is too little."""
    needed = f"about {size(left.disk)} for weights, and for the checkpoints of one cell while it trains"
    free = f"{size(left.free or 0)} free in {left.folder}"
    return f"{needed}; {free}" if left.fits else f"{needed}, but {free}; {MORE_SPACE}"


def show_lm_eval(plan: StudyPlan) -> None:
    """The tasks of lm_eval that models are tested on, what of their metrics is no figure of items, and what was cut."""
    for task in dict.fromkeys(part.task for part in plan.lm_eval):
        parts = [part for part in plan.lm_eval if part.task == task]
        named = ", ".join(f"{part.language} ({part.name}, {part.items} items)" for part in parts)
        line(f"Evaluation by lm_eval: {task}, {parts[0].metric}, in {named}")
        lacking = [language for language in plan.languages if language not in {part.language for part in parts}]
        if lacking:
            line(f"Not tested in {task}, as the recipe names no lm_eval task for them: {' '.join(lacking)}")
        if left_out := list(dict.fromkeys(metric for part in parts for metric in part.left_out)):
            line(f"Left out of {task}, as they are not means over items: {', '.join(left_out)}")
        if cut := [f"{part.shortened} {part.language}" for part in parts if part.shortened]:
            line(f"Questions of {task} longer than the model takes, cut from the left: {', '.join(cut)}")


def show_differences(differences: Sequence[PlannedDifference], verbose: bool) -> None:
    """Whether neighbouring cells differ in one factor; those that differ in more, or all of them if `verbose`."""
    if not differences:
        return
    several = [difference for difference in differences if not difference.one_factor]
    if len(differences) == 1:
        line(f"Neighbouring cells: one pair differs, in {'more than one factor' if several else 'one factor'}.")
    else:
        verdict = f"{len(several)} of them in more than one factor" if several else "each in one factor"
        line(f"Neighbouring cells: {len(differences)} pairs differ, {verdict}.")
    for difference in differences if verbose else several[:FEW]:
        rows = [f"+{count} {language}" for language, count in difference.added.items()]
        rows += [f"-{count} {language}" for language, count in difference.removed.items()]
        changes = "; ".join(difference.changes)
        line(f"  {difference.before} | {difference.after}: {changes}{more_than_one_factor(difference)}")
        line(f"    rows {', '.join(rows) or 'the same'}; {difference.steps[0]} → {difference.steps[1]} steps")
    if not verbose and len(several) > FEW:
        line(f"  and {len(several) - FEW} more pairs in more than one factor")


def more_than_one_factor(difference: PlannedDifference) -> str:
    """A warning that names what changes besides one factor; nothing where one alone does."""
    if difference.one_factor:
        return ""
    names = list(difference.factors) if len(difference.factors) > 1 else []
    names += [f"{counted(rows, 'row')} of {name}" for name, rows in difference.untouched.items()]
    return f"  MORE THAN ONE FACTOR: {', '.join(names)}"


def show_left_out(plan: StudyPlan) -> None:
    """Rows that are not trained on as they are: repeated, shortened, dropped, or no examples at all."""
    for source in plan.sources:
        if source.report:
            line(f"{source.name}: rows left out when read: {source.report}")
    for drop in plan.dropped:
        count = f"rows of {drop.source} in {drop.language}: {drop.count}"
        shown = f", e.g. {drop.examples[0]}" if drop.examples else ""
        line(f"Dropped, others taken instead: {count}, {drop.reason}{shown}")
    cut = [
        f"{tested_set.shortened} {tested_set.task} {tested_set.language}"
        for tested_set in plan.evaluation
        if tested_set.shortened
    ]
    if cut:
        line(f"Test prompts shortened to prompts.max_tokens: {', '.join(cut)}")
    for told in in_groups((cell.name, told) for cell in plan.cells for told in left_out_of(cell)):
        line(told)


def left_out_of(cell: PlannedCell) -> Iterator[str]:
    """Rows of a cell that are not trained on as they are."""
    short = [f"{count.shortened} {count.task} {count.language}" for count in cell.counts if count.shortened]
    if short:
        yield f"texts shortened to prompts.max_tokens: {', '.join(short)}"
    nothing = [f"{allotment.source} {allotment.variant}" for allotment in cell.allotments if not allotment.examples]
    if nothing:
        yield f"the budget holds no whole row of {', '.join(nothing)}"
    again = [f"{allotment.source} {allotment.variant} up to {allotment.repeats} times"
             for allotment in cell.allotments if allotment.repeats > 1]  # fmt: skip
    if again:
        yield f"rows repeated: {', '.join(again)}"

"""harness plan: every cell down to the row, how cells differ, and what this machine will need."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from harness.errors import Problem, UserError
from harness.planning.detectable import detectable_of, pilot_study
from harness.planning.kept_plan import just_planned, planned_study
from harness.planning.layouts import asked_devices, on_devices
from harness.planning.overview import show_cards, show_plan
from harness.planning.rendered import rendered_rows, show_rows
from harness.planning.study import Study
from harness.planning.time_left import TimeLeft
from harness.recipe.mothello import is_mothello
from harness.training.forecast import requests_left, time_left


def plan_study(
    recipe: Path,
    runs: Path,
    cells: str | None,
    card: bool,
    as_json: bool,
    pilot: Path | None,
    verbose: bool,
    rows: int | None,
    on: str | None = None,
    measure: bool = False,
) -> None:
    """Prints the plan of the chosen cells, and their mixture cards if they are wanted; `pilot` is an earlier recipe.

    With `on`, the study is estimated for GPUs such as 8xH100, in place of its time on this machine. If `rows` are
    wanted, it prints so many of each task and language instead. With `measure`, whole models are measured on this
    machine. Raises UserError.
    """
    if is_mothello(recipe):
        from harness.othello.answers import plan_mothello

        if card or pilot or rows or measure:
            options = "--card, --pilot, --show-rows, --measure"
            raise UserError([Problem(options, "a recipe of mothello has no mixtures to show, and is not measured so")])
        plan_mothello(recipe, runs, cells, as_json)
        return
    if on and measure:
        raise UserError([Problem("--measure", "measures this machine, and --on asks about others; give one of them")])
    devices = asked_devices(on) if on else None
    with_rows = Study(recipe, runs) if rows else None
    study = just_planned(with_rows) if with_rows else planned_study(recipe, runs, here=True)
    choice = study.choice(cells)
    chosen = choice.cells
    earlier = pilot_study(pilot, runs) if pilot else None
    asked = TimeLeft(requests=requests_left(study, choice))
    plan = study.overview(chosen, asked if devices else time_left(study, cells, whole=measure))
    if devices:
        plan = plan.model_copy(update={"elsewhere": on_devices(study, *devices)})
    plan = plan.model_copy(update={"detectable": detectable_of(study, earlier)})
    cards = {cell.name: cell.card for cell in study.kept.cells if cell.name in chosen} if card else {}
    shown = tuple(rendered_rows(with_rows, chosen, rows)) if with_rows and rows else None
    if as_json:
        print(plan.model_copy(update={"rendered": shown} | ({"cards": cards} if card else {})).as_json())
    elif shown:
        show_rows(shown)
    else:
        show_plan(plan, verbose)
    table = {cell: [asdict(row) for row in card] for cell, card in cards.items()}
    seeds = {cell.name: cell.drawn_under for cell in plan.cells}
    show_cards(study.folder, table, seeds, quietly=as_json)

"""What commands tell of a study of mOthello: its plan, how far it is, and its report."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from data_mixes.othello.games import random_games
from eval.othello.alignment import ChanceLines, chance_lines
from eval.othello.findings import Finding, Measured, Setting
from eval.report.mothello import MothelloPage, setting_table, write_mothello_report
from harness.console import counted, duration, line, plain_table, say, show_table, size
from harness.errors import Problem, UserError
from harness.othello.model import random_model
from harness.othello.stages import STAGES, measured_steps, schedule_of, shape_of, state_file
from harness.othello.study import MothelloStudy
from harness.othello.training import batches, train
from harness.othello.work import done, work
from harness.othello.world import CellWorld
from harness.recipe.grid import choose
from harness.recipe.mothello import Mothello, MothelloCell
from harness.recipe.yaml_files import as_yaml, read_yaml
from harness.results import Answer, Result
from harness.runs.record import prepare_runs_folder

TIMED = 8
"""Steps of training that are timed for a forecast, after as many to warm up."""
FEW, PATIENCE = 8, 5.0
"""Games of a step that is timed first, and seconds that timing whole steps may take."""


class MothelloCellState(Result):
    """A cell, and how far it is."""

    name: str
    setting: str
    state: str
    """new, training, trained, measured or failed."""
    reason: str | None = None
    """Why training failed."""
    steps_done: int
    steps: int
    """Of pretraining and fine-tuning."""


class MothelloPlan(Answer):
    """A study and its cells."""

    study: str
    folder: str
    parameters: int
    """Of a model, the first cell's."""
    opening: tuple[int, ...]
    """The moves that games of pretraining begin with, as numbers of squares."""
    seconds: float
    """What is left to train, as this machine does it now, by as many processes as it has cores."""
    kept_bytes: int
    """What the models that are kept of all cells take."""
    cells: tuple[MothelloCellState, ...]


class MothelloStatus(Answer):
    """How far a study is."""

    study: str
    folder: str
    cells: tuple[MothelloCellState, ...]


class MothelloFinding(Result):
    """One of the paper's findings, as this study has it."""

    name: str
    claim: str
    setting: str
    verdict: str
    sentence: str


class MothelloReport(Answer):
    """What a study found, and all its figures."""

    study: str
    findings: tuple[MothelloFinding, ...]
    summary: tuple[dict[str, Any], ...]


def plan_mothello(recipe: Path, runs: Path, cells: str | None, as_json: bool) -> None:
    """Prints a study's cells and what is left to do. Raises UserError."""
    study = MothelloStudy.of(recipe, runs)
    plan = plan_of(study, choose(study.cells, cells))
    if as_json:
        print(plan.as_json())
        return
    show_cells(plan.study, plan.cells)
    first = study.cells[0].recipe
    opening = ", ".join(map(str, plan.opening)) or "any move"
    line(
        f"{plan.parameters:,} parameters; games of pretraining begin with {opening}"
        f"; {counted(len(measured_steps(first)), 'model')} kept and measured a cell, {size(plan.kept_bytes)} in all"
    )
    line(f"training: about {duration(plan.seconds)}, one process a core")


def run_mothello(recipe: Path, runs: Path, cells: str | None, processes: int | None) -> None:
    """Trains, measures and reports, each as far as it is not done. Raises UserError, and MachineError at the end."""
    started = time.monotonic()
    study = work_on_mothello(recipe, runs, cells, processes or max(1, os.cpu_count() or 1))
    if any(study.measured(cell) for cell in study.cells):
        report_mothello(recipe, runs, as_json=False)
    say(f"time: {duration(time.monotonic() - started)}")


def work_on_mothello(recipe: Path, runs: Path, cells: str | None, processes: int) -> MothelloStudy:
    """Trains and measures the chosen cells that nobody is at. Raises UserError, and MachineError at the end."""
    study = MothelloStudy.of(recipe, runs)
    chosen = choose(study.cells, cells)
    prepare_runs_folder(study.folder)
    work(study, {cell.name for cell in chosen}, processes)
    return study


def show_mothello_status(recipe: Path, runs: Path, as_json: bool) -> None:
    """Prints how far every cell is. Raises UserError."""
    study = MothelloStudy.of(recipe, runs)
    states = tuple(state_of(study, cell) for cell in study.cells)
    status = MothelloStatus(study=study.recipe.study, folder=str(study.folder), cells=states)
    if as_json:
        print(status.as_json())
    else:
        show_cells(status.study, status.cells)


def report_mothello(recipe: Path, runs: Path, as_json: bool) -> None:
    """Writes the report and prints what was found. Raises UserError where nothing is measured yet."""
    study = MothelloStudy.of(recipe, runs)
    measured = measured_of(study)
    left = [cell.name for cell in study.cells if not done(study, cell)]
    notes = [f"Not measured yet: {', '.join(left)}."] if left else []
    if any(len(setting.runs) == 1 for setting in measured.settings):
        notes.append(
            "Some settings were trained once: their intervals are over games alone, and of these trained models; "
            "another seed may come out otherwise."
        )
    first = study.cells[0].recipe
    page = MothelloPage(
        study.recipe.study,
        lead_of(first),
        measured,
        first.world.board,
        _schemes(first),
        notes,
        as_yaml(read_yaml(recipe)),
    )
    found = write_mothello_report(study.folder, page)
    if as_json:
        summary = tuple(measured.figures().to_dicts())
        told = tuple(MothelloFinding(**vars_of(finding)) for finding in found)
        print(MothelloReport(study=study.recipe.study, findings=told, summary=summary).as_json())
    else:
        show_findings(study, measured, found)


def vars_of(finding: Finding) -> dict[str, str]:
    """A finding's fields."""
    return {name: str(getattr(finding, name)) for name in MothelloFinding.model_fields}


def show_findings(study: MothelloStudy, measured: Measured, found: list[Finding]) -> None:
    """Prints the table of settings, the findings, and where the page is."""
    table = setting_table(measured)
    title = f"{study.recipe.study}: legal rates in percent, gains in points, with 95 % intervals"
    shown = plain_table(title, table.columns[:1], table.columns[1:])
    for row in table.rows:
        shown.add_row(*row)
    show_table(shown)
    for finding in found:
        line(f"{finding.name}, {finding.claim}; {finding.setting}: {finding.verdict}. {finding.sentence}.")
    line(f"report: {study.report_folder.report}")


def measured_of(study: MothelloStudy) -> Measured:
    """The study's measures with its settings. Raises UserError where there are none."""
    table = study.measures()
    if not len(table):
        raise UserError([Problem(str(study.folder), "nothing is measured yet; first: harness run RECIPE")])
    there = set(table["cell"].unique())
    settings = [
        _setting(name, tuple(run for run in runs if run in there), next(c for c in study.cells if c.setting == name))
        for name, runs in study.settings.items()
        if there & {*runs}
    ]
    return Measured(table, tuple(settings), chance_of(study.cells[0].recipe))


def chance_of(recipe: Mothello) -> ChanceLines:
    """What probes reach without any state on the study's games."""
    world = CellWorld(recipe)
    return chance_lines(world.games("probe"), world.games("test"))


def _setting(name: str, runs: tuple[str, ...], cell: MothelloCell) -> Setting:
    recipe = cell.recipe
    targets = tuple(language for language in recipe.languages if language != recipe.finetune.language)
    given = recipe.shared.anchors
    anchors = given if isinstance(given, int) else len(given)
    shared = "output" if recipe.shared.output else "anchors" if anchors else "nothing"
    return Setting(name, runs, recipe.finetune.language, targets, shared, anchors, recipe.finetune.steps)


def lead_of(recipe: Mothello) -> str:
    """The study in a sentence."""
    size_of, shape = recipe.world.board, recipe.model
    written = ", ".join(f"{name} ({scheme})" for name, scheme in recipe.languages.items())
    return (
        f"Random games of Othello on {size_of}×{size_of} squares, written in {written}. Models of {shape.layers} "
        f"layers of width {shape.width}, trained from scratch: {recipe.pretrain.steps:,} steps in all languages, then "
        f"{recipe.finetune.steps:,} in {recipe.finetune.language} alone."
    )


def _schemes(recipe: Mothello) -> str:
    """How the source and the first target write squares, as the published curves are called."""
    source = recipe.finetune.language
    others = [scheme for name, scheme in recipe.languages.items() if name != source]
    return f"{recipe.languages[source]} and {others[0]}"


def plan_of(study: MothelloStudy, cells: list[MothelloCell]) -> MothelloPlan:
    """What there is to do for these cells, and how long it takes."""
    states = tuple(state_of(study, cell) for cell in cells)
    first = CellWorld(cells[0].recipe)
    model = random_model(shape_of(first.recipe), first.words, 0)
    parameters = sum(weight.numel() for weight in model.parameters())
    left = sum(state.steps - state.steps_done for state in states if state.state != "measured")
    seconds = left * seconds_a_step(first) / (os.cpu_count() or 1) if left else 0.0
    return MothelloPlan(
        study=study.recipe.study,
        folder=str(study.folder),
        parameters=parameters,
        opening=tuple(first.opening),
        seconds=seconds,
        kept_bytes=4 * parameters * sum(len(measured_steps(cell.recipe)) for cell in cells),
        cells=states,
    )


def seconds_a_step(world: CellWorld) -> float:
    """How long a step of pretraining takes one process on this machine: timed, or told from steps of fewer games."""
    batch = world.recipe.pretrain.batch
    few = min(FEW, batch)
    told = _timed(world, few, 2) * batch / few
    return told if told * 2 * TIMED > PATIENCE else _timed(world, batch, TIMED)


def _timed(world: CellWorld, batch: int, steps: int) -> float:
    """Seconds of a step of so many games, after as many steps to warm up."""
    moves = random_games(world.board, batch, 0, world.opening).moves
    model = random_model(shape_of(world.recipe), world.words, 0)
    model = model.to("cuda" if torch.cuda.is_available() else "cpu")  # pyright: ignore[reportArgumentType]
    times: list[float] = []
    drawn = batches(world.words, moves, [*world.languages.values()], batch, 2 * steps, 0, world.unified)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        train(model, drawn, schedule_of(world.recipe.pretrain), lambda step, loss: times.append(time.monotonic()))
    finally:
        torch.set_num_threads(threads)
    return (times[-1] - times[steps - 1]) / steps


def state_of(study: MothelloStudy, cell: MothelloCell) -> MothelloCellState:
    """How far a cell is."""
    run = study.runs[cell.name]
    steps = sum(getattr(cell.recipe, stage).steps for stage in STAGES)
    state = "measured" if done(study, cell) else str(run.record.get("state", "new"))
    done_steps = steps if run.trained else _steps_kept(cell, state_file(run.files))
    return MothelloCellState(
        name=cell.name, setting=cell.setting, state=state, reason=run.failure, steps_done=done_steps, steps=steps
    )


def _steps_kept(cell: MothelloCell, path: Path) -> int:
    """The steps that a training that was stopped goes on after."""
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # none, or a damaged one, which the next run sets aside
        return 0
    before = [getattr(cell.recipe, stage).steps for stage in STAGES[: kept["stage"]]]
    return sum(before) + int(kept["step"])


def show_cells(title: str, cells: tuple[MothelloCellState, ...]) -> None:
    """Prints a row a cell."""
    table: Table = plain_table(title, ("cell", "state"), ("steps",))
    for cell in cells:
        table.add_row(cell.name, cell.state, f"{cell.steps_done:,}/{cell.steps:,}")
    show_table(table)
    for reason, of in itertools.groupby((cell for cell in cells if cell.reason), lambda cell: cell.reason):
        line(f"{', '.join(cell.name for cell in of)}: failed: {reason}")

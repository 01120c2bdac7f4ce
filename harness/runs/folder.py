"""The folder of a study: the one description of which files are in it, and where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CellFolder:
    """The files of one cell."""

    path: Path

    @property
    def names(self) -> tuple[str, ...]:
        """What the cell can be chosen by."""
        return (self.path.name,)

    @property
    def record(self) -> Path:
        """What is recorded of the cell: its state, identity, loss, times."""
        return self.path / "record.json"

    @property
    def checkpoints(self) -> Path:
        """The trainer's own folder; removed when the cell is trained."""
        return self.path / "checkpoints"

    @property
    def steps(self) -> Path:
        """The folder of steps that are kept as models, each in a folder of its number."""
        return self.path / "steps"

    @property
    def tensorboard(self) -> Path:
        """Where TensorBoard finds the cell, if losses are reported to it."""
        return self.path / "tensorboard"

    @property
    def job(self) -> Path:
        """What a process needs to train the cell; removed when it is trained."""
        return self.path / "job.json"

    @property
    def order(self) -> Path:
        """The positions of the cell's rows in the file of rows, in training order; removed likewise."""
        return self.path / "order.npy"

    @property
    def lock(self) -> Path:
        """Held by the process that trains the cell."""
        return self.path / ".lock"

    @property
    def log(self) -> Path:
        """What happened in training, line by line."""
        return self.path / "log.txt"

    @property
    def progress(self) -> Path:
        """How far training is; removed when the cell is trained."""
        return self.path / "progress.json"

    @property
    def written_files(self) -> tuple[Path, ...]:
        """What training writes beside the record and the adapter."""
        return (self.job, self.order, self.lock)


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """The files of a study."""

    path: Path

    @property
    def study(self) -> Path:
        """What holds for the whole study from its first cell on: the number format, the engine."""
        return self.path / "study.json"

    @property
    def lock(self) -> Path:
        """Held by a process that begins the study."""
        return self.path / ".lock"

    @property
    def plan(self) -> Path:
        """The plan, for commands that need no rows."""
        return self.path / "plan.json"

    @property
    def revisions(self) -> Path:
        """The names and commits of revisions that the recipe has patterns for, as the hub had them at first."""
        return self.path / "revisions.json"

    @property
    def pace(self) -> Path:
        """What a probe measured of this machine, for forecasts."""
        return self.path / "pace.json"

    @property
    def rows(self) -> Path:
        """The folder of rows as token ids, while cells are trained on them."""
        return self.path / "plan"

    @property
    def evaluation(self) -> Path:
        """The folder of completions, log-probabilities and the canary gate's verdicts: see `eval.generation.kept`."""
        return self.path / "evaluation"

    @property
    def generations(self) -> Path:
        """The folder of chunks of completions."""
        return self.evaluation / "generations"

    @property
    def likelihoods(self) -> Path:
        """The folder of chunks of log-probabilities."""
        return self.evaluation / "likelihoods"

    @property
    def parts(self) -> Path:
        """The folder of each model's own tables, which those of the study are put together from."""
        return self.evaluation / "tables"

    @property
    def generated(self) -> Path:
        """The folder of rows that models wrote to be trained on."""
        return self.path / "generated"

    @property
    def generated_lock(self) -> Path:
        """Held by the process that has them written."""
        return self.generated / ".lock"

    def written(self, source: str, version: str) -> Path:
        """The table of what a model wrote to the prompts of a source: one row per prompt, kept or not."""
        return self.generated / f"{source}-{version}.parquet"

    @property
    def evaluation_lock(self) -> Path:
        """Held by the process that generates."""
        return self.evaluation / ".lock"

    @property
    def prompts(self) -> Path:
        """The table of test prompts as models get them, each once: `predictions` has the bare text, for every model."""
        return self.path / "prompts.parquet"

    @property
    def predictions(self) -> Path:
        """The table of what every model wrote."""
        return self.path / "predictions.parquet"

    @property
    def scores(self) -> Path:
        """The table of scores."""
        return self.path / "scores.parquet"

    @property
    def repeats(self) -> Path:
        """The table of what every model wrote each time, and how it was scored, where a study generates repeatedly."""
        return self.path / "repeats.parquet"

    @property
    def judgements(self) -> Path:
        """The table of what a judge was asked, and replied."""
        return self.path / "judgements.parquet"

    @property
    def logs(self) -> Path:
        """The folder of what workers on a cluster said."""
        return self.path / "logs"

    @property
    def report(self) -> Path:
        """The report's page; `eval.report.files` names what stands beside it."""
        return self.path / "report.html"

    @property
    def states(self) -> Path:
        """The folder of models' states, made again when they are missing."""
        return self.path / "states"

    @property
    def cards(self) -> Path:
        """The folder of mixture cards."""
        return self.path / "cards"

    @property
    def comparisons(self) -> Path:
        """The folder of items on which two cells differ."""
        return self.path / "comparisons"

    @property
    def exports(self) -> Path:
        """The folder of results in the formats of other programs."""
        return self.path / "exports"

    @property
    def tables(self) -> Path:
        """The folder of LaTeX tables."""
        return self.path / "tables"

    @property
    def figures(self) -> Path:
        """The folder of pictures."""
        return self.path / "figures"

    @property
    def report_files(self) -> tuple[Path, ...]:
        """The files that every report writes; the tables of an analysis are beside them."""
        return (self.report, self.table("summary"), self.path / "summary.parquet")

    @property
    def report_folders(self) -> tuple[Path, ...]:
        """The folders that a report writes."""
        return (self.tables, self.figures, self.path / "report_files")

    @property
    def result_tables(self) -> tuple[Path, ...]:
        """The tables that an evaluation writes."""
        return (self.predictions, self.scores, self.prompts, self.repeats, self.judgements)

    @property
    def written_files(self) -> tuple[Path, ...]:
        """The files at the top of the folder that commands write, whatever the study."""
        return (self.study, self.plan, self.pace, self.revisions, *self.result_tables, *self.report_files)

    @property
    def written_folders(self) -> tuple[Path, ...]:
        """The folders that commands write, whatever the study."""
        return (self.rows, self.evaluation, self.generated, self.logs, self.states, self.cards, self.comparisons,
                self.exports, *self.report_folders)  # fmt: skip

    def table(self, name: str) -> Path:
        """A table of the analysis as CSV, beside the report."""
        return self.path / f"{name}.csv"

    def cell(self, name: str) -> CellFolder:
        """The folder of a cell."""
        return CellFolder(self.path / name)

    def planned_cells(self) -> Iterator[CellFolder]:
        """The cells that have a job, which are left to train, by name."""
        return (CellFolder(job.parent) for job in sorted(self.path.glob("*/job.json")))

    def recorded_cells(self) -> Iterator[CellFolder]:
        """The cells that have a record, by name."""
        return (CellFolder(record.parent) for record in sorted(self.path.glob("*/record.json")))

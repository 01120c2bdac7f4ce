"""The `harness score` stage: predictions in a file to scores in another, and a summary."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import cast

from data_mixes.reading.records import FileError, place_word
from data_mixes.reading.streams import at_hand
from data_mixes.storage import whole_file
from eval.prediction_files.file import PredictionFile, Repeats
from eval.prediction_files.rows import SCORED_TASKS, ScoredTask
from eval.prediction_files.score import score_to_text
from eval.prediction_files.tally import Tallies
from eval.scorers.language import Identifier
from harness.errors import Problem, UserError, suggestion
from harness.prediction_files import FileScores, named_file, report_bad, report_repeats, same_file_problems
from harness.recipe.evaluation_checks import identifier_problems


def score_predictions(
    path: Path,
    task: str,
    out: Path | None,
    processes: int | None,
    identifier: str,
    columns: Sequence[str] = (),
    group: Sequence[str] = (),
) -> FileScores:
    """Scores a file, writes the scores of its rows if `out` says where, and returns the summary.

    Raises UserError for a task, an identifier or a column that there is not, a file that cannot be read or written,
    and one without a good row.
    """
    file, problems = named_file(path, columns, group)
    problems += identifier_problems("--identifier", identifier) + same_file_problems(path, out)
    if task not in SCORED_TASKS:
        problems.append(Problem("--task", f"no task {task!r}; {suggestion(task, SCORED_TASKS)}"))
    if out and not out.parent.is_dir():
        problems.append(Problem("--out", f"there is no folder {out.parent}; make it first"))
    if problems:
        raise UserError(problems)
    try:
        with at_hand(path) as read, whole_file(out) if out else nullcontext(Path(os.devnull)) as written:
            tallies = scored(replace(file, path=read), cast(ScoredTask, task), written, processes, identifier)
            if not tallies.by_group:
                raise UserError([Problem(str(path), "holds no row that can be scored")])
    except FileError as error:
        advice = "; name yours: --column id=COLUMN" if "no column" in str(error) else ""
        raise UserError([Problem("", f"{error}{advice}")]) from None
    except OSError as error:
        raise UserError([Problem(str(error.filename or path), error.strerror or str(error))]) from None
    return FileScores(**tallies.as_data())


def scored(file: PredictionFile, task: ScoredTask, out: Path, processes: int | None, identifier: str) -> Tallies:
    """What the rows come to, their scores being written to a file; says what was left out."""
    tallies, repeats = Tallies(file.group), Repeats()
    with out.open("w", encoding="utf-8") as written:
        for text, counted in score_to_text(file, task, processes, cast(Identifier, identifier), repeats):
            tallies.merge(counted)
            written.write(text)
    report_bad(tallies)
    report_repeats(repeats, place_word(file.path))
    return tallies

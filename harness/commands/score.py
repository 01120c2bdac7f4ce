"""The `harness score` stage: predictions in a file to scores in another, and a summary."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import cast

from eval.prediction_files.rows import SCORED_TASKS, ScoredTask
from eval.prediction_files.score import score_to_text
from eval.prediction_files.tally import Tallies
from eval.scorers.language import Identifier
from harness.errors import Problem, UserError, suggestion
from harness.prediction_files import FileScores, report_bad, same_file_problems
from harness.recipe.checks import identifier_problems


def score_predictions(file: Path, task: str, out: Path | None, processes: int | None, identifier: str) -> FileScores:
    """Scores a file, writes the scores of its rows if `out` says where, and returns the summary.

    Raises UserError for a task or an identifier that there is not, a file that cannot be read or written, and one
    without a good row.
    """
    problems = identifier_problems("--identifier", identifier) + same_file_problems(file, out)
    if task not in SCORED_TASKS:
        problems.append(Problem("--task", f"no task {task!r}; {suggestion(task, SCORED_TASKS)}"))
    if problems:
        raise UserError(problems)
    known = cast(ScoredTask, task)
    tallies = Tallies()
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=out.parent if out else None, prefix=".scores.", delete=False, encoding="utf-8"
        ) as written:
            for text, counted in score_to_text(file, known, processes, cast(Identifier, identifier)):
                tallies.merge(counted)
                written.write(text)
    except OSError as error:
        raise UserError([Problem(str(error.filename or file), error.strerror or str(error))]) from None
    report_bad(tallies)
    if out and tallies.by_language:
        Path(written.name).chmod(0o644)
        Path(written.name).replace(out)
    else:
        Path(written.name).unlink()
    if not tallies.by_language:
        raise UserError([Problem(str(file), "holds no row that can be scored")])
    return FileScores(**tallies.as_data())

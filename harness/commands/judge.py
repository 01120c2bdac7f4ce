"""harness judge: a model rates predictions made anywhere."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from data_mixes.json_text import json_text
from data_mixes.reading.records import FileError, place_word
from data_mixes.reading.streams import at_hand
from data_mixes.storage import write_text
from eval.judges.wording import RATING
from eval.prediction_files.file import BadRow, PredictionFile, Repeats
from eval.prediction_files.rows import CaseRow, ScoredRow, cases_of
from eval.prediction_files.score import output_rows
from eval.prediction_files.tally import Tallies
from eval.scorers.score import Score
from harness.errors import Problem, UserError
from harness.models.devices import this_device
from harness.models.engines import engine_for
from harness.models.precision import precision_for
from harness.recipe import evaluation_section as settings
from harness.recipe.evaluation_checks import judge_problems

if TYPE_CHECKING:
    pass
from harness.evaluation.judged import JudgingSummary, judgement_row, judging_summary, put_to
from harness.models.judge import made_judge, on_command_line
from harness.prediction_files import FileScores, report_bad, report_repeats, same_file_problems


class JudgedFile(FileScores):
    """What a judge says of the rows of a file."""

    judging: JudgingSummary


def judge_file(file: Path, out: Path | None, options: Mapping[str, Any]) -> JudgedFile:
    """Judges a file, writes scores and judgements of its rows if `out` says where, and returns the summary.

    `options` are settings of harness.recipe.schema.Judge. Raises UserError for settings that do not fit together, a
    file that cannot be read or written, one without a good row, and a judge that cannot be asked.
    """
    given = judge_settings(options)
    if problems := same_file_problems(file, out):
        raise UserError(problems)
    if out and not (out.parent.is_dir() and os.access(out.parent, os.W_OK)):  # said before anything is paid for
        raise UserError([Problem("--out", f"{out.parent} is no folder that can be written to")])
    rows = cases(file)
    good = [row for row in rows if isinstance(row, CaseRow)]
    if not good:
        raise UserError([Problem(str(file), "holds no row that can be judged")])
    judge = made_judge(given, lambda: (engine_for("auto"), precision_for(this_device()).dtype), on_command_line)
    judged = put_to(judge, [row.case for row in good], on_command_line)
    scores = iter(judged.scores)
    scored = [row if isinstance(row, BadRow) else scored_row(row, next(scores)) for row in rows]
    tallies = Tallies()
    for row in scored:
        tallies.add(row)
    if out:
        write_rows(
            out,
            scored,
            [(good[judgement.question.place].line, judgement_row(judge, judgement)) for judgement in judged.judgements],
        )
    return JudgedFile(**tallies.as_data(), judging=judging_summary(judge, judged))


def cases(file: Path) -> list[CaseRow | BadRow]:
    """The rows of a file for a judge; says which are bad or repeated. Raises UserError for one that cannot be read."""
    repeats = Repeats()
    try:
        with at_hand(file) as read:
            rows = cases_of(PredictionFile(read), repeats)
            report_bad(Tallies(bad=[row for row in rows if isinstance(row, BadRow)]))
            report_repeats(repeats, place_word(read))
    except FileError as error:
        raise UserError([Problem("", str(error))]) from None
    return rows


def scored_row(row: CaseRow, scores: Sequence[Score]) -> ScoredRow:
    """A row with its scores."""
    return ScoredRow(row.line, row.id, row.case.language, tuple(scores), row.others)


def judge_settings(options: Mapping[str, Any]) -> settings.Judge:
    """The settings given on the command line. Raises UserError if they do not fit together."""
    try:
        given = settings.Judge(**{key: value for key, value in options.items() if value is not None})
    except ValidationError as error:
        problems = [
            (str(problem["loc"][0]), f"got {problem['input']!r}; {problem['msg']}") for problem in error.errors()
        ]
    else:
        problems = judge_problems(given)
        if not problems:
            return given
    raise UserError([Problem(on_command_line(key), message) for key, message in problems])


def write_rows(out: Path, rows: Sequence[ScoredRow | BadRow], judgements: Iterable[tuple[int, dict[str, Any]]]) -> None:
    """One JSON object per row and metric: the score, and the judgements, told by line, that it rests on.

    Raises UserError for a file that cannot be written.
    """
    by_place: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for line, judgement in judgements:
        by_place.setdefault((line, judgement["metric"]), []).append(judgement)
    written = [
        output | {"judgements": by_place.get((row.line, output["metric"]), [])}
        for row in rows
        for output in output_rows(RATING, row)
    ]
    try:
        write_text(out, "".join(json_text(row) + "\n" for row in written))
    except OSError as error:
        raise UserError([Problem(str(error.filename or out), error.strerror or str(error))]) from None

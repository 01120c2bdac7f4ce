"""The `harness score` stage: predictions in a file to scores in another, and a summary."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import cast

from data_mixes.languages import canonical
from data_mixes.reading.records import FileError, place_word
from data_mixes.reading.streams import at_hand
from data_mixes.storage import whole_file
from eval.prediction_files.file import PredictionFile, Repeats
from eval.prediction_files.rows import RULES, SCORED_TASKS, Rule, ScoredTask, ScoreSettings
from eval.prediction_files.score import score_to_text
from eval.prediction_files.tally import Tallies
from eval.scorers.identifiers import DEFAULT, Identifier, knows, languages_of
from eval.scorers.language import ANOTHER
from eval.scorers.thoughts import THOUGHTS
from harness.commands.options import names_in
from harness.errors import Problem, UserError, suggestion
from harness.prediction_files import FileScores, named_file, report_bad, report_repeats, same_file_problems
from harness.recipe.evaluation_checks import identifier_problems


def score_settings(among: str | None, identifier: str | None, rule: str, thoughts: Sequence[str]) -> ScoreSettings:
    """How options say that rows are scored.

    `among` are codes with commas between, each of `thoughts` an opening and a closing text with a space between.
    Raises UserError for a language, an identifier or a rule that there is not, and for what does not go together.
    """
    chosen = identifier or ("fasttext" if rule == "benchmark" else DEFAULT)
    candidates = ScoreSettings().candidates if among is None else names_in(among)
    problems = identifier_problems("--identifier", chosen)
    if rule not in RULES:
        problems.append(Problem("--rule", f"no rule {rule!r}; {suggestion(rule, RULES)}"))
    if rule == "benchmark" and (among is not None or chosen != "fasttext"):
        option = "--among" if among is not None else "--identifier"
        message = "does not go with --rule benchmark, which is fastText's choice among its 176 languages; remove one"
        problems.append(Problem(option, message))
    elif not problems:
        problems += candidate_problems(candidates, cast(Identifier, chosen))
    markers = [tuple(pair.split()) for pair in thoughts]
    problems += [
        Problem(
            "--thoughts", f"got {pair!r}; give an opening and a closing text with a space between: '<think> </think>'"
        )
        for pair, parts in zip(thoughts, markers, strict=True)
        if len(parts) != 2
    ]
    if problems:
        raise UserError(problems)
    pairs = [(opening, closing) for opening, closing in markers]
    return ScoreSettings(candidates, cast(Identifier, chosen), cast(Rule, rule), (*THOUGHTS, *pairs))


def closed_set_note(task: str, settings: ScoreSettings) -> str | None:
    """What a pass means where answers can be in some languages only; None where they may be in any."""
    if task != "language" or settings.rule == "benchmark" or ANOTHER in settings.candidates:
        return None
    return (
        f"told among the row's language and {', '.join(settings.candidates)}: a pass means nearer to its language than "
        f"to the others, not that it is in it; --among {','.join(settings.candidates)},another looks at all languages"
    )


def candidate_problems(candidates: Sequence[str], identifier: Identifier) -> list[Problem]:
    """Languages that an identifier cannot tell from others, and codes that are not canonical."""
    if not candidates:
        return [Problem("--among", "names no language; give codes, as in en,fr,another")]
    problems: list[Problem] = []
    for code in candidates:
        if code == ANOTHER:
            continue
        if canonical(code) != code:
            problems.append(Problem("--among", f"{code!r} is another code of {canonical(code)!r}; write that"))
        elif not knows(identifier, code):
            hint = suggestion(code, [*sorted(languages_of(identifier)), ANOTHER])
            problems.append(Problem("--among", f"{identifier} knows no language {code!r}; {hint}"))
    return problems


def score_predictions(
    path: Path,
    task: str,
    out: Path | None,
    processes: int | None,
    settings: ScoreSettings,
    columns: Sequence[str] = (),
    group: Sequence[str] = (),
) -> FileScores:
    """Scores a file, writes the scores of its rows if `out` says where, and returns the summary.

    Raises UserError for a task or a column that there is not, a file that cannot be read or written,
    and one without a good row.
    """
    file, problems = named_file(path, columns, group)
    problems += same_file_problems(path, out)
    if task not in SCORED_TASKS:
        problems.append(Problem("--task", f"no task {task!r}; {suggestion(task, SCORED_TASKS)}"))
    if out and not out.parent.is_dir():
        problems.append(Problem("--out", f"there is no folder {out.parent}; make it first"))
    if problems:
        raise UserError(problems)
    try:
        with at_hand(path) as read, whole_file(out) if out else nullcontext(Path(os.devnull)) as written:
            tallies = scored(replace(file, path=read), cast(ScoredTask, task), written, processes, settings)
            if not tallies.by_group:
                raise UserError([Problem(str(path), "holds no row that can be scored")])
    except FileError as error:
        advice = "; name yours: --column id=COLUMN" if "no column" in str(error) else ""
        raise UserError([Problem("", f"{error}{advice}")]) from None
    except OSError as error:
        raise UserError([Problem(str(error.filename or path), error.strerror or str(error))]) from None
    return FileScores(**tallies.as_data())


def scored(
    file: PredictionFile, task: ScoredTask, out: Path, processes: int | None, settings: ScoreSettings
) -> Tallies:
    """What the rows come to, their scores being written to a file; says what was left out."""
    tallies, repeats = Tallies(file.group), Repeats()
    with out.open("w", encoding="utf-8") as written:
        for text, counted in score_to_text(file, task, processes, settings, repeats):
            tallies.merge(counted)
            written.write(text)
    report_bad(tallies)
    report_repeats(repeats, place_word(file.path))
    return tallies

"""The rows of terms beside the likelihood on disk: texts and pairs of texts, as token ids."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from data_mixes.example import Example
from data_mixes.rows import Rows
from data_mixes.storage import sealed_file
from harness.planning.cells import CellPlan
from harness.planning.row_files import is_whole, write_rows
from harness.runs.folder import StudyFolder
from harness.runs.job import TEXTS_SCHEMA

if TYPE_CHECKING:
    from harness.planning.bases import Base
    from harness.planning.study import Study


def write_asides(study: Study, base: Base, plan: CellPlan) -> dict[str, str]:
    """Writes the rows of each term for a cell into the study's `plan/`, and returns their files."""
    files: dict[str, str] = {}
    for term, aside in plan.asides.items():
        key = f"{base.renderer.identity} {aside.rows.keys.tobytes()!r} {aside.held_out.keys.tobytes()!r}"
        files[term] = f"{term}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.arrow"
        path = StudyFolder(study.folder).rows / files[term]
        if is_whole(path):
            continue
        if term == "ewc":
            write_rows(path, ((row, True) for row in base.tokens.render(list(aside.rows))))
            continue
        with (
            sealed_file(path) as unfinished,
            pa.OSFile(str(unfinished), "wb") as sink,
            pa.ipc.new_stream(sink, TEXTS_SCHEMA) as writer,
        ):
            for rows, held_out in ((aside.rows, False), (aside.held_out, True)):
                columns = zip(*texts_of(rows, base, held_out), strict=True)
                if len(rows):
                    writer.write_table(pa.table([*map(list, columns)], schema=TEXTS_SCHEMA))
    return files


def texts_of(rows: Rows, base: Base, held_out: bool) -> Iterator[tuple[list[int], list[int], str, str, bool]]:
    """Each row as the token ids of its one or two texts, its item, its languages, and whether it is held out."""
    examples: list[Example] = list(rows)
    renderer = base.renderer
    for example in examples:
        texts = [example.prompt, example.target] if example.prompt else [example.target, ""]
        first, second = (renderer.begun(ids) if ids else [] for ids in renderer.ids(texts))
        languages = f"{example.prompt_language}>{example.language}" if example.prompt_language else example.language
        yield first, second, example.item_id, languages, held_out

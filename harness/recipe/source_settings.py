"""Sources of data that a recipe describes itself."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from glob import glob
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from data_mixes.example import Split
from data_mixes.reading.files import FileSource
from data_mixes.reading.hold_out import HeldOut
from data_mixes.reading.hub import HubSource
from data_mixes.reading.table import Columns, TableSource
from data_mixes.source import Source
from data_mixes.sources import SOURCES
from harness.recipe.section import PositiveInt, Section

ColumnName = Annotated[str, Field(min_length=1)]


class SourceColumns(Section):
    """Which columns of a data set hold what; see data_mixes.reading.table.Columns."""

    prompt: ColumnName = "prompt"
    """The prompt, or the text to summarize."""
    target: ColumnName = "target"
    """The completion to learn, or the reference."""
    id: ColumnName | None = None
    """The row's id; by default a hash of its text."""
    item: ColumnName | None = None
    """What translations of one item share."""
    language: ColumnName | None = None
    """The row's language, where a file holds several."""
    answer: ColumnName | None = None
    """The final number of a math problem."""
    constraints: ColumnName | None = None
    """Constraints that a program can check, as a JSON list; or IFEval's `instruction_id_list`."""
    kwargs: ColumnName | None = None
    """IFEval's `kwargs`, where constraints are its `instruction_id_list`."""
    conversation: ColumnName | None = None
    """A conversation in place of prompt and target."""
    cluster: ColumnName | None = None
    """What items have in common, such as an article: they are resampled together, and n counts clusters."""


class SourceSettings(Section):
    """A source of the user's own, in files or on the hub; or where a ready-made one is to be read."""

    task: str | None = None
    """The task of its rows."""
    languages: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Its languages."""
    files: dict[Split, str] | None = None
    """Its files: a path with `{language}` and `{split}`, or a path per split."""
    header: bool = True
    """Whether tables begin with the names of their columns."""
    hub: Annotated[str, Field(min_length=1)] | None = None
    """A data set of the Hugging Face hub, or a folder laid out like one."""
    revision: Annotated[str, Field(min_length=1)] | None = None
    """The commit or branch of the hub data set."""
    configuration: str | dict[str, str] | None = None
    """The configuration of each language, or one with `{language}`."""
    splits: dict[Split, str] | None = None
    """The names of its splits, by ours."""
    hold_out: dict[Literal["test", "validation"], PositiveInt] | None = Field(default=None, min_length=1)
    """How many items of the training rows to set aside for a split that the source has not, in each language."""
    columns: SourceColumns = SourceColumns()
    """Which columns hold what."""

    @field_validator("files", mode="before")
    @classmethod
    def _by_split(cls, given: Any) -> Any:
        """A path alone is by split as well."""
        return split_paths(given) if isinstance(given, str) else given

    def made(self, name: str) -> Source:
        """The source, the same object for the same settings."""
        return _source_of(name, self.model_dump_json())


def split_paths(path: str) -> dict[Split, str]:
    """A path with {split} stands for all three splits; one without for training rows."""
    if "{split}" not in path:
        return {"train": path}
    splits: tuple[Split, ...] = ("train", "validation", "test")
    paths: dict[Split, str] = {split: path.replace("{split}", split) for split in splits}
    there: dict[Split, str] = {split: path for split, path in paths.items() if glob(path.replace("{language}", "*"))}  # noqa: PTH207  # the pattern may be absolute
    return there or paths


@lru_cache(maxsize=256)
def _source_of(name: str, settings: str) -> Source:
    given = SourceSettings.model_validate_json(settings)
    if given.hold_out:
        whole = given.model_copy(update={"hold_out": None}).made(name)
        return HeldOut(whole, {**given.hold_out})
    known = SOURCES.get(name)
    if isinstance(known, HubSource):
        return known.read_from(given.hub, given.revision)
    assert given.task and given.languages
    columns = Columns(**given.columns.model_dump())
    if given.files is not None:
        return FileSource(name, given.task, given.languages, given.files, columns, given.header)
    assert given.hub and given.revision
    splits: dict[Split, str] = given.splits or {"train": "train"}
    names: Mapping[str, str] = {}
    configuration = given.configuration
    if isinstance(configuration, dict):
        names, configuration = configuration, "{language}"
    return HubSource(
        name,
        given.task,
        given.languages,
        repository=given.hub,
        revision=given.revision,
        columns=columns,
        configuration=configuration,
        splits=splits,
        names=names,
    )


def is_ready_made(name: str) -> bool:
    """Whether a source comes with the harness and is read from tables, so that a recipe may say where from."""
    return isinstance(SOURCES.get(name), TableSource)

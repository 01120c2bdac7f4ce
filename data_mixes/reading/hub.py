"""Sources on the Hugging Face hub, or in a local folder laid out like one of its repositories."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_mixes.example import Split
from data_mixes.reading.readers import LINE, as_text, read_file
from data_mixes.reading.records import FileError, place_word, require
from data_mixes.reading.table import LANGUAGE, NO_NAMES, Columns, TableSource
from data_mixes.source import Drops, SourceError
from data_mixes.storage import expanded, is_folder

COMMIT = re.compile(r"[0-9a-f]{40}")
BATCH = 16_384


class HubSource(TableSource):
    """A data set of the hub at a revision, which is resolved to a commit.

    With `files`, patterns of paths in the repository by split, those files alone are fetched and
    read; else the `datasets` library loads its `configurations` and `splits`. `names` are the
    languages' names there: in paths (as {language}), configurations and the language column.
    """

    def __init__(
        self,
        name: str,
        task: str,
        languages: tuple[str, ...],
        *,
        repository: str,
        revision: str,
        columns: Columns,
        files: Mapping[Split, str] | None = None,
        configuration: str | None = None,
        splits: Mapping[Split, str] | None = None,
        names: Mapping[str, str] = NO_NAMES,
    ) -> None:
        self.name, self.task, self.languages, self.columns = name, task, languages, columns
        self.repository, self.revision, self.names = repository, revision, names
        self.files, self.configuration, self.splits = files, configuration, splits or {}
        self.exemplars = "validation" if "validation" in (files or self.splits) else "train"

    def read_from(self, repository: str | None, revision: str | None) -> HubSource:
        """The same source from another repository, such as a local mirror, or at another revision."""
        other: Any = copy.copy(self)
        for made in ("version", "_pools", "_commit", "_folder_here"):
            vars(other).pop(made, None)
        other.repository, other.revision = repository or self.repository, revision or self.revision
        return other

    @cached_property
    def _folder_here(self) -> Path | None:
        """The repository, if it is a local folder."""
        folder = expanded(self.repository)
        return folder if is_folder(folder) else None

    @cached_property
    def _commit(self) -> str:
        """The commit that the revision names now."""
        if COMMIT.fullmatch(self.revision):
            return self.revision
        from huggingface_hub import dataset_info

        try:
            return dataset_info(self.repository, revision=self.revision, timeout=20).sha or self.revision
        except Exception as error:  # the hub's client raises many kinds: offline, not found, gated
            raise SourceError(self.name, self._unreachable(error)) from None

    def origin(self) -> str:
        """The repository's commit, or of a folder the names, sizes and times of its files; and what is read of it."""
        read = [self.files, self.configuration, self.splits, self.names]
        if self._folder_here is None:
            return json.dumps([self.repository, self._commit, read])
        patterns = [
            pattern
            for split in (self.files or {}).values()
            for _, pattern in self._in_their_names(split, self.languages)
        ]
        paths = {file for pattern in patterns or ["**/*"] for file in self._folder_here.glob(pattern) if file.is_file()}
        contents: list[tuple[str, str]] = []
        for file in sorted(paths):
            with file.open("rb") as opened:
                name, digest = file.relative_to(self._folder_here), hashlib.file_digest(opened, "sha256")
                contents.append((str(name), digest.hexdigest()))
        return json.dumps([contents, read])

    @property
    def origin_name(self) -> str:
        """The repository and its commit, or the folder."""
        return f"{self._folder_here}" if self._folder_here else f"{self.repository}@{self._commit}"

    def has(self, split: Split) -> bool:
        """Whether there are files, or a split of the data set, for a split."""
        return split in (self.files or self.splits)

    @property
    def apart(self) -> bool:
        """Whether every language has files or a configuration of its own."""
        return all(LANGUAGE in pattern for pattern in (self.files or {}).values() or [self.configuration or ""])

    def read(self, split: Split, languages: Sequence[str], drops: Drops) -> Iterator[tuple[str | None, str, pa.Table]]:
        """The rows of a split."""
        return self._read_files(split, languages, drops) if self.files else self._load(split, languages)

    def _in_their_names(self, pattern: str, languages: Sequence[str]) -> Iterator[tuple[str | None, str]]:
        """A pattern for each language, or the one there is for all, with None where a column says the language."""
        if LANGUAGE in pattern:
            for language in languages:
                yield language, pattern.replace(LANGUAGE, self.names.get(language, language))
        else:
            yield None if self.columns.language else self.languages[0], pattern

    def _read_files(
        self, split: Split, languages: Sequence[str], drops: Drops
    ) -> Iterator[tuple[str | None, str, pa.Table]]:
        assert self.files is not None
        if split not in self.files:
            return
        patterns = list(self._in_their_names(self.files[split], languages))
        folder = self._folder_here or self._fetched([pattern for _, pattern in patterns])
        for language, pattern in patterns:
            paths = sorted(folder.glob(pattern))
            if not paths:
                raise SourceError(self.name, f"{self.repository} has no file {pattern}")
            for file in paths:
                places = f"{file.relative_to(folder)} {place_word(file)}"
                for table in read_file(self.name, file, self.reads, True, drops):
                    yield language, places, table

    def _fetched(self, patterns: list[str]) -> Path:
        """The repository's files of these patterns at the commit, from the hub, or from its cache if that is not there.

        The hub is asked once whether it can be reached: a download is tried anew for half a minute.
        """
        from huggingface_hub import dataset_info, snapshot_download

        refused: Exception | None = None
        try:
            dataset_info(self.repository, revision=self._commit, timeout=20)
        except Exception as error:  # the hub's client raises many kinds: offline, not found, gated
            refused = error
        try:
            folder = snapshot_download(
                self.repository,
                repo_type="dataset",
                revision=self._commit,
                allow_patterns=patterns,
                local_files_only=refused is not None,
            )
        except Exception as error:
            raise SourceError(self.name, self._unreachable(refused or error)) from None
        return Path(folder)

    def _load(self, split: Split, languages: Sequence[str]) -> Iterator[tuple[str | None, str, pa.Table]]:
        if split not in self.splits:
            return
        for language, configuration in self._in_their_names(self.configuration or "", languages):
            data_set = f"{self.repository} {configuration}".strip()
            data = self._loaded(configuration or None, self.splits[split])
            wanted = [name for name in self.reads if name != LINE]
            try:
                require(data_set, wanted, data.column_names)
            except FileError as error:
                raise SourceError(self.name, str(error)) from None
            start = 1
            for table in data.select_columns(wanted).with_format("arrow").iter(batch_size=BATCH):
                yield language, f"{data_set} row", as_text(table, start)
                start += table.num_rows

    def _loaded(self, configuration: str | None, split: str) -> Any:
        from datasets import disable_progress_bars, load_dataset

        disable_progress_bars()
        where = (
            {"path": str(self._folder_here)}
            if self._folder_here
            else {"path": self.repository, "revision": self._commit}
        )
        try:
            data = load_dataset(**where, name=configuration, split=split)  # pyright: ignore[reportArgumentType, reportCallIssue]
        except OSError as error:  # ConnectionError and DatasetNotFoundError among them
            raise SourceError(self.name, self._unreachable(error)) from None
        except Exception as error:  # an unknown configuration or split, a loading script, a broken file
            reason = " ".join(str(error).split())[:300]
            raise SourceError(self.name, f"cannot load {self.repository}, split {split}: {reason}") from None
        origins = [str(url) for url in data.info.download_checksums or {} if str(url).startswith("hf://")]
        if self._folder_here is None and any(self._commit not in url for url in origins):
            # offline, `datasets` takes whatever revision its cache has
            raise SourceError(self.name, self._unreachable(ConnectionError()))
        return data

    def _unreachable(self, error: Exception) -> str:
        return (
            f"cannot get {self.repository} at {self.revision!r} ({type(error).__name__}): it is not on the hub, "
            f"not open to you, or this machine is offline (copy it here and set sources.{self.name}.hub to the folder)"
        )

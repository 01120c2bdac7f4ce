"""Files that are written whole or not at all, files with a checksum beside them, and the cache."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def cache_folder() -> Path:
    """Where converted models, data sets and token ids are cached: $HARNESS_CACHE, or ~/.cache/transfer-study-harness.

    Without a home folder, as in some containers, the system's folder for temporary files takes its place.
    """
    if named := os.environ.get("HARNESS_CACHE"):
        return Path(named)
    try:
        return Path.home() / ".cache" / "transfer-study-harness"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / "transfer-study-harness"


def expanded(name: str) -> Path:
    """The path that a user means by a name: with ~ as a home folder, or as it is where there is no such home."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        return Path(name)


def is_folder(path: Path) -> bool:
    """Whether a path leads to a folder; one that no file system can hold, for its length or a NUL, does not."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def is_writable(folder: Path) -> bool:
    """Whether files can be written into a folder, or it can be made: not on a read-only file system, for one."""
    return os.access(nearest_folder(folder), os.W_OK | os.X_OK)


def is_file(path: Path) -> bool:
    """Whether a path leads to a regular file, no device, pipe or folder."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def free_bytes(path: Path) -> int:
    """What is free on the disk that a path is on, or will be on once its folders are made."""
    return shutil.disk_usage(nearest_folder(path)).free


def nearest_folder(path: Path) -> Path:
    """The path itself, or the nearest above it that exists."""
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())


@contextmanager
def whole_file(path: Path, durable: bool = True) -> Generator[Path]:
    """A path beside `path` to write to; the file is renamed to `path` when the block ends, and removed if it raises.

    A file that is not durable may be empty after a loss of power.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        yield unfinished
        if durable:
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Generator[Path]:
    """A new folder beside `path` to fill; it takes the place of `path` when the block ends, and goes if it raises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        yield unfinished
        for file in unfinished.rglob("*"):
            if file.is_file():
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
        shutil.rmtree(path, ignore_errors=True)
        unfinished.rename(path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


class DamagedError(ValueError):
    """A file that is not what was written: its checksum differs, or something else stands in its place."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path} is damaged: {reason}")


@contextmanager
def sealed_file(path: Path) -> Generator[Path]:
    """As `whole_file`, with the checksum of what was written beside it, for `verify` to compare."""
    with whole_file(path) as unfinished:
        yield unfinished
        seal(path, sha256_of(unfinished))


def write_sealed(path: Path, text: str) -> None:
    """Writes a text with a checksum beside it."""
    with sealed_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def seal(path: Path, checksum: str) -> None:
    """Notes the checksum that a file is about to have.

    The one before is kept as well: a process that is killed now leaves the file as it was.
    """
    before = checksums_of(path)[:1]
    write_text(checksum_file(path), "".join(f"{line}\n" for line in (checksum, *before)))


def checksum_file(path: Path) -> Path:
    """The file with the checksums of another."""
    return path.with_name(f".{path.name}.sha256")


def checksums_of(path: Path) -> list[str]:
    """The checksums that a file may have, the latest first; none if none were noted, or none can be read."""
    try:
        lines = checksum_file(path).read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return []
    return [line for line in lines if len(line) == 64]


def verify(path: Path) -> None:
    """Raises DamagedError if a file is not what was written, FileNotFoundError if there is none.

    A file without a checksum passes: runs of earlier versions have none. The file is never whole in memory.
    """
    check_regular(path)
    try:
        compare(path, sha256_of(path))
    except OSError as error:
        raise DamagedError(path, f"it cannot be read ({error.strerror})") from None


def verify_once(path: Path) -> None:
    """As `verify`, for large files: one is read again only when its size or its time of change is another."""
    check_regular(path)
    try:
        compare(path, sha256_once(path))
    except OSError as error:
        raise DamagedError(path, f"it cannot be read ({error.strerror})") from None


def read_sealed(path: Path) -> bytes:
    """The contents of a file that are what was written. Raises as `verify` does."""
    check_regular(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedError(path, f"it cannot be read ({error.strerror})") from None
    compare(path, hashlib.sha256(content).hexdigest())
    return content


def check_regular(path: Path) -> None:
    """Raises FileNotFoundError where there is nothing, DamagedError where something else stands in a file's place."""
    if not path.exists():
        raise FileNotFoundError(path)
    if not path.is_file():
        raise DamagedError(path, "a folder stands in its place" if path.is_dir() else "it is not a regular file")


def compare(path: Path, checksum: str) -> None:
    """Raises DamagedError for a checksum that is none of those noted."""
    if (known := checksums_of(path)) and checksum not in known:
        raise DamagedError(path, "its checksum is not that of what was written")


def set_aside(path: Path) -> Path:
    """Renames a damaged file to NAME.damaged, and forgets its checksum. Returns the new path."""
    aside = path.with_name(f"{path.name}.damaged")
    number = 2
    while aside.exists():
        aside = path.with_name(f"{path.name}.damaged-{number}")
        number += 1
    path.rename(aside)
    if checksum_file(path).is_file():
        checksum_file(path).unlink()
    return aside


def is_whole_or_set_aside(path: Path) -> bool:
    """Whether a file is there as it was written; a damaged one is set aside."""
    try:
        verify(path)
    except FileNotFoundError:
        return False
    except DamagedError:
        set_aside(path)
        return False
    return True


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_once(path: Path, ending: str = "") -> str:
    """The SHA-256 of a file of weights and an ending, cached until the file's size or time of change is another."""
    status, place = path.stat(), os.path.abspath(path)  # noqa: PTH100 - links stay as they are, which is faster
    state = [place, ending, status.st_size, status.st_mtime_ns]
    name = hashlib.sha256(f"{place}\n{ending}".encode(errors="surrogateescape")).hexdigest()[:32]
    kept = cache_folder() / "hashes" / f"{name}.json"
    with contextlib.suppress(OSError, ValueError, TypeError):
        *known, digest = json.loads(kept.read_text(encoding="utf-8"))
        if known == state:
            return str(digest)
    with path.open("rb") as file:
        hashed = hashlib.file_digest(file, "sha256")
    hashed.update(ending.encode())
    digest = hashed.hexdigest()
    with contextlib.suppress(OSError, ValueError), whole_file(kept, durable=False) as unfinished:
        unfinished.write_text(json.dumps([*state, digest]), encoding="utf-8")  # one that is lost costs time alone
    return digest


def made_once(path: Path, make: Callable[[], Any]) -> Any:
    """The plain data that `make` gives, as JSON has it, from a file of the cache where an earlier command left it.

    What is damaged is made again, and what cannot be written is made each time.
    """
    with contextlib.suppress(OSError, ValueError):
        return json.loads(read_sealed(path))
    text = json.dumps(make())
    with contextlib.suppress(OSError):
        write_sealed(path, text)
    return json.loads(text)

"""What the manual points to is there, and its recipes and commands are right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import REPOSITORY, command_names

PAGES = sorted(
    [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md"), *(REPOSITORY / "benchmarks").glob("*.md")]
)
GENERATED = {"reference.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not link.startswith("http") and link not in GENERATED:
            assert (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_files_and_commands_that_are_named_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"`((?:harness|eval|data_mixes|tests|recipes|docs)/[\w./-]+\.(?:py|yaml|md))`", text):
        assert (REPOSITORY / path).is_file(), f"{page.name}: {path}"
    known = command_names()
    for command in re.findall(r"(?m)^(?:`|\s*)?harness ([a-z]+)\b", text) + re.findall(r"`harness ([a-z]+)\b", text):
        assert command in known, f"{page.name}: harness {command}"


def test_the_readme_is_short() -> None:
    assert (REPOSITORY / "README.md").read_text(encoding="utf-8").count("\n") <= 150
    assert len(PAGES) > 10

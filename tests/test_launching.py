"""As many processes as were asked for."""

from __future__ import annotations

import pytest

from harness.executors.local import processes_asked_for
from harness.training.batches import divisors_of


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python -m accelerate.commands.launch --cpu --num_processes 2 harness/train.py recipe.yaml --cells a", 2),
        ("/venv/bin/python /venv/bin/accelerate launch --num_processes=4 harness/train.py recipe.yaml", 4),
        ("/venv/bin/python /venv/bin/accelerate launch harness/train.py recipe.yaml", 1),
        ("bash -c launch --num_processes 2", 1),
        ("python harness/train.py recipe.yaml", 1),
        ("", 1),
    ],
)
def test_the_number_is_read_off_accelerates_own_command_line(command: str, expected: int) -> None:
    assert processes_asked_for(command.split()) == expected


@pytest.mark.parametrize(("batch", "words"), [(1, "1"), (2, "1 or 2"), (6, "1, 2, 3 or 6"), (7, "1 or 7")])
def test_the_numbers_of_processes_that_a_batch_allows(batch: int, words: str) -> None:
    assert divisors_of(batch) == words

"""What several tests share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from data_mixes.sources import SOURCES
from data_mixes.templates.embedded import EmbeddedSource

REPOSITORY = Path(__file__).parent.parent


def embedded() -> list[EmbeddedSource]:
    """The sources that ship with the harness."""
    found = [source for source in SOURCES.values() if isinstance(source, EmbeddedSource)]
    assert len(found) == 3
    return found


def small_recipe(tiny_model: Path) -> dict[str, Any]:
    """A small study: two cells, one unseen language, the transformers engine."""
    return {
        "study": "small",
        "model": {"name": str(tiny_model), "dtype": "float32"},
        "training": {
            "epochs": 1,
            "global_batch": 4,
            "micro_batch": 2,
            "learning_rate": 1e-2,
            "max_length": 1024,
            "checkpoint_every": 2,
        },
        "languages": {"seen": ["en", "fr"], "unseen": ["ja"]},
        "mixture": {
            "english": {"sources": ["word-problems", "instructions"], "languages": ["en"], "amount": 5},
            "others": {"sources": ["word-problems", "instructions"], "languages": ["fr"], "amount": 3},
        },
        "grid": {"amount": {"path": "mixture.others.amount", "values": [0, 3]}},
        "evaluation": {
            "engine": "transformers",
            "tasks": ["math", "instructions"],
            "items": 2,
            "max_tokens": {"math": 8, "instructions": 8},
        },
    }


def harness(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs the command line as a user would, in a process of its own."""
    command = [sys.executable, "-m", "harness.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=400, check=False, **options)

"""What `harness similarity` prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.commands.similarity import LayerSimilarity, StudySimilarity, show_similarity


def layer(model: str, language: str, layer: int, value: float) -> LayerSimilarity:
    return LayerSimilarity(
        model=model, measure="mexa", language=language, pivot="en", layer=layer, value=value, by_chance=0.1,
        sentences=40, weights=None if model == "base" else f"hash of {model}", base=None, change=None,
    )  # fmt: skip


def test_models_are_rows_however_many_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [layer("base", language, number, number / 100) for language in ("fr", "ar") for number in range(60)]
    rows += [layer(f"cell-{number}", "fr", 7, 0.9) for number in range(30)]
    show_similarity(StudySimilarity(study="s", similarity=tuple(rows), lens=()), Path("runs"))
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["model", "fr", "ar"] in shown
    assert ["base", "0.59", "in", "59", "0.59", "in", "59"] in shown
    assert ["cell-29", "0.90", "in", "7"] in shown
    assert ["by", "chance", "<", "0.10", "<", "0.10"] in shown

"""The number format: which device takes which, decided once per study, kept on any other machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.models import precision
from harness.models.devices import Device, processor_has_bfloat16
from harness.models.precision import Precision, begin_in, begun_precision, precision_for, study_precision
from harness.planning.study import Study

ZEN_4 = Device("cpu", "AMD EPYC 9354", True)
ZEN_3 = Device("cpu", "AMD EPYC 7763", False)
H100 = Device("cuda", "NVIDIA H100 80GB HBM3", True)
T4 = Device("cuda", "Tesla T4", False)


@pytest.mark.parametrize(
    ("device", "dtype", "reason"),
    [
        (H100, "bfloat16", "NVIDIA H100 80GB HBM3 computes in it"),
        (Device("cuda", "NVIDIA A100-SXM4-40GB", True), "bfloat16", "computes in it"),
        (T4, "float32", "Tesla T4 has no bfloat16"),
        (Device("cuda", "Tesla V100-SXM2-16GB", False), "float32", "has no bfloat16"),
        (ZEN_4, "bfloat16", "AMD EPYC 9354 computes in it"),
        (ZEN_3, "float32", "AMD EPYC 7763 has no instructions for bfloat16"),
        (Device("cpu", "Apple M2", False), "float32", "Apple M2 has no instructions"),
        (Device("cpu", "Neoverse-V1", True), "bfloat16", "computes in it"),
    ],
    ids=lambda value: value.name if isinstance(value, Device) else "",
)
def test_each_device_has_its_format(device: Device, dtype: str, reason: str) -> None:
    found = precision_for(device)
    assert found.dtype == dtype and reason in found.reason


@pytest.mark.parametrize(
    ("machine", "onednn", "avx512", "amx", "expected"),
    [
        ("x86_64", True, True, False, True),
        ("x86_64", True, False, True, True),
        ("x86_64", True, False, False, False),  # Skylake: AVX-512 without bfloat16, which oneDNN converts
        ("x86_64", False, True, True, False),  # ONEDNN_MAX_CPU_ISA=AVX2 on a newer processor
        ("aarch64", True, False, False, True),
        ("aarch64", False, False, False, False),
    ],
)
def test_a_processor_is_asked_for_its_instructions(
    machine: str, onednn: bool, avx512: bool, amx: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: onednn)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert processor_has_bfloat16() is expected


def on(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "this_device", lambda: device)


def test_what_a_study_was_begun_with_holds_on_every_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on(ZEN_3, monkeypatch)
    begun = study_precision(tmp_path, "auto")
    assert begun.dtype == "float32"
    assert begin_in(tmp_path, begun, ZEN_3) == []
    on(H100, monkeypatch)
    assert study_precision(tmp_path, "auto") == begun == begun_precision(tmp_path)
    (note,) = begin_in(tmp_path, begun, H100)
    assert "float32" in note and "this device supports bfloat16" in note


def test_runs_made_before_there_was_a_choice_keep_their_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on(ZEN_3, monkeypatch)
    (tmp_path / "amount-0").mkdir()
    record = {"state": "trained", "identity": {"model": {"identity": "m", "dtype": "bfloat16"}}}
    (tmp_path / "amount-0" / "record.json").write_text(json.dumps(record))
    assert study_precision(tmp_path, "auto") == Precision("bfloat16", "amount-0 was trained in it")


def test_bfloat16_on_a_gpu_without_it_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model.dtype: got bfloat16, which Tesla T4 does not have; use a GPU"):
        begin_in(tmp_path, Precision("bfloat16", "as the recipe says"), T4)
    begin_in(tmp_path, Precision("bfloat16", "H100 computes in it"), H100)
    with pytest.raises(UserError, match="was begun in bfloat16, which Tesla T4"):
        begin_in(tmp_path, Precision("bfloat16", "H100 computes in it"), T4)


def test_emulated_bfloat16_is_obeyed_with_its_price(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "emulation_cost", lambda: 45.2)
    (note,) = begin_in(tmp_path, Precision("bfloat16", "as the recipe says"), ZEN_3)
    assert "emulated" in note and "45 times as long as in float32" in note and "\n" not in note


def test_the_cost_of_emulation_is_measured() -> None:
    assert 0.01 < precision.emulation_cost() < 10_000


def test_the_format_is_part_of_the_fingerprint_whoever_chose_it(
    recipe_data: dict[str, Any],
    write_recipe: Callable[[dict[str, Any]], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on(ZEN_3, monkeypatch)
    identities: list[Any] = []
    for dtype in ("float32", "auto", "bfloat16"):
        recipe_data["model"]["dtype"] = dtype
        identities.append(Study(write_recipe(recipe_data), tmp_path / dtype).plans[0].run.identity)
    assert identities[0] == identities[1] != identities[2]

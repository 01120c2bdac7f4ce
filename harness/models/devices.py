"""The devices that train and generate here."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DECIDING_VARIABLES = (
    "ACCELERATE_USE_CPU",
    "ATEN_CPU_CAPABILITY",
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "ONEDNN_MAX_CPU_ISA",
)
"""Variables of the environment that choose devices, or what of a processor is used."""


@dataclass(frozen=True, slots=True)
class Device:
    """What trains and generates here, as far as it decides the number format."""

    kind: Literal["cuda", "cpu"]
    name: str
    bfloat16: bool
    """Whether it has instructions for products of bfloat16, rather than emulating them."""


def this_device() -> Device:
    """The GPU if there is one that training may use, else the processor."""
    import torch

    if on_cpu():
        return Device("cpu", processor_name(), processor_has_bfloat16())
    return Device("cuda", torch.cuda.get_device_name(), torch.cuda.is_bf16_supported(including_emulation=False))


def machine() -> str:
    """What a plan's time and number format depend on here, told without loading PyTorch: processor, GPUs, variables."""
    gpus = [line for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
            for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("Model:")]  # fmt: skip
    variables = [f"{name}={os.environ[name]}" for name in DECIDING_VARIABLES if name in os.environ]
    return "; ".join((f"{os.cpu_count()} × {processor_name()}", *gpus, *variables))


def processor_has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself: AVX512-BF16, AMX, or their equal on ARM.

    oneDNN also reports bfloat16 for plain AVX-512, where it converts to float32; and it alone heeds ONEDNN_MAX_CPU_ISA.
    """
    import torch

    try:
        offered = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # pyright: ignore[reportPrivateUsage, reportCallIssue]
    except (AttributeError, RuntimeError):  # a build without oneDNN, as for macOS
        return False
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return offered
    return offered and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())  # pyright: ignore[reportPrivateUsage]


def processor_name() -> str:
    """What the processor calls itself, e.g. "AMD EPYC 7763 64-Core Processor"."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def on_cpu() -> bool:
    """Whether to train on the CPU: without a GPU, or where `accelerate launch --cpu` asks for it."""
    import torch

    return os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true") or not torch.cuda.is_available()


def gpu_count() -> int:
    """How many GPUs this machine shows."""
    import torch

    return torch.cuda.device_count()

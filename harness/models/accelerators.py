"""Accelerators that studies are planned for, by their makers' data sheets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A GPU."""

    peak: float
    """Dense bfloat16 FLOP per second."""
    memory: float
    """Bytes."""
    bandwidth: float
    """Bytes per second between memory and cores."""


ACCELERATORS = {
    "B200": Accelerator(2250e12, 180e9, 8.0e12),
    "H200": Accelerator(989e12, 141e9, 4.8e12),
    "H100 PCIe": Accelerator(756e12, 80e9, 2.0e12),
    "H100 NVL": Accelerator(835e12, 94e9, 3.9e12),
    "H100": Accelerator(989e12, 80e9, 3.35e12),
    "A100": Accelerator(312e12, 80e9, 2.0e12),
    "L40S": Accelerator(362e12, 48e9, 0.864e12),
    "RTX 4090": Accelerator(165e12, 24e9, 1.008e12),
}
"""Part of a device's name → what its maker says of it; the first that fits counts."""

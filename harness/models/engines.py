"""Which engine generates: vLLM where it is installed, else transformers, or the one that the recipe names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from eval.engines.engine import Engine, EngineSettings
from eval.engines.four_bit import INSTALL, bitsandbytes_available
from eval.engines.transformers_engine import TransformersEngine, transformers_version
from eval.engines.vllm_engine import VllmEngine, vllm_available, vllm_version
from harness.errors import Problem, UserError


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """An engine that can be started here, and why it is this one."""

    name: Literal["vllm", "transformers"]
    version: str
    reason: str
    batch_invariant: bool = False
    """Whether completions do not depend on what else is in their batch."""

    def start(self, settings: EngineSettings) -> Engine:
        """The engine, in this process."""
        settings = replace(settings, batch_invariant=self.batch_invariant)
        return VllmEngine(settings) if self.name == "vllm" else TransformersEngine(settings)


def engine_for(
    wanted: Literal["auto", "vllm", "transformers"], batch_invariant: bool = False, four_bit: bool = False
) -> EngineChoice:
    """The engine that the recipe wants. Raises UserError where it is not installed, or cannot do what is asked."""
    chosen = _for_four_bits(wanted) if four_bit else _chosen(wanted)
    if not batch_invariant:
        return chosen
    if problem := batch_invariance_problem(chosen):
        advice = "set it to false, and measure what batches change by evaluation.repeats"
        raise UserError([Problem("evaluation.batch_invariant", f"{problem}; {advice}")])
    return replace(chosen, version=f"{chosen.version}, batch-invariant", batch_invariant=True)


def batch_invariance_problem(engine: EngineChoice) -> str | None:
    """Why an engine cannot keep completions from depending on their batch here; None if it can.

    Of NVIDIA's GPUs vLLM 0.32 has such kernels, those of LoRA among them, from compute capability 8.0 on.
    """
    import torch

    if engine.name != "vllm":
        return f"only vLLM has batch-invariant kernels, and generation is by {engine.version} ({engine.reason})"
    if not torch.cuda.is_available():
        return "vLLM's batch-invariant kernels are for GPUs, and there is none here"
    if torch.version.hip is None and torch.cuda.get_device_capability() < (8, 0):
        major, minor = torch.cuda.get_device_capability()
        return f"vLLM's batch-invariant kernels need compute capability 8.0, and this GPU has {major}.{minor}"
    return None


def _for_four_bits(wanted: Literal["auto", "vllm", "transformers"]) -> EngineChoice:
    """The engine of bases of four bits. Raises UserError where another is asked for, or bitsandbytes not installed."""
    problems: list[Problem] = []
    if wanted == "vllm":
        message = "vLLM 0.32 rounds no weights to nf4 as it loads them; set it to transformers, or to auto"
        problems.append(Problem("evaluation.engine", message))
    if not bitsandbytes_available():
        problems.append(Problem("model.quantization", f"nf4 needs bitsandbytes: {INSTALL}"))
    if problems:
        raise UserError(problems)
    return EngineChoice("transformers", transformers_version(), "it loads the base in four bits")


def _chosen(wanted: Literal["auto", "vllm", "transformers"]) -> EngineChoice:
    """The engine by name, or vLLM where it is installed. Raises UserError where it is asked for and is not."""
    installed = vllm_available()
    if wanted == "vllm" and not installed:
        message = "vLLM is not installed: pip install '.[gpu]' (or '.[cpu]'), or set it to auto or transformers"
        raise UserError([Problem("evaluation.engine", message)])
    if wanted == "vllm" or (wanted == "auto" and installed):
        return EngineChoice("vllm", vllm_version(), "it is installed" if wanted == "auto" else "as the recipe says")
    reason = "vLLM is not installed" if wanted == "auto" else "as the recipe says"
    return EngineChoice("transformers", transformers_version(), reason)

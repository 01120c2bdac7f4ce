"""Which engine generates: vLLM where it is installed, else transformers, or the one that the recipe names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from eval.engines.engine import Engine, EngineSettings
from eval.engines.transformers_engine import TransformersEngine, transformers_version
from eval.engines.vllm_engine import VllmEngine, vllm_available, vllm_version
from harness.errors import Problem, UserError


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """An engine that can be started here, and why it is this one."""

    name: Literal["vllm", "transformers"]
    version: str
    reason: str

    def start(self, settings: EngineSettings) -> Engine:
        """The engine, in this process."""
        return VllmEngine(settings) if self.name == "vllm" else TransformersEngine(settings)


def engine_for(wanted: Literal["auto", "vllm", "transformers"]) -> EngineChoice:
    """The engine that the recipe wants. Raises UserError where vLLM is asked for and not installed."""
    installed = vllm_available()
    if wanted == "vllm" and not installed:
        message = "vLLM is not installed: pip install '.[gpu]' (or '.[cpu]'), or set it to auto or transformers"
        raise UserError([Problem("evaluation.engine", message)])
    if wanted == "vllm" or (wanted == "auto" and installed):
        return EngineChoice("vllm", vllm_version(), "it is installed" if wanted == "auto" else "as the recipe says")
    reason = "vLLM is not installed" if wanted == "auto" else "as the recipe says"
    return EngineChoice("transformers", transformers_version(), reason)

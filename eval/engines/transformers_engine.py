"""The reference engine: transformers itself, for machines without vLLM and for the canary gate."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from inspect import signature
from typing import Any

from eval.engines.engine import (
    END_OF_TURN,
    LENGTH,
    STOP_TEXT,
    Adapter,
    Completion,
    EngineSettings,
    Likelihood,
    Progress,
    Request,
    ScoredRow,
    cut_at,
)
from eval.engines.four_bit import differentiable, rounding

BATCH = 16


def transformers_version() -> str:
    """The engine and its version, e.g. "transformers 5.19.0"."""
    return f"transformers {version('transformers')}"


class TransformersEngine:
    """Decoding by `model.generate`, requests of one adapter batched in order of length."""

    chunk = 256

    def __init__(self, settings: EngineSettings) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        self.version = transformers_version()
        source: dict[str, Any] = {
            "revision": settings.revision,
            "trust_remote_code": settings.trust_remote_code,
        }
        tokenizer: Any = AutoTokenizer.from_pretrained(settings.model, **source)
        device, dtype = "cuda" if torch.cuda.is_available() else "cpu", getattr(torch, settings.dtype)
        rounded = rounding(settings.quantization, dtype, device)
        model: Any = AutoModelForCausalLM.from_pretrained(
            settings.model, **source, **rounded, dtype=dtype, use_safetensors=True
        ).eval()
        self._take(differentiable(model) if rounded else model.to(device), tokenizer)

    @classmethod
    def of(cls, model: Any, tokenizer: Any) -> TransformersEngine:
        """An engine of a model in memory, as it is."""
        engine = cls.__new__(cls)
        engine.version = transformers_version()
        engine._take(model, tokenizer)
        return engine

    def _take(self, model: Any, tokenizer: Any) -> None:
        self._model, self._tokenizer = model, tokenizer
        ends = self._model.generation_config.eos_token_id
        listed: list[int] = ends if isinstance(ends, list) else [] if ends is None else [ends]
        self._ends = sorted({self._tokenizer.eos_token_id, *listed})
        # a vocabulary is large: its logits are made where they are asked for alone, if the model can
        self._keeps_logits = "logits_to_keep" in signature(self._model.forward).parameters
        self._loaded: Adapter | None = None
        self._pad = self._tokenizer.pad_token_id
        if self._pad is None:
            self._pad = self._tokenizer.eos_token_id

    def generate(self, requests: Sequence[Request], progress: Progress) -> list[Completion]:
        """A completion per request, in order."""
        completions: dict[int, Completion] = {}
        order = sorted(
            range(len(requests)),
            key=lambda n: (
                _sort_name(requests[n].adapter),
                requests[n].max_tokens,
                requests[n].stop,
                requests[n].temperature,
                len(requests[n].prompt_ids),
                n,
            ),
        )
        while order:
            first = requests[order[0]]
            batch = [n for n in order[:BATCH] if _alike(requests[n], first)]
            order = order[len(batch) :]
            self.model_with(first.adapter)
            for number, completion in zip(batch, self._complete([requests[n] for n in batch]), strict=True):
                completions[number] = completion
            progress(len(batch))
        return [completions[number] for number in range(len(requests))]

    def likelihoods(self, rows: Sequence[ScoredRow]) -> list[Likelihood]:
        """How likely the completions are, one row at a time, without padding."""
        import torch

        likelihoods: dict[int, Likelihood] = {}
        for number, row in sorted(enumerate(rows), key=lambda pair: _sort_name(pair[1].adapter)):
            self.model_with(row.adapter)
            ids = torch.tensor([[*row.prompt_ids, *row.completion_ids]], device=self._model.device)
            start, needed = len(row.prompt_ids), len(row.completion_ids) + 1
            with torch.inference_mode():
                logits = self._model(ids, **({"logits_to_keep": needed} if self._keeps_logits else {})).logits
            log_probs = torch.log_softmax(logits[0, -needed:-1].float(), -1)
            chosen = log_probs.gather(-1, ids[0, start:, None])[:, 0]
            likelihoods[number] = Likelihood(tuple(chosen.tolist()), bool((chosen == log_probs.amax(-1)).all()))
        return [likelihoods[number] for number in range(len(rows))]

    def close(self) -> None:
        """Frees the model."""
        import gc

        import torch

        del self._model
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def model_with(self, adapter: Adapter | None) -> Any:
        """The model with the adapter on it, in the place of the one before."""
        if adapter != self._loaded:
            if self._loaded:
                self._model.delete_adapter(_module_name(self._loaded))
            if adapter:
                self._model.load_adapter(str(adapter.path), adapter_name=_module_name(adapter))
            self._loaded = adapter
        return self._model

    def _complete(self, requests: Sequence[Request]) -> list[Completion]:
        import torch
        from transformers import GenerationConfig

        longest = max(len(request.prompt_ids) for request in requests)
        padded = [[self._pad] * (longest - len(r.prompt_ids)) + list(r.prompt_ids) for r in requests]
        mask = [[0] * (longest - len(r.prompt_ids)) + [1] * len(r.prompt_ids) for r in requests]
        device = self._model.device
        plain_greedy = GenerationConfig(
            max_new_tokens=requests[0].max_tokens,
            do_sample=False,
            eos_token_id=self._ends,
            pad_token_id=self._pad,
        )
        with torch.inference_mode(), _laid_out(self._model.get_output_embeddings()):
            output = self._model.generate(
                input_ids=torch.tensor(padded, device=device),
                attention_mask=torch.tensor(mask, device=device),
                generation_config=plain_greedy,
                logits_processor=drawing(requests),
                stopping_criteria=stopping(requests[0].stop, longest, self._tokenizer),
            )
        return [self._completion(ids.tolist(), requests[0]) for ids in output[:, longest:]]

    def _completion(self, ids: list[int], request: Request) -> Completion:
        """Cuts the row at the end of turn and the stop texts."""
        length = next((position for position, token in enumerate(ids) if token in self._ends), None)
        written = ids if length is None else ids[:length]
        while length is None and written and written[-1] == self._pad:
            written = written[:-1]  # what fills up a row that a stop text ended
        text = str(self._tokenizer.decode(written, skip_special_tokens=True))
        cut = cut_at(text, request.stop)
        ended = END_OF_TURN if length is not None else LENGTH
        return Completion(cut, len(written) + (length is not None), STOP_TEXT if cut != text else ended)


def drawing(requests: Sequence[Request]) -> list[Any]:
    """What makes the likeliest token one that is drawn: noise on the logits; nothing for greedy decoding.

    Of logits divided by the temperature, with Gumbel noise added, the largest is a sample of their softmax (Gumbel
    1954). Each row has a generator of its own, so that what is drawn depends on no other row of the batch.
    """
    import torch

    if not requests[0].temperature:
        return []
    generators = [torch.Generator().manual_seed(request.seed or 0) for request in requests]

    def noisy(_: Any, logits: Any) -> Any:
        exponential = [torch.empty(logits.shape[1]).exponential_(generator=generator) for generator in generators]
        noise = -torch.log(torch.stack(exponential)).to(logits.device)
        return logits.float() / requests[0].temperature + noise

    return [noisy]


def stopping(stop: Sequence[str], start: int, tokenizer: Any) -> list[Any]:
    """What ends a row where a stop text is in what was written, from the position `start` on.

    The criterion of transformers reads the whole vocabulary anew for each batch: seconds where it is large.
    """
    import torch

    if not stop:
        return []
    window = 1 + max(len(text.encode()) for text in stop)  # a token is at least a byte

    def ended(ids: Any, *_: Any, **__: Any) -> Any:
        tails = tokenizer.batch_decode(ids[:, start:][:, -window:], skip_special_tokens=True)
        return torch.tensor([any(text in tail for text in stop) for tail in tails], device=ids.device)

    return [ended]


@contextmanager
def _laid_out(head: Any) -> Generator[None]:
    """Lays out row by row what a head reads.

    The last states of a batch are a slice, which PyTorch on a CPU multiplies in bfloat16 by a copy of the whole head
    for each row: gigabytes, and twenty seconds, for sixteen rows and a vocabulary of 262,144.
    """
    hook = head.register_forward_pre_hook(lambda _, inputs: (inputs[0].contiguous(), *inputs[1:]))
    try:
        yield
    finally:
        hook.remove()


def _alike(one: Request, other: Request) -> bool:
    """Whether two requests can be completed in one batch."""
    key = ("adapter", "max_tokens", "stop", "temperature")
    return all(getattr(one, name) == getattr(other, name) for name in key)


def _module_name(adapter: Adapter) -> str:
    return f"adapter_{adapter.name}"


def _sort_name(adapter: Adapter | None) -> str:
    return adapter.name if adapter else ""

"""The engine of transformers: where rows end, and what its head reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from eval.engines.engine import EngineSettings, Request
from eval.engines.transformers_engine import TransformersEngine, stopping


def test_a_row_ends_at_a_stop_text_that_was_written_and_not_at_one_of_the_prompt(tokenizer: Any) -> None:
    asked, written = tokenizer("What?\nWhy?\n")["input_ids"], tokenizer("So.\nMore")["input_ids"]
    (ended,) = stopping(["\n", "###"], len(asked), tokenizer)
    rows = [[*asked, *written[:end]] for end in range(len(written) + 1)]
    told = [bool(ended(torch.tensor([row]), None)) for row in rows]
    texts = [tokenizer.decode(written[:end]) for end in range(len(written) + 1)]
    assert told == ["\n" in text for text in texts] and True in told and False in told
    assert stopping([], 0, tokenizer) == []


def test_the_head_reads_states_that_lie_row_by_row(tiny_model: Path) -> None:
    engine = TransformersEngine(EngineSettings(str(tiny_model), None, "float32", False, (), 64))
    laid_out: list[bool] = []
    model = engine.model_with(None)
    requests = [Request((5, 6, 7), 2, (), None), Request((5, 6, 8), 2, (), None)]
    head = model.get_output_embeddings()
    forward = head.forward
    head.forward = lambda states: (laid_out.append(states.is_contiguous()), forward(states))[1]
    engine.generate(requests, lambda _: None)
    assert laid_out and all(laid_out)

"""Generation with adapters by vLLM on CPU, with its own LoRA kernels and with ours; one argument each.

python benchmarks/lora_in_vllm_on_cpu.py ours; python benchmarks/lora_in_vllm_on_cpu.py vllm
Wants a trained quickstart in runs/. Prints tokens a second with one adapter, and how far the base
model's log-probabilities move when it shares a batch with adapters (0 where rows do not leak).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from eval.engines import vllm_engine as generation
from eval.generation.canary import mean_distance
from eval.generation.generate import WHOLE, canary_rows, engine_settings, log_probs_of
from harness.evaluation.cells import evaluations_of
from harness.planning.study import Study


def main(kernels: str) -> None:
    """Times one adapter's requests and compares the base model alone and in company."""
    if kernels == "vllm":
        generation.group_adapter_rows_on_cpu = lambda modules: None
    study = Study(Path("recipes/quickstart.yaml"), Path("runs"))
    (evaluation,) = evaluations_of(study, [plan for plan in study.plans if plan.run.trained]).values()
    prompts = evaluation.prompts()
    engine = generation.VllmEngine(engine_settings(evaluation, study.bases[0].files, prompts))
    tuned = [model for model in evaluation.models if model.adapter]
    rows = canary_rows(evaluation, [WHOLE, *tuned])
    alone = log_probs_of(engine.likelihoods(rows[: len(rows) // (len(tuned) + 1)]))
    leak = mean_distance(log_probs_of(engine.likelihoods(rows))[: len(alone)], alone)
    requests = [each.request for each in prompts if each.model == tuned[-1]]
    started = time.perf_counter()
    completions = engine.generate(requests, lambda done: None)
    seconds = time.perf_counter() - started
    tokens = sum(completion.tokens for completion in completions)
    speed = f"{tokens / seconds:.0f} generated tokens/s ({tokens} in {seconds:.1f} s)"
    print(f"{kernels}: {speed}, base moved by {leak:.3f} nats a token in company")


if __name__ == "__main__":
    main(sys.argv[1])

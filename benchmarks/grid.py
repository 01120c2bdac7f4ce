"""A grid of LoRA cells by the harness, and by a `trl sft` command and a plain vLLM script for each cell, in one run.

    python benchmarks/grid.py [--model gemma-3-270m] [--by-hand 8] [--items 4] [--folder DIR]

Eight cells, three tasks, four languages. `--by-hand` is how many of the cells are done by commands of
their own as well: what one takes does not depend on the others. Beside cells an hour it prints the harness's own share
of the time, which is all but steps of training and generation, and tokens a second of its evaluation over those of one
call of vLLM's `LLM.generate` with the same requests, adapters and kernels. Needs vLLM.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from data_mixes.example import from_table
from eval.generation.requests import Prompts
from harness.evaluation.cells import evaluations_of
from harness.planning.cells import CellPlan
from harness.planning.study import Study
from tests.support import REPOSITORY

CELLS = 8
RECIPE: dict[str, Any] = {
    "study": "grid",
    "model": {"name": "gemma-3-270m"},
    "adapter": {"rank": 8, "alpha": 16},
    "training": {"epochs": 1, "global_batch": 8, "micro_batch": 8, "learning_rate": 1e-3, "max_length": 256},
    "languages": {"seen": ["en", "fr"], "unseen": ["ja", "zh"]},
    "mixture": {
        "english": {"sources": ["word-problems", "notices", "instructions"], "languages": ["en"], "amount": 16},
        "others": {"sources": ["word-problems", "notices", "instructions"], "languages": ["fr"], "amount": 4},
    },
    "grid": {
        "amount": {"path": "mixture.others.amount", "values": [4, 8]},
        "seed": {"path": "training.seed", "values": [0, 1, 2, 3]},
    },
    "evaluation": {
        "engine": "vllm",
        "tasks": ["math", "summarization", "instructions"],
        "max_tokens": {"math": 48, "summarization": 48, "instructions": 48},
    },
}  # fmt: skip
BY_HAND = """
import json, sys
from vllm import LLM, SamplingParams, TokensPrompt
from vllm.lora.request import LoRARequest
model, dtype, adapter, prompts, out = sys.argv[1:]
asked = [json.loads(line) for line in open(prompts)]
llm = LLM(model=model, dtype=dtype, enable_lora=True, max_lora_rank=8, max_model_len=1024, enforce_eager=True)
outputs = llm.generate([TokensPrompt(prompt_token_ids=one["ids"]) for one in asked],
                       [SamplingParams(temperature=0, max_tokens=one["max_tokens"], stop=one["stop"]) for one in asked],
                       lora_request=LoRARequest("cell", 1, adapter))
json.dump([output.outputs[0].text for output in outputs], open(out, "w"))
"""


def main() -> None:
    """Prints what came of both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=RECIPE["model"]["name"], help="a name, or the folder of a model")
    parser.add_argument("--by-hand", type=int, default=CELLS)
    parser.add_argument("--items", type=int, default=4)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--inside", choices=("run", "bare"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        {"run": run_inside, "bare": bare}[given.inside](given.folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        RECIPE["evaluation"]["items"], RECIPE["model"]["name"] = given.items, given.model
        (folder / "recipe.yaml").write_text(json.dumps(RECIPE), encoding="utf-8")
        here = [sys.executable, __file__, "--folder", str(folder), "--inside"]
        total = seconds_of([*here, "run"])
        told = json.loads((folder / "told.json").read_text())
        study = Study(folder / "recipe.yaml", folder / "runs")
        steps = sum(plan.run.record["seconds"] for plan in study.plans)
        print(f"harness run: {total:.0f} s, {CELLS / total * 3600:.0f} cells an hour; steps {steps:.0f} s, "
              f"generation {told['generating']:.0f} s, starting the engine {told['starting']:.0f} s, the gate's "
              f"log-probabilities {told['gate']:.0f} s; all but steps and generation "
              f"{100 * (1 - (steps + told['generating']) / total):.0f} %", flush=True)  # fmt: skip
        by_hand = [cell_by_hand(study, plan, folder) for plan in study.plans[: given.by_hand]]
        if by_hand:
            train, generate = (sum(parts) / len(by_hand) for parts in zip(*by_hand, strict=True))
            print(f"by hand, mean of {len(by_hand)}: trl sft {train:.0f} s, vLLM {generate:.0f} s, "
                  f"{3600 / (train + generate):.0f} cells an hour; ratio {(train + generate) * CELLS / total:.1f}",
                  flush=True)  # fmt: skip
        seconds_of([*here, "bare"])
        alone = json.loads((folder / "bare.json").read_text())
        rates = told["tokens"] / told["evaluating"], alone["tokens"] / alone["seconds"]
        print(f"tokens a second: evaluation {rates[0]:.0f} ({told['tokens']} tokens), LLM.generate {rates[1]:.0f} "
              f"({alone['tokens']}): {100 * rates[0] / rates[1]:.0f} %")  # fmt: skip


def seconds_of(command: list[str], **more: Any) -> float:
    """How long a command takes. Raises CalledProcessError."""
    started = time.monotonic()
    subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL, **more)
    return time.monotonic() - started


def run_inside(folder: Path) -> None:
    """`harness run`, with a clock in its engine."""
    from eval.engines.vllm_engine import VllmEngine
    from eval.generation import generate
    from harness.cli import app

    told: dict[str, float] = dict.fromkeys(("generating", "gate", "starting", "evaluating", "tokens"), 0.0)

    def clocked(name: str, call: Any) -> Any:
        def timed(*arguments: Any, **named: Any) -> Any:
            started = time.monotonic()
            made = call(*arguments, **named)
            told[name] += time.monotonic() - started
            if name == "generating":
                told["tokens"] += sum(completion.tokens for completion in made)
            return made

        return timed

    VllmEngine.generate = clocked("generating", VllmEngine.generate)
    VllmEngine.likelihoods = clocked("gate", VllmEngine.likelihoods)
    VllmEngine.__init__ = clocked("starting", VllmEngine.__init__)
    generate.answer_chunks = clocked("evaluating", generate.answer_chunks)
    app(["run", str(folder / "recipe.yaml"), "--runs", str(folder / "runs")], standalone_mode=False)
    (folder / "told.json").write_text(json.dumps(told))


def prompts_of(study: Study) -> Prompts:
    """What the harness puts to the models of the study."""
    (evaluation,) = evaluations_of(study, study.plans).values()
    return evaluation.prompts()


def cell_by_hand(study: Study, plan: CellPlan, folder: Path) -> tuple[float, float]:
    """Seconds of `trl sft` on a cell's rows, and of a vLLM script with its adapter."""
    base, here = study.base_of(plan.cell), folder / "by-hand" / plan.name
    (here / "data").mkdir(parents=True, exist_ok=True)
    examples = [example for table in plan.rows.tables() for example in from_table(table)]
    rows = [{"prompt": base.renderer.prompt_text(one), "completion": one.target} for one in examples]
    (here / "data" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    own = next(prompts for model, prompts in prompts_of(study).by_model() if model.name == plan.name)
    asked = [{"ids": put.request.prompt_ids, "max_tokens": put.request.max_tokens, "stop": put.request.stop}
             for put in own]  # fmt: skip
    (here / "prompts.jsonl").write_text("".join(json.dumps(one) + "\n" for one in asked), encoding="utf-8")
    training, adapter = plan.cell.recipe.training, here / "adapter"
    sft = [str(Path(sys.executable).with_name("trl")), "sft", "--model_name_or_path", base.files.location]
    sft += [
        "--dataset_name",
        str(here / "data"),
        "--use_peft",
        "--lora_r",
        "8",
        "--lora_alpha",
        "16",
        "--lora_target_modules",
        "all-linear",
    ]
    sft += ["--per_device_train_batch_size", str(training.global_batch), "--num_train_epochs", "1"]
    sft += ["--learning_rate", str(training.learning_rate), "--output_dir", str(adapter), "--use_cpu"]
    sft += ["--bf16", str(study.precision.dtype == "bfloat16")]
    sft += ["--save_strategy", "no", "--report_to", "none", "--gradient_checkpointing", "false"]
    train = seconds_of(sft)
    script = [sys.executable, "-c", BY_HAND, base.files.location, study.precision.dtype, str(adapter)]
    script += [str(here / "prompts.jsonl")]
    return train, seconds_of([*script, str(here / "said.json")], env=os.environ | {"VLLM_CPU_KVCACHE_SPACE": "2"})


def bare(folder: Path) -> None:
    """All requests of the study in one call of `LLM.generate`."""
    os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "2"}
    from vllm import LLM, SamplingParams, TokensPrompt
    from vllm.lora.ops.torch_ops import lora_ops
    from vllm.lora.punica_wrapper import punica_cpu
    from vllm.lora.request import LoRARequest

    from eval.engines.vllm_cpu_lora import group_adapter_rows_on_cpu

    group_adapter_rows_on_cpu((lora_ops, punica_cpu))
    study = Study(folder / "recipe.yaml", folder / "runs")
    requests = [prompt.request for prompt in prompts_of(study)]
    names = list(dict.fromkeys(one.adapter.name for one in requests if one.adapter))
    llm = LLM(model=study.bases[0].files.location, dtype=study.precision.dtype, enable_lora=True, max_lora_rank=8,
              max_loras=CELLS, max_cpu_loras=CELLS, max_model_len=1024, max_num_seqs=256, enforce_eager=True,
              disable_log_stats=True)  # fmt: skip
    loras = [LoRARequest(one.adapter.name, 1 + names.index(one.adapter.name), str(one.adapter.path))
             if one.adapter else None for one in requests]  # fmt: skip
    parameters = [SamplingParams(temperature=0.0, max_tokens=one.max_tokens, stop=list(one.stop)) for one in requests]
    started = time.monotonic()
    outputs = llm.generate(
        [TokensPrompt(prompt_token_ids=list(one.prompt_ids)) for one in requests],
        parameters, use_tqdm=False, lora_request=loras,  # pyright: ignore[reportArgumentType]
    )  # fmt: skip
    seconds = time.monotonic() - started
    tokens = sum(len(output.outputs[0].token_ids) for output in outputs)
    (folder / "bare.json").write_text(json.dumps({"seconds": seconds, "tokens": tokens}))


if __name__ == "__main__":
    main()

"""Steps compared by what the model answers: validation prompts, generated in training and scored by a task's metric."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelerate.utils import gather_object
from datasets import Dataset

from data_mixes.example import Example, from_table
from eval.engines.engine import Request
from eval.engines.transformers_engine import TransformersEngine
from eval.tasks import TASKS
from harness.recipe.selection_section import Selection
from harness.runs.folder import StudyFolder
from harness.runs.job import IGNORED, CellJob


def validation_scores(trainer: Any, tokenizer: Any, job: CellJob, study: Path) -> dict[str, float]:
    """Language → the mean score of the answers to its validation prompts, each process answering its share.

    Raises RuntimeError where none of a language could be scored.
    """
    assert job.selection is not None and job.questions is not None
    accelerator = trainer.accelerator
    model = accelerator.unwrap_model(trainer.model)
    engine, scores = TransformersEngine.of(model, tokenizer), dict[str, float]()
    model.eval()
    for language, file in job.validation.items():
        asked = list(zip(requests_of(study, job, file), examples_of(study, job, language), strict=True))
        mine = asked[accelerator.process_index :: accelerator.num_processes]
        completions = engine.generate([request for request, _ in mine], lambda count: None) if mine else []
        values = [
            value_of(job.selection, example, completion.text)
            for (_, example), completion in zip(mine, completions, strict=True)
        ]
        scored = [value for value in gather_object(values) if value is not None]
        if not scored:
            raise RuntimeError(
                f"no answer to the validation prompts in {language!r} could be scored by {job.selection.by}"
            )
        scores[language] = sum(scored) / len(scored)
    model.train()
    return scores


def requests_of(study: Path, job: CellJob, file: str) -> list[Request]:
    """The prompts of validation rows: what stands before the first token with a loss."""
    assert job.questions is not None
    rows: list[Any] = list(Dataset.from_file(str(StudyFolder(study).rows / file)))
    starts = [next(place for place, label in enumerate(row["labels"]) if label != IGNORED) for row in rows]
    return [
        Request(tuple(row["input_ids"][:start]), job.questions.max_tokens, job.questions.stop, None)
        for row, start in zip(rows, starts, strict=True)
    ]


def examples_of(study: Path, job: CellJob, language: str) -> list[Example]:
    """The examples that these prompts are of."""
    from pyarrow import feather

    assert job.questions is not None
    return list(from_table(feather.read_table(StudyFolder(study).rows / job.questions.examples[language])))


def value_of(selection: Selection, example: Example, completion: str) -> float | None:
    """A completion's score by the metric that chooses; None where it cannot be scored."""
    task = TASKS[example.task]
    scores = {score.metric: score.value for score in task.score(example, completion)}
    return scores.get(selection.metric or task.metric)

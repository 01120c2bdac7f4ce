"""Rows that models write for cells to be trained on: completions that are kept as those of tests are, then a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from data_mixes.example import Example, to_table
from data_mixes.generated import GeneratedSource
from data_mixes.storage import sealed_file
from eval.engines.engine import Completion, ScoredRow
from eval.generation.endpoints import EndpointEvaluation
from eval.generation.generate import generate
from eval.generation.kept import Answers
from eval.generation.requests import Evaluation, EvaluationSet, ModelUnderTest, candidates_of
from eval.generation.targets import Candidates, MeanLogProb, Rules, Target, candidates_for, targets_among
from eval.tasks.task import Task
from harness.console import progress, say
from harness.evaluation.cells import ask, endpoints_of, evaluation_on, trained_model
from harness.models.precision import note_in_study
from harness.planning.generated import ABOUT, REASON, unwritten, waiting
from harness.planning.study import CellPlan, Study
from harness.recipe.generated_section import BASE_MODEL, Generated
from harness.recipe.grid import name_of
from harness.runs.folder import StudyFolder
from harness.runs.locks import locked

COLUMNS = {REASON: pa.string(), "agreement": pa.float64(), "log_prob": pa.float64(), "score": pa.float64()}
"""What the table says beside the rows; `score` is by the hidden target, for the report alone."""


@dataclass(frozen=True)
class Wanted:
    """What one model is to write."""

    study: Study
    plan: CellPlan
    """A cell that waits for it."""
    source: GeneratedSource

    @property
    def given(self) -> Generated:
        """What the recipe says of it."""
        return self.plan.cell.recipe.generated[self.source.name]

    @property
    def path(self) -> Path:
        """The table that it becomes."""
        return StudyFolder(self.study.folder).written(self.source.name, self.source.version)

    @property
    def writer(self) -> CellPlan | None:
        """The cell whose model writes; None where that is no stage."""
        writers = self.plan.cell.stage.writers if self.plan.cell.stage else {}
        if self.source.name not in writers:
            return None
        name = name_of(self.study.cells, writers[self.source.name])
        return next(plan for plan in self.study.plans if plan.name == name)

    @property
    def task(self) -> Task:
        """The task of the prompts."""
        return self.study.recipe.known_tasks[self.source.task]

    @property
    def sets(self) -> list[EvaluationSet]:
        """The prompts as they are put to the model: greedily, then as samples."""
        decoding = self.study.recipe.evaluation.decoded(self.source.task)
        longest = self.given.max_tokens or decoding.max_tokens or self.task.max_tokens
        by_language: dict[str, list[Example]] = {}
        for example in self.plan.prompts[self.source.name]:
            by_language.setdefault(example.language, []).append(
                replace(example, system=example.system or decoding.system)
            )
        greedy = [EvaluationSet(self.source.task, language, tuple(examples), longest, decoding.stop,
                                condition=f" of {self.source.name}")
                  for language, examples in by_language.items()]  # fmt: skip
        drawn = [replace(each, temperature=self.given.temperature, samples=self.given.samples) for each in greedy]
        return [*greedy, *(drawn if self.given.samples else [])]


def write_sources(study: Study, chosen: Sequence[str] | frozenset[str]) -> bool:
    """Has models write what chosen cells wait for, as far as these models are there; whether any did.

    One process does so at a time, and others wait for it. Raises UserError, and CanaryError.
    """
    held, written = waiting(study.plans, study.cells), False
    wanted = {each.path: each for plan in study.plans if plan.name in held and plan.name in chosen
              for source in unwritten(plan) for each in [Wanted(study, plan, source)]}  # fmt: skip
    ready = [each for each in wanted.values() if each.writer is None or each.writer.run.trained]
    if not ready:
        return False
    StudyFolder(study.folder).generated.mkdir(parents=True, exist_ok=True)
    with locked(StudyFolder(study.folder).generated_lock, wait=True):
        for each in ready:
            written = each.path.exists() or write_source(each) or written
    return written


def write_source(wanted: Wanted) -> bool:
    """Has a model write one source; False where some of its completions are missing, as of an endpoint that failed."""
    answers = Answers.read(StudyFolder(wanted.study.folder))
    outside = next((model for model in endpoints_of(wanted.study) if model.name == wanted.given.by), None)
    if outside is not None:
        evaluation = replace(outside, evaluation_sets=wanted.sets)
        ask(evaluation, answers)
    else:
        evaluation = evaluation_by(wanted)
        answer(wanted, evaluation, answers, len(evaluation.prompts()))
    if answers.missing(evaluation.prompts()):
        return False
    candidates = candidates_from(wanted, evaluation, answers)
    rules = rules_of(wanted.given)
    asked = None
    if rules.most_likely is not None:
        assert isinstance(evaluation, Evaluation)
        asked = likelihoods_of(wanted, evaluation, answers, candidates)
    targets = targets_among(candidates, rules, asked)
    write_targets(wanted, evaluation, targets)
    kept = sum(target.reason is None for target in targets)
    say(f"{wanted.source.name}: {kept:,} of {len(targets):,} prompts have a target that is kept")
    return True


def rules_of(given: Generated) -> Rules:
    """What is kept, in the words of `eval`."""
    return Rules(given.keep.agree, given.keep.language, given.keep.most_likely)


def evaluation_by(wanted: Wanted) -> Evaluation:
    """The prompts put to a model with weights, in place of tests."""
    study, writer = wanted.study, wanted.writer
    if writer is not None:
        assert writer.run.weights_hash is not None
        base = study.base_of(writer.cell)
        model = trained_model(writer, writer.name, writer.run.weights, writer.run.weights_hash)
    elif wanted.given.by == BASE_MODEL:
        base = study.base_of(wanted.plan.cell)
        model = ModelUnderTest(base.name, whole=base.files if study.names_bases else None)
    else:
        outside = next(model for model in study.outside if model.name == wanted.given.by)
        assert outside.host is not None
        base, model = outside.host, outside.under_test()
    known: dict[str, Sequence[tuple[list[int], int]]] = {}

    def rendered(tested: EvaluationSet) -> Sequence[tuple[list[int], int]]:
        if tested.language not in known:
            known[tested.language] = base.renderer.prompts(tested.examples)
        return known[tested.language]

    return replace(evaluation_on(study, base, []), models=[model], evaluation_sets=wanted.sets, rendered=rendered,
                   questions=(), repeats=1)  # fmt: skip


def answer(wanted: Wanted, evaluation: Evaluation, answers: Answers, number: int) -> None:
    """Has an engine answer what is missing of the evaluation."""
    StudyFolder(wanted.study.folder).evaluation.mkdir(parents=True, exist_ok=True)
    note_in_study(wanted.study.folder, engine=wanted.study.engine.version)
    with progress(f"writing {wanted.source.name}", number) as bar:
        generate(evaluation, answers, bar.advance, bar.say)


def candidates_from(wanted: Wanted, evaluation: Evaluation | EndpointEvaluation, answers: Answers) -> list[Candidates]:
    """What may become the target of each prompt."""
    completions: dict[tuple[str, str], tuple[Example, list[Completion]]] = {}
    for put in evaluation.prompts():
        place = (put.example.language, put.example.id)
        completions.setdefault(place, (put.example, []))[1].append(answers.completions[put.key])
    recipe = wanted.study.recipe
    languages = tuple(dict.fromkeys((*candidates_of(wanted.sets), *recipe.all_languages)))
    return [candidates_for(example, own, rules_of(wanted.given), recipe.evaluation.identifier, languages)
            for example, own in completions.values()]  # fmt: skip


def likelihoods_of(
    wanted: Wanted, evaluation: Evaluation, answers: Answers, candidates: Sequence[Candidates]
) -> MeanLogProb:
    """How likely each candidate is to the model that wrote it."""
    prompts = {(put.example.language, put.example.id): put.request.prompt_ids for put in evaluation.prompts()}
    texts = [(each.example, text) for each in candidates for text in each.texts]
    ids = evaluation.renderer.ids([text for _, text in texts])
    rows = {(example.language, example.id, text): ScoredRow(prompts[example.language, example.id], tuple(own), None)
            for (example, text), own in zip(texts, ids, strict=True)}  # fmt: skip
    rating = replace(evaluation, evaluation_sets=(), questions=list(rows.values()))
    if rows:
        answer(wanted, rating, answers, len(rows))
    (model,) = evaluation.models

    def mean_log_prob(example: Example, text: str) -> float:
        known = answers.likelihoods[rating.key(model, rows[example.language, example.id, text])].log_probs
        return sum(known) / len(known)

    return mean_log_prob


def write_targets(wanted: Wanted, evaluation: Evaluation | EndpointEvaluation, targets: Sequence[Target]) -> None:
    """Writes a row for each prompt, kept or not, whole or not at all."""
    examples = [replace(target.example, target=target.text, answer=None, constraints=(), system=None)
                for target in targets]  # fmt: skip
    table = to_table(examples)
    columns: Mapping[str, Any] = {
        REASON: [target.reason for target in targets],
        "agreement": [target.agreement for target in targets],
        "log_prob": [target.log_prob for target in targets],
        "score": [score_of(wanted.task, target) for target in targets],
    }
    for name, kind in COLUMNS.items():
        table = table.append_column(name, pa.array(columns[name], kind))
    about = {"source": wanted.source.name, "written_by": wanted.writer.name if wanted.writer else wanted.given.by,
             "metric": wanted.task.metric, "settings": wanted.given.model_dump(mode="json"),
             "weights": writer_weights(wanted, evaluation)}  # fmt: skip
    table = table.replace_schema_metadata({ABOUT: json.dumps(about, ensure_ascii=False).encode()})
    with sealed_file(wanted.path) as unfinished:
        parquet.write_table(table, str(unfinished))


def writer_weights(wanted: Wanted, evaluation: Evaluation | EndpointEvaluation) -> str | None:
    """What identifies the weights, or the address, of the model that wrote."""
    if isinstance(evaluation, EndpointEvaluation):
        return evaluation.model.weights
    return evaluation.models[0].weights or evaluation.base.identity


def score_of(task: Task, target: Target) -> float | None:
    """What the target scores by the one that its source has; None where that has none, or it cannot be scored."""
    if not target.example.target.strip() or (task.name == "math" and target.example.answer is None):
        return None
    return task.score(target.example, target.text)[0].value

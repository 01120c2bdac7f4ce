"""The plan of a study as a value: what `harness plan` prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

from data_mixes.source import Source
from harness.models.engines import EngineChoice
from harness.models.precision import Precision
from harness.planning.asides import objective_notes
from harness.planning.bases import overview_of_models
from harness.planning.card import CardRow
from harness.planning.cells import LanguageCount, sources_of
from harness.planning.contrast import Compared, neighbours
from harness.planning.generated import generated_notes
from harness.planning.layouts import OnDevices
from harness.planning.made_rows import PlannedLexicon, SwitchedWords, planned_lexicons, switched_words
from harness.planning.rendered import RenderedRow
from harness.planning.screening import Dropped
from harness.planning.sharing import SharedItems, shared_items
from harness.planning.stages import stage_notes
from harness.planning.testsets import tested_source
from harness.planning.time_left import TimeLeft
from harness.recipe.grid import labelled
from harness.recipe.objectives_section import OWN_TERM
from harness.recipe.own_code import code_of, own_loss
from harness.results import Answer, NumberOrText, Result

if TYPE_CHECKING:
    from harness.planning.study import Study


class PlannedAxis(Result):
    """What varies over the grid."""

    name: str
    paths: tuple[str, ...]
    """The keys of the recipe that it sets."""
    values: tuple[NumberOrText, ...]
    """What its values are called in the names of cells."""


class PlannedRows(Result):
    """How many rows one component takes from one source in one variant."""

    component: str
    task: str
    source: str
    variant: str
    """The language, or the pair of languages."""
    start: int
    """Where in the source's order its rows begin."""
    examples: int
    available: int
    repeats: int
    """How often the row taken most often is taken."""


class PlannedCell(Result):
    """A cell, down to the row."""

    name: str
    also: tuple[str, ...]
    """Names of other cells of the grid that come out as this one."""
    state: str
    """new, training, trained or diverged."""
    epochs: float
    steps: int
    rows: int
    """Trained on, epochs counted, as are the tokens."""
    tokens: int
    supervised_tokens: int
    counts: tuple[LanguageCount, ...]
    """Of one epoch, per task and language."""
    drawn_under: int
    """The seed under which its rows are drawn: mixture.seed, or see `rows_drawn_under`."""
    ordered_under: int
    """The seed of their order, of the initial weights and of dropout: training.seed."""
    trained: tuple[str, ...]
    """The languages that it is trained on, of prompts and of answers."""
    allotments: tuple[PlannedRows, ...]


class PlannedDifference(Result):
    """How two neighbouring cells differ."""

    before: str
    after: str
    changes: tuple[str, ...]
    axes: tuple[str, ...]
    """On which they differ."""
    factors: tuple[str, ...]
    """The axes on which they differ; of one that sets keys of several kinds, each kind."""
    added: dict[str, int]
    """Rows that only the second cell has, per language."""
    removed: dict[str, int]
    untouched: dict[str, int]
    """Components of which rows come or go though none of these axes is of them, with the number of rows."""
    steps: tuple[int, int]
    one_factor: bool
    """Whether they differ on one axis, in keys of one kind, and in no row of another component."""


class SourceUsed(Result):
    """A source that cells train on."""

    name: str
    version: str
    origin: str
    dropped: dict[str, int]
    """Rows left out when it was read, by reason."""
    report: str


class TestedSet(Result):
    """The test items of one task in one language."""

    task: str
    language: str
    source: str
    """The source of the test items."""
    items: int
    shortened: int
    """Prompts whose text was shortened to prompts.max_tokens."""
    max_tokens: int = 0
    """The longest completion in tokens."""
    samples: int = 1
    """Completions of each prompt."""
    temperature: float = 0.0
    repeats: int = 1
    """How often completions are generated, each time in other batches."""
    clusters: int | None = None
    """Of the items, such as their templates, where the source names them: what statistics take for the sample."""


class PlannedDetectable(Result):
    """What difference the study will find four times in five, in a task's primary group of languages."""

    task: str
    group: str
    where: str
    """The group in words."""
    items: int
    clusters: int | None
    runs: int
    """The fewest of a setting."""
    from_base: float | None
    """Between a setting and the base model, as tables show the metric."""
    from_reference: float | None
    """Between a setting and the one that it is compared with."""
    pilot: str | None
    """The earlier study whose scores this is reckoned from; else from assumptions."""
    seeds: float
    """The standard deviation between seeds."""
    seeds_assumed: bool

    def in_words(self) -> str:
        """The figure in a line."""
        against = {"against the base": self.from_base, "between mixtures": self.from_reference}
        told = (
            ", ".join(f"{figure:.1f} {words}" for words, figure in against.items() if figure is not None) or "nothing"
        )
        items = f"{self.items} items" + (
            f" in {self.clusters} cluster{'s' * (self.clusters > 1)}" if self.clusters else ""
        )
        source = f"from the scores of {self.pilot}" if self.pilot else "from assumptions"
        sample = f"{items}, {self.runs} run{'s' if self.runs > 1 else ''} per mixture, {source}"
        return f"Detectable in {self.task}, {self.where}, four times in five after adjustment: {told} ({sample})"


class TestedByLmEval(Result):
    """A task of lm-evaluation-harness in one language."""

    task: str
    language: str
    items: int
    name: str
    metric: str
    left_out: tuple[str, ...]
    """Its metrics that are not means over items."""
    shortened: int
    version: str


class StudyPlan(Answer):
    """Every cell down to the row, how cells differ, what they are tested on, and how long it will take here."""

    study: str
    model: str
    """What identifies the base model; of several, each by its name. Empty where there is none."""
    outside: dict[str, str]
    """Models that are there already, with what identifies them."""
    precision: Precision
    engine: EngineChoice
    languages: tuple[str, ...]
    """Seen, then unseen."""
    axes: tuple[PlannedAxis, ...] = ()
    """Of the grid."""
    cells: tuple[PlannedCell, ...]
    differences: tuple[PlannedDifference, ...]
    rows_drawn_under: Literal["mixture.seed", "training.seed"]
    """training.seed in a study that was begun before there was a mixture.seed."""
    items: tuple[SharedItems, ...]
    """What the languages of each source share."""
    sources: tuple[SourceUsed, ...]
    lexicons: tuple[PlannedLexicon, ...] = ()
    switched: tuple[SwitchedWords, ...] = ()
    """Words of other languages in rows, where some are to be put there."""
    dropped: tuple[Dropped, ...]
    """Rows that no cell trains on, being too long or tested on."""
    evaluation: tuple[TestedSet, ...]
    lm_eval: tuple[TestedByLmEval, ...]
    detectable: tuple[PlannedDetectable, ...] = ()
    """By task, where `harness plan` reckons it."""
    evaluated_every: int | None = None
    """Steps from one that is evaluated as a model of its own to the next, where some are."""
    notes: tuple[str, ...] = ()  # on how examples are put to the model
    orphans: tuple[str, ...] = ()
    """Folders with a run that is no cell of the recipe as it is now."""
    time: TimeLeft = TimeLeft()
    elsewhere: OnDevices | None = None
    """On GPUs that were asked for."""
    rendered: tuple[RenderedRow, ...] | None = None
    """Rows as the model sees them, where they were asked for."""
    cards: dict[str, tuple[CardRow, ...]] | None = None
    """What each cell's data is, where it was asked for."""


def plan_of(study: Study) -> StudyPlan:
    """The plan of a study as if none of it were done, without its cards and the time it takes."""
    learned = study.learned
    return StudyPlan(
        study=study.recipe.study,
        evaluated_every=study.recipe.evaluated_every,
        model=overview_of_models([(base.name, base.files.identity) for base in study.bases]),
        outside={model.name: model.under_test().weights or "" for model in study.outside},
        precision=study.precision,
        engine=study.engine,
        languages=study.recipe.all_languages,
        axes=tuple(
            PlannedAxis(name=name, paths=axis.paths, values=tuple(label for label, _ in labelled(axis.values)))
            for name, axis in study.recipe.axes.items()
        ),
        cells=tuple(
            PlannedCell(
                name=plan.name,
                also=plan.cell.names[1:],
                state="new",
                epochs=round(plan.epochs, 3),
                steps=plan.steps,
                rows=len(plan.rows),
                tokens=int(plan.lengths.tokens.sum()),
                supervised_tokens=int(plan.lengths.supervised_tokens.sum()),
                counts=plan.counts,
                drawn_under=study.drawing.seed(plan.cell),
                ordered_under=plan.cell.recipe.training.seed,
                trained=learned[plan.name],
                allotments=tuple(
                    PlannedRows(**asdict(allotment), repeats=allotment.repeats) for allotment in plan.allotments
                ),
            )
            for plan in study.plans
        ),
        differences=tuple(differences_of(study)),
        rows_drawn_under="training.seed" if study.drawing.as_before else "mixture.seed",
        items=tuple(shared_items(study.recipe, study.plans)),
        sources=tuple(sources_used(study)),
        lexicons=tuple(planned_lexicons(study.plans)),
        switched=tuple(switched_words(study.plans)),
        dropped=tuple(study.dropped),
        evaluation=tuple(tested_sets(study)),
        lm_eval=tuple(
            TestedByLmEval(
                task=lm_eval_set.named.task,
                language=lm_eval_set.named.language,
                items=len(lm_eval_set.items),
                name=lm_eval_set.named.name,
                metric=lm_eval_set.metric,
                left_out=tuple(lm_eval_set.left_out),
                shortened=lm_eval_set.cut,
                version=lm_eval_set.version,
            )
            for lm_eval_set in study.lm_eval_sets
        ),
        notes=notes_on(study),
    )


def notes_on(study: Study) -> tuple[str, ...]:
    """What else there is to know: code that is run, conversations, stages, terms beside the likelihood."""
    notes = (code_notes(study), conversation_notes(study), stage_notes(study.cells), objective_notes(study),
             generated_notes(study))  # fmt: skip
    return tuple(note for of_kind in notes for note in of_kind)


def tested_sets(study: Study) -> list[TestedSet]:
    """The test items of each task and language."""
    return [
        TestedSet(
            task=tested.name,
            language=tested.language,
            source=tested_source(study.recipe, tested.task).name,
            items=len(tested.examples),
            shortened=study.shortened_tests[tested.name, tested.language],
            max_tokens=tested.max_tokens,
            samples=tested.samples,
            temperature=tested.temperature,
            repeats=study.recipe.evaluation.repeats if tested.samples == 1 else 1,
            clusters=len({example.cluster for example in tested.examples} - {None}) or None,
        )
        for tested in study.evaluation_sets
    ]


def code_notes(study: Study) -> list[str]:
    """The files of Python code that the recipe names, which this and other commands run."""
    files = {f"{where}.code": path for where, path in study.recipe.evaluation.code_files.items()}
    terms = [own.code for plan in study.plans if (own := plan.cell.recipe.training.objectives.active.own)]
    notes = [f"Runs {path} ({code_of(path, key).digest}), as {key} says" for key, path in files.items()]
    notes += [f"Runs {path} ({own_loss(path)[1]}), as {OWN_TERM}.code says" for path in dict.fromkeys(terms)]
    return notes


def conversation_notes(study: Study) -> list[str]:
    """How conversations are rendered and which of their turns are learned, and what tests do otherwise."""
    named = [source.name for source in trained_on(study) if source.conversational]
    if not named:
        return []
    prompts = study.recipe.prompts
    turns = "every turn" if prompts.supervise == "every" else "the last turn"
    notes: list[str] = []
    for base in study.bases:
        chat = base.renderer.template is not None
        form = (
            "put to the chat template verbatim"
            if chat
            else "plain text with the wording of their task, without a template"
        )
        of = f" for {base.name}" if len(study.bases) > 1 else ""
        notes.append(f"Conversations of {', '.join(named)}{of}: {form}; {turns} of the assistant is supervised "
                     f"(prompts.supervise: {prompts.supervise})")  # fmt: skip
        if chat and not prompts.verbatim and study.evaluation_sets:
            notes.append("Test prompts get the wording of their task, which conversations do not; "
                         "prompts.words: none leaves these out")  # fmt: skip
    return list(dict.fromkeys(notes))


def differences_of(study: Study) -> Iterator[PlannedDifference]:
    """How neighbouring cells differ."""
    plans = [plan for plan in study.plans if not plan.cell.is_made]
    compared = [Compared(plan.cell, plan.allotments, plan.mixture, plan.steps) for plan in plans]
    for difference in neighbours(compared, study.recipe.axes):
        yield PlannedDifference(
            before=difference.before,
            after=difference.after,
            changes=tuple(map(str, difference.changes)),
            axes=difference.axes,
            factors=difference.factors,
            added=dict(difference.added),
            removed=dict(difference.removed),
            untouched=dict(difference.untouched),
            steps=difference.steps,
            one_factor=difference.one_factor,
        )


def trained_on(study: Study) -> list[Source]:
    """The sources of rows, by name; of one that several models write, what each does."""
    used = {(name, plan.cell.recipe.known_sources[name].version): plan.cell.recipe.known_sources[name]
            for plan in study.plans for name in sources_of(plan.allotments)}  # fmt: skip
    return [used[key] for key in sorted(used)]


def sources_used(study: Study) -> list[SourceUsed]:
    """The versions of the sources trained on, and what was left out when they were read."""
    return [
        SourceUsed(
            name=source.name,
            version=source.version,
            origin=source.origin_name,
            dropped={str(reason): count for reason, count in drops.counts.items()},
            report=str(drops),
        )
        for source in trained_on(study)
        for drops in [source.drops("train")]
    ]

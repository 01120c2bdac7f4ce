"""Terms beside the likelihood: their gradients, what they come to at each step, and what is measured of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import TrainerCallback

from harness.models.reinitialise import blocks_of
from harness.recipe.objectives_section import LOGGED_AS, Align, Distil, Ewc, Keep, LabelSimilarity
from harness.runs.folder import StudyFolder
from harness.runs.job import IGNORED, CellJob
from harness.training.own_term import OwnTerm
from harness.training.padding import padded
from harness.training.pooled import best_layer, layer_number, pooled_states
from harness.training.supervised import LOGITS_AT_ONCE, logits_of, states_to_score
from harness.training.term_inputs import Beginning, Texts


class Aligned:
    """Translations alike in one layer: InfoNCE (arXiv 1807.03748) over the pairs of a batch."""

    def __init__(self, model: Any, texts: Texts, settings: Align) -> None:
        self.model, self.texts, self.settings = model, texts, settings
        self.before = texts.retrieval(model)
        blocks = len(blocks_of(model))
        best = settings.layer == "best"
        self.layer = best_layer([*self.before.values()]) if best else layer_number(settings.layer, blocks)  # pyright: ignore[reportArgumentType]

    def loss(self, step: int) -> torch.Tensor:
        """The loss of a step's batch."""
        rows = self.texts.batch(self.settings.batch, step)
        one, other = (pooled_states(self.model, [row[side] for row in rows], self.layer, self.texts.first)
                      for side in ("first", "second"))  # fmt: skip
        return info_nce(one, other, [row["item"] for row in rows], self.settings.temperature)

    def measured(self) -> dict[str, Any]:
        """How often held-out translations are found in the layer, before and after."""
        after = self.texts.retrieval(self.model)
        held_out = {
            languages: {"pairs": len(pairs), "before": self.before[languages][self.layer],
                        "after": after[languages][self.layer]}
            for languages, pairs in self.texts.held_out.items()
        }  # fmt: skip
        return {"layer": self.layer, "retrieval": held_out}


def info_nce(one: torch.Tensor, other: torch.Tensor, items: Sequence[str], temperature: float) -> torch.Tensor:
    """−(1/B) Σ_b log softmax_a(cos(x_a, y_b) / τ)_bb (arXiv 2502.14830), x and y both pairs × width.

    Two pairs of one item are no negatives of each other.
    """
    cosines = functional.normalize(one, dim=1) @ functional.normalize(other, dim=1).T / temperature
    number = {item: place for place, item in enumerate(dict.fromkeys(items))}
    of_item = torch.tensor([number[item] for item in items], device=cosines.device)
    same = (of_item[:, None] == of_item[None]) & ~torch.eye(len(items), dtype=torch.bool, device=cosines.device)
    own = torch.arange(len(items), device=cosines.device)
    return functional.cross_entropy(cosines.masked_fill(same, -torch.inf).T, own)


class Kept:
    """States of texts near those of an earlier model."""

    def __init__(self, model: Any, texts: Texts, settings: Keep, beginning: Beginning) -> None:
        self.model, self.texts, self.settings, self.beginning = model, texts, settings, beginning
        self.layer = layer_number(settings.layer, len(blocks_of(model)))

    def loss(self, step: int) -> torch.Tensor:
        """Mean ‖h − h₀‖² / ‖h₀‖² over the texts of a step's batch."""
        texts = [row["first"] for row in self.texts.batch(self.settings.batch, step)]
        with torch.no_grad(), self.beginning.as_it_was(self.settings.to):
            before = pooled_states(self.model, texts, self.layer, self.texts.first)
        now = pooled_states(self.model, texts, self.layer, self.texts.first)
        return (((now - before) ** 2).sum(1) / (before**2).sum(1)).mean()

    def measured(self) -> dict[str, Any]:
        """The layer."""
        return {"layer": self.layer}


class LikeTargets:
    """Prompts in different languages as alike as their targets (after arXiv 2009.14510)."""

    def __init__(self, model: Any, texts: Texts, settings: LabelSimilarity, beginning: Beginning) -> None:
        self.model, self.texts, self.settings, self.beginning = model, texts, settings, beginning
        self.layer = layer_number(settings.layer, len(blocks_of(model)))

    def loss(self, step: int) -> torch.Tensor:
        """The loss of a step's batch; 0 where all its rows are in one language."""
        rows, first = self.texts.batch(self.settings.batch, step), self.texts.first
        with torch.no_grad(), self.beginning.as_it_was(self.settings.to):
            targets = pooled_states(self.model, [row["second"] for row in rows], self.layer, first)
        prompts = pooled_states(self.model, [row["first"] for row in rows], self.layer, first)
        return like_targets(prompts, targets, [row["item"] for row in rows], [row["languages"] for row in rows])

    def measured(self) -> dict[str, Any]:
        """The layer."""
        return {"layer": self.layer}


def like_targets(
    prompts: torch.Tensor, targets: torch.Tensor, items: Sequence[str], languages: Sequence[str]
) -> torch.Tensor:
    """Mean (cos(p_i, p_j) − s_ij)² over pairs in different languages; s is 1 within an item, else cos(t_i, t_j)."""
    alike, wanted = (
        functional.cosine_similarity(side[:, None], side[None], dim=-1) for side in (prompts, targets.detach())
    )
    same_item, same_language = (
        torch.tensor([[one == other for other in names] for one in names], device=prompts.device)
        for names in (items, languages)
    )
    squares = (alike - wanted.masked_fill(same_item, 1.0)) ** 2
    pairs = (~same_language).triu(1)
    return squares[pairs].mean() if pairs.any() else squares.sum() * 0


class Consolidated:
    """Elastic weight consolidation (Kirkpatrick et al. 2017): λ/2 · Σ F (θ − θ₀)² over the weights that learn.

    F is the empirical Fisher information: the mean over rows of the squared gradient of a row's mean loss of a token.
    """

    def __init__(self, model: Any, rows: Sequence[Any], settings: Ewc, beginning: Beginning) -> None:
        self.settings, self.beginning = settings, beginning
        self.importance = fisher(model, rows, beginning.learning())

    def loss(self, step: int) -> torch.Tensor:
        """The penalty without λ, which is the term's weight."""
        learning, weights = self.beginning.learning(), self.beginning.weights
        parts = [(self.importance[name] * (learning[name] - weights[name]) ** 2).sum() for name in weights]
        return torch.stack(parts).sum() / 2

    def measured(self) -> dict[str, Any]:
        """The sum of F."""
        return {"importance": float(sum(part.sum() for part in self.importance.values()))}


def fisher(model: Any, rows: Sequence[Any], learning: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The mean over rows of the squared gradients of the weights that learn."""
    was_training = model.training
    model.eval()
    sums = {name: torch.zeros_like(weight) for name, weight in learning.items()}
    for row in rows:
        batch = {name: part.to(next(model.parameters()).device) for name, part in padded([row]).items()}
        loss = model(**batch, supervised_positions_only=True, use_cache=False).loss_sum
        tokens = sum(label != IGNORED for label in row["labels"][1:])
        gradients = torch.autograd.grad(loss / tokens, [*learning.values()], materialize_grads=True)
        for name, gradient in zip(learning, gradients, strict=True):
            sums[name] += gradient**2
    model.train(was_training)
    return {name: total / len(rows) for name, total in sums.items()}


class Distilled:
    """The distribution of an earlier model at the supervised positions (Hinton et al. 2015)."""

    def __init__(self, model: Any, settings: Distil, beginning: Beginning) -> None:
        self.model, self.settings, self.beginning = model, settings, beginning
        self.divergence = 0.0
        """Of the micro-batches since it was last asked for: T² · KL, summed over tokens."""

    def loss_sum(self, inputs: Mapping[str, Any]) -> torch.Tensor:
        """(1 − λ) · negative log-likelihood + λ · T² · KL(earlier ‖ model), summed over supervised tokens."""
        with torch.no_grad(), self.beginning.as_it_was(self.settings.to):
            earlier, _ = states_to_score(self.model, **inputs)
        states, targets = states_to_score(self.model, **inputs)
        at_once = max(1, LOGITS_AT_ONCE // (4 * self.model.get_output_embeddings().weight.shape[0]))
        total = states.new_zeros((), dtype=torch.float32)
        for start in range(0, len(targets), at_once):
            chunk = slice(start, start + at_once)
            both = checkpoint(self._parts, states[chunk], earlier[chunk], targets[chunk], use_reentrant=False)
            total = total + (1 - self.settings.weight) * both[0] + self.settings.weight * both[1]
            self.divergence += float(both[1].detach())
        return total

    def _parts(self, states: torch.Tensor, earlier: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The negative log-likelihood of some positions, and T² · KL."""
        temperature = self.settings.temperature
        own, theirs = logits_of(self.model, states), logits_of(self.model, earlier)
        likelihood = functional.cross_entropy(own, targets, reduction="sum")
        log_own, log_theirs = (functional.log_softmax(logits / temperature, -1) for logits in (own, theirs))
        divergence = functional.kl_div(log_own, log_theirs, reduction="sum", log_target=True)
        return torch.stack([likelihood, temperature**2 * divergence])


class Terms:
    """The terms of a cell, ready before its first step."""

    def __init__(self, model: Any, causal: Any, job: CellJob, study: Path, first: int) -> None:
        """`model` is what learns, `causal` the causal model in it; `first` is how many tokens begin a text."""
        settings, self.weights = job.training.objectives, dict[str, float]()
        beginning, files = Beginning(model), StudyFolder(study).rows
        self.apart: dict[str, Aligned | Kept | LikeTargets | Consolidated | OwnTerm] = {}
        if settings.ewc:
            rows: list[Any] = list(Dataset.from_file(str(files / job.asides["ewc"])))
            self.apart["ewc"] = Consolidated(causal, rows, settings.ewc, beginning)
        if settings.align:
            texts = Texts(files / job.asides["align"], first, job.training.seed)
            self.apart["align"] = Aligned(causal, texts, settings.align)
        if settings.keep:
            texts = Texts(files / job.asides["keep"], first, job.training.seed)
            self.apart["keep"] = Kept(causal, texts, settings.keep, beginning)
        if settings.label_similarity:
            texts = Texts(files / job.asides["label_similarity"], first, job.training.seed)
            self.apart["label_similarity"] = LikeTargets(causal, texts, settings.label_similarity, beginning)
        if settings.own:
            texts = Texts(files / job.asides["own"], first, job.training.seed)
            digest = job.identity["training"]["objectives"]["own"]["code"]
            self.apart["own"] = OwnTerm(causal, texts, settings.own, beginning, digest)
        self.distilled = Distilled(causal, settings.distil, beginning) if settings.distil else None
        alternating = settings.align is not None and settings.align.schedule == "alternate"
        self.steps_of_its_own = ("align",) if alternating else ()
        self.weights = {name: getattr(settings, name).weight for name in self.apart}
        self.values: dict[str, float] = {}

    def add_gradients(self, step: int) -> None:
        """Adds the gradients of the terms that have no steps of their own to those of the likelihood."""
        for name in self.apart.keys() - {*self.steps_of_its_own}:
            self.backward(name, step)

    def backward(self, name: str, step: int) -> None:
        """Adds the gradient of a term, and notes what it comes to."""
        loss = self.apart[name].loss(step)
        (self.weights[name] * loss).backward()
        self.values[name] = float(loss.detach())

    def logged(self, tokens: float) -> dict[str, float]:
        """What the terms came to at the last step, whose likelihood was of so many tokens."""
        if self.distilled:
            self.values["distil"] = self.distilled.divergence / tokens
            self.distilled.divergence = 0.0
        return {f"{LOGGED_AS}{name}": value for name, value in self.values.items()}

    def measured(self) -> dict[str, Any]:
        """What is measured of each term at the end."""
        return {name: term.measured() for name, term in self.apart.items()}


def retrieval_in_words(objectives: Mapping[str, Any]) -> str:
    """How often held-out translations were found before and after an alignment, with the standard error of each."""
    measured = objectives["align"]
    pairs = measured["retrieval"].values()
    count = sum(of_languages["pairs"] for of_languages in pairs)
    shares = [sum(one[when] * one["pairs"] for one in pairs) / count for when in ("before", "after")]
    before, after = (f"{share:.1%} ± {(share * (1 - share) / count) ** 0.5:.1%}" for share in shares)
    return f"held-out translations found at layer {measured['layer']}: {before} before, {after} after ({count} pairs)"


class StepsOfTheirOwn(TrainerCallback):
    """Takes an optimizer step for a term after each step of the likelihood, at the same learning rate and clipping."""

    def __init__(self, terms: Terms, autocast: Callable[[], AbstractContextManager[Any]]) -> None:
        self.terms, self.autocast = terms, autocast

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Takes the step."""
        optimizer, model = kwargs["optimizer"], kwargs["model"]
        for name in self.terms.steps_of_its_own:
            with self.autocast():
                self.terms.backward(name, state.global_step - 1)
            torch.nn.utils.clip_grad_norm_(model.parameters(), args.max_grad_norm)
            optimizer.step()
            model.zero_grad()

"""Terms beside the likelihood: what they compute, that weight 0 is as if they were not there, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional
from transformers import AutoModelForCausalLM

from harness.errors import UserError
from harness.planning.study import Study
from harness.recipe.objectives_section import Distil, Ewc, Reference
from harness.recipe.training_section import Adapter
from harness.training.loop import ShowProgress
from harness.training.lora import with_adapter
from harness.training.objectives import Consolidated, Distilled, fisher, info_nce, like_targets, retrieval_in_words
from harness.training.pooled import best_layer, layer_number, pooled_states, states_after
from harness.training.supervised import with_supervised_forward
from harness.training.term_inputs import Beginning
from tests.support import changed, harness, small_recipe, train_here

Write = Callable[[dict[str, Any]], Path]
TEXTS = [[1, 30, 40, 50], [1, 60, 70], [1, 80, 90, 100, 110]]
PAIRS = {"sources": ["instructions"], "prompts_in": ["en"], "answers_in": ["fr"], "amount": 12, "only_for": "align"}


def aligned(tiny_model: Path) -> dict[str, Any]:
    """A recipe of a plain cell, and of cells with an alignment of one layer of two."""
    data = small_recipe(tiny_model)
    data["mixture"] = {"rows": {"sources": ["word-problems"], "languages": ["en"], "amount": 12}, "pairs": PAIRS}
    align = {"on": "pairs", "layer": 1, "batch": 4}
    data["grid"] = {"loss": {"path": "training.objectives", "values": {
        "plain": {}, "nothing": {"align": align | {"weight": 0}}, "alternate": {"align": align},
        "sum": {"align": align | {"schedule": "sum", "layer": 0.5}}, "best": {"align": align | {"layer": "best"}},
    }}}  # fmt: skip
    return data


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[Path, Path]:
    """The recipe, and the runs folder in which its cells are trained."""
    folder = tmp_path_factory.mktemp("aligned")
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(aligned(tiny_model)))
    assert train_here(recipe, folder).returncode == 0
    return recipe, folder


def record(runs: Path, cell: str, study: str = "small") -> dict[str, Any]:
    return json.loads((runs / study / cell / "record.json").read_text())


def adapter(runs: Path, cell: str, study: str = "small") -> dict[str, torch.Tensor]:
    return load_file(runs / study / cell / "adapter" / "adapter_model.safetensors")


@pytest.fixture
def model(tiny_model: Path) -> Any:
    """The tiny model with an adapter that is not nothing: what learns, and the causal model in it."""
    causal: Any = AutoModelForCausalLM.from_pretrained(tiny_model)
    causal.requires_grad_(False)
    learning = with_adapter(causal, Adapter(rank=4), 0)
    torch.manual_seed(1)
    for name, weight in learning.named_parameters():
        if "lora_B" in name:
            weight.data = torch.randn_like(weight) / 10
    with_supervised_forward(causal)
    return learning, causal


def test_the_loss_of_pairs_is_that_of_the_formula() -> None:
    torch.manual_seed(0)
    one, other = torch.randn(5, 8), torch.randn(5, 8)
    cosines = torch.tensor([[float(functional.cosine_similarity(x, y, dim=0)) for y in other] for x in one]) / 0.1
    expected = -sum(float(cosines[b, b] - torch.logsumexp(cosines[:, b], 0)) for b in range(5)) / 5
    assert math.isclose(float(info_nce(one, other, list("abcde"), 0.1)), expected, rel_tol=1e-4)
    order = torch.tensor([3, 1, 4, 0, 2])
    assert math.isclose(float(info_nce(one[order], other[order], list("dbeac"), 0.1)), expected, rel_tol=1e-4)
    identical = float(info_nce(one, one, list("abcde"), 1.0))
    assert identical == pytest.approx(
        -float(torch.log_softmax(functional.normalize(one) @ functional.normalize(one).T, 0).diag().mean())
    )
    assert 0 < identical < math.log(5)


def test_two_translations_of_one_item_are_no_negatives() -> None:
    torch.manual_seed(0)
    one, other = torch.randn(3, 8), torch.randn(3, 8)
    doubled = info_nce(torch.cat([one, one[:1]]), torch.cat([other, other[:1]]), list("abca"), 0.1)
    b = functional.normalize(one) @ functional.normalize(other).T / 0.1
    first = float(functional.cross_entropy(b.T, torch.arange(3), reduction="none")[0])
    alone = float(info_nce(one, other, list("abc"), 0.1))
    assert float(doubled) > 0 and math.isfinite(first + alone)
    columns = [torch.cat([b[:, 0]]), b[[0, 1, 2, 0], 1], b[[0, 1, 2, 0], 2], torch.cat([b[:, 0]])]
    targets = [0, 1, 2, 0]
    expected = sum(float(torch.logsumexp(c, 0) - c[t]) for c, t in zip(columns, targets, strict=True)) / 4
    assert math.isclose(float(doubled), expected, rel_tol=1e-4)


def test_states_are_means_without_what_begins_and_padding(model: Any) -> None:
    _, causal = model
    pooled = pooled_states(causal, TEXTS, 1, first=1)
    for text, state in zip(TEXTS, pooled, strict=True):
        hidden = causal.model(input_ids=torch.tensor([text]), output_hidden_states=True).hidden_states[1]
        assert torch.allclose(hidden[0, 1:].mean(0), state, atol=1e-5)


def test_the_last_layer_is_what_the_head_reads(model: Any) -> None:
    _, causal = model
    ids = torch.tensor([[1, 30, 40, 50]])
    last = causal.model(input_ids=ids, output_hidden_states=True).hidden_states[-1]
    assert torch.equal(states_after(causal, 2, input_ids=ids), last)


def test_nothing_above_the_aligned_layer_gets_a_gradient(model: Any) -> None:
    learning, causal = model
    states = pooled_states(causal, TEXTS, 1, first=1)
    info_nce(states, states.roll(1, 0), list("abc"), 0.1).backward()
    given = {name: weight.grad is not None for name, weight in learning.named_parameters() if weight.requires_grad}
    assert {name for name, there in given.items() if there} == {name for name in given if "layers.0." in name}
    assert len(given) == 2 * sum(given.values())


def test_layers_are_numbers_or_shares_and_the_best_is_neither_end() -> None:
    assert [layer_number(layer, 18) for layer in (9, 0.5, 0.01, 18)] == [9, 9, 1, 18]
    with pytest.raises(ValueError, match="layer 19 of an objective is none of the model's 18"):
        layer_number(19, 18)
    assert best_layer([[1.0, 0.2, 0.5, 0.4, 0.9], [1.0, 0.1, 0.3, 0.6, 0.9]]) == 3


def test_weight_0_is_the_plain_cell(trained: tuple[Path, Path]) -> None:
    recipe, runs = trained
    cells = {plan.name: plan.cell.names for plan in Study(recipe, runs).plans}
    assert cells["loss-plain"] == ("loss-plain", "loss-nothing"), "one identity, trained once"
    assert "objectives" not in record(runs, "loss-plain") and "objective_align" not in record(runs, "loss-plain")


def test_every_step_of_a_term_is_recorded_with_what_is_held_out(trained: tuple[Path, Path]) -> None:
    _, runs = trained
    plain = record(runs, "loss-plain")
    for cell in ("loss-alternate", "loss-sum", "loss-best"):
        done = record(runs, cell)
        assert done["steps"] == plain["steps"] == len(done["objective_align"]) == len(done["loss"]) == 3
        assert done["loss"][0] == plain["loss"][0], "the loss that is recorded is the likelihood's alone"
        assert all(0 < value < 5 for value in done["objective_align"])
        measured = done["objectives"]["align"]
        assert measured["layer"] == 1
        held_out = measured["retrieval"]["en>fr"]
        assert held_out["pairs"] == 48 and 0 <= held_out["before"] <= 1 and 0 <= held_out["after"] <= 1
        assert any(not torch.equal(weight, adapter(runs, cell)[name])
                   for name, weight in adapter(runs, "loss-plain").items())  # fmt: skip


def test_what_is_held_out_is_told_in_a_line() -> None:
    pairs = {"en>fr": {"pairs": 48, "before": 0.5, "after": 0.75}, "en>ja": {"pairs": 16, "before": 0.25, "after": 0.5}}
    told = retrieval_in_words({"align": {"layer": 9, "retrieval": pairs}})
    assert told == "held-out translations found at layer 9: 43.8% ± 6.2% before, 68.8% ± 5.8% after (64 pairs)"


def test_stopped_in_the_middle_it_comes_to_the_same(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, runs = trained

    def stop(self: ShowProgress, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ShowProgress, "on_step_end", stop)
        assert train_here(recipe, tmp_path, "--cells", "loss-alternate").returncode == 130
    assert train_here(recipe, tmp_path, "--cells", "loss-alternate").returncode == 0
    again, done = record(tmp_path, "loss-alternate"), record(runs, "loss-alternate")
    assert again["resumed_at"] == 2
    assert again["objective_align"] == pytest.approx(done["objective_align"], abs=1e-6)
    one, other = adapter(tmp_path, "loss-alternate"), adapter(runs, "loss-alternate")
    assert max(float((one[name] - other[name]).abs().max()) for name in one) <= 1e-6


def test_the_plan_says_what_a_term_sees_and_warns_of_templates(trained: tuple[Path, Path], tmp_path: Path) -> None:
    notes = json.loads(harness("plan", trained[0], "--runs", tmp_path, "--json").stdout)["notes"]
    assert (
        "align: 12 instructions/en>fr as pair; batches of 4, 3 steps of its own, one after each; 48 pairs held out to "
        "measure it; the time estimate leaves it out"
    ) in notes
    assert any("added to each of 3 steps" in note for note in notes)


def test_pairs_of_templates_are_warned_of(tiny_model: Path, write_recipe: Write, tmp_path: Path) -> None:
    data = aligned(tiny_model)
    data["mixture"]["pairs"] = PAIRS | {"amount": 120}
    notes = json.loads(harness("plan", write_recipe(data), "--runs", tmp_path, "--json").stdout)["notes"]
    assert any("templates, so most texts of a batch differ in names and numbers alone" in note for note in notes)


def test_pairs_are_looked_through_for_test_items(tiny_model: Path, write_recipe: Write, tmp_path: Path) -> None:
    rows = [{"prompt": f"{word * 30}?", "target": "It is 4.", "answer": "4", "item": str(number)}
            for number, word in enumerate("abcdefghijklmnopqrstuvwxyz")]  # fmt: skip
    for language in ("en", "fr"):
        for split, of in (("train", rows), ("test", rows[3:4])):
            (tmp_path / f"{language}.{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in of))
    data = aligned(tiny_model)
    columns = {"item": "item", "answer": "answer"}
    data["sources"] = {"own": {"task": "math", "languages": ["en", "fr"], "columns": columns,
                               "files": "{language}.{split}.jsonl"}}  # fmt: skip
    data["mixture"]["pairs"] = PAIRS | {"sources": ["own"], "amount": 18}
    data["evaluation"] |= {"tasks": ["math"], "sources": {"math": "own"}, "items": 1, "max_tokens": {"math": 8}}
    data["languages"] = {"seen": ["en", "fr"]}
    with pytest.raises(UserError, match="training rows that give test items away: "):
        _ = Study(write_recipe(data), tmp_path / "runs").plans


def test_too_few_pairs_to_hold_some_out_are_refused(tiny_model: Path, write_recipe: Write, tmp_path: Path) -> None:
    data = aligned(tiny_model)
    data["mixture"]["pairs"] = PAIRS | {"amount": 15_995}
    with pytest.raises(UserError, match="got 16003 examples, but instructions can serve 16000 in 'en>fr as pair'"):
        Study(write_recipe(data), tmp_path).check()


def staged(tiny_model: Path, terms: dict[str, Any]) -> dict[str, Any]:
    """English, then French, with terms that heed what came before."""
    data = small_recipe(tiny_model) | {"study": "staged"}
    del data["mixture"]
    texts = {"sources": ["instructions"], "languages": ["fr"], "amount": 6, "only_for": "keep"}
    labels = {"sources": ["instructions"], "languages": ["en", "fr"], "amount": 6, "only_for": "label_similarity"}
    rows = {"sources": ["word-problems"], "amount": 8}
    asides = {"texts": texts, "labels": labels}
    data["stages"] = {"en": {"mixture": {"rows": rows | {"languages": ["en"]}}},
                      "fr": {"mixture": {"rows": rows | {"languages": ["fr"]}, **asides}}}  # fmt: skip
    data["grid"] = {"terms": {"path": "training.objectives", "values": terms}}
    return data


TERMS: dict[str, Any] = {
    "naive": {},
    "weak": {"ewc": {"weight": 0.001, "rows": 4}},
    "strong": {"ewc": {"weight": 1e9, "rows": 4}},
    "previous": {"distil": {"weight": 0.9}},
    "base": {"distil": {"to": "base", "weight": 0.5}},
    "keep": {"keep": {"on": "texts", "layer": 1, "to": "previous", "weight": 1000, "batch": 4}},
    "labels": {"label_similarity": {"on": "labels", "layer": 1, "to": "previous", "weight": 10, "batch": 12}},
}


@pytest.fixture(scope="module")
def continued(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[Path, Path]:
    """A recipe of two stages with terms that heed the first one, and where its cells are trained."""
    folder = tmp_path_factory.mktemp("continued")
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(staged(tiny_model, TERMS)))
    assert train_here(recipe, folder).returncode == 0
    return recipe, folder


def test_every_term_of_weight_0_is_the_plain_cell(tiny_model: Path, write_recipe: Write, tmp_path: Path) -> None:
    nothing = {term: {name: of | {"weight": 0} for name, of in given.items()} for term, given in TERMS.items()}
    plans = {plan.name: plan for plan in Study(write_recipe(staged(tiny_model, nothing)), tmp_path).plans}
    assert [*plans] == ["terms-naive_stage-en", "terms-naive_stage-fr"], "one identity, trained once"
    assert {*plans["terms-naive_stage-fr"].cell.names} == {f"terms-{term}_stage-fr" for term in TERMS}


def moved(runs: Path, term: str) -> float:
    """How far a cell's second stage went from the first."""
    before = adapter(runs, "terms-naive_stage-en", "staged")
    after = adapter(runs, f"terms-{term}_stage-fr", "staged")
    return math.sqrt(sum(float(((after[name] - before[name]) ** 2).sum()) for name in before))


def test_the_first_stage_has_nothing_before_it_and_is_shared(continued: tuple[Path, Path]) -> None:
    recipe, runs = continued
    plans = {plan.name: plan for plan in Study(recipe, runs).plans}
    firsts = [name for name in plans if name.endswith("stage-en")]
    assert firsts == ["terms-naive_stage-en", "terms-base_stage-en"], "distilling to the base needs no stage before"
    ewc = plans["terms-weak_stage-fr"]
    assert ewc.run.identity["objectives"]["ewc"]["mixture"] == {"word-problems/en": 4}
    assert set(plans["terms-naive_stage-en"].mixture.keys.tolist()) > set(ewc.asides["ewc"].rows.keys.tolist())
    assert plans["terms-naive_stage-fr"].mixture.keys.tolist() == ewc.mixture.keys.tolist(), "no row of its own moves"


def test_terms_hold_the_model_near_to_where_the_stage_began(continued: tuple[Path, Path]) -> None:
    _, runs = continued
    distances = {term: moved(runs, term) for term in TERMS}
    assert distances["strong"] < distances["naive"] and distances["keep"] < distances["naive"]
    assert 0 < abs(distances["weak"] - distances["naive"]) < distances["naive"] / 4
    values = record(runs, "terms-strong_stage-fr", "staged")["objective_ewc"]
    assert values[0] == 0.0 and values[1] > 0, "at the beginning nothing has moved"
    assert record(runs, "terms-keep_stage-fr", "staged")["objective_keep"][0] == 0.0
    assert record(runs, "terms-previous_stage-fr", "staged")["objective_distil"][0] == pytest.approx(0, abs=1e-5)
    assert record(runs, "terms-base_stage-fr", "staged")["objective_distil"][0] > 1e-3


def test_prompts_are_compared_as_their_targets_are(continued: tuple[Path, Path]) -> None:
    _, runs = continued
    values = record(runs, "terms-labels_stage-fr", "staged")["objective_label_similarity"]
    assert len(values) == 2 and all(0 < value < 1 for value in values)
    assert abs(moved(runs, "labels") - moved(runs, "naive")) > 1e-3


def test_the_similarity_of_labels_is_the_formula() -> None:
    torch.manual_seed(0)
    prompts, targets = torch.randn(4, 6), torch.randn(4, 6)
    items, languages = ["a", "a", "b", "c"], ["en", "fr", "fr", "en"]
    pairs = [(0, 1), (0, 2), (1, 3), (2, 3)]
    wanted = {(0, 1): 1.0} | {pair: float(functional.cosine_similarity(*targets[[*pair]], dim=0)) for pair in pairs[1:]}
    alike = {pair: float(functional.cosine_similarity(*prompts[[*pair]], dim=0)) for pair in pairs}
    expected = sum((alike[pair] - wanted[pair]) ** 2 for pair in pairs) / 4
    assert float(like_targets(prompts, targets, items, languages)) == pytest.approx(expected, rel=1e-5)
    assert float(like_targets(prompts, targets, items, ["en"] * 4)) == 0.0, "nothing to compare"


def test_distilling_is_the_formula(model: Any) -> None:
    learning, causal = model
    beginning = Beginning(learning)
    inputs = {"input_ids": torch.tensor([[1, 30, 40, 50, 60]]), "labels": torch.tensor([[-100, -100, 40, 50, 60]])}
    for name, weight in learning.named_parameters():
        if "lora_B" in name:
            weight.data = weight.data * 3
    own = causal(input_ids=inputs["input_ids"]).logits[0, 1:-1].detach()
    both: tuple[Reference, ...] = ("base", "previous")
    for to in both:
        settings = Distil(to=to, weight=0.3)
        with torch.no_grad(), beginning.as_it_was(to):
            theirs = causal(input_ids=inputs["input_ids"]).logits[0, 1:-1].float()
        mine, earlier = (torch.log_softmax(logits / 2, -1) for logits in (own, theirs))
        divergence = float((earlier.exp() * (earlier - mine)).sum())
        likelihood = float(functional.cross_entropy(own, torch.tensor([40, 50, 60]), reduction="sum"))
        distilled = Distilled(causal, settings, beginning)
        loss = distilled.loss_sum(inputs)
        assert float(loss.detach()) == pytest.approx(0.7 * likelihood + 0.3 * 4 * divergence, rel=1e-4)
        assert distilled.divergence == pytest.approx(4 * divergence, rel=1e-3)
        loss.backward()
    after = causal(input_ids=inputs["input_ids"]).logits[0, 1:-1].detach()
    assert torch.equal(own, after), "the model is as it was"


def test_importance_is_the_mean_squared_gradient(model: Any) -> None:
    learning, causal = model
    weights = Beginning(learning).learning()
    rows = [{"input_ids": [1, 30, 40, 50], "labels": [-100, -100, 40, 50]}, {"input_ids": [1, 9], "labels": [-100, 9]}]
    importance = fisher(causal, rows, weights)
    expected = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for row in rows:
        logits = causal(input_ids=torch.tensor([row["input_ids"]])).logits[0, :-1]
        causal.zero_grad()
        functional.cross_entropy(logits, torch.tensor(row["labels"][1:])).backward()
        for name, weight in weights.items():
            expected[name] += weight.grad**2 / 2
    for name, part in importance.items():
        assert torch.allclose(part, expected[name], rtol=1e-3, atol=1e-9), name
    assert np.isfinite(sum(float(part.sum()) for part in importance.values()))


def test_what_is_held_without_bound_stays_where_it_began(model: Any) -> None:
    """The minimum of likelihood and penalty: AdamW, which heeds the direction of a step alone, would overshoot it."""
    learning, causal = model
    rows: list[Any] = [{"input_ids": [1, 30, 40, 50, 60], "labels": [-100, -100, 40, 50, 60]}]
    beginning = Beginning(learning)
    weights = beginning.learning()

    def distance(strength: float) -> float:
        held = Consolidated(causal, rows, Ewc(weight=strength), beginning)
        optimizer = torch.optim.LBFGS([*weights.values()], max_iter=10, line_search_fn="strong_wolfe")

        def loss() -> torch.Tensor:
            optimizer.zero_grad()
            likelihood = causal(
                input_ids=torch.tensor([rows[0]["input_ids"]]), labels=torch.tensor([rows[0]["labels"]])
            )
            total = likelihood.loss + strength * held.loss(0)
            total.backward()
            return total

        optimizer.step(loss)
        apart = sum(float(((weight.detach() - beginning.weights[name]) ** 2).sum()) for name, weight in weights.items())
        for name, weight in weights.items():
            weight.data = beginning.weights[name].clone()
        return math.sqrt(apart)

    assert distance(1e12) < 1e-6 < 1e-2 < distance(0)


MISTAKES: list[tuple[str, Any, str]] = [
    ("training.objectives.align.on", "paris", "no component 'paris'; did you mean 'pairs'?"),
    ("training.objectives.align.on", "rows", "'rows' is for something else; give it only_for: align"),
    ("mixture.pairs", PAIRS | {"prompts_in": None, "answers_in": None, "languages": ["en"]},
     "mixture.pairs: pairs to align are of two languages: give prompts_in and answers_in"),
    ("mixture.pairs.as", "pair", "mixture.pairs.as: a component that is only for align is of texts as they are"),
    ("execution", {"sharding": "fsdp2"}, "execution.sharding: align: of a model that is parted among processes none"),
    ("execution", {"gpus_per_cell": 2}, "execution.gpus_per_cell: align: a term compares all rows of its batch"),
    ("training.objectives.ewc", {"weight": 1}, "training.objectives.ewc: needs a stage before; add stages"),
    ("training.objectives.distil", {}, "training.objectives.distil: needs a stage before"),
    ("training.objectives.distill", {}, "training.objectives.distill: unknown key; did you mean 'distil'?"),
    ("mixture.pairs.only_for", "label_similarity", "mixture.pairs: rows for label_similarity are in one language each"),
    ("training.objectives.align.layer", 0, "training.objectives.align.layer"),
    ("training.method", "full", "training.objectives.distil: needs the earlier model beside the one that is tuned"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "message"), MISTAKES, ids=[message[:60] for _, _, message in MISTAKES])
def test_a_mistake_is_told(
    path: str, value: Any, message: str, tiny_model: Path, write_recipe: Write, tmp_path: Path
) -> None:
    data = aligned(tiny_model)
    data["training"]["objectives"] = data.pop("grid")["loss"]["values"]["alternate"]
    if path == "training.method":
        data["training"]["objectives"] = {"distil": {"to": "base"}}
    with pytest.raises(UserError) as refused:
        Study(write_recipe(changed(data, path, value)), tmp_path / "runs").check()
    assert message in str(refused.value)

"""Models that are there already: rows of the study beside its base models and cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from eval.engines.endpoint import Endpoint
from eval.engines.engine import Quantization
from eval.generation.requests import ModelUnderTest
from harness.errors import Problem
from harness.models.adapters import find_adapter
from harness.planning.bases import Base
from harness.planning.problems import problems_of
from harness.recipe.models_section import Model, OutsideModel
from harness.recipe.schema import Recipe


@dataclass(frozen=True, slots=True)
class Outside:
    """A model that is there already."""

    name: str
    settings: OutsideModel
    host: Base | None
    """The whole model that an engine loads for it: itself, or the base of its adapter; None behind an endpoint."""

    @property
    def endpoint(self) -> Endpoint:
        """The model behind an endpoint."""
        given = self.settings
        assert given.endpoint is not None and given.model is not None
        return Endpoint(given.model, given.endpoint, given.concurrency, key_variable=given.api_key_variable)

    def under_test(self) -> ModelUnderTest:
        """What is evaluated. Raises UserError where it cannot be had."""
        if self.host is None:
            return ModelUnderTest(self.name, elsewhere=self.endpoint.identity)
        if self.settings.adapter is None:
            return ModelUnderTest(self.name, whole=self.host.files)
        return ModelUnderTest(self.name, find_adapter(self.settings.adapter, f"models.{self.name}.adapter"))


def outside_of(recipe: Recipe, bases: Sequence[Base]) -> list[Outside]:
    """The models that the recipe names. An adapter is put on a base of the study where it is of one."""
    hosts = {_key(base.settings): base for base in bases}
    return [Outside(name, given, _host(recipe, name, given, hosts)) for name, given in recipe.models.items()]


_Key: TypeAlias = tuple[str, str | None, Quantization]


def _key(settings: Model) -> _Key:
    return settings.name, settings.revision, settings.quantization


def _host(recipe: Recipe, name: str, given: OutsideModel, hosts: dict[_Key, Base]) -> Base | None:
    if given.endpoint is not None:
        return None
    if given.adapter is None:
        settings = Model(name=given.name or "", revision=given.commit, dtype=recipe.dtype)
        return Base(name, settings, recipe, (), f"models.{name}.name")
    if given.base is None:
        settings = recipe.base_model
    else:
        settings = Model(name=given.base, revision=given.commit, dtype=recipe.dtype)
    key = _key(settings)
    if key not in hosts:
        hosts[key] = Base(f"base of {name}", settings, recipe, (), f"models.{name}.base")
    return hosts[key]


def against(bases: Sequence[Base], outside: Sequence[Outside]) -> dict[str, str]:
    """Model → the untuned model that it is compared with: its own base, or the only one; empty where there is none."""
    names = [base.name for base in bases]
    return {model.name: compared_with(names, model.host and model.host.name) for model in outside}


def compared_with(bases: Sequence[str], host: str | None) -> str:
    """The untuned model that a model from elsewhere is compared with, which has this host."""
    if host is not None and host in bases:
        return host
    return bases[0] if len(bases) == 1 else ""


def outside_problems(recipe: Recipe, outside: Sequence[Outside], taken: Sequence[str]) -> list[Problem]:
    """Models that cannot be had, are called as another one is, or can do nothing of what is asked."""
    problems: list[Problem] = []
    if recipe.evaluation.lm_eval and recipe.model is None and all(model.host is None for model in outside):
        message = "asks for log-probabilities, and endpoints give none; remove it, or name a model with weights too"
        problems.append(Problem("evaluation.lm_eval", message))
    problems += [Problem(f"models.{model.name}", f"a cell or a base model is called {model.name!r}; call it otherwise")
                for model in outside if model.name in taken]  # fmt: skip
    for model in outside:
        problems += problems_of(lambda model=model: model.host and model.host.files)
        problems += problems_of(model.under_test) if model.settings.adapter else []
    return problems

"""What a recipe says of models: the base model, and those that are there already."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from eval.engines.engine import Quantization
from harness.recipe.revisions_section import Revisions
from harness.recipe.section import Amount, PositiveInt, Section, Seed


class Reinitialise(Section):
    """Decoder blocks that begin from new random weights, by the model's own rule (Muller et al. 2021).

    They are trained fully whatever `training.method` says, since an adapter cannot repair random weights: with `lora`
    the other blocks have adapters, and the cell is a whole model in which these are merged.
    """

    layers: Annotated[tuple[Amount, Amount], Field(strict=False)] | None = None
    """The first block, and the one before which they end: [0, 3] is blocks 0, 1 and 2. Without it none."""
    seed: Seed = 0
    """The seed of the new weights."""
    elsewhere: bool = False
    """The control, for `training.method: full`: as many single weights, at random places in all other blocks."""


class Model(Section):
    """The base model: a packaged name, a folder with safetensors, or a Hugging Face id.

    `dtype: auto` is bfloat16 if the device that starts the study computes in it, else float32.
    """

    name: str
    """A packaged name such as `gemma-3-270m`, a folder with safetensors, or a Hugging Face id."""
    revision: str | None = None
    """The commit or branch of a Hugging Face id; a branch is resolved to a commit."""
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    """The number format of training and of every engine. `auto` is bfloat16 if the device that starts the study
    computes in it, else float32."""
    quantization: Quantization = "none"
    """nf4: the weights of linear layers are rounded to four bits for training and generation, which leaves room for
    larger models on a small GPU (QLoRA). Needs bitsandbytes."""
    trust_remote_code: bool = False
    """Whether to run Python code that comes with the model. Only for models you trust."""
    reinitialise: Reinitialise | None = None
    """Blocks that cells begin with new random weights in; the base model itself is evaluated as it is."""


class OutsideModel(Section):
    """A model that is there already: an adapter, a whole model, or one behind an endpoint. A text alone is a `name`.

    One of `name`, `adapter` and `endpoint` is given. An adapter and a whole model are read from safetensors alone, and
    no Python code that comes with them is run. An endpoint writes completions only: tasks that need log-probabilities
    have no score of it.
    """

    name: str | None = None
    """A packaged name, a folder with safetensors, or a Hugging Face id."""
    adapter: str | None = None
    """A folder with a LoRA adapter in PEFT's format."""
    base: str | None = None
    """The base model of the adapter, named as `name` is. Default: the recipe's base model."""
    revision: str | Revisions | None = None
    """The commit or branch of `name`, or of the adapter's `base`, where that is a Hugging Face id. With a pattern, as
    in `{pattern: "stage1-step-*", take: 8, spacing: log}`, each revision of `name` is a model, called after both."""
    endpoint: str | None = None
    """The address of a server with OpenAI's protocol."""
    model: str | None = None
    """The endpoint's name for the model."""
    chat: bool = True
    """Whether the model gets messages of a chat; else it gets plain text to go on with, as base models do."""
    concurrency: PositiveInt = 16
    """How many requests are made at once."""
    api_key_variable: Annotated[str, Field(min_length=1)] = "OPENAI_API_KEY"
    """The environment variable that holds the endpoint's key."""

    @property
    def commit(self) -> str | None:
        """The revision, once patterns are resolved."""
        return self.revision if isinstance(self.revision, str) else None

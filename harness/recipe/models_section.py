"""What a recipe says of models: the base model, and those that are there already."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.recipe.section import PositiveInt, Section


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
    trust_remote_code: bool = False
    """Whether to run Python code that comes with the model. Only for models you trust."""


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
    revision: str | None = None
    """The commit or branch of `name`, or of the adapter's `base`, where that is a Hugging Face id."""
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

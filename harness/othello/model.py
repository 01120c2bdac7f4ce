"""A small GPT from scratch, of the shape that arXiv 2404.12444 trains."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from data_mixes.othello.languages import Vocabulary


@dataclass(frozen=True)
class Shape:
    """Layers, attention heads, the width of the residual stream, and the dropout rate."""

    layers: int = 8
    heads: int = 8
    width: int = 512
    dropout: float = 0.1


def random_model(shape: Shape, words: Vocabulary, seed: int) -> GPT2LMHeadModel:
    """A model with random weights: learned positions, layer norms before each part, an output layer of its own."""
    config = GPT2Config(
        vocab_size=words.size,
        n_positions=words.longest_game - 1,
        n_layer=shape.layers,
        n_head=shape.heads,
        n_embd=shape.width,
        activation_function="gelu",
        embd_pdrop=shape.dropout,
        attn_pdrop=shape.dropout,
        resid_pdrop=shape.dropout,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return GPT2LMHeadModel(config)

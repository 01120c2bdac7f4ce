"""What a model reads: examples, sources, prompts and mixtures. This package does not import torch."""

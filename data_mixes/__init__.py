"""What a model reads: examples, sources, prompts and mixtures. No torch here."""

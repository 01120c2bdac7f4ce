"""What a model computes on the way: states of sentences and words, probes, similarity between languages."""

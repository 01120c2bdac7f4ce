"""What a model writes, judged: generation, scores, statistics, reports."""

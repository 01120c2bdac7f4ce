"""Other programs: lm-evaluation-harness and inspect_ai."""

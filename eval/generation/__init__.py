"""Models × prompts → completions, kept on disk."""

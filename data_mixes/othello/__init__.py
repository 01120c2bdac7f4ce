"""Othello as a synthetic world: random legal games, written in languages that the recipe makes up."""

"""Measures of a model of Othello: how legal its moves are, and whether its languages share a picture of the board."""

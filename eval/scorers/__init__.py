"""Scorers: small pure functions from a prediction to a score."""

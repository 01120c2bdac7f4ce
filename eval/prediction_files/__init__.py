"""Predictions made by any program."""

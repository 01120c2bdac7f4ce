"""Compose, run and record transfer studies."""

__version__ = "0.1.0"

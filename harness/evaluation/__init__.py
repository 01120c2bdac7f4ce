"""Cells and the base through one engine, then scores."""

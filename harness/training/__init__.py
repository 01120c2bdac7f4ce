"""Training a cell."""

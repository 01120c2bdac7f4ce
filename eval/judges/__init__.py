"""Models that judge what others wrote."""

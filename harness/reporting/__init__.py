"""From stored scores to a study's report."""

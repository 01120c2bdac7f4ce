"""Reports from stored scores alone: terminal and HTML."""

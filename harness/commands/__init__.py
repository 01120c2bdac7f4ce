"""One file a command, of its name."""

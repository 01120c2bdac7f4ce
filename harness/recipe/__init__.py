"""A recipe: its keys, how it is read, what is wrong with it. Opens no data."""

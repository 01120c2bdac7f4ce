"""Files and data sets as Arrow tables on disk."""

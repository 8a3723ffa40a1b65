"""Export: which files are written."""

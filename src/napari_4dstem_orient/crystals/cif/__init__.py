"""Reads CIF files, those of the wild too."""

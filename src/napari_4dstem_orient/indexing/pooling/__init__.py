"""Lets neighbours speak: positions that may be one crystal answer together."""

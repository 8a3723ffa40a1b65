"""Limits that several floors share, without an import."""

MOST_CRYSTALS = 3
"""Whose orientations are told, in one pattern."""

"""One module for each family of 4D-STEM files.

Each has ``NAME``, ``SUFFIXES``, ``matches(path) -> bool`` and ``read(path, voltage) -> list[Source]``;
``voltage`` (kV or None) is what the user typed, for files that store detector pixels as angles.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def named(suffixes: tuple[str, ...]) -> Callable[[Path], bool]:
    """Return the ``matches`` of a format that is known by the ending of its files' names alone."""
    return lambda path: path.name.lower().endswith(suffixes)

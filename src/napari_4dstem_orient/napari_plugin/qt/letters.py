"""The letters of what is written on the canvas, drawn before they are needed."""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import napari

SPELLED = "orientation_letters"
"""Key of our text among the canvas overlays, while letters are drawn."""
LETTERS = string.digits + "nm" + "abcdefghijklopqrstuvwxyz·%°µÅ,.:()[]-" + string.ascii_uppercase
"""Those of the scale bar first."""
LEISURE = 150
"""Milliseconds from letter to letter: nothing else shall wait for them."""


def drawing_letters(viewer: napari.Viewer) -> Iterator[None]:
    """Let napari draw one letter after the other, where nobody sees it.

    It draws each when a text first needs it, which takes about 20 ms; the first words about a map need forty at
    once.
    """
    from napari.components.overlays import TextOverlay

    overlays = viewer.canvas.overlays
    if SPELLED in overlays:
        return
    overlay = overlays[SPELLED] = TextOverlay(opacity=0.0, visible=True)
    for letter in LETTERS:
        overlay.text = letter
        yield
    del overlays[SPELLED]

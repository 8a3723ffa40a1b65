"""What was made with an unchecked calibration says so: in its layers' names and metadata, and on the canvas."""

from __future__ import annotations

import textwrap
from typing import Any

import napari

EXPLORATORY = "exploratory"
"""Key in a layer's ``metadata``, why it is for a first look only (empty where it is not); and of our canvas overlay."""
SUFFIX = " · exploratory"
"""What the names of such layers end in."""
WATCHED = ("inserted", "removed", "visible", "metadata")
"""What may happen to layers that changes what is said."""
LINE = 34
"""Characters in a line of the overlay, which must leave room for what stands at the left."""


def badged(name: str, why: str) -> str:
    """Return a layer's name, with the badge where there is a reason."""
    return name + SUFFIX if why else name


def show_badge(viewer: napari.Viewer) -> None:
    """Let the canvas say why what it shows is exploratory, as long as it shows such a layer; once for each viewer.

    A screenshot of the canvas thus says it too.
    """
    from napari.components.overlays import TextOverlay

    overlays, layers = viewer.canvas.overlays, viewer.layers
    if EXPLORATORY in overlays:
        return
    overlay = overlays[EXPLORATORY] = TextOverlay(position="top_right", font_size=9)

    def update(event: Any = None) -> None:
        if event is not None and event.type not in WATCHED:
            return
        shown = (layer.metadata.get(EXPLORATORY, "") for layer in layers if layer.visible)
        overlay.text = "\n".join(textwrap.fill(why, LINE) for why in dict.fromkeys(shown) if why)
        overlay.visible = bool(overlay.text)

    layers.events.connect(update)
    update()

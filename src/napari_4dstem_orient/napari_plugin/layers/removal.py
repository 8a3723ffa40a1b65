"""Layers that the program itself takes away are told from those that the user deletes, which can be brought back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer

GOING = "taken_away"
"""Key in a layer's ``metadata``: the program takes it away."""


def take_away(viewer: napari.Viewer, *layers: Layer) -> None:
    """Remove layers for the program's own reasons."""
    for layer in layers:
        layer.metadata[GOING] = True
        viewer.layers.remove(layer)

"""Regions of the scan that napari's labels layers hold: grains that were found, or what the user painted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels

from napari_4dstem_orient.napari_plugin.state.sessions import bare_viewer

if TYPE_CHECKING:
    import napari


def region_at(viewer: napari.Viewer, position: tuple[int, int], scan_shape: tuple[int, int]) -> np.ndarray:
    """Return the scan positions of the region that a position lies in.

    Of several labels layers the selected one is asked first, then those on top.

    Returns
    -------
    ndarray of int, shape (n, 2)
        Rows and columns; empty where no labels layer of the scan's shape has a region there.
    """
    layers = bare_viewer(viewer).layers
    labels = [layer for layer in layers if isinstance(layer, Labels) and layer.data.shape == scan_shape]
    active = layers.selection.active
    for layer in sorted(reversed(labels), key=lambda layer: layer is not active):
        if number := int(layer.data[position]):
            return np.argwhere(np.asarray(layer.data) == number)
    return np.zeros((0, 2), int)

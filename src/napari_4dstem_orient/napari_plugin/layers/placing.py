"""Where layers of the scan lie, all in one unit (nm where the scan step is known, scan positions where not), and back.

With nm and µm (or pixels) mixed, napari's coordinates of one of them are off by a thousand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Layer


def placement(steps: tuple[float, float] | None) -> dict[str, Any]:
    """Return scale and units of a layer with one pixel for each scan position, from the scan steps in nm."""
    return {"scale": steps or (1.0, 1.0), "units": ("nanometer" if steps else "pixel",) * 2}


def place(layer: Layer, steps: tuple[float, float] | None) -> bool:
    """Give a layer one pixel for each scan position, and say whether it had another size."""
    wanted = placement(steps)
    if tuple(layer.scale) == wanted["scale"] and tuple(map(str, layer.units)) == wanted["units"]:
        return False
    layer.scale, layer.units = wanted["scale"], wanted["units"]
    return True


def scan_position(
    layer: Layer, world: tuple[float, ...], shape: tuple[int, int] | None
) -> tuple[int, int] | None:
    """Return the scan position (row, column) of a layer at a world position; None beside a scan of this shape."""
    row, col = np.rint(layer.world_to_data(world)[-2:]).astype(int).tolist()
    return (row, col) if shape is None or (0 <= row < shape[0] and 0 <= col < shape[1]) else None

"""A map as one OME-TIFF: the IPF pictures and every quantity as a layer, with units, for Fiji, QuPath and napari."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_4dstem_orient.analysis.colours import DIRECTION_TEXT, ipf_colors
from napari_4dstem_orient.core.atomic import write
from napari_4dstem_orient.core.inputs import inputs_of
from napari_4dstem_orient.core.ours import signature
from napari_4dstem_orient.export.base import Export
from napari_4dstem_orient.export.quantities import conventions, quantities

if TYPE_CHECKING:
    from napari_4dstem_orient.core.orientation_map import OrientationMap


def save_ome_tiff(orientation_map: OrientationMap, path: str | Path) -> None:
    """Write an OME-TIFF of four images.

    IPF-X, IPF-Y and IPF-Z (RGB, 8 bits; black where there is no answer) and "quantities" (float32; NaN where
    there is no answer), whose channels are those of ``quantities``, with their names. One pixel for each scan
    position; its size in nm stands in the OME metadata and in the resolution tags.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    import tifffile

    steps = orientation_map.steps
    notes = "; ".join(conventions(orientation_map))
    known = quantities(orientation_map)
    # Through memory: tifffile's own error on a full disk does not say so.
    packed = BytesIO()
    with tifffile.TiffWriter(packed, ome=True) as tiff:
        for axis, title in DIRECTION_TEXT.items():
            rgb = np.rint(255 * ipf_colors(orientation_map, axis)[..., :3]).astype(np.uint8)
            about = {"axes": "YXS", "Name": title, "Description": notes} | _size(steps)
            tiff.write(rgb, photometric="rgb", software=signature(), metadata=about, **_resolution(steps))
        about = {
            "axes": "CYX",
            "Name": "quantities",
            "Description": notes,
            "Channel": {"Name": [f"{name} ({unit})" if unit else name for name, unit, _ in known]},
        }
        stack = np.stack([values for *_, values in known]).astype(np.float32)
        tiff.write(stack, photometric="minisblack", metadata=about | _size(steps), **_resolution(steps))
    write(path, packed.getvalue(), inputs=inputs_of(orientation_map.provenance))


def _size(steps: tuple[float, float] | None) -> dict[str, Any]:
    """Return the size of a pixel as OME has it."""
    if steps is None:
        return {}
    return {
        "PhysicalSizeX": steps[1],
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": steps[0],
        "PhysicalSizeYUnit": "nm",
    }


def _resolution(steps: tuple[float, float] | None) -> dict[str, Any]:
    """Return the size of a pixel as plain TIFF has it: pixels per centimetre."""
    return (
        {}
        if steps is None
        else {"resolution": (1e7 / steps[1], 1e7 / steps[0]), "resolutionunit": "CENTIMETER"}
    )


OME = Export("All layers with units", ".ome.tif", save_ome_tiff, "Fiji, QuPath, napari")

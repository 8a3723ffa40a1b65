"""Gatan Digital Micrograph: .dm3 and .dm4."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_4dstem_orient.core.units import kilovolts
from napari_4dstem_orient.io.formats import ScanFormat
from napari_4dstem_orient.io.formats.axes import detector_first, from_axes
from napari_4dstem_orient.io.formats.rosettasciio import Signal, signals
from napari_4dstem_orient.io.source import Source, Transposed, why_unfit


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the file's scans and stacks, and what is none."""
    return [_source(one, voltage) for one in signals("digitalmicrograph", path)]


def _source(found: Signal, typed: float | None) -> Source:
    data: Any = found.data
    axes = found.axes
    if detector_first(axes):
        data, axes = Transposed(data, (2, 3, 0, 1)), [*axes[2:], *axes[:2]]
    if unfit := why_unfit(data.shape, data.dtype):
        return Source([data], unfit=unfit)
    tags = ("ImageList", "TagGroup0", "ImageTags")
    voltage = typed or kilovolts(found.told(*tags, "Microscope Info", "Voltage"))
    # NCEM's TitanX notes the scan shape beside its flat stacks.
    rows, cols = (found.told(*tags, "4D STEM Tags", f"Scan shape {axis}") for axis in "YX")
    return Source([data], "", from_axes(axes, voltage), (int(rows), int(cols)) if rows and cols else None)


DM = ScanFormat("Digital Micrograph", (".dm3", ".dm4"), read)

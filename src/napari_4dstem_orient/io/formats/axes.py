"""What the sizes and units of a dataset's axes tell: its calibration, and which axes are the detector's."""

from __future__ import annotations

from typing import Any

from napari_4dstem_orient.io.units import reciprocal_pixel, scan_step
from napari_4dstem_orient.scan import Calibration

Axes = list[tuple[Any, Any]]
"""Step and units of each axis, slowest first."""


def from_axes(axes: Axes, voltage: float | None, semiangle: float | None = None) -> Calibration:
    """Return the calibration that the axes of a scan or stack mean; the last two are the detector's."""
    q_pixel = reciprocal_pixel(*axes[-1], voltage) if axes else None
    r_pixel = scan_step(*axes[-3]) if len(axes) > 3 else None
    told = "file" if q_pixel is not None else "unknown"
    return Calibration(voltage, q_pixel, r_pixel, semiangle, q_pixel_from=told)


def detector_first(axes: Axes) -> bool:
    """Whether the detector's axes come before the scan's: reciprocal units first, lengths last."""
    if len(axes) != 4:
        return False
    # Any voltage will do to see that an angle is one.
    return reciprocal_pixel(1, axes[0][1], 300.0) is not None and scan_step(1, axes[-1][1]) is not None

"""What the sizes and units of a dataset's axes tell: its calibration, and which axes are the detector's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from napari_4dstem_orient.core.scan import LARGEST_DISTORTION, Calibration
from napari_4dstem_orient.core.units import is_angle, is_unit, positive, reciprocal_pixel, scan_step, text

Axes = list[tuple[Any, Any]]
"""Step and units of each axis, slowest first."""

_EQUAL = 1e-4
"""Sizes that differ by less, relatively, differ by what numbers in files are rounded to."""


def from_axes(
    axes: Axes, voltage: float | None, semiangle: float | None = None, shape: Sequence[int] = ()
) -> Calibration:
    """Return the calibration that the axes of a scan or stack mean; the last two are the detector's.

    Pixels of unequal sides become the distortion that makes them equal. ``Calibration.unclear`` says what the axes tell
    and nothing can be made of. ``shape`` is the data's: along an axis of one position nothing is a step away.
    """
    detector, unclear = _both(
        axes[-2:], lambda size, units: reciprocal_pixel(size, units, voltage), "detector pixels"
    )
    steps, odd = _both(_along_scan(axes, shape), scan_step, "scan steps")
    q_pixel, distortion = None, (0.0, 0.0)
    if detector is not None:
        down, along = detector
        # A ring of so many Å⁻¹ spans fewer of the larger sides: long across them.
        stretch = 0.0 if _equal(down, along) else (along - down) / (along + down)
        if abs(stretch) < LARGEST_DISTORTION:
            q_pixel, distortion = along * (1 - stretch), (stretch, 0.0)
        else:
            unclear = f"detector pixels of {down:.4g} Å⁻¹ down the rows and {along:.4g} Å⁻¹ along them"
    r_pixel, r_aspect = None, 1.0
    if steps is not None:
        r_pixel = steps[1]
        if not _equal(*steps):
            r_pixel, r_aspect = math.sqrt(steps[0] * steps[1]), steps[0] / steps[1]
    return Calibration(
        voltage,
        q_pixel,
        r_pixel,
        semiangle,
        q_pixel_from="file" if q_pixel is not None else "unknown",
        distortion=distortion,
        r_aspect=r_aspect,
        unclear="; ".join(filter(None, (unclear, odd))),
    )


def detector_first(axes: Axes) -> bool:
    """Whether the detector's axes come before the scan's: reciprocal units first, lengths last."""
    if len(axes) != 4:
        return False
    # Any voltage will do to see that an angle is one.
    return reciprocal_pixel(1, axes[0][1], 300.0) is not None and scan_step(1, axes[-1][1]) is not None


def _along_scan(axes: Axes, shape: Sequence[int]) -> Axes:
    if len(axes) < 4:
        return []
    scan = axes[-4:-2]
    several = [axis for axis, size in zip(scan, shape[-4:-2], strict=False) if size > 1]
    return several * 2 if len(several) == 1 else scan


def _both(
    axes: Axes, read: Callable[[Any, Any], float | None], what: str
) -> tuple[tuple[float, float] | None, str]:
    """Return the sizes along two axes, and what they tell that cannot be read; one says nothing of the other."""
    sizes = [read(*axis) for axis in axes]
    known = [size for size in sizes if size is not None]
    if axes and len(known) == len(axes):
        return (known[0], known[-1]), ""
    if all(_silent(*axis) for axis in axes):
        return None, ""
    spelled = dict.fromkeys(f"{text(size) or 'no size'} {text(units)!r}" for size, units in axes)
    need = ", which need the voltage" if any(is_angle(units) for _, units in axes) else ""
    return None, f"{what} of {' and '.join(spelled)}{need}"


def _silent(size: Any, units: Any) -> bool:
    """Whether an axis just counts, or tells nothing."""
    return text(size) == "" or (not is_unit(units) and positive(size) in (None, 1.0))


def _equal(one: float, other: float) -> bool:
    return abs(one - other) <= _EQUAL * max(one, other)

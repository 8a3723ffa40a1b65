"""Which marks lie over a pattern, in which shape and colour: one answer for the screen and for paper. Knows no Qt.

Positions are detector pixels (row, column) from the direct beam.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from napari_4dstem_orient.core.distortion import Distortion
from napari_4dstem_orient.napari_plugin.pattern_view.spot_matching import Marks

CIRCLE = 1.6
"""Radius of a measured disk's ring in disk radii, so that the disk can be seen within it."""
LONGER = 5
"""Residuals are drawn so many times longer than they are."""
LABELS = 8
"""Reflections that are named."""
BARS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Lengths of scale bars, Å⁻¹."""
THINNEST, THICKEST = 0.7, 3.0
"""Lines of rings that got no attention, and all that any disk got, in lines of ordinary rings."""

LEAST, MOST, UNREAD = np.array([80, 110, 255]), np.array([255, 235, 60]), np.array([140, 140, 140])
"""Red, green and blue of rings that got no attention, the most, and that were not read."""


class Shape(StrEnum):
    """What a mark looks like: every kind of mark has its own, so that nothing hangs on colour."""

    RING = "ring"
    DASHED = "dashed ring"
    DISC = "disc"
    CROSS = "cross"
    ARROW = "arrow"
    SQUARE = "square"
    DIAMOND = "diamond"
    TRIANGLE = "triangle"


CORNERS = {
    Shape.SQUARE: ((-0.9, -0.9), (-0.9, 0.9), (0.9, 0.9), (0.9, -0.9)),
    Shape.DIAMOND: ((-1.3, 0.0), (0.0, 1.3), (1.3, 0.0), (0.0, -1.3)),
    Shape.TRIANGLE: ((-1.5, 0.0), (0.75, 1.3), (0.75, -1.3)),
}
"""Of polygons: down the rows and along them, in radii."""


class Style(NamedTuple):
    """A kind of mark: its shape, its colours over a black and on a white pattern, and what the legend says."""

    shape: Shape
    screen: str
    paper: str
    legend: str


STYLES = {
    "measured": Style(Shape.RING, "#ffcc00", "#0072b2", "measured"),
    "unexplained": Style(Shape.DASHED, "#ff8a50", "#d55e00", "measured, not explained"),
    "predicted": Style(Shape.DISC, "#ffffff", "#8c8c8c", "predicted"),
    "missing": Style(Shape.CROSS, "#f060d0", "#000000", "predicted, no disk"),
    "residuals": Style(Shape.ARROW, "#50d8ff", "#cc0055", f"measured − predicted, × {LONGER}"),
}
"""Marks of disks and of what an answer predicts, as on the screen and in a figure's legend."""
CRYSTALS = {
    "crystal 1": Style(Shape.SQUARE, "#ffcc00", "#0072b2", "crystal 1"),
    "crystal 2": Style(Shape.DIAMOND, "#50d8ff", "#cc0055", "crystal 2"),
    "crystal 3": Style(Shape.TRIANGLE, "#8cff66", "#007a5a", "crystal 3"),
}
"""Measured disks that belong to one of several crystals, in place of ``"measured"``."""
SYMBOLS = {
    **{Shape.RING: "○", Shape.DASHED: "◌", Shape.DISC: "●", Shape.CROSS: "×", Shape.ARROW: "→"},
    **{Shape.SQUARE: "■", Shape.DIAMOND: "◆", Shape.TRIANGLE: "▲"},
}
"""How shapes are written."""
GUIDES = {
    "rejected": Style(Shape.CROSS, "#a0c8ff", "#0072b2", "rejected candidates"),
    "rings": Style(Shape.RING, "#ff2fd0", "#cc0055", "rings of the known crystal"),
    "detector": Style(Shape.RING, "#40e0ff", "#0072b2", "virtual detector"),
}
"""Marks that help with a step of the work."""


@dataclass(frozen=True, eq=False)
class MarkSet:
    """Marks of one kind.

    Attributes
    ----------
    kind : str
        A key of ``STYLES``, ``CRYSTALS`` or ``GUIDES``.
    where : ndarray, shape (n, 2)
        Their middles; where arrows begin.
    radius : float
        Pixels.
    strength : ndarray, shape (n,) or None
        0 to 1: the intensity of discs, the attention that rings got. None where nothing is told.
    ends : ndarray, shape (n, 2) or None
        Of arrows.
    opacity : ndarray, shape (n,) or None
        0 to 1, of rings: how sure each disk is.
    distortion : (float, float)
        Of rings, as ``Calibration.distortion``: ellipses.
    """

    kind: str
    where: np.ndarray
    radius: float
    strength: np.ndarray | None = None
    ends: np.ndarray | None = None
    opacity: np.ndarray | None = None
    distortion: Distortion = (0.0, 0.0)

    @property
    def style(self) -> Style:
        """How they look."""
        return (STYLES | CRYSTALS | GUIDES)[self.kind]

    @property
    def widths(self) -> np.ndarray:
        """Width of each ring's line, 1 for ordinary ones, shape (n,): attention shows without colour, too."""
        if self.strength is None:
            return np.ones(len(self.where))
        return THINNEST + (THICKEST - THINNEST) * np.nan_to_num(self.strength)

    def attention_colours(self) -> list[tuple[int, int, int]] | None:
        """Return red, green and blue (0 to 255) of each ring; None where no attention is told."""
        if self.strength is None:
            return None
        share = np.nan_to_num(self.strength)[:, None]
        mixed = np.where(np.isnan(self.strength)[:, None], UNREAD, (1 - share) * LEAST + share * MOST)
        return [(int(red), int(green), int(blue)) for red, green, blue in mixed]


def circles(
    kind: str, center: np.ndarray, radii: np.ndarray, distortion: Distortion = (0.0, 0.0)
) -> list[MarkSet]:
    """Mark circles about one place, shape (2,), with radii (pixels), shape (n,), as a distorting detector sees them."""
    place = np.asarray(center, float)[None]
    return [MarkSet(kind, place, float(radius), distortion=distortion) for radius in radii]


def rings(disks: np.ndarray, radius: float, attention: np.ndarray | None = None) -> MarkSet:
    """Mark measured disks, shape (n, 2), of which nothing else is known but, perhaps, the attention they got."""
    return MarkSet("measured", disks, CIRCLE * radius, _of_the_most(attention))


def matched(
    seen: Marks, radius: float, residuals: bool = False, attention: np.ndarray | None = None
) -> list[MarkSet]:
    """Mark what belongs together, and what does not.

    Parameters
    ----------
    seen : Marks
    radius : float
        Of the disks, in pixels.
    residuals : bool
        Draw an arrow from each predicted reflection towards its disk.
    attention : ndarray, shape (n,), optional
        Share that each disk of ``seen`` got; NaN where the network did not read it.
    """
    told = _of_the_most(attention)
    found = [
        MarkSet("missing", seen.spots[seen.missing], radius),
        *(
            MarkSet(kind, seen.disks[which], CIRCLE * radius, None if told is None else told[which])
            for kind, which in (("measured", seen.explained), ("unexplained", ~seen.explained))
        ),
    ]
    if residuals:
        start = seen.spots[seen.reflection[seen.explained]]
        found.append(MarkSet("residuals", start, radius, ends=start + LONGER * seen.residuals))
    return found


def of_crystals(
    seen: Mapping[int, Marks], shown: Iterable[int], radius: float, residuals: bool = False
) -> list[MarkSet]:
    """Mark what belongs to each of a pattern's crystals; a disk that several share has all their marks.

    Parameters
    ----------
    seen : dict of int to Marks
        Of all the crystals, by number: what none of them explains is marked as such.
    shown : iterable of int
        Whose marks are wanted.
    radius, residuals
        As of ``matched``.
    """
    found = []
    for number in shown:
        missing, *own = matched(seen[number], radius, residuals)
        measured = next(marks for marks in own if marks.kind == "measured")
        arrows = (marks for marks in own if marks.kind == "residuals")
        found += [missing, replace(measured, kind=f"crystal {number}"), *arrows]
    alone = ~np.any([marks.explained for marks in seen.values()], axis=0)
    disks = next(iter(seen.values())).disks
    return [*found, MarkSet("unexplained", disks[alone], CIRCLE * radius)]


def _of_the_most(attention: np.ndarray | None) -> np.ndarray | None:
    return None if attention is None else attention / max(float(np.nanmax(attention, initial=0.0)), 1e-12)


def scale_bar(reach: float) -> float:
    """Return the length (Å⁻¹) of a scale bar beside something ``reach`` Å⁻¹ wide."""
    return max((bar for bar in BARS if bar <= 0.35 * reach), default=BARS[0])

"""Inverse pole figure (IPF) colours and their key: orix's TSL colours, for lab directions x, y and z."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_4dstem_orient.core.memory import parts
from napari_4dstem_orient.crystals.directions import nearest_direction
from napari_4dstem_orient.crystals.laue import laue_class, to_standard

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from orix.vector import FundamentalSector

    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.crystals.phase import Phase

LabAxis = Literal["x", "y", "z"]

DIRECTION_TEXT: dict[LabAxis, str] = {
    "x": "IPF-X (in plane, down the rows)",
    "y": "IPF-Y (in plane, along the columns)",
    "z": "IPF-Z (out of plane)",
}
"""What to call a map coloured by the crystal direction along a lab axis."""

PHASE_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""Okabe and Ito's palette, told apart with every colour vision; phases take them in turn."""

_CHUNK = 65_536


def ipf_colors(orientation_map: OrientationMap, direction: LabAxis = "z") -> np.ndarray:
    """Colour a map by the crystal direction that lies along a lab axis.

    Parameters
    ----------
    orientation_map : OrientationMap
    direction : {"x", "y", "z"}
        Lab axis: x down the rows, y along the columns, z out of the plane.

    Returns
    -------
    rgba : ndarray, float32, shape (scan_y, scan_x, 4)
        0 to 1; fully transparent (and black) where there is no answer.
    """
    rgba = np.zeros((*orientation_map.scan_shape, 4), np.float32)
    for number, phase in enumerate(orientation_map.phases):
        here = orientation_map.phase_id == number
        if here.any():
            rgba[here, :3] = ipf_rgb(orientation_map.rotation[here], phase, direction)
            rgba[here, 3] = 1
    return rgba


def ipf_rgb(rotations: np.ndarray, phase: Phase, direction: LabAxis = "z") -> np.ndarray:
    """Return the IPF colour of each orientation.

    Parameters
    ----------
    rotations : ndarray, shape (n, 3, 3)
        Orientation matrices, all of one phase.
    phase : Phase
    direction : {"x", "y", "z"}

    Returns
    -------
    rgb : ndarray, float32, shape (n, 3)
        0 to 1.
    """
    return direction_rgb(rotations[:, :, "xyz".index(direction)], phase)


def direction_rgb(vectors: np.ndarray, phase: Phase) -> np.ndarray:
    """Return the key's colour of crystal directions, shape (n, 3), in the phase's Cartesian coordinates.

    How this key and others colour is told by G. Nolze and R. Hielscher, J. Appl. Cryst. 49 (2016) 1786.
    """
    from orix.plot import DirectionColorKeyTSL
    from orix.vector import Vector3d

    key = DirectionColorKeyTSL(laue_class(phase).orix)
    turn = to_standard(phase).T
    rgb = np.empty((len(vectors), 3), np.float32)
    for part in parts(len(vectors), _CHUNK):
        chunk = np.asarray(vectors[part], float) @ turn
        # orix leaves the centre of a sector undefined on the way to white: it tests for NaN afterwards.
        with np.errstate(invalid="ignore", divide="ignore"):
            rgb[part] = key.direction2color(Vector3d(chunk))
    return rgb


def color_key_image(phase: Phase, size: int = 300) -> np.ndarray:
    """Draw the colour key's triangle (or wedge) in stereographic projection.

    Parameters
    ----------
    phase : Phase
    size : int
        Pixels along the longer side.

    Returns
    -------
    rgba : ndarray, uint8, shape (height, width, 4)
        First row on top; transparent outside, with a smooth edge.
    """
    return _key_image(phase, int(size)).copy()


@lru_cache(maxsize=32)
def _key_image(phase: Phase, size: int) -> np.ndarray:
    finer = 2
    left, right, bottom, top = key_extent(phase)
    step = max(right - left, top - bottom) / (size * finer)
    width, height = (
        round((stop - start) / step / finer) * finer for start, stop in ((left, right), (bottom, top))
    )
    vectors = directions_of_pixels(left, top, step, (height, width)).reshape(-1, 3)
    inside = (vectors @ _sector(phase).data.T >= -1e-9).all(axis=1) & (vectors[:, 2] >= -1e-9)
    rgb = np.zeros((len(vectors), 3), np.float32)
    rgb[inside] = direction_rgb(vectors[inside] @ to_standard(phase), phase)

    def blocks(values: np.ndarray) -> np.ndarray:
        return values.reshape(height // finer, finer, width // finer, finer, -1).mean(axis=(1, 3))

    alpha = blocks(inside.astype(np.float32))
    color = blocks(rgb) / np.maximum(alpha, 1e-6)
    return np.rint(255 * np.concatenate([color, alpha], axis=-1).clip(0, 1)).astype(np.uint8)


@lru_cache(maxsize=32)
def key_extent(phase: Phase) -> tuple[float, float, float, float]:
    """Return (left, right, bottom, top) of the colour key in the stereographic plane."""
    x, y = key_outline(phase).T
    return float(x.min()), float(x.max()), float(y.min()), float(y.max())


@lru_cache(maxsize=32)
def key_outline(phase: Phase) -> np.ndarray:
    """Return the closed outline of the colour key in the stereographic plane, shape (n, 2)."""
    sector = _sector(phase)
    # A sector without corners is the whole upper half of the sphere.
    angle = np.linspace(0, 2 * np.pi, 361)
    if sector.vertices.size == 0:
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _project(sector.edges.data)


def key_position(vectors: np.ndarray, phase: Phase) -> np.ndarray:
    """Return where crystal directions lie on the colour key.

    Parameters
    ----------
    vectors : ndarray, shape (n, 3)
        Directions in the phase's Cartesian coordinates, such as ``rotation[..., :, 2]``.
    phase : Phase

    Returns
    -------
    xy : ndarray, shape (n, 2)
        In the stereographic plane, inside ``key_extent``; x to the right, y up.
    """
    from orix.vector import Vector3d

    turned = Vector3d(np.asarray(vectors, float) @ to_standard(phase).T)
    return _project(turned.in_fundamental_sector(laue_class(phase).orix).data)


def key_corners(phase: Phase) -> list[tuple[np.ndarray, str]]:
    """Return position (x, y) and mathtext label of each corner of the colour key."""
    corners = _sector(phase).vertices.data
    directions = [nearest_direction(corner @ to_standard(phase), phase) for corner in corners]
    return [(xy, direction.mathtext) for xy, direction in zip(_project(corners), directions, strict=True)]


def draw_outline(axes: Axes, phase: Phase, color: str = "black", fontsize: float = 9) -> Patch:
    """Draw the outline of a colour key with its corners named, and nothing else of matplotlib's axes."""
    from matplotlib.patches import Polygon

    left, right, bottom, top = key_extent(phase)
    middle, gap = (bottom + top) / 2, 0.04 * max(right - left, top - bottom)
    for (x, y), label in key_corners(phase):
        side = 0 if abs(y - middle) < gap else np.sign(y - middle)
        axes.text(
            x - (gap if side == 0 else 0),
            y + side * gap,
            label,
            ha="right" if side == 0 else "center",
            va={1: "bottom", 0: "center", -1: "top"}[side],
            size=fontsize,
            color=color,
        )
    axes.set(xlim=(left - gap, right + gap), ylim=(bottom - 4 * gap, top + 4 * gap), aspect="equal")
    axes.axis("off")
    return axes.add_patch(Polygon(key_outline(phase), fill=False, edgecolor=color, linewidth=0.8))


def draw_color_key(axes: Axes, phase: Phase, size: int = 300) -> None:
    """Draw the colour key with its outline, corner labels and the phase's name onto matplotlib axes."""
    axes.imshow(color_key_image(phase, size), extent=key_extent(phase), interpolation="bilinear")
    draw_outline(axes, phase)
    axes.set_title(f"{phase.name}  ({laue_class(phase).symbol})", fontsize=9, pad=4, parse_math=False)


def color_key_figure(phase: Phase, size: float = 2.4) -> Figure:
    """Return a matplotlib figure (no pyplot) of a phase's colour key, ``size`` inches wide."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size, size), layout="constrained")
    draw_color_key(figure.add_subplot(), phase)
    return figure


def directions_of_pixels(left: float, top: float, step: float, shape: tuple[int, int]) -> np.ndarray:
    """Return where the pixels of a picture of the stereographic plane lie on the sphere, shape (*shape, 3)."""
    height, width = shape
    x, y = np.meshgrid(left + (np.arange(width) + 0.5) * step, top - (np.arange(height) + 0.5) * step)
    square = x**2 + y**2
    return np.asarray(np.stack([2 * x, 2 * y, 1 - square], axis=-1) / (1 + square)[..., None])


def _sector(phase: Phase) -> FundamentalSector:
    return laue_class(phase).orix.fundamental_sector


def _project(vectors: np.ndarray) -> np.ndarray:
    """Project directions, shape (n, 3), stereographically from the south pole."""
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return units[:, :2] / (1 + units[:, 2:])

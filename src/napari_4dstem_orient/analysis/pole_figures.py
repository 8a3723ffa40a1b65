"""Pole figures and inverse pole figures: how the orientations of a region are distributed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.analysis.colours import LabAxis, directions_of_pixels, draw_outline, key_extent
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.memory import parts
from napari_4dstem_orient.crystals.directions import overbarred
from napari_4dstem_orient.crystals.laue import is_hexagonal, to_standard

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.patches import Patch

    from napari_4dstem_orient.crystals.phase import Phase

Indices = tuple[int, int, int]

SIGMA = 5.0
"""Degrees by which the densities are smoothed."""
MOST = 100_000
"""Orientations that one figure is made of; of more, every so many-th."""
COLORMAP = "viridis"
_GRID = 101
"""Points along the longer side of a figure."""
_LARGEST_INDEX, _DEFAULT_FAMILIES = 2, 3
_BIN = 1.0
"""Degrees: directions nearer than this are counted together, at their mean."""
_KERNEL_CHUNK = 4_000_000
_CHUNK = 16_384


@dataclass(frozen=True, eq=False)
class Density:
    """A density on the sphere in stereographic projection.

    Attributes
    ----------
    title : str
        What it is of, such as ``{1 1 1}`` or ``lab z``, for matplotlib.
    value : ndarray, shape (height, width)
        Multiples of a random distribution; the first row on top.
    extent : tuple of four floats
        Left, right, bottom, top in the stereographic plane.
    """

    title: str
    value: np.ndarray
    extent: tuple[float, float, float, float]


def default_families(phase: Phase) -> list[Indices]:
    """Return the lattice planes of lowest indices, the farthest apart first, one of each family."""
    return _families(phase)[:_DEFAULT_FAMILIES]


@lru_cache(maxsize=32)
def _families(phase: Phase) -> list[Indices]:
    steps = np.arange(-_LARGEST_INDEX, _LARGEST_INDEX + 1)
    hkl = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    hkl = hkl[np.gcd.reduce(hkl, axis=1) == 1]
    sizes = np.abs(hkl).sum(axis=1)
    normals = _normals(hkl, phase)
    # Few and small indices first, then long spacings; of a family, the member with most positive indices.
    order = np.lexsort(
        (*-hkl.T[::-1], (hkl < 0).sum(axis=1), np.linalg.norm(normals, axis=1).round(6), sizes)
    )
    kept: list[Indices] = []
    seen = np.zeros((0, 3))
    for number in order:
        if not len(seen) or np.abs(seen - normals[number]).max(axis=1).min() > 1e-6:
            h, k, l = hkl[number].tolist()  # noqa: E741
            kept.append((h, k, l))
            equivalent = phase.symmetry @ normals[number]
            seen = np.concatenate([seen, equivalent, -equivalent])
    return kept


def _normals(hkl: np.ndarray, phase: Phase) -> np.ndarray:
    """Return reciprocal lattice vectors (Å⁻¹) in crystal Cartesian coordinates, one a row."""
    return np.asarray(hkl, float) @ np.linalg.inv(phase.lattice).T


def parse_indices(text: str, phase: Phase) -> list[Indices]:
    """Read families of planes as people write them: ``100, 1-11, 2 -1 0``; four indices for hexagonal cells.

    Raises
    ------
    UserError
        What stands there is no list of Miller indices.
    """
    found: list[Indices] = []
    for part in filter(None, (part.strip(" {}()[]") for part in re.split(r"[,;]", text))):
        separate = re.split(r"\s+", part)
        numbers = [
            int(each)
            for each in (separate if len(separate) > 1 else re.findall(r"-?\d", part))
            if _is_int(each)
        ]
        if len(numbers) == 4 and is_hexagonal(phase) and sum(numbers[:3]) == 0:
            del numbers[2]
        rebuilt = "".join(re.findall(r"[-\d]", part))
        if len(numbers) != 3 or not any(numbers) or len(rebuilt) != len(re.sub(r"\s", "", part)):
            raise UserError(
                f"“{part}” are no Miller indices of {phase.name}; write for example 1 0 0, 1 1 1."
            )
        found.append((numbers[0], numbers[1], numbers[2]))
    if not found:
        raise UserError("No lattice planes are given; write for example 1 0 0, 1 1 1.")
    return found


def _is_int(text: str) -> bool:
    return re.fullmatch(r"-?\d+", text) is not None


def write_indices(indices: Indices, phase: Phase) -> str:
    """Return indices as ``parse_indices`` reads them, four for a hexagonal cell."""
    h, k, l = indices  # noqa: E741
    return " ".join(str(index) for index in ((h, k, -h - k, l) if is_hexagonal(phase) else indices))


def poles(rotation: np.ndarray, phase: Phase, indices: Indices) -> np.ndarray:
    """Return the lab directions of all normals of a family of planes, both sides, shape (n, m, 3).

    Parameters
    ----------
    rotation : ndarray, shape (n, 3, 3)
        Orientation matrices.
    phase : Phase
    indices : (int, int, int)
    """
    normal = _normals(np.array([indices]), phase)[0]
    family = phase.symmetry @ (normal / np.linalg.norm(normal))
    family = np.unique(np.concatenate([family, -family]).round(9) + 0.0, axis=0)
    return family @ np.asarray(rotation, float)  # rows: (Rᵀ g)ᵀ = gᵀ R


def on_page(directions: np.ndarray) -> np.ndarray:
    """Turn lab directions, shape (..., 3), into those of a figure: right, up, towards the viewer.

    A pole figure lies as the map does: lab x down, lab y right, lab z towards the viewer.
    """
    x, y, z = np.moveaxis(directions, -1, 0)
    return np.stack([y, -x, z], axis=-1)


def pole_figure(rotation: np.ndarray, phase: Phase, indices: Indices) -> Density:
    """Return the density of a family's poles over the half of the sphere that faces the viewer.

    Parameters
    ----------
    rotation : ndarray, shape (n, 3, 3)
        Orientation matrices.
    phase : Phase
    indices : (int, int, int)
        Miller indices.
    """
    rotation = thinned(rotation)
    portions = (
        on_page(poles(rotation[part], phase, indices)).reshape(-1, 3) for part in parts(len(rotation), _CHUNK)
    )
    return _density(_plane_title(indices, phase), portions, (-1.0, 1.0, -1.0, 1.0))


def inverse_pole_figure(rotation: np.ndarray, phase: Phase, direction: LabAxis) -> Density:
    """Return the density of the crystal directions along a lab axis, in the standard triangle.

    Parameters
    ----------
    rotation : ndarray, shape (n, 3, 3)
        Orientation matrices.
    phase : Phase
    direction : {"x", "y", "z"}
        Lab axis: x down the rows, y along the columns, z out of the plane.
    """
    turn = to_standard(phase)
    along = thinned(rotation)[:, :, "xyz".index(direction)].astype(float)
    # All equivalents: what lies beyond the triangle's edge counts within it, too.
    operations = turn @ phase.symmetry
    portions = (sign * along @ operation.T for operation in operations for sign in (1, -1))
    return _density(f"lab {direction}", portions, key_extent(phase))


def thinned(rotation: np.ndarray) -> np.ndarray:
    """Return no more than ``MOST`` orientations, evenly taken."""
    return rotation[:: max(1, -(-len(rotation) // MOST))]


def _density(
    title: str, portions: Iterable[np.ndarray], extent: tuple[float, float, float, float]
) -> Density:
    left, right, bottom, top = extent
    step = max(right - left, top - bottom) / _GRID
    # Whole cells beyond the outline: it is the drawing that cuts there.
    width, height = (int(np.ceil(length / step)) + 2 for length in (right - left, top - bottom))
    left, top = left - step, top + step
    points = directions_of_pixels(left, top, step, (height, width))
    value = sphere_density(portions, points.reshape(-1, 3), SIGMA).reshape(height, width)
    return Density(title, value, (left, left + width * step, top - height * step, top))


def _plane_title(indices: Indices, phase: Phase) -> str:
    h, k, l = indices  # noqa: E741
    shown = (h, k, -h - k, l) if is_hexagonal(phase) else indices
    return rf"$\{{{overbarred(shown)}\}}$"


def draw_pole_figure(axes: Axes, density: Density, color: str) -> ScalarMappable:
    """Draw a pole figure, the lab axes at its rim; ``color`` is that of lines and words."""
    from matplotlib.patches import Circle

    axes.set(xlim=(-1.05, 1.2), ylim=(-1.2, 1.05), aspect="equal")
    axes.axis("off")
    axes.annotate("x", (0, -1), (0, -3), textcoords="offset points", ha="center", va="top", color=color)
    axes.annotate("y", (1, 0), (3, 0), textcoords="offset points", ha="left", va="center", color=color)
    axes.plot([0], [0], "+", color="white", markersize=5, markeredgewidth=0.8)  # lab z
    rim = axes.add_patch(Circle((0, 0), 1, fill=False, edgecolor=color, linewidth=0.9))
    return _draw(axes, density, rim, color)


def draw_inverse_pole_figure(axes: Axes, density: Density, phase: Phase, color: str) -> ScalarMappable:
    """Draw an inverse pole figure in the standard triangle with its corners named."""
    return _draw(axes, density, draw_outline(axes, phase, color, 8), color)


def _draw(axes: Axes, density: Density, outline: Patch, color: str) -> ScalarMappable:
    shown = axes.imshow(density.value, extent=density.extent, cmap=COLORMAP, vmin=0, interpolation="bilinear")
    shown.set_clip_path(outline)
    axes.set_title(density.title, color=color, fontsize=9, pad=3)
    return shown


def sphere_density(directions: Iterable[np.ndarray], at: np.ndarray, sigma: float) -> np.ndarray:
    """Return the density of directions in multiples of a uniform one.

    Each direction counts as a von Mises-Fisher distribution with κ = 1/σ², which is round wherever it lies. (orix's
    ``pole_density_function`` smooths azimuth and polar angle, so a pole near the centre becomes a comet.)

    The distribution: K. V. Mardia and P. E. Jupp, Directional Statistics, 2000.

    Parameters
    ----------
    directions : iterable of ndarray, shape (n, 3)
        Unit vectors, in portions.
    at : ndarray, shape (m, 3)
        Unit vectors where the density is wanted.
    sigma : float
        Smoothing in degrees.

    Returns
    -------
    ndarray, float64, shape (m,)
        0 without directions.
    """
    centre, weight = _binned(directions)
    if not len(centre):
        return np.zeros(len(at))
    kappa = 1 / np.deg2rad(sigma) ** 2
    peak = 2 * kappa / (1 - np.exp(-2 * kappa)) / weight.sum()
    at, centre, weight = (values.astype(np.float32) for values in (at, centre, weight))
    density = np.empty(len(at))
    for part in parts(len(at), max(1, _KERNEL_CHUNK // len(centre))):
        density[part] = peak * (np.exp(np.float32(kappa) * (at[part] @ centre.T - 1)) @ weight)
    return density


def _binned(directions: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean direction, shape (n, 3), and the number of those that share a bin.

    Bins are squares in Lambert's equal-area projection of either half of the sphere.
    """
    side = int(np.ceil(2 * np.sqrt(2) / np.deg2rad(_BIN)))
    sums = np.zeros((2 * side * side, 4))
    for vectors in directions:
        x, y, z = vectors.T
        stretch = np.sqrt(2 / (1 + np.abs(z)))
        col, row = (
            np.clip((each * stretch / np.sqrt(8) + 0.5) * side, 0, side - 1).astype(int) for each in (x, y)
        )
        number = ((z < 0) * side + row) * side + col
        for column, weights in enumerate((x, y, z, None)):
            sums[:, column] += np.bincount(number, weights, minlength=len(sums))
    sums = sums[sums[:, 3] > 0]
    centre = sums[:, :3] / np.linalg.norm(sums[:, :3], axis=1, keepdims=True)
    return centre, sums[:, 3]

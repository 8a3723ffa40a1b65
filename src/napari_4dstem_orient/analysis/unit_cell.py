"""The unit cell of an orientation, as it lies in the microscope."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.crystals.directions import standard_variant

if TYPE_CHECKING:
    from mpl_toolkits.mplot3d import Axes3D

    from napari_4dstem_orient.crystals.phase import Phase

AXIS_COLORS = ("#D55E00", "#009E73", "#56B4E9")
"""Of a, b and c: told apart with every colour vision; letters say the same."""
DOWN_THE_BEAM = {"elev": 90, "azim": 0}
"""matplotlib's view from lab z (against which the beam travels): lab x points down, lab y right, as in the maps."""
_CORNERS = np.array(list(product((0, 1), repeat=3)))
_EDGES = [
    (one, other)
    for one, other in product(range(8), repeat=2)
    if one < other and np.abs(_CORNERS[one] - _CORNERS[other]).sum() == 1
]


def cell_vectors(rotation: np.ndarray, phase: Phase) -> np.ndarray:
    """Return a, b and c in the lab frame, Å, one a row, shape (3, 3).

    Of all equivalent descriptions that one is taken whose zone axis lies in the standard triangle, as wherever
    directions are named: neighbouring positions of a grain show the same cell.

    Parameters
    ----------
    rotation : ndarray, shape (3, 3)
        Orientation matrix.
    phase : Phase
    """
    return phase.lattice @ standard_variant(rotation, phase)  # rows: (Rᵀ a)ᵀ = aᵀ R


def cell_edges(vectors: np.ndarray) -> np.ndarray:
    """Return the twelve edges of the cell about its centre, shape (12, 2, 3), first those of a, b and c."""
    corners = (_CORNERS - 0.5) @ vectors
    edges = np.array([[corners[one], corners[other]] for one, other in _EDGES])
    from_origin = [0 in pair for pair in _EDGES]
    along = [int(np.abs(_CORNERS[one] - _CORNERS[other]).argmax()) for one, other in _EDGES]
    order = sorted(range(12), key=lambda edge: (not from_origin[edge], along[edge]))
    return edges[order]


def draw_cell(axes: Axes3D, vectors: np.ndarray, color: str) -> None:
    """Draw a cell with its axes onto matplotlib's 3D axes, seen along the beam.

    Parameters
    ----------
    axes : Axes3D
    vectors : ndarray, shape (3, 3)
        As ``cell_vectors`` returns them.
    color : str
        Of the edges that are no axes.
    """
    edges = cell_edges(vectors)
    for start, end in edges[3:]:
        axes.plot(*np.transpose([start, end]), color=color, linewidth=0.9)
    for (start, end), name, axis_color in zip(edges[:3], "abc", AXIS_COLORS, strict=True):
        axes.plot(*np.transpose([start, end]), color=axis_color, linewidth=2.6)
        length = np.linalg.norm(end - start)
        at = end + 0.12 * (end - start) * np.abs(vectors).max() / max(length, 1e-9)
        axes.text(*at, name, color=axis_color, fontsize=11, fontweight="bold", ha="center", va="center")
    reach = 0.62 * np.linalg.norm(vectors, axis=1).sum() / np.sqrt(3)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), zlim=(-reach, reach))
    axes.set_box_aspect((1, 1, 1), zoom=1.35)
    axes.set_proj_type("ortho")
    axes.set_axis_off()
    axes.view_init(**DOWN_THE_BEAM)

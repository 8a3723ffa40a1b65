"""Strain: the in-plane deformation against a reference, with standard deviations, along axes of one's choice."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_4dstem_orient.analysis.grains import average, find_grains, nearest_variant
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.strain import Strain

if TYPE_CHECKING:
    from napari_4dstem_orient.analysis.grains import Grains
    from napari_4dstem_orient.analysis.strain.deformation import Deformation
    from napari_4dstem_orient.core.orientation_map import OrientationMap

Reference = Literal["ideal", "grain", "region"]
Axes = Literal["scan", "grain"] | tuple[int, int, int]

REFERENCES: dict[str, str] = {
    "ideal": "the crystal of each answer, with one pixel size fitted to the whole map",
    "grain": "the mean of each grain",
    "region": "the mean of a region",
}
SCAN_AXES = "x down the rows of the scan, y along its columns, z towards the viewer"
ALONG_BEAM = 0.1
"""A direction whose projection is shorter than this share of it gives no axis."""


def read_axes(text: str) -> Axes:
    """Read along which axes strain is given: ``scan``, ``grain`` or a direction as people write it, ``1,1,0``.

    Raises
    ------
    UserError
        It is none of these.
    """
    if text in ("scan", "grain"):
        return "scan" if text == "scan" else "grain"
    try:
        u, v, w = map(int, text.strip("[] ").replace(",", " ").split())
    except ValueError:
        u = v = w = 0
    if not (u or v or w):
        raise UserError(f"“{text}” is neither scan, grain nor a crystal direction such as 1,1,0.")
    return u, v, w


def strain(
    found: Deformation,
    orientation_map: OrientationMap,
    reference: Reference = "ideal",
    axes: Axes = "scan",
    region: np.ndarray | None = None,
    grains: Grains | None = None,
) -> Strain:
    """Compare deformations with a reference.

    Rotations are counted from the mean orientation of the grain, or of the region where that is the reference.

    Parameters
    ----------
    found : Deformation
    orientation_map : OrientationMap
        Of the same crystal of each pattern.
    reference : {"ideal", "grain", "region"}
        See ``REFERENCES``.
    axes : {"scan", "grain"} or (u, v, w)
        Along which the components are given: the scan's; a, b or c of each grain, whichever lies nearest to the plane;
        or a crystal direction, projected, of whose equivalents in each grain that nearest to the plane is taken.
    region : ndarray, bool, shape (scan_y, scan_x), optional
    grains : Grains, optional
        Found with the usual settings by default.

    Raises
    ------
    UserError
        A region without any strain, or no direction.
    """
    grains = grains or find_grains(orientation_map)
    stretch, turn = polar(found.gradient)
    told = ~np.isnan(turn)
    label, mean, phase_id = grains.label, grains.mean, grains.phase_id
    members, groups = np.where(told, label, 0), label
    if reference == "region":
        members = (told & (np.zeros_like(told) if region is None else region)).astype(int)
        if not members.any():
            raise UserError("The region has no position with a strain; choose another one as the reference.")
        groups = np.ones_like(members)
        label, mean, phase_id = _one_grain(orientation_map, members > 0)
    turn = turn + _turned(orientation_map, label, mean, phase_id)
    turn = turn - _means(turn, members * ~np.isnan(turn), groups)
    covariance = found.covariance
    if reference == "ideal":
        size = np.sqrt(_area(stretch))
        stretch = stretch / (np.median(size[told]) if told.any() else 1.0)
    else:
        stretch, _ = polar(stretch @ np.linalg.inv(_means(stretch, members, groups)))
        covariance = _beside_means(covariance, members, groups)
    values, deviation = _along(_axes(axes, grains), stretch - np.eye(2), covariance)
    return Strain(
        np.concatenate([values, turn[..., None]], -1).astype(np.float32),
        deviation.astype(np.float32),
        found.disks,
        REFERENCES[reference],
        _axes_text(axes),
    )


def _one_grain(
    orientation_map: OrientationMap, inside: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, mean orientation and phase as of ``Grains``: of one grain, which is all of a region's phase."""
    phase_id = np.bincount(orientation_map.phase_id[inside]).argmax()
    label = (orientation_map.phase_id == phase_id).astype(int)
    rotation = orientation_map.rotation[inside & (label > 0)].astype(float)
    mean = rotation[:1].copy()
    average(rotation, np.zeros(len(rotation), int), mean, orientation_map.phases[phase_id].symmetry)
    return label, mean, np.array([phase_id])


def _means(values: np.ndarray, members: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the mean of each position's group; NaN in group 0.

    ``members`` have a part in the means of their groups (0: in none), ``groups`` says whose mean is asked for.
    """
    inside = members > 0
    number = max(int(members.max(initial=0)), int(groups.max(initial=0))) + 1
    flat = values[inside].reshape(-1, math.prod(values.shape[2:]))
    sums = np.stack([np.bincount(members[inside], column, number) for column in flat.T], -1)
    count = np.bincount(members[inside], minlength=number)[:, None]
    means = np.where(count > 0, sums / count.clip(1), np.nan)
    return np.asarray(means.reshape(number, *values.shape[2:])[groups])


def _beside_means(covariance: np.ndarray, members: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the covariance of what lies beside the mean of a group, of which it may be a part itself."""
    share = (1 / np.bincount(members.ravel(), minlength=groups.max(initial=0) + 1).clip(1))[
        groups, None, None
    ]
    own = covariance * (1 - 2 * share * (members > 0)[..., None, None])
    return np.asarray(own + share * _means(covariance, members, groups))


def polar(gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return of F = V R (…, 2, 2) the stretch V, and the angle of R in radians, from x towards y.

    The polar decomposition without eigenvalues: A. Hoger and D. E. Carlson, Q. Appl. Math. 42 (1984) 113.
    """
    squared = gradient @ gradient.swapaxes(-1, -2)
    size = _area(gradient)[..., None, None]
    trace = np.trace(squared, axis1=-2, axis2=-1)[..., None, None]
    stretch = (squared + size * np.eye(2)) / np.sqrt(trace + 2 * size)
    turn = np.arctan2(gradient[..., 1, 0] - gradient[..., 0, 1], np.trace(gradient, axis1=-2, axis2=-1))
    return stretch, turn


def _area(matrix: np.ndarray) -> np.ndarray:
    """Return the determinant of 2 × 2 matrices; NaN where there is none, without NumPy's warning of it."""
    return np.asarray(matrix[..., 0, 0] * matrix[..., 1, 1] - matrix[..., 0, 1] * matrix[..., 1, 0])


def _turned(
    orientation_map: OrientationMap, label: np.ndarray, mean: np.ndarray, phase_id: np.ndarray
) -> np.ndarray:
    """Return by how much each answer is turned about the beam from its grain's mean; NaN outside grains."""
    turn = np.full(label.shape, np.nan)
    for number in np.unique(phase_id):
        here = (label > 0) & np.isin(label, 1 + np.flatnonzero(phase_id == number))
        goal = mean[label[here] - 1]
        symmetry = orientation_map.phases[number].symmetry
        near = nearest_variant(orientation_map.rotation[here], goal, symmetry)
        turned = near.swapaxes(1, 2) @ goal  # g = Rᵀ g_crystal
        turn[here] = np.arctan2(turned[:, 1, 0] - turned[:, 0, 1], turned[:, 0, 0] + turned[:, 1, 1])
    return turn


def _axes(axes: Axes, grains: Grains) -> np.ndarray:
    """Return the angle of the x axis from lab x towards y, radians, (scan_y, scan_x); NaN where there is none."""
    if axes == "scan":
        return np.zeros(grains.label.shape)
    if axes != "grain" and not any(axes):
        raise UserError("The direction 0 0 0 points nowhere; give three numbers such as 1 1 0.")
    indices = np.eye(3) if axes == "grain" else np.array([axes], float)
    angle = np.full(len(grains) + 1, np.nan)
    for number, (mean, phase_id) in enumerate(zip(grains.mean, grains.phase_id, strict=True), start=1):
        phase = grains.orientation_map.phases[phase_id]
        crystal = (indices @ phase.lattice) @ phase.symmetry.swapaxes(1, 2)
        lab = crystal.reshape(-1, 3) @ mean
        flat = np.hypot(lab[:, 0], lab[:, 1]) / np.linalg.norm(lab, axis=1)
        # Of several in the plane, the one nearest to lab x.
        best = (flat.round(3) + 1e-4 * np.abs(lab[:, 0]) / np.linalg.norm(lab, axis=1)).argmax()
        if flat[best] > ALONG_BEAM:
            angle[number] = np.arctan(lab[best, 1] / lab[best, 0]) if lab[best, 0] else np.pi / 2
    return np.asarray(angle[grains.label])


def _axes_text(axes: Axes) -> str:
    if axes == "scan":
        return SCAN_AXES
    if axes == "grain":
        return (
            "x along a, b or c of each grain, whichever lies nearest to the plane, projected; y 90° from it"
        )
    return f"x along [{' '.join(map(str, axes))}] of each grain, projected into the plane; y 90° from it"


def _along(angle: np.ndarray, tensor: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return εxx, εyy, εxy along other axes, and the standard deviations of these and the rotation."""
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], -1)
    turn = turn.reshape(*angle.shape, 2, 2)
    tensor = turn.swapaxes(-1, -2) @ tensor @ turn
    # Entries of Qᵀ F Q, in the order xx, xy, yx, yy, from those of F; then the components from these.
    every = np.einsum("...ia,...jb->...abij", turn, turn).reshape(*angle.shape, 4, 4)
    read = np.array([[1, 0, 0, 0], [0, 0, 0, 1], [0, 0.5, 0.5, 0], [0, -0.5, 0.5, 0]]) @ every
    variance = np.einsum("...pa,...ab,...pb->...p", read, covariance, read)
    values = np.stack([tensor[..., 0, 0], tensor[..., 1, 1], tensor[..., 0, 1]], -1)
    return values, np.sqrt(variance.clip(0))

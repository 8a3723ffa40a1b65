"""Where the direct beam lies in every pattern, as a smooth surface over the scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_4dstem_orient.calibration.quality import Quality
from napari_4dstem_orient.disks import BraggDisks
from napari_4dstem_orient.errors import UserError

ORIGINS = ("auto", "constant", "plane", "parabola", "each")
"""How the direct beam may wander over the scan; the first chooses."""

REFERENCES = {
    "constant": "one place for all",
    "plane": "a plane",
    "parabola": "a parabola",
    "each": "the middle of the ±g pairs of their own patterns, on which each is centred",
    "file": "the file's origin",
    "given": "the given place",
}
"""What direct beams are compared with, by how they were found."""

SEARCH_SHARE = 0.15
"""First search radius around the expected centre, as a share of the detector."""

LEAST_TOLERANCE = 2.5
"""Distance in px from the fitted surface up to which a disk always counts as the direct beam."""

GOOD_SHARE, POOR_SHARE = 0.1, 0.3
"""Residual over the radius of a disk: good below the first, poor from the second."""

LEAST_USED = 0.5
"""Share of the patterns below which a fit is not called good."""


@dataclass(frozen=True, eq=False)
class OriginFit:
    """The direct beam over the scan, in detector pixels.

    Attributes
    ----------
    origin : ndarray, float64, shape (scan_y, scan_x, 2)
        Fitted position along (qx, qy).
    measured : ndarray, float64, shape (scan_y, scan_x, 2)
        Position of the disk taken for the direct beam; NaN where none was.
    surface : str
        ``"constant"``, ``"plane"``, ``"parabola"`` or ``"each"`` (fitted); ``"file"`` or ``"given"`` (told).
    residual : float
        Root mean square distance between measured and fitted positions in px; NaN if none was measured.
    used : float
        Share of the patterns whose direct beam was found.
    """

    origin: np.ndarray
    measured: np.ndarray
    surface: str
    residual: float
    used: float

    @property
    def told(self) -> bool:
        """Whether the origin was told rather than found."""
        return self.surface in ("file", "given")

    @property
    def reference(self) -> str:
        """What the direct beams are compared with, in words."""
        return REFERENCES[self.surface]

    @property
    def shifts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Measured and fitted shift from the mean fitted position, and measured less fitted; as ``origin``."""
        middle = self.origin.mean(axis=(0, 1))
        return self.measured - middle, self.origin - middle, self.measured - self.origin

    def quality(self, disk_radius: float | None) -> Quality:
        """Judge the residual by the radius of a disk in px; to be checked where that is not known."""
        if disk_radius is None:
            return Quality.CHECK
        found = Quality.of(self.residual, GOOD_SHARE * disk_radius, POOR_SHARE * disk_radius)
        return Quality.CHECK if self.used < LEAST_USED and found is Quality.GOOD else found


def fit_origin(
    disks: BraggDisks, surface: str = "auto", position: tuple[float, float] | None = None
) -> OriginFit:
    """Find the direct beam in every pattern and fit a smooth surface to it, deaf to outliers.

    The place where the strongest disks of most patterns lie is where the search begins; then, in turn, the
    strongest disk near the surface is taken from each pattern and the surface is fitted to them. Patterns
    without a direct beam take the surface's value.

    Parameters
    ----------
    disks : BraggDisks
        In detector pixels.
    surface : str
        One of ``ORIGINS``; ``"auto"`` takes the origin that the disks' file told, where it did.
    position : (float, float), optional
        The direct beam along (qx, qy), the row and column, where it is known; then nothing is searched for.

    Raises
    ------
    UserError
        If the disks are calibrated already, or there are none.
    """
    if surface not in ORIGINS:
        raise ValueError(f"surface must be one of {ORIGINS}, not {surface!r}")
    if disks.calibrated:
        raise UserError("These disks are calibrated already; their origin is the direct beam.")
    if not len(disks):
        raise UserError("There are no disks to find the direct beam in; detect disks first.")
    if position is not None:
        return _compared(disks, np.broadcast_to(position, (*disks.scan_shape, 2)), "given")
    if surface == "auto" and disks.origin is not None:
        return _compared(disks, disks.origin, "file")
    surface = "plane" if surface == "auto" else surface
    design = _design(disks.scan_shape, "parabola" if surface == "each" else surface)
    position = np.stack([disks.qx, disks.qy], axis=1).astype(np.float64)
    owner = disks.owner
    predicted: Any = np.broadcast_to(_expected_center(disks), (len(design), 2))
    tolerance = max(LEAST_TOLERANCE, SEARCH_SHARE * min(_extent(disks)))
    for _ in range(5):
        near = np.hypot(*(position - predicted[owner]).T) < tolerance
        candidate = _strongest(disks, near)
        found = candidate >= 0
        predicted, spread = _fit_surface(design, np.asarray(position[candidate]), found)
        tolerance = float(np.clip(5 * spread, LEAST_TOLERANCE, tolerance))

    measured = np.where(found[:, None], position[candidate], np.nan)
    measured[np.hypot(*(measured - predicted).T) > tolerance] = np.nan
    used = np.isfinite(measured[:, 0])
    distance = np.hypot(*(measured - predicted)[used].T)
    grid = (*disks.scan_shape, 2)
    if surface == "each":
        predicted = np.where(used[:, None], measured, predicted)
    return OriginFit(
        np.array(predicted).reshape(grid),
        measured.reshape(grid),
        surface,
        float(np.sqrt(np.mean(distance**2))) if used.any() else float("nan"),
        float(used.mean()),
    )


def _compared(disks: BraggDisks, origin: np.ndarray, told: str) -> OriginFit:
    """Return an origin that was told, and how far from it the direct beams lie."""
    origin = np.array(origin, float)
    place = origin.reshape(-1, 2)
    position = np.stack([disks.qx, disks.qy], axis=1).astype(np.float64)
    candidate = _strongest(disks, np.hypot(*(position - place[disks.owner]).T) < LEAST_TOLERANCE)
    found = candidate >= 0
    measured = np.where(found[:, None], position[candidate], np.nan)
    distance = np.hypot(*(measured - place)[found].T)
    residual = float(np.sqrt(np.mean(distance**2))) if found.any() else float("nan")
    return OriginFit(origin, measured.reshape(origin.shape), told, residual, float(found.mean()))


def _design(scan_shape: tuple[int, int], surface: str) -> np.ndarray:
    """Return the surface's terms at every scan position, shape (n, terms)."""
    row, col = (np.linspace(-1, 1, size) if size > 1 else np.zeros(1) for size in scan_shape)
    row, col = (part.ravel() for part in np.meshgrid(row, col, indexing="ij"))
    one = np.ones_like(row)
    terms = {
        "constant": [one],
        "plane": [one, row, col],
        "parabola": [one, row, col, row**2, row * col, col**2],
    }[surface]
    return np.stack(terms, axis=1)


def _extent(disks: BraggDisks) -> tuple[float, float]:
    if disks.detector_shape is not None:
        return float(disks.detector_shape[0]), float(disks.detector_shape[1])
    return float(np.ptp(disks.qx)) + 1, float(np.ptp(disks.qy)) + 1


def _expected_center(disks: BraggDisks) -> np.ndarray:
    """Return where disks that are strong in their own pattern pile up, preferably mid-detector, shape (2,)."""
    from scipy.ndimage import gaussian_filter

    strongest = _strongest(disks, np.ones(len(disks), bool))
    top = np.where(strongest >= 0, disks.intensity[strongest], 1.0)
    share = disks.intensity / np.maximum(top[disks.owner], 1e-30)
    position = np.stack([disks.qx, disks.qy], axis=1)
    low = position.min(axis=0)
    if disks.detector_shape is not None:
        low = np.minimum(low, 0)
    pixel = np.rint(position - low).astype(int)
    size = np.maximum(pixel.max(axis=0) + 1, np.ceil(_extent(disks)).astype(int))
    image = np.zeros(size)
    np.add.at(image, tuple(pixel.T), share)
    row, col = (np.linspace(-1, 1, count) if count > 1 else np.zeros(1) for count in image.shape)
    image = gaussian_filter(image, 3) * np.exp(-(row[:, None] ** 2 + col**2))
    return low + np.array(np.unravel_index(np.argmax(image), image.shape))


def _strongest(disks: BraggDisks, allowed: np.ndarray) -> np.ndarray:
    """Return the index of the strongest allowed disk of every position, -1 where there is none."""
    index = np.flatnonzero(allowed)
    best = np.full(len(disks.offsets) - 1, -1)
    if len(index):
        owner, strength = disks.owner[index], disks.intensity[index]
        first = np.flatnonzero(np.diff(owner, prepend=-1))
        top = np.repeat(np.maximum.reduceat(strength, first), np.diff(first, append=len(index)))
        winner = np.flatnonzero(strength == top)
        best[owner[winner]] = index[winner]
    return best


def _fit_surface(design: np.ndarray, target: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, float]:
    """Fit by iteratively reweighted least squares; return the surface everywhere and the residuals' spread."""
    if not found.any():
        raise UserError(
            "No pattern has a disk near the middle of all patterns, so there is no direct beam to centre on; "
            "check the detection."
        )
    terms, target = design[found], target[found]
    weight = np.ones(len(terms))
    for _ in range(15):
        root = np.sqrt(weight)[:, None]
        coefficients, *_ = np.linalg.lstsq(terms * root, target * root, rcond=None)
        distance = np.hypot(*(target - terms @ coefficients).T)
        # The nearest quarter is direct beams even where most candidates are not; 0.76 of Rayleigh's width.
        spread = max(float(np.quantile(distance, 0.25)) / 0.76, 0.05)
        weight = 1 / (1 + (distance / (2 * spread)) ** 2) ** 2
    return design @ coefficients, spread

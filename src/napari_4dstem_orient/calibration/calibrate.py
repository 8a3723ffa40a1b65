"""Detector pixels to Å⁻¹ from the direct beam, in the scan's own frame."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any

import numpy as np

from napari_4dstem_orient.calibration.origin import ORIGINS, REFERENCES, OriginFit, centred, fit_origin
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.distortion import undistorted
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.parameters import parameter
from napari_4dstem_orient.core.scan import PLAUSIBLE_REACH, Calibration

__all__ = ["CalibrationReport", "CalibrationSettings", "calibrate", "fit_origin"]

GOOD_RESIDUAL = 0.01
"""Å⁻¹: a direct beam placed this well does no harm."""

DOUBTFUL_RESIDUAL = 0.02
"""Å⁻¹: beyond it, reflections are missed."""


@dataclass(frozen=True)
class CalibrationSettings:
    """How disks are centred."""

    surface: Annotated[
        str,
        parameter(
            "Direct beam over the scan",
            "How the direct beam may wander: plane for tilt of the scan, parabola for a large field of view, "
            "constant for a descanned or very small scan, each where it jumps from pattern to pattern; auto takes the "
            "origin of a file of Bragg peaks where it has one, and else what the beams say.",
            choices=ORIGINS,
        ),
    ] = "auto"
    row: Annotated[
        float | None,
        parameter(
            "Direct beam's row",
            "Where the direct beam lies in all patterns, if you know it, such as behind a beam stop.",
            "px",
            empty="found",
        ),
    ] = None
    col: Annotated[float | None, parameter("Direct beam's column", "As its row.", "px", empty="found")] = None

    @property
    def position(self) -> tuple[float, float] | None:
        """The given direct beam (row, column) in px; None where it is to be found."""
        return None if self.row is None or self.col is None else (self.row, self.col)

    def fit(self, disks: BraggDisks) -> OriginFit:
        """Find the direct beam so; raise UserError as ``fit_origin``."""
        return fit_origin(disks, self.surface, self.position)


@dataclass(frozen=True, eq=False)
class CalibrationReport:
    """What calibrating found, and what is doubtful about it.

    Attributes
    ----------
    origin : ndarray, float64, shape (scan_y, scan_x, 2)
        Direct beam along (qx, qy) in px, as fitted.
    surface : str
        What was fitted: see ``OriginFit``.
    residual : float
        Root mean square distance of the direct beams from the fit, px; NaN where there is nothing to compare.
    used : float
        Share of the patterns whose direct beam was found.
    q_pixel : float
        Å⁻¹ per px.
    warnings : list of str
        Plain sentences about what is missing or doubtful; empty if all is well.
    moved : float
    hidden : bool
        See ``OriginFit``.
    """

    origin: np.ndarray = field(repr=False)
    surface: str
    residual: float
    used: float
    q_pixel: float
    warnings: list[str]
    moved: float = 0.0
    hidden: bool = False

    @property
    def summary(self) -> str:
        """One line for the user, with what to think of the residual."""
        error = self.residual * self.q_pixel
        verdict = "good" if error <= GOOD_RESIDUAL else "usable" if error <= DOUBTFUL_RESIDUAL else "doubtful"
        moved = (
            f" The beam's disk is cut: the origin was moved by {self.moved:.2f} px onto the middle of the ±g pairs."
            if self.moved
            else ""
        )
        if not np.isfinite(error):
            return f"Centred on {REFERENCES[self.surface]}; no direct beams or ±g pairs to check it by."
        found = (
            "The direct beam lies in a gap of the detector; the middle of the ±g pairs was"
            if self.hidden
            else ("Direct beam")
        )
        return (
            f"{found} found in {self.used:.0%} of the patterns, {self.residual:.2f} px ({error:.4f} Å⁻¹) "
            f"from {REFERENCES[self.surface]}: {verdict} (good is up to {GOOD_RESIDUAL:g} Å⁻¹).{moved}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, without the origin of every pattern."""
        values = {name: value for name, value in vars(self).items() if name != "origin"}
        return {**values, "summary": self.summary, "mean_origin": self.origin.mean(axis=(0, 1)).tolist()}


def calibrate(
    disks: BraggDisks, calibration: Calibration, settings: CalibrationSettings | None = None
) -> tuple[BraggDisks, CalibrationReport]:
    """Turn disks in detector pixels into Å⁻¹ from the direct beam, in the scan frame.

    First the origin is taken away and the distortion undone, then the pixel size is applied, then, if
    ``calibration.flip``, qx and qy are exchanged, then [[cos, -sin], [sin, cos]] of ``calibration.rotation`` is
    applied: as py4DSTEM's BraggVectors.
    The direct beam stays among the disks, near (0, 0).

    py4DSTEM: B. H. Savitzky et al., Microsc. Microanal. 27 (2021) 712.

    Parameters
    ----------
    disks : BraggDisks
        In detector pixels.
    calibration : Calibration
        ``q_pixel``, ``distortion``, ``rotation`` and ``flip`` are used.
    settings : CalibrationSettings, optional

    Returns
    -------
    disks : BraggDisks
        Calibrated.
    report : CalibrationReport

    Raises
    ------
    UserError
        If the pixel size is not known, there are no disks, or they are calibrated already.
    """
    settings = settings or CalibrationSettings()
    if calibration.q_pixel is None:
        raise UserError(
            "The size of a detector pixel is not known, so the disks cannot be calibrated; "
            "type it in Å⁻¹ (q_pixel), or fit it to the rings of a known crystal."
        )
    fit = settings.fit(disks)
    qx, qy = to_scan_frame(disks, fit.origin, calibration)
    report = CalibrationReport(
        fit.origin,
        fit.surface,
        fit.residual,
        fit.used,
        calibration.q_pixel,
        _doubts(disks, fit, calibration),
        fit.moved,
        fit.hidden,
    )
    provenance = {
        **disks.provenance,
        "calibration": {**asdict(calibration), **report.to_dict()},
    }
    reach = _reach(disks, fit.origin, calibration)
    spread = disks.uncertainty
    done = replace(
        disks,
        qx=qx,
        qy=qy,
        uncertainty=spread if spread is None else (spread * calibration.q_pixel).astype(np.float32),
        calibrated=True,
        origin=None,
        reach=reach,
        provenance=provenance,
    )
    return done, report


def to_scan_frame(
    disks: BraggDisks, origin: np.ndarray, calibration: Calibration
) -> tuple[np.ndarray, np.ndarray]:
    """Return qx, qy (float32, Å⁻¹) of all disks, centred, undistorted and turned into the scan frame.

    Parameters
    ----------
    disks : BraggDisks
        In detector pixels.
    origin : ndarray, shape (scan_y, scan_x, 2)
        Direct beam in px.
    calibration : Calibration
        With a pixel size.
    """
    x, y = undistorted(*centred(disks, origin), calibration.distortion)
    x, y = x * calibration.q_pixel, y * calibration.q_pixel
    first, second = detector_axes(calibration.rotation, calibration.flip)
    qx, qy = (x * first[part] + y * second[part] for part in (0, 1))
    return qx.astype(np.float32), qy.astype(np.float32)


def detector_axes(rotation: float, flip: bool) -> np.ndarray:
    """Return where the detector's axes point in the scan's frame.

    Parameters
    ----------
    rotation : float
        Degrees; ``Calibration.rotation``.
    flip : bool
        ``Calibration.flip``.

    Returns
    -------
    ndarray, shape (2, 2)
        Rows: unit vectors of the first axis (down the rows) and of the second; columns: along the scan's first axis
        (down its rows) and its second.
    """
    cos, sin = np.cos(np.deg2rad(rotation)), np.sin(np.deg2rad(rotation))
    axes = np.array([[cos, sin], [-sin, cos]])
    return axes[::-1] if flip else axes


def _reach(disks: BraggDisks, origin: np.ndarray, calibration: Calibration) -> float | None:
    """Return |q| in Å⁻¹ up to which the detector sees every direction in every pattern."""
    if disks.detector_shape is None:
        return None
    far = np.array(disks.detector_shape) - 1 - origin
    pixels = max(float(min(origin.min(), far.min())), 0.0) / (1 + float(np.hypot(*calibration.distortion)))
    return pixels * float(calibration.q_pixel or 0.0)


def _doubts(disks: BraggDisks, fit: OriginFit, calibration: Calibration) -> list[str]:
    """Say in plain sentences what is doubtful."""
    q_pixel = float(calibration.q_pixel or 0.0)
    doubts = _doubts_of_lists(disks)
    if calibration.q_pixel_from == "unknown":
        doubts.append(
            "It is not known where the pixel size comes from: fit it to a known crystal to be sure."
        )
    if fit.used < 0.5 and not fit.told:
        doubts.append(
            f"The direct beam was found in only {fit.used:.0%} of the patterns; the others are centred by the fit. "
            "Check the detection, or the rim that it leaves out."
        )
    error = fit.residual * q_pixel
    if error > DOUBTFUL_RESIDUAL:
        doubts.append(
            f"The direct beams lie {fit.residual:.2f} px ({error:.3f} Å⁻¹) from {fit.reference}, more than "
            f"{DOUBTFUL_RESIDUAL:g} Å⁻¹: orientations will suffer.{_better(fit)}"
        )
    sure = disks.sure()
    farthest = float(np.hypot(sure.qx - fit.origin[..., 0].mean(), sure.qy - fit.origin[..., 1].mean()).max())
    low, high = PLAUSIBLE_REACH
    if not low <= farthest * q_pixel <= high:
        doubts.append(
            f"With {q_pixel:g} Å⁻¹ per pixel the outermost disk lies at {farthest * q_pixel:.3g} Å⁻¹, "
            "which is unusual: was the pixel size meant in another unit (1 Å⁻¹ = 10 nm⁻¹)?"
        )
    return doubts


def _better(fit: OriginFit) -> str:
    """Recommend another choice, where there is one, by the name that it has everywhere."""
    if fit.told:
        return ' If they are right, let them be found: origin "each".'
    return "" if fit.surface == "each" else ' Try the origin "each".'


def _doubts_of_lists(disks: BraggDisks) -> list[str]:
    """Say what was wrong with the lists of disks in their file."""
    left_out = disks.provenance.get("left_out", 0)
    if not left_out:
        return []
    return [
        f"{left_out} of the file's disks had no finite position or intensity (NaN or infinite) and were left out."
    ]


def as_calibrated(disks: BraggDisks, known: Calibration) -> BraggDisks:
    """Return disks that were in Å⁻¹ already in their file, remembering what is known and doubtful about them.

    Parameters
    ----------
    disks : BraggDisks
        Calibrated.
    known : Calibration
    """
    doubts = _doubts_of_lists(disks)
    if known.q_pixel_from == "typed" or known.rotation or known.flip:
        doubts.append(
            "The file's disks are in Å⁻¹ and turned already: the pixel size, rotation and flip that were given are "
            "not applied to them."
        )
    sure = disks.sure()
    farthest = float(np.hypot(sure.qx, sure.qy).max(initial=0))
    low, high = PLAUSIBLE_REACH
    if len(sure) and not low <= farthest <= high:
        doubts.append(
            f"The outermost disk lies at {farthest:.3g} Å⁻¹, which is unusual: are the file's disks really in Å⁻¹?"
        )
    told = {**asdict(known), "surface": "file", "warnings": doubts}
    return replace(disks, provenance={**disks.provenance, "calibration": told})

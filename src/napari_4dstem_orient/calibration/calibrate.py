"""Detector pixels to Å⁻¹ from the direct beam, in the scan's own frame."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any

import numpy as np

from napari_4dstem_orient.calibration.distortion import undistorted
from napari_4dstem_orient.calibration.origin import SURFACES, OriginFit, fit_origin
from napari_4dstem_orient.disks import BraggDisks
from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.parameters import parameter
from napari_4dstem_orient.scan import Calibration

__all__ = ["CalibrationReport", "CalibrationSettings", "calibrate", "fit_origin"]

GOOD_RESIDUAL = 0.01
"""Å⁻¹: a direct beam placed this well does no harm."""

DOUBTFUL_RESIDUAL = 0.02
"""Å⁻¹: beyond it, reflections are missed."""

PLAUSIBLE_REACH = (0.4, 8.0)
"""Å⁻¹: a detector that sees less, or more, was probably given its pixel size in another unit."""


@dataclass(frozen=True)
class CalibrationSettings:
    """How disks are centred."""

    surface: Annotated[
        str,
        parameter(
            "Direct beam over the scan",
            "How the direct beam may wander: plane for tilt of the scan, parabola for a large field of view, "
            "constant for a descanned or very small scan.",
            choices=SURFACES,
        ),
    ] = "plane"


@dataclass(frozen=True, eq=False)
class CalibrationReport:
    """What calibrating found, and what is doubtful about it.

    Attributes
    ----------
    origin : ndarray, float64, shape (scan_y, scan_x, 2)
        Direct beam along (qx, qy) in px, as fitted.
    surface : str
        What was fitted.
    residual : float
        Root mean square distance of the direct beams from the fit, px.
    used : float
        Share of the patterns whose direct beam was found.
    q_pixel : float
        Å⁻¹ per px.
    warnings : list of str
        Plain sentences about what is missing or doubtful; empty if all is well.
    """

    origin: np.ndarray = field(repr=False)
    surface: str
    residual: float
    used: float
    q_pixel: float
    warnings: list[str]

    @property
    def summary(self) -> str:
        """One line for the user, with what to think of the residual."""
        error = self.residual * self.q_pixel
        verdict = "good" if error <= GOOD_RESIDUAL else "usable" if error <= DOUBTFUL_RESIDUAL else "doubtful"
        return (
            f"Direct beam found in {self.used:.0%} of the patterns, {self.residual:.2f} px ({error:.4f} Å⁻¹) "
            f"from a {self.surface}: {verdict} (good is up to {GOOD_RESIDUAL:g} Å⁻¹)."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, without the origin of every pattern."""
        values = {name: value for name, value in vars(self).items() if name != "origin"}
        return {**values, "mean_origin": self.origin.mean(axis=(0, 1)).tolist()}


def calibrate(
    disks: BraggDisks, calibration: Calibration, settings: CalibrationSettings | None = None
) -> tuple[BraggDisks, CalibrationReport]:
    """Turn disks in detector pixels into Å⁻¹ from the direct beam, in the scan frame.

    First the origin is taken away and the distortion undone, then the pixel size is applied, then, if
    ``calibration.flip``, qx and qy are exchanged, then [[cos, -sin], [sin, cos]] of ``calibration.rotation`` is
    applied: as py4DSTEM's BraggVectors.
    The direct beam stays among the disks, near (0, 0).

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
    fit = fit_origin(disks, settings.surface)
    qx, qy = to_scan_frame(disks, fit.origin, calibration)
    report = CalibrationReport(
        fit.origin,
        fit.surface,
        fit.residual,
        fit.used,
        calibration.q_pixel,
        _doubts(disks, fit, calibration),
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
    center = origin.reshape(-1, 2)[disks.owner]
    x, y = undistorted(disks.qx - center[:, 0], disks.qy - center[:, 1], calibration.distortion)
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
    doubts = []
    if calibration.q_pixel_from == "unknown":
        doubts.append(
            "It is not known where the pixel size comes from: fit it to a known crystal to be sure."
        )
    if fit.used < 0.5:
        doubts.append(
            f"The direct beam was found in only {fit.used:.0%} of the patterns; the others are centred by the fit. "
            "Check the detection, or the rim that it leaves out."
        )
    error = fit.residual * q_pixel
    if not error <= DOUBTFUL_RESIDUAL:
        better = "a parabola" if fit.surface != "parabola" else "a smaller part of the scan"
        doubts.append(
            f"The direct beams lie {fit.residual:.2f} px ({error:.3f} Å⁻¹) from the fitted {fit.surface}, more than "
            f"{DOUBTFUL_RESIDUAL:g} Å⁻¹: orientations will suffer. Try {better}."
        )
    farthest = float(
        np.hypot(disks.qx - fit.origin[..., 0].mean(), disks.qy - fit.origin[..., 1].mean()).max()
    )
    low, high = PLAUSIBLE_REACH
    if not low <= farthest * q_pixel <= high:
        doubts.append(
            f"With {q_pixel:g} Å⁻¹ per pixel the outermost disk lies at {farthest * q_pixel:.3g} Å⁻¹, "
            "which is unusual: was the pixel size meant in another unit (1 Å⁻¹ = 10 nm⁻¹)?"
        )
    return doubts

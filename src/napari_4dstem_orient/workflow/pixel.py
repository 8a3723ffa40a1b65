"""The detector pixel from the rings of a crystal, as a step of a job."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_4dstem_orient.core.errors import UserError

if TYPE_CHECKING:
    from napari_4dstem_orient.calibration.pixel_size import PixelSizeFit
    from napari_4dstem_orient.core.bragg_disks import BraggDisks
    from napari_4dstem_orient.workflow.job import Job
    from napari_4dstem_orient.workflow.run import Results


def with_fitted_pixel(job: Job, got: Results) -> Results:
    """Fit the detector pixel to the rings of the crystal that a job names for that.

    What is known of it is the guess. The fitted pixel is taken where nothing was known, or where the fit is good.

    Raises
    ------
    UserError
        The disks are in Å⁻¹ already, or too few to fit a pixel of which nothing is known.
    """
    from napari_4dstem_orient.calibration.calibrate import CalibrationSettings
    from napari_4dstem_orient.calibration.pixel_size import fit_q_pixel

    if job.ring_crystal is None or got.disks is None or got.calibration is None:
        return got
    if got.disks.calibrated:
        raise UserError(
            "The disks of the input are in Å⁻¹ already, so no detector pixel can be fitted; leave that out."
        )
    known, fit = got.calibration, None
    origin = (job.centring or CalibrationSettings()).fit(got.disks).origin
    with suppress(*([UserError] if known.q_pixel else [])):  # too few disks to check what is known
        fit = fit_q_pixel(got.disks, job.ring_crystal, known.q_pixel, origin, known.distortion)
    if fit is not None and (known.q_pixel is None or fit.trustworthy):
        known = known.with_(q_pixel=fit.q_pixel, q_pixel_from=fit.q_pixel_from)
    scan = None if got.scan is None else got.scan.with_calibration(known)
    return replace(got, scan=scan, calibration=known, pixel_fit=fit)


def told_of(fit: PixelSizeFit | None, calibrated: BraggDisks) -> BraggDisks:
    """Return calibrated disks that remember the fit, and warn of it where it is doubtful."""
    if fit is None:
        return calibrated
    told = calibrated.provenance["calibration"]
    warnings = [*told["warnings"], *([] if fit.trustworthy else [fit.sentence])]
    told = {**told, "warnings": warnings, "pixel_fit": fit.sentence}
    return replace(calibrated, provenance={**calibrated.provenance, "calibration": told})

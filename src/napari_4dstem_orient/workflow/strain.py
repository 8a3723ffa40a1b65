"""Strain of a map: measured from the disks that it was made from, for each crystal of its patterns."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.workflow.job import Job, Stage
from napari_4dstem_orient.workflow.run import UNSEEN, Observer, run

if TYPE_CHECKING:
    from napari_4dstem_orient.analysis.strain.strain import Axes, Reference
    from napari_4dstem_orient.core.bragg_disks import BraggDisks
    from napari_4dstem_orient.core.orientation_map import OrientationMap


def with_strain(
    orientation_map: OrientationMap,
    disks: BraggDisks,
    reference: Reference = "ideal",
    axes: Axes = "scan",
    region: np.ndarray | None = None,
    progress: Progress = silent,
) -> OrientationMap:
    """Return a map that knows the strain of its crystals; those of which the reference says nothing have none.

    Parameters
    ----------
    orientation_map : OrientationMap
    disks : BraggDisks
        Calibrated, of the same scan.
    reference, axes, region
        See ``analysis.strain.strain.strain``.
    progress : callable
        ``progress(done, total)``; may raise ``Cancelled``.

    Raises
    ------
    UserError
        The disks are of another scan, the voltage is unknown, or the region has no strain.
    """
    from napari_4dstem_orient.analysis.strain.deformation import deformation
    from napari_4dstem_orient.analysis.strain.strain import strain

    known = _calibration(orientation_map)
    if disks.scan_shape != orientation_map.scan_shape:
        one, other = ("{} × {}".format(*shape) for shape in (orientation_map.scan_shape, disks.scan_shape))
        raise UserError(
            f"The map has {one} positions and the disks {other}; take the disks that it was made from."
        )
    if known.voltage is None:
        raise UserError("The map does not say at which voltage it was taken; make it again with the voltage.")
    measured = []
    for number in range(1, 2 + len(orientation_map.beside)):
        own = orientation_map.of_crystal(number)
        found = deformation(disks, orientation_map, known.voltage, known.precession, number, progress)
        told = number == 1 or region is None or bool((~np.isnan(found.gradient[region][:, 0, 0])).any())
        measured.append(strain(found, own, reference, axes, region) if told else None)
    beside = tuple(
        replace(other, strain=each) for other, each in zip(orientation_map.beside, measured[1:], strict=True)
    )
    return replace(orientation_map, strain=measured[0], beside=beside)


def disks_of(
    orientation_map: OrientationMap, source: str | None = None, observer: Observer = UNSEEN
) -> BraggDisks:
    """Return the calibrated disks that a map was made from, found again where they are not in a file.

    Parameters
    ----------
    orientation_map : OrientationMap
    source : str, optional
        The scan, or a file of its disks; by default what the map was made from.
    observer : Observer

    Raises
    ------
    UserError
        The map does not say how it was made, or its input is not there.
    """
    told = orientation_map.provenance.get("job")
    try:
        job = Job.from_dict(told) if told else Job()
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"The map does not say how it was made ({error}); make it again with --strain."
        ) from error
    known: dict[str, Any] = dict(orientation_map.provenance.get("calibration", {}))
    given = {item.name: known[item.name] for item in fields(Calibration) if item.name in known}
    job = replace(job, calibration=given)
    if source is not None:
        job = replace(job, path=source, dataset=None, sample=None)
    disks = run(job, Stage.CALIBRATED, observer=observer).calibrated
    assert disks is not None
    return disks


def _calibration(orientation_map: OrientationMap) -> Calibration:
    known = orientation_map.provenance.get("calibration", {})
    return Calibration(voltage=known.get("voltage"), precession=known.get("precession") or 0.0)

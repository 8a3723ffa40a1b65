"""What a session holds at one moment, to be worked on from another thread. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from napari_4dstem_orient.core.distortion import distorted
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.napari_plugin.qt.clock import now_and_then
from napari_4dstem_orient.workflow.job import Job
from napari_4dstem_orient.workflow.session import Session, Stage

if TYPE_CHECKING:
    from napari_4dstem_orient.core.bragg_disks import BraggDisks
    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.core.scan import Calibration, Scan
    from napari_4dstem_orient.detection.probe import Probe
    from napari_4dstem_orient.napari_plugin.state.long_runs import LongRun

FALLBACK_SHAPE, FALLBACK_REACH = (128, 128), 2.0
"""Pixels, and Å⁻¹ from the centre, of a detector that nothing is known about."""
SMALLEST_DISK, UNKNOWN_DISK = 1.5, 3.0
"""Pixels: a smaller radius could not be seen; the radius where no probe is known."""


@dataclass(frozen=True)
class BeamConditions:
    """How patterns are made: voltage in kV, |q| in Å⁻¹ up to which they are seen, precession in degrees."""

    voltage: float
    k_max: float
    precession: float = 0.0


@dataclass(frozen=True)
class Detector:
    """The detector's pixels, and how they lie in the scan's frame.

    Attributes
    ----------
    shape : (int, int)
        Pixels along (y, x).
    q_pixel : float
        Å⁻¹ for each pixel.
    rotation, flip, distortion
        As in ``Calibration``.
    scaled : bool
        Whether lengths in Å⁻¹ may be read from what is drawn: False where ``q_pixel`` is but a guess for patterns and
        disks that are in pixels.
    """

    shape: tuple[int, int]
    q_pixel: float
    rotation: float = 0.0
    flip: bool = False
    distortion: tuple[float, float] = (0.0, 0.0)
    scaled: bool = True

    @property
    def reach(self) -> float:
        """How far the detector sees from its centre, Å⁻¹."""
        return self.q_pixel * min(self.shape) / 2

    def pixels(self, xy: np.ndarray) -> np.ndarray:
        """Turn scan-frame positions (n, 2) in Å⁻¹ into detector pixels from the direct beam.

        The inverse of what ``calibrate`` does: turn back, exchange the axes where they were flipped, distort.
        """
        angle = np.deg2rad(self.rotation)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        turned = np.asarray(xy, float) @ turn / self.q_pixel
        x, y = (turned[:, ::-1] if self.flip else turned).T
        return np.stack(distorted(x, y, self.distortion), axis=1)


_farthest: WeakKeyDictionary[BraggDisks, float] = WeakKeyDictionary()


def farthest(disks: BraggDisks) -> float:
    """Return how far the outermost of all sure disks is from the centre; 0 where there is none."""
    if disks not in _farthest:
        sure = disks.sure()
        _farthest[disks] = float(np.hypot(sure.qx, sure.qy).max(initial=0))
    return _farthest[disks]


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What a session holds at one moment, to be looked at from another thread."""

    scan: Scan | None
    calibration: Calibration
    disks: BraggDisks | None
    calibrated: BraggDisks | None
    maps: dict[str, OrientationMap]
    probe: Probe | None = None
    job: Job = Job()  # noqa: RUF009 - it is frozen

    @classmethod
    def of(cls, session: Session) -> Snapshot:
        """Take it."""
        return cls(
            session.get(Stage.SCAN),
            session.calibration,
            session.get(Stage.DISKS),
            session.get(Stage.CALIBRATED),
            session.maps,
            session.get(Stage.PROBE),
            session.job_for(Stage.MAP),
        )

    @cached_property
    def detector(self) -> Detector:
        """The detector as far as it is known, else one that would hold the disks."""
        scan, disks, known = self.scan, self.disks, self.calibration
        shapes = [one.detector_shape for one in (scan, disks, self.calibrated) if one is not None]
        shape = next(filter(None, shapes), FALLBACK_SHAPE)
        q_pixel, scaled = known.q_pixel, True
        if q_pixel is None:
            scaled = scan is None and (disks is None or disks.calibrated)
            far = farthest(self.calibrated) if self.calibrated is not None else 0.0
            q_pixel = 1.05 * (far or FALLBACK_REACH) / (min(shape) / 2)
        return Detector(shape, q_pixel, known.rotation, known.flip, known.distortion, scaled)

    @cached_property
    def beam(self) -> BeamConditions | None:
        """How the patterns were made, or None while the voltage is unknown."""
        if self.calibration.voltage is None:
            return None
        seen = self.calibrated
        reach = None if seen is None else seen.reach or farthest(seen)
        return BeamConditions(
            self.calibration.voltage, reach or self.detector.reach, self.calibration.precession
        )

    @property
    def radius(self) -> float:
        """Radius of the disks in detector pixels, large enough to be seen."""
        return max(SMALLEST_DISK, float(self.probe.radius) if self.probe is not None else UNKNOWN_DISK)

    def map(
        self,
        job: Job,
        long_run: LongRun,
        see: Callable[[OrientationMap], None],
        progress: Progress = silent,
    ) -> OrientationMap:
        """Map the whole scan.

        Every now and then ``see`` gets the map as far as it is. The map's first colours and their key are made
        here: in the main thread they would stop the window.
        """
        from napari_4dstem_orient.analysis.channels import paint_first
        from napari_4dstem_orient.workflow.run import Results

        if self.calibrated is None:
            raise UserError("There are no calibrated disks to map; calibrate them first.")

        def show(grown: OrientationMap) -> None:
            paint_first(grown)
            see(grown)

        glimpse = now_and_then(show, self.calibrated.counts.size)
        source = self.scan.source if self.scan is not None else None
        have = Results(calibrated=self.calibrated, calibration=self.calibration, source=source)
        found = long_run(job, None, have, progress, glimpse).map
        assert found is not None
        paint_first(found)
        return found

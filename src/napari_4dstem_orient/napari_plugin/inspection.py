"""What there is to see at one scan position: the measured pattern and each method's answer. Knows no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.napari_plugin.snapshot import Detector, Illumination, Snapshot
from napari_4dstem_orient.orientation_map import Reason

if TYPE_CHECKING:
    from napari_4dstem_orient.crystals.phase import Phase
    from napari_4dstem_orient.orientation_map import OrientationMap

HALF_TURN = np.diag([-1.0, -1.0, 1.0])
"""Half a turn about the beam, applied on the right of an orientation matrix."""
SAME = 5.0
"""Orientations closer than this (degrees) count as the same when the half turn is judged."""
NEARLY_AS_GOOD = 0.95
"""A runner-up is nearly as good from this share of the best score."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What one method says about one scan position.

    Attributes
    ----------
    reason : Reason
        Why there is, or is not, an answer.
    phase : Phase or None
    rotation : ndarray, shape (3, 3)
        As in ``OrientationMap``.
    score : float
    explained : int
        Measured disks that the answer explains.
    half_turn : bool
        Whether the orientation turned by 180° about the beam explains the disks nearly as well.
    spots : ndarray, shape (n, 6)
        The predicted pattern (see ``predicted_pattern``); empty where there is no answer.
    """

    reason: Reason
    phase: Phase | None
    rotation: np.ndarray
    score: float
    explained: int
    half_turn: bool
    spots: np.ndarray


@dataclass(frozen=True, eq=False)
class Position:
    """All that is known about one scan position, in the detector's frame.

    Attributes
    ----------
    where : (int, int)
        Row and column.
    detector : Detector
    pattern : ndarray, shape (det_y, det_x), or None
        None where only disks or a map were read.
    disks : ndarray, shape (n, 2)
        Measured disks, pixels from the direct beam.
    origin : (float, float)
        Detector pixel of the direct beam.
    answers : dict
        Method to ``Answer``, for the maps there are.
    """

    where: tuple[int, int]
    detector: Detector
    pattern: np.ndarray | None
    disks: np.ndarray
    origin: tuple[float, float]
    answers: dict[str, Answer]

    def reflections(self, radius: float) -> int:
        """Count the disks, the direct beam (``radius`` pixels wide) left out."""
        return int((np.hypot(*self.disks.T) > radius).sum())

    def draw(self, answer: Answer | None, radius: float) -> np.ndarray:
        """Draw what an answer predicts, as the detector would see it; black where there is no answer."""
        if answer is None or not len(answer.spots):
            return np.zeros(self.detector.shape, np.float32)
        where = self.detector.pixels(answer.spots[:, :2])
        return draw_spots(where, answer.spots[:, 2], self.detector.shape, self.origin, radius)


def look(snapshot: Snapshot, row: int, col: int) -> Position:
    """Collect what is known about one scan position; reads one pattern from the scan."""
    detector = snapshot.detector
    seen, origin = np.zeros((0, 2)), np.array(detector.shape) // 2 + 0.0
    if snapshot.calibrated is not None:
        seen = detector.pixels(snapshot.calibrated.at(row, col)[:, :2])
    if snapshot.disks is not None and not snapshot.disks.calibrated:
        pixels = snapshot.disks.at(row, col)[:, :2]
        if len(seen) == len(pixels) > 0:
            origin = np.median(pixels - seen, axis=0)
        seen = pixels - origin
    answers = {method: answer_at(found, row, col, snapshot.light) for method, found in snapshot.maps.items()}
    pattern = None if snapshot.scan is None else snapshot.scan.pattern(row, col)
    return Position((row, col), detector, pattern, seen, (float(origin[0]), float(origin[1])), answers)


def answer_at(orientation_map: OrientationMap, row: int, col: int, light: Illumination | None) -> Answer:
    """Read one position of a map and predict its pattern; without illumination nothing is predicted."""
    rotation = orientation_map.rotation[row, col]
    phase = spots = None
    half_turn = False
    if orientation_map.indexed[row, col]:
        phase = orientation_map.phases[orientation_map.phase_id[row, col]]
        half_turn = _half_turn_nearly_as_good(orientation_map, row, col, phase)
        if light is not None:
            from napari_4dstem_orient.indexing.prediction import predicted_pattern

            spots = predicted_pattern(phase, rotation, light.voltage, light.k_max, light.precession)
    return Answer(
        reason=Reason(int(orientation_map.reason[row, col])),
        phase=phase,
        rotation=rotation,
        score=float(orientation_map.score[row, col]),
        explained=int(orientation_map.explained[row, col]),
        half_turn=half_turn,
        spots=np.zeros((0, 6)) if spots is None else spots,
    )


def _half_turn_nearly_as_good(orientation_map: OrientationMap, row: int, col: int, phase: Phase) -> bool:
    from napari_4dstem_orient.analysis.misorientation import misorientation

    best = orientation_map.rotation[row, col]
    turned = best @ HALF_TURN
    if misorientation(best, turned, phase) < SAME:
        return False  # the crystal's own symmetry: both are one orientation
    good = orientation_map.runner_up_score[row, col] >= NEARLY_AS_GOOD * orientation_map.score[row, col]
    rivals = orientation_map.runner_up[row, col][good]
    return len(rivals) > 0 and bool(np.any(misorientation(rivals, turned, phase) < SAME))


def angle_between(first: Answer | None, second: Answer | None) -> float | None:
    """Return the misorientation of two answers in degrees, or None unless both name the same phase."""
    if first is None or second is None or first.phase is None or second.phase is None:
        return None
    if first.phase is not second.phase and not first.phase.same_crystal(second.phase):
        return None
    from napari_4dstem_orient.analysis.misorientation import misorientation

    return float(misorientation(first.rotation, second.rotation, first.phase))


def draw_spots(
    positions: np.ndarray,
    intensity: np.ndarray,
    shape: tuple[int, int],
    origin: tuple[float, float],
    radius: float,
) -> np.ndarray:
    """Draw a predicted pattern as the detector would see it.

    Parameters
    ----------
    positions : ndarray, shape (n, 2)
        Detector pixels from the direct beam.
    intensity : ndarray, shape (n,)
        The strongest is drawn as 1.
    shape : (int, int)
        Pixels of the detector.
    origin : (float, float)
        Pixel of the direct beam.
    radius : float
        Radius of a disk in pixels.

    Returns
    -------
    ndarray, float32
        Disks with soft edges; the direct beam is as bright as the strongest spot.
    """
    image = np.zeros(shape, np.float32)
    intensity = np.append(intensity / intensity.max(initial=1e-12), 1.0)
    centre = np.vstack([positions, np.zeros((1, 2))]) + origin
    window = np.arange(int(np.ceil(2 * radius)) + 2)
    corner = np.floor(centre - radius).astype(int)
    rows = corner[:, 0, None, None] + window[:, None]
    cols = corner[:, 1, None, None] + window[None, :]
    distance = np.hypot(rows - centre[:, 0, None, None], cols - centre[:, 1, None, None])
    value = np.clip(radius + 0.5 - distance, 0, 1) * intensity[:, None, None]
    rows, cols = np.broadcast_arrays(rows, cols)
    inside = (rows >= 0) & (rows < shape[0]) & (cols >= 0) & (cols < shape[1])
    np.maximum.at(image, (rows[inside], cols[inside]), value[inside])
    return image

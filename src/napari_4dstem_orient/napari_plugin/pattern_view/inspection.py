"""What there is to see at one scan position: the measured pattern and each method's answer. Knows no Qt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from napari_4dstem_orient.core.certainty import AmbiguityFlag, IndexingStatus
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.crystals.directions import nearest_direction, standard_variant, zone_axis
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.settings import PredictionSettings
from napari_4dstem_orient.napari_plugin.pattern_view.pictures import measured_picture
from napari_4dstem_orient.napari_plugin.pattern_view.spot_matching import Marks, marks
from napari_4dstem_orient.napari_plugin.qt.libraries import import_libraries
from napari_4dstem_orient.napari_plugin.state.snapshot import BeamConditions, Detector, Snapshot

HALF_TURN = np.diag([-1.0, -1.0, 1.0])
"""Half a turn about the beam, applied on the right of an orientation matrix."""
SAME = 5.0
"""Orientations closer than this (degrees) count as the same when the half turn is judged."""
CORNERS = 1.45
"""Patterns are predicted this much further than the detector sees in every direction: into its corners."""
NO_BREAK = "\u00a0"
"""A space at which no line ends."""
NEARLY_AS_GOOD = 0.95
"""A runner-up is nearly as good from this share of the best score."""


@dataclass(frozen=True, eq=False)
class RunnerUp:
    """A further hypothesis of the answer's phase: its orientation, score, and degrees from the answer."""

    rotation: np.ndarray
    score: float
    apart: float


@dataclass(frozen=True, eq=False)
class Answer:
    """What one method says about one scan position.

    Attributes
    ----------
    status : IndexingStatus
        Why there is, or is not, an answer.
    phase : Phase or None
    rotation : ndarray, shape (3, 3)
        As in ``OrientationMap``.
    score : float
    reliability : float or None
        Probability that the answer is right; None where that is not known or nothing was tried.
    ambiguity : AmbiguityFlag
        What speaks against the answer; of a method that does not know, whether the orientation turned by 180°
        about the beam explains the disks nearly as well.
    spots : ndarray, shape (n, 6)
        The predicted pattern (see ``predicted_pattern``); empty where there is no answer.
    rivals : tuple of RunnerUp
        Best first.
    crystal : int
        Which of the pattern's crystals it is, 1 for the first.
    share : float or None
        Its share of the intensity that the pattern's crystals explain; None where only one was looked for.
    beside : tuple of Answer
        The further crystals that were found in the pattern.
    """

    status: IndexingStatus
    phase: Phase | None
    rotation: np.ndarray
    score: float
    reliability: float | None
    ambiguity: AmbiguityFlag
    spots: np.ndarray
    rivals: tuple[RunnerUp, ...] = ()
    crystal: int = 1
    share: float | None = None
    beside: tuple[Answer, ...] = ()

    def of_crystals(self, number: int = 0) -> tuple[Answer, ...]:
        """Return one of the pattern's crystals; all where there is no such, as for 0."""
        every = (self, *self.beside)
        return tuple(each for each in every if each.crystal == number) or every


@dataclass(frozen=True, eq=False)
class Position:
    """All that is known about one scan position, in the detector's frame.

    Attributes
    ----------
    where : (int, int)
        Row and column.
    detector : Detector
    radius : float
        Of the disks, in pixels.
    picture : ndarray, shape (det_y, det_x)
        The measured pattern from black (0) to white (1); black where only disks or a map were read.
    disks : ndarray, shape (n, 2)
        Measured disks, pixels from the direct beam.
    origin : ndarray, shape (2,)
        Detector pixel of the direct beam.
    answers : dict
        Method to ``Answer``, for the maps there are.
    reach : float
        Å⁻¹ up to which disks were looked for.
    """

    where: tuple[int, int]
    detector: Detector
    radius: float
    picture: np.ndarray
    disks: np.ndarray
    origin: np.ndarray
    answers: dict[str, Answer]
    reach: float

    @property
    def beside(self) -> np.ndarray:
        """Which disks are not the direct beam, bool, shape (n,); those that ``Marks`` has."""
        return np.asarray(np.hypot(*self.disks.T) > self.radius)

    @property
    def reflections(self) -> int:
        """Number of disks, the direct beam left out."""
        return int(self.beside.sum())

    def marks(self, spots: np.ndarray) -> Marks:
        """Match the measured disks with a predicted pattern (see ``Answer.spots``)."""
        return marks(self.disks, spots, self.detector, self.origin, self.radius, self.reach)


def look(snapshot: Snapshot, row: int, col: int, prediction: PredictionSettings | None = None) -> Position:
    """Collect what is known about one scan position; reads one pattern from the scan."""
    position = measured_at(snapshot, row, col)
    if snapshot.scan is not None:
        picture = measured_picture(snapshot.scan.pattern(row, col), position.origin)
        position = replace(position, picture=picture)
    answers = {
        method: answer_at(found, row, col, snapshot.beam, prediction)
        for method, found in snapshot.maps.items()
    }
    return replace(position, answers=answers)


def measured_at(snapshot: Snapshot, row: int, col: int) -> Position:
    """Return where the sure disks of a scan position were measured; nothing is read, so its pattern is black."""
    detector = snapshot.detector
    seen, origin = np.zeros((0, 2)), np.array(detector.shape) // 2 + 0.0
    if snapshot.calibrated is not None:
        seen = detector.pixels(snapshot.calibrated.only(row, col).sure().at(0, 0)[:, :2])
    if snapshot.disks is not None and not snapshot.disks.calibrated:
        pixels = snapshot.disks.only(row, col).sure().at(0, 0)[:, :2]
        if len(seen) == len(pixels) > 0:
            origin = np.median(pixels - seen, axis=0)
        seen = pixels - origin
    reach = snapshot.beam.k_max if snapshot.beam is not None else detector.reach
    black = np.zeros(detector.shape, np.float32)
    return Position((row, col), detector, snapshot.radius, black, seen, origin, {}, reach)


def answer_at(
    orientation_map: OrientationMap,
    row: int,
    col: int,
    beam: BeamConditions | None,
    prediction: PredictionSettings | None = None,
) -> Answer:
    """Read one position of a map and predict its pattern; without illumination nothing is predicted."""
    rotation = orientation_map.rotation[row, col]
    phase = None
    rivals: tuple[RunnerUp, ...] = ()
    certainty, reliability, doubt = orientation_map.certainty, None, AmbiguityFlag(0)
    if certainty is not None:
        reliability = float(certainty.reliability[row, col]) or None
        doubt = certainty.ambiguity_at(row, col)
    if orientation_map.indexed[row, col]:
        import_libraries()
        phase = orientation_map.phases[orientation_map.phase_id[row, col]]
        rivals = _rivals(orientation_map, row, col, phase)
        if certainty is None and _half_turn_nearly_as_good(orientation_map, row, col, phase):
            doubt = AmbiguityFlag.HALF_TURN
    beside = (
        replace(answer_at(other, row, col, beam, prediction), crystal=number)
        for number, other in enumerate(orientation_map.beside, 2)
        if other.indexed[row, col]
    )
    return Answer(
        status=IndexingStatus(int(orientation_map.status[row, col])),
        phase=phase,
        rotation=rotation,
        score=float(orientation_map.score[row, col]),
        reliability=reliability,
        ambiguity=doubt,
        spots=predict(phase, rotation, beam, prediction),
        rivals=rivals,
        share=None if orientation_map.share is None else float(orientation_map.share[row, col]),
        beside=tuple(beside),
    )


def predict(
    phase: Phase | None,
    rotation: np.ndarray,
    beam: BeamConditions | None,
    prediction: PredictionSettings | None = None,
) -> np.ndarray:
    """Return the pattern of an orientation (see ``predicted_pattern``), into the detector's corners.

    Empty without a phase or illumination.
    """
    if phase is None or beam is None:
        return np.zeros((0, 6))
    from napari_4dstem_orient.indexing.prediction import predicted_pattern

    return predicted_pattern(phase, rotation, beam.voltage, CORNERS * beam.k_max, beam.precession, prediction)


def _rivals(orientation_map: OrientationMap, row: int, col: int, phase: Phase) -> tuple[RunnerUp, ...]:
    scores = orientation_map.runner_up_score[row, col]
    there = scores > 0  # where hypotheses ran out, the score is 0
    rotations = orientation_map.runner_up[row, col][there]
    apart = misorientation(rotations, orientation_map.rotation[row, col], phase)
    return tuple(
        RunnerUp(rotation, float(score), float(angle))
        for rotation, score, angle in zip(rotations, scores[there], apart, strict=True)
    )


def with_hypothesis(answer: Answer, number: int, beam: BeamConditions | None) -> Answer:
    """Return what the answer would be, alone, if its hypothesis ``number`` were right; for 0 the answer itself."""
    if number == 0 or answer.phase is None:
        return answer
    rival = answer.rivals[number - 1]
    spots = predict(answer.phase, rival.rotation, beam)
    return replace(
        answer,
        rotation=rival.rotation,
        score=rival.score,
        reliability=None,
        ambiguity=AmbiguityFlag(0),
        spots=spots,
        share=None,
        beside=(),
    )


def hypothesis_texts(answer: Answer) -> list[str]:
    """Say in one short line each what the answer and its rivals are."""
    if answer.phase is None:
        return []
    count = 1 + len(answer.rivals)
    lines = [f"1 of {count}: {zone_axis(answer.rotation, answer.phase).text}, score {answer.score:.2f}"]
    for number, rival in enumerate(answer.rivals, 2):
        axis = zone_axis(rival.rotation, answer.phase).text
        lines.append(f"{number} of {count}: {axis}, score {rival.score:.2f}, {rival.apart:.1f}° away")
    return lines


def _half_turn_nearly_as_good(orientation_map: OrientationMap, row: int, col: int, phase: Phase) -> bool:
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
    return float(misorientation(first.rotation, second.rotation, first.phase))


def farthest_apart(answers: dict[str, Answer]) -> float | None:
    """Return the largest misorientation between any two answers in degrees, or None where no two name one phase."""
    found = [angle_between(*pair) for pair in combinations(answers.values(), 2)]
    return max((angle for angle in found if angle is not None), default=None)


def variants(answers: dict[str, Answer]) -> dict[str, np.ndarray]:
    """Return each answer's orientation, shape (3, 3), in the standard symmetry variant, all in the same one.

    Answers a degree apart would otherwise be named by different, though equivalent, directions.
    """
    found: dict[str, np.ndarray] = {}
    first: Answer | None = None
    for method, answer in answers.items():
        if answer.phase is None:
            continue
        if angle_between(first, answer) is None:
            first, known = answer, standard_variant(answer.rotation, answer.phase)
            found[method] = known
        else:
            equivalent = answer.phase.symmetry @ answer.rotation
            found[method] = equivalent[np.einsum("nij,ij->n", equivalent, known).argmax()]
    return found


def name_directions(answers: dict[str, Answer]) -> dict[str, str]:
    """Return each answer's zone axis and in-plane direction as rich text; see ``variants``."""
    named: dict[str, str] = {}
    for method, variant in variants(answers).items():
        phase = answers[method].phase
        assert phase is not None
        texts = (nearest_direction(variant[:, axis], phase).text for axis in (2, 0))
        zone, in_plane = (text.replace(" ", NO_BREAK) for text in texts)
        named[method] = f"zone axis <b>{zone}</b><br>in-plane <b>{in_plane}</b>"
    return named

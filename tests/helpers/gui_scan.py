"""A small scan with known orientations, and an indexer that answers without computing, for the tests of the panels."""

import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

import dask.array as da
import numpy as np
from qtpy.QtGui import QImage
from scipy.spatial.transform import Rotation

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.certainty import Certainty, IndexingStatus
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.progress import silent
from napari_4dstem_orient.core.scan import Calibration, Scan
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.prediction import predicted_pattern
from napari_4dstem_orient.napari_plugin.panels.orientation import panel as orientation
from napari_4dstem_orient.napari_plugin.pattern_view.pattern_canvas import PatternCanvas
from napari_4dstem_orient.napari_plugin.pattern_view.pictures import grey_levels, raw_picture
from napari_4dstem_orient.napari_plugin.state.indexers import Fit
from napari_4dstem_orient.napari_plugin.state.snapshot import Detector
from napari_4dstem_orient.workflow.session import Stage
from napari_4dstem_orient.workflow.steps import Indexing

SHAPE = (4, 6)
Q_PIXEL = 0.03
ORIGIN = np.array([50.0, 46.0])
CALIBRATION = Calibration(
    voltage=200.0, q_pixel=Q_PIXEL, r_pixel=20.0, rotation=30.0, flip=True, q_pixel_from="typed"
)
DETECTOR = Detector((96, 96), Q_PIXEL, CALIBRATION.rotation, CALIBRATION.flip)
VACUUM = (0, 0)

LEFT, RIGHT = (
    Rotation.from_euler("zxz", angles, degrees=True).as_matrix().astype(np.float32)
    for angles in ([20, 45, 10], [50, 15, 70])
)


def truth() -> np.ndarray:
    """Return the orientation of every position: one grain on the left, one on the right."""
    rotation = np.empty((*SHAPE, 3, 3), np.float32)
    rotation[:, :3], rotation[:, 3:] = LEFT, RIGHT
    return rotation


def calibrated_disks(phase: Phase) -> BraggDisks:
    """Return what a perfect detection and calibration would give; no disks at ``VACUUM``."""
    lists = []
    for where in np.ndindex(SHAPE):
        spots = predicted_pattern(phase, truth()[where], 200.0, 1.35)[:, :3]
        lists.append(np.vstack([[0, 0, 5], spots]) if where != VACUUM else np.zeros((0, 3)))
    return BraggDisks.from_lists(SHAPE, lists, calibrated=True, detector_shape=(96, 96), reach=1.35)


def detected_disks(calibrated: BraggDisks) -> BraggDisks:
    """Return the same disks in detector pixels."""
    pixels = DETECTOR.pixels(np.stack([calibrated.qx, calibrated.qy], axis=1)) + ORIGIN
    qx, qy = np.ascontiguousarray(pixels.T, np.float32)
    return replace(calibrated, qx=qx, qy=qy, calibrated=False)


def drawn(positions, intensity, shape=(96, 96), origin=ORIGIN, radius=2.0) -> np.ndarray:
    """Draw disks with soft edges, and a direct beam as bright as the strongest, float, of ``shape``."""
    rows, cols = np.indices(shape)
    picture = np.zeros(shape, np.float32)
    for (row, col), bright in zip(
        [*positions, (0, 0)], [*intensity / intensity.max(initial=1e-12), 1.0], strict=True
    ):
        apart = np.hypot(rows - row - origin[0], cols - col - origin[1])
        picture = np.maximum(picture, bright * np.clip(radius + 0.5 - apart, 0, 1))
    return picture


def shows(view: PatternCanvas, pattern: np.ndarray) -> bool:
    """Return whether this is the pattern on view."""
    picture, expected = view.canvas.picture, grey_levels(raw_picture(pattern))
    return picture is not None and np.array_equal(picture, expected)


def marked(view: PatternCanvas, kind: str) -> np.ndarray:
    """Return where the marks of a kind are, shape (n, 2)."""
    found = [marks.where for marks in view.canvas.marks if marks.kind == kind]
    return np.concatenate([np.zeros((0, 2)), *found])


def grabbed(widget) -> np.ndarray:
    """Return what a widget paints, RGB, shape (height, width, 3), as integers that may be subtracted."""
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    data = np.frombuffer(image.constBits().asstring(image.sizeInBytes()), np.uint8)
    return data.reshape(image.height(), image.bytesPerLine() // 4, 4)[:, : image.width(), 2::-1].astype(int)


def scan_of(calibrated: BraggDisks) -> Scan:
    """Draw the patterns that have these disks."""
    patterns = np.zeros((*SHAPE, 96, 96), np.float32)
    for where in np.ndindex(SHAPE):
        disks = calibrated.at(*where)[1:]
        pixels = DETECTOR.pixels(disks[:, :2])
        patterns[where] = 1000 * drawn(pixels, disks[:, 2])
    return Scan(da.from_array(patterns, chunks=(1, 6, 96, 96)), CALIBRATION, source="drawn")


def numbered_scan(shape: tuple[int, int], **calibration) -> Scan:
    """Return a scan whose patterns are filled with the number of their position."""
    data = np.zeros((*shape, 4, 4), np.uint16)
    data[...] = np.arange(shape[0] * shape[1]).reshape(*shape, 1, 1)
    return Scan(da.from_array(data, chunks=(1, 8, 4, 4)), Calibration(**calibration))


def fill(session, phase: Phase, calibrated: BraggDisks | None = None) -> BraggDisks:
    """Put the scan and its disks into a session, up to calibrated disks."""
    calibrated = calibrated_disks(phase) if calibrated is None else calibrated
    session.put(Stage.SCAN, scan_of(calibrated))
    session.put(Stage.DISKS, detected_disks(calibrated))
    session.put(Stage.CALIBRATED, calibrated)
    return calibrated


def made_map(phase: Phase, method: str, shape=SHAPE, rotation=None, disks=None) -> OrientationMap:
    """Return a map of the true orientations, not indexed where there are no disks; the transformer is 93 % sure."""
    rotation = truth() if rotation is None else np.asarray(rotation, np.float32)
    counts = np.full(shape, 20) if disks is None else disks.counts
    indexed = counts > 4
    return OrientationMap(
        phases=(phase,),
        rotation=rotation,
        phase_id=np.where(indexed, 0, -1).astype(np.int32),
        score=np.where(indexed, 0.8, 0).astype(np.float32),
        status=np.where(indexed, IndexingStatus.INDEXED, IndexingStatus.TOO_FEW_DISKS).astype(np.uint8),
        n_matched=np.where(indexed, 12, 0).astype(np.int32),
        runner_up=rotation[:, :, None],
        runner_up_score=np.zeros((*shape, 1), np.float32),
        method=method,
        r_pixel=20.0,
        certainty=sure_of(indexed) if method == "transformer" else None,
    )


SECOND = np.s_[1:3, 1:4]
"""Positions of ``overlapping_map`` whose patterns hold a second crystal: the other grain's."""
SHARE = 0.25
"""Of the light, of the second crystal where there is one."""


def overlapping_map(phase: Phase, method: str = "transformer") -> OrientationMap:
    """Return the true map with a second crystal at ``SECOND``, turned as the other grain, 60 % reliable."""
    first, there = made_map(phase, method), np.zeros(SHAPE, bool)
    there[SECOND] = True
    second = made_map(phase, method, rotation=truth()[:, ::-1]).only(there)
    if second.certainty is not None:
        second.certainty.reliability[there] = 0.6
    share = np.where(there, SHARE, 0).astype(np.float32)
    return replace(first, beside=(replace(second, share=share),), share=1 - share)


def overlapping_disks(phase: Phase) -> BraggDisks:
    """Return calibrated disks as of ``overlapping_map``."""
    alone, lists = calibrated_disks(phase), []
    there = np.zeros(SHAPE, bool)
    there[SECOND] = True
    for row, col in np.ndindex(SHAPE):
        own, other = alone.at(row, col), alone.at(row, 0 if col > 2 else 5)[1:]
        lists.append(np.vstack([own, other * [1, 1, SHARE]]) if there[row, col] else own)
    return BraggDisks.from_lists(SHAPE, lists, calibrated=True, detector_shape=(96, 96), reach=1.35)


def sure_of(indexed: np.ndarray, doubt: int = 0) -> Certainty:
    """Return what the transformer says about answers of which it is 93 % sure."""
    reliability = np.where(indexed, 0.93, 0).astype(np.float32)
    return Certainty(reliability, 0.9 * reliability, np.where(indexed, doubt, 0).astype(np.uint8))


class KnowingIndexer:
    """Answers with the truth turned by ``off`` degrees about the beam; waits for ``gate`` where there is one, but for
    the first ``free`` times."""

    def __init__(
        self, phase: Phase, method: str, off: float = 0.0, gate: threading.Event | None = None
    ) -> None:
        self.phases, self.name, self.gate = (phase,), method, gate
        self.turn = Rotation.from_euler("z", off, degrees=True).as_matrix()
        self.asked = self.free = 0

    def index(self, disks: BraggDisks, progress=silent) -> OrientationMap:
        """Map a scan, or one position: which grain it is shows in its disks."""
        self.asked += 1
        for done in range(5):
            progress(done, 5)
            if self.gate is not None and self.asked > self.free:
                self.gate.wait(5)
        progress(5, 5)
        return self._answer(disks)

    def _answer(self, disks: BraggDisks) -> OrientationMap:
        rotation = np.empty((*disks.scan_shape, 3, 3))
        left = predicted_pattern(self.phases[0], LEFT, 200.0, 1.35)[0, :2]
        for where in np.ndindex(disks.scan_shape):
            near = np.hypot(*(disks.at(*where)[:, :2] - left).T).min(initial=9)
            rotation[where] = (LEFT if near < 1e-3 else RIGHT) @ self.turn
        return made_map(self.phases[0], self.name, disks.scan_shape, rotation, disks)


def let_know(monkeypatch, silver: Phase) -> dict[str, KnowingIndexer]:
    """Replace both methods by indexers that know the truth; template matching's is 2° off.

    Of the two models in the list one fits silver alone, the other nothing.
    """
    made = {
        "transformer": KnowingIndexer(silver, "transformer"),
        "template": KnowingIndexer(silver, "template", off=2.0),
    }
    models = [
        SimpleNamespace(path=Path(name), card=SimpleNamespace(title=f"{name} · 200 kV"))
        for name in ("Ag", "Cu")
    ]

    def fit(phases, beam, more=()):
        if [phase.name for phase in phases] == ["Ag"]:
            return Fit(models, ["", "it was trained for Cu"], (models[0].path,), "")
        return Fit(models, ["another crystal"] * 2, (), "Cu: none was trained for such a crystal")

    answer_with(monkeypatch, made)
    monkeypatch.setattr(orientation, "fit_models", create_autospec(orientation.fit_models, side_effect=fit))
    return made


def answer_with(monkeypatch, made: dict[str, Any]) -> None:
    """Let these indexers, by their method, answer in place of real ones, whatever models there are."""

    def make(step):
        return made[step.method]

    monkeypatch.setattr(Indexing, "make", create_autospec(Indexing.make, side_effect=make))
    monkeypatch.setattr(Indexing, "deciding_files", create_autospec(Indexing.deciding_files, return_value=()))

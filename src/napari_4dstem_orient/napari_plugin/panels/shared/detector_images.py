"""The images of virtual detectors, made in a thread: each comes, the one asked for last first."""

from __future__ import annotations

from functools import partial

import numpy as np
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_4dstem_orient.core.progress import Progress
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection.reduced import LiveImage
from napari_4dstem_orient.detection.virtual import virtual_image
from napari_4dstem_orient.detection.virtual_detector import AnyDetector
from napari_4dstem_orient.napari_plugin.qt.clock import now_and_then
from napari_4dstem_orient.napari_plugin.qt.latest_only import LatestOnly


class DetectorImages(QObject):
    """Makes images from a copy of the scan in memory (``live``), or by reading the scan, coarse to fine.

    Signals
    -------
    seen : Signal(int, object)
        The number of a detector, and its image or what there is of it.
    failed : Signal(object)
        The exception that ended all work.
    """

    seen = Signal(int, object)
    failed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.live: LiveImage | None = None
        self._due: dict[int, tuple[Scan, AnyDetector]] = {}
        self._latest = LatestOnly(self._on_answered, self._on_failed)

    def ask(self, number: int, scan: Scan, detector: AnyDetector) -> None:
        """Make the image of a detector; what is being read for another one begins anew afterwards."""
        asked = self._due[number] = scan, detector
        mask, live, see = detector.mask(scan.detector_shape), self.live, partial(self.seen.emit, number)

        def stream(progress: Progress) -> tuple[int, object, np.ndarray]:
            glimpse = now_and_then(see, scan.scan_shape[0] * scan.scan_shape[1])
            return number, asked, virtual_image(scan, mask, progress, glimpse)

        self._latest.ask(stream if live is None else lambda: (number, asked, live(mask)))

    def drop(self) -> None:
        """Forget all that was asked."""
        self._due.clear()
        self._latest.drop()

    def close(self) -> None:
        """Make nothing more, and free the copy of the scan."""
        self.drop()
        self._latest.close()
        self.blockSignals(True)
        self.live = None

    def _on_answered(self, answer: tuple[int, object, np.ndarray]) -> None:
        number, asked, image = answer
        self.seen.emit(number, image)
        if self._due.get(number) is asked:  # and not a detector that has moved on
            del self._due[number]
            for waiting in list(self._due)[:1]:
                self.ask(waiting, *self._due[waiting])

    def _on_failed(self, error: BaseException) -> None:
        self._due.clear()
        self.failed.emit(error)

"""The images of virtual detectors, made in a thread: each comes, the one asked for last first."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_4dstem_orient.core.errors import Cancelled
from napari_4dstem_orient.napari_plugin.qt.clock import now_and_then
from napari_4dstem_orient.napari_plugin.qt.latest_only import LatestOnly

if TYPE_CHECKING:
    from napari_4dstem_orient.core.scan import Scan
    from napari_4dstem_orient.detection.reduced import LiveImage
    from napari_4dstem_orient.detection.virtual_detector import VirtualDetector


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
        self._due: dict[int, tuple[Scan, VirtualDetector]] = {}
        self._stop = Event()
        self._latest = LatestOnly(self._on_answered, self._on_failed)

    def ask(self, number: int, scan: Scan, detector: VirtualDetector) -> None:
        """Make the image of a detector; what is being read for another one begins anew afterwards."""
        self._stop.set()
        self._stop = stop = Event()
        asked = self._due[number] = scan, detector
        mask, live, see = detector.mask(scan.detector_shape), self.live, self.seen.emit
        if live is not None:
            self._latest.ask(lambda: (number, asked, live(mask)))
        else:
            self._latest.ask(
                lambda: (number, asked, _stream(scan, mask, stop, lambda image: see(number, image)))
            )

    def drop(self) -> None:
        """Forget all that was asked."""
        self._stop.set()
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
        if not isinstance(error, Cancelled):
            self._due.clear()
            self.failed.emit(error)


def _stream(scan: Scan, mask: np.ndarray, stop: Event, see: Callable[[np.ndarray], object]) -> np.ndarray:
    """Integrate the scan until something newer is asked, and show how it grows."""
    from napari_4dstem_orient.detection.virtual import virtual_image

    def progress(done: int, total: int) -> None:
        if stop.is_set():
            raise Cancelled

    def see_now(image: np.ndarray) -> None:
        if not stop.is_set():
            see(image)

    return virtual_image(scan, mask, progress, now_and_then(see_now, scan.scan_shape[0] * scan.scan_shape[1]))

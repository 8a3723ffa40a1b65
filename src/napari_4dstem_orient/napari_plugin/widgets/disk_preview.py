"""What the present settings find at the cursor, live; and the Bragg vector map of the whole scan."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtWidgets import QLabel, QTabBar, QVBoxLayout, QWidget

from napari_4dstem_orient.napari_plugin.jobs import Latest
from napari_4dstem_orient.napari_plugin.libraries import import_libraries
from napari_4dstem_orient.napari_plugin.pattern_view import PatternView
from napari_4dstem_orient.napari_plugin.step_widget import behind_a_tab
from napari_4dstem_orient.session import Session, Stage

if TYPE_CHECKING:
    from napari_4dstem_orient.detection.probe import Probe
    from napari_4dstem_orient.detection.settings import DetectionSettings
    from napari_4dstem_orient.scan import Scan

Found = tuple[np.ndarray, "np.ndarray | None", np.ndarray, np.ndarray]
"""A pattern, its disks, the candidates rejected, and why."""
COLOR = "#ffcc00"
REJECTED = "#a0c8ff"
MOST_REJECTED = 200
"""Rejected candidates shown, the strongest first: noise has thousands."""


class DiskPreview(QWidget):
    """A diffraction view with two tabs, and the number of disks in words."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._settings: DetectionSettings | None = None
        self.tabs = QTabBar()
        self.tabs.addTab("Preview at the cursor")
        self.tabs.addTab("Bragg vector map")
        self.tabs.currentChanged.connect(self.refresh)
        self.view = PatternView(size=(240, 240))
        self.count = QLabel()
        self.count.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.tabs)
        layout.addWidget(self.view, 1)
        layout.addWidget(self.count)
        self._finder = Latest()
        self._finder.answered.connect(self._show)
        self._finder.failed.connect(self._on_failed)
        session.position_changed.connect(self._on_position)

    def try_settings(self, settings: DetectionSettings) -> None:
        """Preview other settings."""
        self._settings = settings
        self.refresh()

    def refresh(self) -> None:
        """Show what the chosen tab says."""
        self._finder.drop()
        if self.tabs.currentIndex() == 1:
            self._show_vector_map()
            return
        scan, probe = self._session.get(Stage.SCAN), self._session.get(Stage.PROBE)
        position = self._session.position
        if scan is None or position is None:
            self.view.clear("")
            self.count.setText("")
            return
        self.view.set_frame(self._session.calibration.q_pixel)
        self._finder.ask(partial(_find, scan, probe, self._settings, position))

    def close_preview(self) -> None:
        """Stop listening and free the canvas."""
        self._session.position_changed.disconnect(self._on_position)
        self._finder.drop()
        self.view.close_view()

    def _show(self, found: Found) -> None:
        pattern, disks, rejected, fate = found
        probe = self._session.get(Stage.PROBE)
        self.view.say("")
        self.view.show_pattern(pattern)
        if disks is None or probe is None:
            for name in ("disks", "rejected"):
                self.view.remove(name)
            self.count.setText("No probe yet.")
            return
        self.view.show_circles("disks", disks[:, :2], max(probe.radius, 1.5) * 1.3, COLOR)
        strongest = np.argsort(-rejected[:, 2])[:MOST_REJECTED]
        self.view.show_points("rejected", rejected[strongest, :2], 2.0, REJECTED, symbol="x")
        row, col = self._session.position or (0, 0)
        self.count.setText(f"{len(disks)} disks at row {row}, column {col}{_why_not(fate)}")

    def _show_vector_map(self) -> None:
        from napari_4dstem_orient.detection.vector_map import bragg_vector_map

        disks = self._session.get(Stage.DISKS)
        if disks is None:
            self.view.clear("Find or load disks first")
            self.count.setText("")
            return
        for name in ("disks", "rejected"):
            self.view.remove(name)
        self.view.say("")
        self.view.set_frame(self._session.calibration.q_pixel)
        self.view.show_pattern(bragg_vector_map(disks) ** 0.5)
        self.count.setText(f"{len(disks):,} disks of {disks.counts.size:,} scan positions")

    def _on_failed(self, error: BaseException) -> None:
        # In the view, not as a notification: while somebody types, every keystroke may fail.
        for name in ("disks", "rejected"):
            self.view.remove(name)
        self.count.setText(str(error))

    def _on_position(self, row: int, col: int) -> None:
        if self.tabs.currentIndex() == 0 and not behind_a_tab(self):
            self.refresh()


def _find(
    scan: Scan, probe: Probe | None, settings: DetectionSettings | None, position: tuple[int, int]
) -> Found:
    pattern = scan.pattern(*position)
    nothing = np.zeros((0, 3), np.float32), np.zeros(0, np.uint8)
    if probe is None or settings is None:
        return pattern, None, *nothing
    import_libraries()
    from napari_4dstem_orient.detection.detect import detect_candidates, detect_pattern

    candidates, fate = detect_candidates(pattern, probe, settings)
    return pattern, detect_pattern(pattern, probe, settings), candidates[fate > 0], fate[fate > 0]


def _why_not(fate: np.ndarray) -> str:
    """Say how many candidates were rejected, and why."""
    from napari_4dstem_orient.detection.selection import Fate

    reasons = [
        f"{np.count_nonzero(fate == why):,} {why.text}"
        for why in Fate
        if why != Fate.ACCEPTED and (fate == why).any()
    ]
    return f"\nRejected (×): {', '.join(reasons)}" if reasons else ""

"""The scan's patterns in one view: at the cursor, the mean and the maximum over the scan."""

from __future__ import annotations

from functools import partial

import numpy as np
from qtpy.QtWidgets import QTabBar, QWidget

from napari_4dstem_orient.napari_plugin.layers.cursor import WalkingKeys
from napari_4dstem_orient.napari_plugin.panels.base import behind_a_tab
from napari_4dstem_orient.napari_plugin.pattern_view.pattern_canvas import PatternCanvas
from napari_4dstem_orient.napari_plugin.qt.boxes import column
from napari_4dstem_orient.napari_plugin.qt.endings import Endings
from napari_4dstem_orient.workflow.session import Session, Stage

CURSOR, MEAN, MAXIMUM = "cursor", "mean pattern", "maximum pattern"


class Patterns(QWidget):
    """Tabs above one diffraction view."""

    def __init__(self, session: Session, endings: Endings) -> None:
        super().__init__()
        self._session = session
        self._summed: dict[str, np.ndarray] = {}
        self.view = PatternCanvas("", (220, 220))
        WalkingKeys(session, self).watch(self.view.canvas)
        self.tabs = QTabBar()
        self.tabs.setExpanding(False)
        for title in ("At the cursor", "Mean", "Maximum"):
            self.tabs.addTab(title)
        self.tabs.currentChanged.connect(self.refresh)
        column(self, self.tabs, (self.view, 1)).setSpacing(0)
        self._reader = endings.latest(self._show)
        endings.listen(session.position_changed, self._on_position)
        self.refresh()

    def set_summed(self, patterns: dict[str, np.ndarray]) -> None:
        """Take the mean and maximum pattern (an empty dict: there are none yet)."""
        self._summed = patterns
        self.refresh()

    def refresh(self) -> None:
        """Show what the chosen tab says."""
        scan, position = self._session.get(Stage.SCAN), self._session.position
        self._reader.drop()
        if scan is None or position is None:
            self.view.clear()
            return
        name = (CURSOR, MEAN, MAXIMUM)[self.tabs.currentIndex()]
        if name == CURSOR:
            self._reader.ask(partial(scan.pattern, *position))
        elif name in self._summed:
            self._show(self._summed[name])
        else:
            self.view.clear("Press 'Compute virtual images'")

    def _on_position(self, row: int, col: int) -> None:
        if self.tabs.currentIndex() == 0 and not behind_a_tab(self):
            self.refresh()

    def _show(self, pattern: np.ndarray) -> None:
        self.view.show_pattern(pattern, self._session.calibration.q_pixel, [])

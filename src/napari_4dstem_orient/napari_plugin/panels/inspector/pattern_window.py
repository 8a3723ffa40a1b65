"""The inspector's patterns in a window of their own, as large as one likes; it follows the inspector."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QHBoxLayout, QWidget

from napari_4dstem_orient.indexing.methods import title_of
from napari_4dstem_orient.napari_plugin.layers.cursor import WalkingKeys
from napari_4dstem_orient.napari_plugin.panels.inspector.views import InspectorState, legend, legend_text
from napari_4dstem_orient.napari_plugin.pattern_view.pattern_canvas import Lens, PatternCanvas
from napari_4dstem_orient.napari_plugin.qt.boxes import column
from napari_4dstem_orient.napari_plugin.qt.elided import FittedLabel
from napari_4dstem_orient.workflow.session import Session

SIZE = (1200, 520)
"""Pixels of the window at first."""
SMALLEST = (160, 160)


class PatternWindow(QDialog):
    """Measured and predicted patterns side by side; arrow keys, zoom and marks are the inspector's.

    Parameters
    ----------
    parent : QWidget
        Ends with it.
    session : Session
    lens : Lens
        The inspector's.
    """

    def __init__(self, parent: QWidget, session: Session, lens: Lens) -> None:
        super().__init__(parent)
        self.setWindowFlags(Qt.WindowType.Window)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(*SIZE)
        self._lens, self._keys = lens, WalkingKeys(session, self)
        self.views: dict[str, PatternCanvas] = {}
        self._row = QHBoxLayout()
        self.legend = FittedLabel()
        self.legend.setStyleSheet("background: black; color: white")  # as the patterns
        column(self, (self._row, 1), self.legend).setContentsMargins(6, 6, 6, 6)
        self._keys.watch(self)
        self.empty()

    def show_state(self, shown: InspectorState) -> None:
        """Show what the inspector shows."""
        position = shown.position
        detector = position.detector
        self.setWindowTitle("Patterns at row {}, column {}".format(*position.where))
        for key in ("measured", *(key for key in shown.panes if key != "measured")):
            pane, view = shown.panes[key], self._view(key)
            scale = detector.q_pixel if detector.scaled else 0.0
            view.set_frame(detector.shape, scale, position.origin)
            view.show_sheet(pane.picture, pane.marks, pane.labels)
            view.on_hover(pane.text_at)
        for key, view in self.views.items():
            if key not in shown.panes:
                view.clear()
        self.legend.setText(legend_text(legend(shown)))

    def empty(self) -> None:
        """Show nothing of a former scan."""
        self.setWindowTitle("Patterns")
        self.legend.clear()
        for view in self.views.values():
            view.clear()

    def _view(self, key: str) -> PatternCanvas:
        if key not in self.views:
            title = "Measured" if key == "measured" else title_of(key)
            view = self.views[key] = PatternCanvas(title, SMALLEST, self._lens)
            self._keys.watch(view.canvas)
            self._row.addWidget(view, 1)
        return self.views[key]

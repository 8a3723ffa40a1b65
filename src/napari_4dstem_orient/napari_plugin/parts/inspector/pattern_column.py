"""A pattern of the inspector with its title above, a list or a button and words below."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_4dstem_orient.napari_plugin.pattern_view import PatternView

LINES = 7
"""Of words below a pattern, whether used or not, so that all views are equally high."""
SMALLEST_VIEW = (110, 110)


class Column(QVBoxLayout):
    """A pattern with its title above and words below.

    Parameters
    ----------
    title : str
    between : QWidget
        Stands between pattern and words.
    """

    def __init__(self, title: str, between: QWidget) -> None:
        super().__init__()
        self.view = PatternView(title, SMALLEST_VIEW)
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
        self.words.setFixedHeight(LINES * self.words.fontMetrics().lineSpacing() + 4)
        self.words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.addWidget(self.view, 1)
        between.setFixedHeight(between.fontMetrics().height() + 12)  # a list and a button alike
        self.addWidget(between)
        self.addWidget(self.words)

    def say(self, text: str) -> None:
        """Write below the pattern; what does not fit there is in the tooltip."""
        self.words.setText(text)
        self.words.setToolTip(text)

    def show(self, picture: np.ndarray) -> None:
        """Show an RGB picture, in place of a message too."""
        self.view.say("")
        new = "pattern" not in self.view.model.layers
        self.view.show_pattern(picture, (0, 255))
        if new:
            layer = self.view.model.layers["pattern"]
            layer.interpolation2d = "linear"  # thin circles, seen from afar
            layer.gamma = 1.0  # the picture has its own


class MeasuredColumn(Column):
    """The measured pattern, with a button that saves the figure."""

    def __init__(self) -> None:
        self.save = QPushButton("Save figure…")
        self.save.setToolTip("Save the three patterns as a figure for a paper: PDF, SVG or PNG")
        self.save.setEnabled(False)
        super().__init__("Measured", self.save)


class PredictedColumn(Column):
    """A method's predicted pattern, with the list of its hypotheses."""

    def __init__(self, title: str) -> None:
        self.hypotheses = QComboBox()
        self.hypotheses.setToolTip("Hypotheses of this method, best first: choose one to see its pattern")
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        policy.setRetainSizeWhenHidden(True)  # all views stay equally high
        self.hypotheses.setSizePolicy(policy)
        self.hypotheses.hide()
        super().__init__(title, self.hypotheses)

    def offer(self, hypotheses: list[str]) -> None:
        """List hypotheses to choose from, the first of them chosen; hidden while there is none."""
        self.hypotheses.clear()
        self.hypotheses.addItems(hypotheses)
        self.hypotheses.setVisible(len(hypotheses) > 0)

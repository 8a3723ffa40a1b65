"""A pattern of the inspector with its title above, a list or a button and words below."""

from __future__ import annotations

from qtpy.QtWidgets import QComboBox, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_4dstem_orient.napari_plugin.panels.inspector.views import PatternViewState
from napari_4dstem_orient.napari_plugin.pattern_view.pattern_canvas import Lens, PatternCanvas
from napari_4dstem_orient.napari_plugin.qt.elided import ElidedCombo, FittedLabel

LINES = 8
"""Of words below a pattern, whether used or not, so that all views are equally high."""
SMALLEST_VIEW = (110, 110)


class Column(QVBoxLayout):
    """A pattern with its title above and words below.

    Parameters
    ----------
    title : str
    between : QWidget
        Stands between pattern and words.
    lens : Lens
        Through which all columns look.
    """

    def __init__(self, title: str, between: QWidget, lens: Lens) -> None:
        super().__init__()
        self.view = PatternCanvas(title, SMALLEST_VIEW, lens)
        self.pane: PatternViewState | None = None
        self.words = FittedLabel()
        self.words.setWordWrap(True)
        self.words.setFixedHeight(LINES * self.words.fontMetrics().lineSpacing() + 4)
        self.words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.addWidget(self.view, 1)
        between.setFixedHeight(between.fontMetrics().height() + 12)  # a list and a button alike
        self.addWidget(between)
        self.addWidget(self.words)

    def say(self, text: str) -> None:
        """Write below the pattern; what does not fit there is in the tooltip."""
        if text != self.words.text():
            self.words.setText(text)
            self.words.setToolTip(text)

    def empty(self) -> None:
        """Show and say nothing."""
        self.pane = None
        self.view.clear()
        self.say("")

    def show(self, pane: PatternViewState) -> None:
        """Show a pattern and its marks, in place of a message too; the words are said apart."""
        self.pane = pane
        self.view.show_sheet(pane.picture, pane.marks, pane.labels)
        self.view.on_hover(pane.text_at)


class MeasuredColumn(Column):
    """The measured pattern, with a button that saves the figure."""

    def __init__(self, lens: Lens) -> None:
        self.save = QPushButton("Save figure…")
        self.save.setToolTip("Save the three patterns as a figure for a paper: PDF, SVG or PNG")
        self.save.setEnabled(False)
        self.save.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        super().__init__("Measured", self.save, lens)


class PredictedColumn(Column):
    """A method's predicted pattern, with the list of its hypotheses."""

    def __init__(self, title: str, lens: Lens) -> None:
        self.hypotheses = ElidedCombo()
        self.hypotheses.setToolTip("Hypotheses of this method, best first: choose one to see its pattern")
        self.hypotheses.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        policy.setRetainSizeWhenHidden(True)  # all views stay equally high
        self.hypotheses.setSizePolicy(policy)
        self.hypotheses.hide()
        super().__init__(title, self.hypotheses, lens)
        self.view.title.setToolTip(f"{title}: the pattern that its answer predicts, under the measured disks")

    def offer(self, hypotheses: list[str]) -> None:
        """List hypotheses to choose from, the first of them chosen; hidden while there is none."""
        box = self.hypotheses
        if hypotheses != [box.itemText(index) for index in range(box.count())]:
            box.clear()
            box.addItems(hypotheses)
        box.setCurrentIndex(0 if hypotheses else -1)
        box.setVisible(len(hypotheses) > 0)

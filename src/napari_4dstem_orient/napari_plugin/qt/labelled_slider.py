"""A slider with its label, unit and value above it."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QLabel, QSlider, QWidget

from napari_4dstem_orient.napari_plugin.qt.boxes import column


class LabelledSlider(QWidget):
    """A slider over a number, its label, unit and value above it.

    Parameters
    ----------
    about : dict
        See ``core.parameters.parameter``: label, tooltip, min, max, step.
    value : float
    """

    def __init__(self, about: dict[str, Any], value: float) -> None:
        super().__init__()
        self._label = str(about["label"])
        self.words = QLabel()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.set_range(about["min"], about["max"], about["step"])
        self.slider.setValue(round(value / self._step))
        self.slider.valueChanged.connect(self._say)
        for widget in (self.words, self.slider):
            widget.setToolTip(about["tooltip"])
        self.slider.setAccessibleName(self._label)
        column(self, self.words, self.slider).setSpacing(0)
        self._say()

    @property
    def value(self) -> float:
        """The number."""
        return round(self.slider.value() * self._step, 6)

    def set_range(self, least: float, most: float, step: float) -> None:
        """Let the slider go from one number to another; nobody is told."""
        self._step = float(step)
        with QSignalBlocker(self.slider):
            self.slider.setRange(round(least / self._step), round(most / self._step))

    def show_value(self, value: float) -> None:
        """Show a number that comes from elsewhere, to all its digits; nobody is told."""
        with QSignalBlocker(self.slider):
            self.slider.setValue(round(value / self._step))
        self._write(value)

    def _say(self, *_: object) -> None:
        self._write(self.value)

    def _write(self, value: float) -> None:
        name, unit = self._label.rstrip(")").split(" (")
        self.words.setText(f"{name}: {value:.5g} {unit}")

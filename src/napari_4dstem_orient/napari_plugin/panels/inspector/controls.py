"""How the inspector predicts and marks patterns: physics, two sliders, and what is drawn over the views."""

from __future__ import annotations

from typing import get_args, get_type_hints

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QCheckBox, QLabel, QPushButton, QWidget

from napari_4dstem_orient.indexing.settings import PredictionSettings
from napari_4dstem_orient.napari_plugin.panels.inspector.views import ViewOptions
from napari_4dstem_orient.napari_plugin.pattern_view.overlays import LONGER
from napari_4dstem_orient.napari_plugin.pattern_view.pictures import Contrast, Curve
from napari_4dstem_orient.napari_plugin.qt.boxes import choices, column, fill, row
from napari_4dstem_orient.napari_plugin.qt.labelled_slider import LabelledSlider

WIDTH = 150
"""Screen pixels of the column of controls."""
WHITE = {
    **{"label": "White (%)", "min": 80.0, "max": 100.0, "step": 0.1},
    "tooltip": "Percentile of the measured pattern's pixels that is white; less makes weak disks brighter.",
}
"""About the slider of the contrast, as ``parameter`` tells of others."""
ACTS_ON = {"excitation_width": ("kinematic",), "thickness": ("two-beam", "Bloch waves")}
"""Which physics each slider acts on."""


class InspectorControls(QWidget):
    """The controls beside the inspector's views.

    Signals
    -------
    changed : Signal()
        The user wants another ``look``.
    stepped : Signal()
        The user wants to see the next of a pattern's crystals.
    """

    changed = Signal()
    stepped = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setFixedWidth(WIDTH)
        hints = get_type_hints(PredictionSettings, include_extras=True)
        usual = PredictionSettings()
        kinds, about = get_args(hints["physics"])
        self.physics = choices(about["tooltip"], get_args(kinds))
        self.physics.currentTextChanged.connect(self._on_edited)
        self.sliders = {
            name: LabelledSlider(get_args(hints[name])[1], getattr(usual, name)) for name in ACTS_ON
        }
        self.labels = _tick("hkl labels", "Name the strongest reflections that were measured.")
        self.residuals = _tick(
            f"Residuals × {LONGER}",
            f"Arrows from predicted to measured, {LONGER} times as long as they are: all alike speak of the direct "
            "beam, pointing outwards or inwards of the pixel size, turning of the rotation.",
        )
        self.attention = _tick(
            "Attention",
            "Rings by the share of the transformer's attention that each disk got: the thicker and the yellower, "
            "the more. Grey: not read.",
        )
        for slider in self.sliders.values():
            slider.slider.valueChanged.connect(self._on_edited)
        ticks = (self.labels, self.residuals, self.attention)
        for tick in ticks:
            tick.toggled.connect(self._on_edited)
        self.curve = choices(
            "How the measured pattern's brightness becomes grey.", [one.value for one in Curve]
        )
        self.curve.setAccessibleName("Contrast")
        self.white = LabelledSlider(WHITE, 100.0)
        self.curve.currentTextChanged.connect(self._on_edited)
        self.white.slider.valueChanged.connect(self._on_edited)
        self.larger, self.detach = QPushButton("Larger"), QPushButton("Detach")
        self.detach.setToolTip(
            "Open a second window of the patterns, which follows the position and may lie on another screen."
        )
        self.larger.setToolTip(
            "Take the inspector out of the window, as large as the screen; again: put it back."
        )
        label = QLabel(about["label"])
        label.setToolTip(about["tooltip"])
        self.crystal = QPushButton()
        self.crystal.setToolTip("Click, or press C, to step through the crystals of this pattern.")
        self.crystal.clicked.connect(lambda checked=False: self.stepped.emit())
        self.offer_crystals(1, 0)
        parts = column(self, self.curve, self.white, label, self.physics, *self.sliders.values(), *ticks)
        fill(parts, self.crystal, row(self.larger, self.detach))
        parts.setSpacing(3)
        parts.addStretch()
        self._enable()

    @property
    def look(self) -> ViewOptions:
        """What the user wants."""
        numbers = {name: slider.value for name, slider in self.sliders.items()}
        prediction = PredictionSettings(physics=self.physics.currentText(), **numbers)  # type: ignore[arg-type]
        return ViewOptions(
            prediction,
            labels=self.labels.isChecked(),
            residuals=self.residuals.isChecked(),
            attention=self.attention.isChecked(),
            contrast=Contrast(Curve(self.curve.currentText()), self.white.value),
        )

    def offer_crystals(self, count: int, chosen: int) -> None:
        """Say which of a pattern's crystals is seen, 0 for all; nothing where there is but one."""
        self.crystal.setVisible(count > 1)
        self.crystal.setText(
            f"Crystal {chosen} of {count}" if 0 < chosen <= count else f"All {count} crystals"
        )

    def _on_edited(self, *_: object) -> None:
        self._enable()
        self.changed.emit()

    def _enable(self) -> None:
        for name, slider in self.sliders.items():
            slider.setEnabled(self.physics.currentText() in ACTS_ON[name])


def _tick(text: str, tooltip: str) -> QCheckBox:
    tick = QCheckBox(text)
    tick.setToolTip(tooltip)
    return tick

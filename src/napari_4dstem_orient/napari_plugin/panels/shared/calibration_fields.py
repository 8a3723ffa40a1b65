"""The calibration as editable fields, each saying where its value comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QWidget

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.napari_plugin.qt.forms import NumberOrNothing
from napari_4dstem_orient.napari_plugin.qt.jobs import notify
from napari_4dstem_orient.napari_plugin.qt.tones import Tone, set_tone
from napari_4dstem_orient.workflow.session import Session


@dataclass(frozen=True)
class _Field:
    label: str
    tooltip: str
    empty: str = "unknown"


FIELDS = {
    "voltage": _Field("Voltage (kV)", "Accelerating voltage of the electrons."),
    "q_pixel": _Field("Detector pixel (Å⁻¹)", "Size of a detector pixel in reciprocal space."),
    "r_pixel": _Field("Scan step (nm)", "Distance between neighbouring scan positions."),
    "semiangle": _Field("Semiangle (mrad)", "Convergence semiangle of the probe."),
    "precession": _Field("Precession (°)", "Half-angle of the precession cone; 0 for a still beam.", "0"),
    "rotation": _Field(
        "Rotation (°)",
        "Turns the detector axes into the scan axes (py4DSTEM's QR_rotation). Type 0 where you know that they agree.",
    ),
    "flip": _Field("Flip axes", "Exchange the detector axes before that turn (py4DSTEM's QR_flip)."),
}
ZERO_IF_EMPTY = ("precession", "rotation")
FROM = {
    "file": "from file",
    "typed": "typed",
    "fitted": "fitted",
    "instrument": "instrument",
    "doubtful": "doubtful fit",
    "unknown": "unknown",
}


class CalibrationFields(QWidget):
    """Shows the session's calibration and changes it as soon as a field is left.

    Parameters
    ----------
    session : Session
    names : sequence of str
        Which fields, in order.
    """

    def __init__(self, session: Session, names: Sequence[str] = tuple(FIELDS)) -> None:
        super().__init__()
        self._session = session
        self.inputs: dict[str, NumberOrNothing] = {}
        self.origins: dict[str, QLabel] = {}
        self.flip: QCheckBox | None = None
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(3)
        for row, name in enumerate(names):
            field = FIELDS[name]
            label = QLabel(field.label)
            label.setToolTip(field.tooltip)
            layout.addWidget(label, row, 0)
            layout.addWidget(self._input(name, field), row, 1)
            self.origins[name] = QLabel()
            layout.addWidget(self.origins[name], row, 2)
        layout.setColumnStretch(1, 1)
        self.refresh()

    def refresh(self) -> None:
        """Show the session's calibration."""
        calibration = self._session.calibration
        for name, field in self.inputs.items():
            if field.value != (known := _known(calibration, name)):
                field.value = known
        if self.flip is not None:
            with QSignalBlocker(self.flip):
                self.flip.setChecked(calibration.flip)
        for name, label in self.origins.items():
            origin = self._session.known_from(name)
            plain = name in ("precession", "flip") and not getattr(calibration, name)
            label.setText("" if plain else FROM[origin])
            set_tone(label, Tone.DOUBTFUL if origin in ("unknown", "doubtful") else Tone.FAINT)

    def _input(self, name: str, field: _Field) -> QWidget:
        if name == "flip":
            self.flip = QCheckBox()
            self.flip.setToolTip(field.tooltip)
            self.flip.toggled.connect(self._apply)
            return self.flip
        number = NumberOrNothing(name=name, tooltip=field.tooltip, empty=field.empty)
        number.native.editingFinished.connect(self._apply)
        self.inputs[name] = number
        return number.native

    def _apply(self) -> None:
        old = self._session.calibration
        shown = {name: field.value for name, field in self.inputs.items()}
        # A field shows six digits: what it shows unchanged must not replace the exact value.
        typed: dict[str, Any] = {
            name: value for name, value in shown.items() if not _same(value, _known(old, name))
        }
        typed.update({name: typed[name] or 0.0 for name in ZERO_IF_EMPTY if name in typed})
        if "q_pixel" in typed:
            typed["q_pixel_from"] = "typed" if typed["q_pixel"] else "unknown"
        if "rotation" in typed:
            typed["rotation_from"] = "unknown" if shown["rotation"] is None else "typed"
        if self.flip is not None and self.flip.isChecked() != old.flip:
            typed |= {"flip": self.flip.isChecked(), "rotation_from": "typed"}
        try:
            self._session.set_calibration(old.with_(**typed))
        except UserError as error:
            notify(error)
        self.refresh()


def _known(calibration: Calibration, name: str) -> float | None:
    """Return a value of a calibration; None where it is not known."""
    if name == "rotation" and not calibration.rotation_is_known:
        return None
    value: float | None = getattr(calibration, name)
    return value


def _same(shown: float | None, exact: float | None) -> bool:
    return shown == exact or (shown is not None and exact is not None and shown == float(f"{exact:.6g}"))

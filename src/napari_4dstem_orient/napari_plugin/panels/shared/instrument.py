"""Named instruments in the window: saved after a calibration, and offered for the next scan."""

from __future__ import annotations

from functools import partial
from typing import Any

import napari
from qtpy.QtWidgets import QInputDialog, QMenu, QPushButton, QWidget

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.napari_plugin.panels.base import button, wrapped
from napari_4dstem_orient.napari_plugin.panels.docks import find_panel
from napari_4dstem_orient.napari_plugin.qt.boxes import column, row
from napari_4dstem_orient.napari_plugin.qt.endings import Endings
from napari_4dstem_orient.napari_plugin.qt.jobs import telling
from napari_4dstem_orient.napari_plugin.state.sessions import bare_viewer, session_for
from napari_4dstem_orient.workflow.instruments import (
    Instrument,
    find_instrument,
    in_words,
    names,
    save_instrument,
)
from napari_4dstem_orient.workflow.session import Session, Stage


class InstrumentMenu(QPushButton):
    """A button with a menu of all instruments, and of saving one.

    Parameters
    ----------
    viewer : napari.Viewer
    endings : Endings
        Of the panel.
    """

    def __init__(self, viewer: napari.Viewer, endings: Endings) -> None:
        super().__init__("Instrument")
        self._viewer, self._session = bare_viewer(viewer), session_for(viewer)
        self.setToolTip(
            "Remember voltage, pixel size, convergence, rotation, ellipse and probe of this microscope for other "
            "scans, or take those of a remembered one. What is known already stays."
        )
        self.choices = QMenu(self)
        self.choices.aboutToShow.connect(self._fill)
        self.setMenu(self.choices)

    def _fill(self) -> None:
        self.choices.clear()
        for name in names():
            self.choices.addAction(name, partial(telling(self.use), name))
        self.choices.addSeparator()
        save = self.choices.addAction("Save as …", self._ask_for_name)
        save.setEnabled(self._session.calibration.voltage is not None)

    def use(self, name: str) -> None:
        """Take from an instrument what is not known yet."""
        use_instrument(self._viewer, find_instrument(name))

    def _ask_for_name(self) -> None:
        former = names()[0] if names() else f"Microscope {self._session.calibration.voltage:g} kV"
        name, agreed = QInputDialog.getText(self, "Save the instrument", "Name", text=former)
        if agreed:
            telling(save_instrument)(name, instrument_of(self._session))


class InstrumentOffer(QWidget):
    """Offers, where something is not known of a scan, the instrument saved last that knows it and contradicts nothing.

    Parameters
    ----------
    viewer : napari.Viewer
    endings : Endings
        Of the panel.
    """

    def __init__(self, viewer: napari.Viewer, endings: Endings) -> None:
        super().__init__()
        self._viewer, self._session = bare_viewer(viewer), session_for(viewer)
        self._offered: Instrument | None = None
        self.says = wrapped()
        self.use_button = button("Use it", "Take what the line beside tells; nothing else changes.", self.use)
        self.menu_button = InstrumentMenu(viewer, endings)
        column(self, row((self.says, 1), self.use_button, self.menu_button))

    def use(self) -> None:
        """Take what is offered."""
        if self._offered is not None:
            use_instrument(self._viewer, self._offered)

    def refresh(self) -> None:
        """Offer what suits the scan."""
        self.setVisible(self._session.scan_shape is not None)
        self._offered, text = None, ""
        if self._session.scan_shape is not None:
            self._offered, text = _offer(self._session)
        self.says.setText(text)
        self.use_button.setVisible(self._offered is not None)


def _offer(session: Session) -> tuple[Instrument | None, str]:
    """Return the instrument saved last that knows something new, and what it would set, in words."""
    for name in names():
        try:
            found = find_instrument(name)
        except UserError:  # somebody else's file: the menu says what is wrong with it
            continue
        news = found.news(session.calibration, _shape(session))
        if news and not found.contradicts(session.calibration, _shape(session)):
            return found, f"{name}: {in_words(news)}"
    return None, ""


def use_instrument(viewer: napari.Viewer, instrument: Instrument) -> None:
    """Set what is not known yet and an instrument tells, the probe's radius included."""
    session = session_for(viewer)
    shape = _shape(session)
    session.set_calibration(session.calibration.with_(**instrument.news(session.calibration, shape)))
    disks: Any = find_panel(viewer, "Bragg disks")
    if disks is not None and instrument.probe_radius is not None and instrument.suits(shape):
        radius = disks.probe.radius
        if radius.value is None:
            radius.value = instrument.probe_radius


def instrument_of(session: Session) -> Instrument:
    """Return the instrument of what is known now."""
    probe = session.get(Stage.PROBE)
    return Instrument.of(session.calibration, _shape(session), None if probe is None else float(probe.radius))


def _shape(session: Session) -> tuple[int, int] | None:
    made = session.get(Stage.SCAN) or session.get(Stage.DISKS)
    return None if made is None else made.detector_shape

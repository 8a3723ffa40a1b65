"""Run all: from a scan to its map by one button, which asks for what it cannot know."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QLabel, QMenu, QProgressBar, QPushButton, QWidget

from napari_4dstem_orient.crystals.library import bundled, find_phase
from napari_4dstem_orient.napari_plugin.panels.base import button, wrapped
from napari_4dstem_orient.napari_plugin.panels.docks import find_panel, open_panel, step_panel
from napari_4dstem_orient.napari_plugin.panels.shared.updating import Updater
from napari_4dstem_orient.napari_plugin.qt.boxes import column, row
from napari_4dstem_orient.napari_plugin.qt.dialogs import open_file
from napari_4dstem_orient.napari_plugin.qt.endings import Endings
from napari_4dstem_orient.napari_plugin.qt.tones import Tone, set_tone
from napari_4dstem_orient.napari_plugin.state.sessions import bare_viewer, session_for
from napari_4dstem_orient.napari_plugin.state.step_states import describe
from napari_4dstem_orient.workflow.job import MapBy

if TYPE_CHECKING:
    import napari

    from napari_4dstem_orient.core.scan import Scan

ASKS_VOLTAGE = "Type the voltage below and press Enter: Run all goes on."
NEXT = "Click on the map: the Inspector shows each pattern and its answer."
HIGH = 2.4
"""Lines of text; height of the main button."""


class RunAll(QWidget):
    """Takes every step that is not done through the steps' own panels, as if each had been run by hand.

    Parameters
    ----------
    viewer : napari.Viewer
    voltage : QWidget
        The field that is given the keyboard where the voltage is not known.
    endings : Endings
        Of the panel.
    """

    def __init__(self, viewer: napari.Viewer, voltage: QWidget, endings: Endings) -> None:
        super().__init__()
        self._viewer, self._voltage = bare_viewer(viewer), voltage
        self.session = session_for(viewer)
        self.updater = Updater(self._viewer)
        self._of_sample = False
        self._asked = False
        """Whether Run all goes on as soon as it knows what it has asked for."""
        self._build()
        endings.callback(self.updater.stop)
        endings.listen(self.updater.changed, self._on_updater)
        endings.listen(self.updater.progressed, self._show_progress)
        endings.listen(self.session.job_changed, self._on_told)
        endings.listen(self.session.changed, self._on_told)

    def _build(self) -> None:
        self.button = button(
            "Run all",
            "Find the probe and the disks, calibrate and map with suggested settings; what is done already is kept.",
            self.start,
        )
        self.button.setStyleSheet("font-weight: bold")
        self.button.setMinimumHeight(round(HIGH * self.fontMetrics().lineSpacing()))
        self.crystal = QPushButton()
        self.crystal.setToolTip(
            "The crystal to map. Several, or one that you do not know: see Orientation map."
        )
        self.menu = QMenu(self.crystal)
        for name in bundled():
            self.menu.addAction(name, partial(self.choose, name))
        self.menu.addSeparator()
        self.menu.addAction("CIF file …", self._ask_for_cif)
        self.menu.addAction("Several, or unknown …", self._let_choose)
        self.crystal.setMenu(self.menu)
        self.progress, self.said = QProgressBar(), wrapped()
        self.progress.setTextVisible(False)
        self.cancel_button = button("Cancel", "Stop; what was there before is kept.", self.cancel)
        self.working = QWidget()
        self.doing = QLabel()
        column(self.working, self.doing, row((self.progress, 1), self.cancel_button))
        column(self, row((self.button, 2), (self.crystal, 1)), self.working, self.said)
        self.working.hide()
        self.said.hide()

    # ---------------------------------------------------------------- what it does

    def start(self) -> None:
        """Take all steps; ask first for the crystal and the voltage where they are not known."""
        job = self.session.job
        if not job.phases:
            self._asked = True
            self.menu.popup(self.button.mapToGlobal(self.button.rect().bottomLeft()))
        elif self.session.calibration.voltage is None:
            self._asked = True
            self._say(ASKS_VOLTAGE, Tone.DOUBTFUL)
            self._voltage.setFocus()
        else:
            self._asked = False
            self._say("")
            again = () if self.updater.pending() else (MapBy(job.method),)
            self.updater.start(again)

    def cancel(self) -> None:
        """Stop, and cancel what is under way."""
        self.updater.cancel()

    def choose(self, crystal: str) -> None:
        """Map this bundled crystal alone."""
        if (there := find_panel(self._viewer, "Map")) is not None:
            there.phases.choose_only([crystal])
        else:  # which shows it once it is open
            self.session.choose(phases=(find_phase(crystal),))

    def choose_of(self, scan: Scan) -> None:
        """Map the crystal that a sample tells, and that of a former sample no more."""
        crystal = scan.metadata.get("crystal")
        if crystal:
            self.choose(crystal)
        elif self._of_sample and (there := find_panel(self._viewer, "Map")) is not None:
            there.phases.choose_only([])
        self._of_sample = bool(crystal)

    def forget(self) -> None:
        """Take no further step, and say nothing of the former scan."""
        self._asked = False
        self.updater.stop()
        self._say("")

    def refresh(self) -> None:
        """Say which crystal is chosen, and whether there is something to run."""
        names = ", ".join(phase.name for phase in self.session.job.phases)
        self.crystal.setText(names or "Crystal …")
        self.crystal.setEnabled(not self.updater.running)
        self.setVisible(self.session.scan_shape is not None)
        self.button.setEnabled(not self.updater.running)
        self.working.setVisible(self.updater.running)

    # ---------------------------------------------------------------- what it hears

    def _ask_for_cif(self) -> None:
        open_file(self, "Open a crystal", "Crystals (*.cif)", self._take_cif)

    def _take_cif(self, path: str) -> None:
        phases = step_panel(self._viewer, "Map").phases
        phases.choose_only([])
        phases.offer(path)
        if not self.session.job.phases:  # of a file with several the user chooses
            self._let_choose()

    def _let_choose(self) -> None:
        self._asked = False
        open_panel(self._viewer, "Map")

    def _on_told(self, *what: Any) -> None:
        self.refresh()
        if self._asked and self.session.job.phases:
            self._asked = False
            self.start()

    def _on_updater(self) -> None:
        self.progress.setRange(0, 0)
        self.doing.setText("Beginning …")
        if not self.updater.running:
            found = self.session.get(MapBy(self.session.job.method))
            if self.updater.said:
                self._say(self.updater.said, Tone.DOUBTFUL)
            elif found is not None:
                told = filter(None, (describe(MapBy(found.method), found), found.exploratory))
                self._say(f"✓ {'; '.join(told)}. {NEXT}", Tone.DOUBTFUL if found.exploratory else Tone.GOOD)
        self.refresh()

    def _show_progress(self, done: int, total: int, words: str) -> None:
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        self.doing.setText(words)

    def _say(self, text: str, tone: Tone = Tone.GOOD) -> None:
        self.said.setText(text)
        set_tone(self.said, tone)
        self.said.setVisible(bool(text))

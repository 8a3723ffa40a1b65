"""Step 2, Bragg disks: choose a probe, tune the detection where the cursor is, run it on the whole scan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QSpinBox

from napari_4dstem_orient.core.memory import EXPLAINED, LEAST_MEMORY
from napari_4dstem_orient.core.progress import Progress
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.detection.suggest import explain_settings
from napari_4dstem_orient.io.bragg_peaks import open_disks, save_disks
from napari_4dstem_orient.napari_plugin.layers.removal import take_away
from napari_4dstem_orient.napari_plugin.layers.scan_layers import find_layer
from napari_4dstem_orient.napari_plugin.panels.base import StepWidget, button, needs_text, section, wrapped
from napari_4dstem_orient.napari_plugin.panels.detection.disk_preview import DiskPreview
from napari_4dstem_orient.napari_plugin.panels.detection.probe_chooser import ProbeChooser
from napari_4dstem_orient.napari_plugin.panels.shared.advanced import Advanced
from napari_4dstem_orient.napari_plugin.panels.shared.opening import show_disk_count, take_disks
from napari_4dstem_orient.napari_plugin.panels.shared.replacing import ask_where, refuse_what_is_open
from napari_4dstem_orient.napari_plugin.panels.shared.unsaved import are_in_files
from napari_4dstem_orient.napari_plugin.qt.boxes import fill, row
from napari_4dstem_orient.napari_plugin.qt.clock import now_and_then
from napari_4dstem_orient.napari_plugin.qt.collapsible import Section
from napari_4dstem_orient.napari_plugin.qt.dialogs import open_file
from napari_4dstem_orient.napari_plugin.qt.forms import form_for
from napari_4dstem_orient.napari_plugin.qt.jobs import Job as Running
from napari_4dstem_orient.napari_plugin.qt.jobs import SignalRelay, telling
from napari_4dstem_orient.napari_plugin.state.long_runs import LongRun
from napari_4dstem_orient.napari_plugin.state.preferences import preferences
from napari_4dstem_orient.workflow.run import Results, run
from napari_4dstem_orient.workflow.session import Stage

if TYPE_CHECKING:
    import napari

    from napari_4dstem_orient.core.bragg_disks import BraggDisks
    from napari_4dstem_orient.core.scan import Calibration, Scan
    from napari_4dstem_orient.detection.probe import Probe
    from napari_4dstem_orient.workflow.job import Job, Key

FURTHER = (
    "min_intensity",
    "min_relative_intensity",
    "gain",
    "dark_noise",
    "unrest",
    "correlation_power",
    "engine",
)
"""Settings that hardly anybody needs to touch."""
MOST_MEMORY = 2**20
"""MiB: a field must end somewhere."""
FILES = "Bragg disks (*.h5 *.emd *.py4dstem);;All files (*)"


class DisksWidget(StepWidget):
    """Find the Bragg disks of a scan."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._looked_at: Any = None
        self._saving: Running | None = None
        self._help: dict[str, str | None] = {}
        self.probe = ProbeChooser(self.viewer)
        self.probe_button = button(
            "Suggest",
            "Make the probe, and settings that suit the data: disk size and noise.",
            self.suggest,
        )
        self.probe_text = section("")
        self.advice = wrapped()
        self.advice.setToolTip("What some patterns of the scan say against finding disks as usual.")
        self.advice.hide()
        self.form = form_for(DetectionSettings, further=FURTHER)
        self.form.changed.connect(self._on_edited)
        self.preview = DiskPreview(self.session, self.endings)
        self.preview.histogram.moved.connect(self._on_line_moved)
        self.run_button = button(
            "Find all disks", "Run the detection on the whole scan; can be cancelled.", self.find_disks
        )
        self.memory = QSpinBox()
        self.memory.setSuffix(" MiB")
        self.memory.setRange(LEAST_MEMORY, MOST_MEMORY)
        self.memory.setSingleStep(LEAST_MEMORY)
        self.memory.setValue(preferences().memory)
        self.memory.setToolTip(f"{EXPLAINED} It starts with what napari's preferences say.")
        self.state = wrapped()
        self.load_button = button(
            "Load …",
            "Disks saved here or by py4DSTEM.",
            partial(open_file, self, "Load Bragg disks", FILES, self.load),
        )
        self.save_button = button("Save …", "As a file that py4DSTEM reads back.", self._choose_save)
        self.advanced = Advanced(self.session, self.endings)
        self.advanced.form.insertRow(0, "Memory for patterns", self.memory)
        fill(self.body, self.probe_text, row((self.probe, 2), (self.probe_button, 1)))
        fill(self.body, (self.preview, 1), self.advice, section("Detection"), self.form.native)
        fill(self.body, Section("Noise and more", self.form.further))
        buttons = row((self.run_button, 3), (self.load_button, 1), (self.save_button, 1))
        fill(self.footer, self.advanced, self.state, buttons)
        self.refresh()

    def make(self, key: Key) -> None:
        """Make the probe, or find the disks."""
        self.suggest() if key is Stage.PROBE else self.find_disks()

    @telling
    def suggest(self) -> None:
        """Make the chosen probe, and settings that suit it and the data."""
        scan = self.session.get(Stage.SCAN)
        if scan is None or self.jobs.running:
            return
        self.session.choose(probe=self.probe.choice())
        self.jobs.run(
            "Looking at the data", self._take_suggestion, _suggest, self.session.job_for(Stage.PROBE), scan
        )

    def find_disks(self, afresh: bool = False) -> None:
        """Run the detection on the whole scan; disks found before stay until it is done.

        It goes on where such a run was stopped, unless it shall begin afresh.
        """
        scan, probe = self.session.get(Stage.SCAN), self.session.get(Stage.PROBE)
        if scan is None or probe is None or self.jobs.running:
            return
        growing = SignalRelay()
        growing.told.connect(self._see)
        long_run, resumed = self.long_run(self.find_disks, afresh)
        self.session.choose(detection=self.form.settings(), memory=self.memory.value())
        wanted = self.session.job_for(Stage.DISKS)
        have = Results(scan=scan, probe=probe)
        job = self.jobs.run(
            "Finding disks", partial(self._take_disks, wanted), _find, wanted, long_run, have, growing
        )
        job.keep(growing, resumed)
        job.cancelled.connect(self._show_former_count)
        job.failed.connect(self._show_former_count)

    def _see(self, counts: np.ndarray) -> None:
        """Show the disks found so far; those of a job that was given up come too late."""
        if self.jobs.running:
            show_disk_count(self.viewer, counts)

    def _show_former_count(self, *why: object) -> None:
        """Show what there was before disks that will not be found."""
        disks = self.session.get(Stage.DISKS)
        if disks is not None:
            show_disk_count(self.viewer, disks.sure().counts)
        elif (layer := find_layer(self.viewer, "disk count")) is not None:
            take_away(self.viewer, layer)

    def load(self, path: str) -> None:
        """Read disks from a file."""
        self.jobs.run("Reading disks", lambda read: take_disks(self.viewer, *read), open_disks, path)

    @telling
    def save(self, path: str) -> None:
        """Write the disks into a file that py4DSTEM reads."""
        disks, probe = self.session.get(Stage.DISKS), self.session.get(Stage.PROBE)
        refuse_what_is_open([Path(path)], self.session)
        known = self.session.calibration
        self._saving = self.jobs.run("Saving disks", self._saved, _save, disks, path, known, probe)

    def job_is_of_scan(self) -> bool:
        """Disks that are being saved are saved."""
        return self.jobs.job is not self._saving

    def forget(self) -> None:
        """Say nothing that was found in the former scan."""
        self.advice.hide()
        for name, told in self._help.items():
            self.form[name].tooltip = told
        self._help.clear()

    def refresh(self) -> None:
        """Show what the session holds."""
        scan, probe, disks = (self.session.get(stage) for stage in (Stage.SCAN, Stage.PROBE, Stage.DISKS))
        idle = not self.jobs.running
        self.say_needs(needs_text([Stage.SCAN]) if scan is None and disks is None else "")
        forms = self.form.native, self.form.further
        for widget in (self.probe, self.probe_button, *forms, self.preview.histogram):
            widget.setEnabled(scan is not None and idle)
        self.run_button.setEnabled(scan is not None and probe is not None and idle)
        self.load_button.setEnabled(idle)
        self.save_button.setEnabled(disks is not None and idle)
        self.probe_text.setText(_describe_probe(probe))
        self._say_state()
        self.preview.refresh()
        if scan is not None and probe is None and idle and self._looked_at is not scan.data:
            self._looked_at = scan.data  # once for each scan: the preview needs a probe to begin with
            self.suggest()

    def _saved(self, disks: BraggDisks) -> None:
        are_in_files([disks])

    def _take_suggestion(self, suggested: tuple[Job, Probe, DetectionSettings, str]) -> None:
        job, probe, settings, advice = suggested
        self.advice.setText(f"⚠ {advice}")
        self.advice.setVisible(bool(advice))
        self.form.set(settings)
        for name, why in explain_settings(settings, probe).items():
            self._help.setdefault(name, self.form[name].tooltip)
            self.form[name].tooltip = f"{self._help[name]}\n\nSuggested: {why}"
        self.preview.try_settings(settings)
        self.session.put(Stage.PROBE, probe, job)

    def _take_disks(self, job: Job, disks: BraggDisks) -> Iterator[None]:
        self.session.put(Stage.DISKS, disks, job)
        yield
        show_disk_count(self.viewer, disks.sure().counts)

    def _on_line_moved(self, least: float) -> None:
        self.form.set(replace(self.form.settings(), min_signal_to_noise=least))

    def _on_edited(self) -> None:
        self.preview.try_settings(self.form.settings())
        self._say_state()

    def _say_state(self) -> None:
        self.state.setText(self._describe_disks(self.session.get(Stage.DISKS)))
        self.state.setVisible(bool(self.state.text()))

    def _describe_disks(self, disks: BraggDisks | None) -> str:
        record = self.session.record(Stage.DISKS)
        if disks is None or record is None:
            return ""
        made_with = record.job.detection
        sure = disks.sure()
        text = f"{len(sure):,} disks, {np.median(sure.counts):.0f} at a position (median)"
        text += f", and {len(disks) - len(sure):,} that may be some." if len(sure) < len(disks) else "."
        if not len(sure):
            text += " No disk anywhere: check the probe."
        elif self.session.is_stale(Stage.DISKS):
            text += " The probe has changed since: run again."
        elif made_with not in (None, self.form.settings()):
            text += " The settings have changed since: run again to use them."
        return text

    def _choose_save(self) -> None:
        if path := ask_where(self, "Save Bragg disks", "bragg_disks.h5", FILES, _with_suffix):
            self.save(path)


def _with_suffix(path: str) -> str:
    return path if Path(path).suffix else f"{path}.h5"


def _describe_probe(probe: Probe | None) -> str:
    if probe is None:
        return "Probe"
    kind = {"synthetic": "synthetic disk", "vacuum": "from vacuum", "region": "from the region"}
    return f"Probe: {kind.get(probe.kind, probe.kind)}, radius {probe.radius:.2f} px"


def _suggest(job: Job, scan: Scan, progress: Progress) -> tuple[Job, Probe, DetectionSettings | None, str]:
    """Return the job's probe, settings that suit it and the data, and what speaks against finding disks so."""
    from napari_4dstem_orient.detection.advice import advise

    done = run(job, Stage.PROBE, have=Results(scan=scan))
    assert done.probe is not None
    doubts = [doubt for doubt in done.doubts if doubt != done.probe.doubt]  # the probe's is among the advice
    return job, done.probe, done.settings, " ".join(filter(None, (advise(scan, done.probe), *doubts)))


def _find(job: Job, long_run: LongRun, have: Results, growing: SignalRelay, progress: Progress) -> BraggDisks:
    assert have.scan is not None
    glimpse = now_and_then(growing.told.emit, have.scan.scan_shape[0] * have.scan.scan_shape[1])
    found = long_run(job, Stage.DISKS, have, progress, glimpse).disks
    assert found is not None
    return found


def _save(
    disks: BraggDisks, path: str, calibration: Calibration, probe: Probe | None, progress: Progress
) -> BraggDisks:
    save_disks(disks, path, calibration=calibration, probe=probe)
    return disks

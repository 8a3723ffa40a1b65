"""Step 1, Data: open a scan, say what its file does not, see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import napari
import numpy as np
from qtpy.QtWidgets import QMenu

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.part import Part
from napari_4dstem_orient.core.scan import Calibration, Scan
from napari_4dstem_orient.detection.virtual import virtual_images
from napari_4dstem_orient.io.bragg_peaks import is_disk_file, open_disks
from napari_4dstem_orient.io.formats import suffixes
from napari_4dstem_orient.io.load import FileFacts, inspect, load
from napari_4dstem_orient.napari_plugin.layers.removal import take_away
from napari_4dstem_orient.napari_plugin.layers.scan_layers import find_layer, put_layer
from napari_4dstem_orient.napari_plugin.panels.base import StepWidget, button, wrapped
from napari_4dstem_orient.napari_plugin.panels.data.part import PartChooser
from napari_4dstem_orient.napari_plugin.panels.data.run_all import RunAll
from napari_4dstem_orient.napari_plugin.panels.docks import open_panel, show_panel
from napari_4dstem_orient.napari_plugin.panels.shared.calibration_fields import CalibrationFields
from napari_4dstem_orient.napari_plugin.panels.shared.instrument import InstrumentOffer
from napari_4dstem_orient.napari_plugin.panels.shared.keeping import may_take_place
from napari_4dstem_orient.napari_plugin.panels.shared.opening import (
    OVERVIEW,
    opening_scan,
    overview,
    take_disks,
)
from napari_4dstem_orient.napari_plugin.panels.shared.patterns import MAXIMUM, MEAN, Patterns
from napari_4dstem_orient.napari_plugin.panels.shared.reading import ReadingOptions, leaves_a_question
from napari_4dstem_orient.napari_plugin.qt.boxes import fill, row
from napari_4dstem_orient.napari_plugin.qt.dialogs import open_file
from napari_4dstem_orient.napari_plugin.qt.tones import Tone, set_tone
from napari_4dstem_orient.samples.library import SAMPLES
from napari_4dstem_orient.workflow.session import Stage

AUTOMATIC_BYTES = 2**30
"""Scans up to this size get their virtual images at once, larger ones when asked."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A file that was looked into, and its scan unless that leaves a question; or disks, and what is told of them."""

    path: str
    facts: FileFacts | None
    scan: Scan | None = None
    overview: np.ndarray | None = None
    disks: tuple[BraggDisks, Calibration] | None = None


class DataWidget(StepWidget):
    """Open a scan, mend its calibration, make virtual images."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._path = ""
        self._shown: Any = None
        self.setAcceptDrops(True)
        self.open_button = button(
            "Open file …", "Any 4D-STEM format; or drop a file here.", self._choose_file
        )
        self.sample_button = button("Sample", "A scan that comes with this program.", lambda: None)
        samples = QMenu(self.sample_button)
        for name, sample in SAMPLES.items():
            samples.addAction(name, partial(self._open_sample, sample))
        self.sample_button.setMenu(samples)
        self.facts = wrapped()
        self.reading = ReadingOptions(self._read_again)
        self.calibration = CalibrationFields(self.session)
        self.run_all = RunAll(napari_viewer, self.calibration.inputs["voltage"].native, self.endings)
        self.instrument = InstrumentOffer(napari_viewer, self.endings)
        self.doubts = wrapped()
        set_tone(self.doubts, Tone.DOUBTFUL)
        self.images_button = button(
            "Compute virtual images",
            "Bright and annular dark field, mean and maximum pattern; reads the whole scan.",
            self.compute_images,
        )
        self.detectors_button = button(
            "Virtual detectors …",
            "Drag discs and rings over a pattern; their images follow.",
            lambda: open_panel(self.viewer, "Virtual images"),
        )
        self.part = PartChooser(napari_viewer, self._open_part)
        self.patterns = Patterns(self.session, self.endings)
        fill(self.body, row((self.open_button, 2), (self.sample_button, 1)), self.facts, self.reading)
        fill(self.body, self.part, self.run_all)
        fill(self.body, self.doubts, (self.patterns, 1), row(self.images_button, self.detectors_button))
        fill(self.body, self.instrument, self.calibration)
        self.refresh()

    def open_path(
        self,
        path: str,
        dataset: str | None = None,
        scan_shape: tuple[int, int] | str | None = None,
        part: Part | None = None,
    ) -> None:
        """Open a file off the main thread; what was there stays if it fails or leaves a question.

        What the panel does for the former scan ends.
        """
        self.jobs.abandon()
        self.jobs.run(f"Opening {Path(path).name}", self._take, _open, path, dataset, scan_shape, part)

    def _open_part(self, scan: Scan, part: Part) -> None:
        if scan.reopens is not None and not self.jobs.running:
            told = scan.reopens.arguments
            self.open_path(told["path"], told["dataset"], told["scan_shape"], part)

    def compute_images(self) -> None:
        """Make the virtual images of the whole scan."""
        scan = self.session.get(Stage.SCAN)
        if scan is not None and not self.jobs.running:
            self.jobs.run("Virtual images", self._show_images, virtual_images, scan)

    def refresh(self) -> None:
        """Show the scan, what is known of it and what is in doubt; make virtual images of a small one."""
        scan = self.session.get(Stage.SCAN)
        idle = not self.jobs.running
        self.part.refresh()
        for control in (self.open_button, self.sample_button, self.reading, self.part):
            control.setEnabled(idle)
        self.images_button.setEnabled(scan is not None and idle)
        self.run_all.refresh()
        self.calibration.setVisible(self.session.scan_shape is not None)
        self.calibration.refresh()
        self.instrument.refresh()
        self.images_button.setVisible(scan is not None)
        self.detectors_button.setVisible(scan is not None)
        self.patterns.setVisible(scan is not None)
        self.facts.setText(describe(scan) if scan is not None else WELCOME)
        unknown = [name for name in ("voltage", "q_pixel") if getattr(self.session.calibration, name) is None]
        self.doubts.setVisible(self.session.scan_shape is not None and bool(unknown))
        self.doubts.setText(" ".join(DOUBTS[name] for name in unknown))
        if scan is not None and scan.data is not self._shown and idle:
            self._shown = scan.data
            self.patterns.set_summed({})
            self.run_all.choose_of(scan)
            if scan.data.nbytes <= AUTOMATIC_BYTES:
                self.compute_images()
        self.patterns.refresh()

    def dragEnterEvent(self, event: Any) -> None:
        """Take files that are dragged over the panel."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Open the file that was dropped."""
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            self.open_path(paths[0])

    def _choose_file(self) -> None:
        known = " ".join(f"*{suffix}" for suffix in suffixes())
        filters, folder = f"Scans ({known});;All files (*)", str(Path(self._path).parent)
        open_file(self, "Open a scan", filters, self.open_path, folder)

    def _open_sample(self, sample: Callable[[], Scan]) -> None:
        self.jobs.abandon()
        self.jobs.run("Opening the sample", self._take, _open_sample, sample)

    def forget(self) -> None:
        """Let go of the former scan's patterns, and of what its file left open."""
        self.reading.show_facts(None, None)
        self.patterns.set_summed({})
        self.run_all.forget()

    def _read_again(self) -> None:
        self.open_path(self._path, self.reading.dataset, self.reading.scan_shape)

    def _take(self, opened: Opened) -> Iterator[None]:
        if opened.disks is not None:
            take_disks(self.viewer, *opened.disks)
            return  # they lie beside the scan, which can still be read otherwise
        if opened.scan is not None and opened.overview is not None:
            if not may_take_place(self.viewer):
                return
            yield from opening_scan(self.viewer, opened.scan, opened.overview)
        self._path = opened.path
        self.reading.show_facts(opened.facts, opened.scan)
        if opened.scan is None:
            show_panel(self)  # it asks something

    def _show_images(self, images: dict[str, np.ndarray]) -> Iterator[None]:
        steps = self.session.calibration.steps
        for name in ("annular dark field", "bright field"):
            put_layer(self.viewer, name, images[name], steps, visible=name == "bright field")
            yield
        former = find_layer(self.viewer, OVERVIEW)
        if former is not None:
            take_away(self.viewer, former)
            yield
        self.patterns.set_summed({name: images[name] for name in (MEAN, MAXIMUM)})


WELCOME = "Open a 4D-STEM scan: press a button, drop a file here or on the canvas, or use File > Open."
DOUBTS = {
    "voltage": "Voltage unknown: type it, orientations need it.",
    "q_pixel": "Detector pixel unknown: type it, or fit it in Calibration.",
}


def describe(scan: Scan) -> str:
    """Say in two lines which scan this is and how large."""
    part = scan.reopens.arguments["part"] if scan.reopens is not None else None
    rows, cols = scan.scan_shape
    det_rows, det_cols = scan.detector_shape
    size, unit = float(scan.data.nbytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size >= 1000:
            size, unit = size / 1000, larger
    where = Path(scan.source).name if "/" in scan.source or "\\" in scan.source else scan.source
    return (
        f"<b>{where}</b><br>{rows} × {cols} positions, {det_rows} × {det_cols} pixels, {scan.data.dtype}, "
        f"{size:.3g} {unit}" + (f"<br>{part}" if part else "")
    )


def _open(
    path: str, dataset: str | None, scan_shape: tuple[int, int] | str | None, part: Part | None
) -> Opened:
    try:
        facts = inspect(path)
    except UserError:
        if is_disk_file(path):
            return Opened(path, None, disks=open_disks(path))
        raise
    if dataset is None and scan_shape is None and leaves_a_question(facts):
        return Opened(path, facts)
    scan = load(path, dataset=dataset, scan_shape=scan_shape, part=part)
    return Opened(path, facts, scan, overview(scan))


def _open_sample(sample: Callable[[], Scan]) -> Opened:
    scan = sample()
    return Opened("", None, scan, overview(scan))

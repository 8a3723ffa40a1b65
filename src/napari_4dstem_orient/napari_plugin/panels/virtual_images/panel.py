"""Virtual images: drag discs and rings over a diffraction pattern, see what they see of the scan."""

from __future__ import annotations

from functools import partial
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QDoubleSpinBox

from napari_4dstem_orient.core.progress import Progress
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection.direct_beam import DirectBeam
from napari_4dstem_orient.detection.reduced import LiveImage, ReducedScan, binning_for, reduce_scan
from napari_4dstem_orient.detection.virtual import beam_or_middle, mean_pattern
from napari_4dstem_orient.detection.virtual_detector import (
    BRIGHT_FIELD,
    DARK_FIELD,
    AnyDetector,
    SpotsDetector,
    VirtualDetector,
    describe_detector,
    units_per_pixel,
)
from napari_4dstem_orient.napari_plugin.layers.drawing import draw, region_of
from napari_4dstem_orient.napari_plugin.layers.map_layers import shown_map
from napari_4dstem_orient.napari_plugin.layers.scan_layers import OURS, find_layer, put_layer
from napari_4dstem_orient.napari_plugin.panels.base import StepWidget, button, needs_text, wrapped
from napari_4dstem_orient.napari_plugin.panels.shared.detector_images import DetectorImages
from napari_4dstem_orient.napari_plugin.panels.virtual_images.crystal_spots import spots_of_crystal
from napari_4dstem_orient.napari_plugin.panels.virtual_images.detector_drag import DetectorDrag
from napari_4dstem_orient.napari_plugin.pattern_view.pattern_canvas import PatternCanvas
from napari_4dstem_orient.napari_plugin.qt.boxes import choices, fill, form, row
from napari_4dstem_orient.napari_plugin.qt.jobs import notify
from napari_4dstem_orient.napari_plugin.state.preferences import preferences
from napari_4dstem_orient.napari_plugin.state.snapshot import Snapshot
from napari_4dstem_orient.workflow.session import Stage

AUTOMATIC_BYTES = 2**30
"""Scans up to this size are copied into memory at once, larger ones when asked."""
FIELDS = {"row": "Centre, down", "col": "Centre, right", "inner": "Inner radius", "outer": "Outer radius"}
KINDS = {
    "bright": ("+ Bright field", "A disc on the direct beam."),
    "annular": ("+ Annular", "A ring about the direct beam."),
    "spot": ("+ Dark field", "A disc; drag it onto a reflection."),
}
"""Detectors that can be added: words and tooltip of each button."""
SHOWN = ("At the cursor", "Mean", "Maximum", "Mean of the rectangle")
RECTANGLE = "pattern rectangle"
"""Layer over the scan whose last rectangle's mean pattern is shown."""


class VirtualImagesWidget(StepWidget):
    """Virtual detectors over a pattern; each has a layer with its image, which follows it."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self.detectors: list[AnyDetector] = []
        self.beam: DirectBeam | None = None
        self._images, self._patterns = DetectorImages(), self.endings.latest(self._show_pattern)
        self._spots = self.endings.latest(self._append)
        self.endings.callback(self._images.close)
        self._images.seen.connect(self._show_image)
        self._images.failed.connect(notify)
        self.view = PatternCanvas("", (280, 280))
        self.drag = DetectorDrag(self.view)
        self.drag.moved.connect(self._on_dragged)
        self._build()
        self.endings.listen(self.session.position_changed, self._on_moved)
        self.endings.listen(self.session.crystal_changed, self._offer_crystal)
        self.endings.listen(self.viewer.layers.events.removed, self._on_layer_removed)
        self._prepared: Any = None
        self.refresh()

    def _build(self) -> None:
        self.shown = choices("Which pattern the detectors lie on.", SHOWN)
        self.shown.currentIndexChanged.connect(lambda index: self._read_pattern())
        self.choice = choices("The detector that the mouse and the fields change.")
        self.choice.currentIndexChanged.connect(lambda index: self._select())
        self.unit = choices("Unit of the fields; mrad need the voltage, Å⁻¹ the detector's pixel size.")
        self.unit.currentIndexChanged.connect(lambda index: self._fill_fields())
        self.add_buttons = {
            kind: button(title, tooltip, partial(self.add, kind)) for kind, (title, tooltip) in KINDS.items()
        }
        self.crystal_button = button(
            "",
            "Discs at the disks of the inspected pattern that the crystal on the map explains, and no other does.",
            self.add_crystal,
        )
        self.copy_button = button(
            "Read the scan into memory", "Then images follow the mouse at once.", self.prepare
        )
        self.draw_button = button(
            "Draw a rectangle",
            "Then drag over the scan: the mean of its patterns is shown, also when it is moved later.",
            self.draw_rectangle,
        )
        self.state = wrapped()
        self.fields: dict[str, QDoubleSpinBox] = {}
        for name in FIELDS:
            field = self.fields[name] = QDoubleSpinBox()
            field.setKeyboardTracking(False)
            field.setRange(-1e5 if name in ("row", "col") else 0.0, 1e5)
            field.setToolTip("From the direct beam." if name in ("row", "col") else "0 makes a ring a disc.")
            field.valueChanged.connect(lambda value: self._on_typed())
        fields = form({label: self.fields[name] for name, label in FIELDS.items()} | {"Unit": self.unit})
        fill(
            self.body, row((self.shown, 1), self.draw_button), (self.view, 1), row(*self.add_buttons.values())
        )
        fill(self.body, self.crystal_button, self.choice, fields, self.state, self.copy_button)

    def forget(self) -> None:
        """Let go of the former scan, its detectors and its copy in memory."""
        self._prepared, self.beam, self._images.live, self.detectors = None, None, None, []
        self._images.drop()
        self._patterns.drop()
        self._spots.drop()
        self.choice.clear()
        self.drag.show(None)
        self.state.clear()
        self.view.clear()

    def refresh(self) -> None:
        """Show the session's scan; begin anew with another one."""
        scan = self.session.get(Stage.SCAN)
        self.say_needs(needs_text([Stage.SCAN]) if scan is None else "")
        ready = scan is not None and self.beam is not None
        for widget in self.add_buttons.values():
            widget.setEnabled(ready)
        self._offer_crystal()
        self.draw_button.setEnabled(scan is not None)
        if scan is not None and scan.data is not self._prepared and not self.jobs.running:
            self._prepared = scan.data
            memory = preferences().memory if scan.data.nbytes <= AUTOMATIC_BYTES else None
            self.jobs.run("Looking at the patterns", self._take, partial(_prepare, scan, memory))
        self.copy_button.setVisible(ready and self._images.live is None)
        self.copy_button.setEnabled(not self.jobs.running)
        units = list(units_per_pixel(self.session.calibration))
        if [self.unit.itemText(i) for i in range(self.unit.count())] != units:
            self.unit.clear()
            self.unit.addItems(units)
        self._read_pattern()

    def prepare(self) -> None:
        """Read the scan once into a copy in memory."""
        scan = self.session.get(Stage.SCAN)
        if scan is not None and not self.jobs.running:
            self.jobs.run("Reading the scan", self._take, partial(_prepare, scan, preferences().memory))

    def add(self, kind: str) -> None:
        """Add a detector ("bright", "annular" or "spot") and its image."""
        if self.beam is None:
            return
        center, radius = self.beam.center, self.beam.radius
        made = {
            "bright": VirtualDetector(center, BRIGHT_FIELD * radius),
            "annular": VirtualDetector(center, 2 * DARK_FIELD * radius, DARK_FIELD * radius),
            "spot": VirtualDetector((center[0] + 4 * radius, center[1]), BRIGHT_FIELD * radius),
        }[kind]
        self._append(made)

    def add_crystal(self) -> None:
        """Add the detector of the crystal that is looked at in the inspected pattern, and its image."""
        where, shown = self.session.position, shown_map(self.viewer)
        if self.beam is None or where is None or not self.session.maps:
            return
        method = [*self.session.maps][-1] if shown is None else shown.method
        asked = Snapshot.of(self.session), method, where, self.session.crystal, self.beam.radius
        self._spots.ask(partial(spots_of_crystal, *asked))

    def _offer_crystal(self) -> None:
        which = "this crystal" if self.session.crystals == 1 else f"crystal {max(self.session.crystal, 1)}"
        self.crystal_button.setText(f"+ Dark field of {which}")
        self.crystal_button.setEnabled(self.beam is not None and bool(self.session.maps))

    def _append(self, made: AnyDetector) -> None:
        self.detectors.append(made)
        self.choice.addItem(self._name(made))
        self.choice.setCurrentIndex(len(self.detectors) - 1)

    def _take(self, prepared: tuple[DirectBeam, ReducedScan | None]) -> None:
        self.beam, reduced = prepared
        self._images.live = LiveImage(reduced) if reduced is not None else None
        self.refresh()
        if not self.detectors:
            self.add("bright")

    # ---------------------------------------------------------------- the pattern

    def _on_moved(self, row: int, col: int) -> None:
        if self.shown.currentIndex() == 0:
            self._read_pattern()

    def draw_rectangle(self) -> None:
        """Let the user drag a rectangle over the scan, in place of the former one."""
        draw(self.viewer, RECTANGLE, "add_rectangle", self._on_drawn)

    def _on_drawn(self) -> None:
        layer = find_layer(self.viewer, RECTANGLE)
        if layer is not None and not self._closed:
            layer.events.data.connect(self._on_rectangle)
            if self.shown.currentIndex() == 3:
                self._read_pattern()
            else:
                self.shown.setCurrentIndex(3)

    def _on_rectangle(self, event: Any) -> None:
        if not self._closed and self.shown.currentIndex() == 3:
            self._read_pattern()

    def _on_layer_removed(self, event: Any) -> None:
        if self.shown.currentIndex() == 3 and event.value.metadata.get(OURS) == RECTANGLE:
            self._read_pattern()

    def _read_mean(self, scan: Scan) -> None:
        """Ask for the mean pattern of the rectangle; what was being read for its former place stops."""
        chosen = region_of(self.viewer, RECTANGLE, scan.scan_shape)
        if chosen is None or not chosen.any():
            self._patterns.drop()
            self.view.say("Draw a rectangle over the scan" if chosen is None else "The rectangle is empty")
        elif self._images.live is not None:
            self._patterns.ask(partial(self._images.live.reduced.mean_of, chosen))
        else:
            self._patterns.ask(partial(mean_pattern, scan, chosen))

    def _read_pattern(self) -> None:
        scan, position = self.session.get(Stage.SCAN), self.session.position
        if scan is None or position is None:
            self.view.clear()
            return
        if self.shown.currentIndex() == 0:
            self._patterns.ask(partial(scan.pattern, *position))
        elif self.shown.currentIndex() == 3:
            self._read_mean(scan)
        elif self._images.live is None:
            self.view.say("Read the scan into memory for this")
        else:
            reduced = self._images.live.reduced
            self._show_pattern(reduced.mean if self.shown.currentIndex() == 1 else reduced.maximum)

    def _show_pattern(self, pattern: np.ndarray) -> None:
        self.view.show_pattern(pattern, self.session.calibration.q_pixel, [])
        self._draw()

    # ---------------------------------------------------------------- the detector

    @property
    def selected(self) -> AnyDetector | None:
        """The detector that mouse and fields change."""
        index = self.choice.currentIndex()
        return self.detectors[index] if 0 <= index < len(self.detectors) else None

    def _select(self) -> None:
        self._draw()
        self._fill_fields()
        self._compute()

    def _draw(self) -> None:
        self.drag.show(self.selected)

    def _on_dragged(self, detector: AnyDetector) -> None:
        index = self.choice.currentIndex()
        self.detectors[index] = detector
        self.choice.setItemText(index, self._name(detector))
        self._fill_fields()
        self._compute()

    def _per_pixel(self) -> tuple[str, float]:
        units = units_per_pixel(self.session.calibration)
        unit = self.unit.currentText() if self.unit.currentText() in units else "px"
        return unit, units[unit]

    def _fill_fields(self) -> None:
        detector = self.selected
        for name, field in self.fields.items():
            field.setEnabled(
                isinstance(detector, VirtualDetector) or (detector is not None and name == "outer")
            )
        if detector is None or self.beam is None:
            return
        unit, per_pixel = self._per_pixel()
        shape = (0.0, 0.0, 0.0)
        if isinstance(detector, VirtualDetector):
            shape = (*(np.array(detector.center) - self.beam.center), detector.inner)
        for field, pixels in zip(self.fields.values(), (*shape, detector.outer), strict=True):
            with QSignalBlocker(field):
                field.setDecimals(2 if unit != "Å⁻¹" else 4)
                field.setSingleStep(per_pixel)
                field.setSuffix(f" {unit}")
                field.setValue(pixels * per_pixel)

    def _on_typed(self) -> None:
        if self.selected is None or self.beam is None:
            return
        _, per_pixel = self._per_pixel()
        row, col, inner, outer = (field.value() / per_pixel for field in self.fields.values())
        if isinstance(self.selected, SpotsDetector):
            self._on_dragged(self.selected.with_outer(outer))
        else:
            center = self.beam.center[0] + row, self.beam.center[1] + col
            self._on_dragged(VirtualDetector(center, max(outer, 0.5)).with_inner(inner))
        self._draw()

    def _name(self, detector: AnyDetector) -> str:
        assert self.beam is not None, "a detector comes after the beam"
        return describe_detector(detector, self.beam.center, *self._per_pixel(), self.beam.radius)

    # ---------------------------------------------------------------- the image

    def _compute(self) -> None:
        """Ask for the image of the chosen detector."""
        scan, detector, live = self.session.get(Stage.SCAN), self.selected, self._images.live
        if scan is None or detector is None:
            return
        if live is None:
            self.state.setText("Reading the scan, coarse to fine …")
        else:
            binning = live.reduced.binning
            self.state.setText(f"Live, patterns binned {binning} × {binning}." if binning > 1 else "Live.")
        self._images.ask(self.choice.currentIndex(), scan, detector)

    def _show_image(self, index: int, image: np.ndarray) -> None:
        if index >= len(self.detectors) or image.shape != self.session.scan_shape:
            return
        selected = set(self.viewer.layers.selection)
        layer = put_layer(self.viewer, f"virtual image {index + 1}", image, self.session.calibration.steps)
        layer.name = self._name(self.detectors[index])
        if selected:
            self.viewer.layers.selection = selected


def _prepare(scan: Scan, memory: int | None, progress: Progress) -> tuple[DirectBeam, ReducedScan | None]:
    """Find the beam, and read the scan into a copy of at most so many MiB unless there shall be none."""
    binning = binning_for(scan, memory * 2**20) if memory is not None else None
    return beam_or_middle(scan), None if binning is None else reduce_scan(scan, binning, progress)

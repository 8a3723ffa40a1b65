"""What the present settings find at the cursor and at pinned positions, live; and the whole scan's vector map."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from qtpy.QtWidgets import QTabBar, QWidget

from napari_4dstem_orient.core.bragg_disks import SURE, BraggDisks
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection.detect import detect_candidates, detect_one
from napari_4dstem_orient.detection.probe import Probe
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.detection.vector_map import bragg_vector_map
from napari_4dstem_orient.napari_plugin.layers.cursor import WalkingKeys, toggle_pin
from napari_4dstem_orient.napari_plugin.panels.base import behind_a_tab, button, wrapped
from napari_4dstem_orient.napari_plugin.panels.detection.sureness_histogram import SurenessHistogram
from napari_4dstem_orient.napari_plugin.panels.shared.pinned_patterns import Pin, PinnedPatterns
from napari_4dstem_orient.napari_plugin.pattern_view.overlays import MarkSet, rings
from napari_4dstem_orient.napari_plugin.pattern_view.pattern_canvas import PatternCanvas
from napari_4dstem_orient.napari_plugin.pattern_view.pictures import raw_picture
from napari_4dstem_orient.napari_plugin.qt.boxes import column, row
from napari_4dstem_orient.napari_plugin.qt.endings import Endings
from napari_4dstem_orient.napari_plugin.qt.libraries import import_libraries
from napari_4dstem_orient.workflow.session import Session, Stage

FAINTEST = 0.15
"""Opacity of the circles about the least sure disks."""
MOST_REJECTED = 200
"""Rejected candidates shown, the strongest first: noise has thousands."""


class Found(NamedTuple):
    """A pattern, its disks where there is a probe, all candidates (m, 4) and the ``PeakStatus`` of each (m,)."""

    position: Pin
    pattern: np.ndarray
    disks: BraggDisks | None
    candidates: np.ndarray
    status: np.ndarray


class DiskPreview(QWidget):
    """A diffraction view with two tabs, the number of disks in words, pinned patterns and a histogram."""

    def __init__(self, session: Session, endings: Endings) -> None:
        super().__init__()
        self._session = session
        self._settings: DetectionSettings | None = None
        self._data: Any = None
        self._patterns: dict[Pin, np.ndarray] = {}
        self.tabs = QTabBar()
        self.tabs.addTab("Preview at the cursor")
        self.tabs.addTab("Bragg vector map")
        self.tabs.currentChanged.connect(self.refresh)
        self.view = PatternCanvas("", (180, 180))
        WalkingKeys(session, self).watch(self.view.canvas)
        self.count = wrapped()
        self.pin_button = button(
            "Unpin",
            "Keep this position in sight below, to see what the settings do to several patterns at once.",
            partial(toggle_pin, session),
        )
        self.pinned = PinnedPatterns(session, side_by_side=True)
        self.histogram = SurenessHistogram()
        words = row((self.count, 1), self.pin_button)
        column(self, self.tabs, (self.view, 1), words, self.histogram, self.pinned).setSpacing(2)
        self._finder = endings.latest(self._show, self._on_failed)
        endings.listen(session.position_changed, self._follow)
        endings.listen(session.pins_changed, self._follow)

    def try_settings(self, settings: DetectionSettings) -> None:
        """Preview other settings."""
        self._settings = settings
        self.histogram.set_least(settings.min_signal_to_noise)
        self.refresh()

    def refresh(self) -> None:
        """Show what the chosen tab says."""
        self._finder.drop()
        scan, probe = self._session.get(Stage.SCAN), self._session.get(Stage.PROBE)
        position, pins = self._session.position, self._session.pins
        previews = self.tabs.currentIndex() == 0 and scan is not None and position is not None
        self.pinned.place(pins)
        self.pinned.setVisible(previews and bool(pins))
        self.pin_button.setVisible(previews)
        self.pin_button.setText("Unpin" if position in pins else "Pin")
        self.histogram.setVisible(previews and probe is not None)
        if self.tabs.currentIndex() == 1:
            self._show_vector_map()
            return
        if scan is None or position is None:
            self.view.clear()
            self.count.clear()
            return
        if scan.data is not self._data:
            self._data, self._patterns = scan.data, {}
        positions = tuple(dict.fromkeys((position, *pins)))
        self._finder.ask(partial(_find, scan, probe, self._settings, positions, self._patterns))

    def _show(self, found: list[Found]) -> None:
        here = found[0]
        probe = self._session.get(Stage.PROBE)
        radius = max(probe.radius, 1.5) if probe is not None else 0.0
        for other in found:
            count = "no probe" if other.disks is None else f"{len(other.disks.sure())} disks"
            picture, circles = raw_picture(other.pattern), _circled(other.disks, radius)
            self.pinned.show_pattern(other.position, picture, circles, count)
        rejected, status = here.candidates[here.status > 0], here.status[here.status > 0]
        strongest = np.argsort(-rejected[:, 2])[:MOST_REJECTED]
        marks = [MarkSet("rejected", rejected[strongest, :2], 1.0), *_circled(here.disks, radius)]
        self.view.show_pattern(here.pattern, self._session.calibration.q_pixel, marks)
        if here.disks is None:
            self.count.setText("No probe yet.")
            return
        row, col = here.position
        sure = len(here.disks.sure())
        weak = f", and {len(here.disks) - sure} that may be some" if sure < len(here.disks) else ""
        self.count.setText(f"{sure} disks{weak} at row {row}, column {col}{_why_not(status)}")
        self._show_sureness(found)

    def _show_sureness(self, found: list[Found]) -> None:
        """Show the candidates of all positions but those at the rim, which no floor would let in."""
        from napari_4dstem_orient.detection.selection import PeakStatus

        inside = [each.status != PeakStatus.AT_RIM for each in found]
        snr = [each.candidates[which, 3] for each, which in zip(found, inside, strict=True)]
        kept = [each.status[which] == PeakStatus.ACCEPTED for each, which in zip(found, inside, strict=True)]
        self.histogram.show_candidates(np.concatenate(snr), np.concatenate(kept))

    def _show_vector_map(self) -> None:
        disks = self._session.get(Stage.DISKS)
        if disks is None:
            self.view.clear("Find or load disks first")
            self.count.setText("")
            return
        self.view.show_pattern(bragg_vector_map(disks) ** 0.5, self._session.calibration.q_pixel, [])
        self.count.setText(f"{len(disks.sure()):,} disks of {disks.counts.size:,} scan positions")

    def _on_failed(self, error: BaseException) -> None:
        # In the view, not as a notification: while somebody types, every keystroke may fail.
        self.view.show_marks([])
        self.count.setText(str(error))

    def _follow(self, *position: int) -> None:
        if self.tabs.currentIndex() == 0 and not behind_a_tab(self):
            self.refresh()


def _find(
    scan: Scan,
    probe: Probe | None,
    settings: DetectionSettings | None,
    positions: tuple[Pin, ...],
    read: dict[Pin, np.ndarray],
) -> list[Found]:
    """Detect disks at some positions; ``read`` keeps their patterns, and no others, for the next time."""
    patterns = {where: read[where] if where in read else scan.pattern(*where) for where in positions}
    read.clear()
    read.update(patterns)
    if probe is None or settings is None:
        nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.uint8)
        return [Found(where, patterns[where], None, *nothing) for where in positions]
    import_libraries()
    return [
        Found(
            where,
            patterns[where],
            detect_one(patterns[where], probe, settings),
            *detect_candidates(patterns[where], probe, settings),
        )
        for where in positions
    ]


def _circled(disks: BraggDisks | None, radius: float) -> list[MarkSet]:
    """Mark disks, the fainter the less sure they are."""
    if disks is None:
        return []
    opacity = None if disks.snr is None else np.clip(disks.snr / SURE, FAINTEST, 1)
    return [replace(rings(disks.at(0, 0)[:, :2], radius), opacity=opacity)]


def _why_not(status: np.ndarray) -> str:
    """Say how many candidates were rejected, and why."""
    from napari_4dstem_orient.detection.selection import PeakStatus

    reasons = [
        f"{np.count_nonzero(status == why):,} {why.text}"
        for why in PeakStatus
        if why != PeakStatus.ACCEPTED and (status == why).any()
    ]
    return f"\nRejected (×): {', '.join(reasons)}" if reasons else ""

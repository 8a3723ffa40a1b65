"""Inspector: the measured pattern beside what each method predicts, for the scan position last clicked."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import napari
import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout

from napari_4dstem_orient.indexing.methods import METHODS, title_of
from napari_4dstem_orient.napari_plugin.layers.cursor import WalkingKeys, step_crystal
from napari_4dstem_orient.napari_plugin.panels.base import StepWidget, needs_text
from napari_4dstem_orient.napari_plugin.panels.docks import enlarge
from napari_4dstem_orient.napari_plugin.panels.inspector.controls import WIDTH, InspectorControls
from napari_4dstem_orient.napari_plugin.panels.inspector.pattern_column import (
    SMALLEST_VIEW,
    Column,
    MeasuredColumn,
    PredictedColumn,
)
from napari_4dstem_orient.napari_plugin.panels.inspector.pattern_figure import save_patterns
from napari_4dstem_orient.napari_plugin.panels.inspector.pattern_window import PatternWindow
from napari_4dstem_orient.napari_plugin.panels.inspector.views import (
    InspectorState,
    ViewOptions,
    draw,
    legend,
    legend_text,
    predicted_anew,
    with_attention,
)
from napari_4dstem_orient.napari_plugin.panels.shared.pinned_patterns import Pin, PinnedPatterns
from napari_4dstem_orient.napari_plugin.pattern_view.inspection import (
    Answer,
    Position,
    answer_at,
    look,
    with_hypothesis,
)
from napari_4dstem_orient.napari_plugin.pattern_view.pattern_canvas import Lens
from napari_4dstem_orient.napari_plugin.qt.boxes import fill
from napari_4dstem_orient.napari_plugin.qt.dialogs import save_file
from napari_4dstem_orient.napari_plugin.qt.elided import FittedLabel
from napari_4dstem_orient.napari_plugin.qt.latest_only import LatestOnly
from napari_4dstem_orient.napari_plugin.state.indexers import Indexers, can_map, indexers_for
from napari_4dstem_orient.napari_plugin.state.snapshot import Snapshot
from napari_4dstem_orient.workflow.session import MapBy, Stage

FIGURES = "Figures (*.pdf *.svg *.png)"


class InspectorWidget(StepWidget):
    """Linked views (measured, and one for each method's answer), and in words what they show."""

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.indexers = indexers_for(self.session)
        self.lens = Lens()
        self.measured = MeasuredColumn(self.lens)
        self.predicted: dict[str, PredictedColumn] = {}
        self._matchers: dict[str, LatestOnly] = {}
        self.controls = InspectorControls()
        self.pins = PinnedPatterns(self.session)
        self._arrange()
        self._snapshot = Snapshot.of(self.session)
        self._shown: InspectorState | None = None
        self._failed: dict[str, str] = {}
        self._window: PatternWindow | None = None
        latest = self.endings.latest
        self._reader, self._drawer, self._writer = latest(self._on_position), latest(self._show), latest()
        self._pin_reader = latest(self._show_pins)
        self.measured.save.clicked.connect(self.save_figure)
        self.controls.changed.connect(self._on_look)
        self.controls.larger.clicked.connect(lambda: enlarge(self))
        self.controls.detach.clicked.connect(self.detach)
        self.controls.stepped.connect(lambda: step_crystal(self.session))
        self.endings.listen(self.session.position_changed, self.refresh)
        self.endings.listen(self.session.job_changed, self.refresh)
        self.endings.listen(self.session.crystal_changed, self._on_crystal)
        self.endings.listen(self.session.pins_changed, self._read_pins)
        self._read_pins()
        self.refresh()

    def _arrange(self) -> None:
        self._row = row = QHBoxLayout()
        row.setSpacing(6)
        row.addLayout(self.measured, 1)
        self.pins.setFixedWidth(WIDTH)
        self.pins.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Ignored)  # what room there is
        row.addLayout(fill(QVBoxLayout(), self.controls, (self.pins, 1)))
        self._keys = WalkingKeys(self.session, self)
        self._keys.watch(self, self.measured.view.canvas)
        for method in METHODS:
            self._add_column(method)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.body.setAlignment(Qt.AlignmentFlag(0))
        self.body.setContentsMargins(0, 0, 0, 0)
        self.body.addLayout(row)
        self.legend = FittedLabel()
        self.legend.setFixedHeight(self.legend.fontMetrics().lineSpacing() + 4)
        self.legend.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.legend.setStyleSheet("background: black; color: white")  # as the patterns
        self.legend.setToolTip("What the marks over the patterns mean.")
        fill(self.footer, self.legend)

    def _add_column(self, method: str) -> None:
        """Show the answers of a method, to the right of those there are."""
        column = PredictedColumn(title_of(method), self.lens)
        self._row.insertLayout(len(self.columns), column, 1)
        self.predicted[method] = column
        self._matchers[method] = self.endings.latest(
            partial(self._on_matched, method), partial(self._on_match_failed, method)
        )
        column.hypotheses.activated.connect(partial(self._on_chosen, method))
        self._keys.watch(column.view.canvas)
        if len(self.columns) > 3:  # no wider together than three, or they would widen a small window
            for one in self.columns:
                one.view.canvas.setMinimumWidth(3 * SMALLEST_VIEW[1] // len(self.columns))

    @property
    def columns(self) -> list[Column]:
        """Measured, then each method: from left to right."""
        return [self.measured, *self.predicted.values()]

    @property
    def _look(self) -> ViewOptions:
        return replace(self.controls.look, crystal=self.session.crystal)

    def refresh(self) -> None:
        """Look at the current position again."""
        self._snapshot, where = Snapshot.of(self.session), self.session.position
        for method in self._snapshot.maps.keys() - self.predicted.keys():  # of a package not installed here
            self._add_column(method)
        for latest in (self._drawer, *self._matchers.values()):
            latest.drop()
        self._failed.clear()
        if where is None:
            self._reader.drop()
            self._shown = None
            self.measured.save.setEnabled(False)
            self.measured.view.say("Open a scan, then click or drag on it.")
            return
        self._reader.ask(partial(_look_and_draw, self._snapshot, self.indexers, *where, self._look))

    def forget(self) -> None:
        """Show nothing of the former scan while the new one is being read."""
        self._shown = None
        self.measured.save.setEnabled(False)
        self.legend.clear()
        for column in self.columns:
            column.empty()
        for column in self.predicted.values():
            column.offer([])
        if self._window is not None:
            self._window.empty()

    # ---------------------------------------------------------------- pins

    def _read_pins(self) -> None:
        pins = self.session.pins
        self.pins.place(pins)
        self.pins.setVisible(bool(pins))
        self._pin_reader.ask(partial(_pictures, Snapshot.of(self.session), pins))

    def _show_pins(self, pictures: dict[Pin, np.ndarray]) -> None:
        for pin, picture in pictures.items():
            self.pins.show_pattern(pin, picture)

    # ---------------------------------------------------------------- what was read

    def _on_position(self, shown: InspectorState) -> None:
        position = shown.position
        self._drawer.drop()  # of the former position
        self.measured.save.setEnabled(True)
        for column in self.columns:
            detector = position.detector
            column.view.set_frame(
                detector.shape, detector.q_pixel if detector.scaled else 0.0, position.origin
            )
        for column in self.predicted.values():
            column.hypotheses.setCurrentIndex(0)
        self._show(shown)
        if shown.look != self._look:
            self._redraw(shown)
        for method in METHODS:
            if method not in position.answers:
                self._match_here(method, position)

    def _show(self, shown: InspectorState) -> None:
        """Show what was drawn in a thread."""
        self._shown = shown
        self.measured.show(shown.panes["measured"])
        for method, column in self.predicted.items():
            if (pane := shown.panes.get(method)) is not None:
                column.show(pane)
            column.offer(pane.hypotheses if pane is not None else [])
        several = max((len(answer.of_crystals()) for answer in shown.first.values()), default=1)
        self.controls.offer_crystals(several, shown.look.crystal)
        self._describe(shown)
        self.legend.setText(legend_text(legend(shown)))
        if self._window is not None:
            self._window.show_state(shown)

    def detach(self) -> None:
        """Open the window of the patterns, or bring it to the front."""
        if self._window is None:
            self._window = PatternWindow(self, self.session, self.lens)
            self._window.destroyed.connect(self._on_window_closed)
        if self._shown is not None:
            self._window.show_state(self._shown)
        self._window.show()
        self._window.raise_()

    def _on_window_closed(self) -> None:
        self._window = None

    def _redraw(self, shown: InspectorState) -> None:
        """Predict and draw a position as the controls say now."""
        self._shown = shown  # what comes meanwhile builds upon this
        self._drawer.ask(partial(_drawn, shown, self._snapshot, self.indexers, self._look))

    def _on_look(self) -> None:
        if self._shown is not None:
            self._redraw(self._shown)

    def _on_crystal(self) -> None:
        """Show another of the pattern's crystals, by its best answer."""
        if self._shown is not None:
            self._redraw(replace(self._shown, answers=dict(self._shown.first)))

    # ---------------------------------------------------------------- one position, matched at once

    def _match_here(self, method: str, position: Position) -> None:
        snapshot, indexers, calibrated = self._snapshot, self.indexers, self._snapshot.calibrated
        if calibrated is None or not can_map(snapshot.job, method):
            return

        def match() -> tuple[Position, Answer]:
            found = indexers.get(method, snapshot).index(calibrated.only(*position.where))
            return position, answer_at(found, 0, 0, snapshot.beam)

        self._matchers[method].ask(match)

    def _on_matched(self, method: str, matched: tuple[Position, Answer]) -> None:
        position, answer = matched
        shown = self._shown
        if shown is None or position is not shown.position:  # the user has moved on
            return
        first = {method: answer} | shown.first
        self._redraw(replace(shown, answers=shown.answers | {method: answer}, first=first))

    # ---------------------------------------------------------------- hypotheses

    def _on_chosen(self, method: str, number: int) -> None:
        """Show another hypothesis of a method in its view."""
        shown, beam = self._shown, self._snapshot.beam
        if shown is None or method not in shown.first:
            return

        def choose() -> tuple[Position, Answer]:
            first = shown.first[method]
            one = first.of_crystals(shown.look.crystal)[0]
            return shown.position, with_hypothesis(one, number, beam) if number else first

        self._matchers[method].ask(choose)

    def _on_match_failed(self, method: str, error: BaseException) -> None:
        self._failed[method] = str(error)
        if self._shown is not None:
            self._describe(self._shown)

    # ---------------------------------------------------------------- the figure

    def save_figure(self) -> None:
        """Ask for a file and write what is shown as a figure."""
        shown, snapshot = self._shown, self._snapshot
        if shown is None:
            return
        name = "pattern_{}_{}.pdf".format(*shown.position.where)

        def write(path: str) -> None:
            writes = partial(save_patterns, shown.position, shown.answers, snapshot, path)
            self._writer.ask(partial(writes, shown.look, shown.attention))

        save_file(self, "Save the figure", name, FIGURES, write)

    # ---------------------------------------------------------------- in words

    def _describe(self, shown: InspectorState) -> None:
        position = shown.position
        row, col = position.where
        known = self._snapshot.disks is not None or self._snapshot.calibrated is not None
        found = f"{position.reflections} disks beside the direct beam" if known else "disks not yet detected"
        lines = [f"<b>row {row}, column {col}</b>", found]
        if shown.apart is not None:
            lines.append(f"The answers differ by <b>{shown.apart:.1f}°</b>")
        if shown.trouble:
            lines.append(f"<i>{shown.trouble}</i>")
        self.measured.say("<br>".join(lines))
        for method, column in self.predicted.items():
            stale, pane = self.session.is_stale(MapBy(method)), shown.panes.get(method)
            words = (pane.words if pane is not None else "") or self._why_no_answer(method)
            column.say(("<i>stale: run the map again</i><br>" if stale else "") + words)

    def _why_no_answer(self, method: str) -> str:
        missing = self.session.missing(Stage.MAP)
        if method not in METHODS:
            return "no map by this method is open"
        if missing:
            return needs_text(missing)
        if method in self._failed:
            return self._failed[method]
        if can_map(self.session.job, method):
            return "looking at this position …"
        return "no answer yet: choose a crystal phase in Map"


def _pictures(snapshot: Snapshot, pins: tuple[Pin, ...]) -> dict[Pin, np.ndarray]:
    """Return the measured patterns from black (0) to white (1); for any thread."""
    without_maps = replace(snapshot, maps={})
    return {pin: look(without_maps, *pin).picture for pin in pins}


def _look_and_draw(
    snapshot: Snapshot, indexers: Indexers, row: int, col: int, wanted: ViewOptions
) -> InspectorState:
    """Return what there is to see at a position, drawn; for any thread."""
    position = look(snapshot, row, col, wanted.prediction)
    shown = InspectorState(position, dict(position.answers), dict(position.answers))
    return draw(with_attention(shown, snapshot, indexers, wanted), wanted)


def _drawn(
    shown: InspectorState, snapshot: Snapshot, indexers: Indexers, wanted: ViewOptions
) -> InspectorState:
    """Return the same answers predicted and drawn otherwise; for any thread."""
    shown = predicted_anew(shown, snapshot.beam, wanted.prediction)
    return draw(with_attention(shown, snapshot, indexers, wanted), wanted)

"""Inspector: the measured pattern beside what each method predicts, for the scan position last clicked."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QHBoxLayout

from napari_4dstem_orient.napari_plugin.indexers import METHODS, STAGES, indexers_for
from napari_4dstem_orient.napari_plugin.inspection import (
    Answer,
    Position,
    angle_between,
    answer_at,
    hypothesis_texts,
    instead,
    look,
    name_directions,
)
from napari_4dstem_orient.napari_plugin.jobs import Latest, notify
from napari_4dstem_orient.napari_plugin.parts.inspector.pattern_column import (
    Column,
    MeasuredColumn,
    PredictedColumn,
)
from napari_4dstem_orient.napari_plugin.parts.inspector.pins import PinStrip
from napari_4dstem_orient.napari_plugin.pattern_figure import save_patterns
from napari_4dstem_orient.napari_plugin.pattern_view import link_cameras
from napari_4dstem_orient.napari_plugin.pictures import fineness
from napari_4dstem_orient.napari_plugin.snapshot import Detector, Snapshot
from napari_4dstem_orient.napari_plugin.step_widget import StepWidget, needs_text
from napari_4dstem_orient.napari_plugin.walking import WalkingKeys

if TYPE_CHECKING:
    import napari

FIGURES = "Figures (*.pdf *.svg *.png)"


class InspectorWidget(StepWidget):
    """Three linked views (measured, template matching, transformer), and in words what they show.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.indexers = indexers_for(self.session)
        self.measured = MeasuredColumn()
        self.predicted = {method: PredictedColumn(f"{title}: predicted") for method, title in METHODS.items()}
        self.measured.save.clicked.connect(self.save_figure)
        row = QHBoxLayout()
        row.setSpacing(6)
        for column in self.columns:
            row.addLayout(column, 1)
        self.pins = PinStrip(self.session)
        row.addWidget(self.pins)
        self._keys = WalkingKeys(self.session, self)
        for column in self.columns:
            column.view.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            self._keys.watch(column.view, column.view.qt_viewer.canvas.native)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self._keys.watch(self)
        for method, column in self.predicted.items():
            column.hypotheses.activated.connect(partial(self._on_chosen, method))
            column.view.on_hover(partial(self._on_hover, method))
        self.body.setAlignment(Qt.AlignmentFlag(0))
        self.body.setContentsMargins(0, 0, 0, 0)
        self.body.addLayout(row)
        link_cameras([column.view for column in self.columns])
        self._snapshot = Snapshot.of(self.session)
        self._detector: Detector | None = None
        self._shown: Position | None = None
        self._answers: dict[str, Answer] = {}
        self._first: dict[str, Answer] = {}
        self._reader = Latest()
        self._reader.answered.connect(self._on_position)
        self._reader.failed.connect(notify)
        self._writer = Latest()
        self._writer.failed.connect(notify)
        self._matchers = {method: Latest() for method in METHODS}
        for method, matcher in self._matchers.items():
            matcher.answered.connect(partial(self._on_matched, method))
            matcher.failed.connect(partial(self._on_match_failed, method))
        self.session.position_changed.connect(self._on_moved)
        self.indexers.changed.connect(self.refresh)
        self.refresh()

    @property
    def columns(self) -> list[Column]:
        """Measured, template matching, transformer: from left to right."""
        return [self.measured, *self.predicted.values()]

    def refresh(self) -> None:
        """Look at the current position again."""
        self._snapshot, where = Snapshot.of(self.session), self.session.position
        for matcher in self._matchers.values():
            matcher.drop()
        if where is None:
            self._reader.drop()
            self._shown = None
            self.measured.save.setEnabled(False)
            self.measured.view.say("Open a scan, then click or drag on it.")
            return
        self._reader.ask(partial(_look_and_draw, self._snapshot, *where))

    def release(self) -> None:
        """Stop listening and free the canvases."""
        self.session.position_changed.disconnect(self._on_moved)
        self.indexers.changed.disconnect(self.refresh)
        for latest in (self._reader, self._writer, *self._matchers.values()):
            latest.close()
        self.pins.close_strip()
        for column in self.columns:
            column.view.close_view()

    def _on_moved(self, row: int, col: int) -> None:
        self.refresh()

    # ---------------------------------------------------------------- what was read

    def _on_position(self, seen: tuple[Position, list[np.ndarray]]) -> None:
        position, pictures = seen
        self._shown, self._answers, self._first = position, dict(position.answers), dict(position.answers)
        self.measured.save.setEnabled(True)
        if position.detector != self._detector:
            self._detector = position.detector
            fine = fineness(position.detector.shape)
            centre = [fine * (size // 2) + (fine - 1) / 2 for size in position.detector.shape]
            for column in self.columns:
                column.view.set_frame(position.detector.q_pixel / fine, (centre[0], centre[1]))
        for column, picture in zip(self.columns, pictures, strict=True):
            column.show(picture)
        for method in METHODS:
            self._offer(method)
            if method not in position.answers:
                self._match_here(method, position)
        self._describe(position)

    # ---------------------------------------------------------------- one position, matched at once

    def _match_here(self, method: str, position: Position) -> None:
        snapshot, indexers, calibrated = self._snapshot, self.indexers, self._snapshot.calibrated
        if calibrated is None or not indexers.can(method):
            return

        def match() -> tuple[Position, Answer, np.ndarray]:
            found = indexers.get(method, snapshot.light).index(calibrated.only(*position.where))
            answer = answer_at(found, 0, 0, snapshot.light)
            return position, answer, position.predicted(answer)

        self._matchers[method].ask(match)

    def _on_matched(self, method: str, matched: tuple[Position, Answer, np.ndarray]) -> None:
        position, answer, picture = matched
        if position is not self._shown:  # the user has moved on
            return
        self._answers[method] = answer
        if method not in self._first:
            self._first[method] = answer
            self._offer(method)
        self.predicted[method].show(picture)
        self._describe(position)

    # ---------------------------------------------------------------- hypotheses

    def _offer(self, method: str) -> None:
        """List the hypotheses of a method's answer; the first is shown."""
        first = self._first.get(method)
        self.predicted[method].offer([] if first is None else hypothesis_texts(first))

    def _on_chosen(self, method: str, number: int) -> None:
        """Show another hypothesis of a method in its view."""
        position, first, light = self._shown, self._first.get(method), self._snapshot.light
        if position is None or first is None:
            return

        def predict() -> tuple[Position, Answer, np.ndarray]:
            chosen = instead(first, number, position, light)
            return position, chosen, position.predicted(chosen)

        self._matchers[method].ask(predict)

    def _on_match_failed(self, method: str, error: BaseException) -> None:
        self.predicted[method].say(str(error))

    # ---------------------------------------------------------------- the figure, the mouse

    def save_figure(self) -> None:
        """Ask for a file and write what is shown as a figure."""
        position, answers, snapshot = self._shown, dict(self._answers), self._snapshot
        if position is None:
            return
        name = "pattern_{}_{}.pdf".format(*position.where)
        path, _ = QFileDialog.getSaveFileName(self, "Save the figure", name, FIGURES)
        if path:
            self._writer.ask(partial(save_patterns, position, answers, snapshot, path))

    def _on_hover(self, method: str, pixel: np.ndarray) -> None:
        """Name the reflection under the mouse in a method's view."""
        position = self._shown
        if position is not None:
            fine = fineness(position.detector.shape)
            text = position.reflection_text(self._answers, method, (pixel - (fine - 1) / 2) / fine)
            self.predicted[method].view.say(text)

    # ---------------------------------------------------------------- in words

    def _describe(self, position: Position) -> None:
        row, col = position.where
        known = self._snapshot.disks is not None or self._snapshot.calibrated is not None
        count = position.reflections
        found = f"{count} disks beside the direct beam" if known else "disks not yet detected"
        lines = [f"<b>row {row}, column {col}</b>", found]
        angle = angle_between(*(self._answers.get(method) for method in METHODS))
        if angle is not None:
            lines.append(f"The two answers differ by <b>{angle:.1f}°</b>")
        self.measured.say("<br>".join(lines))
        directions = name_directions(self._answers)
        for method, column in self.predicted.items():
            stale = self.session.is_stale(STAGES[method])
            words = self._answer_text(method, directions.get(method, ""), count)
            column.say(("<i>stale: run the map again</i><br>" if stale else "") + words)

    def _answer_text(self, method: str, directions: str, count: int) -> str:
        answer = self._answers.get(method)
        if answer is None:
            return self._why_no_answer(method)
        sure = [] if answer.reliability is None else [f"reliability <b>{answer.reliability:.0%}</b>"]
        if answer.phase is None:
            lines = [answer.reason.text, *sure]
        else:
            lines = [
                directions,
                " · ".join([answer.phase.name, f"score {answer.score:.2f}", *sure]),
                f"explains {answer.explained} of {count} disks",
            ]
        if answer.doubt:
            lines.append(f"<i>{answer.doubt.text}</i>")
        return "<br>".join(lines)

    def _why_no_answer(self, method: str) -> str:
        missing = self.session.missing(STAGES[method])
        if missing:
            return needs_text(missing)
        if self.indexers.can(method):
            return "looking at this position …"
        choice = self.indexers.choice
        return choice.why_no_model if choice.phases else "no answer yet: choose a crystal phase in Map"


def _look_and_draw(snapshot: Snapshot, row: int, col: int) -> tuple[Position, list[np.ndarray]]:
    """Return what there is to see at a position, and the three pictures of it; for any thread."""
    position = look(snapshot, row, col)
    return position, [
        position.measured(),
        *(position.predicted(position.answers.get(name)) for name in METHODS),
    ]

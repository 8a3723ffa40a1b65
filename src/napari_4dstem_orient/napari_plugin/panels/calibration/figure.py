"""What the figures of the calibration panel share: made in a thread, when their section is open, of what there is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import napari

from napari_4dstem_orient.calibration.calibrate import CalibrationSettings
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.napari_plugin.panels.shared.plot_canvas import Plot
from napari_4dstem_orient.napari_plugin.qt.endings import Endings
from napari_4dstem_orient.napari_plugin.qt.jobs import notify
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.workflow.session import Stage

BLUE, ORANGE = "#3a90d0", "#d08000"
"""Told apart by everybody, on dark and on light."""


class CalibrationFigure(Plot):
    """A figure and its words; computed anew when what it shows has changed, and only while it is open.

    Subclasses override ``inputs``, ``compute`` and ``show_answer``, and say the figure's height (px) and what it shows.
    """

    HEIGHT: int
    SAYS: str

    def __init__(self, viewer: napari.Viewer, endings: Endings) -> None:
        super().__init__(viewer, endings, self.HEIGHT, self.SAYS)
        self.session = session_for(viewer)
        self.answer: Any = None
        """What is shown; None where there is nothing yet."""
        self._asked: tuple[Any, ...] | None = None
        self._latest = endings.latest(self._on_answer, self._on_failed)

    def inputs(self) -> tuple[Any, ...] | str:
        """Return what ``compute`` takes, or a sentence that says what is missing."""
        raise NotImplementedError

    @staticmethod
    def compute(*inputs: Any) -> Any:
        """Return the answer to show; called in a thread."""
        raise NotImplementedError

    def show_answer(self, answer: Any, color: str) -> None:
        """Draw the answer into the canvas's empty figure, lettered in this colour, and say it in words."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Follow the session; nothing is done while the section is closed."""
        if not self.isVisible():
            return
        inputs = self.inputs()
        if isinstance(inputs, str):
            self._forget()
            self._show_nothing(inputs)
        elif not _same(inputs, self._asked):
            self._forget()
            self._asked = inputs
            self._show_nothing("Computing …")
            self._latest.ask(partial(self.compute, *inputs))
        elif self.answer is not None:
            self._show()

    def showEvent(self, event: object) -> None:
        """Follow what happened while the section was closed."""
        super().showEvent(event)  # type: ignore[arg-type]
        self.refresh()

    def _forget(self) -> None:
        self._latest.drop()
        self._asked = self.answer = None

    def _on_answer(self, answer: Any) -> None:
        self.answer = answer
        self._show()

    def _on_failed(self, error: Exception) -> None:
        if isinstance(error, UserError):
            self._show_nothing(str(error))
        else:
            notify(error)
            self._show_nothing("This could not be computed.")

    def _show(self) -> None:
        self.show_figure(lambda figure, color: self.show_answer(self.answer, color), self.words.text())

    def _show_nothing(self, why: str) -> None:
        self.show_figure(None, why)


class DisksFigure(CalibrationFigure):
    """A figure of the disks in detector pixels.

    Parameters
    ----------
    viewer : napari.Viewer
    endings : Endings
    centring : callable
        Returns how the direct beam is found.
    """

    def __init__(
        self, viewer: napari.Viewer, endings: Endings, centring: Callable[[], CalibrationSettings]
    ) -> None:
        super().__init__(viewer, endings)
        self._centring = centring

    def inputs(self) -> tuple[Any, ...] | str:
        """Return the disks and how they are centred."""
        disks = self.session.get(Stage.DISKS)
        if disks is None or not len(disks):
            return "Needs Bragg disks in detector pixels (find them in Bragg disks)."
        return disks, self._centring()


def _same(inputs: tuple[Any, ...], former: tuple[Any, ...] | None) -> bool:
    """Tell whether these are the same objects, or equal plain values; disks are compared by identity."""
    return former is not None and all(
        one is other or (isinstance(one, str | float | CalibrationSettings) and one == other)
        for one, other in zip(inputs, former, strict=True)
    )

"""What the dock widgets of all steps share: scrolling, what is missing, one job, a clean end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QFrame, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from napari_4dstem_orient.napari_plugin.panels.docks import put_help, settle
from napari_4dstem_orient.napari_plugin.qt.endings import Endings
from napari_4dstem_orient.napari_plugin.qt.event_loop import EventLoopSteps, later
from napari_4dstem_orient.napari_plugin.qt.jobs import JobBar, SignalRelay, notify
from napari_4dstem_orient.napari_plugin.qt.tones import Tone, set_tone, tone_sheet
from napari_4dstem_orient.napari_plugin.qt.wheel import WheelGuard
from napari_4dstem_orient.napari_plugin.state.long_runs import LongRun, workforce_for
from napari_4dstem_orient.napari_plugin.state.sessions import bare_viewer, session_for
from napari_4dstem_orient.workflow.session import Stage

if TYPE_CHECKING:
    import napari

    from napari_4dstem_orient.workflow.job import Key

HOW_TO_GET = {
    Stage.SCAN: "a scan (open one in Data)",
    Stage.PROBE: "a probe (choose one in Bragg disks)",
    Stage.DISKS: "Bragg disks (find them in Bragg disks)",
    Stage.CALIBRATED: "calibrated disks (press Apply in Calibration)",
    Stage.MAP: "a map (run one in Map)",
}
MARGIN = 4
"""Pixels around a panel."""


def needs_text(missing: list[Stage]) -> str:
    """Return "Needs: ..." for the first stage that is missing, or nothing."""
    return f"Needs: {HOW_TO_GET[missing[0]]}." if missing else ""


class StepWidget(QWidget):
    """A dock widget of one viewer.

    The step's own widgets go into ``body``, what must stay in sight however small the window into ``footer``, long
    work into ``jobs``.

    Subclasses override ``refresh`` (called when any result changes, and once by themselves at the end of their
    constructor), ``make`` where they make a stage of the job, and ``forget`` where they keep anything of a scan. What
    they hold more than Qt frees by itself they, and their parts, put into ``endings``.
    """

    SCROLLS_ABOVE = 0
    """Pixels; what the panel holds is never squeezed to less than this, nor to less than all of it."""

    def __init__(self, viewer: napari.Viewer) -> None:
        super().__init__()
        self.viewer = viewer
        self.session = session_for(viewer)
        self.endings = Endings()
        bare_viewer(viewer).window._qt_window.installEventFilter(self)
        self.needs = QLabel()
        self.needs.setWordWrap(True)
        set_tone(self.needs, Tone.DOUBTFUL)
        self.needs.hide()
        self._content = content = QWidget()
        content.installEventFilter(self)
        self.body = QVBoxLayout(content)
        self.body.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.body.setContentsMargins(4, 4, 8, 4)
        self._scroll = scroll = QScrollArea()
        scroll.setWidget(content)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # its fields scroll into sight by themselves
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.footer = QVBoxLayout()
        self.footer.setContentsMargins(4, 0, 8, 0)
        self.jobs = JobBar()
        self.turns = EventLoopSteps(self, notify)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, MARGIN, 0, MARGIN)
        layout.addWidget(self.needs)
        layout.addWidget(scroll, 1)
        layout.addLayout(self.footer)
        layout.addWidget(self.jobs)
        self._wheel = WheelGuard(self)
        self._follow_theme()
        self._docked = self._closed = False
        self.endings.callback(self.turns.give_up)
        self.endings.callback(self.jobs.abandon)
        self.endings.listen(viewer.events.theme, self._follow_theme)
        self.endings.listen(self.session.replaced, self._on_replaced)
        self.endings.listen(self.session.changed, self._on_changed)
        jobs = self.jobs  # with its window gone a panel gets no word but this
        self.destroyed.connect(lambda: jobs.detach_job())
        self.jobs.running_changed.connect(self._on_running)

    def refresh(self) -> None:
        """Show what the session holds now; enable what can be done."""

    def make(self, key: Key) -> None:
        """Make a result of the stage that this step makes, as a click would; nothing where that cannot be done."""

    def long_run(self, again: Callable[..., Any], afresh: bool) -> tuple[LongRun, SignalRelay]:
        """Return how a long step is run, and what its job must keep.

        Where it goes on with what an earlier run has done, the job bar says so and offers ``again(afresh=True)``.
        """
        resumed = SignalRelay()
        resumed.told.connect(partial(self.jobs.going_on, again=partial(again, afresh=True)))
        chosen = workforce_for(self.session).long_run
        return replace(chosen, afresh=afresh, resumed=resumed.told.emit), resumed

    def forget(self) -> None:
        """Let go of all that is of the former scan; ``refresh`` follows."""

    def remember(self) -> dict[str, Any]:
        """Return, as plain JSON values, what the panel shows of its scan beside results: for a project."""
        return {}

    def recall(self, told: dict[str, Any]) -> None:
        """Show again what ``remember`` told; it may come from anywhere. ValueError where it makes no sense."""

    def job_is_of_scan(self) -> bool:
        """Tell whether what runs is of no use once another scan has come."""
        return True

    def take_keyboard(self) -> None:
        """Put the keyboard into the first field of the panel."""
        self.setFocus()
        self.focusNextChild()

    def say_needs(self, text: str) -> None:
        """Show, above everything, what must be done before this step; empty hides it."""
        self.needs.setText(text)
        self.needs.setVisible(bool(text))

    def close_step(self) -> None:
        """Cancel what runs and let go of the session; the widget is of no use afterwards."""
        if not self._closed:
            self._closed = True
            self.endings.close()

    def _on_replaced(self) -> None:
        if self.job_is_of_scan() and not self.jobs.showing:  # a result that brings the scan itself
            self.jobs.abandon()
        self.forget()

    def _on_changed(self, key: Key) -> None:
        self.refresh()

    def _on_visibility(self, visible: bool) -> None:
        if visible and not self._closed:
            self.refresh()  # what lay behind another tab did not follow the position

    def _on_running(self, running: bool) -> None:
        if not self._closed:
            self.refresh()

    def _follow_theme(self, *_: Any) -> None:
        self.setStyleSheet(tone_sheet(self.viewer.theme))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keep the panel as wide as what it holds, so that nothing is cut off at its side; let go with its window.

        A window that is closed tells its panels nothing, and takes what they would still write to away.
        """
        if watched is not self._content and _ends(event):
            self.close_step()
        if watched is self._content and event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Resize):
            self._make_room()
        return super().eventFilter(watched, event)

    def _make_room(self) -> None:
        inner, outer = self._content.layout(), self.layout()
        assert inner is not None
        assert outer is not None
        beside = self._scroll.verticalScrollBar().sizeHint().width() + MARGIN
        least, around = self._content.minimumSizeHint(), outer.minimumSize()
        wide = max(least.width() + beside, around.width())
        high = max(least.height(), inner.totalHeightForWidth(max(wide, self.width()) - beside))
        high += around.height() - self._scroll.minimumSizeHint().height()
        high += self._scroll.height() - self._scroll.viewport().height()  # the theme's border
        self.setMinimumSize(wide, min(high, self.SCROLLS_ABOVE))

    def event(self, event: QEvent) -> bool:
        """Notice that napari has taken the widget out of its dock: that is how a dock's × closes it."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._docked = True
                if isinstance(self.parent(), QDockWidget):
                    self.parent().visibilityChanged.connect(self._on_visibility)
                    later(self, self._settle, 0)
            elif self._docked:
                self.close_step()
                QTimer.singleShot(0, self.deleteLater)
        return super().event(event)

    def _settle(self) -> None:
        """Go to where the panel belongs, once napari has docked it."""
        if not self._closed:
            settle(self.viewer, self)
            put_help(self)
            if isinstance(dock := self.parent(), QDockWidget):
                dock.topLevelChanged.connect(lambda floats: later(self, partial(put_help, self), 0))

    def closeEvent(self, event: Any) -> None:
        """Let go when closed as a window of its own."""
        self.close_step()
        super().closeEvent(event)


def _ends(event: QEvent) -> bool:
    """Tell whether a window is going: napari may ask the user first, but not where a program closes it."""
    kind = event.type()
    return kind == QEvent.Type.DeferredDelete or (kind == QEvent.Type.Close and not event.spontaneous())


def behind_a_tab(widget: QWidget) -> bool:
    """Tell whether another tab covers a widget; Qt calls it visible even then."""
    return widget.isVisible() and widget.visibleRegion().isEmpty()


def button(text: str, tooltip: str, clicked: Callable[[], Any]) -> QPushButton:
    """Make a push button."""
    made = QPushButton(text)
    made.setToolTip(tooltip)
    made.clicked.connect(lambda checked=False: clicked())
    return made


def wrapped(text: str = "") -> QLabel:
    """Make a label whose text may take several lines."""
    label = QLabel(text)
    label.setWordWrap(True)
    return label


def section(title: str) -> QLabel:
    """Make the heading of a part of a form."""
    label = QLabel(title)
    label.setStyleSheet("font-weight: bold; margin-top: 6px")
    return label

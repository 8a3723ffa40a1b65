"""The mouse wheel over any panel scrolls it and changes no setting, unless the user has gone into the field."""

import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import (
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDoubleSpinBox,
    QScrollBar,
    QSlider,
    QTabBar,
    QWidget,
)

from helpers.gui_scan import fill, let_know, made_map
from napari_4dstem_orient.napari_plugin.panels.base import StepWidget
from napari_4dstem_orient.napari_plugin.panels.docks import show_panel
from napari_4dstem_orient.napari_plugin.panels.registry import PANELS
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.workflow.session import MapBy

KINDS = tuple(panel.load() for panel in PANELS.values())
FIELDS = (QAbstractSpinBox, QComboBox, QAbstractSlider, QTabBar)


def turn(widget: QWidget, notches: int = -1) -> None:
    """Turn the wheel over the middle of a widget.

    As Qt does with a real one: it gives the keyboard to what asks for it, and asks one parent after the other
    until one takes the wheel. Qt does neither for events that do not come from the window system.
    """
    place = widget.mapToGlobal(widget.rect().center())
    under = QApplication.widgetAt(place) or widget
    under = under if widget.isAncestorOf(under) else widget
    taker = under
    while taker is not None:
        if (taker.focusPolicy() & Qt.FocusPolicy.WheelFocus) == Qt.FocusPolicy.WheelFocus:
            (taker.focusProxy() or taker).setFocus()
            break
        taker = None if taker.isWindow() else taker.parentWidget()
    while under is not None:
        event = QWheelEvent(
            QPointF(under.mapFromGlobal(place)),
            QPointF(place),
            QPoint(),
            QPoint(0, 120 * notches),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        event.ignore()
        QApplication.sendEvent(under, event)
        if event.isAccepted() or under.isWindow():
            break
        under = under.parentWidget()
    QApplication.processEvents()


def value(field):
    if isinstance(field, QComboBox | QTabBar):
        return field.currentIndex()
    return field.value() if hasattr(field, "value") else field.text()


def fields(panel):
    found = [each for kind in FIELDS for each in panel.findChildren(kind) if not isinstance(each, QScrollBar)]
    return [each for each in found if each.isVisibleTo(panel)]


@pytest.fixture
def viewer(make_napari_viewer, monkeypatch, silver, qtbot):
    let_know(monkeypatch, silver)
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    session = session_for(viewer)
    fill(session, silver)
    for stage, method in ((MapBy("transformer"), "transformer"), (MapBy("template"), "template")):
        session.put(stage, made_map(silver, method))
    yield viewer
    for panel in list(viewer.window.dock_widgets.values()):
        viewer.window.remove_dock_widget(panel)
    qtbot.wait(20)


def test_a_passing_wheel_changes_nothing_in_any_panel(viewer, qtbot):
    changed, tried = [], 0
    for kind in KINDS:
        panel = kind(viewer)
        viewer.window.add_dock_widget(panel, name=kind.__name__, area="right")
        qtbot.waitUntil(lambda panel=panel: not panel.jobs.running, timeout=60_000)
        before = [(field, value(field)) for field in fields(panel)]
        for field, _ in before:
            panel._scroll.ensureWidgetVisible(field)
            for notches in (-1, 1, 1):
                turn(field, notches)
        taken = [(field, was) for field, was in before if value(field) != was or field.hasFocus()]
        changed += [(kind.__name__, type(field).__name__, was, value(field)) for field, was in taken]
        tried += len(before)
        viewer.window.remove_dock_widget(panel)
    assert changed == []
    assert tried > 40


class Panel(StepWidget):
    def __init__(self, viewer):
        super().__init__(viewer)
        self.field = QDoubleSpinBox()
        self.field.setValue(5)
        self.body.addWidget(self.field)
        for _ in range(40):
            self.body.addWidget(QSlider(Qt.Orientation.Horizontal))


def test_the_wheel_scrolls_the_panel_over_a_field_and_changes_one_that_was_clicked(viewer, qtbot):
    panel = Panel(viewer)
    viewer.window.add_dock_widget(panel, name="panel", area="right")
    show_panel(panel)
    qtbot.waitUntil(lambda: not panel.field.visibleRegion().isEmpty(), timeout=60_000)
    bar = panel._scroll.verticalScrollBar()
    turn(panel.field)
    assert panel.field.value() == 5
    assert bar.value() > 0
    bar.setValue(0)
    panel.window().activateWindow()
    panel.field.setFocus()
    qtbot.waitUntil(panel.field.hasFocus, timeout=60_000)
    qtbot.wait(20)
    now = panel.field.value()
    turn(panel.field, 1)
    assert panel.field.value() == now + 1
    assert bar.value() == 0


def test_fields_that_come_later_are_guarded_too(viewer, qtbot):
    panel = Panel(viewer)
    viewer.window.add_dock_widget(panel, name="panel", area="right")
    box, inner = QWidget(), QComboBox()
    inner.addItems(["one", "two", "three"])
    panel.body.insertWidget(0, box)
    QApplication.processEvents()
    inner.setParent(box)
    inner.show()
    box.setMinimumSize(100, 40)
    qtbot.waitUntil(lambda: not inner.visibleRegion().isEmpty(), timeout=60_000)
    turn(inner)
    assert inner.currentText() == "one"

"""What everybody can see and reach: whole titles, nothing cut off, contrast in both themes, the keyboard alone."""

import pytest
from napari.utils.theme import get_theme
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QSlider,
    QTabBar,
    QWidget,
)

from helpers.gui_scan import fill, made_map
from napari_4dstem_orient.napari_plugin.layers.map_layers import add_map_layers
from napari_4dstem_orient.napari_plugin.panels.docks import open_panel, show_panel
from napari_4dstem_orient.napari_plugin.panels.registry import titles
from napari_4dstem_orient.napari_plugin.qt import tones
from napari_4dstem_orient.napari_plugin.qt.tones import Tone, luminance, tone_sheet
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.workflow.session import MapBy, Stage

INPUTS = (QAbstractButton, QComboBox, QLineEdit, QAbstractSpinBox, QSlider, QAbstractItemView)

WHOLE = (QComboBox, QAbstractSpinBox, QTabBar, QAbstractItemView)
"""Their parts are reached through them."""


@pytest.fixture
def bench(knowing, bench, silver, qtbot):
    """Every panel in the smallest window, with a scan and a map."""
    viewer, panels = bench
    session = session_for(viewer)
    fill(session, silver)
    session.put(Stage.MAP, made_map(silver, "transformer"))
    add_map_layers(viewer, session.get(MapBy("transformer")))
    QApplication.processEvents()
    qtbot.waitUntil(lambda: not any(panel.jobs.running for panel in panels.values()), timeout=60_000)
    return viewer, panels


def open_more(viewer):
    for title in titles("tab"):
        open_panel(viewer, title)


def test_the_steps_titles_are_whole_and_in_sight(bench):
    _, panels = bench
    tabs = next(
        bar
        for bar in panels["Data"].window().findChildren(QTabBar)
        if bar.tabText(0) == "Data" and bar.count() > 1
    )
    assert [tabs.tabText(index) for index in range(tabs.count())] == titles("step")
    assert tabs.elideMode() == Qt.TextElideMode.ElideNone
    assert tabs.tabRect(tabs.count() - 1).right() <= tabs.width()


def test_the_overview_shows_all_without_scrolling_and_leaves_room(bench, qtbot):
    viewer, panels = bench
    bar = panels["Overview"]._scroll.verticalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() == 0, timeout=60_000)
    assert panels["Overview"].height() < 0.33 * viewer.window.geometry()[3]


def test_no_panel_is_narrower_than_what_it_holds(bench, qtbot):
    viewer, panels = bench
    open_more(viewer)
    for panel in viewer.window.dock_widgets.values():
        show_panel(panel)
        qtbot.waitUntil(
            lambda panel=panel: panel._content.minimumSizeHint().width() <= panel._scroll.viewport().width(),
            timeout=20_000,
        )
    assert panels["Data"].window().width() == 1280


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_coloured_words_stand_out(theme):
    """4.5 is what WCAG 2 asks of words (AA)."""
    ground = luminance(get_theme(theme).background.as_rgb_tuple()[:3])
    colours = tones.ON_DARK if theme == "dark" else tones.ON_LIGHT
    assert set(colours) == {tone for tone in Tone if tone}
    for tone, colour in colours.items():
        assert f'*[tone="{tone}"] {{ color: {colour} }}' in tone_sheet(theme)
        low, high = sorted((ground, luminance(QColor(colour).getRgb()[:3])))
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_words_take_the_colour_of_the_theme(bench):
    viewer, panels = bench
    panel = panels["Calibration"]
    panel.say_needs("Needs: something.")
    for theme, colours in (("light", tones.ON_LIGHT), ("dark", tones.ON_DARK)):
        viewer.theme = theme
        QApplication.processEvents()
        shown = panel.needs.palette().color(panel.needs.foregroundRole())
        assert shown == QColor(colours[Tone.DOUBTFUL])


def inputs(panel):
    """Return what a user may type into, press or choose from in a panel, without the parts of such a widget."""
    found = [
        widget
        for widget in panel.findChildren(QWidget)
        if isinstance(widget, INPUTS) and widget.isVisibleTo(panel) and widget.isEnabled()
    ]
    return [
        each
        for each in found
        if not isinstance(each.parent(), (QComboBox, QAbstractSpinBox, QTabBar, QAbstractItemView))
    ]


def owner(widget, among):
    """Return the input that a widget with the keyboard belongs to."""
    while widget is not None and widget not in among:
        widget = widget.parent()
    return widget


def test_tab_reaches_every_field_of_every_panel(bench, qtbot):
    viewer, panels = bench
    open_more(viewer)
    viewer.window.activate()
    qtbot.waitUntil(panels["Overview"].isActiveWindow, timeout=60_000)
    for panel in viewer.window.dock_widgets.values():
        show_panel(panel)
        QApplication.processEvents()
        wanted = inputs(panel)
        panel.take_keyboard()
        reached = set()
        for _ in range(3 * len(wanted) + 10):
            focus = QApplication.focusWidget()
            if focus is None or not panel.isAncestorOf(focus):
                break
            reached.add(owner(focus, wanted))
            QTest.keyClick(focus, Qt.Key.Key_Tab)
        missed = [
            (type(each).__name__, getattr(each, "text", str)()) for each in wanted if each not in reached
        ]
        assert not missed, f"Tab does not reach {missed} in {type(panel).__name__}"


def test_keys_alone_go_to_a_step(bench, qtbot):
    viewer, panels = bench
    viewer.window.activate()
    qtbot.waitUntil(panels["Overview"].isActiveWindow, timeout=60_000)
    QTest.keyClick(panels["Overview"], Qt.Key.Key_4, Qt.KeyboardModifier.AltModifier)
    qtbot.waitUntil(lambda: not panels["Map"].visibleRegion().isEmpty(), timeout=60_000)
    assert panels["Map"].isAncestorOf(QApplication.focusWidget())

"""Panels in their places: from napari's menu too, once each, with whole titles; and back to their places."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QTabBar, QToolButton

from napari_4dstem_orient.core.resource_files import page
from napari_4dstem_orient.napari_plugin.panels.base import behind_a_tab
from napari_4dstem_orient.napari_plugin.panels.docks import (
    HELP,
    find_panel,
    open_panel,
    reset_layout,
    show_panel,
)
from napari_4dstem_orient.napari_plugin.panels.registry import PANELS, titles
from napari_4dstem_orient.napari_plugin.qt.help_page import HelpPage

PLUGIN = "napari-4dstem-orient"


def from_menu(viewer, title):
    return viewer.window.add_plugin_dock_widget(PLUGIN, PANELS[title].menu)[1]


def step_tabs(panels):
    window = panels["Data"].window()
    return next(bar for bar in window.findChildren(QTabBar) if bar.tabText(0) == "Data" and bar.count() > 1)


@pytest.mark.parametrize("title", [title for title in titles("tab") if title != "Train"])  # not in the menu
def test_a_panel_from_the_menu_lands_beside_the_steps_and_all_titles_fit(bench, qtbot, title):
    viewer, panels = bench
    from_menu(viewer, "Queue" if title != "Queue" else "Compare")
    panel = from_menu(viewer, title)
    qtbot.waitUntil(lambda: panel.parentWidget().windowTitle() == title, timeout=60_000)
    tabs = step_tabs(panels)
    qtbot.waitUntil(
        lambda: [tabs.tabText(at) for at in range(tabs.count())] == [*titles("step"), title], timeout=60_000
    )
    qtbot.waitUntil(lambda: tabs.tabRect(tabs.count() - 1).right() <= tabs.width(), timeout=60_000)
    qtbot.waitUntil(lambda: not behind_a_tab(panel), timeout=60_000)
    assert panels["Overview"].height() < 0.33 * viewer.window.geometry()[3]


@pytest.mark.parametrize("title", ["Data", "Inspector", "Virtual images"])
def test_help_opens_the_panels_page_and_the_glossary(bench, qtbot, title):
    viewer, _ = bench
    panel = open_panel(viewer, title)
    bar = panel.parentWidget().titleBarWidget
    qtbot.waitUntil(lambda: bar().findChild(QToolButton, HELP) is not None, timeout=60_000)
    qtbot.mouseClick(bar().findChild(QToolButton, HELP), Qt.MouseButton.LeftButton)
    (shown,) = panel.findChildren(HelpPage)
    tutorial, glossary = (shown.tabs.widget(number).toPlainText() for number in (0, 1))
    assert shown.isVisible()
    heading = PANELS[title].help or PANELS[title].menu
    assert shown.tabs.widget(0).textCursor().block().text() == heading
    assert "Run all" in tutorial
    assert "vector map" in glossary
    shown.close()


def test_every_panel_has_its_heading_in_the_tutorial():
    headings = {line.removeprefix("## ") for line in page("tutorial").splitlines() if line.startswith("## ")}
    assert {panel.help or panel.menu for panel in PANELS.values()} <= headings


@pytest.mark.parametrize("title", ["Map", "Overview", "Inspector"])
def test_a_panel_that_is_open_is_shown_and_not_opened_again(bench, qtbot, title):
    viewer, panels = bench
    show_panel(panels["Data"])
    from_menu(viewer, title)
    qtbot.waitUntil(lambda: list(viewer.window.dock_widgets.values()).count(panels[title]) == 1)
    kind = type(panels[title])
    qtbot.waitUntil(
        lambda: (
            [one for one in viewer.window.dock_widgets.values() if isinstance(one, kind)] == [panels[title]]
        ),
        timeout=60_000,
    )
    assert not behind_a_tab(panels[title])


def test_a_step_opened_alone_has_its_short_title(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    panel = from_menu(viewer, "Map")
    qtbot.waitUntil(lambda: panel.parentWidget().windowTitle() == "Map", timeout=60_000)
    assert open_panel(viewer, "Map") is panel
    panel.close_step()


def test_reset_layout_brings_everything_back(bench, qtbot):
    viewer, panels = bench
    window = panels["Data"].window()
    panels["Map"].parentWidget().setFloating(True)
    window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, panels["Overview"].parentWidget())
    viewer.window.remove_dock_widget(panels["Export"])
    qtbot.wait(50)
    reset_layout(viewer)
    panels["Export"] = find_panel(viewer, "Export")
    assert panels["Map"].window() is window
    steps = [panels[title].parentWidget() for title in titles("step")]
    assert set(window.tabifiedDockWidgets(steps[0])) == set(steps[1:])
    qtbot.waitUntil(
        lambda: panels["Overview"].parentWidget().geometry().bottom() < steps[0].geometry().top(),
        timeout=60_000,
    )
    assert panels["Overview"].parentWidget().x() == steps[0].x()
    assert panels["Inspector"].parentWidget().y() > window.height() / 2

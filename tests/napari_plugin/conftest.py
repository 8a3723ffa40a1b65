"""Windows: panels docked alone, the whole workbench, indexers that know the answer, and what a user is told."""

import shutil

import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtWidgets import QApplication

from helpers.gui_scan import let_know
from napari_4dstem_orient.napari_plugin.panels.docks import open_workbench
from napari_4dstem_orient.napari_plugin.panels.overview.autosave import autosave_folder


@pytest.fixture
def notified(monkeypatch):
    """Collect what the user is told."""
    told = []
    monkeypatch.setattr(notification_manager, "dispatch", told.append)
    return told


@pytest.fixture
def knowing(monkeypatch, silver):
    """Replace both methods by indexers that know the truth; template matching's is 2° off."""
    return let_know(monkeypatch, silver)


@pytest.fixture
def nothing_kept():
    """No work that an earlier window left behind."""
    shutil.rmtree(autosave_folder(), ignore_errors=True)


@pytest.fixture
def dock(make_napari_viewer_proxy):
    """Dock a panel of this kind in a window of its own; it is closed at the end."""
    docked = []

    def make(kind, show=False, area="right"):
        viewer = make_napari_viewer_proxy(show=show)
        docked.append(kind(viewer))
        viewer.window.add_dock_widget(docked[-1], name=kind.__name__, area=area)
        return docked[-1]

    yield make
    for panel in docked:
        panel.close_step()


@pytest.fixture
def bench(make_napari_viewer):
    """The workbench on the screen, in the smallest window: the viewer, and the panels by title."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    panels = open_workbench(viewer)
    QApplication.processEvents()
    yield viewer, panels
    for panel in list(viewer.window.dock_widgets.values()):
        panel.close_step()

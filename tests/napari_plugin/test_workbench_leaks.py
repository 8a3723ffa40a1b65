"""Panels, viewers and sessions opened and closed in random orders: no object, thread or open file stays."""

import gc
import os
import random
import threading
import weakref
from contextlib import suppress

import dask.threaded
import h5py
import numpy as np
import pytest
from qtpy.QtCore import QCoreApplication, QEvent
from qtpy.QtWidgets import QApplication

from helpers.gui_scan import calibrated_disks, detected_disks, let_know, made_map, scan_of
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient.napari_plugin.layers.map_layers import add_map_layers
from napari_4dstem_orient.napari_plugin.panels.registry import PANELS
from napari_4dstem_orient.napari_plugin.panels.shared.opening import take_scan
from napari_4dstem_orient.napari_plugin.qt import threads
from napari_4dstem_orient.napari_plugin.qt.latest_only import LatestOnly
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.workflow.session import MapBy, Stage

KINDS = tuple(panel.load() for panel in PANELS.values())


def settle():
    """Let Qt delete what waits for it, and Python what nobody holds."""
    for _ in range(2):
        QApplication.processEvents()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()


def quiet(qtbot):
    """Wait until no work is under way."""
    qtbot.waitUntil(lambda: not threads.at_work, timeout=60_000)


def open_files():
    """Return the files that this process holds open."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the listing's own is gone by now
            found.add(os.readlink(f"/proc/self/fd/{number}"))
    return {target for target in found if target.startswith("/") and not target.startswith("/dev/")}


def stored(scan, path):
    """Write a scan as HDF5 and open it from there, so that its file is held open."""
    with h5py.File(path, "w") as file:
        file["patterns"] = np.asarray(scan.data)
    return load(path, dataset="patterns").with_calibration(scan.calibration)


def fill_viewer(viewer, silver, path):
    """Give the session of a viewer a scan from a file, and everything made from it."""
    session = session_for(viewer)
    calibrated = calibrated_disks(silver)
    take_scan(viewer, stored(scan_of(calibrated), path))
    session.put(Stage.DISKS, detected_disks(calibrated))
    session.put(Stage.CALIBRATED, calibrated)
    for stage, method in ((MapBy("transformer"), "transformer"), (MapBy("template"), "template")):
        session.put(stage, made_map(silver, method))
        add_map_layers(viewer, session.get(stage))
    session.move_to(1, 2)
    return session


def slots(session):
    return [len(signal) for signal in (session.changed, session.position_changed, session.pins_changed)]


def live(make_napari_viewer, silver, path, order, stay, qtbot):
    """Open all panels in one order, work, close all but ``stay`` in another, and close the viewer.

    Return weak references by name. All this happens in a function of its own, because a frame whose ``f_locals``
    anybody has looked at keeps what was in its variables until it ends.
    """
    viewer = make_napari_viewer()
    session = fill_viewer(viewer, silver, path)
    before = slots(session)
    panels = []
    for kind in order.sample(KINDS, len(KINDS)):
        panels.append(kind(viewer))
        viewer.window.add_dock_widget(panels[-1], name=kind.__name__)
    session.move_to(3, 5)
    quiet(qtbot)
    references = [(type(panel).__name__, weakref.ref(panel)) for panel in panels]
    order.shuffle(panels)
    while len(panels) > stay:
        viewer.window.remove_dock_widget(panels.pop())
        session.move_to(order.randrange(4), order.randrange(6))
    quiet(qtbot)
    if not stay:
        assert slots(session) == before, "a closed panel still listens"
    results = [session.get(stage) for stage in Stage if stage not in (Stage.PROBE, Stage.MAP)]
    held = (viewer, session, *results, *session.maps.values())
    viewer.close()
    return references + [(type(each).__name__, weakref.ref(each)) for each in held]


def alive(references):
    return [name for name, reference in references if reference() is not None]


@pytest.mark.parametrize(("seed", "stay"), [(0, 0), (1, 7)])
def test_nothing_stays_of_panels_viewer_and_session(
    make_napari_viewer, qtbot, silver, monkeypatch, tmp_path, seed, stay
):
    """``stay`` panels are still open when the viewer closes."""
    let_know(monkeypatch, silver)
    path = tmp_path / "scan.h5"
    threads = set(threading.enumerate())
    references = live(make_napari_viewer, silver, path, random.Random(seed), stay, qtbot)
    quiet(qtbot)
    settle()
    assert alive(references) == []
    assert str(path) not in open_files()
    pool = dask.threaded.default_pool  # dask's own: made once in a process, and kept
    left = set(threading.enumerate()) - threads - set(pool._threads if pool else ())
    assert not [thread.name for thread in left if thread.is_alive()]


def test_an_open_scan_is_seen_among_the_open_files(tmp_path, silver):
    """What the test above looks for would be found."""
    path = tmp_path / "scan.h5"
    scan = stored(scan_of(calibrated_disks(silver)), path)
    scan.pattern(0, 0)
    assert str(path) in open_files()


def test_what_is_closed_while_at_work_is_neither_heard_nor_kept(qtbot):
    gate, told = threading.Event(), []
    latest = LatestOnly(told.append)
    latest.ask(gate.wait)
    latest.close()
    gate.set()
    qtbot.waitUntil(lambda: latest not in threads.at_work, timeout=60_000)
    assert not told

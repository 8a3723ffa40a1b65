"""A file of Bragg peaks opened in the window without its scan: all that it says of them is used."""

from dataclasses import replace

import napari
import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QFileDialog

from helpers.gui_scan import SHAPE, calibrated_disks, detected_disks, let_know, numbered_scan
from napari_4dstem_orient.core.distortion import distorted
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.io.bragg_peaks import save_disks
from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_scan
from napari_4dstem_orient.napari_plugin.reader import get_reader
from napari_4dstem_orient.napari_plugin.state.indexers import can_map
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.workflow.functions import map_scan
from napari_4dstem_orient.workflow.session import MapBy, Stage

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
TOLD = Calibration(
    voltage=200.0,
    q_pixel=0.03,
    r_pixel=20.0,
    semiangle=1.5,
    rotation=30.0,
    flip=True,
    distortion=(0.02, -0.03),
    q_pixel_from="file",
    rotation_from="file",
)


def peak_file(path, silver, **changes):
    """Write disks that a distorted, turned and flipped detector would see; without its shape where that is None."""
    disks = detected_disks(calibrated_disks(silver))
    middle = np.array([50.0, 46.0])
    x, y = distorted(disks.qx - middle[0], disks.qy - middle[1], TOLD.distortion)
    seen = replace(disks, qx=np.float32(x + middle[0]), qy=np.float32(y + middle[1]), reach=None)
    save_disks(replace(seen, **changes), path, TOLD)
    return str(path)


@pytest.fixture
def bench(bench, monkeypatch):
    monkeypatch.setattr(napari, "current_viewer", lambda: bench[0])
    return bench


def with_the_load_button(viewer, panels, path, monkeypatch, qtbot):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (path, ""))
    qtbot.mouseClick(panels["Bragg disks"].load_button, LEFT)


def with_the_open_button(viewer, panels, path, monkeypatch, qtbot):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (path, ""))
    qtbot.mouseClick(panels["Data"].open_button, LEFT)


def with_file_open(viewer, panels, path, monkeypatch, qtbot):
    assert get_reader(path)(path) == [(None,)]


def dropped_on_the_overview(viewer, panels, path, monkeypatch, qtbot):
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(path)])
    panels["Overview"].dropEvent(QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, mime, LEFT, NONE))


WAYS = (with_the_load_button, with_the_open_button, with_file_open, dropped_on_the_overview)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_all_that_a_peak_file_tells_is_known_however_it_is_opened(
    bench, qtbot, monkeypatch, silver, tmp_path, way
):
    viewer, panels = bench
    let_know(monkeypatch, silver)
    session = session_for(viewer)
    way(viewer, panels, peak_file(tmp_path / "peaks.h5", silver), monkeypatch, qtbot)
    qtbot.waitUntil(lambda: session.get(Stage.DISKS) is not None, timeout=60_000)
    known = session.calibration
    assert known.with_(distortion=(0, 0)) == TOLD.with_(distortion=(0, 0))
    assert known.distortion == pytest.approx(TOLD.distortion)
    names = ("voltage", "q_pixel", "r_pixel", "rotation", "flip", "distortion")
    assert {session.known_from(name) for name in names} == {"file"}
    shown = panels["Data"].calibration.inputs
    assert (shown["voltage"].value, shown["rotation"].value) == (200.0, 30.0)
    assert tuple(viewer.layers["disk count"].scale) == (20.0, 20.0)


@pytest.mark.parametrize("method", ["template", "transformer"])
@pytest.mark.parametrize("detector", [(96, 96), None], ids=["detector known", "detector unknown"])
def test_the_map_made_in_the_window_is_that_of_map_scan(
    bench, qtbot, monkeypatch, silver, tmp_path, method, detector
):
    viewer, panels = bench
    path = peak_file(tmp_path / "peaks.h5", silver, detector_shape=detector)
    session, maps = session_for(viewer), panels["Map"]
    with_the_load_button(viewer, panels, path, monkeypatch, qtbot)
    qtbot.waitUntil(lambda: session.get(Stage.DISKS) is not None, timeout=60_000)
    qtbot.mouseClick(panels["Calibration"].apply_button, LEFT)
    qtbot.waitUntil(lambda: session.get(Stage.CALIBRATED) is not None, timeout=60_000)
    maps.choose_phase("Ag")
    qtbot.waitUntil(lambda: can_map(session.job, method), timeout=60_000)
    qtbot.waitUntil(maps.run_buttons[method].isEnabled, timeout=60_000)
    qtbot.mouseClick(maps.run_buttons[method], LEFT)
    stage = MapBy("template") if method == "template" else MapBy("transformer")
    qtbot.waitUntil(lambda: session.get(stage) is not None and not maps.jobs.running, timeout=120_000)
    made = session.get(stage)
    asked, disks = map_scan(path, list(session.job.phases), method=method)
    seen = session.get(Stage.CALIBRATED)
    for name in ("qx", "qy", "intensity", "offsets"):
        np.testing.assert_array_equal(getattr(seen, name), getattr(disks, name))
    for name in ("rotation", "phase_id", "score", "status", "n_matched", "runner_up", "runner_up_score"):
        np.testing.assert_array_equal(getattr(made, name), getattr(asked, name), err_msg=name)
    assert (made.r_pixel, made.indexed.mean() > 0.9) == (20.0, True)


def test_another_peak_file_brings_its_own_units_and_keeps_none(bench, qtbot, monkeypatch, silver, tmp_path):
    viewer, panels = bench
    let_know(monkeypatch, silver)
    session = session_for(viewer)
    with_file_open(viewer, panels, peak_file(tmp_path / "one.h5", silver), monkeypatch, qtbot)
    save_disks(detected_disks(calibrated_disks(silver)), tmp_path / "two.h5", Calibration(voltage=300.0))
    with_file_open(viewer, panels, str(tmp_path / "two.h5"), monkeypatch, qtbot)
    assert session.calibration == Calibration(voltage=300.0)
    assert session.known_from("q_pixel") == "unknown"


def test_beside_a_scan_only_what_is_unknown_is_taken(bench, qtbot, monkeypatch, silver, tmp_path):
    viewer, panels = bench
    let_know(monkeypatch, silver)
    session = session_for(viewer)
    open_scan(viewer, numbered_scan(SHAPE, voltage=120.0))
    with_file_open(viewer, panels, peak_file(tmp_path / "one.h5", silver), monkeypatch, qtbot)
    assert (session.calibration.voltage, session.calibration.q_pixel) == (120.0, 0.03)
    assert session.get(Stage.SCAN).calibration == session.calibration

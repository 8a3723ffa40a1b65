"""The Bragg disks panel, driven through a real window."""

from unittest.mock import create_autospec

import dask.array as da
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from helpers.gui_scan import marked, shows
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.io.bragg_peaks import load_disks
from napari_4dstem_orient.napari_plugin.layers.scan_layers import find_layer
from napari_4dstem_orient.napari_plugin.panels.detection.panel import DisksWidget
from napari_4dstem_orient.napari_plugin.panels.detection.probe_chooser import REGION
from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_scan, take_disks
from napari_4dstem_orient.napari_plugin.qt import clock
from napari_4dstem_orient.workflow import chunks
from napari_4dstem_orient.workflow.job import Job
from napari_4dstem_orient.workflow.run import Results, run
from napari_4dstem_orient.workflow.session import Stage

LEFT = Qt.MouseButton.LeftButton
BEAM = np.array([31, 33])
REACH = 1 / (3.615 / 2) / 0.05


@pytest.fixture
def panel(dock):
    return dock(DisksWidget, show=True)


@pytest.fixture
def ready(panel, qtbot, small_scan):
    """The panel with a scan, a probe and suggested settings."""
    open_scan(panel.viewer, small_scan)
    qtbot.waitUntil(lambda: panel.session.get(Stage.PROBE) is not None, timeout=60_000)
    idle(panel, qtbot)
    return panel


def idle(panel, qtbot):
    qtbot.waitUntil(lambda: not panel.jobs.running, timeout=60_000)


def circles(panel):
    return marked(panel.preview.view, "measured")


def strong_settings(panel):
    """Keep the five disks and none of the noise."""
    panel.form["min_relative_intensity"].value = 0.05


def test_without_a_scan_the_panel_says_what_it_needs(panel):
    assert panel.needs.text() == "Needs: a scan (open one in Data)."
    assert panel.needs.isVisible()
    for button in (panel.run_button, panel.probe_button, panel.save_button):
        assert not button.isEnabled()
    assert panel.load_button.isEnabled()


def test_a_scan_brings_a_probe_and_settings_that_suit_it(ready):
    assert not ready.needs.isVisible()
    assert ready.session.get(Stage.PROBE).radius == pytest.approx(3, abs=0.5)
    assert "synthetic disk, radius" in ready.probe_text.text()
    assert ready.form.settings().min_spacing == pytest.approx(4.5, abs=1)
    assert ready.run_button.isEnabled()


def test_advice_comes_with_the_probe_and_goes_with_its_cause(ready, qtbot, small_scan):
    assert not ready.advice.isVisible()
    stopped = small_scan.data.compute()
    stopped[..., 27:36, 29:38] = 0
    open_scan(ready.viewer, Scan(da.from_array(stopped), small_scan.calibration))
    qtbot.waitUntil(ready.advice.isVisible, timeout=60_000)
    assert "beam stop" in ready.advice.text()
    idle(ready, qtbot)
    open_scan(ready.viewer, small_scan)
    qtbot.waitUntil(lambda: not ready.advice.isVisible(), timeout=60_000)


def test_the_preview_circles_the_disks_and_follows_the_settings(ready, qtbot):
    strong_settings(ready)
    qtbot.waitUntil(lambda: len(circles(ready)) == 5, timeout=60_000)
    expected = BEAM + np.array([[0, 0], [REACH, 0], [-REACH, 0], [0, REACH], [0, -REACH]])
    distance = np.linalg.norm(circles(ready)[:, None] - expected, axis=-1)
    assert distance.min(axis=0).max() < 0.7
    ready.form["min_relative_intensity"].value = 0.5
    qtbot.waitUntil(lambda: len(circles(ready)) == 1, timeout=60_000)
    assert "1 disks at row 1, column 2" in ready.preview.count.text()


def test_the_preview_follows_the_position(ready, qtbot):
    strong_settings(ready)
    ready.session.move_to(0, 0)
    qtbot.waitUntil(lambda: "row 0, column 0" in ready.preview.count.text(), timeout=60_000)
    assert shows(ready.preview.view, ready.session.get(Stage.SCAN).pattern(0, 0))


def test_arrow_keys_on_the_preview_walk_over_the_scan(ready, qtbot):
    ready.session.move_to(1, 1)
    qtbot.keyClick(ready.preview.view.canvas, Qt.Key.Key_Right)
    assert ready.session.position == (1, 2)
    qtbot.waitUntil(lambda: "row 1, column 2" in ready.preview.count.text(), timeout=60_000)


def test_the_whole_scan_gives_disks_a_count_layer_and_a_vector_map(ready, qtbot):
    strong_settings(ready)
    qtbot.mouseClick(ready.run_button, LEFT)
    idle(ready, qtbot)
    disks = ready.session.get(Stage.DISKS)
    np.testing.assert_array_equal(disks.counts, 5)
    np.testing.assert_array_equal(find_layer(ready.viewer, "disk count").data, 5)
    ready.preview.tabs.setCurrentIndex(1)
    image = ready.preview.view.canvas.picture
    assert image.shape == (64, 64)
    assert np.abs(np.unravel_index(image.argmax(), image.shape) - BEAM).max() <= 1
    assert "60 disks" in ready.state.text()
    ready.form["min_relative_intensity"].value = 0.1
    assert "run again" in ready.state.text()


def test_cancel_keeps_the_disks_that_were_there(ready, qtbot, small_scan, monkeypatch):
    strong_settings(ready)
    qtbot.mouseClick(ready.run_button, LEFT)
    idle(ready, qtbot)
    before = ready.session.get(Stage.DISKS)

    import napari_4dstem_orient.detection.detect as detect

    find, rows = detect.detect_disks, []

    def endless_from_the_second_row(part, probe, settings, progress, *args, **options):
        rows.append(part)
        while len(rows) > 1:
            progress(1, 100)
        return find(part, probe, settings, progress, *args, **options)

    monkeypatch.setattr(
        detect, "detect_disks", create_autospec(find, side_effect=endless_from_the_second_row)
    )
    monkeypatch.setattr(chunks, "FEWEST", 4)
    monkeypatch.setattr(clock, "SECONDS_BETWEEN_GLIMPSES", 0.0)
    monkeypatch.setattr(clock, "DRAWN_IN_A_SECOND", 1e9)
    qtbot.mouseClick(ready.run_button, LEFT)
    layer = find_layer(ready.viewer, "disk count")
    first = np.where(np.indices((3, 4))[0] == 0, before.counts, 0)
    qtbot.waitUntil(lambda: np.array_equal(layer.data, first), timeout=60_000)
    assert ready.jobs.cancel_button.isVisible()
    assert not ready.run_button.isEnabled()
    qtbot.mouseClick(ready.jobs.cancel_button, LEFT)
    idle(ready, qtbot)
    assert ready.session.get(Stage.DISKS) is before
    np.testing.assert_array_equal(layer.data, before.counts)
    assert ready.run_button.isEnabled()


def test_closing_while_a_job_runs_stops_it(make_napari_viewer_proxy, qtbot, small_scan):
    viewer = make_napari_viewer_proxy(show=True)
    panel = DisksWidget(viewer)
    viewer.window.add_dock_widget(panel, name="2 Bragg disks", area="right")
    job = panel.jobs.run("Endless", lambda result: None, endless)
    viewer.window.remove_dock_widget(panel)
    job.wait(5)
    assert not job.running
    qtbot.wait(30)


def endless(progress):
    while True:
        progress(1, 100)


def test_closing_the_window_while_a_job_runs_stops_it(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    panel = DisksWidget(viewer)
    viewer.window.add_dock_widget(panel, name="2 Bragg disks", area="right")
    job = panel.jobs.run("Endless", lambda result: None, endless)
    del panel
    viewer.close()
    qtbot.waitUntil(lambda: not job.running, timeout=60_000)


def test_a_new_scan_ends_the_work_on_the_former_one(ready, qtbot, small_scan):
    taken = []
    job = ready.jobs.run("Endless", taken.append, endless)
    ready.session.set_calibration(ready.session.calibration.with_(r_pixel=9.0))
    assert ready.jobs.job is job  # the same scan, calibrated otherwise
    open_scan(ready.viewer, Scan(small_scan.data + 1))
    job.wait(5)
    assert not job.running
    idle(ready, qtbot)
    assert taken == []


def test_a_failing_run_keeps_the_disks_that_were_there(ready, qtbot, monkeypatch, notified):
    import napari_4dstem_orient.detection.detect as detect

    qtbot.mouseClick(ready.run_button, LEFT)
    idle(ready, qtbot)
    before = ready.session.get(Stage.DISKS)

    said = UserError("The pattern at row 1 holds NaN; mend the file.")
    monkeypatch.setattr(detect, "detect_disks", create_autospec(detect.detect_disks, side_effect=said))
    qtbot.mouseClick(ready.run_button, LEFT)
    idle(ready, qtbot)
    assert notified[-1].message == str(said)
    assert ready.session.get(Stage.DISKS) is before


def test_another_probe_makes_the_disks_stale_and_the_panel_says_so(ready, qtbot):
    qtbot.mouseClick(ready.run_button, LEFT)
    idle(ready, qtbot)
    qtbot.keyClicks(ready.probe.radius.native, "2.5")
    qtbot.mouseClick(ready.probe_button, LEFT)
    idle(ready, qtbot)
    assert ready.session.get(Stage.PROBE).radius == 2.5
    assert "The probe has changed since" in ready.state.text()


def test_a_region_drawn_on_the_scan_makes_the_probe(ready, qtbot, notified):
    ready.probe.ways.setCurrentText("Region of the scan")
    qtbot.mouseClick(ready.probe_button, LEFT)
    assert "No region is drawn" in notified[-1].message
    qtbot.mouseClick(ready.probe.draw_button, LEFT)
    layer = find_layer(ready.viewer, REGION)
    assert str(layer.mode) == "add_rectangle"
    layer.add_rectangles(np.array([[-0.4, 0.6], [-0.4, 2.4], [1.3, 2.4], [1.3, 0.6]]))
    assert ready.probe.region() == ready.probe.choice() == ((0, 2), (1, 3))
    qtbot.mouseClick(ready.probe_button, LEFT)
    idle(ready, qtbot)
    assert "shows no probe: it shows several spots" in notified[-1].message  # of the specimen
    vacuum = np.broadcast_to(one_disk(), (3, 4, 64, 64)).copy()
    job = Job(probe=ready.probe.choice())
    probe = run(job, Stage.PROBE, have=Results(scan=Scan(da.from_array(vacuum)))).probe
    assert (probe.kind, round(probe.radius)) == ("region", 5)


def one_disk():
    y, x = np.ogrid[:64, :64]
    return np.where(np.hypot(y - 30, x - 33) <= 5, 100, 0).astype(np.uint16)


def test_a_vacuum_file_makes_the_probe(ready, qtbot, monkeypatch, tmp_path):
    np.save(tmp_path / "vacuum.npy", one_disk())
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (str(tmp_path / "vacuum.npy"), ""))
    ready.probe.ways.setCurrentText("Vacuum file")
    qtbot.mouseClick(ready.probe.file_button, LEFT)
    qtbot.mouseClick(ready.probe_button, LEFT)
    idle(ready, qtbot)
    assert ready.session.get(Stage.PROBE).kind == "vacuum"


def test_disks_are_saved_and_loaded(ready, qtbot, monkeypatch, tmp_path):
    strong_settings(ready)
    qtbot.mouseClick(ready.run_button, LEFT)
    idle(ready, qtbot)
    found = ready.session.get(Stage.DISKS)
    path = tmp_path / "disks.h5"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(path), ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (str(path), ""))
    qtbot.mouseClick(ready.save_button, LEFT)
    idle(ready, qtbot)
    np.testing.assert_allclose(load_disks(path).qx, found.qx, rtol=1e-5)
    qtbot.mouseClick(ready.load_button, LEFT)
    idle(ready, qtbot)
    loaded = ready.session.get(Stage.DISKS)
    assert loaded is not found
    np.testing.assert_allclose(loaded.qy, found.qy, rtol=1e-5)


def test_disks_of_another_scan_are_refused(panel, small_scan, few_disks):
    open_scan(panel.viewer, small_scan)
    with pytest.raises(UserError, match="2 × 3 scan positions, the open scan has 3 × 4"):
        take_disks(panel.viewer, few_disks)


def test_the_preview_marks_what_was_rejected_and_says_why(ready, qtbot):
    strong_settings(ready)
    ready.form["max_disks"].value = 3
    qtbot.waitUntil(lambda: len(circles(ready)) == 3, timeout=60_000)
    text = ready.preview.count.text()
    assert "2 beyond the greatest number of disks" in text
    assert "hardly above the noise at its place" in text
    rejected = marked(ready.preview.view, "rejected")
    distance = np.linalg.norm(rejected[:, None] - circles(ready), axis=-1)
    assert distance.min() > 0
    assert "Suggested: " in ready.form["min_intensity"].tooltip

"""The Data panel, File > Open and the samples, driven through a real window."""

import threading
from dataclasses import replace
from unittest.mock import create_autospec

import h5py
import napari
import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QFileDialog

from helpers.gui_scan import shows
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.napari_plugin.panels.data.panel import DataWidget, describe
from napari_4dstem_orient.napari_plugin.panels.docks import find_panel
from napari_4dstem_orient.napari_plugin.panels.shared.opening import OVERVIEW, open_scan
from napari_4dstem_orient.napari_plugin.reader import get_reader
from napari_4dstem_orient.workflow.session import MapBy, Stage

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def panel(dock):
    return dock(DataWidget, show=True)


@pytest.fixture
def patterns(small_scan):
    return small_scan.data.compute()


def choose(monkeypatch, path):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (str(path), ""))


def open_with_button(panel, qtbot, monkeypatch, path):
    choose(monkeypatch, path)
    qtbot.waitUntil(lambda: not panel.jobs.running, timeout=60_000)
    qtbot.mouseClick(panel.open_button, LEFT)
    qtbot.waitUntil(lambda: not panel.jobs.running, timeout=60_000)


def names(panel):
    return [layer.name for layer in panel.viewer.layers]


def type_into(field, text, qtbot):
    field.native.clear()
    qtbot.keyClicks(field.native, text)
    qtbot.keyClick(field.native, Qt.Key.Key_Return)


def test_a_file_opens_and_its_virtual_images_appear(panel, qtbot, monkeypatch, tmp_path, patterns):
    np.save(tmp_path / "scan.npy", patterns)
    open_with_button(panel, qtbot, monkeypatch, tmp_path / "scan.npy")
    scan = panel.session.get(Stage.SCAN)
    assert scan.scan_shape == (3, 4)
    np.testing.assert_array_equal(scan.pattern(1, 2), patterns[1, 2])
    assert {"bright field", "annular dark field"} <= set(names(panel))
    assert OVERVIEW not in names(panel)
    bright = panel.viewer.layers["bright field"].data
    total = patterns.sum(axis=(2, 3))
    assert bright.shape == (3, 4)
    assert np.all((bright > 0.2 * total) & (bright < total))
    panel.patterns.tabs.setCurrentIndex(1)
    assert shows(panel.patterns.view, patterns.mean(axis=(0, 1)))
    panel.patterns.tabs.setCurrentIndex(2)
    assert shows(panel.patterns.view, patterns.max(axis=(0, 1)))
    assert "scan.npy" in panel.facts.text()


def test_a_scan_opened_elsewhere_gets_its_images_too_unless_it_is_large(
    panel, qtbot, small_scan, monkeypatch
):
    import napari_4dstem_orient.napari_plugin.panels.data.panel as data

    monkeypatch.setattr(data, "AUTOMATIC_BYTES", 1000)
    open_scan(panel.viewer, small_scan)
    assert not panel.jobs.running
    assert OVERVIEW in names(panel)
    qtbot.mouseClick(panel.images_button, LEFT)
    qtbot.waitUntil(lambda: "bright field" in names(panel), timeout=60_000)
    monkeypatch.setattr(data, "AUTOMATIC_BYTES", 2**30)
    open_scan(panel.viewer, small_scan.with_calibration(small_scan.calibration))
    open_scan(panel.viewer, Scan(small_scan.data + 1))
    qtbot.waitUntil(lambda: not panel.jobs.running and "bright field" in names(panel), timeout=60_000)


def test_what_the_file_does_not_say_is_called_unknown_and_can_be_typed(
    panel, qtbot, monkeypatch, tmp_path, patterns
):
    np.save(tmp_path / "scan.npy", patterns)
    open_with_button(panel, qtbot, monkeypatch, tmp_path / "scan.npy")
    fields = panel.calibration
    assert fields.origins["voltage"].text() == "unknown"
    assert "Voltage unknown" in panel.doubts.text()
    type_into(fields.inputs["voltage"], "200", qtbot)
    type_into(fields.inputs["q_pixel"], "0.05", qtbot)
    type_into(fields.inputs["r_pixel"], "2.5", qtbot)
    assert panel.session.get(Stage.SCAN).calibration.voltage == 200.0
    assert panel.session.calibration.q_pixel_from == "typed"
    assert fields.origins["voltage"].text() == "typed"
    assert not panel.doubts.isVisible()
    layer = panel.viewer.layers["bright field"]
    assert tuple(layer.scale) == (2.5, 2.5)
    assert str(layer.units[0]) == "nanometer"
    qtbot.waitUntil(lambda: panel.patterns.view.canvas.q_pixel == 0.05, timeout=60_000)


def test_zero_volts_are_refused_and_the_former_value_stays(panel, qtbot, small_scan, notified):
    open_scan(panel.viewer, small_scan)
    type_into(panel.calibration.inputs["voltage"], "0", qtbot)
    assert panel.session.calibration.voltage == 300.0
    assert "must be a positive number" in notified[0].message
    assert panel.calibration.inputs["voltage"].value == 300.0


def test_showing_a_value_does_not_round_it(panel, qtbot, small_scan):
    exact = 0.0267283123456
    open_scan(panel.viewer, small_scan.with_calibration(small_scan.calibration.with_(q_pixel=exact)))
    type_into(panel.calibration.inputs["voltage"], "200", qtbot)
    assert panel.session.calibration.q_pixel == exact


def test_a_stack_asks_for_its_scan_shape(panel, qtbot, monkeypatch, tmp_path, patterns, notified):
    np.save(tmp_path / "stack.npy", patterns.reshape(12, 64, 64))
    open_with_button(panel, qtbot, monkeypatch, tmp_path / "stack.npy")
    assert panel.session.get(Stage.SCAN) is None
    assert panel.reading.isVisible()
    assert "12 patterns" in panel.reading.question.text()
    qtbot.keyClicks(panel.reading.shape, "5x3")
    qtbot.mouseClick(panel.reading.read_button, LEFT)
    qtbot.waitUntil(lambda: not panel.jobs.running, timeout=60_000)
    assert "5x3" in notified[-1].message
    panel.reading.shape.clear()
    qtbot.keyClicks(panel.reading.shape, "3x4")
    qtbot.mouseClick(panel.reading.read_button, LEFT)
    qtbot.waitUntil(
        lambda: panel.session.get(Stage.SCAN) is not None and not panel.jobs.running, timeout=20000
    )
    np.testing.assert_array_equal(panel.session.get(Stage.SCAN).pattern(2, 1), patterns[2, 1])


@pytest.fixture
def two_datasets(tmp_path, patterns):
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["first/data"] = patterns
        file["second/data"] = patterns[:2] + 1
    return tmp_path / "two.h5"


def test_several_datasets_ask_for_one(panel, qtbot, monkeypatch, two_datasets):
    open_with_button(panel, qtbot, monkeypatch, two_datasets)
    assert panel.session.get(Stage.SCAN) is None
    assert "2 datasets" in panel.reading.question.text()
    assert panel.reading.datasets.count() == 2
    panel.reading.datasets.setCurrentIndex(1)
    qtbot.mouseClick(panel.reading.read_button, LEFT)
    qtbot.waitUntil(
        lambda: panel.session.get(Stage.SCAN) is not None and not panel.jobs.running, timeout=20000
    )
    assert panel.session.get(Stage.SCAN).scan_shape == (2, 4)
    assert panel.reading.datasets.currentIndex() == 1  # still there, to choose the other


@pytest.mark.parametrize("content", [b"", b"not an array at all"])
def test_a_bad_file_is_one_notification_and_leaves_what_was_there(
    panel, qtbot, monkeypatch, tmp_path, small_scan, notified, content
):
    open_scan(panel.viewer, small_scan)
    path = tmp_path / "bad.npy"
    path.write_bytes(content)
    open_with_button(panel, qtbot, monkeypatch, path)
    assert len(notified) == 1
    assert "bad.npy" in notified[0].message
    assert panel.session.get(Stage.SCAN) is small_scan
    assert "bright field" in names(panel)


def test_a_dropped_file_opens(panel, qtbot, tmp_path, patterns):
    np.save(tmp_path / "scan.npy", patterns)
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(tmp_path / "scan.npy"))])
    nothing = Qt.KeyboardModifier.NoModifier
    panel.dropEvent(QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, mime, LEFT, nothing))
    qtbot.waitUntil(
        lambda: panel.session.get(Stage.SCAN) is not None and not panel.jobs.running, timeout=20000
    )


def test_the_pattern_follows_the_position(panel, qtbot, small_scan, patterns):
    open_scan(panel.viewer, small_scan)
    panel.session.move_to(2, 3)
    qtbot.waitUntil(lambda: shows(panel.patterns.view, patterns[2, 3]), timeout=60_000)


def test_closing_the_dock_ends_the_panel(make_napari_viewer_proxy, qtbot, small_scan):
    viewer = make_napari_viewer_proxy(show=True)
    panel = DataWidget(viewer)
    viewer.window.add_dock_widget(panel, name="1 Data", area="right")
    open_scan(viewer, small_scan)
    job = panel.jobs.job  # the virtual images, which begin by themselves
    viewer.window.remove_dock_widget(panel)
    job.wait(10)
    qtbot.wait(50)
    assert not panel.session.changed._slots or all(
        slot.slot_repr().find("DataWidget") < 0 for slot in panel.session.changed._slots
    )
    open_scan(viewer, small_scan)  # nobody is left to trip over


def test_facts_are_told_in_units_people_read(small_scan):
    assert describe(small_scan).endswith("3 × 4 positions, 64 × 64 pixels, uint16, 98.3 kB")


# ---------------------------------------------------------------- reader and samples


@pytest.fixture
def viewer(make_napari_viewer, monkeypatch):
    viewer = make_napari_viewer(show=True)
    monkeypatch.setattr(napari, "current_viewer", lambda: viewer)
    yield viewer
    for panel in list(viewer.window.dock_widgets.values()):
        panel.close_step()


def data_panel(viewer):
    return find_panel(viewer, "Data")


def test_without_a_window_the_reader_gives_the_overview(tmp_path, patterns):
    np.save(tmp_path / "scan.npy", patterns)
    [(data, options, kind)] = get_reader(str(tmp_path / "scan.npy"))(str(tmp_path / "scan.npy"))
    assert kind == "image"
    assert options["name"] == OVERVIEW
    np.testing.assert_array_equal(data, patterns.sum(axis=(2, 3)))


def test_file_open_reads_a_scan_while_the_window_lives(viewer, qtbot, tmp_path, patterns, monkeypatch):
    """The reader returns at once, however long the file takes to read, and whatever is under way."""
    import napari_4dstem_orient.napari_plugin.panels.data.panel as module
    from napari_4dstem_orient.napari_plugin.state.sessions import session_for

    path, gate, inspect = str(tmp_path / "scan.npy"), threading.Event(), module.inspect
    np.save(path, patterns)
    slow = create_autospec(inspect, side_effect=lambda path: gate.wait(60) and inspect(path))
    monkeypatch.setattr(module, "inspect", slow)
    assert get_reader(path)(path) == [(None,)]
    assert get_reader(path)(path) == [(None,)]
    session = session_for(viewer)
    assert session.get(Stage.SCAN) is None
    gate.set()
    qtbot.waitUntil(lambda: "bright field" in viewer.layers, timeout=60_000)
    np.testing.assert_array_equal(session.get(Stage.SCAN).pattern(1, 2), patterns[1, 2])
    qtbot.waitUntil(lambda: "Map display" in viewer.window.dock_widgets, timeout=60_000)  # and all panels
    assert not data_panel(viewer).visibleRegion().isEmpty()


@pytest.mark.parametrize("name", ["picture.npy", "notes.txt", "picture.tif"])
def test_other_files_are_left_to_others(tmp_path, name):
    np.save(tmp_path / "picture.npy", np.zeros((5, 5)))
    assert get_reader(str(tmp_path / name)) is None
    assert get_reader([str(tmp_path / name)]) is None


def test_a_question_opens_the_data_panel(viewer, qtbot, two_datasets):
    assert get_reader(str(two_datasets))(str(two_datasets)) == [(None,)]
    panel = data_panel(viewer)
    qtbot.waitUntil(lambda: panel.reading.isVisible(), timeout=60_000)
    assert get_reader(str(two_datasets))(str(two_datasets)) == [(None,)]
    assert sum(isinstance(dock, DataWidget) for dock in viewer.window.dock_widgets.values()) == 1
    qtbot.waitUntil(lambda: not panel.jobs.running, timeout=60_000)


def test_a_file_of_disks_goes_into_the_session(viewer, tmp_path, few_disks):
    from napari_4dstem_orient.io.bragg_peaks import save_disks
    from napari_4dstem_orient.napari_plugin.state.sessions import session_for

    path = str(tmp_path / "disks.h5")
    pixels = replace(few_disks, calibrated=False)
    save_disks(pixels, path)
    assert get_reader(path)(path) == [(None,)]
    np.testing.assert_allclose(session_for(viewer).get(Stage.DISKS).qx, pixels.qx, rtol=1e-5)
    np.testing.assert_array_equal(viewer.layers["disk count"].data, [[5, 5, 5], [5, 5, 0]])


def test_a_saved_map_is_shown_and_inspected(viewer, tmp_path, copper):
    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.napari_plugin.state.sessions import session_for

    path = str(tmp_path / "map.h5")
    shape = (2, 3)
    OrientationMap(
        (copper,),
        np.broadcast_to(np.eye(3, dtype=np.float32), (*shape, 3, 3)).copy(),
        np.zeros(shape, np.int32),
        np.ones(shape, np.float32),
        np.zeros(shape, np.uint8),
        np.ones(shape, np.int32),
        np.zeros((*shape, 0, 3, 3), np.float32),
        np.zeros((*shape, 0), np.float32),
        "template",
        r_pixel=3.0,
    ).save(path)
    assert get_reader(path)(path) == [(None,)]
    assert session_for(viewer).get(MapBy("template")).scan_shape == shape
    assert session_for(viewer).position == (1, 1)
    assert any("IPF-Z" in layer.name for layer in viewer.layers)


def test_a_bad_file_is_one_sentence(viewer, qtbot, tmp_path, notified):
    path = tmp_path / "bad.h5"
    path.write_bytes(b"nothing of the kind")
    assert get_reader(str(path))(str(path)) == [(None,)]
    qtbot.waitUntil(lambda: bool(notified), timeout=60_000)
    assert "bad.h5" in notified[0].message


@pytest.mark.parametrize("sample", ["silver_twins", "copper_polycrystal"])
def test_samples_open_at_once_and_are_seen_better_soon(viewer, qtbot, sample, monkeypatch):
    from napari_4dstem_orient.napari_plugin import samples as sample_data
    from napari_4dstem_orient.napari_plugin.panels.shared import opening
    from napari_4dstem_orient.napari_plugin.state.sessions import session_for

    real = opening.overview  # however busy the machine is, the second look shall see all
    monkeypatch.setattr(opening, "overview", lambda scan, seconds=60.0: real(scan, seconds))
    [(data, options, _kind)] = getattr(sample_data, sample)()
    layer = viewer.add_image(data, **options)
    scan = session_for(viewer).get(Stage.SCAN)
    assert data.shape == scan.scan_shape
    qtbot.waitUntil(lambda: len(np.unique(layer.data)) > 2 * len(np.unique(data)), timeout=60_000)
    assert str(viewer.layers[-1].units[0]) == "nanometer"
    assert scan.calibration.voltage is not None

"""Whatever is opened in place of work that no file holds asks first; what is bare, or saved, is replaced at once."""

from contextlib import contextmanager

import h5py
import napari
import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QMessageBox

from helpers.gui_scan import (
    SHAPE,
    calibrated_disks,
    detected_disks,
    made_map,
    numbered_scan,
    scan_of,
)
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.io.bragg_peaks import save_disks
from napari_4dstem_orient.napari_plugin import samples
from napari_4dstem_orient.napari_plugin.layers.map_layers import map_layers
from napari_4dstem_orient.napari_plugin.panels.docks import open_panel
from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_scan
from napari_4dstem_orient.napari_plugin.panels.shared.scans import scans_for
from napari_4dstem_orient.napari_plugin.reader import get_reader
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.samples.library import SAMPLES
from napari_4dstem_orient.samples.silver import silver_twins
from napari_4dstem_orient.workflow.project import Project, load_project, save_project
from napari_4dstem_orient.workflow.session import MapBy, Session, Stage

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


@pytest.fixture
def few_rows(monkeypatch):
    """The silver sample is one of four rows: its virtual images are soon there."""
    rows = silver_twins().rows(0, 4)
    monkeypatch.setitem(SAMPLES, rows.metadata["title"], lambda: rows)
    monkeypatch.setattr(samples, "silver_scan", lambda: rows)


@pytest.fixture
def bench(few_rows, knowing, nothing_kept, bench, monkeypatch):
    monkeypatch.setattr(napari, "current_viewer", lambda: bench[0])
    return bench


@contextmanager
def answering(*answers):
    """Click these buttons of the questions that come, one after the other; collect what is asked."""
    asked, left = [], list(answers)

    def look():
        box = QApplication.activeModalWidget()
        if isinstance(box, QMessageBox):
            asked.append(f"{box.text()} {box.informativeText()}")
            answer = left.pop(0) if left else "Cancel"
            (button,) = (each for each in box.buttons() if each.text().replace("&", "") == answer)
            QTest.mouseClick(button, LEFT)

    timer = QTimer()
    timer.timeout.connect(look)
    timer.start(20)
    yield asked
    timer.stop()


def work(viewer, panels, silver, qtbot):
    """Give a session a scan, disks and a map that no file holds."""
    session, calibrated = session_for(viewer), calibrated_disks(silver)
    open_scan(viewer, scan_of(calibrated))
    quiet(panels, qtbot)
    session.put(Stage.DISKS, detected_disks(calibrated))
    session.put(Stage.CALIBRATED, calibrated)
    list(panels["Map"].showing_map(made_map(silver, "template")))
    quiet(panels, qtbot)
    qtbot.wait(50)  # napari crashes where layers go that it has not drawn yet
    return session


def quiet(panels, qtbot):
    qtbot.waitUntil(lambda: not any(panel.jobs.running for panel in panels.values()), timeout=60_000)


def dropped(panel, path):
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(path)])
    panel.dropEvent(QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, mime, LEFT, NONE))


def button(viewer, panels, path, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (path, ""))
    QTest.mouseClick(panels["Data"].open_button, LEFT)


def file_open(viewer, panels, path, monkeypatch):
    assert get_reader(path)(path) == [(None,)]


def drop_on_data(viewer, panels, path, monkeypatch):
    dropped(panels["Data"], path)


def drop_on_overview(viewer, panels, path, monkeypatch):
    dropped(panels["Overview"], path)


def sample_of_the_panel(viewer, panels, path, monkeypatch):
    panels["Data"].sample_button.menu().actions()[0].trigger()


def file_open_sample(viewer, panels, path, monkeypatch):
    for data, options, _kind in samples.silver_twins():
        viewer.add_image(data, **options)


def project(viewer, panels, path, monkeypatch):
    other = Session()
    other.put(Stage.SCAN, numbered_scan((5, 5)))
    path = path.replace(".npy", ".4dorient.h5")
    save_project(Project(other.state), path)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (path, ""))
    QTest.mouseClick(panels["Overview"].project_button, LEFT)


WAYS = (
    button,
    file_open,
    drop_on_data,
    drop_on_overview,
    sample_of_the_panel,
    file_open_sample,
    project,
)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_way_of_opening_asks_before_work_is_lost(bench, qtbot, monkeypatch, silver, tmp_path, way):
    viewer, panels = bench
    session = work(viewer, panels, silver, qtbot)
    before, path = session.state, str(tmp_path / "other.npy")
    np.save(path, np.ones((3, 5, 8, 8), np.uint16))
    with answering("Cancel", "Replace") as asked:
        way(viewer, panels, path, monkeypatch)
        qtbot.waitUntil(lambda: len(asked) == 1, timeout=60_000)
        quiet(panels, qtbot)
        assert session.state.results == before.results
        assert "Replace the 3 results of drawn?" in asked[0]
        assert "template map, 100% indexed" in asked[0]
        assert map_layers(viewer, "template")
        way(viewer, panels, path, monkeypatch)
        qtbot.waitUntil(lambda: len(asked) == 2, timeout=60_000)
        quiet(panels, qtbot)
        qtbot.waitUntil(lambda: session.get(MapBy("template")) is None, timeout=60_000)
        quiet(panels, qtbot)
    assert len(asked) == 2
    assert session.scan_shape != SHAPE
    assert not map_layers(viewer)


def test_a_bare_scan_and_work_in_a_project_are_replaced_without_a_question(
    bench, qtbot, monkeypatch, silver, tmp_path
):
    viewer, panels = bench
    session, path = session_for(viewer), str(tmp_path / "other.npy")
    np.save(path, np.ones((3, 5, 8, 8), np.uint16))
    open_scan(viewer, numbered_scan((4, 4)))
    quiet(panels, qtbot)
    with answering() as asked:
        button(viewer, panels, path, monkeypatch)
        qtbot.waitUntil(lambda: session.scan_shape == (3, 5), timeout=60_000)
        quiet(panels, qtbot)
        work(viewer, panels, silver, qtbot)
        panels["Overview"].save_project(str(tmp_path / "saved.4dorient.h5"))
        quiet(panels, qtbot)
        button(viewer, panels, path, monkeypatch)
        qtbot.waitUntil(lambda: session.scan_shape == (3, 5), timeout=60_000)
    assert asked == []


def test_the_question_can_save_a_project_first(bench, qtbot, monkeypatch, silver, tmp_path):
    viewer, panels = bench
    session, path = work(viewer, panels, silver, qtbot), str(tmp_path / "other.npy")
    made = session.get(MapBy("template"))
    np.save(path, np.ones((3, 5, 8, 8), np.uint16))
    saved = tmp_path / "kept.4dorient.h5"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(tmp_path / "kept"), ""))
    with answering("Save project…") as asked:
        button(viewer, panels, path, monkeypatch)
        qtbot.waitUntil(lambda: session.scan_shape == (3, 5), timeout=60_000)
        quiet(panels, qtbot)
    assert len(asked) == 1
    kept = load_project(saved).state.results[MapBy("template")]
    np.testing.assert_array_equal(kept.rotation, made.rotation)
    assert not panels["Overview"].recovery.isVisible()


def test_both_scans_can_be_kept(bench, qtbot, monkeypatch, silver, tmp_path):
    viewer, panels = bench
    session, path = work(viewer, panels, silver, qtbot), str(tmp_path / "other.npy")
    made = session.get(MapBy("template"))
    np.save(path, np.ones((3, 5, 8, 8), np.uint16))
    with answering("Keep both") as asked:
        button(viewer, panels, path, monkeypatch)
        qtbot.waitUntil(lambda: session.scan_shape == (3, 5), timeout=60_000)
        quiet(panels, qtbot)
    assert len(asked) == 1
    (kept,) = scans_for(viewer).kept
    assert (kept.name, kept.project.state.results[MapBy("template")]) == ("drawn", made)
    aside = panels["Overview"]._aside[kept]
    qtbot.waitUntil(aside.path.is_file, timeout=60_000)  # where a crash leaves it


def test_a_project_that_is_not_saved_after_all_is_asked_about_again(
    bench, qtbot, monkeypatch, silver, tmp_path
):
    viewer, panels = bench
    session, path = work(viewer, panels, silver, qtbot), str(tmp_path / "other.npy")
    np.save(path, np.ones((3, 5, 8, 8), np.uint16))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: ("", ""))
    with answering("Save project…", "Cancel") as asked:
        button(viewer, panels, path, monkeypatch)
        qtbot.waitUntil(lambda: len(asked) == 2, timeout=60_000)
        quiet(panels, qtbot)
    assert session.scan_shape == SHAPE


def test_what_was_replaced_can_be_brought_back_until_the_window_closes(
    bench, qtbot, monkeypatch, silver, tmp_path
):
    viewer, panels = bench
    session, path, shown = (
        work(viewer, panels, silver, qtbot),
        str(tmp_path / "other.npy"),
        panels["Overview"],
    )
    made = session.get(MapBy("template"))
    np.save(path, np.ones((3, 5, 8, 8), np.uint16))
    with answering("Replace"):
        button(viewer, panels, path, monkeypatch)
        qtbot.waitUntil(lambda: session.scan_shape == (3, 5), timeout=60_000)
        quiet(panels, qtbot)
    qtbot.waitUntil(shown.recover_button.isVisible, timeout=60_000)
    assert shown.recovery_text.text() == "The work replaced is kept:"
    folder = shown.former.folder
    qtbot.mouseClick(shown.recover_button, LEFT)
    qtbot.waitUntil(lambda: session.get(MapBy("template")) is not None, timeout=60_000)
    quiet(panels, qtbot)
    np.testing.assert_array_equal(session.get(MapBy("template")).rotation, made.rotation)
    qtbot.waitUntil(lambda: not folder.exists(), timeout=60_000)
    assert not shown.recovery.isVisible()
    with answering("Replace") as asked:  # it is in no file again
        button(viewer, panels, path, monkeypatch)
        qtbot.waitUntil(lambda: session.scan_shape == (3, 5), timeout=60_000)
        quiet(panels, qtbot)
    assert len(asked) == 1
    qtbot.waitUntil(shown.recover_button.isVisible, timeout=60_000)
    folder = shown.former.folder
    shown.close_step()
    assert not folder.exists()


@pytest.fixture
def two_datasets(tmp_path):
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["first/data"] = np.ones((3, 4, 8, 8), np.uint16)
        file["second/data"] = np.ones((2, 4, 8, 8), np.uint16)
    return str(tmp_path / "two.h5")


def test_what_a_file_left_open_goes_with_its_scan(bench, qtbot, monkeypatch, silver, two_datasets, tmp_path):
    """Read, left in the Data panel of a project that was opened meanwhile, opens nothing."""
    viewer, panels = bench
    data, shown, session = panels["Data"], panels["Overview"], session_for(viewer)
    work(viewer, panels, silver, qtbot)
    shown.save_project(str(tmp_path / "a.4dorient.h5"))
    quiet(panels, qtbot)
    button(viewer, panels, two_datasets, monkeypatch)
    qtbot.waitUntil(data.reading.isVisible, timeout=60_000)
    quiet(panels, qtbot)
    shown.open_project(str(tmp_path / "a.4dorient.h5"))
    quiet(panels, qtbot)
    assert session.get(MapBy("template")) is not None
    assert not data.reading.isVisible()
    with answering() as asked:
        data.reading.read_button.click()
        QTest.keyClick(data.reading.shape, Qt.Key.Key_Return)
        qtbot.wait(50)
        quiet(panels, qtbot)
    assert asked == []
    assert session.get(MapBy("template")) is not None


def test_reading_again_otherwise_asks(bench, qtbot, monkeypatch, silver, two_datasets):
    viewer, panels = bench
    data, session = panels["Data"], session_for(viewer)
    button(viewer, panels, two_datasets, monkeypatch)
    qtbot.waitUntil(data.reading.isVisible, timeout=60_000)
    qtbot.mouseClick(data.reading.read_button, LEFT)
    qtbot.waitUntil(lambda: session.scan_shape == (3, 4), timeout=60_000)
    quiet(panels, qtbot)
    session.put(Stage.MAP, made_map(silver, "template", (3, 4), np.broadcast_to(np.eye(3), (3, 4, 3, 3))))
    data.reading.datasets.setCurrentIndex(1)
    with answering("Cancel") as asked:
        qtbot.mouseClick(data.reading.read_button, LEFT)
        qtbot.waitUntil(lambda: bool(asked), timeout=60_000)
        quiet(panels, qtbot)
    assert "Replace the result of two.h5 · /first/data?" in asked[0]
    assert session.scan_shape == (3, 4)


@pytest.mark.parametrize("answer", ["Cancel", "Replace"])
def test_how_a_scan_is_read_stays_when_disks_are_opened_beside_it(
    bench, qtbot, monkeypatch, tmp_path, two_datasets, answer
):
    """The choice of a dataset was gone, and Read opened the file of disks."""
    viewer, panels = bench
    data, session = panels["Data"], session_for(viewer)
    button(viewer, panels, two_datasets, monkeypatch)
    qtbot.waitUntil(data.reading.isVisible, timeout=60_000)
    qtbot.mouseClick(data.reading.read_button, LEFT)
    qtbot.waitUntil(lambda: session.scan_shape == (3, 4), timeout=60_000)
    quiet(panels, qtbot)
    disks = BraggDisks.from_lists((3, 4), [np.ones((2, 3))] * 12)
    session.put(Stage.DISKS, disks)
    save_disks(disks, tmp_path / "peaks.h5")
    with answering(answer) as asked:
        data.open_path(str(tmp_path / "peaks.h5"))
        quiet(panels, qtbot)
        assert len(asked) == 1
        assert (session.get(Stage.DISKS) is disks) == (answer == "Cancel")
        assert data.reading.isVisible()
        assert data.reading.dataset == "/first/data"
        data.reading.datasets.setCurrentIndex(1)
        qtbot.mouseClick(data.reading.read_button, LEFT)
        quiet(panels, qtbot)
    # Disks that no file holds are asked for again; the second dataset takes the place of those of a file.
    assert (len(asked), session.scan_shape) == ((2, (3, 4)) if answer == "Cancel" else (1, (2, 4)))


@pytest.mark.parametrize("kind", ["disks", "map"])
def test_disks_and_maps_from_files_ask_before_they_replace_those_made_here(
    bench, qtbot, monkeypatch, silver, tmp_path, kind
):
    viewer, panels = bench
    session = work(viewer, panels, silver, qtbot)
    before, path = session.state, str(tmp_path / "made.h5")
    if kind == "disks":
        save_disks(detected_disks(calibrated_disks(silver)), path)
    else:
        made_map(silver, "template").save(path)
    stage = Stage.DISKS if kind == "disks" else MapBy("template")
    with answering("Cancel", "Replace") as asked:
        file_open(viewer, panels, path, monkeypatch)
        assert session.state.results == before.results
        file_open(viewer, panels, path, monkeypatch)
        assert session.get(stage) is not before.results[stage]
        file_open(viewer, panels, path, monkeypatch)  # from a file in place of one from a file
    assert len(asked) == 2


def test_disks_or_a_map_of_another_shape_are_refused_without_a_scan_too(
    bench, silver, tmp_path, monkeypatch, notified
):
    viewer, panels = bench
    session = session_for(viewer)
    session.put(Stage.MAP, made_map(silver, "template"))
    other = made_map(silver, "transformer", (2, 2), np.broadcast_to(np.eye(3), (2, 2, 3, 3)))
    other.save(tmp_path / "other.h5")
    file_open(viewer, panels, str(tmp_path / "other.h5"), monkeypatch)
    assert session.get(MapBy("transformer")) is None
    assert notified[0].message == (
        "The map in the file covers 2 × 2 scan positions, what is open here has 4 × 6; "
        "open the scan that belongs to it first, or open it in a new window."
    )


def test_queue_export_and_saving_go_on_when_another_scan_comes(bench, qtbot, silver, tmp_path):
    import threading

    viewer, panels = bench
    queue, gate, done = open_panel(viewer, "Queue"), threading.Event(), []
    panels = {**panels, "Queue": queue}
    work(viewer, panels, silver, qtbot)

    def long(progress):
        gate.wait(20)
        progress(0, 1)
        return "done"

    at_work = [panels[title] for title in ("Queue", "Export", "Overview")]
    for panel in at_work:
        panel.jobs.run("Working", done.append, long)
    mapping = panels["Map"].jobs.run("Mapping", done.append, long)
    open_scan(viewer, numbered_scan((3, 3)))
    gate.set()
    qtbot.waitUntil(lambda: len(done) == 3, timeout=60_000)
    mapping.wait(10)
    qtbot.wait(50)
    assert done == ["done"] * 3
    queue.close_step()

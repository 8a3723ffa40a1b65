"""The Export panel and the writers: files that are read back, refusals that are told."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from qtpy.QtWidgets import QMessageBox

from helpers.gui_scan import VACUUM, fill, made_map
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.export.registry import FORMATS, export_files
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient.napari_plugin.layers.map_layers import add_map_layers, show_channel
from napari_4dstem_orient.napari_plugin.panels.export.panel import ExportWidget
from napari_4dstem_orient.napari_plugin.writer import write_image, write_map
from napari_4dstem_orient.workflow.job import Job
from napari_4dstem_orient.workflow.session import Stage


@pytest.fixture
def found(silver) -> OrientationMap:
    """Return a map that is not indexed at one position."""
    found = made_map(silver, "transformer")
    found.phase_id[VACUUM], found.status[VACUUM] = -1, 1
    return found


@pytest.fixture
def panel(dock, found, silver, tmp_path):
    """The panel, with a map to export and a folder to write to."""
    widget = dock(ExportWidget)
    fill(widget.session, silver)
    widget.session.put(Stage.MAP, found)
    widget.folder.setText(str(tmp_path / "out"))
    widget.stem.setText("grains")
    return widget


def tick(panel, *names):
    for name, box in panel.formats.items():
        box.setChecked(name in names)


def test_without_a_map_there_is_nothing_to_export(dock):
    widget = dock(ExportWidget)
    assert "Needs: an orientation map" in widget.needs.text()
    assert not widget.export_button.isEnabled()


def test_all_formats_are_written_and_listed(panel, qtbot, tmp_path, found, silver):
    tick(panel, *panel.formats)
    panel.export_button.click()
    qtbot.waitUntil(lambda: "grains" in panel.written.text(), timeout=60000)
    written = {path.suffix for path in (tmp_path / "out").iterdir()}
    assert {".h5", ".ang", ".ctf", ".png"} <= written
    for path in (tmp_path / "out").iterdir():
        assert path.name in panel.written.text()
    back = OrientationMap.load(tmp_path / "out" / "grains.h5")
    indexed = found.indexed
    np.testing.assert_array_equal(back.indexed, indexed)
    assert misorientation(back.rotation[indexed], found.rotation[indexed], silver).max() < 0.01


def test_only_what_is_ticked_is_written(panel, qtbot, tmp_path):
    tick(panel, "ang")
    panel.export_button.click()
    qtbot.waitUntil(lambda: "grains" in panel.written.text(), timeout=60_000)
    assert [path.suffix for path in (tmp_path / "out").iterdir()] == [".ang"]
    tick(panel)
    assert not panel.export_button.isEnabled()


def test_the_chosen_map_is_the_one_written(panel, qtbot, tmp_path, silver):
    other = replace(made_map(silver, "template"), score=np.full((4, 6), 0.5, np.float32))
    panel.session.put(Stage.MAP, other)
    panel.maps.setCurrentIndex(panel.maps.findData("template"))
    tick(panel, "h5")
    panel.export_button.click()
    qtbot.waitUntil(lambda: "grains" in panel.written.text(), timeout=60_000)
    with h5py.File(tmp_path / "out" / "grains.h5") as file:
        assert file["orientation/score"][1, 1] == 0.5


def test_what_is_written_has_the_scan_steps_typed_after_mapping(panel, qtbot, tmp_path):
    """The window's scale bar followed, the files did not: all had the 20 nm that the map was made with."""
    known = panel.session.calibration
    panel.session.set_calibration(known.with_(r_pixel=8.0, r_aspect=4.0))  # 16 nm down, 4 nm along
    tick(panel, "ang", "ctf", "csv", "h5", "hspy")
    panel.export_button.click()
    qtbot.waitUntil(lambda: "grains" in panel.written.text(), timeout=60_000)
    written = tmp_path / "out"
    ang, ctf = ((written / f"grains.{kind}").read_text(encoding="latin-1") for kind in ("ang", "ctf"))
    assert ("# XSTEP: 0.0040000" in ang, "# YSTEP: 0.0160000" in ang) == (True, True)
    assert ("XStep\t0.0040000" in ctf, "YStep\t0.0160000" in ctf) == (True, True)
    table = pd.read_csv(written / "grains.csv", comment="#")
    assert (table["x_nm"].max(), table["y_nm"].max()) == (5 * 4.0, 3 * 16.0)
    assert OrientationMap.load(written / "grains.h5").steps == (16.0, 4.0)
    with h5py.File(written / "grains.hspy") as file:
        for signal in file["Experiments"].values():
            assert (signal["axis-0"].attrs["scale"], signal["axis-1"].attrs["scale"]) == (16.0, 4.0)


def test_a_stale_map_is_marked_in_the_list(panel, silver):
    panel.session.put(Stage.CALIBRATED, replace(panel.session.get(Stage.CALIBRATED)))
    assert "stale" in panel.maps.currentText()


def test_a_folder_that_cannot_be_written_is_told(panel, qtbot, tmp_path, notified):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    panel.folder.setText(str(blocked))
    tick(panel, "h5", "ang")
    panel.export_button.click()
    qtbot.waitUntil(lambda: bool(notified), timeout=60_000)
    assert str(blocked) in notified[0].message
    assert panel.written.text() == ""
    assert panel.export_button.isEnabled()


# ---------------------------------------------------------------- nothing is lost


@pytest.fixture
def asked(monkeypatch):
    """Collect what is asked before files are replaced; the answer is ``asked.answer``."""

    class Asked(list):
        answer = QMessageBox.StandardButton.No

    told = Asked()

    def question(parent, title, text, *_):
        told.append(text)
        return told.answer

    monkeypatch.setattr(QMessageBox, "question", question)
    return told


def open_file(panel, path):
    """Make a file the open scan."""
    np.save(path, np.ones((4, 6, 16, 16), np.float32))
    panel.session.put(Stage.SCAN, load(path), Job(str(path)))


def test_files_that_are_there_are_replaced_only_if_the_user_says_so(panel, qtbot, tmp_path, asked):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("grains.h5", "grains.csv", "grains.ctf"):
        (out / name).write_text("mine")
    tick(panel, "h5", "csv", "ang")
    panel.export_button.click()
    assert not panel.jobs.running
    assert asked == [f"Replace these 2 files in {out}?\n\ngrains.h5\ngrains.csv"]
    assert sorted(path.name for path in out.iterdir()) == ["grains.csv", "grains.ctf", "grains.h5"]
    assert (out / "grains.h5").read_text() == "mine"
    asked.answer = QMessageBox.StandardButton.Yes
    panel.export_button.click()
    qtbot.waitUntil(lambda: "grains" in panel.written.text(), timeout=60_000)
    assert OrientationMap.load(out / "grains.h5").scan_shape == (4, 6)
    assert (out / "grains.ctf").read_text() == "mine"
    panel.export_button.click()  # our own files too
    assert "these 3 files" in asked[-1]
    qtbot.waitUntil(lambda: not panel.jobs.running, timeout=60_000)


def test_many_files_are_asked_about_at_once(panel, tmp_path, asked):
    tick(panel, *panel.formats)
    (tmp_path / "out").mkdir()
    for name in export_files(FORMATS, "grains"):
        (tmp_path / "out" / name).write_text("mine")
    panel.export_button.click()
    (text,) = asked
    assert len(text.splitlines()) == 2 + 8 + 1
    assert text.endswith("more")


@pytest.mark.parametrize("stem", ["scan", "SCAN"])
def test_the_open_scan_is_never_written_over(panel, silver, tmp_path, asked, notified, stem):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["data"] = np.ones((4, 6, 16, 16), np.float32)
    before = (tmp_path / "scan.h5").read_bytes()
    panel.session.put(Stage.SCAN, load(tmp_path / "scan.h5"), Job(str(tmp_path / "scan.h5")))
    panel.session.put(Stage.MAP, made_map(silver, "transformer"))
    panel.folder.setText(str(tmp_path))
    panel.stem.setText(stem)
    asked.answer = QMessageBox.StandardButton.Yes
    tick(panel, "h5", "ang")
    panel.export_button.click()
    assert "the input" in notified[0].message
    assert not panel.jobs.running
    assert [path.name for path in tmp_path.iterdir()] == ["scan.h5"]
    assert (tmp_path / "scan.h5").read_bytes() == before


def test_files_of_disks_and_vacuum_patterns_are_inputs_too(panel, tmp_path, asked, notified):
    asked.answer = QMessageBox.StandardButton.Yes
    for stage, job, name in (
        (Stage.CALIBRATED, Job(str(tmp_path / "one_disks.emd"), "/a"), "one"),
        (Stage.PROBE, Job(probe=f"{tmp_path / 'two_disks.emd'}::/a"), "two"),
    ):
        panel.session.put(stage, panel.session.get(stage), job)
        (tmp_path / f"{name}_disks.emd").write_text("measured")
        panel.folder.setText(str(tmp_path))
        panel.stem.setText(name)
        tick(panel, "emd")
        panel.export_button.click()
        assert f"{name}_disks.emd is the input" in notified[-1].message
        assert (tmp_path / f"{name}_disks.emd").read_text() == "measured"


def test_folder_and_name_follow_the_scan_unless_the_user_typed_them(panel, qtbot, tmp_path, asked, silver):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        open_file(panel, tmp_path / name / f"{name}.npy")
        assert (panel.folder.text(), panel.stem.text()) == (str(tmp_path / name), f"{name}_orientation")
    panel.session.set_calibration(panel.session.calibration.with_(voltage=80.0))  # the same scan
    panel.stem.selectAll()
    qtbot.keyClicks(panel.stem, "mine")
    open_file(panel, tmp_path / "a" / "c.npy")
    assert (panel.folder.text(), panel.stem.text()) == (str(tmp_path / "a"), "mine")
    panel.session.put(Stage.MAP, made_map(silver, "transformer"))
    (tmp_path / "a" / "mine.csv").write_text("of the former scan")
    tick(panel, "csv")
    panel.export_button.click()
    assert "mine.csv" in asked[0]
    assert (tmp_path / "a" / "mine.csv").read_text() == "of the former scan"


def test_what_fails_is_told_and_the_others_are_listed(panel, qtbot, tmp_path, notified, monkeypatch):
    def broken(*_):
        raise UserError("Cannot write grains.ang: no such symmetry.")

    monkeypatch.setattr("napari_4dstem_orient.export.ebsd.ANG", replace(FORMATS["ang"], write=broken))
    tick(panel, "ang", "ctf", "csv")
    panel.export_button.click()
    qtbot.waitUntil(lambda: "grains" in panel.written.text(), timeout=60_000)
    assert [name in panel.written.text() for name in ("grains.ang", "grains.ctf", "grains.csv")] == [
        False,
        True,
        True,
    ]
    assert "1 of 3 files not exported" in notified[0].message


# ---------------------------------------------------------------- File > Save


def test_a_layer_is_saved_by_its_suffix(make_napari_viewer, found, silver, tmp_path):
    *_, ipf_z = add_map_layers(make_napari_viewer(), found)
    data, meta, _ = ipf_z.as_layer_data_tuple()
    for suffix in (".h5", ".ang", ".ctf"):
        path = tmp_path / f"map{suffix}"
        assert write_map(str(path), data, meta) == [str(path)]
        assert path.stat().st_size > 0
    back = OrientationMap.load(tmp_path / "map.h5")
    assert misorientation(back.rotation[2, 1], found.rotation[2, 1], silver) < 0.01


def test_the_picture_is_of_the_layer_that_is_saved(make_napari_viewer, found, tmp_path):
    (layer,) = add_map_layers(make_napari_viewer(), found)
    for key, name in (("ipf-x", "x.png"), ("ipf-z", "z.png")):
        show_channel(layer, key)
        data, meta, _ = layer.as_layer_data_tuple()
        write_image(str(tmp_path / name), data, meta)
    assert (tmp_path / "x.png").read_bytes() != (tmp_path / "z.png").read_bytes()


def test_a_layer_of_no_map_is_refused(tmp_path):
    with pytest.raises(UserError, match="belongs to no orientation map"):
        write_map(str(tmp_path / "a.h5"), np.zeros((2, 2)), {"name": "other", "metadata": {}})
    assert not list(tmp_path.iterdir())


def test_napari_saves_through_the_writer(make_napari_viewer, found, tmp_path):
    viewer = make_napari_viewer()
    *_, ipf_z = add_map_layers(viewer, found)
    path = tmp_path / "saved.ang"
    assert ipf_z.save(str(path), plugin="napari-4dstem-orient") == [str(path)]
    assert Path(path).read_text().count("\n") > 24

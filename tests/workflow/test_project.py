"""The project file: what goes in comes out; scans that moved, changed or went; damaged files."""

import h5py
import numpy as np
import pytest

from helpers.gui_scan import CALIBRATION, calibrated_disks, detected_disks, made_map
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.detection.probe import synthetic_probe
from napari_4dstem_orient.indexing.settings import TemplateSettings
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient.workflow.job import Job
from napari_4dstem_orient.workflow.project import Project, is_project_file, load_project, save_project
from napari_4dstem_orient.workflow.reference import (
    fingerprint_of,
    job_of,
    open_reference,
    reference_of,
    with_fingerprint,
)
from napari_4dstem_orient.workflow.session import MapBy, Session, Stage


@pytest.fixture
def scan(tmp_path, small_scan):
    np.save(tmp_path / "scan.npy", small_scan.data.compute())
    return load(tmp_path / "scan.npy").with_calibration(small_scan.calibration)


def with_scan(scan) -> Session:
    session = Session()
    session.put(Stage.SCAN, scan, job_of(scan))
    probe = synthetic_probe(3.0, scan.detector_shape)
    session.put(Stage.PROBE, probe, Job(probe=3.0))
    return session


def test_results_flags_records_and_choices_come_back(tmp_path, silver):
    session, calibrated = Session(), calibrated_disks(silver)
    session.put(Stage.DISKS, detected_disks(calibrated), Job("disks.h5"))
    session.put(Stage.CALIBRATED, calibrated)
    session.put(Stage.MAP, made_map(silver, "transformer"))
    session.put(Stage.MAP, made_map(silver, "template"))
    session.set_calibration(CALIBRATION)
    session.set_pins([(1, 2)])
    session.move_to(3, 4)
    layers = {"transformer/ipf-z": {"visible": True, "opacity": 0.5}}
    session.choose(phases=(silver,), device="cpu", settings={"template": TemplateSettings(matches=3)})
    save_project(Project(session.state, layers), tmp_path / "a.4dorient.h5")
    read = load_project(tmp_path / "a.4dorient.h5")
    again = Session()
    again.restore(read.state)
    for stage in (Stage.DISKS, Stage.CALIBRATED):
        for name in ("offsets", "qx", "qy", "intensity"):
            np.testing.assert_array_equal(getattr(again.get(stage), name), getattr(session.get(stage), name))
        assert again.get(stage).reach == session.get(stage).reach
    for stage in (MapBy("transformer"), MapBy("template")):
        np.testing.assert_array_equal(again.get(stage).rotation, session.get(stage).rotation)
    assert again.state.stale == session.state.stale
    assert again.is_stale(Stage.CALIBRATED)
    assert again.record(Stage.DISKS) == session.record(Stage.DISKS)
    assert (again.calibration, again.position, again.pins) == (CALIBRATION, (3, 4), ((1, 2),))
    assert read.state.job.to_dict() == session.job.to_dict()
    assert read.layers == layers
    assert not read.warnings


def test_a_scan_is_found_where_it_was_and_beside_the_project(tmp_path, scan):
    folder = tmp_path / "moved"
    folder.mkdir()
    save_project(Project(with_scan(scan).state), folder / "a.4dorient.h5")
    read = load_project(folder / "a.4dorient.h5")
    np.testing.assert_array_equal(read.state.results[Stage.SCAN].pattern(1, 2), scan.pattern(1, 2))
    assert read.state.results[Stage.SCAN].calibration == scan.calibration
    (tmp_path / "scan.npy").rename(folder / "scan.npy")
    read = load_project(folder / "a.4dorient.h5")
    assert read.state.results[Stage.SCAN].source == str(folder / "scan.npy")


def test_a_scan_of_another_system_is_found_beside_the_project(tmp_path, scan):
    reference = {
        **with_fingerprint(reference_of(scan), tmp_path),
        "path": r"D:\data\scan.npy",
        "relative": None,
    }
    assert open_reference(reference, tmp_path).source == str(tmp_path / "scan.npy")


def test_a_scan_that_is_gone_or_changed_is_told_and_the_rest_opens(tmp_path, scan):
    path, data = tmp_path / "a.4dorient.h5", tmp_path / "scan.npy"
    save_project(Project(with_scan(scan).state), path)
    content = bytearray(data.read_bytes())
    content[-1] ^= 1
    data.write_bytes(content)
    read = load_project(path)
    assert Stage.SCAN not in read.state.results
    assert Stage.PROBE in read.state.results
    assert "changed" in read.warnings[0]
    save_project(read, path)  # saving what is left must not take the changed file for the scan
    assert "changed" in load_project(path).warnings[0]
    data.unlink()
    assert "is not there" in load_project(path).warnings[0]


def test_every_byte_of_a_small_file_counts_in_its_seal(tmp_path):
    path = tmp_path / "file"
    content = bytearray(np.random.default_rng(0).bytes(300_000))
    path.write_bytes(content)
    known = fingerprint_of(path)["sha256"]
    for where in (0, 70_001, 150_000, 299_999):
        content[where] ^= 1
        path.write_bytes(content)
        assert fingerprint_of(path)["sha256"] != known
        content[where] ^= 1


def test_foreign_and_damaged_files_are_refused(tmp_path, scan):
    path = tmp_path / "a.4dorient.h5"
    with pytest.raises(UserError, match=r"a\.4dorient\.h5 does not exist"):
        load_project(path)
    path.write_bytes(b"no HDF5")
    with pytest.raises(UserError, match="damaged"):
        load_project(path)
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(UserError, match="not a project file"):
        load_project(path)
    save_project(Project(with_scan(scan).state), path)
    assert is_project_file(path)
    with h5py.File(path, "r+") as file:
        del file["session"]
    with pytest.raises(UserError, match="damaged"):
        load_project(path)


def test_a_project_can_be_saved_while_another_is(tmp_path):
    """The window keeps work aside in one thread while the user saves it in another."""
    project = Project(Session().state)

    def meanwhile(done, total):
        if not (tmp_path / "b.4dorient.h5").exists():
            save_project(project, tmp_path / "b.4dorient.h5")

    save_project(project, tmp_path / "a.4dorient.h5", meanwhile)
    assert (
        load_project(tmp_path / "a.4dorient.h5").warnings == load_project(tmp_path / "b.4dorient.h5").warnings
    )

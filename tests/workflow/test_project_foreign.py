"""Projects that somebody else may have written."""

import json
import os
import time

import h5py
import numpy as np
import pytest

from helpers import foreign_files
from helpers.gui_scan import calibrated_disks
from helpers.made_maps import CU, some_map
from helpers.spoiling import pipe_in
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.detection.probe import synthetic_probe
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient.workflow.job import Job
from napari_4dstem_orient.workflow.project import Project, load_project, save_project
from napari_4dstem_orient.workflow.reference import job_of
from napari_4dstem_orient.workflow.session import MapBy, Session, Stage


@pytest.fixture
def project(tmp_path, small_scan):
    np.save(tmp_path / "scan.npy", small_scan.data.compute())
    session, scan = Session(), load(tmp_path / "scan.npy")
    session.put(Stage.SCAN, scan, job_of(scan))
    session.choose(phases=(CU,), method="template", detection=DetectionSettings(), device="cpu")
    probe = synthetic_probe(3.0, scan.detector_shape)
    session.put(Stage.PROBE, probe, Job(probe=3.0))
    session.put(Stage.MAP, some_map((3, 4), (CU,), method="template"), session.job)
    path = tmp_path / "work.4dorient.h5"
    save_project(Project(session.state, {"a": {"visible": True, "opacity": 0.5}}), path)
    return path


def retold(path, change):
    with h5py.File(path, "r+") as file:
        told = json.loads(file["session"].asstr()[()])
        change(told)
        del file["session"]
        file["session"] = json.dumps(told)


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.update(records=[]),
        lambda told: told["records"]["probe"].update(made=5),
        lambda told: told["records"].update(nothing={"made": "2026-01-01T00:00:00", "job": {}}),
        lambda told: told.update(models=[{"path": 5, "sha256": ""}]),
        lambda told: told.update(scan={"path": ["a"]}),
        lambda told: told.update(scan={"path": "a", "scan_shape": [3]}),
        lambda told: told["calibration"].update(voltage="300"),
        lambda told: told["calibration"].update(q_pixel=float("inf")),
        lambda told: told.update(position=["1", 2]),
        lambda told: told.update(pins=[[1, 2, 3]]),
        lambda told: told.update(layers={"a": 5}),
        lambda told: told.update(stale=["everything"]),
        lambda told: told.update(more=1),
        lambda told: told.pop("job"),
    ],
)
def test_a_project_of_other_types_is_refused(project, change):
    assert load_project(project).warnings == ()
    retold(project, change)
    with pytest.raises(UserError, match=r"work\.4dorient\.h5 cannot be read as a project file"):
        load_project(project)


def test_a_rotation_from_nowhere_is_refused(project):
    retold(project, lambda told: told["calibration"].update(rotation_from="hearsay"))
    with pytest.raises(UserError, match=r"work\.4dorient\.h5: .*rotation comes from 'hearsay'"):
        load_project(project)


def test_a_project_that_does_not_say_who_told_the_rotation(tmp_path, silver):
    """Nobody did, as far as one knows: the 0 of older projects is not taken for one that was typed."""
    session, path = Session(), tmp_path / "old.4dorient.h5"
    session.put(Stage.CALIBRATED, calibrated_disks(silver), session.job_for(Stage.CALIBRATED))
    save_project(Project(session.state), path)

    def forget(told):
        of_record = told["records"]["calibrated"]["job"]["calibration"]
        for known in (told["calibration"], told["read_calibration"], of_record):
            del known["rotation_from"]

    retold(path, forget)
    read = load_project(path)
    assert not read.warnings
    assert not read.state.calibration.rotation_is_known
    assert read.state.records[Stage.CALIBRATED].job.given["rotation_from"] == "unknown"


def test_settings_that_cannot_be_read_are_left_out_and_said_while_results_stay(project):
    retold(project, lambda told: told["records"]["template map"]["job"]["detection"].update({"x); y(": 1}))
    retold(project, lambda told: told["job"].update(models="all", device=5))
    retold(project, lambda told: told["layers"]["a"].update(opacity=7))
    retold(project, lambda told: told.update(pins=[[1, 1], [5, 5], [-1, 0]]))
    read = load_project(project)
    assert [said.split(" cannot")[0] for said in read.warnings] == [
        "The project's record of the template map",
        "The project's settings for the next map",
    ]
    assert read.state.records[MapBy("template")].job == Job()
    assert MapBy("template") in read.state.results
    assert (read.state.job, read.layers, read.state.pins) == (Job(), {}, ((1, 1),))


@pytest.mark.parametrize("where", ["/dev/zero", "/dev/tty", "pipe", "link", "/", "/proc/self/mem"])
def test_a_project_that_names_no_regular_file_is_opened_without_it(project, tmp_path, where):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    began = time.perf_counter()
    named = str(tmp_path / where)
    with h5py.File(project, "r+") as file:
        told = json.loads(file["session"].asstr()[()])
        told["scan"] = {"path": named, "relative": where}
        told["models"] = [{"path": named, "sha256": "0" * 64}]
        del file["session"]
        file["session"] = json.dumps(told)
    for seal in ({}, {"seal": {"sha256": "0" * 64}}):
        retold(project, lambda told, seal=seal: told["scan"].update(seal))
        read = load_project(project)
        assert Stage.SCAN not in read.state.results
        assert MapBy("template") in read.state.results
        assert read.state.job.models == ()
        assert len(read.warnings) == 2
    assert time.perf_counter() - began < 5


def test_a_huge_file_with_nothing_in_it_is_not_read_whole(project, tmp_path):
    with (tmp_path / "huge.safetensors").open("wb") as file:
        file.truncate(2**43)
    retold(
        project,
        lambda told: told.update(models=[{"path": str(tmp_path / "huge.safetensors"), "sha256": "0" * 64}]),
    )
    retold(project, lambda told: told["scan"].update(path=str(tmp_path / "huge.safetensors"), relative=None))
    began = time.perf_counter()
    assert "huge.safetensors is not there or has changed" in load_project(project).warnings[1]
    assert time.perf_counter() - began < 5


def test_a_probe_that_is_none_is_refused(project):
    for name, change in {
        "nan": lambda kernel: np.where(kernel == kernel.max(), np.nan, kernel),
        "flat": lambda kernel: kernel[0],
        "empty": lambda kernel: kernel[:0],
        "nothing": lambda kernel: 0 * kernel,
    }.items():
        with h5py.File(project, "r+") as file:
            kernel, about = file["probe"][()], dict(file["probe"].attrs)
            del file["probe"]
            file["probe"] = change(kernel)
            file["probe"].attrs.update(about)
        with pytest.raises(UserError, match=r"work\.4dorient\.h5 cannot be read as a project file \(.*probe"):
            load_project(project)
        with h5py.File(project, "r+") as file:
            del file["probe"]
            file["probe"] = kernel
            file["probe"].attrs.update(about)
        assert load_project(project).state.results[Stage.PROBE].radius == 3, name


@pytest.mark.parametrize("name", ["probe", "disks", "template map"])
def test_a_part_of_a_project_that_is_a_link_to_a_pipe(tmp_path, name):
    path = foreign_files.project(tmp_path)
    with pipe_in(tmp_path) as pipe:
        with h5py.File(path, "r+") as file:
            del file[name]
            file[name] = h5py.ExternalLink(str(pipe), "/x")
        began = time.perf_counter()
        with pytest.raises(UserError, match=rf"a\.4dorient\.h5 cannot be read as a project file .*{name}"):
            load_project(path)
        assert time.perf_counter() - began < 5

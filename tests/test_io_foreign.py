"""Result files, projects and kept chunks that somebody else may have written."""

import json
import os
import time
import zipfile
from dataclasses import asdict

import h5py
import numpy as np
import pytest

from made_maps import CU, some_map, sure
from napari_4dstem_orient.batch import scans_in
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.detection.probe import synthetic_probe
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.io import reading as edge
from napari_4dstem_orient.io.bragg_peaks import is_disk_file
from napari_4dstem_orient.io.formats import hdf5
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient.io.partial import load_rows, save_rows
from napari_4dstem_orient.io.project import Project, is_project_file, load_project, save_project
from napari_4dstem_orient.io.reference import reference_of
from napari_4dstem_orient.io.result import is_map_file, load_map, made_from, save_map
from napari_4dstem_orient.parameters import from_plain
from napari_4dstem_orient.records import detection_record, probe_settings
from napari_4dstem_orient.scan import Calibration
from napari_4dstem_orient.session import Session, Stage


@pytest.fixture
def saved(tmp_path):
    save_map(sure(some_map(phases=(CU,))), tmp_path / "map.h5")
    return tmp_path / "map.h5"


def replaced(path, name, change):
    with h5py.File(path, "r+") as file:
        values = change(file[name][()])
        del file[name]
        file[name] = values


def first(value):
    def change(values):
        values.flat[0] = value
        return values

    return change


def stretched(values):
    values[0, 0] *= 1.01
    return values


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("score", first(np.nan), "score holds values outside"),
        ("score", first(np.inf), "score holds values outside"),
        ("score", first(1.5), "score holds values outside"),
        ("score", first(-0.1), "score holds values outside"),
        ("rotation", stretched, "rotation holds"),
        ("rotation", first(np.nan), "rotation holds"),
        ("rotation", lambda values: values[..., ::-1], "rotation holds matrices that are no rotations"),
        ("runner_up", first(np.nan), "runner_up holds"),
        ("runner_up_score", first(np.inf), "runner_up_score holds"),
        ("runner_up", lambda values: 0.9 * values, "runner_up holds matrices that are no rotations"),
        ("phase_id", first(-2), "phase_id holds values outside -1 to 0"),
        ("phase_id", lambda values: values + np.int64(2**32), "phase_id holds int64 that are no int32"),
        ("phase_id", lambda values: values + 0.4, "phase_id holds float64 that are no int32"),
        ("reason", first(77), "reason holds values outside 0 to"),
        ("reason", lambda values: values.astype(np.int8) - 3, "reason holds int8 that are no uint8"),
        ("explained", first(-5), "explained holds"),
        ("reliability", first(2.0), "reliability holds"),
        ("phase_margin", first(np.nan), "phase_margin holds"),
        ("doubt", first(255), "doubt holds"),
        ("score", lambda values: values.astype("S4"), "it holds no numbers called score"),
        ("score", lambda values: values[:-1], "score has the shape"),
    ],
)
def test_a_map_with_what_no_map_has_is_refused(saved, name, change, said):
    assert load_map(saved).certainty is not None
    replaced(saved, f"orientation/{name}", change)
    with pytest.raises(UserError, match=rf"map\.h5 cannot be read as a result file \({said}"):
        load_map(saved)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("provenance", "[1, 2]"),
        ("provenance", '{"exploratory": [1]}'),
        ("provenance", "[" * 200_000),
        ("provenance", "\ud800"),
        ("orientation/phases", "{}"),
        ("orientation/phases", json.dumps([CU.to_dict() | {"cell": [3.6] * 5}])),
        ("orientation/phases", json.dumps([CU.to_dict() | {"cell": [0.001, 900, 900, 90, 90, 90]}])),
        ("orientation/phases", json.dumps([CU.to_dict() | {"numbers": [29.5] * 4}])),
        ("orientation/phases", json.dumps([CU.to_dict() | {"occupancy": [1, 1, 1, -1]}])),
        ("orientation/phases", json.dumps([CU.to_dict() | {"positions": [[0, 0, float("nan")]] * 4}])),
        ("orientation/phases", json.dumps([CU.to_dict() | {"name": ["Cu"]}])),
    ],
)
def test_texts_that_say_no_map_are_refused(saved, name, text):
    with h5py.File(saved, "r+") as file:
        del file[name]
        file[name] = text.encode("utf-8", "surrogatepass")
    with pytest.raises(UserError, match=r"map\.h5 cannot be read as a result file") as told:
        load_map(saved)
    assert len(str(told.value)) <= 500


def test_sizes_are_checked_before_anything_is_allocated(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(edge, "room", lambda: 2**28)
    with h5py.File(saved, "r+") as file:
        del file["orientation/rotation"]
        file["orientation"].create_dataset(
            "rotation", (4000, 4000, 3, 3), "f4", chunks=(100, 100, 3, 3), compression="gzip"
        )
    with pytest.raises(UserError, match=r"map\.h5: What is stored as rotation would take 0\.536 GiB"):
        load_map(saved)
    with (
        zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as packed,
        packed.open("about.npy", "w") as out,
    ):
        for _ in range(300):
            out.write(bytes(2**20))
    with pytest.raises(UserError, match=r"bomb\.npz: What is kept would take"):
        load_rows(tmp_path / "bomb.npz")


def test_declared_scans_that_no_memory_holds_are_refused_at_once(tmp_path):
    began = time.perf_counter()
    with h5py.File(tmp_path / "wide.h5", "w") as file:
        file.create_dataset("data", (2**20, 2**20, 64, 64), "u2", chunks=(1, 1, 64, 64))
    with h5py.File(tmp_path / "piece.h5", "w") as file:
        file.create_dataset("data", (64, 64, 512, 512), "u4", chunks=(64, 64, 256, 256), compression="gzip")
    with h5py.File(tmp_path / "pixels.h5", "w") as file:
        file.create_dataset("data", (2, 2, 2**20, 2**20), "u2", chunks=(1, 1, 64, 64))
    for name, said in (
        ("wide", "scan positions"),
        ("piece", "together in one piece"),
        ("pixels", "any detector"),
    ):
        with pytest.raises(UserError, match=rf"{name}\.h5: .*{said}"):
            load(tmp_path / f"{name}.h5")
    assert time.perf_counter() - began < 5


def linked(path, pipe):
    """A file whose links lead to a pipe, to themselves and nowhere."""
    os.mkfifo(pipe)
    with h5py.File(path, "w") as file:
        file["orientation/rotation"] = h5py.ExternalLink(str(pipe), "/x")
        file["round"] = h5py.SoftLink("/round")
        file["there"] = h5py.SoftLink("/back")
        file["back"] = h5py.SoftLink("/there")
        file["nowhere"] = h5py.ExternalLink("gone.h5", "/x")
        file.create_group("group")
        file["group/itself"] = file["group"]
        file["data"] = np.ones((2, 3, 16, 16), np.uint16)
    return path


def test_links_that_lead_to_pipes_or_round_in_circles_end(tmp_path, saved):
    began = time.perf_counter()
    path = linked(tmp_path / "links.h5", tmp_path / "pipe.h5")
    assert load(path).scan_shape == (2, 3)
    for is_file in (is_map_file, is_disk_file, is_project_file):
        assert not is_file(path)
        assert not is_file(tmp_path / "pipe.h5")
    with h5py.File(path) as file:
        for name in (
            "round",
            "there",
            "nowhere",
            "orientation/rotation",
            "group/itself/itself/nothing",
            "data/x",
        ):
            assert hdf5.member(file, name) is None
        assert hdf5.member(file, "group/itself/itself") == file["group"]
    with h5py.File(saved, "r+") as file:
        del file["orientation/score"]
        file["orientation/score"] = h5py.ExternalLink("pipe.h5", "/x")
    with pytest.raises(UserError, match="no numbers called score"):
        load_map(saved)
    assert scans_in(tmp_path) == [path]
    assert made_from(tmp_path / "pipe.h5") is None
    assert time.perf_counter() - began < 5


def test_a_link_to_another_file_is_followed(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["entry/patterns"] = np.ones((2, 3, 16, 16), np.uint16)
    (tmp_path / "moved").mkdir()
    for name, said in (("near.h5", "data.h5"), ("far.h5", "/nowhere/data.h5"), ("moved/up.h5", "../data.h5")):
        with h5py.File(tmp_path / name, "w") as file:
            file["patterns"] = h5py.ExternalLink(said, "/entry/patterns")
        assert load(tmp_path / name).scan_shape == (2, 3)


def test_data_that_lie_in_a_pipe_or_device_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    space = h5py.h5s.create_simple((2, 3, 16, 16))
    for name in ("pipe", "/dev/zero"):
        with h5py.File(tmp_path / "outside.h5", "w") as file:
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_external(name.encode(), 0, 2 * 3 * 16 * 16 * 2)
            h5py.h5d.create(file.id, b"data", h5py.h5t.NATIVE_UINT16, space, plist)
        with pytest.raises(
            UserError, match=rf"outside\.h5: The data of /data lie in .*{name}, which is no regular"
        ):
            load(tmp_path / "outside.h5")


def test_kept_disks_that_contradict_themselves_are_refused(tmp_path, few_disks):
    path = tmp_path / "chunk.npz"
    save_rows(few_disks, path)
    assert len(load_rows(path)) == len(few_disks)
    with np.load(path) as stored:
        whole = {name: stored[name] for name in stored}
    about = json.loads(str(whole["about"]))
    for name, values in {
        "qx": np.where(np.arange(25) == 3, np.nan, whole["qx"]),
        "intensity": np.full(25, np.inf),
        "qy": whole["qy"].astype("S"),
        "offsets": whole["offsets"][::-1],
        "about": np.array(json.dumps(about | {"scan_shape": [-2, -3]})),
        "extra": np.zeros(3),
    }.items():
        np.savez(path, **{**whole, name: values})
        with pytest.raises(UserError, match=r"chunk\.npz cannot be read as kept disks"):
            load_rows(path)
    for wrong in (
        {"reach": "far"},
        {"provenance": []},
        {"calibrated": 1},
        {"reach": float("nan")},
        {"more": 1},
    ):
        np.savez(path, **{**whole, "about": np.array(json.dumps(about | wrong))})
        with pytest.raises(UserError, match=r"chunk\.npz cannot be read as kept disks"):
            load_rows(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"edge": 2.5},
        {"edge": "2"},
        {"edge": True},
        {"edge": 10**30},
        {"gain": float("nan")},
        {"min_intensity": None},
        {"engine": "__import__('os')"},
        {"edge=1); import os; (x": 1},
        [1],
    ],
)
def test_settings_from_elsewhere_are_of_their_types_and_ranges(wrong):
    settings = DetectionSettings(edge=5, gain=2.5)
    assert from_plain(DetectionSettings, asdict(settings)) == settings
    assert from_plain(Calibration, {"distortion": [0.1, 0], "voltage": 300}).distortion == (0.1, 0.0)
    with pytest.raises(ValueError, match=r"^(DetectionSettings|edge|engine)[ :]"):
        from_plain(DetectionSettings, wrong)


@pytest.fixture
def project(tmp_path, small_scan):
    np.save(tmp_path / "scan.npy", small_scan.data.compute())
    session, scan = Session(), load(tmp_path / "scan.npy")
    session.put(Stage.SCAN, scan, settings=reference_of(scan))
    probe = synthetic_probe(3.0, scan.detector_shape)
    session.put(Stage.PROBE, probe, settings=probe_settings(probe))
    session.put(Stage.TEMPLATE_MAP, some_map((3, 4), (CU,)), detection_record(DetectionSettings(), "cpu"))
    path = tmp_path / "work.4dorient.h5"
    save_project(
        Project(session.state, (CU,), (), {"device": "cpu"}, {"a": {"visible": True, "opacity": 0.5}}), path
    )
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
        lambda told: told["records"].update(nothing={"made": "2026-01-01T00:00:00", "settings": {}}),
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
        lambda told: told.pop("settings"),
    ],
)
def test_a_project_of_other_types_is_refused(project, change):
    assert load_project(project).warnings == ()
    retold(project, change)
    with pytest.raises(UserError, match=r"work\.4dorient\.h5 cannot be read as a project file"):
        load_project(project)


def test_settings_that_cannot_be_read_are_left_out_and_said_while_results_stay(project):
    retold(
        project, lambda told: told["records"]["template map"]["settings"]["detection"].update({"x); y(": 1})
    )
    retold(project, lambda told: told["settings"].update(models="all", device=5))
    retold(project, lambda told: told["layers"]["a"].update(opacity=7))
    retold(project, lambda told: told.update(pins=[[1, 1], [5, 5], [-1, 0]]))
    read = load_project(project)
    assert [said.split(" cannot")[0] for said in read.warnings] == [
        "The project's record of the template map",
        "The project's settings for the next map",
    ]
    assert read.state.records[Stage.TEMPLATE_MAP].settings == {}
    assert Stage.TEMPLATE_MAP in read.state.results
    assert (read.settings, read.layers, read.state.pins) == ({}, {}, ((1, 1),))


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
        assert Stage.TEMPLATE_MAP in read.state.results
        assert read.models == ()
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


def test_a_phase_says_its_name_in_one_line():
    phase = Phase.from_dict(CU.to_dict() | {"name": "Cu\n# evil\r" + "x" * 1000})
    assert phase.name.startswith("Cu # evil xxx")
    assert len(phase.name) == 120

"""Result files and kept chunks that somebody else may have written, and the links of HDF5 files."""

import json
import os
import time
import zipfile
from dataclasses import asdict

import h5py
import numpy as np
import pytest

from helpers.made_maps import CU, some_map, sure
from napari_4dstem_orient.core import hdf5_access as hdf5
from napari_4dstem_orient.core import reading as edge
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.parameters import from_plain
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.export.registry import export
from napari_4dstem_orient.io.bragg_peaks import is_disk_file
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient.io.result import is_map_file, load_map, made_from, save_map
from napari_4dstem_orient.workflow.batch import scans_in
from napari_4dstem_orient.workflow.project import is_project_file
from napari_4dstem_orient.workflow.store import load_rows, save_rows
from napari_4dstem_orient_evaluation.benchmarks.memory import peak_bytes


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
        ("explained", first(10**9), "explained holds values outside 0 to 65536"),
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
        ("pixels", "larger than can be worked on"),
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


@pytest.mark.posix
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


@pytest.mark.posix
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


def test_a_phase_says_its_name_in_one_line():
    phase = Phase.from_dict(CU.to_dict() | {"name": "Cu\n# evil\r" + "x" * 1000})
    assert phase.name.startswith("Cu # evil xxx")
    assert len(phase.name) == 120


def test_names_and_reasons_of_a_foreign_map_stay_in_their_line_of_every_table(saved, tmp_path):
    named = [CU.to_dict() | {"name": '=HYPERLINK("http://x")\nGRID: HexGrid'}]
    reasons = {"exploratory": ["typed\nNOTES: End\nVERSION 1\r\n=1+1"]}
    with h5py.File(saved, "r+") as file:
        for name, told in (("orientation/phases", named), ("provenance", reasons)):
            del file[name]
            file[name] = json.dumps(told)
    answer = load_map(saved)
    assert answer.phases[0].name == 'HYPERLINK("http://x") GRID: HexGrid'
    assert answer.exploratory == "exploratory: typed NOTES: End VERSION 1 =1+1"
    export(answer, tmp_path, ["ang", "ctf", "csv"], "out")
    for kind in ("ang", "ctf", "csv"):
        lines = (tmp_path / f"out.{kind}").read_text().splitlines()
        assert not [
            line
            for line in lines
            if line.lstrip("# ").startswith(("GRID: Hex", "VERSION 1", "=", "NOTES: End V"))
        ]


@pytest.mark.posix
@pytest.mark.parametrize("packing", [{}, {"chunks": (1, 1, 16, 16)}, {"chunks": True, "compression": "gzip"}])
def test_numbers_that_a_file_promises_and_does_not_hold_are_not_allocated(saved, packing):
    """A quarter of a gibibyte in a file of 40 kB, and several times that to look at it."""
    with h5py.File(saved, "r+") as file:
        del file["orientation/runner_up"]
        file.create_dataset("orientation/runner_up", (1, 1, 2**8, 2**20), "u1", **packing)
    before = peak_bytes()
    with pytest.raises(UserError, match="it promises 268,435,456 bytes as runner_up and holds 0"):
        load_map(saved)
    assert peak_bytes() - before < 2**27


def test_what_packs_well_is_read(tmp_path):
    """A map of nothing but noughts, packed as tightly as gzip does."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset(
            "x", data=np.zeros((2**13, 2**12), np.uint8), chunks=(2**13, 2**12), compression=9
        )
        assert file["x"].id.get_storage_size() * 1000 < 2**25
        assert not hdf5.array(file, "x").any()

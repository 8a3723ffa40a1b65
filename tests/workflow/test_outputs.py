"""What is read is never written over; what somebody else made is not replaced unasked."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from helpers.made_maps import CU, TI, some_map, sure
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.hdf5_access import places
from napari_4dstem_orient.core.inputs import inputs_of, refuse_inputs
from napari_4dstem_orient.core.ours import made_here
from napari_4dstem_orient.core.resource_files import resource
from napari_4dstem_orient.export.registry import FORMATS, ExportError, export, export_files
from napari_4dstem_orient.io.bragg_peaks import load_disks, save_disks
from napari_4dstem_orient.io.companions import files_of
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient.io.result import FORMAT as RESULT
from napari_4dstem_orient.workflow.outputs import check_outputs
from napari_4dstem_orient.workflow.project import FORMAT as PROJECT

SCAN = b"measured"
HDF5 = {name: one.hdf5 for name, one in FORMATS.items() if one.hdf5}


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "data" / "scan.h5"
    path.parent.mkdir()
    path.write_bytes(SCAN)
    return path


def some_disks(**fields):
    lists = [np.array([[0, 0, 9.0], [3.0, 4.0, 2.0]])] * 28
    return replace(BraggDisks.from_lists((4, 7), lists, detector_shape=(64, 64)), **fields)


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


# ---------------------------------------------------------------- an output that is an input


def as_it_is(scan):
    return scan


def by_a_detour(scan):
    return scan.parent / ".." / "data" / "scan.h5"


def relative(scan):
    return Path("scan.h5")


def symbolic_link(scan):
    (scan.parent / "link.h5").symlink_to(scan)
    return scan.parent / "link.h5"


def link_to_the_folder(scan):
    (scan.parent.parent / "other").symlink_to(scan.parent)
    return scan.parent.parent / "other" / "scan.h5"


def hard_link(scan):
    os.link(scan, scan.parent / "hard.h5")
    return scan.parent / "hard.h5"


def in_capitals(scan):
    return scan.parent / "SCAN.H5"


def folder_in_capitals(scan):
    return scan.parent.parent / "Data" / "scan.h5"


def under_home(scan):
    return Path("~/data/scan.h5")


@pytest.mark.parametrize(
    "named",
    [
        as_it_is,
        by_a_detour,
        relative,
        symbolic_link,
        link_to_the_folder,
        hard_link,
        in_capitals,
        folder_in_capitals,
        under_home,
    ],
)
@pytest.mark.parametrize("source", ["{}", "{}::/data"])
@pytest.mark.parametrize("force", [False, True])
def test_an_input_is_refused_whatever_it_is_called(scan, named, source, force, monkeypatch):
    monkeypatch.chdir(scan.parent)
    monkeypatch.setenv("HOME", str(scan.parent.parent))
    output = named(scan)
    before = names(scan.parent)
    with pytest.raises(UserError, match="choose another name") as told:
        check_outputs([(output, "h5")], [source.format(scan)], force)
    assert "the input" in str(told.value)
    assert scan.read_bytes() == SCAN
    assert names(scan.parent) == before


@pytest.mark.parametrize("given", ["data/scan.h5", "~/data/scan.h5", "data/link.h5"])
def test_the_input_may_be_named_in_any_way_too(scan, given, monkeypatch):
    monkeypatch.chdir(scan.parent.parent)
    monkeypatch.setenv("HOME", str(scan.parent.parent))
    (scan.parent / "link.h5").symlink_to("scan.h5")
    with pytest.raises(UserError, match="is the input"):
        check_outputs([(scan, "h5")], [given], force=True)


def test_other_names_are_free(scan):
    check_outputs([(scan.parent / "scan2.h5", "h5"), (scan.parent / "result.h5", "h5")], [scan])
    refuse_inputs(scan, ["", "synthetic", scan.parent / "missing.h5"])
    assert names(scan.parent) == ["scan.h5"]


def test_two_names_of_one_capitals_apart_are_two_files_only_here(scan):
    other = scan.with_name("Scan.h5")
    other.write_bytes(b"another scan")
    with pytest.raises(UserError, match="capitals and small letters are the same"):
        check_outputs([(other, "h5")], [scan], force=True)
    assert other.read_bytes() == b"another scan"


def test_nothing_is_written_into_an_input_that_is_a_folder(tmp_path):
    store = tmp_path / "scan.zspy"
    (store / "Experiments").mkdir(parents=True)
    for output in (store / "result.h5", store / "Experiments" / "result.h5"):
        with pytest.raises(UserError, match="lies in the input"):
            check_outputs([(output, "h5")], [store], force=True)
    check_outputs([(tmp_path / "result.h5", "h5")], [store])
    assert names(store) == ["Experiments"]


def test_a_folder_that_is_no_scan_may_be_written_into(tmp_path):
    (tmp_path / "Cu").mkdir()
    check_outputs([(tmp_path / "Cu" / "result.h5", "h5")], [tmp_path / "Cu"])


def test_one_file_is_not_written_twice(tmp_path):
    for first, second in (("r.hspy", "r.hspy"), ("r.hspy", "R.hspy")):
        with pytest.raises(UserError, match="written twice"):
            check_outputs([(tmp_path / first, "h5"), (tmp_path / second, "hspy")])
    assert not names(tmp_path)


# ---------------------------------------------------------------- what belongs to an input


def test_the_files_beside_a_merlin_file_are_inputs_too(tmp_path):
    for name in ("a1.mib", "a2.mib", "a.hdr", "a1.hdr", "b1.mib", "b.hdr", "a.txt"):
        (tmp_path / name).write_bytes(b"MQ1,")
    assert {path.name for path in files_of(tmp_path / "a1.mib")} == {"a1.mib", "a2.mib", "a.hdr", "a1.hdr"}
    with pytest.raises(UserError, match=r"a\.hdr is the input"):
        check_outputs([(tmp_path / "a.hdr", "")], [tmp_path / "a1.mib"], force=True)


def test_the_two_files_of_an_empad_scan_are_inputs_both(tmp_path):
    (tmp_path / "scan.raw").write_bytes(b"0" * 100)
    (tmp_path / "settings.xml").write_text("<root><raw_file filename='C:\\data\\Scan.raw'/></root>")
    (tmp_path / "other.xml").write_text("<root/>")
    both = {"scan.raw", "settings.xml"}
    assert {path.name for path in files_of(tmp_path / "scan.raw")} == both
    assert {path.name for path in files_of(tmp_path / "settings.xml")} == both


def test_the_parts_of_a_tvips_stream_are_inputs(tmp_path):
    for name in ("s_000.tvips", "s_001.tvips", "t_000.tvips"):
        (tmp_path / name).write_bytes(b"0")
    assert {path.name for path in files_of(tmp_path / "s_000.tvips")} == {"s_000.tvips", "s_001.tvips"}


def test_what_an_hdf5_file_links_to_is_an_input(tmp_path):
    for name in ("linked.h5", "virtual.h5", "scan.h5", "scan_data_000009.h5"):
        with h5py.File(tmp_path / name, "w") as file:
            file["data"] = np.zeros((2, 8, 8), np.uint16)
    (tmp_path / "plain.bin").write_bytes(bytes(64))
    with h5py.File(tmp_path / "scan_master.h5", "w") as file:
        file["entry/data/data_000001"] = h5py.ExternalLink("linked.h5", "/data")
        file["entry/gone"] = h5py.ExternalLink("gone.h5", "/data")
        file["loop"] = h5py.SoftLink("/loop")
        file["entry/up"] = file["entry"]
        layout = h5py.VirtualLayout((2, 8, 8), np.uint16)
        layout[:] = h5py.VirtualSource("virtual.h5", "data", (2, 8, 8))
        file.create_virtual_dataset("together", layout)
        file.create_dataset("outside", (8, 8), np.uint8, external=[("plain.bin", 0, 64)])
    found = {path.name for path in files_of(f"{tmp_path / 'scan_master.h5'}::/entry")}
    assert found == {
        "scan_master.h5",
        "linked.h5",
        "gone.h5",
        "virtual.h5",
        "plain.bin",
        "scan.h5",
        "scan_data_000009.h5",
    }


def test_what_is_linked_is_an_input_wherever_hdf5_finds_it(tmp_path, monkeypatch):
    """Links to links, a file that is itself a link, folders that are gone, and the current folder."""
    (tmp_path / "far").mkdir()
    data = np.arange(2 * 2 * 8 * 8, dtype=np.uint16).reshape(2, 2, 8, 8)
    with h5py.File(tmp_path / "far" / "data.h5", "w") as file:
        file["data"] = data
    with h5py.File(tmp_path / "far" / "middle.h5", "w") as file:
        file["data"] = h5py.ExternalLink("data.h5", "/data")
    with h5py.File(tmp_path / "far" / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout(data.shape, data.dtype)
        layout[:] = h5py.VirtualSource("data.h5", "data", data.shape)
        file.create_virtual_dataset("data", layout)
    with h5py.File(tmp_path / "first.h5", "w") as file:
        file["data"] = h5py.ExternalLink("far/middle.h5", "/data")
    with h5py.File(tmp_path / "far" / "moved.h5", "w") as file:
        file["data"] = h5py.ExternalLink("/gone/data.h5", "/data")
    with h5py.File(tmp_path / "far" / "here.h5", "w") as file:
        file["data"] = h5py.ExternalLink("far/data.h5", "/data")
    for name in ("middle", "virtual"):
        (tmp_path / f"{name}.h5").symlink_to(tmp_path / "far" / f"{name}.h5")
    monkeypatch.chdir(tmp_path)
    for name in ("first", "far/moved", "far/here", "middle", "virtual"):
        source = tmp_path / f"{name}.h5"
        np.testing.assert_array_equal(load(source).data.compute(), data)  # it is what is read
        with pytest.raises(UserError, match=r"data\.h5 is the input"):
            check_outputs([(tmp_path / "far" / "data.h5", "h5")], [source], force=True)


def test_parts_by_number_are_inputs(tmp_path):
    names = {f"part-{number}.h5" for number in range(3)}
    for name in (*names, "part.h5"):
        (tmp_path / name).touch()
    assert {path.name for path in places(tmp_path / "scan.h5", "part-%b.h5")} == names


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(500)])
def test_a_damaged_input_is_at_least_itself(tmp_path, content):
    (tmp_path / "scan.h5").write_bytes(content)
    assert files_of(tmp_path / "scan.h5") == ([tmp_path / "scan.h5"] if content else [])
    assert files_of(tmp_path / "missing.h5") == []


# ---------------------------------------------------------------- what this program made


def test_every_file_that_is_written_is_known_again(tmp_path):
    made = sure(some_map(phases=(CU, TI)))
    export(made, tmp_path, FORMATS, "grain", some_disks())
    for file, name in export_files(FORMATS, "grain", made).items():
        assert made_here(tmp_path / file, HDF5.get(name, "")), file
    files = [(tmp_path / file, name) for file, name in export_files(FORMATS, "grain").items()]
    check_outputs(files)  # the same command again


@pytest.mark.parametrize("name", FORMATS)
def test_what_somebody_else_made_is_not_replaced_unless_forced(tmp_path, name):
    (file, *_) = export_files([name], "grain")
    path = tmp_path / file
    if name in HDF5:
        with h5py.File(path, "w") as foreign:
            foreign["data"] = np.zeros(3)
            foreign["napari-4dstem-orient 0.1.0"] = "a name within"
    else:
        path.write_text("# phase,x,y\nfound with napari-4dstem-orient 0.1.0 in March\n")
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"not made by this command.*--force"):
        check_outputs([(path, name)])
    assert path.read_bytes() == before
    check_outputs([(path, name)], force=True)
    assert path.read_bytes() == before
    assert names(tmp_path) == [file]


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n" + bytes(40), b"text", bytes(100)])
def test_whatever_cannot_be_told_needs_force(tmp_path, content):
    path = tmp_path / "report.md"
    path.write_bytes(content)
    with pytest.raises(UserError, match="--force"):
        check_outputs([(path, "")])


def test_one_of_ours_is_not_replaced_by_another_kind(tmp_path):
    save_disks(some_disks(), tmp_path / "disks.h5")
    some_map().save(tmp_path / "map.h5")
    with h5py.File(tmp_path / "project.h5", "w") as file:
        file.attrs["format"] = PROJECT
    right = {"disks.h5": "emd", "map.h5": "h5", "project.h5": None}
    for file, kind in right.items():
        for name in HDF5:
            assert made_here(tmp_path / file, HDF5[name]) == (name == kind), (file, name)


@pytest.mark.parametrize("name", sorted(HDF5))
def test_a_model_or_picture_replaces_none_of_our_maps_and_disks(tmp_path, name):
    (file, *_) = export_files([name], "grain")
    export(some_map(), tmp_path, [name], "grain", some_disks())
    assert made_here(tmp_path / file, HDF5[name])
    with pytest.raises(UserError, match="--force"):
        check_outputs([(tmp_path / file, "")])


def test_models_and_their_cards_are_known_again():
    for path in (*resource("models").glob("*.safetensors"), *resource("models").glob("*.json")):
        assert made_here(path), path


def test_the_mark_of_a_result_file_is_its_format():
    assert f"napari-4dstem-orient {HDF5['h5']}" == RESULT


# ---------------------------------------------------------------- from Python


def test_a_result_is_not_saved_over_what_it_was_made_from(tmp_path):
    scan = tmp_path / "scan.h5"
    scan.write_bytes(SCAN)
    made = replace(some_map(), provenance={"input": f"{scan}::/data"})
    with pytest.raises(UserError, match="is the input"):
        made.save(scan)
    disks = some_disks(provenance={"source": str(scan), "probe": {"source": str(tmp_path / "vacuum.h5")}})
    with pytest.raises(UserError, match="is the input"):
        save_disks(disks, scan)
    (tmp_path / "vacuum.h5").write_bytes(SCAN)
    with pytest.raises(UserError, match="is the input"):
        save_disks(disks, tmp_path / "vacuum.h5")
    assert scan.read_bytes() == (tmp_path / "vacuum.h5").read_bytes() == SCAN
    assert list(inputs_of(disks.provenance)) == [str(scan), str(tmp_path / "vacuum.h5")]


def test_an_export_over_the_scan_is_refused_and_the_others_written(tmp_path):
    scan = tmp_path / "scan.hspy"
    scan.write_bytes(SCAN)
    made = replace(some_map(), provenance={"input": str(scan)})
    with pytest.raises(ExportError, match=r"scan\.hspy is the input") as told:
        export(made, tmp_path, ["hspy", "csv"], "scan")
    assert [path.name for path in told.value.written] == ["scan.csv"]
    assert scan.read_bytes() == SCAN


def test_disks_are_not_saved_over_the_file_they_are_from(tmp_path):
    path = tmp_path / "disks.h5"
    save_disks(some_disks(), path)
    before = path.read_bytes()
    with pytest.raises(UserError, match="is the input"):
        save_disks(load_disks(path), path)
    assert path.read_bytes() == before
    shutil.copy(path, tmp_path / "copy.h5")
    save_disks(load_disks(path), tmp_path / "copy.h5")

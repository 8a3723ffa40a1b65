"""Files that lead to other files, or are packed into one: HDF5 links, virtual datasets, Dectris, zarr in a zip."""

import shutil
import zipfile
from importlib import import_module

import h5py
import numpy as np
import pytest

from helpers.format_files import DATA, UNITS, hspy, same, signal, zspy
from helpers.zarr_files import make_array, make_group
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.io.load import inspect, load

# rosettasciio warns about units it cannot store
pytestmark = pytest.mark.filterwarnings("ignore")

FLAT = DATA.reshape(12, 10, 12)


def dectris(folder, master="renamed.h5", part="data_{}.h5", kind=h5py.ExternalLink):
    """A master and three files of 5, 5 and 2 patterns."""
    with h5py.File(folder / master, "w") as file:
        group = file.create_group("entry/data")
        for number, start in enumerate((0, 5, 10), 1):
            with h5py.File(folder / part.format(number), "w") as other:
                other["entry/data/data"] = FLAT[start : start + 5]
            group[f"data_{number:06d}"] = kind(part.format(number), "entry/data/data")
    return folder / master


@pytest.mark.parametrize("master", ["renamed.h5", "a.hdf5", "A_MASTER.H5", "größe 1.nxs"])
def test_dectris_master_of_any_name(tmp_path, master):
    path = dectris(tmp_path, master)
    assert inspect(path).format == "Dectris Arina"
    with pytest.raises(UserError, match=r"holds 12 patterns in a flat stack"):
        load(path)
    same(load(path, scan_shape="3x4"), DATA)
    (tmp_path / "data_2.h5").unlink()
    with pytest.raises(UserError, match=rf"data_2.h5, which {master} points to, is missing or damaged"):
        load(path, scan_shape="3x4")


def test_dectris_parts_in_the_master_itself_and_in_the_order_of_their_numbers(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for number in range(12):
            file[f"entry/data/data_{number + 1}"] = FLAT[number : number + 1]
    same(load(path, scan_shape="3x4"), DATA)


def test_dectris_parts_that_do_not_fit(tmp_path):
    path = dectris(tmp_path)
    with h5py.File(tmp_path / "data_3.h5", "w") as other:
        other["entry/data/data"] = FLAT[10:, :, :11]
    with pytest.raises(
        UserError, match=r"renamed.h5 links to parts that do not fit together: .* of data_3.h5"
    ):
        load(path, scan_shape="3x4")


def test_a_scan_with_four_dimensions_under_a_masters_name(tmp_path):
    path = tmp_path / "a_master.h5"
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = DATA
    same(load(path), DATA)


def test_links_to_other_files_have_their_names_here(tmp_path):
    """Both are called /x where they are; the groups they lie in have one address, each in its file."""
    for number in (1, 2):
        with h5py.File(tmp_path / f"part{number}.h5", "w") as file:
            file["group/x"] = DATA + number
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for number in (1, 2):
            file[f"scan_{number}"] = h5py.ExternalLink(f"part{number}.h5", "group/x")
            file[f"whole_{number}"] = h5py.ExternalLink(f"part{number}.h5", "group")
    assert [facts.name for facts in inspect(path).datasets] == ["/scan_1", "/scan_2"]
    for number in (1, 2):
        same(load(path, f"scan_{number}"), DATA + number)
        same(load(path, f"whole_{number}"), DATA + number)


def test_two_names_of_one_dataset_are_no_choice(tmp_path):
    path = tmp_path / "a.nxs"
    with h5py.File(path, "w") as file:
        file["entry/detector/counts"] = DATA
        file["entry/data/alias"] = h5py.SoftLink("/entry/detector/counts")
        file["entry/data/other"] = file["entry/detector/counts"]
        file["entry/broken"] = h5py.SoftLink("/nowhere")
        file["entry/self"] = h5py.SoftLink("/entry")
    for name in (None, "entry/data/alias", "entry/data/other", "entry/detector/counts"):
        same(load(path, name), DATA)


def test_virtual_datasets_and_their_missing_parts(tmp_path):
    layout = h5py.VirtualLayout(DATA.shape, DATA.dtype)
    for row in range(3):
        with h5py.File(tmp_path / f"row_{row}.h5", "w") as file:
            file["x"] = DATA[row]
        layout[row] = h5py.VirtualSource(f"row_{row}.h5", "x", DATA[row].shape)
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("all", layout)
    same(load(path), DATA)
    (tmp_path / "row_1.h5").unlink()
    with pytest.raises(
        UserError, match=r"row_1.h5, from which a.h5 takes a part of /all, is missing; put it into"
    ):
        load(path)


@pytest.mark.parametrize("around", [False, True])
@pytest.mark.parametrize("name", ["scan.zspy", "Größe 1.ZSPY", "scan.zspy.zip"])
def test_zspy_in_a_zip_file(tmp_path, name, around):
    zspy(tmp_path, (2.0, 2.0, 0.3, 0.3), UNITS).rename(tmp_path / "made.zspy")
    folder = (
        {"root_dir": tmp_path, "base_dir": "made.zspy"} if around else {"root_dir": tmp_path / "made.zspy"}
    )
    path = tmp_path / name
    shutil.move(shutil.make_archive(str(tmp_path / "packed"), "zip", **folder), path)
    scan = load(path)
    same(scan, DATA)
    assert (scan.calibration.r_pixel, scan.calibration.q_pixel) == pytest.approx((2, 0.03))


def test_zspy_as_zarr_writes_a_zip_store(tmp_path):
    make_array(make_group(tmp_path / "packed", "Experiments/scan") / "data", DATA, (1, 1, 10, 12))
    with zipfile.ZipFile(tmp_path / "a.zspy", "w", zipfile.ZIP_STORED) as packed:  # no member for a folder
        for file in (tmp_path / "packed").rglob("*"):
            if file.is_file():
                packed.write(file, file.relative_to(tmp_path / "packed"))
    same(load(tmp_path / "a.zspy"), DATA)


def test_zspy_that_is_none(tmp_path):
    path = tmp_path / "a.zspy"
    path.write_bytes(b"PK\3\4" + bytes(100))
    with pytest.raises(UserError, match=r"a.zspy is neither a zarr folder nor a zip file of one"):
        load(path)
    path.unlink()
    path.mkdir()
    (path / "zarr.json").write_text("{}")
    with pytest.raises(
        UserError, match=r"a.zspy is of zarr's version 3, which is not read here; save it again as"
    ):
        load(path)


def test_hspy_content_under_the_name_zspy(tmp_path):
    import_module("rsciio.hspy").file_writer(str(tmp_path / "a.hspy"), signal(DATA))
    same(load((tmp_path / "a.hspy").rename(tmp_path / "a.zspy")), DATA)


@pytest.mark.parametrize("write", [hspy, zspy])
def test_hyperspy_with_the_detector_first(tmp_path, write):
    turned = np.ascontiguousarray(DATA.transpose(2, 3, 0, 1))
    scan = load(write(tmp_path, (0.3, 0.3, 2.0, 2.0), ("1/nm", "1/nm", "nm", "nm"), data=turned))
    same(scan, DATA)
    assert (scan.calibration.q_pixel, scan.calibration.r_pixel) == pytest.approx((0.03, 2))


def tvips(folder):
    written = signal(DATA, ("nm", "nm", "1/nm", "1/nm"), (1.0, 1.0, 1.0, 1.0))
    path = folder / "a_000.tvips"
    import_module("rsciio.tvips").file_writer(str(path), written, max_file_size=2000, show_progressbar=False)
    return path


def test_tvips_parts_in_any_case_and_with_one_missing(tmp_path):
    path = tvips(tmp_path)
    parts = sorted(tmp_path.glob("*.tvips"))
    assert len(parts) == 3
    parts[2].rename(tmp_path / "A_002.TVIPS")
    same(load(path, scan_shape="3x4"), DATA)
    parts[1].unlink()
    with pytest.raises(
        UserError, match=r"a_001.tvips, a part of the stream that a_000.tvips begins, is missing"
    ):
        load(path, scan_shape="3x4")


def test_tvips_stream_of_one_part_under_another_name(tmp_path):
    written = signal(DATA, ("nm", "nm", "1/nm", "1/nm"), (1.0, 1.0, 1.0, 1.0))
    import_module("rsciio.tvips").file_writer(str(tmp_path / "a_000.tvips"), written, show_progressbar=False)
    same(load((tmp_path / "a_000.tvips").rename(tmp_path / "größe.TVIPS"), scan_shape="3x4"), DATA)

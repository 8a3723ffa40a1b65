"""Kinds of numbers and of arrays in files that can hold any: read right, or refused with the reason."""

import re

import h5py
import numpy as np
import pytest

from helpers.format_files import DATA, same
from helpers.zarr_files import make_array, make_group
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.io.load import inspect, load

WAVE = DATA.astype(np.complex64)


def npy(folder, data):
    np.save(folder / "a.npy", data)
    return folder / "a.npy", "its array"


def h5(folder, data):
    with h5py.File(folder / "a.h5", "w") as file:
        file["deep/data"] = data
    return folder / "a.h5", "/deep/data"


def hspy(folder, data):
    with h5py.File(folder / "a.hspy", "w") as file:
        file.attrs["file_format_version"] = "3.3"
        file["Experiments/scan/data"] = data
    return folder / "a.hspy", "/Experiments/scan/data"


def zspy(folder, data):
    make_array(make_group(folder / "a.zspy", "Experiments/scan") / "data", data)
    return folder / "a.zspy", "/Experiments/scan/data"


def mrc(folder, data, order="<"):
    codes = {"u1": 0, "i2": 1, "f4": 2, "c8": 4, "u2": 6, "i4": 7, "f2": 12}
    header = np.zeros(256, order + "i4")
    header[:4] = *data.shape[:1:-1], data.shape[0] * data.shape[1], codes[data.dtype.str[1:]]
    stamp = bytearray(header.tobytes())
    stamp[212:214] = b"\x11\x11" if order == ">" else b"\x44\x44"
    (folder / "a.mrc").write_bytes(bytes(stamp) + data.astype(data.dtype.newbyteorder(order)).tobytes())
    return folder / "a.mrc", "its array"


WRITERS = [npy, h5, hspy, zspy]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    "kind", ["<u1", "<i1", ">u2", "<i2", ">u4", "<i4", "<i8", ">u8", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8"]
)
def test_numbers_of_every_size_and_byte_order(tmp_path, write, kind):
    data = (DATA % 100).astype(kind)
    same(load(write(tmp_path, data)[0]), data)


@pytest.mark.parametrize("write", WRITERS)
def test_yes_and_no_are_one_and_zero(tmp_path, write):
    scan = load(write(tmp_path, DATA > 700)[0])
    assert scan.data.dtype == np.uint8
    same(scan, (DATA > 700).astype(np.float32))
    assert scan.data.sum(axis=(2, 3)).compute()[2, 0] == 120


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (WAVE, "is complex (complex64); save its squared magnitude, which is what a detector counts"),
        (DATA[None], "has the shape 1 × 3 × 4 × 10 × 12; a scan has four dimensions"),
        (DATA[0, 0], "has the shape 10 × 12; a scan has four dimensions"),
        (DATA[..., :3], "has patterns of only 10 × 3 pixels"),
    ],
)
def test_what_is_no_scan_says_why(tmp_path, write, data, reason):
    path, name = write(tmp_path, data)
    with pytest.raises(UserError, match=re.escape(f"{path.name} holds no scan: {name} {reason}")):
        load(path)


def test_waves_beside_patterns_are_passed_over_unless_asked_for(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["wave"], file["patterns"] = WAVE, DATA
    same(load(path), DATA)
    assert [facts.name for facts in inspect(path).datasets] == ["/patterns"]
    with pytest.raises(UserError, match=r"a.h5::/wave is complex \(complex64\); save its squared magnitude"):
        load(path, "wave")


@pytest.mark.parametrize("order", ["F", "C"])
def test_npy_in_either_order_of_axes(tmp_path, order):
    same(load(npy(tmp_path, np.asarray(DATA, order=order))[0]), DATA)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u1", "i2", "f4", "u2", "i4", "f2"])
def test_mrc_modes_and_byte_orders(tmp_path, order, kind):
    data = (DATA % 200).astype(kind)
    path = mrc(tmp_path, data, order)[0]
    same(load(path, scan_shape="3x4"), data)
    if order == ">":  # older programs leave no stamp
        content = bytearray(path.read_bytes())
        content[212:214] = b"\0\0"
        path.write_bytes(content)
        same(load(path, scan_shape="3x4"), data)


def test_mrc_that_is_no_stack_of_counts(tmp_path):
    path = mrc(tmp_path, WAVE)[0]
    with pytest.raises(UserError, match=r"a.mrc holds no scan: its array is complex"):
        load(path, scan_shape="3x4")
    content = bytearray(path.read_bytes())
    content[12] = 101
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a.mrc cannot be read as MRC \(its pixels are of mode 101"):
        load(path, scan_shape="3x4")


def test_signed_bytes_of_imod(tmp_path):
    data = (DATA % 100).astype(np.uint8)
    path = mrc(tmp_path, data)[0]
    content = bytearray(path.read_bytes())
    content[1024] = 0xFF
    path.write_bytes(content)
    assert load(path, scan_shape="3x4").pattern(0, 0)[0, 0] == 255
    content[152:160] = b"IMOD\1\0\0\0"
    path.write_bytes(content)
    assert load(path, scan_shape="3x4").pattern(0, 0)[0, 0] == -1


def test_a_direct_electron_scan_that_is_no_raster_is_refused(tmp_path):
    path = mrc(tmp_path, DATA)[0].rename(tmp_path / "20250101_00042_movie.mrc")
    info = tmp_path / "20250101_00042_info.txt"
    told = "Scan - Enable = Enable\nScan - Size X = 4\nScan - Size Y = 3\nScan - Type = {}\n°\n"
    info.write_bytes(told.format("Raster").encode("latin-1"))
    same(load(path), DATA)
    info.write_bytes(told.format("Spiral").encode("latin-1"))
    with pytest.raises(UserError, match=r"movie.mrc was not scanned line by line .*'Spiral'"):
        load(path, scan_shape="3x4")

"""Each format's axis order and calibration, against files from the vendors' libraries or byte-exact small ones.

rosettasciio and py4DSTEM, which read the same files here, are the referees.
"""

import struct
from importlib import import_module

import numpy as np
import pytest

from helpers.format_files import DATA, SQUARE, UNITS, hspy, referee, same, signal, zspy
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.io.load import inspect, load

# rosettasciio warns about units it cannot store; py4DSTEM about much.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("write", [hspy, zspy])
def test_hyperspy(tmp_path, write):
    path = write(tmp_path, (2.0, 2.0, 0.3, 0.3), UNITS)
    scan = load(path)
    same(scan, DATA)
    found = scan.calibration
    assert (found.voltage, found.semiangle, found.q_pixel, found.r_pixel) == pytest.approx(
        (200, 1.2, 0.03, 2)
    )
    assert found.q_pixel_from == "file"
    assert found.precession == pytest.approx(0.6875, abs=1e-4)  # 12 mrad
    assert inspect(path).format == "HyperSpy"


def test_hspy_under_another_name_and_damaged_zarr(tmp_path):
    path = tmp_path / "scan.hdf5"
    import_module("rsciio.hspy").file_writer(str(path), signal(DATA))
    assert load(path).calibration.voltage == 200
    (tmp_path / "bad.zspy").mkdir()
    with pytest.raises(UserError, match=r"bad\.zspy"):
        load(tmp_path / "bad.zspy")


@pytest.mark.parametrize(("module", "suffix"), [("emd", "emd"), ("nexus", "nxs")])
def test_emd_and_nexus_of_rosettasciio(tmp_path, module, suffix):
    path = tmp_path / f"scan.{suffix}"
    written = signal(DATA)
    import_module(f"rsciio.{module}").file_writer(str(path), written if module == "emd" else [written])
    scan = load(path)
    same(scan, DATA)
    assert (scan.calibration.q_pixel, scan.calibration.r_pixel) == pytest.approx((0.03, 2))


def test_blo(tmp_path):
    path = tmp_path / "a.blo"
    module = import_module("rsciio.blockfile")
    module.file_writer(str(path), signal(SQUARE, ("nm", "nm", "cm", "cm"), (5.0, 5.0, 0.02, 0.02)))
    scan = load(path)
    same(scan, SQUARE)
    assert scan.calibration.r_pixel == 5
    assert scan.calibration.q_pixel is None  # no camera length in this file
    np.testing.assert_array_equal(referee("blockfile", path), SQUARE)
    with path.open("r+b") as file:
        file.seek(46)
        file.write(struct.pack("<IHI", 200_000, 5000, 2000))  # V, 100 × px/cm, tenths of mm
    found = load(path).calibration
    # 0.2 mm a pixel at 200 mm is 1 mrad
    assert (found.voltage, found.q_pixel) == pytest.approx((200, 1e-3 / 0.0250793), rel=1e-5)
    header = module.file_reader(str(path))[0]["original_metadata"]["blockfile_header"]
    assert (header["Beam_energy"], header["SDP"], header["Camera_length"]) == (200_000, 5000, 2000)
    content = path.read_bytes()
    path.write_bytes(content[: -300 * 5])
    with pytest.raises(
        UserError, match=r"a.blo is cut short: 6 of 12 patterns .* scan shape 1x4 to read the comp"
    ):
        load(path)
    same(load(path, scan_shape="1x4"), SQUARE[:1])
    path.write_bytes(content[:20])
    with pytest.raises(UserError, match=r"a.blo is cut short: its header is not complete"):
        load(path)
    path.write_bytes(b"x" * 5000)
    with pytest.raises(UserError, match=r"a.blo is not a NanoMEGAS block file"):
        load(path)


def test_tvips_in_several_parts(tmp_path):
    written = signal(DATA, ("nm", "nm", "1/nm", "1/nm"), (1.0, 1.0, 1.0, 1.0))
    path = tmp_path / "a_000.tvips"
    import_module("rsciio.tvips").file_writer(
        str(path), written, max_file_size=2000, frame_header_extra_bytes=20, show_progressbar=False
    )
    assert len(list(tmp_path.glob("*.tvips"))) > 2
    scan = load(path, scan_shape=(3, 4))
    same(scan, DATA)
    assert scan.calibration.voltage == 200
    np.testing.assert_array_equal(referee("tvips", path, scan_shape=(3, 4)), DATA)
    with pytest.raises(UserError, match=r"a_000.tvips holds 12 patterns in a flat stack"):
        load(path)
    with pytest.raises(UserError, match=r"a_001.tvips is not the first part"):
        load(tmp_path / "a_001.tvips")


@pytest.mark.parametrize(("mode", "dtype"), [(1, "<i2"), (2, "<f4"), (6, "<u2")])
def test_mrc(tmp_path, mode, dtype):
    path = tmp_path / "stack.mrc"
    header = np.zeros(256, "<i4")
    header[:4] = 12, 10, 12, mode
    header[23] = 64  # bytes of an extended header
    path.write_bytes(header.tobytes() + bytes(64) + DATA.astype(dtype).tobytes())
    same(load(path, scan_shape=(3, 4)), DATA)
    np.testing.assert_array_equal(referee("mrc", path, navigation_shape=(4, 3)), DATA)
    with pytest.raises(UserError, match=r"stack.mrc holds 12 patterns in a flat stack"):
        load(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"stack.mrc is cut short: 11 of 12 patterns"):
        load(path)
    path.write_bytes(b"no header" * 200)
    with pytest.raises(
        UserError, match=r"stack.mrc is not an MRC file \(its header tells no sizes\), or is damaged"
    ):
        load(path)


def test_direct_electron_movie_takes_its_scan_from_the_info_file(tmp_path):
    path = tmp_path / "20250101_00042_movie.mrc"
    header = np.zeros(256, "<i4")
    header[:4] = 12, 10, 12, 6
    path.write_bytes(header.tobytes() + DATA.tobytes())
    (tmp_path / "20250101_00042_info.txt").write_text(
        "Scan - Enable = Enable\nScan - Size X = 4\nScan - Size Y = 3\nX = 1\n"
    )
    same(load(path), DATA)

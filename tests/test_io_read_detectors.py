"""Merlin, EMPAD and Arina files: axis order and calibration, byte-exact small files or the vendors' own.

rosettasciio and py4DSTEM, which read the same files here, are the referees.
"""

from importlib import import_module

import h5py
import numpy as np
import pytest

from format_files import DATA, EMPAD, empad, mib, referee, same
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.io.load import load

# rosettasciio warns about units it cannot store; py4DSTEM about much.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("pixel", ["U08", "U16", "U32"])
def test_mib(tmp_path, pixel):
    data = DATA % 251 if pixel == "U08" else DATA
    path = mib(tmp_path / "a.mib", data, pixel)
    with pytest.raises(
        UserError, match=r"a.mib holds 12 patterns in a flat stack; give the scan shape, for example 3x4"
    ):
        load(path)
    scan = load(path, scan_shape=(3, 4))
    same(scan, data)
    np.testing.assert_array_equal(referee("quantumdetector", path, navigation_shape=(4, 3)), data)


def test_mib_with_its_header_file(tmp_path):
    scan = load(mib(tmp_path / "a.mib", DATA, "U16", columns_told=4))
    same(scan, DATA)
    assert scan.metadata["merlin"]["Frames per Trigger (Number)"] == "4"


def test_interrupted_mib_reads_complete_rows_when_told(tmp_path):
    path = mib(tmp_path / "a.mib", DATA, "U16", columns_told=4)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 10 // 12 + 7])
    with pytest.raises(UserError, match=r"a.mib is cut short: 10 of 12 patterns .* scan shape 2x4"):
        load(path)
    same(load(path, scan_shape=(2, 4)), DATA[:2])
    path.with_suffix(".hdr").unlink()
    with pytest.raises(UserError, match=r"a.mib is cut short: 10 of 11 patterns"):
        load(path)
    path.write_bytes(content[:500])
    with pytest.raises(UserError, match=r"cut short: it ends within its first pattern"):
        load(path, scan_shape=(1, 1))
    path.write_bytes(content)
    path.write_bytes(b"not a Merlin file at all" * 50)
    with pytest.raises(UserError, match=r"not a MIB file"):
        load(path)
    path.write_bytes(content.replace(b"U16", b"R64"))
    with pytest.raises(UserError, match=r"a.mib was saved in Merlin's raw mode \(R64\)"):
        load(path)


def test_empad_raw(tmp_path):
    same(load(empad(tmp_path, EMPAD)), EMPAD)
    path = empad(tmp_path, EMPAD, "anything.raw")
    with pytest.raises(UserError, match=r"anything.raw holds 12 patterns in a flat stack"):
        load(path)
    same(load(path, scan_shape="3x4"), EMPAD)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"not a whole number of EMPAD patterns"):
        load(path, scan_shape="3x4")


def test_empad_raw_as_py4dstem_reads_it(tmp_path):
    import py4DSTEM

    square = EMPAD[:2, :2]
    path = empad(tmp_path, square, "square.raw")
    np.testing.assert_array_equal(py4DSTEM.import_file(str(path)).data, square)
    same(load(path, scan_shape=(2, 2)), square)


def test_empad_xml(tmp_path):
    raw = empad(tmp_path, EMPAD, "data.raw")
    path = tmp_path / "data.xml"
    path.write_text(
        '<?xml version="1.0"?><root><raw_file filename="data.raw"/><pix_x>4</pix_x><pix_y>3</pix_y>'
        "<timestamp isoformat='2020-01-01T10:00:00'/><iom_measurements>"
        "<optics><get_full_scan_field_of_view>(8e-9, 8e-9)</get_full_scan_field_of_view></optics>"
        "<calibrated_pixelsize>2.5e-10</calibrated_pixelsize><high_voltage>300000</high_voltage>"
        "</iom_measurements></root>"
    )
    for name in (path, raw):
        scan = load(name)
        same(scan, EMPAD)
        found = scan.calibration
        assert (found.q_pixel, found.r_pixel, found.voltage) == pytest.approx((0.025, 2, 300))
    theirs = import_module("rsciio.empad").file_reader(str(path))[0]
    np.testing.assert_array_equal(theirs["data"], EMPAD)
    assert theirs["axes"][-1]["scale"] == pytest.approx(0.25)  # 1/nm
    assert (theirs["axes"][1]["scale"], theirs["axes"][1]["units"]) == (pytest.approx(2), "nm")
    raw.write_bytes(raw.read_bytes()[:-9])
    with pytest.raises(
        UserError,
        match=r"data.xml holds 11 of the 12 patterns announced; copy data.raw again, or give the scan shape 2x4",
    ):
        load(path)
    same(load(path, scan_shape="2x4"), EMPAD[:2])
    raw.unlink()
    with pytest.raises(UserError, match=r"data.xml names the EMPAD file data.raw, which is not beside it"):
        load(path)
    path.write_text(path.read_text()[:90])
    with pytest.raises(UserError, match=r"data.xml cannot be read as EMPAD .* cut short"):
        load(path)


def arina(folder, data=DATA, mask=False):
    """Write what Dectris' file writer writes: a master that links to files of some hundred patterns."""
    flat = data.reshape(12, *data.shape[2:]).astype(np.uint32)
    with h5py.File(folder / "a_master.h5", "w") as master:
        group = master.create_group("entry/data")
        master["entry"].attrs["NX_class"] = "NXentry"
        for number, (start, stop) in enumerate([(0, 5), (5, 10), (10, 12)], 1):
            name = f"a_data_{number:06d}.h5"
            with h5py.File(folder / name, "w") as part:
                stored = flat[start:stop].copy()
                if mask:
                    stored[:, 2, 3] = 2**32 - 1
                part["entry/data/data"] = stored
            group[f"data_{number:06d}"] = h5py.ExternalLink(name, "entry/data/data")
        if mask:
            dead = np.zeros((10, 12), np.uint32)
            dead[2, 3] = 1
            master["entry/instrument/detector/detectorSpecific/pixel_mask"] = dead
    with h5py.File(folder / "a.h5", "w") as stem:
        stem.create_group("STEM Metadata").attrs["Pixel Size"] = [1.5, 1.5]
    return folder / "a_master.h5"


def test_arina_as_rosettasciio_reads_it(tmp_path):
    """Of a square detector: its reader exchanges the sides of others."""
    path = arina(tmp_path, DATA[..., :10])
    same(load(path, scan_shape=(3, 4)), DATA[..., :10])
    np.testing.assert_array_equal(referee("arina", path, navigation_shape=(3, 4)), DATA[..., :10])


def test_arina(tmp_path):
    path = arina(tmp_path)
    scan = load(path, scan_shape=(3, 4))
    same(scan, DATA)
    assert scan.calibration.r_pixel == 1.5
    with pytest.raises(UserError, match=r"a_master.h5 holds 12 patterns in a flat stack"):
        load(path)
    (tmp_path / "a_data_000002.h5").unlink()
    with pytest.raises(UserError, match=r"a_data_000002.h5, which a_master.h5 points to, is missing"):
        load(path, scan_shape=(3, 4))


def test_arina_dead_pixels_read_as_zero(tmp_path):
    expected = DATA.copy()
    expected[:, :, 2, 3] = 0
    same(load(arina(tmp_path, mask=True), scan_shape=(3, 4)), expected)

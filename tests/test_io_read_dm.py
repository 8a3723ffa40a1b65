"""DigitalMicrograph files: axis order and calibration.

rosettasciio and py4DSTEM, which read the same files here, are the referees.
"""

import struct

import numpy as np
import pytest

from format_files import DATA, SHAPE, referee, same
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.io.load import load

# rosettasciio warns about units it cannot store; py4DSTEM about much.
pytestmark = pytest.mark.filterwarnings("ignore")


def dm_file(path, data, axes, voltage=200e3, order=slice(None)):
    """Write a small Digital Micrograph file: a thumbnail, then the data, fastest axis first."""
    version = int(path.suffix[-1])
    size = ">q" if version == 4 else ">i"

    def entry(kind, name, body):
        head = struct.pack(">BH", kind, len(name)) + name.encode()
        return head + (struct.pack(">q", len(body)) if version == 4 else b"") + body

    def number(name, code, packed):
        return entry(21, name, b"%%%%" + struct.pack(size, 1) + struct.pack(size, code) + packed)

    def array(name, code, values):
        info = struct.pack(size, 3) + b"".join(struct.pack(size, value) for value in (20, code, values.size))
        return entry(21, name, b"%%%%" + info + values.tobytes())

    def group(name, *members):
        return entry(20, name, directory(*members))

    def directory(*members):
        return struct.pack(">BB", 0, 0) + struct.pack(size, len(members)) + b"".join(members)

    def word(name, text):
        return array(name, 4, np.frombuffer(text.encode("utf-16-le"), "<u2"))

    def dimension(step, units):
        return group(
            "",
            number("Origin", 6, struct.pack("<f", 0)),
            number("Scale", 6, struct.pack("<f", step)),
            word("Units", units),
        )

    def image(pixels, kind, code, steps, *tags):
        return group(
            "",
            group(
                "ImageData",
                group(
                    "Calibrations",
                    group(
                        "Brightness",
                        number("Origin", 6, struct.pack("<f", 0)),
                        number("Scale", 6, struct.pack("<f", 1)),
                        word("Units", "e-"),
                    ),
                    group("Dimension", *(dimension(*step) for step in steps[::-1])),
                ),
                array("Data", code, pixels),
                number("DataType", 5, struct.pack("<I", kind)),
                group("Dimensions", *(number("", 5, struct.pack("<I", n)) for n in pixels.shape[::-1])),
                number("PixelDepth", 5, struct.pack("<I", pixels.itemsize)),
            ),
            group("ImageTags", *tags),
            word("Name", "scan"),
        )

    microscope = group("Microscope Info", number("Voltage", 7, struct.pack("<d", voltage)))
    thumbnail = image(np.zeros((4, 4), "<u4"), 23, 5, [(1.0, "px"), (1.0, "px")])
    root = directory(
        group("ImageList", thumbnail, image(data, 10, 4, axes, microscope)),
        group("Thumbnails", group("", number("ImageIndex", 5, struct.pack("<I", 0)))),
    )
    path.write_bytes(
        struct.pack(">i", version) + struct.pack(size, len(root)) + struct.pack(">i", 1) + root + bytes(8)
    )
    return path


NM, PER_NM = (2.0, "nm"), (0.25, "1/nm")


@pytest.mark.parametrize("suffix", ["dm3", "dm4"])
def test_digital_micrograph(tmp_path, suffix):
    if suffix == "dm3":  # DM3 knows no fourth dimension in py4DSTEM's reader: a stack
        path = dm_file(tmp_path / "a.dm3", DATA.reshape(12, 10, 12), [(1.0, ""), PER_NM, PER_NM])
        scan = load(path, scan_shape=(3, 4))
        np.testing.assert_array_equal(referee("digitalmicrograph", path).reshape(SHAPE), DATA)
    else:
        path = dm_file(tmp_path / "a.dm4", DATA, [NM, NM, PER_NM, PER_NM])
        scan = load(path)
        np.testing.assert_array_equal(referee("digitalmicrograph", path), DATA)
        assert scan.calibration.r_pixel == pytest.approx(2)
    same(scan, DATA)
    assert scan.calibration.voltage == 200
    assert scan.calibration.q_pixel == pytest.approx(0.025)


def test_digital_micrograph_as_py4dstem_reads_it(tmp_path):
    import py4DSTEM

    path = dm_file(tmp_path / "a.dm4", DATA, [NM, NM, (0.5, "mrad"), (0.5, "mrad")])
    theirs = py4DSTEM.import_file(str(path))
    scan = load(path)
    same(scan, theirs.data)
    assert theirs.calibration.get_Q_pixel_units() == "A^-1"
    assert scan.calibration.q_pixel == pytest.approx(theirs.calibration.get_Q_pixel_size(), rel=1e-5)


def test_digital_micrograph_with_the_scan_as_the_fastest_axes(tmp_path):
    stored = np.ascontiguousarray(DATA.transpose(2, 3, 0, 1))
    scan = load(dm_file(tmp_path / "a.dm4", stored, [PER_NM, PER_NM, NM, NM]))
    same(scan, DATA)
    assert (scan.calibration.r_pixel, scan.calibration.q_pixel) == pytest.approx((2, 0.025))


def test_damaged_digital_micrograph(tmp_path):
    path = dm_file(tmp_path / "a.dm4", DATA, [NM, NM, PER_NM, PER_NM])
    content = path.read_bytes()
    for length in (10, 200, 2000):
        path.write_bytes(content[:length])
        with pytest.raises(
            UserError, match=r"a.dm4 (cannot be read as Digital Micrograph .* cut short|holds no scan)"
        ):
            load(path)
    path.write_bytes(b"hello" * 100)
    with pytest.raises(UserError, match=r"cannot be read as Digital Micrograph \(.* DM versions 3 and 4"):
        load(path)

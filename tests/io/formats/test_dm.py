"""DigitalMicrograph files: axis order and calibration.

rosettasciio and py4DSTEM, which read the same files here, are the referees.
"""

import numpy as np
import pytest

from helpers.format_files import DATA, NM, PER_NM, SHAPE, dm_file, referee, same
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.io.load import load

# rosettasciio warns about units it cannot store; py4DSTEM about much.
pytestmark = pytest.mark.filterwarnings("ignore")


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


@pytest.mark.py4dstem
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

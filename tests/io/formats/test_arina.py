"""Arina files: axis order and calibration; rosettasciio reads the same files."""

import numpy as np
import pytest

from helpers.format_files import DATA, arina, referee, same
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.io.load import load

# rosettasciio warns about units it cannot store; py4DSTEM about much.
pytestmark = pytest.mark.filterwarnings("ignore")


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

"""Strain by the command line: of a map of copper's disks, stretched along the rows in the lower half."""

import csv

import h5py
import numpy as np
import pytest
import tifffile

from helpers.command_line import refused, run
from helpers.made_maps import some_map
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.io.bragg_peaks import save_disks

STRAIN = 0.01
Q_PIXEL = 0.02


@pytest.fixture
def files(tmp_path):
    """A map of [001] copper and its disks in pixels: εxx 1 % in the lower two of four rows, and a wrong pixel size."""
    shape = (4, 5)
    hkl = np.array([(h, k) for h in (-4, -2, 0, 2, 4) for k in (-4, -2, 0, 2, 4)])
    g = hkl / 3.615
    lists = []
    for row in range(4):
        stretched = g / [1 + STRAIN * (row > 1), 1]
        place = 1.005 * stretched / Q_PIXEL + 128
        height = 100 - np.hypot(*g.T)
        lists += [np.column_stack([place, np.where(np.hypot(*g.T) > 0, height, 1000)])] * 5
    disks = BraggDisks.from_lists(shape, lists, detector_shape=(256, 256))
    known = {"voltage": 300.0, "q_pixel": Q_PIXEL, "r_pixel": 2.0}
    save_disks(disks, tmp_path / "disks.h5", calibration=Calibration(**known))
    same = np.tile(np.eye(3, dtype=np.float32), (*shape, 1, 1))
    made = some_map(
        shape, rotation=same, phase_id=np.zeros(shape, np.int32), provenance={"calibration": known}
    )
    made.save(tmp_path / "map.h5")
    return tmp_path


def test_strain_is_measured_saved_and_exported(files):
    formats = [word for name in ("csv", "ome", "hspy", "png") for word in ("--export", name)]
    given = ("strain", files / "map.h5", "--disks", files / "disks.h5", "-o", files / "strained.h5")
    done = run(*given, "--reference", "0:2,0:5", *formats)
    assert done.returncode == 0, done.stderr
    assert "Strain at 20 of 20 positions" in done.stdout
    assert "against the mean of a region" in done.stdout
    expected = np.repeat([0, 0, STRAIN, STRAIN], 5).reshape(4, 5)
    strain = OrientationMap.load(files / "strained.h5").strain
    np.testing.assert_allclose(strain.of("xx"), expected, atol=2e-4)
    np.testing.assert_allclose(strain.of("yy"), 0, atol=2e-4)
    with (files / "strained.csv").open() as file:
        lines = file.readlines()
    said = next(line for line in lines if line.startswith("# Strain"))
    assert "x down the rows of the scan" in said
    assert "the mean of a region" in said
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert float(rows[-1]["strain_xx_percent"]) == pytest.approx(100 * STRAIN, abs=0.02)
    assert 0 <= float(rows[-1]["strain_xx_deviation_percent"]) < 0.02
    assert int(rows[-1]["strain_disks"]) >= 8
    assert "lattice_rotation_deg" in rows[0]
    with tifffile.TiffFile(files / "strained.ome.tif") as file:
        assert "strain_yy (percent)" in file.ome_metadata
    with h5py.File(files / "strained.hspy") as file:
        assert "strain xy" in file["Experiments"]
    assert (files / "strained_strain-xx.png").is_file()


def test_one_pixel_size_is_fitted_to_the_map(files):
    asked = ("strain", files / "map.h5", "--disks", files / "disks.h5", "-o", files / "ideal.h5")
    assert run(*asked, "--axes", "0,1,0").returncode == 0
    strain = OrientationMap.load(files / "ideal.h5").strain
    assert "[0 1 0]" in strain.axes
    assert np.ptp(strain.of("xx") + strain.of("yy")) == pytest.approx(STRAIN, rel=0.02)
    assert abs(np.median(strain.of("xx") + strain.of("yy"))) < 1.01 * STRAIN / 2


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--reference", "grains"), "neither ideal, grain nor a region"),
        (("--reference", "9:12,0:2"), "4 × 5 positions"),
        (("--axes", "0,0,0"), "nor a crystal direction"),
        (("--disks", "nothing.h5"), "nothing.h5"),
    ],
)
def test_what_is_not_meant_is_refused(files, asked, said):
    given = ("--disks", files / "disks.h5") if "--disks" not in asked else ()
    refused(run("strain", files / "map.h5", *given, "-o", files / "new.h5", *asked), said)
    assert not (files / "new.h5").exists()


def test_disks_of_another_scan_are_refused(files):
    other = BraggDisks.from_lists((1, 2), [np.array([[128.0, 128, 9], [150, 128, 5], [128, 150, 5]])] * 2)
    save_disks(other, files / "other.h5", calibration=Calibration(voltage=300, q_pixel=Q_PIXEL))
    done = run("strain", files / "map.h5", "--disks", files / "other.h5", "-o", files / "new.h5")
    refused(done, "4 × 5 positions and the disks 1 × 2")


def test_a_map_that_does_not_say_what_it_was_made_from_asks_for_disks(files):
    refused(run("strain", files / "map.h5", "-o", files / "new.h5"), "neither a file nor a sample")

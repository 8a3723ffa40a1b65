"""Unequal scan steps: read from files axis by axis, and carried into everything that tells geometry."""

from dataclasses import replace
from importlib import import_module

import h5py
import numpy as np
import pandas as pd
import pytest

from helpers.format_files import DATA, SQUARE, UNITS, abtem, arina, dm, emd, hspy, signal, zspy
from helpers.made_maps import CU, grain_map, some_map
from napari_4dstem_orient.analysis.correlation import two_point
from napari_4dstem_orient.analysis.grains import find_grains
from napari_4dstem_orient.analysis.profile import line_profile
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.export.quantities import conventions
from napari_4dstem_orient.export.registry import export
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient.io.result import load_map

# rosettasciio's, py4DSTEM's and orix's own
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("write", [hspy, zspy, emd, abtem, dm])
def test_steps_of_both_axes_are_read(tmp_path, write):
    known = load(write(tmp_path, (3.0, 2.0, 0.2, 0.2), UNITS)).calibration
    assert known.steps == pytest.approx((3.0, 2.0), rel=1e-6)
    assert (known.r_pixel, known.r_aspect, known.unclear) == (pytest.approx(6**0.5), pytest.approx(1.5), "")
    typed = load(write(tmp_path, (3.0, 2.0, 0.2, 0.2), UNITS), r_pixel=5.0).calibration
    assert (typed.steps, typed.r_aspect) == ((5.0, 5.0), 1.0)


def test_steps_of_block_files(tmp_path):
    path = tmp_path / "a.blo"
    written = signal(SQUARE, ("nm", "nm", "cm", "cm"), (7.0, 5.0, 0.02, 0.02))
    import_module("rsciio.blockfile").file_writer(str(path), written, show_progressbar=False)
    assert load(path).calibration.steps == pytest.approx((7.0, 5.0))


def test_steps_of_direct_electron_movies(tmp_path):
    path = tmp_path / "20250101_00042_movie.mrc"
    header = np.zeros(256, "<i4")
    header[:4] = 12, 10, 12, 6
    path.write_bytes(header.tobytes() + DATA.tobytes())
    (tmp_path / "20250101_00042_info.txt").write_text(
        "Scan - Enable = Enable\nScan - Size X = 4\nScan - Size Y = 3\n"
        "Specimen Pixel Size X (nanometers) = 2.5\nSpecimen Pixel Size Y (nanometers) = 5\n"
    )
    assert load(path).calibration.steps == pytest.approx((5.0, 2.5))


def test_steps_beside_a_dectris_master(tmp_path):
    path = arina(tmp_path)
    with h5py.File(tmp_path / "a.h5", "a") as stem:
        stem["STEM Metadata"].attrs["Pixel Size"] = [1.5, 3.0]  # along x, along y
    assert load(path, scan_shape="3x4").calibration.steps == pytest.approx((3.0, 1.5))


def test_one_row_has_one_step(tmp_path):
    path = tmp_path / "a.hspy"
    import_module("rsciio.hspy").file_writer(
        str(path), signal(DATA[:1], ("", *UNITS[1:]), (1.0, 2.0, 0.3, 0.3))
    )
    assert load(path).calibration.steps == (2.0, 2.0)


def test_equal_steps_are_told_as_ever():
    assert Calibration(r_pixel=3.0).steps == (3.0, 3.0)
    assert Calibration().steps is None
    assert Calibration(r_pixel=3.0, r_aspect=4.0).with_(voltage=200).steps == (6.0, 1.5)


@pytest.fixture
def uneven():
    """A map of 3 × 5 positions, 8 nm apart down the rows and 2 nm along them."""
    return some_map((3, 5), r_pixel=4.0, r_aspect=4.0)


def exported(uneven, folder, name):
    return export(uneven, folder / name, [name], "map")[0]


def test_ebsd_files(uneven, tmp_path):
    rows, cols = uneven.scan_shape
    text = exported(uneven, tmp_path, "ang").read_text()
    assert "XSTEP: 0.0020000\n" in text
    assert "YSTEP: 0.0080000\n" in text
    last = [line for line in text.splitlines() if line and not line.startswith("#")][-1].split()
    assert [float(value) for value in last[3:5]] == pytest.approx(
        [0.002 * (cols - 1), 0.008 * (rows - 1)], abs=1e-6
    )
    text = exported(uneven, tmp_path, "ctf").read_text()
    assert "XStep\t0.0020000\n" in text
    assert "YStep\t0.0080000\n" in text


def test_tables_and_words(uneven, tmp_path):
    rows, cols = uneven.scan_shape
    table = pd.read_csv(exported(uneven, tmp_path, "csv"), comment="#")
    assert (table.x_nm.max(), table.y_nm.max()) == (2 * (cols - 1), 8 * (rows - 1))
    assert "Scan steps 2 nm along x, 8 nm along y" in conventions(uneven)


def test_orix(uneven, tmp_path):
    from orix.io import load as load_orix

    found = load_orix(exported(uneven, tmp_path, "orix"))
    assert (found.dx, found.dy) == pytest.approx((2, 8))


def test_hspy_signals(uneven, tmp_path):
    path = exported(uneven, tmp_path, "hspy")
    axes = import_module("rsciio.hspy").file_reader(str(path))[1]["axes"]
    assert [axis["scale"] for axis in axes[:2]] == pytest.approx([8, 2])


def test_py4dstem_arrays(uneven, tmp_path):
    with h5py.File(exported(uneven, tmp_path, "py4dstem")) as file:
        found = {}
        file.visititems(lambda name, item: found.setdefault(name.rsplit("/", 1)[-1], []).append(item))
        (phase,) = found["phase"]
        steps = [np.diff(phase[f"dim{axis}"][()]).min() for axis in (0, 1)]
        assert steps == pytest.approx([8, 2])
        assert not {"R_pixel_size", "R_pixel_units"} & set(found)  # theirs knows one for both axes


def test_tiff_and_ome(uneven, tmp_path):
    import tifffile

    with tifffile.TiffFile(exported(uneven, tmp_path, "ome")) as file:
        assert 'PhysicalSizeX="2.0"' in file.ome_metadata
        assert 'PhysicalSizeY="8.0"' in file.ome_metadata
    with tifffile.TiffFile(exported(uneven, tmp_path, "tiff")) as file:
        tags = file.pages[0].tags
        x, y = (tags[name].value for name in ("XResolution", "YResolution"))
        assert (x[1] / x[0], y[1] / y[0]) == pytest.approx((2, 8), rel=1e-5)


def test_pictures_are_as_high_as_the_scan(uneven):
    from napari_4dstem_orient.export.images import channel_figure

    figure = channel_figure(uneven, "ipf-z")
    page = figure.axes[0].get_window_extent()
    rows, cols = uneven.scan_shape
    assert page.height / page.width == pytest.approx(8 * rows / (2 * cols), rel=0.01)
    assert any("2 nm along x, 8 nm along y" in text.get_text() for text in figure.axes[0].texts)


def test_layers_of_the_window(uneven):
    from napari_4dstem_orient.napari_plugin.layers.placing import placement

    assert placement(uneven.steps) == {"scale": (8.0, 2.0), "units": ("nanometer", "nanometer")}
    assert placement(None) == {"scale": (1.0, 1.0), "units": ("pixel", "pixel")}


def test_result_file(uneven, tmp_path):
    back = load_map(exported(uneven, tmp_path, "h5"))
    assert (back.r_pixel, back.r_aspect, back.steps) == (4.0, 4.0, (8.0, 2.0))


def test_grains_boundaries_profiles_and_correlations():
    even = grain_map((12, 10), (CU,), r_pixel=1.0)
    uneven = replace(even, r_pixel=4.0, r_aspect=4.0)
    found, counted = find_grains(uneven), find_grains(even)
    np.testing.assert_allclose(found.area, counted.area * 16)
    for kind in (1, 2, 3, 4):
        down, right = ((side == kind).sum() for side in (found.boundaries.down, found.boundaries.right))
        assert found.boundary_length(kind) == 2 * down + 8 * right
    rows, cols = uneven.scan_shape
    line = line_profile(uneven, (0, 0), (rows - 1, cols - 1))
    assert line.distance[-1] == pytest.approx(np.hypot(8 * (rows - 1), 2 * (cols - 1)))
    field = np.random.default_rng(1).normal(size=(6, 20, 1)).astype(np.float32)
    where = np.ones((6, 20), bool)
    pairs = two_point(field, field, (where, where), (8.0, 2.0))
    alike = two_point(field, field, (where, where))
    assert pairs.by_distance[0] == pytest.approx(1, abs=1e-4)
    # Within a row, steps are 2 nm; those of 4 positions along it are as far as one down.
    assert pairs.r[:4] == pytest.approx([0, 2, 4, 6])
    middle = (5, 19)
    assert pairs.by_distance[1] == pytest.approx(
        alike.by_shift[5, 20] * 0.5 + alike.by_shift[5, 18] * 0.5, abs=1e-4
    )
    assert alike.by_shift[middle] == pytest.approx(1, abs=1e-4)

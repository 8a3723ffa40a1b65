"""The two samples: lazy, the same in any order, and what they say of themselves is true."""

import importlib.util
from pathlib import Path

import dask
import numpy as np
import pytest

from napari_4dstem_orient.core.resource_files import resource
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.samples.copper import copper_polycrystal, copper_truth
from napari_4dstem_orient.samples.lazy import poisson_scan
from napari_4dstem_orient.samples.silver import (
    CENTRE,
    SILVER_REFERENCE,
    silver_grains,
    silver_patterns,
    silver_twins,
)

OPENERS = {silver_twins: (64, 208, 112, 112), copper_polycrystal: (48, 64, 128, 128)}
WAVELENGTH = 0.0196875


@pytest.fixture(params=OPENERS, ids=lambda opener: opener.__name__)
def sample(request) -> Scan:
    return request.param()


@pytest.mark.parametrize(("opener", "shape"), OPENERS.items())
def test_shapes_and_calibration(opener, shape):
    scan = opener()
    assert scan.data.shape == shape
    assert np.issubdtype(scan.data.dtype, np.unsignedinteger)
    assert scan.calibration.q_pixel_from == "file"
    assert scan.pattern(0, 0).shape == shape[2:]


def test_opening_computes_nothing_and_a_click_little(sample):
    computed = []
    with dask.config.set(scheduler=lambda graph, keys, **_: computed.append(keys)):
        assert repr(sample.data)
        sample.data[0, 0].persist  # noqa: B018  touching the lazy array is free
    assert computed == []
    block = np.prod([chunk[0] for chunk in sample.data.chunks]) * sample.data.dtype.itemsize
    assert block < 2e6


def test_a_position_is_the_same_in_whatever_order_it_is_read(sample):
    row, col = 20, 37
    alone = sample.pattern(row, col)
    width = sample.scan_shape[1]
    rows = {first // width: block for first, block in _rows(sample, 19, 22)}
    assert np.array_equal(alone, rows[20][col])
    assert np.array_equal(alone, sample.data[15:25:5, 30:40][1, 7].compute())
    again = sample.data[::-1, ::-1][sample.scan_shape[0] - 1 - row, width - 1 - col].compute()
    assert np.array_equal(alone, again)


def _rows(scan: Scan, first: int, last: int):
    part = Scan(scan.data[first:last], scan.calibration)
    for where, block in part.batches(scan.scan_shape[1]):
        yield int(where[0]) + first * scan.scan_shape[1], block


def test_noise_differs_between_positions():
    scan = silver_twins()
    assert not np.array_equal(scan.pattern(40, 100), scan.pattern(40, 101))
    assert not np.array_equal(scan.pattern(40, 100), scan.pattern(41, 100))


@pytest.mark.parametrize("level", [3.0, 150.0, 40_000.0])
def test_the_noise_is_poissons(level):
    scan = poisson_scan(
        "flat",
        (2, 20, 64, 64),
        lambda row, cols: np.full((cols.stop - cols.start, 64, 64), level),
        1,
        np.uint16,
    )
    counts = scan.compute().astype(float)
    assert scan.chunks[1] == (16, 4)
    assert counts.mean() == pytest.approx(level, rel=0.005)
    assert counts.var() == pytest.approx(level, rel=0.02)


def test_counts_saturate_instead_of_wrapping():
    scan = poisson_scan("hot", (1, 1, 8, 8), lambda row, cols: np.full((1, 8, 8), 65_535.0), 1, np.uint16)
    assert scan.compute().min() > 64_000


def test_silver_shows_its_clusters_mean_pattern():
    scan, grains, patterns = silver_twins(), silver_grains(), silver_patterns()
    assert grains.shape == (5, 64, 208)
    assert grains.sum(axis=(1, 2)).tolist() == [1088, 143, 150, 5014, 5106]
    assert (~grains.any(axis=0)).sum() == 1811
    for grain in range(5):
        row, col = np.argwhere(grains[grain])[30]
        away = scan.pattern(row, col) - patterns[grain]
        assert np.abs(away / np.sqrt(patterns[grain])).mean() == pytest.approx(0.798, abs=0.02)  # of a normal
        assert np.unravel_index(patterns[grain].argmax(), (112, 112)) == CENTRE


def test_silver_has_no_bragg_disk_outside_the_grains():
    scan, grains = silver_twins(), silver_grains()
    row, col = np.argwhere(~grains.any(axis=0))[100]
    pattern = scan.pattern(row, col)
    down, across = np.indices(pattern.shape)
    circle = np.rint(np.hypot(down - CENTRE[0], across - CENTRE[1])).astype(int)
    for radius in range(12, 50):
        ring = pattern[circle == radius]
        assert ring.std() < 1.25 * np.sqrt(ring.mean()), radius  # nothing but counting noise
    bright = silver_patterns()[3][circle == 20]
    assert bright.std() > 5 * np.sqrt(bright.mean())  # where a grain's pattern has disks


def test_silver_says_what_it_is_and_what_is_known_of_it():
    scan = silver_twins()
    assert "DERIVED" in scan.metadata["derived"]
    assert "derived" in scan.source
    assert "CC-BY-4.0" in scan.metadata["attribution"]
    assert scan.calibration.precession == 1.0
    known = scan.calibration
    assert (known.voltage, known.q_pixel, known.r_pixel) == (200.0, 0.0267283, 20.37)
    assert known.semiangle is None
    pairs = {(one, other) for one in range(5) for other in range(one + 1, 5)}
    assert set(SILVER_REFERENCE.misorientations) == pairs
    assert len(SILVER_REFERENCE.zones) == 5


def test_silver_disks_lie_where_silver_puts_its_rings():
    """The nearest spots of a [101] pattern of fcc silver are {111}, at √3 / 4.08 Å⁻¹."""
    pattern = silver_patterns()[4]
    down, across = np.indices(pattern.shape)
    distance = np.hypot(down - 56, across - 56)
    outside = np.where((distance > 8) & (distance < 17), pattern, 0)
    spot = np.array(np.unravel_index(outside.argmax(), pattern.shape))
    assert np.linalg.norm(spot - 56) * 0.0267283 == pytest.approx(np.sqrt(3) / 4.08, abs=0.02)


def test_copper_truth_is_a_map_of_rotations():
    truth = copper_truth()
    assert truth.rotation.shape == (48, 64, 3, 3)
    assert np.allclose(np.linalg.det(truth.rotation), 1, atol=1e-4)
    assert np.allclose(truth.rotation @ np.swapaxes(truth.rotation, -1, -2), np.eye(3), atol=1e-4)
    assert np.array_equal(truth.grain < 0, truth.vacuum)
    assert not (truth.vacuum & truth.boundary).any()
    assert len(np.unique(truth.grain[~truth.vacuum])) == 12
    assert 0.05 < truth.vacuum.mean() < 0.2
    assert 0.05 < truth.boundary.mean() < 0.25


def test_copper_grains_bend_by_one_to_four_degrees():
    truth = copper_truth()
    for grain in range(12):
        inside = truth.rotation[truth.grain == grain]
        trace = np.einsum("nij,ij->n", inside, inside[0])
        spread = np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1))).max()
        assert 0.2 < spread < 5


@pytest.fixture(scope="module")
def well_inside() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Some positions inside grains: pattern, direct beam's pixel, true orientation."""
    scan, truth = copper_polycrystal(), copper_truth()
    chosen = []
    for row, col in np.argwhere(~truth.vacuum & ~truth.boundary)[::100]:
        pattern = scan.pattern(row, col)
        chosen.append((pattern, centre_of(pattern), truth.rotation[row, col]))
    return chosen


def centre_of(pattern: np.ndarray) -> np.ndarray:
    """Return the centre of mass of the direct beam, which wanders a few pixels about the detector's middle."""
    middle = pattern[57:72, 57:72]
    beam = np.where(middle > middle.max() / 3, middle, 0)
    return 57 + np.array([(axis * beam).sum() / beam.sum() for axis in np.indices(beam.shape)])


def best_excited(g_lab: np.ndarray) -> np.ndarray:
    """Return the pixels, from the direct beam, of the eight best excited reflections."""
    length = np.linalg.norm(g_lab, axis=1)
    error = g_lab[:, 2] - WAVELENGTH * length**2 / 2
    order = np.argsort(-np.exp(-((error / 0.01) ** 2)) / length)
    return g_lab[order[:8], :2] / 0.0328


def contrast(positions, rotation_of) -> float:
    """Return how bright the predicted disks are against their surroundings, the median over all."""
    g = find_phase("Cu").reflections(1.8).g
    ratios = []
    for pattern, centre, rotation in positions:
        distance = np.hypot(*(np.indices(pattern.shape) - centre[:, None, None]))
        for row, col in np.rint(best_excited(g @ rotation_of(rotation)) + centre).astype(int):
            if 4 < row < 123 and 4 < col < 123:
                disk = pattern[row - 2 : row + 3, col - 2 : col + 3]
                around = np.abs(distance - distance[row, col]) < 2.5
                ratios.append(disk.mean() / (np.median(pattern[around]) + 0.5))
    return float(np.median(ratios))


def test_copper_disks_are_where_the_truth_puts_them(well_inside):
    assert contrast(well_inside, lambda rotation: rotation) > 8


@pytest.mark.parametrize(
    ("mistake", "rotation_of"),
    {
        "transposed": lambda rotation: rotation.T,
        "x and y exchanged": lambda rotation: rotation[:, [1, 0, 2]],
        "x flipped": lambda rotation: rotation @ np.diag([-1, 1, 1]),
        # The same spots, but the other side of the Ewald sphere: other ones of them are excited.
        "z flipped": lambda rotation: rotation @ np.diag([1, 1, -1]),
        "half a turn in the plane": lambda rotation: rotation @ np.diag([-1, -1, 1]),
    }.items(),
)
def test_copper_truth_fits_in_no_other_frame(well_inside, mistake, rotation_of):
    right = contrast(well_inside, lambda rotation: rotation)
    assert contrast(well_inside, rotation_of) < right / 2, mistake


def test_copper_vacuum_holds_the_direct_beam_alone():
    scan, truth = copper_polycrystal(), copper_truth()
    row, col = np.argwhere(truth.vacuum)[-1]
    pattern = scan.pattern(row, col)
    assert pattern.sum() == pytest.approx(1e6, rel=0.01)
    distance = np.hypot(*(np.indices(pattern.shape) - centre_of(pattern)[:, None, None]))
    assert pattern[distance < 4.5].sum() > 0.99 * pattern.sum()


def test_copper_direct_beam_wanders():
    scan = copper_polycrystal()
    corners = np.array([centre_of(scan.pattern(row, col)) for row in (0, 47) for col in (0, 63)])
    assert (np.ptp(corners, axis=0) > 2).all()
    assert (np.ptp(corners, axis=0) < 8).all()


def test_copper_boundaries_show_both_grains():
    import h5py

    truth = copper_truth()
    with h5py.File(resource("samples", "copper.h5")) as file:
        counts = np.diff(file["disks/offsets"][()]).reshape(truth.grain.shape)
    inside = ~truth.vacuum & ~truth.boundary
    assert np.median(counts[truth.boundary]) > 1.25 * np.median(counts[inside])
    assert (counts[truth.vacuum] == 1).all()


def test_the_copper_sample_is_what_its_script_makes(tmp_path, monkeypatch):
    import h5py

    path = Path(__file__).parents[2] / "tools" / "make_copper_sample.py"
    specification = importlib.util.spec_from_file_location("make_copper_sample", path)
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    shipped = script.OUT
    monkeypatch.setattr(script, "OUT", tmp_path / "copper.h5")
    script.main()
    with h5py.File(shipped) as old, h5py.File(tmp_path / "copper.h5") as new:
        assert dict(old.attrs).keys() == dict(new.attrs).keys()
        for name in ("truth/rotation", "truth/grain", "truth/boundary", "beam", "disks/rows"):
            assert np.allclose(old[name], new[name], rtol=1e-3, atol=1e-3), name

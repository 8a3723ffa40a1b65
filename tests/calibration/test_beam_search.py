"""The direct beam is found by where disks pile up, by ±g pairs and in each pattern, not by its brightness alone."""

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_4dstem_orient.calibration.calibrate import CalibrationSettings, calibrate
from napari_4dstem_orient.calibration.origin import fit_origin
from napari_4dstem_orient.cli.options import read_origin
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.detection.detect import detect_disks
from napari_4dstem_orient.samples.copper import copper_polycrystal

SIDE, Q_PIXEL = 128, 0.025
HKL = np.stack(np.meshgrid(*[np.arange(-6, 7)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
G = HKL[(np.ptp(HKL % 2, axis=1) == 0) & (HKL != 0).any(axis=1)] / 3.615
GRAINS = Rotation.random(144, random_state=3).as_matrix()
ZONES = {"001": [0, 0, 1], "011": [0, 1, 1], "111": [1, 1, 1]}


def spots(grain):
    """Where a grain of copper diffracts (Å⁻¹), and how strongly, the strongest being 1: 200 kV, kinematic."""
    lab = G @ grain
    missed = 1 / 0.02508 - np.linalg.norm(lab - [0, 0, 1 / 0.02508], axis=1)
    strength = np.exp(-0.5 * (missed / 0.025) ** 2) / (1 + (np.linalg.norm(G, axis=1) / 0.55) ** 2)
    seen = (strength > 0.01 * strength.max()) & (np.linalg.norm(lab, axis=1) < 1.7)
    return lab[seen, :2], strength[seen] / strength[seen].max()


def on_zone(axis, tilt=0.2):
    """Return a grain whose zone axis lies along the beam but for a tilt in degrees."""
    turn, _ = Rotation.align_vectors([[0, 0, 1]], [axis])
    tilted = Rotation.from_euler("zx", [25, tilt], degrees=True) * turn
    return tilted.as_matrix().T


def scan(grains, origin, beam=1.0, false=0, missing=0.0, seed=0):
    """Draw disks: ``beam`` in units of the strongest reflection, so many weak false ones, beams missing in a share."""
    rng = np.random.default_rng(seed)
    lists = []
    for grain, place in zip(grains, origin.reshape(-1, 2), strict=True):
        q, strength = spots(grain)
        q, strength = np.r_[[[0, 0]], q], np.r_[beam, strength * rng.lognormal(0, 0.1, len(strength))]
        rows = np.c_[q / Q_PIXEL + place + rng.normal(0, 0.1, q.shape), strength]
        rows = rows[1:] if beam == 0 or rng.uniform() < missing else rows
        weak = np.c_[rng.uniform(0, SIDE - 1, (false, 2)), rng.uniform(0.005, 0.05, false)]
        rows = np.r_[rows, weak]
        inside = ((rows[:, :2] > 1) & (rows[:, :2] < SIDE - 2)).all(axis=1)
        lists.append(rng.permutation(rows[inside]))
    return BraggDisks.from_lists(origin.shape[:2], lists, detector_shape=(SIDE, SIDE))


def still(shape, place=(63.5, 63.5)):
    return np.tile(np.array(place, float), (*shape, 1))


def off(fit, truth):
    return np.hypot(*np.moveaxis(fit.origin - truth, -1, 0))


@pytest.mark.parametrize("false", [0, 25])
@pytest.mark.parametrize("beam", [2.0, 0.9, 0.5, 0.2])
@pytest.mark.parametrize("grains", [36, 6, 2])
def test_a_beam_weaker_than_the_reflections_lies_where_all_patterns_have_a_disk(grains, beam, false):
    truth = still((6, 6))
    fit = fit_origin(scan(np.repeat(GRAINS[:grains], 36 // grains, axis=0), truth, beam, false))
    assert off(fit, truth).max() < 0.3
    assert fit.used > 0.95


@pytest.mark.parametrize("beam", [0.9, 0.4, 0.2])
@pytest.mark.parametrize("axis", ZONES)
@pytest.mark.parametrize("shape", [(1, 1), (3, 3)])
def test_on_a_zone_axis_the_pairs_tell_a_weak_beam(axis, beam, shape):
    """In a single crystal every disk piles up."""
    truth = still(shape)
    fit = fit_origin(scan([on_zone(ZONES[axis])] * truth[..., 0].size, truth, beam))
    assert off(fit, truth).max() < 0.6


@pytest.mark.parametrize("tilt", [2.0, 4.0, 7.0])
@pytest.mark.parametrize("axis", ZONES)
def test_off_the_zone_axis_the_bright_beam_outweighs_the_pairs(axis, tilt):
    """There most pairs lie about the middle of the Laue circle."""
    truth = still((3, 3))
    fit = fit_origin(scan([on_zone(ZONES[axis], tilt)] * 9, truth, beam=2.0))
    assert off(fit, truth).max() < 0.3


@pytest.mark.parametrize("place", [(40, 64), (96, 95), (32, 40)])
@pytest.mark.parametrize("beam", [2.0, 0.8])
def test_the_beam_may_lie_off_the_middle(place, beam):
    truth = still((6, 6), place)
    assert off(fit_origin(scan(GRAINS[:36], truth, beam)), truth).max() < 0.3


def wander(kind):
    row, col = np.mgrid[-1:1:12j, -1:1:12j]
    rng = np.random.default_rng(5)
    shift = {
        "plane": lambda: np.stack([9 * row, -9 * col], axis=-1),
        "parabola": lambda: np.stack([4 * row**2, -3 * col**2 + row], axis=-1),
        "each": lambda: rng.normal(0, 3, (12, 12, 2)),
        "each, row by row": lambda: np.tile(rng.normal(0, 2, (12, 1, 2)), (1, 12, 1)),
        "each, a step": lambda: np.where(row[..., None] > 0, [7.0, -3.0], 0),
    }[kind]()
    return still((12, 12)) + shift


@pytest.mark.parametrize("false", [0, 25])
@pytest.mark.parametrize("beam", [2.0, 0.8])
@pytest.mark.parametrize("kind", ["plane", "parabola", "each", "each, row by row", "each, a step"])
def test_auto_follows_the_beams_as_they_wander(kind, beam, false):
    truth = wander(kind)
    fit = fit_origin(scan(GRAINS, truth, beam, false))
    assert fit.surface == kind.partition(",")[0]
    assert (off(fit, truth) < 0.5).mean() > 0.97
    assert fit.residual < 0.4


def test_where_a_camera_of_few_grey_levels_saturates_the_disk_in_all_patterns_is_the_beam():
    """Beam and reflections are equally strong, and more ±g pairs lie about an empty place."""
    sample = copper_polycrystal()
    counts = np.asarray(sample.data[:20, :20])
    truth = fit_origin(detect_disks(replace(sample, data=da.from_array(counts)))).origin
    saturated = replace(sample, data=da.from_array(np.minimum(counts >> 2, 255).astype(np.uint8)))
    found = fit_origin(detect_disks(saturated)).origin
    assert np.hypot(*(found - truth).reshape(-1, 2).T).max() < 0.5


def test_beams_that_only_scatter_are_smoothed():
    truth = still((12, 12))
    disks = scan(GRAINS, truth, beam=0.8)
    smooth, own = fit_origin(disks), fit_origin(disks, "each")
    assert smooth.surface in ("constant", "plane", "parabola")
    assert off(smooth, truth).max() < 0.5 * off(own, truth).max()


def test_a_jittering_pattern_without_its_beam_is_centred_on_its_pairs():
    truth = wander("each")
    fit = fit_origin(scan(GRAINS, truth, beam=0.8, missing=0.2))
    lost = np.isnan(fit.measured[..., 0])
    assert 0.1 < lost.mean() < 0.3
    assert (off(fit, truth)[lost] < 0.5).mean() > 0.8


def test_vacuum_tells_the_beam_as_well():
    truth = wander("plane")
    disks = scan(GRAINS, truth, beam=1.0)
    lists = [disks.at(*divmod(flat, 12)) for flat in range(144)]
    lists = [rows[[0]] * [0, 0, 1] + [*place, 0] if flat % 4 else rows for flat, (rows, place) in
             enumerate(zip(lists, truth.reshape(-1, 2), strict=True))]  # fmt: skip
    fit = fit_origin(BraggDisks.from_lists((12, 12), lists, detector_shape=(SIDE, SIDE)))
    assert off(fit, truth).max() < 0.3


@pytest.mark.parametrize("grains", [144, 6, "111"])
@pytest.mark.parametrize("place", [(63.5, 63.5), (50, 75)])
@pytest.mark.parametrize("false", [0, 25])
def test_behind_a_beam_stop_one_sentence_says_where_the_pairs_lie_about(grains, place, false):
    kinds = [on_zone(ZONES[grains])] * 144 if isinstance(grains, str) else np.repeat(
        GRAINS[:grains], 144 // grains, axis=0)  # fmt: skip
    disks = scan(kinds, still((12, 12), place), beam=0, false=false)
    with pytest.raises(UserError, match="There is no direct beam") as told:
        calibrate(disks, Calibration(q_pixel=Q_PIXEL))
    row, col = (float(part) for part in str(told.value).split("such as ")[1].split(" ")[0].split(","))
    assert np.hypot(row - place[0], col - place[1]) < 1.5
    found, report = calibrate(
        disks,
        Calibration(q_pixel=Q_PIXEL, q_pixel_from="fitted"),
        CalibrationSettings(row=place[0], col=place[1]),
    )
    assert report.surface == "given"
    assert report.warnings == []
    np.testing.assert_allclose(found.qx, (disks.qx - place[0]) * Q_PIXEL, atol=1e-5)


def test_a_beam_missing_in_most_patterns_is_no_beam_stop():
    truth = still((12, 12))
    fit = fit_origin(scan(GRAINS, truth, beam=0.8, missing=0.7))
    assert off(fit, truth).max() < 0.5


@pytest.mark.parametrize("cut", [(0.9, 0.0), (-0.7, 0.6)])
def test_a_beam_that_a_gap_cuts_is_moved_onto_the_middle_of_the_pairs(cut):
    """What is left of a disk beside a gap lies off the disk's middle, in all patterns on the same side."""
    truth = still((12, 12))
    whole = scan(GRAINS, truth, beam=0.8)
    beam = np.hypot(whole.qx - 63.5, whole.qy - 63.5) < 1
    disks = replace(whole, qx=whole.qx + beam * np.float32(cut[0]), qy=whole.qy + beam * np.float32(cut[1]))
    fit = fit_origin(disks)
    assert off(fit, truth).max() < 0.2
    assert fit.moved == pytest.approx(np.hypot(*cut), abs=0.2)
    _, report = calibrate(disks, Calibration(q_pixel=Q_PIXEL))
    assert "moved by" in report.summary


def test_the_choice_can_be_made_and_each_says_what_it_is():
    truth = wander("each")
    disks = scan(GRAINS, truth, beam=0.8)
    known = Calibration(q_pixel=Q_PIXEL, q_pixel_from="fitted")
    for surface in ("constant", "plane", "parabola"):
        _, report = calibrate(disks, known, CalibrationSettings(surface))
        assert report.surface == surface
        assert report.residual == pytest.approx(3 * np.sqrt(2), rel=0.3)
        (doubt,) = report.warnings
        assert 'Try the origin "each".' in doubt
    _, report = calibrate(disks, known, CalibrationSettings("each"))
    assert report.warnings == []
    assert report.residual < 0.3
    assert "±g pairs" in report.summary


@pytest.mark.parametrize("apart", [(0.0, 1.5), (8.0, 6.0), (-30.0, 0.0)])
def test_a_given_place_beside_the_beams_is_doubted(apart):
    disks = scan(GRAINS, still((12, 12)), beam=0.8, false=10)
    known = Calibration(q_pixel=Q_PIXEL, q_pixel_from="fitted")
    row, col = np.array([63.5, 63.5]) + apart
    _, report = calibrate(disks, known, CalibrationSettings(row=row, col=col))
    assert report.residual == pytest.approx(np.hypot(*apart), abs=0.5)
    assert any("from the given place" in doubt for doubt in report.warnings)


@pytest.mark.parametrize("place", [(-0.6, 5), (5, 127.6), (6400, 64), (np.inf, 5), (np.nan, 5)])
def test_a_given_place_beside_the_detector_is_refused(place):
    disks = scan(GRAINS, still((12, 12)), beam=0.8)
    with pytest.raises(UserError, match="lies beside the detector of 128 × 128 pixels"):
        fit_origin(disks, position=place)
    for edge in ((-0.5, 0), (127.5, 127.5)):
        assert (fit_origin(disks, position=edge).origin == edge).all()


@pytest.mark.parametrize("axes", [(0,), (0, 1)], ids=["gap", "cross"])
def test_a_beam_in_a_gap_of_the_detector_is_where_the_pairs_lie_about(axes):
    """Nothing is found in the gap: unlike behind a beam stop it goes across the detector."""
    truth = still((12, 12))
    whole = scan(GRAINS, truth, beam=0.8)
    kept = np.all([np.abs((whole.qx, whole.qy)[axis] - 63.5) > 2.5 for axis in axes], axis=0)
    lists = [whole.at(*divmod(flat, 12))[kept[slice(*whole.offsets[flat : flat + 2])]] for flat in range(144)]
    disks = BraggDisks.from_lists((12, 12), lists, detector_shape=(SIDE, SIDE))
    fit = fit_origin(disks)
    assert fit.hidden
    assert off(fit, truth).max() < 0.3
    _, report = calibrate(disks, Calibration(q_pixel=Q_PIXEL))
    assert "gap of the detector" in report.summary


@pytest.mark.parametrize("cut", [(3.5, 0.0), (-2.5, 2.5)])
def test_a_piece_of_the_beam_beside_a_wide_gap_tells_it_too(cut):
    truth = still((12, 12))
    whole = scan(GRAINS, truth, beam=0.8)
    beam = np.hypot(whole.qx - 63.5, whole.qy - 63.5) < 1
    disks = replace(whole, qx=whole.qx + beam * np.float32(cut[0]), qy=whole.qy + beam * np.float32(cut[1]))
    fit = fit_origin(disks)
    assert off(fit, truth).max() < 0.3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("each", CalibrationSettings("each")),
        ("63.5,64", CalibrationSettings(row=63.5, col=64.0)),
    ],
)
def test_the_command_line_takes_every_origin(text, expected):
    assert read_origin(text) == expected


@pytest.mark.parametrize("text", ["middle", "63.5", "1,2,3", "nan,4", "", "inf,1"])
def test_the_command_line_refuses_what_is_no_origin(text):
    with pytest.raises(UserError, match=r"neither one of auto, constant.*such as 63\.5,64"):
        read_origin(text)

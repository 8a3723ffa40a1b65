"""The map of bent grains of ``tests/data`` shows what it says it shows."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from helpers.multislice import KINDS, RINGS, multislice_patterns, multislice_scan
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.library import find_phase


def likeness(bed, reflector, rotation, image):
    """Return the correlation of a pattern with disks drawn where an orientation predicts them; roots of intensities."""
    rows, cols = np.indices(image.shape)
    g_lab = reflector.in_lab(torch.as_tensor(rotation, dtype=torch.float32))
    predicted = reflector.excite(g_lab, 0.01) * (g_lab[:, :2].abs().amax(1) < 2.0)
    use = predicted > 1e-3 * predicted.max()
    place = bed.origin + g_lab[use, :2].numpy() / bed.calibration.q_pixel
    near = np.hypot(rows - place[:, 0, None, None], cols - place[:, 1, None, None]) < 2.6
    drawn = (near * np.sqrt(predicted[use].numpy())[:, None, None]).max(axis=0)
    away = np.hypot(rows - bed.origin[0], cols - bed.origin[1]) > 7
    return np.corrcoef(drawn[away], np.sqrt(image[away]))[0, 1]


@pytest.fixture(scope="module")
def bed():
    return multislice_patterns("map_cu")


@pytest.mark.parametrize("kind", KINDS[1:])
def test_orientations_are_those_of_the_patterns(bed, kind):
    reflector = Reflector.of(find_phase("Cu"), bed.calibration.voltage, 2.2)
    where = np.argwhere(bed.kind == KINDS.index(kind))[:: 23 if kind == "grain" else 3]
    turns = {
        "as it is": np.eye(3),
        "about the beam": np.diag([-1, -1, 1]),
        "from behind": np.diag([1, -1, -1]),
        "mirrored": np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1]]),
    }
    like = {
        name: np.mean(
            [
                likeness(bed, reflector, bed.rotation[row, col] @ turn, bed.share[bed.index[row, col]])
                for row, col in where
            ]
        )
        for name, turn in turns.items()
    }
    print(kind, len(where), {name: round(float(value), 3) for name, value in like.items()})
    assert like.pop("as it is") > 0.15 + max(like.values())


def test_grains_bend_the_way_the_truth_says(bed):
    """Of the two farthest positions of each grain: the opposite bend, or none, predicts them worse."""
    reflector = Reflector.of(find_phase("Cu"), bed.calibration.voltage, 2.2)
    for label in range(4):
        where = np.argwhere(bed.label == label)
        mean = Rotation.from_matrix(bed.rotation[tuple(where.T)]).mean().as_matrix()
        bends = mean.T @ bed.rotation[tuple(where.T)]
        angle = Rotation.from_matrix(bends).magnitude()
        assert 0.8 < np.rad2deg(angle.max()) < 1.3
        for one in np.argsort(angle)[-2:]:
            image = bed.share[bed.index[tuple(where[one])]]
            told, opposite, none = (
                likeness(bed, reflector, mean @ bend, image) for bend in (bends[one], bends[one].T, np.eye(3))
            )
            assert told > max(opposite, none)


def test_a_position_shows_its_own_pattern_at_the_dose(bed):
    scan = multislice_scan(bed, 1e6, np.inf)
    for row, col in ((0, 0), (9, 11), (17, 17)):
        expected = 1e6 * bed.share[bed.index[row, col]]
        off = (np.asarray(scan.pattern(row, col)) - expected) / np.sqrt(expected + 1)
        assert off.std() < 1.1
    vacuum = bed.share[bed.index[bed.kind == KINDS.index("vacuum")][0]]
    assert np.abs(vacuum - bed.probe).sum() < 0.03


def test_diffuse_scattering_takes_what_it_gives(bed):
    """Halo and rings are added to crystal alone, and the electrons stay as many."""
    plain, diffuse = (multislice_scan(bed, 1e6, *more) for more in ((np.inf,), (1400.0, 0, RINGS)))
    row, col = np.argwhere(bed.thickness > 200)[0]
    assert plain.pattern(row, col).sum() == pytest.approx(diffuse.pattern(row, col).sum(), rel=0.01)
    k = np.hypot(*(np.indices((128, 128)) - bed.origin[:, None, None])) * bed.calibration.q_pixel
    ring = np.abs(k - 0.48) < 0.05
    dark = ring & (bed.share[bed.index[row, col]] < 1e-7)
    assert diffuse.pattern(row, col)[dark].mean() > 5 + plain.pattern(row, col)[dark].mean()
    vacuum = np.argwhere(bed.kind == KINDS.index("vacuum"))[0]
    assert not diffuse.pattern(*vacuum)[ring].any()

"""Strain of made disks: of a kinematic lattice that is deformed by a known amount, with known noise."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.made_maps import CU, TI, rotations, some_map, sure, turn
from napari_4dstem_orient.analysis.strain.deformation import FEWEST, deformation
from napari_4dstem_orient.analysis.strain.strain import strain
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.silence import quiet
from napari_4dstem_orient.core.strain import COMPONENTS
from napari_4dstem_orient.crystals.kinematic import Reflector

VOLTAGE = 300.0
ZONE = turn((0, 0, 1), 11)
SILENT = 1e-5  # Å⁻¹


def disks_of(rotation, gradient, phase=CU, noise=SILENT, most=40, seed=0, width=0.02, without=()):
    """Disks of orientations (ny, nx, 3, 3), each lattice deformed by F (ny, nx, 2, 2), with Gaussian noise."""
    random, reflector = np.random.default_rng(seed), Reflector.of(phase, VOLTAGE, 1.6)
    lists, uncertainty = [], []
    for r, f in zip(rotation.reshape(-1, 3, 3), gradient.reshape(-1, 2, 2), strict=True):
        g = reflector.g.double().numpy() @ r
        intensity = reflector.excite(torch.from_numpy(g).float(), width).numpy()
        bright = np.argsort(-intensity)[:most]
        bright = bright[intensity[bright] > 1e-2 * intensity.max()]
        q = np.vstack([g[bright, :2], np.zeros((1, 2))]) @ np.linalg.inv(f)  # g' = F⁻ᵀ g
        sigma = noise * np.exp(random.uniform(-0.7, 0.7, len(q)))
        q = q + sigma[:, None] * random.normal(size=q.shape)
        lists.append(np.column_stack([q, np.append(intensity[bright], 2)]))
        uncertainty.append(sigma)
    disks = BraggDisks.from_lists(rotation.shape[:2], lists, calibrated=True)
    ten = np.full(len(disks), 10, np.float32)
    return replace(disks, uncertainty=np.concatenate(uncertainty).astype(np.float32), snr=ten)


def map_of(rotation, phase=CU, **fields):
    shape = rotation.shape[:2]
    fields = {"phase_id": np.zeros(shape, np.int32)} | fields
    return some_map(shape, (phase,), 0, 0, rotation=rotation.astype(np.float32), **fields)


def everywhere(value, shape=(3, 4)):
    value = np.asarray(value, float)
    return np.tile(value, (*shape, 1, 1))


def gradient_of(xx, yy, xy, degrees=0.0):
    """F = V R."""
    angle = np.deg2rad(degrees)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.array([[1 + xx, xy], [xy, 1 + yy]]) @ turned


def measured(rotation, gradient, reference="ideal", answers=None, axes="scan", region=None, **made):
    found = map_of(rotation if answers is None else answers)
    return strain(
        deformation(disks_of(rotation, gradient, **made), found, VOLTAGE), found, reference, axes, region
    )


@pytest.mark.parametrize("size", [0.001, 0.005, 0.02])
@pytest.mark.parametrize("phase", [CU, TI], ids=["Cu", "Ti"])
def test_the_deformation_is_what_the_lattice_was_deformed_by(size, phase):
    """Signs too: xx opens the lattice down the rows, and draws the disks together there."""
    wanted = gradient_of(size, -0.6 * size, 0.4 * size)
    rotation = everywhere(np.eye(3) if phase is TI else ZONE)
    found = deformation(disks_of(rotation, everywhere(wanted), phase), map_of(rotation, phase), VOLTAGE)
    np.testing.assert_allclose(found.gradient, everywhere(wanted), atol=3e-5)


def test_each_component_has_its_own_sign_and_place():
    rotation = everywhere(ZONE)
    disks = disks_of(rotation, everywhere(np.diag([1.01, 1.0])))
    down = np.abs(disks.qx) > 3 * np.abs(disks.qy)
    flat = disks_of(rotation, everywhere(np.eye(2)))
    assert (np.abs(disks.qx)[down] < np.abs(flat.qx)[down] + SILENT).all()
    gradient = everywhere(np.eye(2))
    gradient[1] = gradient_of(0.01, 0, 0)
    gradient[2] = gradient_of(0, 0, 0.004, degrees=0.5)
    found = measured(rotation, gradient, "region", region=np.arange(3)[:, None] < np.ones((1, 4)))
    expected = np.zeros((3, 4, 4))
    expected[1, :, 0], expected[2, :, 2], expected[2, :, 3] = 0.01, 0.004, np.deg2rad(0.5)
    np.testing.assert_allclose(found.values, expected, atol=6e-5)


def test_a_turned_lattice_has_a_rotation_and_no_strain():
    """Whether the answers follow the turn or not; a right-handed turn about z leads x to y."""
    angles = np.linspace(-2, 2, 12).reshape(3, 4)
    rotation = np.array([[ZONE @ turn((0, 0, -1), angle) for angle in row] for row in angles])
    vector = np.array([0.3, 0.1, 0.0]) @ ZONE.T  # along lab (0.3, 0.1) where nothing is turned
    turned = vector @ rotation
    np.testing.assert_allclose(
        np.rad2deg(np.arctan2(turned[..., 1], turned[..., 0])) - np.rad2deg(np.arctan2(0.1, 0.3)), angles
    )
    for answers in (rotation, everywhere(ZONE)):
        found = measured(rotation, everywhere(np.eye(2)), "grain", answers=answers)
        np.testing.assert_allclose(np.rad2deg(found.of("rotation")), angles, atol=5e-3)
        np.testing.assert_allclose(found.values[..., :3], 0, atol=5e-5)


@pytest.mark.parametrize("reference", ["ideal", "grain"])
def test_a_wrong_pixel_size_makes_no_strain(reference):
    gradient = everywhere(np.eye(2) * 1.013)
    found = measured(everywhere(ZONE), gradient, reference)
    np.testing.assert_allclose(found.values, 0, atol=5e-5)


def test_tilts_make_no_strain():
    """A bent crystal: the patterns are foreshortened, and the answers know it."""
    tilts = np.linspace(0, 6, 12).reshape(3, 4)
    rotation = np.array([[ZONE @ turn((1, 2, 0), tilt) for tilt in row] for row in tilts])
    found = measured(rotation, everywhere(np.eye(2)), width=0.05)
    np.testing.assert_allclose(found.values[..., :3], 0, atol=2e-4)
    assert np.cos(np.deg2rad(6)) < 1 - 5e-3


def test_a_linear_ramp_is_linear():
    along = np.linspace(-0.01, 0.01, 24)
    gradient = np.array([[gradient_of(value, 0, -value / 2) for value in along]])
    found = measured(everywhere(ZONE, (1, 24)), gradient, "region", region=np.abs(along)[None] < 5e-3)
    slope = np.polyfit(along, found.of("xx")[0], 1)
    np.testing.assert_allclose(slope, [1, 0], atol=5e-3)
    np.testing.assert_allclose(found.of("xx")[0], along, atol=6e-5)
    np.testing.assert_allclose(found.of("xy")[0], -along / 2, atol=6e-5)


def test_errors_are_as_large_as_they_are_said_to_be():
    count = 400
    random = np.random.default_rng(3)
    rotation = rotations(count, 5).reshape(20, 20, 3, 3)
    tilts = np.deg2rad(0.3) * random.normal(size=(count, 2))
    angles = np.hypot(*tilts.T)
    off = np.array([turn((*tilt, 0), np.rad2deg(a)) for tilt, a in zip(tilts, angles, strict=True)])
    answers = rotation @ off.reshape(20, 20, 3, 3)
    gradient = np.eye(2) + random.uniform(-0.01, 0.01, (20, 20, 2, 2))
    found = sure(map_of(answers))
    precision = np.full((20, 20, 2), 0.3, np.float32)
    found = replace(found, certainty=replace(found.certainty, precision=precision))
    said = deformation(disks_of(rotation, gradient, noise=2e-3), found, VOLTAGE)
    deviation = np.sqrt(np.diagonal(said.covariance, axis1=-2, axis2=-1)).reshape(gradient.shape)
    told = ~np.isnan(said.gradient[..., 0, 0])
    assert told.mean() > 0.8
    errors = ((said.gradient - gradient) / deviation)[told]
    assert (np.abs(errors) < 1).mean() == pytest.approx(0.68, abs=0.05)
    assert (np.abs(errors) > 4).mean() < 0.01


def test_uncertainties_come_from_the_residuals_where_the_disks_tell_none():
    rotation = everywhere(ZONE, (10, 10))
    disks = replace(
        disks_of(rotation, everywhere(np.eye(2), (10, 10)), noise=2e-3), uncertainty=None, snr=None
    )
    found = deformation(disks, map_of(rotation), VOLTAGE)
    deviation = np.sqrt(np.diagonal(found.covariance, axis1=-2, axis2=-1)).reshape(10, 10, 2, 2)
    assert (np.abs(found.gradient - np.eye(2)) < deviation).mean() == pytest.approx(0.66, abs=0.08)


def test_a_wrong_disk_does_no_harm():
    rotation = everywhere(ZONE)
    disks = disks_of(rotation, everywhere(np.eye(2)), noise=1e-3)
    moved = disks.qx.copy()
    moved[disks.offsets[:-1] + 3] += 0.02
    found = deformation(replace(disks, qx=moved), map_of(rotation), VOLTAGE)
    np.testing.assert_allclose(found.gradient, everywhere(np.eye(2)), atol=2e-3)


def test_there_is_no_number_where_too_few_disks_speak_or_all_lie_in_line():
    rotation = everywhere(ZONE, (1, 4))
    disks = disks_of(rotation, everywhere(np.eye(2), (1, 4)))
    owner, along = disks.owner, np.stack([disks.qx, disks.qy], -1) @ ZONE[0, :2]
    length = np.hypot(disks.qx, disks.qy)
    keep = np.ones(len(disks), bool)
    rank = np.arange(len(disks)) - disks.offsets[owner]
    keep[(owner == 1) & (length > 0.01) & (rank >= FEWEST - 1)] = False
    keep[(owner == 2) & (np.abs(np.abs(along) - length) > 0.01)] = False
    found = map_of(rotation, phase_id=np.array([[0, 0, 0, -1]], np.int32))
    said = deformation(disks.where(keep), found, VOLTAGE)
    assert np.isnan(said.gradient[0, :, 0, 0]).tolist() == [False, True, True, True]
    assert said.disks[0, 1] == FEWEST - 1
    assert said.disks[0, 2] >= FEWEST
    for reference in ("ideal", "grain"):  # a warning would be an error
        assert not strain(said, found, reference).known[0, 1:].any()


def test_axes_along_a_crystal_direction_and_in_each_grain():
    """A stretch along [1 1 0] is xx there, in two grains whose [1 1 0] lie at different angles."""
    rotation = everywhere(np.eye(3), (2, 8))
    rotation[:, 4:] = turn((0, 0, 1), 25)
    gradient = np.empty((2, 8, 2, 2))
    for half, degrees in ((slice(0, 4), 45), (slice(4, 8), 45 - 25)):
        way = np.array([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])
        np.testing.assert_allclose(way, (rotation[0, half][0].T @ [1, 1, 0])[:2] / np.sqrt(2), atol=1e-6)
        gradient[:, half] = np.eye(2) + 0.008 * np.outer(way, way)
    disks, found = disks_of(rotation, gradient), map_of(rotation)
    said = deformation(disks, found, VOLTAGE)
    scale = np.sqrt(1.008)  # the pixel size that is fitted
    along = strain(said, found, axes=(1, 1, 0))
    np.testing.assert_allclose(along.values[..., :3] - [1.008 / scale - 1, 1 / scale - 1, 0], 0, atol=1e-4)
    assert "[1 1 0]" in along.axes
    own = strain(said, found, axes="grain")
    np.testing.assert_allclose(np.abs(own.of("xy")), 0.004, atol=1e-4)
    assert not np.allclose(
        strain(said, found).of("xx")[:, :4], strain(said, found).of("xx")[:, 4:], atol=1e-4
    )
    with pytest.raises(UserError, match="points nowhere"):
        strain(said, found, axes=(0, 0, 0))


def test_a_reference_region_must_have_a_strain():
    rotation = everywhere(ZONE)
    found = map_of(rotation)
    said = deformation(disks_of(rotation, everywhere(np.eye(2))), found, VOLTAGE)
    with pytest.raises(UserError, match="no position with a strain"):
        strain(said, found, "region", region=np.zeros((3, 4), bool))


def test_a_mean_of_few_is_uncertain_too():
    rotation = everywhere(ZONE)
    found = map_of(rotation)
    said = deformation(disks_of(rotation, everywhere(np.eye(2)), noise=1e-3), found, VOLTAGE)
    alone = np.zeros((3, 4), bool)
    alone[0, 0] = True
    against_one = strain(said, found, "region", region=alone)
    assert against_one.deviation[0, 0, 0] < 1e-7
    ratio = against_one.deviation[1:] / strain(said, found).deviation[1:]
    assert np.median(ratio) == pytest.approx(np.sqrt(2), abs=0.1)
    assert len(COMPONENTS) == against_one.values.shape[-1]


def test_a_second_crystal_has_a_strain_of_its_own():
    rotation, other = everywhere(ZONE), everywhere(turn((1, 1, 0), 40) @ turn((0, 0, 1), 50))
    first, second = gradient_of(0.01, 0, 0), gradient_of(0, -0.01, 0.002)
    mixed = disks_of(rotation, everywhere(first)).with_others(disks_of(other, everywhere(second), width=0.03))
    beside = map_of(other)
    found = replace(map_of(rotation), beside=(beside,))
    for number, wanted in ((1, first), (2, second)):
        said = deformation(mixed, found, VOLTAGE, number=number)
        np.testing.assert_allclose(said.gradient, everywhere(wanted), atol=3e-4)


def test_disks_that_are_moved_along_q_are_believed_across_it():
    """As by dynamical diffraction: the fit finds out, weighs, and says so."""
    rotation, random = everywhere(ZONE, (12, 12)), np.random.default_rng(1)
    disks = disks_of(rotation, everywhere(np.eye(2), (12, 12)), noise=1e-3)
    length = np.hypot(disks.qx, disks.qy)
    moved = random.normal(0, 6e-3, len(disks)) * (length > 0.1) / np.maximum(length, 0.1)
    shifted = replace(disks, qx=disks.qx + moved * disks.qx, qy=disks.qy + moved * disks.qy)
    found = deformation(shifted, map_of(rotation), VOLTAGE)
    deviation = np.sqrt(np.diagonal(found.covariance, axis1=-2, axis2=-1)).reshape(12, 12, 2, 2)
    errors = found.gradient - np.eye(2)
    shear = (errors[..., 0, 0] - errors[..., 1, 1]) / 2
    size = (errors[..., 0, 0] + errors[..., 1, 1]) / 2
    assert shear.std() < 0.5 * size.std()
    assert (np.abs(errors) < deviation).mean() == pytest.approx(0.72, abs=0.12)


def test_where_there_is_no_grain_strain_is_still_against_the_crystal():
    """Random orientations, as of a powder; only rotations need a grain."""
    rotation = rotations(12, seed=5).reshape(3, 4, 3, 3)
    gradient = everywhere(gradient_of(0.004, -0.004, 0.001))
    found = measured(rotation, gradient, width=0.04)
    told = ~np.isnan(found.values[..., 0])
    assert told.sum() >= 8
    np.testing.assert_allclose(found.values[told][:, :3], [[0.004, -0.004, 0.001]] * told.sum(), atol=3e-4)
    assert np.isnan(found.of("rotation")).all()


@pytest.mark.py4dstem
def test_py4dstem_finds_the_same_strain_in_the_same_disks():
    """By its lattice fit, of the zone [001]: components, places and, but for its sense, the rotation."""
    from emdfile import PointList
    from py4DSTEM import RealSlice
    from py4DSTEM.process.strain import latticevectors

    made = [(0, 0, 0, 0), (0.01, 0, 0, 0), (0, -0.006, 0, 0), (0, 0, 0.004, 0), (0.003, -0.002, 0.001, 0.4)]
    gradient = np.array([gradient_of(*each) for each in made])[None]
    rotation = everywhere(ZONE, gradient.shape[:2])
    disks = disks_of(rotation, gradient)
    basis = 2 / CU.cell[0] * ZONE[:2, :2]  # g = Rᵀ g_crystal of (2 0 0) and (0 2 0)
    fitted = np.zeros((5, *gradient.shape[:2]))
    dtype = [(name, float) for name in ("qx", "qy", "intensity", "g1_ind", "g2_ind")]
    for col in range(len(made)):
        q = disks.at(0, col)[:, :2].astype(float)
        index = np.rint(q @ np.linalg.inv(basis))
        listed = np.rec.fromarrays([*q.T, np.ones(len(q)), *index.T], dtype=dtype)
        fitted[:, 0, col] = *latticevectors.fit_lattice_vectors(PointList(listed))[2:6], 1
    lattices = RealSlice(fitted, slicelabels=["g1x", "g1y", "g2x", "g2y", "mask"])
    with quiet():
        theirs = latticevectors.get_strain_from_reference_g1g2(lattices, *basis)
    region = np.arange(len(made))[None] == 0
    ours = strain(
        deformation(disks, map_of(rotation), VOLTAGE), map_of(rotation), reference="region", region=region
    )
    for component, name in (("xx", "e_xx"), ("yy", "e_yy"), ("xy", "e_xy")):
        # theirs are infinitesimal strains of reciprocal space, off by the square of the strain
        np.testing.assert_allclose(ours.of(component), theirs.get_slice(name).data, atol=1.5e-4, err_msg=name)
    np.testing.assert_allclose(ours.of("rotation"), -theirs.get_slice("theta").data, atol=1.5e-4)
    assert np.abs(ours.of("rotation")).max() > 0.005

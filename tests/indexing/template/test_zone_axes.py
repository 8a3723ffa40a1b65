"""Templates cover every zone axis of every crystal, whatever its space group and axes, and none of them twice."""

from functools import lru_cache

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from helpers.made_crystals import SETTINGS, in_setting, on_other_axes, setting
from helpers.made_maps import BISMUTH_RHOMBOHEDRAL, CU_PRIMITIVE, MONOCLINIC, TRICLINIC
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.silence import quiet
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.prediction import predicted_pattern
from napari_4dstem_orient.indexing.settings import AcceptanceSettings, TemplateSettings
from napari_4dstem_orient.indexing.template import library
from napari_4dstem_orient.indexing.template.indexer import TemplateMatcher
from napari_4dstem_orient.indexing.template.zone_axes import zone_count, zone_rotations, zone_triangles

EVERY_ANSWER = AcceptanceSettings(min_disks=2, min_score=0.0, min_reliability=0.0)
STEP = 10.0
EVERYWHERE = Rotation.random(400, random_state=4).as_matrix()[:, :, 2]


@lru_cache(maxsize=256)
def zones_in(corners):
    """Zone axes that py4DSTEM makes of a triangle (9 numbers)."""
    crystal = CU_PRIMITIVE.to_py4dstem()
    crystal.pymatgen_available = False
    with quiet():
        crystal.orientation_plan(
            zone_axis_range=np.reshape(corners, (3, 3)),
            angle_step_zone_axis=STEP,
            calculate_correlation_array=False,
            progress_bar=False,
        )
    return crystal.orientation_rotation_matrices[:, :, 2]


def largest_gap(zones, symmetry):
    """Degrees from the worst of many directions to the nearest zone axis; both signs of a direction count as one."""
    nearest = np.max([np.abs(EVERYWHERE @ each.T @ zones.T).max(1) for each in symmetry], axis=0)
    return np.degrees(np.arccos(nearest.clip(-1, 1))).max()


def solid_angle(triangle):
    a, b, c = triangle
    return 2 * np.arctan2(abs(np.linalg.det(triangle)), 1 + a @ b + b @ c + c @ a)


def check(phase):
    triangles = zone_triangles(phase)
    zones = np.concatenate([zones_in(tuple(triangle.ravel())) for triangle in triangles])
    for each in (zones, zone_rotations(phase, STEP)[:, :, 2]):
        assert largest_gap(each, phase.symmetry) < STEP, phase.name
    assert zone_count(triangles, STEP) == len(zones)
    # What covers everything and is no larger than its share covers nothing twice.
    share = 2 * np.pi / len(phase.symmetry)
    assert sum(map(solid_angle, triangles)) == pytest.approx(share, rel=1e-3), phase.name


@pytest.mark.py4dstem
def test_every_setting_of_every_space_group_is_covered_once():
    for hall in SETTINGS:
        phase = in_setting(hall)
        assert phase.space_group == setting(hall).number
        check(phase)


@pytest.mark.py4dstem
def test_axes_of_anybodys_choice_are_covered_too():
    random = np.random.default_rng(8)
    for hall in random.choice(SETTINGS, 100, replace=False):
        lower, upper = np.eye(3, dtype=int), np.eye(3, dtype=int)
        lower[np.tril_indices(3, -1)] = random.integers(-1, 2, 3)
        upper[np.triu_indices(3, 1)] = random.integers(-1, 2, 3)
        check(on_other_axes(in_setting(hall), (lower @ upper)[random.permutation(3)]))
    for phase in (CU_PRIMITIVE, BISMUTH_RHOMBOHEDRAL, MONOCLINIC, TRICLINIC, find_phase("Cu2O")):
        check(phase)


def crystal(name, cell, positions, numbers):
    return Phase(name, cell, np.array(positions, float), np.array(numbers), np.ones(len(numbers)))


THIRD = 1 / 3
WURTZITE = crystal(
    "ZnO",
    (3.2495, 3.2495, 5.2069, 90, 90, 120),
    [(THIRD, 2 * THIRD, z) for z in (0, 0.3825)] + [(2 * THIRD, THIRD, z) for z in (0.5, 0.8825)],
    [30, 8, 30, 8],
)
"""6mm: half of all zone axes once had no template."""
POLAR = crystal(
    "PbTiO3",
    (3.904, 3.904, 4.152, 90, 90, 90),
    [(0, 0, 0), (0.5, 0.5, 0.5377), (0.5, 0.5, 0.1118), (0.5, 0, 0.6174), (0, 0.5, 0.6174)],
    [82, 22, 8, 8, 8],
)
"""4mm."""


@pytest.mark.py4dstem
@pytest.mark.parametrize(
    "phase", [WURTZITE, POLAR, BISMUTH_RHOMBOHEDRAL, MONOCLINIC], ids=lambda phase: phase.name
)
def test_orientations_all_over_the_sphere_are_found_by_both_engines(phase):
    truth = Rotation.random(40, random_state=6).as_matrix()
    patterns = [predicted_pattern(phase, rotation, 200.0, 1.3)[:, :3] for rotation in truth]

    def found(count, engine):
        disks = BraggDisks.from_lists((1, count), patterns[:count], calibrated=True, reach=1.3)
        settings = TemplateSettings(zone_axis_step=3.0, in_plane_step=3.0, engine=engine, matches=1)
        matcher = TemplateMatcher([phase], 200.0, 1.3, 0.0, settings, EVERY_ANSWER, device="cpu")
        return matcher.index(disks).rotation[0].astype(float)

    ours = found(40, "torch")
    apart = misorientation(ours, truth, phase)
    assert np.median(apart) < 2.0
    assert (apart < 4).mean() > 0.8  # sparse patterns have rivals
    theirs = misorientation(found(8, "py4DSTEM"), truth[:8], phase)
    assert (apart[:8] < 4).sum() >= (theirs < 4).sum() - 1  # one may be a tie


@pytest.mark.parametrize(
    ("engine", "needs"), [("torch", 1.9e9), pytest.param("py4DSTEM", 8e9, marks=pytest.mark.py4dstem)]
)
def test_a_library_that_would_take_too_much_memory_is_refused_before_it_is_made(monkeypatch, engine, needs):
    def make(step, room):
        monkeypatch.setattr(library, "room", lambda: room)
        settings = TemplateSettings(zone_axis_step=step, in_plane_step=step, engine=engine)
        matcher = TemplateMatcher([TRICLINIC], 200.0, 2.1, settings=settings, device="cpu")
        if engine == "torch":
            return len(matcher._templates[0].zones)
        matcher._check_size(TRICLINIC, zone_triangles(TRICLINIC))

    with pytest.raises(
        UserError, match=r"triclinic for \d\d,\d\d\d zone axes would take .*larger than 0\.5°"
    ):
        make(0.5, 20e9)
    make(2.0, needs)
    with pytest.raises(UserError, match=r"would take .* and 0\.93 GiB can be had"):
        make(2.0, 1e9)

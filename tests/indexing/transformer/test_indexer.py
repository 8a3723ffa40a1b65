"""Crystals that no network knows: templates propose, and the verifier decides as ever."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_4dstem_orient import find_phase, map_orientations
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.resource_files import resource
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.indexing.prediction import predicted_pattern
from napari_4dstem_orient.indexing.settings import TransformerSettings

ROTATIONS = Rotation.random(48, random_state=7).as_matrix()


def disks_of(phases):
    """Disks of each phase in every orientation: a row of the scan each."""
    lists = [
        predicted_pattern(phase, rotation, 300, 1.6)[:40, :3] for phase in phases for rotation in ROTATIONS
    ]
    return BraggDisks.from_lists((len(phases), len(ROTATIONS)), lists, calibrated=True, reach=1.6)


@pytest.mark.parametrize("name", ["TiO2", "SrTiO3", "NaCl"])
def test_a_crystal_without_a_network_is_mapped(name):
    phase = find_phase(name)
    found = map_orientations(disks_of([phase]), [phase], 300.0)
    assert found.provenance["models"] == []
    assert found.provenance["without_model"] == [phase.name]
    apart = misorientation(found.rotation[0], ROTATIONS, phase)
    assert (apart < 2).mean() > 0.95
    assert np.median(apart) < 0.3
    assert np.median(found.certainty.reliability) > 0.9


def test_a_network_and_templates_share_a_job(copper):
    rutile = find_phase("TiO2")
    fcc = resource("models", "fcc.safetensors")
    found = map_orientations(disks_of([copper, rutile]), [rutile, copper], 300.0, model=fcc)
    assert [model["title"].split(" ")[0] for model in found.provenance["models"]] == ["Cu"]
    assert found.provenance["without_model"] == [rutile.name]
    for row, phase in enumerate((copper, rutile)):
        right = np.array([found.phases[number].same_crystal(phase) for number in found.phase_id[row]])
        assert right.mean() > 0.95
        assert (misorientation(found.rotation[row], ROTATIONS, phase)[right] < 2).mean() > 0.9


def test_no_network_where_none_is_wanted(copper):
    found = map_orientations(disks_of([copper]), [copper], 300.0, model=())
    assert found.provenance["without_model"] == ["Cu"]
    assert (misorientation(found.rotation[0], ROTATIONS, copper) < 2).mean() > 0.95


def test_the_likeliest_template_stands_where_nothing_is_verified(copper):
    first_look = TransformerSettings(verify=False)
    found = map_orientations(disks_of([copper]), [copper], 300.0, model=(), transformer=first_look)
    assert (misorientation(found.rotation[0], ROTATIONS, copper) < 5).mean() > 0.8
    assert found.certainty is None

"""Why there is no model, and why there is no answer: the reasons are the true ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_4dstem_orient import map_orientations
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.certainty import IndexingStatus
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.indexing.models import (
    AvailableModel,
    choose_models,
    list_models,
    named_models,
    why_not,
)


@pytest.fixture(scope="module")
def models():
    return list_models()


def refused(models, names, voltage=200.0, reach=2.0, precession=0.0):
    """What is said about those of these crystals that no model serves."""
    phases = [find_phase(name) if isinstance(name, str) else name for name in names]
    choice = choose_models(models, phases, voltage, reach, precession)
    served = [phase for use in choice.uses for phase in use.phases]
    assert [phase in served for phase in phases] == [phase not in choice.others for phase in phases]
    return choice.why


@pytest.mark.parametrize("name", ["Cu", "Ag", "Fe", "Ti", "Si"])
def test_the_reason_is_the_true_one(models, name):
    assert refused(models, [name], voltage=60).endswith(" kV, the scan was taken at 60 kV")
    assert refused(models, [name], reach=0.16).endswith(" Å⁻¹, the detector only reaches 0.16 Å⁻¹")
    assert refused(models, [name], precession=9).endswith("° precession, the scan has 9°")
    assert refused(models, [name], voltage=None).endswith(": the scan's voltage is unknown")


def test_the_reason_of_a_joint_model_is_given_where_that_is_the_only_one(models):
    cuprite = find_phase("Cu2O").name
    assert refused(models, ["Cu"], voltage=60) == (
        "Cu: it was trained for 200 to 300 kV, the scan was taken at 60 kV"
    )
    assert refused(models, ["Cu2O"], voltage=60).startswith(f"{cuprite}: it was trained for ")
    assert "another crystal" not in refused(models, ["Cu2O"], voltage=60)
    joint = [model for model in models if len(model.card.phases) > 1]
    assert refused(joint, ["Cu"], voltage=300) == (
        f"Cu: it was trained for {cuprite} (a = 4.270 Å), another crystal than Cu"
    )


def test_every_phase_without_a_model_has_its_reason(models):
    cuprite = find_phase("Cu2O").name
    short = "it expects disks up to 2.1 Å⁻¹, the detector only reaches 0.16 Å⁻¹"
    assert refused(models, ["Cu", "Cu2O"], voltage=200, reach=0.16) == (
        f"Cu: {short}; {cuprite}: it was trained for 300 kV, the scan was taken at 200 kV"
    )
    assert refused(models, ["Cu", "Ag"], voltage=60) == (
        "Cu and Ag: it was trained for 200 to 300 kV, the scan was taken at 60 kV"
    )
    said = refused(models, ["NaCl", "Cu", "SrTiO3", "Ti"], reach=0.16)
    unknown = (
        f"{find_phase('NaCl').name} and {find_phase('SrTiO3').name}: none was trained for such a crystal"
    )
    assert said.startswith(unknown + f"; Cu: {short}")
    assert "; Ti: it expects disks up to " in said
    assert refused(models, ["Cu", "NaCl"]) == (
        f"{find_phase('NaCl').name}: none was trained for such a crystal"
    )


def test_the_model_that_comes_nearest_speaks(models):
    (fcc,) = [model for model in models if model.path.stem == "fcc"]
    copper = find_phase("Cu")

    def trained_at(kilovolts):
        card = replace(fcc.card, phases=[copper.to_dict()], voltage=kilovolts, others=[])
        return AvailableModel(Path(f"{kilovolts}.safetensors"), card)

    available = [trained_at(300.0), trained_at(80.0), trained_at(120.0)]
    said = "Cu: it was trained for {:.0f} kV, the scan was taken at {:g} kV"
    assert refused(available, ["Cu"], voltage=60) == said.format(80, 60)
    assert refused(available, ["Cu"], voltage=99) == said.format(120, 99)
    assert refused(available, ["Cu"], voltage=200) == said.format(300, 200)
    # What fits but for the k range is nearer than what was trained for another voltage.
    assert "only reaches 0.3" in refused(available, ["Cu"], voltage=120, reach=0.3)
    assert "has 2°" in refused(available, ["Cu"], voltage=120, precession=2)


def test_a_crystal_of_another_size_is_not_blamed_on_the_voltage(models):
    """The voltage is one that the model knows; the crystal is so large that the Ewald sphere cuts it otherwise."""
    (fcc,) = [model for model in models if model.path.stem == "fcc"]
    silver = find_phase("Ag")
    card = replace(fcc.card, phases=[find_phase("Cu").to_dict()], voltage=300.0, others=[])
    said = why_not(card, [silver], 300.0, 2.0)
    assert said == (
        f"at 300 kV it expects the first reflection at 0.45 to 0.508 Å⁻¹, that of Ag lies at {silver.nearest:.3g} Å⁻¹"
    )


def rings(*radii):
    """Disks at these distances from the direct beam, and the direct beam."""
    turn = 2.4 * np.arange(len(radii))
    around = np.column_stack([radii * np.cos(turn), radii * np.sin(turn), np.full(len(radii), 5.0)])
    return np.vstack([around, [0.0, 0.0, 100.0]])


@pytest.mark.parametrize("method", ["transformer", "template"])
def test_a_position_with_many_disks_that_are_no_reflections_is_not_said_to_have_too_few(copper, method):
    lists = [
        rings(*np.linspace(0.1, 0.39, 22)),  # nearer than any reflection, 0.479
        rings(*np.linspace(2.2, 2.4, 22)),  # farther than is looked at
        rings(0.2, 0.3, 0.48, 0.55, 0.48),  # a few of each
        rings(0.48, 0.48, 0.55),
        rings(),
        np.zeros((0, 3)),
    ]
    disks = BraggDisks.from_lists((1, 6), lists, calibrated=True, reach=2.5)
    made = map_orientations(disks, [copper], 300.0, method=method)
    elsewhere, few = IndexingStatus.DISKS_ELSEWHERE, IndexingStatus.TOO_FEW_DISKS
    assert made.status[0].tolist() == [elsewhere, elsewhere, elsewhere, few, few, few]
    assert "pixel size" in elsewhere.text
    assert few.text == "not indexed: too few disks"


def test_templates_propose_for_crystals_that_a_named_model_does_not_know(models):
    """It was used for the one crystal, and the other was left out in silence."""
    fcc = next(model.path for model in models if model.path.stem == "fcc")
    copper, cuprite = find_phase("Cu"), find_phase("Cu2O")
    assert [use.phases for use in named_models([fcc], [copper], 300, 2.0).uses] == [(copper,)]
    for paths in ([fcc], [fcc, fcc]):
        choice = named_models(paths, [copper, cuprite], 300, 2.0)
        assert [use.phases for use in choice.uses] == [(copper,)]
        assert choice.others == (cuprite,)
        assert choice.why == f"{cuprite.name}: no model that is named knows it"
    assert named_models([], [copper], 300, 2.0).others == (copper,)

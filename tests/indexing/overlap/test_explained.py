"""Which disks a crystal explains, of patterns that are put together from its reflections and others."""

import numpy as np

from helpers.made_maps import CU, crystal, rotations, turn
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.indexing.overlap.explained import Explainer
from napari_4dstem_orient.indexing.reflections import NEAR, reflector_of

REACH = 1.5


def excited(phase, rotation, width=0.02):
    """The places of a crystal's reflections near the Ewald sphere, (m, 2)."""
    reflector = reflector_of(phase, 300.0, REACH)
    import torch

    g = reflector.in_lab(torch.from_numpy(rotation.astype(np.float32)))
    near = reflector.excitation_errors(g)[0].abs() < width
    places = g[near, :2].numpy()
    return places[np.hypot(*places.T) < REACH]


def disks_of(lists, **fields):
    rows = [np.c_[np.asarray(places).reshape(-1, 2), np.ones(len(places))] for places in lists]
    return BraggDisks.from_lists((1, len(rows)), rows, calibrated=True, reach=REACH, **fields)


def test_its_own_disks_are_explained_and_others_are_not():
    one, other = rotations(2, seed=1)
    own, foreign = excited(CU, one), excited(CU, other)
    apart = np.hypot(*(foreign[:, None] - excited(CU, one, 0.2)[None]).transpose(2, 0, 1)).min(1)
    foreign = foreign[apart > 2 * NEAR]
    disks = disks_of([np.vstack([own, foreign]), own])
    explained = Explainer(disks, [CU], 300.0, k_max=REACH).by(np.array([one, one]), np.array([0, 0]))
    assert explained[: len(own)].all()
    assert not explained[len(own) : len(own) + len(foreign)].any()
    assert explained[len(own) + len(foreign) :].all()


def test_turned_the_other_way_it_explains_less():
    rotation = rotations(1, seed=2)[0]
    disks = disks_of([excited(CU, rotation)])
    explainer = Explainer(disks, [CU], 300.0, k_max=REACH)
    shares = [
        explainer.by((rotation @ turn([0, 0, 1], angle))[None], np.array([0])).mean() for angle in (0, 20)
    ]
    assert shares[0] == 1
    assert shares[1] < 0.5


def test_where_there_is_no_crystal_nothing_is_explained():
    rotation = rotations(1, seed=3)
    disks = disks_of([excited(CU, rotation[0]), []])
    explainer = Explainer(disks, [CU], 300.0, k_max=REACH)
    assert not explainer.by(np.repeat(rotation, 2, 0), np.array([-1, -1])).any()
    assert explainer.by(np.repeat(rotation, 2, 0), np.array([0, 0])).all()


def test_reflections_that_lie_close_explain_only_what_lies_on_them():
    large = crystal(
        "large", (20, 21, 22, 90, 90, 90), [[0, 0, 0], [0.3, 0.2, 0.1], [0.7, 0.6, 0.4]], [29] * 3
    )
    grid = np.stack(np.meshgrid(*[np.arange(-1, 1, 0.013)] * 2), -1).reshape(-1, 2)
    disks = disks_of([grid])
    share = Explainer(disks, [large], 300.0, k_max=REACH).by(np.eye(3)[None], np.array([0])).mean()
    assert share < 0.5


def test_the_direct_beam_is_no_reflection_and_clear_disks_are_sure():
    places = np.array([[0.0, 0.0], [0.48, 0.0], [0.0, 0.48]])
    snr = np.array([100.0, 5.0, 1.0], np.float32)
    explainer = Explainer(disks_of([places], snr=snr), [CU], 300.0, k_max=REACH)
    assert explainer.reflections.tolist() == [False, True, True]
    assert explainer.clear.tolist() == [False, True, False]
    assert explainer.count(explainer.clear).tolist() == [1]
    assert explainer.light(explainer.reflections, np.array([1, 0.5, 0.5])).tolist() == [1.0]

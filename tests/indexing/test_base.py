"""Orientations from disks: scores, hypotheses and both indexers on patterns with known answers."""

from dataclasses import asdict
from unittest.mock import create_autospec

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.certainty import IndexingStatus
from napari_4dstem_orient.core.errors import Cancelled, UserError
from napari_4dstem_orient.core.resource_files import resource
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.indexing.base import Hypotheses, MapBuilder
from napari_4dstem_orient.indexing.prediction import predicted_pattern
from napari_4dstem_orient.indexing.scoring import Measured, score, without_direct_beam
from napari_4dstem_orient.indexing.settings import (
    AcceptanceSettings,
    ScoreSettings,
    TemplateSettings,
    TransformerSettings,
)
from napari_4dstem_orient.indexing.template.indexer import TemplateMatcher
from napari_4dstem_orient.indexing.transformer.checkpoint import Model, ModelCard, build_network, load_model
from napari_4dstem_orient.indexing.transformer.indexer import TransformerIndexer, propose
from napari_4dstem_orient.indexing.transformer.network import NetworkSettings
from napari_4dstem_orient.indexing.transformer.tokens import canonical_frame, strongest
from napari_4dstem_orient.training.loss import misorientation_angle
from napari_4dstem_orient.training.synthesis import PatternSource, SynthesisSettings

TILTED = Rotation.from_euler("ZXZ", [20, 9, 11], degrees=True).as_matrix()


def disks_of(phase, rotations, k_max=2.1, direct_beam=True):
    lists = []
    for rotation in rotations:
        spots = predicted_pattern(phase, rotation, 300, k_max)[:24, :3]
        beam = np.array([[0, 0, 20]], np.float32)
        lists.append(np.concatenate([beam, spots]) if direct_beam else spots)
    return BraggDisks.from_lists((1, len(lists)), lists, calibrated=True)


def measured_of(disks, reflector, reach=2.1):
    block, mask = disks.padded(32)
    tensor, inside = torch.from_numpy(block), torch.from_numpy(mask)
    return Measured.of(tensor, without_direct_beam(tensor, inside, reflector.nearest), reach)


@pytest.fixture(scope="module")
def untrained(copper):
    card = ModelCard(
        phases=[copper.to_dict()],
        voltage=300.0,
        k_max=2.1,
        precession=0.0,
        q_span=2.2,
        network=asdict(NetworkSettings(tokens=16, width=16, heads=2, layers=1, feedforward=32)),
        synthesis=SynthesisSettings().to_dict(),
        training={},
        data_hash="",
    )
    torch.manual_seed(4)
    return Model(card, build_network(card).eval(), (copper,), (Reflector.of(copper, 300, 2.1),))


# tokens


def test_canonical_frame_puts_the_reference_disk_on_x_and_gives_the_way_back(copper):
    block, mask = disks_of(copper, [TILTED], direct_beam=False).padded(16)
    disks = torch.from_numpy(block)
    turned, back = canonical_frame(disks, 1)
    assert turned[0, 1, 1] == pytest.approx(0, abs=1e-6)
    assert turned[0, 1, 0] > 0
    assert turned[0, 0, 2] == 1
    in_frame = torch.tensor(TILTED, dtype=torch.float32) @ back[0].T
    g = torch.tensor(copper.reflections(2.1).g, dtype=torch.float32) @ in_frame
    nearest = torch.cdist(turned[0, :, :2], g[:, :2]).amin(1)
    assert nearest[mask[0]].max() < 1e-5  # the same crystal in the turned frame makes the turned pattern
    assert mask.any()


def test_strongest_keeps_the_strongest_first():
    disks = torch.tensor([[[0.1, 0, 3.0], [0.2, 0, 9.0], [0.3, 0, 5.0], [0, 0, 99.0]]])
    kept, mask = strongest(disks, torch.tensor([[True, True, True, False]]), 3)
    assert kept[0, :, 2].tolist() == [9.0, 5.0, 3.0]
    assert mask.any()


# scores


def test_the_true_orientation_scores_highest_and_explains_all_disks(copper):
    reflector = Reflector.of(copper, 300, 2.1)
    measured = measured_of(disks_of(copper, [TILTED]), reflector)
    turns = Rotation.from_rotvec(
        np.deg2rad([[0, 0, 0], [4, 0, 0], [0, 4, 0], [0, 0, 4], [30, 0, 0]])
    ).as_matrix()
    found = score(
        measured, torch.tensor(TILTED @ turns, dtype=torch.float32)[None], reflector, ScoreSettings()
    )
    assert found.value[0, 0] > 0.97
    assert found.value[0].argmax() == 0
    assert found.n_matched[0, 0] == measured.mask.sum() >= 12
    assert found.n_matched[0, 4] < 0.7 * measured.mask.sum()


def test_score_tells_a_beam_from_below_from_one_from_above(copper):
    """Turning the crystal by 180° about x puts the Ewald sphere on the wrong side of every reflection."""
    reflector = Reflector.of(copper, 300, 2.1)
    spots = predicted_pattern(copper, TILTED, 300, 2.1)[:, :3]
    flipped = spots * [1, -1, 1]
    upside_down = TILTED @ np.diag([1.0, -1.0, -1.0])
    disks = BraggDisks.from_lists((1, 2), [spots, flipped], calibrated=True)
    measured = measured_of(disks, reflector)
    true = np.stack([TILTED, TILTED @ np.diag([1.0, -1.0, 1.0])])
    found = score(
        measured,
        torch.tensor(np.stack([true[0], upside_down]), dtype=torch.float32)[:, None],
        reflector,
        ScoreSettings(),
    )
    assert found.value[0, 0] > 0.97
    assert found.value[1, 0] < 0.9


def test_score_does_not_ask_for_disks_beyond_the_detector(copper):
    reflector = Reflector.of(copper, 300, 2.1)
    disks = disks_of(copper, [TILTED], k_max=0.9)
    rotation = torch.tensor(TILTED, dtype=torch.float32)[None, None]
    small = score(measured_of(disks, reflector, reach=0.9), rotation, reflector, ScoreSettings())
    assert small.value.item() > 0.97


# hypotheses and maps


def hypotheses(scores, phases):
    scores = np.array([scores], np.float32)
    rotation = np.tile(np.eye(3, dtype=np.float32), (*scores.shape, 1, 1))
    rotation[..., 0, 0] = scores  # a mark to follow, not a rotation
    return Hypotheses(rotation, np.array([phases]), scores, np.array([[5] * len(phases)]))


def test_hypotheses_of_two_phases_are_sorted_by_score_and_runners_up_share_the_winning_phase():
    joined = Hypotheses.join([hypotheses([0.5, 0.4], [0, 0]), hypotheses([0.9, 0.1], [1, 1])], 4)
    assert joined.score[0].tolist() == pytest.approx([0.9, 0.5, 0.4, 0.1])
    own = joined.of_winning_phase(3)
    assert own.score[0].tolist() == pytest.approx([0.9, 0.1, 0.0])
    assert own.rotation[0, :2, 0, 0].tolist() == pytest.approx([0.9, 0.1])


@pytest.mark.parametrize(
    ("best", "disks", "reason"),
    [
        (0.9, 8, IndexingStatus.INDEXED),
        (0.9, 3, IndexingStatus.TOO_FEW_DISKS),
        (0.1, 8, IndexingStatus.LOW_SCORE),
    ],
)
def test_a_position_without_an_answer_says_why(best, disks, reason):
    builder = MapBuilder((1, 2), (), AcceptanceSettings(min_disks=4, min_score=0.35), 1)
    builder.put(np.array([1]), hypotheses([best, 0.05], [0, 0]), np.array([disks]))
    made = builder.finish("template", {})
    assert made.status.tolist() == [[IndexingStatus.NOT_RUN, reason]]
    assert made.indexed.tolist() == [[False, reason == IndexingStatus.INDEXED]]
    if reason != IndexingStatus.INDEXED:
        assert np.array_equal(made.rotation[0, 1], np.eye(3))


# the indexers


def test_template_matching_finds_random_orientations_of_its_own_patterns(copper):
    truth = Rotation.random(12, random_state=3).as_matrix()
    matcher = TemplateMatcher(
        [copper], 300, 2.1, settings=TemplateSettings(zone_axis_step=3, in_plane_step=3)
    )
    found = matcher.index(disks_of(copper, truth))
    angles = misorientation(found.rotation[0], truth, copper)
    assert np.median(angles) < 2
    # where it is wrong, the pattern is nearly the same: its answer explains the disks almost as well as the truth
    reflector = Reflector.of(copper, 300, 2.1)
    measured = measured_of(disks_of(copper, truth), reflector)
    best = score(
        measured, torch.tensor(truth, dtype=torch.float32)[:, None], reflector, ScoreSettings()
    ).value
    assert ((angles < 5) | (found.score[0] > 0.8 * best[:, 0].numpy())).all()
    assert found.indexed.all()
    assert found.method == "template"
    assert found.provenance["engine"].startswith("torch")


def test_template_matching_tells_two_phases_apart(copper, silver):
    lists = [disks_of(copper, [TILTED]).at(0, 0), disks_of(silver, [TILTED]).at(0, 0)]
    disks = BraggDisks.from_lists((1, 2), lists, calibrated=True)
    matcher = TemplateMatcher([copper, silver], 300, 2.1, settings=TemplateSettings(zone_axis_step=4))
    assert matcher.index(disks).phase_id.tolist() == [[0, 1]]


def test_the_transformer_turns_its_answer_with_the_pattern(untrained, copper):
    """Whatever the network says, a pattern turned about the beam gets the answer turned about the beam."""
    turn = Rotation.from_rotvec([0, 0, np.deg2rad(33)]).as_matrix()
    disks = disks_of(copper, [TILTED, TILTED @ turn.T])
    settings = TransformerSettings(reference_disks=2, refinement_iterations=0, template_hypotheses=0)
    indexer = TransformerIndexer([untrained], settings, AcceptanceSettings(2, 0.0), device="cpu")
    first, second = indexer.index(disks).rotation[0]
    assert np.abs(second - first @ turn.T).max() < 2e-3


def test_a_disk_must_stand_out_of_the_noise_where_signal_to_noise_is_known():
    block = torch.tensor([[[0.5, 0, 1, ratio], [0, 0.5, 1, 1.5], [0.5, 0.5, 1, 1.0]] for ratio in (1.8, 1.6)])
    mask = torch.ones(2, 3, dtype=torch.bool)
    assert Measured.of(block, mask, 2.0).enough(4).tolist() == [True, False]
    assert Measured.of(block[..., :3], mask, 2.0).enough(4).tolist() == [False, False]
    assert Measured.of(block[..., :3], mask, 2.0).enough(3).tolist() == [True, True]
    assert Measured.of(block, mask & torch.tensor([True, False, False]), 2.0).enough(2).tolist() == [
        False,
        False,
    ]
    far = torch.cat([torch.tensor([[[9.0, 0, 1, 50]]]), block[1:]], 1)  # beyond reach: it says nothing
    assert not Measured.of(far, torch.ones(1, 4, dtype=torch.bool), 2.0).enough(2).any()


def test_the_transformer_leaves_out_positions_with_too_few_disks(untrained, copper):
    few = disks_of(copper, [TILTED]).at(0, 0)[:3]
    full = disks_of(copper, [TILTED]).at(0, 0)
    disks = BraggDisks.from_lists((2, 2), [few, full, few[:0], few[:1]], calibrated=True)
    found = TransformerIndexer([untrained], device="cpu").index(disks)
    assert found.status[0, 0] == found.status[1, 0] == found.status[1, 1] == IndexingStatus.TOO_FEW_DISKS
    assert found.status[0, 1] in (IndexingStatus.INDEXED, IndexingStatus.LOW_SCORE)
    assert (found.score[1] == 0).all()


def test_one_position_gets_the_answer_that_the_whole_map_gives(untrained, copper):
    truth = Rotation.random(6, random_state=5).as_matrix()
    disks = disks_of(copper, truth)
    indexer = TransformerIndexer([untrained], device="cpu")
    whole, one = indexer.index(disks), indexer.index(disks.only(0, 4))
    assert np.allclose(whole.rotation[0, 4], one.rotation[0, 0], atol=1e-4)
    assert whole.score[0, 4] == pytest.approx(one.score[0, 0], abs=1e-4)


def test_the_direct_beam_changes_nothing(untrained, copper):
    """It is the strongest disk of a measured pattern; no hypothesis may be made with it."""
    truth = Rotation.random(6, random_state=5).as_matrix()
    indexer = TransformerIndexer([untrained], device="cpu")
    found = [indexer.index(disks_of(copper, truth, direct_beam=beam)) for beam in (True, False)]
    for name in ("rotation", "runner_up"):
        with_beam, without = (getattr(each, name)[0] for each in found)
        np.testing.assert_allclose(np.linalg.det(with_beam), 1, atol=1e-4)
        np.testing.assert_allclose(with_beam, without, atol=1e-4)


def test_indexing_needs_calibrated_disks_and_a_crystal(untrained, copper):
    raw = BraggDisks.from_lists((1, 1), [np.ones((5, 3))])
    with pytest.raises(UserError, match="calibrate"):
        TransformerIndexer([untrained], device="cpu").index(raw)
    with pytest.raises(UserError, match="calibrate"):
        TemplateMatcher([copper], 300, 2.1).index(raw)
    with pytest.raises(UserError, match="No crystal phase"):
        TransformerIndexer([])


def test_a_cancelled_run_stops(untrained, copper):
    def cancel(done, total):
        raise Cancelled

    with pytest.raises(Cancelled):
        TransformerIndexer([untrained], device="cpu").index(disks_of(copper, [TILTED]), cancel)


def test_batches_on_several_threads_give_what_one_thread_gives(untrained, copper):
    from napari_4dstem_orient.indexing.transformer.indexer import BATCH

    size = BATCH["cpu"]
    patterns = [
        disks_of(copper, [rotation]).at(0, 0) for rotation in Rotation.random(12, random_state=7).as_matrix()
    ]
    disks = BraggDisks.from_lists(
        (1, 2 * size + 5), [patterns[i % 12] for i in range(2 * size + 5)], calibrated=True
    )
    indexer = TransformerIndexer(
        [untrained],
        TransformerSettings(reference_disks=1, refinement_iterations=0),
        AcceptanceSettings(2, 0.0),
        device="cpu",
    )
    before, answers, seen = torch.get_num_threads(), [], []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            answers.append(indexer.index(disks, lambda done, total: seen.append(done)))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert seen == [size, 2 * size, 2 * size + 5] * 2
    assert np.allclose(answers[0].rotation, answers[1].rotation, atol=1e-4)
    assert answers[0].indexed.all()


def test_half_precision_hardly_moves_what_the_network_proposes(copper):
    """Works without hardware for it too, slowly; the model itself stays in single precision."""
    model = load_model(resource("models") / "fcc.safetensors")
    source = PatternSource(copper, 300.0, 2.1, SynthesisSettings(clean_share=1.0))
    batch = source.draw(64, model.tokens, torch.Generator().manual_seed(3))
    symmetry = torch.as_tensor(copper.symmetry, dtype=torch.float32)
    with torch.inference_mode():
        whole, half = (
            propose(each, batch.disks, batch.mask, range(1))[0]
            for each in (model, model.in_half(torch.bfloat16))
        )
        nearest = misorientation_angle(half[:, :, None], whole[:, None], symmetry).amin(2)
    assert 0 < torch.rad2deg(nearest).median() < 0.5
    assert torch.rad2deg(nearest).quantile(0.9) < 2.0
    assert next(model.network.encoder.parameters()).dtype == torch.float32
    assert model.tokens < model.card.network["tokens"]


def test_without_the_referee_the_networks_first_choice_stands(untrained, copper, monkeypatch):
    from napari_4dstem_orient.indexing.transformer import indexer as made

    first = torch.tensor(TILTED, dtype=torch.float32).expand(1, 1, 3, 3)
    others = torch.eye(3).expand(1, 3, 3, 3)
    proposed = create_autospec(made.propose, return_value=[torch.cat([first, others], 1)])
    monkeypatch.setattr(made, "propose", proposed)
    disks = disks_of(copper, [TILTED])
    quick = TransformerIndexer([untrained], TransformerSettings(verify=False), device="cpu").index(disks)
    assert np.allclose(quick.rotation[0, 0], TILTED, atol=1e-6)
    assert (
        quick.score[0, 0] > 0.85
    )  # a kinematic pattern: without precession the score expects dynamical ones
    assert quick.certainty is None

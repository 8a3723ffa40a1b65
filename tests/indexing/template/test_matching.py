"""Matching finds the best template of all, and is right as often as py4DSTEM, whatever the crystal and settings."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.drawn_patterns import PolarImages
from napari_4dstem_orient import map_orientations
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import Cancelled, UserError
from napari_4dstem_orient.core.silence import quiet
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.crystals.rotations import about_beam, random_rotations
from napari_4dstem_orient.indexing.base import Offered
from napari_4dstem_orient.indexing.prediction import predicted_pattern
from napari_4dstem_orient.indexing.settings import AcceptanceSettings, TemplateSettings
from napari_4dstem_orient.indexing.template import matching
from napari_4dstem_orient.indexing.template.indexer import TemplateMatcher
from napari_4dstem_orient.indexing.template.library import Templates
from napari_4dstem_orient.indexing.template.matching import batch_sizes, match
from napari_4dstem_orient.training.synthesis import (
    PatternSource,
    SynthesisSettings,
    published_synthesis,
)

EVERY_ANSWER = AcceptanceSettings(min_disks=2, min_score=0.0, min_reliability=0.0)
NOISY = SynthesisSettings(clean_share=0.0, kinematic_share=0.5)
CLEAN = published_synthesis((50.0, 1000.0))


def drawn(phase, k_max, synthesis, count, precession=0.0, seed=7):
    """Return random orientations and their disks (q, intensity, mask); every pattern has at least four."""
    source = PatternSource(phase, 300.0, k_max, synthesis, precession)
    generator = torch.Generator().manual_seed(seed)
    truth = random_rotations(2 * count, generator)
    disks, mask = source.detect(truth, generator, 64)
    enough = (mask.sum(1) >= 4).nonzero()[:count, 0]
    disks, mask = disks[enough], mask[enough]
    return truth[enough].numpy().astype(float), disks[..., :2], disks[..., 2].clamp_min(0) * mask, mask


def simulated(*what, **options):
    return drawn(*what, **options)[1:]


def library(phase, k_max, precession=0.0, **settings):
    return Templates.covering(
        phase, Reflector.of(phase, 300.0, k_max, precession), TemplateSettings(**settings)
    )


def plan(phase, k_max, precession=0.0, **settings):
    """Return py4DSTEM's crystal with its own library."""
    chosen = TemplateSettings(**settings)
    return TemplateMatcher([phase], 300.0, k_max, precession, chosen, EVERY_ANSWER, device="cpu")._plans[0]


def py4dstem_matches(crystal, q, intensity, mask, matches=1):
    """Match each pattern with py4DSTEM, a later match in the plane as what is left of the disks has it."""
    from emdfile import PointList

    found = []
    for rows in zip(q.numpy(), intensity.numpy(), mask.numpy(), strict=True):
        places, heights = rows[0][rows[2]], rows[1][rows[2]]
        peaks = np.zeros(len(places), dtype=[("qx", float), ("qy", float), ("intensity", float)])
        peaks["qx"], peaks["qy"], peaks["intensity"] = *places.T, heights
        with quiet():
            answer = crystal.match_single_pattern(
                PointList(peaks), num_matches_return=matches, multiple_corr_reset=False
            )
        found.append(np.asarray(answer.matrix).reshape(matches, 3, 3))
    return np.stack(found)


CASES = [
    ("Cu", 2.1, NOISY, 0.0, {}),
    ("Cu", 2.1, CLEAN, 0.0, {"kernel": 0.04, "excitation_width": 0.012, "intensity_power": 0.0}),
    ("Cu", 1.5, NOISY, 1.0, {"kernel": 0.12, "intensity_power": 1.0, "in_plane_step": 3.0}),
    ("Ti", 1.2, NOISY, 0.0, {}),
    ("Ti", 1.2, CLEAN, 0.0, {"zone_axis_step": 3.0}),
    ("Cu2O", 1.1, NOISY, 0.0, {}),
]


@pytest.mark.py4dstem
@pytest.mark.parametrize(("name", "k_max", "synthesis", "precession", "settings"), CASES)
def test_answers_are_right_as_often_as_py4dstems(name, k_max, synthesis, precession, settings):
    phase = find_phase(name)
    truth, *patterns = drawn(phase, k_max, synthesis, 40, precession)
    found = match(library(phase, k_max, precession, **settings), *patterns, 1)[:, 0].numpy()
    theirs = py4dstem_matches(plan(phase, k_max, precession, **settings), *patterns)[:, 0]
    ours, reference = (misorientation(each.astype(float), truth, phase) for each in (found, theirs))
    assert (ours < 5).sum() >= (reference < 5).sum() - 2
    assert np.median(ours) < 1.1 * np.median(reference) + 0.1


@pytest.mark.parametrize(("name", "k_max", "synthesis", "precession", "settings"), CASES)
def test_no_template_is_better_than_the_one_that_is_found(name, k_max, synthesis, precession, settings):
    """Every zone axis, angle and mirror image, summed disk by disk and reflection by reflection."""
    phase, chosen = find_phase(name), TemplateSettings(**settings | {"zone_axis_step": 4.0})
    reflector = Reflector.of(phase, 300.0, k_max, precession)
    patterns = simulated(phase, k_max, synthesis, 4, precession)
    templates = Templates.covering(phase, reflector, chosen)
    found = match(templates, *patterns, 1)[:, 0]
    for answer, q, intensity, mask in zip(found, *patterns, strict=True):
        scores = every_score(templates, q[mask], intensity[mask])
        angle = 2 * torch.pi / templates.steps * torch.arange(templates.steps)
        turned = templates.zones[:, None] @ about_beam(-angle)
        half = turned @ about_beam(torch.tensor(-torch.pi)) @ torch.diag(torch.tensor([1.0, -1.0, -1.0]))
        every = torch.stack([turned, half], 1).flatten(0, 2)
        apart = misorientation(every.numpy(), answer.expand_as(every).numpy(), phase)
        # The answer lies between two angles, nearer to the better one.
        assert scores.flatten()[apart < 0.75 * chosen.in_plane_step].max() > 0.998 * scores.max()


def every_score(templates, q, intensity):
    """Return the scores of one pattern with all zone axes, mirrored or not, at all angles: (z, 2, n)."""
    reflector, kernel, power = templates.reflector, templates.kernel, templates.power
    g = reflector.in_lab(templates.zones)
    near_sphere = torch.stack(reflector.excitation_errors(g)).abs().amin(0) < 4 * templates.width
    weight = near_sphere * reflector.excite(g, templates.width) ** power
    weight = weight / weight.norm(dim=1, keepdim=True)
    radius = 0.01 * (reflector.g.norm(dim=1) / 0.01).round()
    across = q.norm(dim=1)[:, None] - radius
    disk, reflection = (across.abs() < kernel).nonzero(as_tuple=True)
    azimuth = torch.atan2(g[..., 1], g[..., 0])[:, reflection]
    there, here = (
        (intensity[disk] ** power)[None] * weight[:, reflection],
        torch.atan2(q[:, 1], q[:, 0])[disk],
    )
    there = there * torch.exp(-(across[disk, reflection] ** 2) / (2 * kernel**2))
    step = 2 * torch.pi / templates.steps
    reach = min(int(4 * kernel / radius[reflection].min() / step) + 1, templates.steps // 2 - 1)
    scores = torch.zeros(len(g), 2, templates.steps)
    for mirrored, sign in enumerate((1, -1)):
        nearest = ((sign * here - azimuth) / step).round()
        for steps in nearest + torch.arange(-reach, reach + 1)[:, None, None]:  # four kernels away is nothing
            away = sign * here - azimuth - step * steps
            near = torch.exp(-((away * radius[reflection]) ** 2) / (2 * kernel**2))
            scores[:, mirrored].scatter_add_(1, steps.long() % templates.steps, there * near)
    return scores


@pytest.mark.py4dstem
def test_the_second_of_two_crystals_is_found_as_often_as_by_py4dstem(copper):
    """Two crystals in each pattern, so that a second match has something to find."""
    (truth, *one), (other_truth, *other) = (drawn(copper, 1.6, CLEAN, 24, seed=seed) for seed in (1, 2))
    q, intensity, mask = (torch.cat(pair, 1) for pair in zip(one, other, strict=True))
    found = match(library(copper, 1.6), q, intensity, mask, 2).numpy()
    expected = py4dstem_matches(plan(copper, 1.6), q, intensity, mask, 2)

    def both(matches):
        apart = [
            misorientation(matches[:, rank].astype(float), each, copper) < 5
            for each in (truth, other_truth)
            for rank in (0, 1)
        ]
        return ((apart[0] & apart[3]) | (apart[1] & apart[2])).sum()

    assert both(found) >= both(expected) - 2
    assert both(found) > 4


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turn", [20.0, 200.0])
def test_the_frame_is_that_of_the_simulation(copper, mirrored, turn):
    """A template's own pattern, turned in the plane and seen from behind, is found where it is."""
    templates = library(copper, 1.6)
    truth = templates.zones[200] @ about_beam(torch.deg2rad(torch.tensor(turn)))
    if mirrored:
        truth = truth @ torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    disks = torch.from_numpy(predicted_pattern(copper, truth.numpy(), 300, 1.6)[:, :3].astype(np.float32))
    q, intensity = disks[None, :, :2], disks[None, :, 2]
    found = match(templates, q, intensity, intensity > 0, 1)
    assert misorientation(found[0].numpy(), truth.numpy()[None], copper)[0] < 1
    half_turn = truth @ about_beam(torch.tensor(np.pi))
    flipped = torch.diag(torch.tensor([1.0, -1.0, -1.0])) @ truth.T
    for wrong in (half_turn, flipped):
        assert misorientation(found[0].numpy(), wrong.numpy()[None], copper)[0] > 5


@pytest.mark.parametrize(
    ("kernel", "step"), [(0.08, 2.0), (0.02, 2.0), (0.015, 8.0), (0.3, 2.0), (0.05, 3.2)]
)
def test_polar_images_are_sampled_as_py4dstem_samples_them(copper, kernel, step):
    """The last step makes an odd number of angles; narrow kernels are much finer than the angles."""
    settings = TemplateSettings(kernel=kernel, in_plane_step=step, zone_axis_step=8.0)
    templates = library(copper, 1.6, kernel=kernel, in_plane_step=step, zone_axis_step=8.0)
    q, intensity, mask = simulated(copper, 1.6, NOISY, 1)
    polar = PolarImages(templates.reflector, replace(settings, kernel=templates.kernel))
    polar.radius = templates.radius.numpy()
    inside = mask[0]
    disks = torch.cat([q[0], intensity[0, :, None]], 1)[inside].numpy()
    expected = np.fft.rfft(polar.measured(disks))
    real, imaginary = matching._spectrum(templates, q, intensity / intensity.max(), mask)[:, :, 0].unbind(1)
    ours = (real + 1j * imaginary).T.numpy()
    expected[:, : ours.shape[1]] -= ours
    assert np.abs(expected).max() < 2e-3 * np.abs(ours).max()


def test_finalists_hold_the_winner_of_the_full_search(copper, monkeypatch):
    patterns = simulated(copper, 2.1, NOISY, 120)
    templates = library(copper, 2.1)
    few = match(templates, *patterns, 1)
    monkeypatch.setattr(matching, "FINALISTS", 10**6)
    every = match(templates, *patterns, 1)
    assert (misorientation(few[:, 0].numpy(), every[:, 0].numpy(), copper) < 0.1).mean() >= 0.99


def as_scan(q, intensity, mask):
    lists = [
        np.column_stack([places, heights])[inside]
        for places, heights, inside in zip(q.numpy(), intensity.numpy(), mask.numpy(), strict=True)
    ]
    return BraggDisks.from_lists((1, len(lists)), lists, calibrated=True)


def test_the_memory_that_a_batch_may_take_changes_nothing(copper, monkeypatch):
    disks = as_scan(*simulated(copper, 1.6, NOISY, 40))
    matcher = TemplateMatcher(
        [copper], 300, 1.6, settings=TemplateSettings(zone_axis_step=4), acceptance=EVERY_ANSWER, device="cpu"
    )
    whole = matcher.index(disks)
    monkeypatch.setitem(matching.MEMORY, "cpu", 1.0)
    seen = []
    single = matcher.index(disks, lambda done, total: seen.append((done, total)))
    assert seen == [(done, 40) for done in range(1, 41)]
    # A tie between equivalent orientations may go the other way.
    assert misorientation(whole.rotation, single.rotation, copper).max() < 0.1
    assert np.allclose(whole.score, single.score, atol=1e-3)


def test_batches_keep_to_the_memory(copper):
    templates = library(copper, 1.6, zone_axis_step=4.0)
    counts = np.repeat([200, 20, 5], 400)
    sizes = batch_sizes([templates], counts, 2, memory=2e7)
    assert sum(sizes) == len(counts)
    assert sizes[0] < sizes[-2]
    for size, first in zip(sizes, np.cumsum([0, *sizes[:-1]]), strict=True):
        assert size * matching._bytes(templates, int(counts[first]), 2) <= 2e7


def test_patterns_of_few_disks_or_none_left_have_finite_answers(copper):
    q, intensity, mask = (each[:4].clone() for each in simulated(copper, 1.6, CLEAN, 4))
    for row, count in enumerate((0, 1, 2, 3)):
        mask[row, count:] = False
    templates = library(copper, 1.6, zone_axis_step=4.0)
    found = match(templates, q, intensity * mask, mask, 4)
    assert found.isfinite().all()
    assert torch.allclose(found @ found.mT, torch.eye(3).expand_as(found), atol=1e-5)
    assert torch.equal(found[0], templates.zones[0].expand(4, 3, 3))
    assert torch.equal(found[:, 3], templates.zones[0].expand(4, 3, 3))


@pytest.mark.parametrize("engine", ["torch", pytest.param("py4DSTEM", marks=pytest.mark.py4dstem)])
def test_both_engines_say_who_matched_and_can_be_cancelled(copper, engine):
    disks = as_scan(*simulated(copper, 1.2, CLEAN, 20))
    settings = TemplateSettings(zone_axis_step=8.0, in_plane_step=6.0, engine=engine)
    matcher = TemplateMatcher([copper], 300, 1.2, settings=settings, acceptance=EVERY_ANSWER, device="cpu")
    made = matcher.index(disks)
    assert made.indexed.all()
    assert made.provenance["engine"].startswith(engine)
    assert made.provenance["device"].startswith("CPU")
    assert made.provenance["settings"]["engine"] == engine

    def cancel(done, total):
        raise Cancelled

    with pytest.raises(Cancelled):
        matcher.index(disks, cancel)


def test_an_engine_or_device_that_is_not_there_is_said(copper):
    with pytest.raises(UserError, match="no engine"):
        TemplateMatcher([copper], 300, 1.2, settings=TemplateSettings(engine="numpy"))
    with pytest.raises(UserError, match="no device"):
        TemplateMatcher([copper], 300, 1.2, device="abacus")


@pytest.mark.parametrize("engine", ["torch", pytest.param("py4DSTEM", marks=pytest.mark.py4dstem)])
@pytest.mark.parametrize(
    ("numbers", "shares"),
    [
        ((26, 26), (0.4, 0.6)),
        ((26, 28), (0.5, 0.5)),
        ((26, 26, 28), (0.25, 0.25, 0.5)),
        ((26,), (0.7,)),
        ((1, 1), (0.5, 0.5)),
    ],
    ids=["one element twice", "two elements", "both", "vacancies", "hydrogen and deuterium"],
)
def test_atoms_may_share_a_site(copper, numbers, shares, engine):
    """Answers are those of the same lattice with the first element alone on every place."""
    plain = replace(copper, numbers=np.full(4, numbers[0]))
    mixed = Phase(
        "mixed",
        copper.cell,
        np.repeat(copper.positions, len(numbers), axis=0),
        np.tile(numbers, 4),
        np.tile(shares, 4),
    )
    truth = random_rotations(6, torch.Generator().manual_seed(5)).numpy()
    patterns = [predicted_pattern(plain, rotation, 300.0, 2.0)[:, :3] for rotation in truth]
    disks = BraggDisks.from_lists((1, 6), patterns, calibrated=True, reach=2.0)
    settings = TemplateSettings(zone_axis_step=4.0, engine=engine, matches=1)
    found, expected = (
        TemplateMatcher([phase], 300.0, 2.0, 0.0, settings, EVERY_ANSWER, device="cpu")
        .index(disks)
        .rotation[0]
        for phase in (mixed, plain)
    )
    assert (misorientation(found, expected, copper) < 0.5).sum() >= 5


@pytest.mark.parametrize("reach", [0.05, 0.478])
def test_a_detector_that_ends_before_the_first_reflection_is_said(copper, reach):
    big = Phase("big", (9.0,) * 3 + (90.0,) * 3, copper.positions, copper.numbers, copper.occupancy)
    disks = BraggDisks.from_lists((1, 1), [[[0, 0, 9.0], [0.04, 0, 1.0]]], calibrated=True, reach=reach)
    said = f"reach {reach} Å⁻¹, but the first reflection of Cu lies at 0.479 Å⁻¹; check the pixel size"
    with pytest.raises(UserError, match=said):
        map_orientations(disks, [big, copper] if reach > 0.2 else [copper], 300.0, method="template")
    with pytest.raises(UserError, match=r"first reflection of Cu"):
        predicted_pattern(copper, np.eye(3), 300.0, reach)


@pytest.mark.parametrize("engine", ["torch", pytest.param("py4DSTEM", marks=pytest.mark.py4dstem)])
def test_a_detector_that_ends_at_the_first_reflection_is_matched(copper, engine):
    disks = BraggDisks.from_lists((1, 1), [[[0, 0, 9.0], [0.3, 0.37, 1.0]]], calibrated=True, reach=0.48)
    settings = TemplateSettings(zone_axis_step=8.0, engine=engine)
    found = map_orientations(disks, [copper], 300.0, method="template", template=settings)
    assert found.score.shape == (1, 1)


def test_hypotheses_from_elsewhere_are_scored_as_they_are(copper):
    disks = as_scan(*simulated(copper, 1.6, NOISY, 12))
    matcher = TemplateMatcher(
        [copper], 300, 1.6, settings=TemplateSettings(zone_axis_step=8), acceptance=EVERY_ANSWER, device="cpu"
    )
    found = matcher.index(disks)
    offered = Offered(disks, found.rotation[0], found.phase_id[0].astype(np.int32), found.score[0] - 0.1)
    told = matcher.verify(offered)
    assert np.array_equal(told.rotation, found.rotation[0])
    assert np.allclose(told.score, found.score[0], atol=1e-6)
    assert (told.odds > 1e6).all()  # better by 0.1 than what the disks have for an answer
    assert np.isnan(told.precision).all()
    assert told.precision.shape == (12, 2)

"""Advice on patterns drawn so that what should be said about them is known."""

import dask.array as da
import numpy as np
import pytest

from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection.advice import advise, has_beam_stop, looks_like_spots, overlap
from napari_4dstem_orient.detection.probe import synthetic_probe
from napari_4dstem_orient.samples.copper import copper_polycrystal
from napari_4dstem_orient.samples.silver import silver_patterns

SIZE, CENTER, RADIUS = 96, (46.0, 50.0), 5.0
Y, X = np.mgrid[:SIZE, :SIZE]


def drawn(spacing=16.0, shape="disk", background=3.0, count=12):
    """Return noisy patterns (n, 96, 96) of square lattices turned at random."""
    rng = np.random.default_rng(3)
    steps = np.arange(-6, 7)
    lattice = spacing * np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    images = []
    for angle in rng.uniform(0, np.pi / 2, count):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        image = background * (1 + 4 * np.exp(-(np.hypot(Y - CENTER[0], X - CENTER[1]) ** 2) / 800))
        for place in lattice @ turn:
            height = 400 if not place.any() else rng.uniform(20, 90) * np.exp(-np.hypot(*place) / 40)
            away = np.hypot(Y - CENTER[0] - place[0], X - CENTER[1] - place[1])
            even = np.clip(RADIUS + 0.5 - away, 0, 1)
            image += height * (even if shape == "disk" else np.exp(-(away**2) / 2 / (RADIUS / 1.58) ** 2))
        images.append(rng.poisson(image))
    return np.array(images, np.float32)


def hidden(patterns, arm=4.0, cap=0.0):
    """Return the patterns behind a stop: an arm from the left rim to the middle, or a round cap over it."""
    shadow = (np.abs(Y - CENTER[0]) <= arm) & (CENTER[1] >= X)
    shadow |= np.hypot(Y - CENTER[0], X - CENTER[1]) <= cap
    return np.where(shadow, 0.02 * patterns, patterns).astype(np.float32)


@pytest.fixture(scope="module")
def probe():
    return synthetic_probe(RADIUS, (SIZE, SIZE))


def said(patterns, probe):
    return advise(Scan(da.from_array(patterns.reshape(3, 4, SIZE, SIZE)), source="drawn"), probe)


def test_separate_disks_need_no_advice(probe):
    for background in (0.0, 3.0):
        assert said(drawn(background=background), probe) == ""


def test_spots_are_told_from_disks(probe):
    assert not looks_like_spots(drawn())
    assert looks_like_spots(drawn(shape="spot"))
    assert "spots rather than disks" in said(drawn(shape="spot", spacing=20.0), probe)


@pytest.mark.parametrize(("spacing", "overlapping"), [(8.0, True), (9.0, True), (10.8, False), (16.0, False)])
def test_overlap_is_seen_where_the_lattice_is_narrower_than_a_disk(probe, spacing, overlapping):
    patterns = drawn(spacing)
    found = overlap(patterns, probe)
    if overlapping:
        assert found == pytest.approx(spacing, abs=1.0)
        assert f"Disks overlap ({found:.1f} px apart, 10.0 px wide)" in said(patterns, probe)
    else:
        assert found is None


def test_a_beam_stop_is_seen_and_nothing_else_is_taken_for_one(probe):
    for background in (3.0, 0.0):
        assert not has_beam_stop(drawn(background=background), RADIUS)
        assert has_beam_stop(hidden(drawn(background=background), arm=0.0, cap=7.0), RADIUS)
    arm = hidden(drawn(), arm=4.0, cap=7.0)
    assert has_beam_stop(arm, RADIUS)
    assert said(arm, probe).startswith("A beam stop")
    round_detector = drawn() * (np.hypot(Y - 47.5, X - 47.5) < 47)
    assert not has_beam_stop(round_detector, RADIUS)


def test_a_beam_stop_about_half_a_pixel_is_seen():
    for patterns, stopped in ((drawn(), False), (hidden(drawn(), arm=0.0, cap=7.0), True)):
        doubled = np.repeat(np.repeat(patterns, 2, axis=1), 2, axis=2)
        assert has_beam_stop(doubled, 2 * RADIUS) == stopped


def test_the_samples_are_judged_as_what_they_are():
    copper = copper_polycrystal()
    probe = synthetic_probe(3.0, copper.detector_shape)
    assert advise(copper, probe) == ""
    silver = silver_patterns()
    assert looks_like_spots(silver)
    assert not has_beam_stop(silver, 3.0)

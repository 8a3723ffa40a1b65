"""The channels of a map, and what a map is without the answers that are refused."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from matplotlib.colors import to_rgb

from helpers.made_maps import CU, TI, some_map, strained, sure, turn
from napari_4dstem_orient.analysis import channels
from napari_4dstem_orient.analysis.channels import (
    CHANNELS,
    channel_colors,
    channels_of,
    color_table,
    first_channel,
    scalar_limits,
    scalar_values,
)
from napari_4dstem_orient.analysis.colours import PHASE_COLOURS, ipf_colors
from napari_4dstem_orient.core.certainty import IndexingStatus
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.pooled import Pooled, PoolVerdict
from napari_4dstem_orient.export.images import save_channel_image


@pytest.fixture
def found() -> OrientationMap:
    """Two phases, some positions without an answer, certainty, what neighbours did, strain, two crystals in places."""
    verdict = (np.arange(30).reshape(6, 5) % len(PoolVerdict)).astype(np.uint8)
    alone = sure(some_map((6, 5), phases=(CU, TI)))
    second = alone.only(alone.indexed & (np.arange(5) > 2))
    share = np.where(second.indexed, 0.75, 1).astype(np.float32)
    pooled = Pooled.of(verdict, alone.arrays, alone.arrays)
    beside = (replace(second, share=1 - share),)
    return strained(replace(alone, pooled=pooled, beside=beside, share=share))


def test_a_map_has_the_channels_that_it_knows(found):
    assert channels_of(found) == list(CHANNELS)
    assert channels_of(replace(found, phases=(CU,))) == [key for key in CHANNELS if key != "phase-margin"]
    known = channels_of(replace(found, certainty=None, pooled=None, beside=(), share=None, strain=None))
    assert known == ["ipf-z", "ipf-x", "ipf-y", "phase", "score", "explained"]


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_ipf_channels_are_the_ipf_colours(found, axis):
    expected = np.rint(255 * ipf_colors(found, axis))
    np.testing.assert_array_equal(channel_colors(found, f"ipf-{axis}"), expected)


def test_phases_have_the_palettes_colours(found):
    rgba = channel_colors(found, "phase")
    for number in range(2):
        expected = np.rint(255 * np.array(to_rgb(PHASE_COLOURS[number])))
        assert (rgba[found.phase_id == number][:, :3] == expected).all()
    np.testing.assert_array_equal(rgba[..., 3], 255 * found.indexed)


@pytest.mark.parametrize("key", [key for key, channel in CHANNELS.items() if channel.values])
def test_scalar_channels_follow_their_colour_map(found, key):
    values, (low, high) = scalar_values(found, key), scalar_limits(found, key)
    assert np.isnan(values[~found.indexed]).all()
    rgba, table = channel_colors(found, key), color_table(CHANNELS[key].colormap)
    known = ~np.isnan(values)
    assert (known == found.indexed).all() or CHANNELS[key].centred
    np.testing.assert_array_equal(rgba[..., 3], 255 * known)
    row, col = np.argwhere(known)[3]
    place = round(255 * min(max((float(values[row, col]) - low) / (high - low), 0), 1))
    np.testing.assert_array_equal(rgba[row, col], table[place])


@pytest.mark.parametrize(
    ("colormap", "centred"), sorted({(channel.colormap, channel.centred) for channel in CHANNELS.values()})
)
def test_colour_maps_can_be_read_without_colour(colormap, centred):
    """From dark to light; one that is centred from light in the middle to dark at both ends."""
    lightness = color_table(colormap)[:, :3] @ (0.2126, 0.7152, 0.0722)
    rises = np.diff(lightness) * np.where(centred & (np.arange(255) > 127), -1, 1)
    assert (rises > -1).all()
    assert np.ptp(lightness) > 150


def test_strain_is_shown_about_zero_in_percent_and_degrees(found):
    low, high = scalar_limits(found, "strain-xx")
    assert low == -high
    values = scalar_values(found, "strain-xx")
    np.testing.assert_allclose(values[found.indexed], 100 * found.strain.values[found.indexed, 0])
    assert np.isnan(values[found.indexed]).sum() == 1
    assert high == pytest.approx(np.nanpercentile(np.abs(values), 98), rel=1e-5)
    turned = scalar_values(found, "strain-rotation")[found.indexed]
    np.testing.assert_allclose(turned, np.rad2deg(found.strain.of("rotation")[found.indexed]), rtol=1e-5)
    unstrained = replace(found, strain=replace(found.strain, values=0 * found.strain.values))
    assert scalar_limits(unstrained, "strain-xx") == (-channels.LEAST_SHOWN, channels.LEAST_SHOWN)


def test_refused_answers_have_no_strain(found):
    strict = found.accepted(min_reliability=0.5)
    np.testing.assert_array_equal(strict.strain.known, found.strain.known & strict.indexed)
    assert found.put(np.array([0]), found.take(np.array([0]))).strain is None


def test_the_number_of_disks_fills_its_colour_bar(found):
    assert scalar_limits(found, "explained") == (0, found.n_matched.max())
    nothing = replace(found, n_matched=np.zeros_like(found.n_matched))
    assert scalar_limits(nothing, "explained") == (0, 1)


def test_crystals_are_counted_and_have_a_share_of_the_light(found):
    several = found.beside[0].indexed
    assert 0 < several.sum() < found.indexed.sum()
    assert scalar_limits(found, "crystals") == (1, 2)
    np.testing.assert_array_equal(scalar_values(found, "crystals")[several], 2)
    np.testing.assert_array_equal(scalar_values(found, "crystals")[found.indexed & ~several], 1)
    second = found.of_crystal(2)
    assert "crystals" not in channels_of(second)
    np.testing.assert_allclose(scalar_values(second, "share")[several], 0.25)
    assert np.isnan(scalar_values(second, "share")[~several]).all()


def test_a_channel_is_painted_once(found, monkeypatch):
    first = channel_colors(found, "ipf-y")
    monkeypatch.setattr(channels, "ipf_colors", None)
    assert channel_colors(found, "ipf-y") is first
    assert not first.flags.writeable


# ---------------------------------------------------------------- refusing answers


def test_unlikely_answers_are_refused_and_say_so(found):
    strict = found.accepted(min_reliability=0.5)
    refused = found.indexed & (found.certainty.reliability < 0.5)
    assert 0 < refused.sum() < found.indexed.sum()
    np.testing.assert_array_equal(strict.indexed, found.indexed & ~refused)
    assert (strict.status[refused] == IndexingStatus.UNRELIABLE).all()
    np.testing.assert_array_equal(strict.status[~refused], found.status[~refused])
    np.testing.assert_array_equal(strict.rotation[refused], np.broadcast_to(np.eye(3), (refused.sum(), 3, 3)))
    np.testing.assert_array_equal(strict.rotation[~refused], found.rotation[~refused])
    assert strict.certainty is found.certainty
    assert strict.phase_id.dtype == np.int32
    assert strict.rotation.dtype == np.float32
    assert strict.status.dtype == np.uint8
    assert strict.provenance["accepted"] == {"min_score": 0.0, "min_reliability": 0.5}
    assert "accepted" not in found.provenance


def test_poor_answers_are_refused_where_no_reliability_is_known(found):
    unsure = replace(found, certainty=None)
    strict = unsure.accepted(min_score=0.4)
    refused = unsure.indexed & (unsure.score < 0.4)
    assert (strict.status[refused] == IndexingStatus.LOW_SCORE).all()
    np.testing.assert_array_equal(strict.indexed, unsure.indexed & ~refused)
    assert unsure.confidence is unsure.score
    with pytest.raises(UserError, match="knows no reliability"):
        unsure.accepted(min_reliability=0.5)


def test_what_was_refused_stays_so_in_the_result_file(found, tmp_path):
    strict = found.accepted(min_reliability=0.5).accepted(min_reliability=0.2)
    strict.save(tmp_path / "strict.h5")
    back = OrientationMap.load(tmp_path / "strict.h5")
    np.testing.assert_array_equal(back.indexed, found.indexed & (found.certainty.reliability >= 0.5))
    assert back.provenance["accepted"]["min_reliability"] == 0.5


# ---------------------------------------------------------------- channels as pictures


@pytest.mark.parametrize("key", list(CHANNELS))
def test_every_channel_can_be_saved_as_a_picture(found, tmp_path, key):
    for suffix in (".png", ".tif"):
        save_channel_image(found, tmp_path / f"{key}{suffix}", key)
        assert (tmp_path / f"{key}{suffix}").stat().st_size > 0
    with pytest.raises(UserError, match="end in"):
        save_channel_image(found, tmp_path / "map.jpg", key)


def test_a_bare_scalar_picture_keeps_its_values(found, tmp_path):
    save_channel_image(found, tmp_path / "a.tif", "reliability")
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "a.tif"), np.where(found.indexed, found.certainty.reliability, np.nan)
    )


def test_a_map_is_first_seen_where_its_grains_differ():
    """Two grains that share their zone axis, turned about the beam against each other: IPF-Z has one colour."""
    about_beam = turn((0, 0, 1), 25)
    first = np.eye(3)
    shared = np.stack([first, first @ about_beam]).reshape(1, 2, 3, 3).astype(np.float32)
    found = some_map((1, 2), (CU,), 0, 0, rotation=shared, phase_id=np.zeros((1, 2), np.int32))
    assert first_channel(found) in ("ipf-x", "ipf-y")
    tilted = np.stack([first, turn((1, 1, 0), 40)]).reshape(1, 2, 3, 3).astype(np.float32)
    assert first_channel(replace(found, rotation=tilted)) == "ipf-z"
    assert first_channel(replace(found, phase_id=np.full((1, 2), -1, np.int32))) == "ipf-z"

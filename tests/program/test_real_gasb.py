"""Real patterns of a thick crystal, whose tilts others measured: the zone axis is right, and follows its tilts."""

from pathlib import Path

import numpy as np
import pytest

from napari_4dstem_orient import find_phase, map_orientations
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.optional import why_not
from napari_4dstem_orient.indexing.settings import TemplateSettings

DATA = Path(__file__).parents[1] / "data"
GASB = find_phase(DATA / "crystals" / "GaSb.cif")
STEPS = 0.00483 * np.array([[-48, -34], [-48, 34]])
"""Å⁻¹."""
LARGEST_TILT = 0.7
"""Degrees that the zone axis is from ⟨110⟩, as published."""
FAMILY = np.array([[1, 1, 0], [1, -1, 0], [1, 0, 1], [1, 0, -1], [0, 1, 1], [0, 1, -1]]) / np.sqrt(2)


@pytest.fixture(scope="module")
def scan():
    with np.load(DATA / "gasb" / "gasb_scan.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def disks(scan):
    q = scan["indices"] @ STEPS
    lists = [np.column_stack([q, light]) for light in scan["intensity"].reshape(-1, len(q))]
    reach = 1.02 * float(np.hypot(*q.T).max())
    return BraggDisks.from_lists(scan["intensity"].shape[:2], lists, calibrated=True, reach=reach)


def tilts(found):
    """Where the nearest ⟨110⟩ points in the lab, as tilts about its axes in degrees, (n, 2)."""
    lab = np.einsum("fk,nki->nfi", FAMILY, found.rotation.reshape(-1, 3, 3).astype(float))
    best = np.abs(lab[..., 2]).argmax(1)
    axis = lab[np.arange(len(lab)), best]
    return np.degrees(np.arcsin(axis[:, :2] * np.sign(axis[:, 2:])))


def left_over(found, published):
    """Median distance to the published tilts in degrees, after the best rotation or mirror, and offset."""
    mine = found - np.median(found, 0)
    theirs = published - np.median(published, 0)
    angles = np.deg2rad(np.arange(360))
    turns = np.array([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]]).transpose(2, 0, 1)
    apart = [np.hypot(*((mine * [1, sense]) @ turn.T - theirs).T) for sense in (1, -1) for turn in turns]
    return min(np.median(each) for each in apart)


def measured(name, disks, scan, **how):
    found = map_orientations(disks, [GASB], 200.0, device="cpu", **how)
    assert found.indexed.all()
    published = np.stack([scan["published_tilt_x"], scan["published_tilt_y"]], -1)[: disks.scan_shape[0]]
    tilt = tilts(found)
    off, left = np.median(np.hypot(*tilt.T)), left_over(tilt, published.reshape(-1, 2))
    print(f"GaSb, {len(tilt)} positions, {name}: {off:.2f}° from ⟨110⟩, {left:.2f}° from the published tilts")
    return off, left


def test_the_transformer_finds_the_zone_axis_and_its_tilts(disks, scan):
    off, left = measured("transformer", disks, scan)
    assert off < LARGEST_TILT + 0.5
    assert left < 0.5


def test_template_matching_is_as_near_as_its_templates(disks, scan):
    off, _ = measured("template matching, 2°", disks, scan, method="template")
    assert off < 2.5


@pytest.mark.py4dstem
def test_py4dstem_is_farther_off_with_a_finer_library(disks, scan):
    assert not why_not("py4DSTEM")
    few = disks.rows(0, 2)
    own = TemplateSettings(zone_axis_step=1, in_plane_step=1, engine="py4DSTEM", matches=1, verify=False)
    theirs, _ = measured("py4DSTEM's matching, 1°", few, scan, method="template", template=own)
    ours, _ = measured("transformer", few, scan)
    assert ours < theirs

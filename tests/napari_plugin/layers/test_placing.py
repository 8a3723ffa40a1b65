"""All that lies over a scan has the scan's step, whatever step a map was made with."""

import pytest

from helpers.gui_scan import SHAPE, calibrated_disks, made_map, numbered_scan, scan_of
from helpers.walk_through.hands import click_scan, mouse
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.napari_plugin.layers.hover import words_under_cursor
from napari_4dstem_orient.napari_plugin.layers.map_layers import (
    map_layers,
    show_channel,
)
from napari_4dstem_orient.napari_plugin.layers.scan_layers import OURS, scan_layers
from napari_4dstem_orient.napari_plugin.panels.analysis.grains import BOUNDARIES, GRAINS, SELECTED
from napari_4dstem_orient.napari_plugin.panels.compare.panel import CLASSES, DIFFERENCE, DOMAINS
from napari_4dstem_orient.napari_plugin.panels.docks import open_panel
from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_scan, take_map
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.workflow.session import Stage


@pytest.fixture
def bench(knowing, bench):
    return bench


def quiet(viewer, qtbot):
    panels = viewer.window.dock_widgets.values()
    qtbot.waitUntil(lambda: not any(panel.jobs.running for panel in panels), timeout=60_000)
    qtbot.wait(50)  # napari crashes where layers go that it has not drawn yet


def placed(viewer):
    """Return the scales, and the units, of all that lies over the scan."""
    layers = scan_layers(viewer)
    return {tuple(layer.scale) for layer in layers}, {str(unit) for layer in layers for unit in layer.units}


@pytest.mark.parametrize("step", [5.0, None])
def test_a_map_of_another_step_lies_over_its_scan(bench, qtbot, silver, tmp_path, step):
    """One of 20 nm was drawn four times too large over a scan of 5 nm, and a click on it went elsewhere."""
    viewer, _ = bench
    session, panel = session_for(viewer), open_panel(viewer, "Analysis")
    open_scan(viewer, numbered_scan(SHAPE, r_pixel=step))
    quiet(viewer, qtbot)
    saved = str(tmp_path / "map.h5")
    made_map(silver, "template").save(saved)
    take_map(viewer, OrientationMap.load(saved), saved)
    expected = step or 20.0  # where the scan tells none, the map's
    assert session.calibration.r_pixel == expected
    panel.grains.find()
    quiet(viewer, qtbot)
    (layer,) = map_layers(viewer)
    for typed in (expected, 7.0):
        session.set_calibration(session.calibration.with_(r_pixel=typed))
        for channel in ("ipf-x", "ipf-z"):
            show_channel(layer, channel)
        for grain in (1, 2):
            panel.analysed.select(grain)
        assert {GRAINS, BOUNDARIES, SELECTED} <= {each.metadata.get(OURS) for each in viewer.layers}
        assert placed(viewer) == ({(typed, typed)}, {"nanometer"})
    viewer.reset_view()
    click_scan(viewer, 3, 4)
    assert session.position == (3, 4)
    mouse(viewer, "move", 2, 1)
    qtbot.waitUntil(lambda: "row 2, column 1" in words_under_cursor(viewer).text(), timeout=60_000)


def test_a_comparison_lies_over_its_scan_whatever_step_its_maps_were_made_with(bench, qtbot, silver):
    viewer, panels = bench
    session, compare = session_for(viewer), open_panel(viewer, "Compare")
    calibrated = calibrated_disks(silver)
    open_scan(viewer, scan_of(calibrated))
    session.put(Stage.CALIBRATED, calibrated)
    for method in ("template", "transformer"):
        list(panels["Map"].showing_map(made_map(silver, method)))
    session.set_calibration(session.calibration.with_(r_pixel=7.0))
    compare.compare()
    quiet(viewer, qtbot)
    assert compare.found.steps == (7.0, 7.0)
    assert {DIFFERENCE, CLASSES, DOMAINS} <= {each.metadata.get(OURS) for each in viewer.layers}
    assert placed(viewer) == ({(7.0, 7.0)}, {"nanometer"})

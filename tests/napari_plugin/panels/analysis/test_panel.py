"""The analysis panel in a real window: grains, clicks, lines, pole figures, the unit cell."""

from types import SimpleNamespace
from unittest.mock import create_autospec

import numpy as np
import pytest
from qtpy.QtCore import Qt

from helpers.gui_scan import LEFT, made_map, overlapping_map, truth
from helpers.made_maps import RUTILE, TRICLINIC, turn
from napari_4dstem_orient.analysis.unit_cell import DOWN_THE_BEAM, cell_edges, cell_vectors
from napari_4dstem_orient.napari_plugin.layers.scan_layers import find_layer
from napari_4dstem_orient.napari_plugin.panels.analysis import panel as analysis
from napari_4dstem_orient.napari_plugin.panels.analysis.grains import (
    BOUNDARIES,
    GRAINS,
    HALO,
    KERNEL,
    SELECTED,
    SPREAD,
)
from napari_4dstem_orient.napari_plugin.panels.analysis.misorientation import LINE
from napari_4dstem_orient.napari_plugin.panels.analysis.panel import AnalysisWidget
from napari_4dstem_orient.napari_plugin.panels.analysis.poles import REGION
from napari_4dstem_orient.napari_plugin.panels.shared.opening import take_map
from napari_4dstem_orient.napari_plugin.pattern_view.figures import write_figure
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.workflow.session import Stage


@pytest.fixture
def panel(make_napari_viewer, silver, qtbot):
    """The panel on a map of two grains, on the screen."""
    viewer = make_napari_viewer(show=True)
    take_map(viewer, made_map(silver, "template"))
    widget = AnalysisWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Analysis")
    for section in widget.sections.values():
        section.toggle.setChecked(True)
    yield widget
    widget.close_step()


def find(panel, qtbot):
    qtbot.mouseClick(panel.grains.find_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: panel.analysed.grains is not None and not panel.jobs.running, timeout=60_000)
    return panel.analysed.grains


def press(viewer, where, button=1):
    """Press and release the mouse over a scan position, as napari tells its callbacks."""
    event = SimpleNamespace(
        position=tuple(20.0 * np.array(where)), button=button, modifiers=[], type="mouse_press"
    )
    for callback in list(viewer.mouse_drag_callbacks):
        drag = callback(viewer, event)
        next(drag, None)
        event.type = "mouse_release"
        next(drag, None)
        event.type = "mouse_press"


def test_without_a_map_it_says_what_it_needs(make_napari_viewer):
    viewer = make_napari_viewer()
    widget = AnalysisWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Analysis")
    assert "Needs: an orientation map" in widget.needs.text()
    assert not widget.grains.find_button.isEnabled()
    widget.close_step()


def test_grains_appear_as_layers_and_rows(panel, qtbot):
    grains = find(panel, qtbot)
    assert len(grains) == 2
    np.testing.assert_array_equal(find_layer(panel.viewer, GRAINS).data, grains.label)
    lines = find_layer(panel.viewer, BOUNDARIES).data
    np.testing.assert_array_equal(lines, [[[-0.5, 2.5], [4, 0]]])
    assert panel.grains.table.model().rowCount() == 2
    assert "2 grains" in panel.grains.found.text()
    assert panel.grains.sizes.canvas.isVisibleTo(panel)


def test_boundaries_have_a_halo_below_them_that_is_hidden_with_them(panel, qtbot):
    find(panel, qtbot)
    layers = panel.viewer.layers
    halo, boundaries = (find_layer(panel.viewer, name) for name in (HALO, BOUNDARIES))
    assert layers.index(halo) < layers.index(boundaries)
    assert halo.edge_width > 2 * boundaries.edge_width
    np.testing.assert_array_equal(halo.data, boundaries.data)
    boundaries.visible = False
    assert not halo.visible


def test_how_bent_the_crystal_is_lies_in_hidden_layers(panel, qtbot):
    grains = find(panel, qtbot)
    for name, values in ((KERNEL, grains.kernel), (SPREAD, grains.spread_map)):
        layer = find_layer(panel.viewer, name)
        assert not layer.visible
        np.testing.assert_allclose(layer.data, np.nan_to_num(values))


def test_a_row_shows_its_grain_and_a_click_its_row(panel, qtbot):
    grains, table = find(panel, qtbot), panel.grains.table
    session = session_for(panel.viewer)
    right = int(grains.label[0, 5])
    table.sortByColumn(0, Qt.SortOrder.DescendingOrder)
    row = next(row for row in range(2) if table.model().index(row, 0).data() == str(right))
    cell = table.visualRect(table.model().index(row, 0)).center()
    press(panel.viewer, (1, 0))
    assert panel.analysed.selected != right
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=cell)
    assert panel.analysed.selected == right
    assert session.position == tuple(grains.middle[right - 1])
    np.testing.assert_allclose(panel.viewer.scene.camera.center[-2:], 20 * grains.middle[right - 1])
    outline = find_layer(panel.viewer, SELECTED).data
    assert outline[:, 0, 1].min() == 2.5
    press(panel.viewer, (1, 0))
    assert table.currentIndex().siblingAtColumn(0).data() == str(grains.label[1, 0])


def test_another_map_takes_the_grains_away(panel, qtbot, silver):
    find(panel, qtbot)
    panel.session.put(Stage.MAP, made_map(silver, "template", rotation=truth()))
    assert panel.analysed.grains is None
    assert find_layer(panel.viewer, GRAINS) is None
    assert panel.grains.table.model().rowCount() == 0


def test_grains_and_profile_follow_the_scan_steps(panel, qtbot):
    grains = find(panel, qtbot)
    part = panel.misorientation
    qtbot.mouseClick(part.line_button, Qt.MouseButton.LeftButton)
    find_layer(panel.viewer, LINE).add([[1, 0], [1, 5]], shape_type="line")
    qtbot.waitUntil(lambda: part.profile is not None, timeout=60_000)
    panel.analysed.select(2)
    known = panel.session.calibration
    panel.session.set_calibration(known.with_(r_pixel=8.0, r_aspect=4.0))  # 16 nm down, 4 nm along
    now = panel.analysed.grains
    assert now.label is grains.label
    assert panel.analysed.selected == 2
    np.testing.assert_allclose(now.area, 64.0 * grains.size)
    assert panel.grains._columns["area (nm²)"] == now.area.tolist()
    assert find_layer(panel.viewer, GRAINS).features["area (nm²)"][1] == now.area[0]
    assert "nm" in panel.grains.found.text()
    qtbot.waitUntil(lambda: part.profile.distance[-1] == pytest.approx(5 * 4.0), timeout=60_000)
    panel.session.set_calibration(known.with_(r_pixel=None))
    assert "area (nm²)" not in panel.grains._columns
    assert "positions" in panel.grains.found.text()
    qtbot.waitUntil(lambda: part.profile.unit == "positions", timeout=60_000)


def test_the_table_is_saved(panel, qtbot, tmp_path, notified):
    find(panel, qtbot)
    panel.grains.save(str(tmp_path / "grains.csv"))
    assert "size (positions)" in (tmp_path / "grains.csv").read_text(encoding="utf-8")
    panel.grains.save(str(tmp_path / "nowhere" / "grains.csv"))
    assert "does not exist" in notified[0].message


def test_two_clicks_tell_angle_axis_and_name(panel, qtbot, silver):
    twin = truth()
    twin[:, 3:] = turn((1, 1, 1), 60) @ LEFT
    panel.session.put(Stage.MAP, made_map(silver, "template", rotation=twin))
    part = panel.misorientation
    qtbot.mouseClick(part.pick_button, Qt.MouseButton.LeftButton)
    press(panel.viewer, (1, 1))
    assert "Click position B" in part.words.text()
    press(panel.viewer, (1, 4))
    qtbot.waitUntil(lambda: "Σ3" in part.words.text(), timeout=60_000)
    assert "60.0° about ⟨1 1 1⟩" in part.words.text()
    qtbot.mouseClick(part.pick_button, Qt.MouseButton.LeftButton)
    press(panel.viewer, (2, 2))
    assert part.picked == [(1, 1), (1, 4)]


def test_a_line_gives_a_profile(panel, qtbot):
    part = panel.misorientation
    qtbot.mouseClick(part.line_button, Qt.MouseButton.LeftButton)
    layer = find_layer(panel.viewer, LINE)
    assert layer.mode == "add_line"
    layer.add([[1, 0], [1, 5]], shape_type="line")
    qtbot.waitUntil(lambda: part.profile is not None, timeout=60_000)
    assert layer.mode == "pan_zoom"
    np.testing.assert_allclose(part.profile.distance, 20.0 * np.arange(6))
    assert np.flatnonzero(part.profile.to_former > 1).tolist() == [3]


def test_pole_figures_of_a_region(panel, qtbot, tmp_path, notified, silver):
    part = panel.poles
    part.show_button.click()
    qtbot.waitUntil(lambda: len(part.canvas.figure.axes) == 4, timeout=60_000)
    assert "24 positions" in part.words.text()
    part._draw("add_rectangle")
    find_layer(panel.viewer, REGION).add(
        [[-0.5, -0.5], [-0.5, 2.5], [3.5, 2.5], [3.5, -0.5]], shape_type="rectangle"
    )
    qtbot.waitUntil(lambda: "12 positions" in part.words.text(), timeout=60_000)
    part.kind.setCurrentIndex(1)
    part.show_button.click()
    qtbot.waitUntil(lambda: part.canvas.figure.axes[0].get_title() == "lab x", timeout=60_000)
    for suffix in ("png", "pdf", "svg"):
        write_figure(part.paper_figure(), str(tmp_path / f"poles.{suffix}"))
        assert (tmp_path / f"poles.{suffix}").stat().st_size > 1000
    part.of.setCurrentText("selected grain")
    part.show_figures()
    assert "No grain is selected" in notified[0].message


def test_c_lies_where_the_microscope_has_it():
    """Lab x is down on the screen, y right, z towards the viewer."""
    for axis, expected in (((0, 1, 0), (1, 0)), ((1, 0, 0), (0, 1))):
        axis = np.array(axis, float)
        # c* of the crystal, its z, along this lab axis: the row of R that belongs to z says so.
        other = np.array([0, 0, 1.0])
        rotation = np.array([np.cross(axis, other), other, axis])
        rotation[0] = np.cross(rotation[1], rotation[2])
        vectors = cell_vectors(rotation, TRICLINIC)
        np.testing.assert_allclose(vectors, TRICLINIC.lattice @ rotation, atol=1e-9)
        tall = np.linalg.inv(vectors).T[2]
        tall /= np.linalg.norm(tall)
        down, right = expected[1], expected[0]
        np.testing.assert_allclose(tall[:2], (down, right), atol=1e-6)
    rutile = cell_vectors(np.eye(3), RUTILE)
    np.testing.assert_allclose(np.abs(rutile[2]), (0, 0, RUTILE.cell[2]), atol=1e-6)
    assert rutile[2, 2] > 0
    edges = cell_edges(rutile)
    np.testing.assert_allclose(edges[:3, 1] - edges[:3, 0], rutile, atol=1e-9)


def test_the_view_has_x_down_and_y_right():
    from matplotlib.figure import Figure
    from mpl_toolkits.mplot3d import proj3d

    axes = Figure().add_subplot(projection="3d")
    axes.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1))
    axes.set_proj_type("ortho")
    axes.view_init(**DOWN_THE_BEAM)
    origin, down, right = (
        np.array(proj3d.proj_transform(*point, axes.get_proj())[:2])
        for point in ((0, 0, 0), (1, 0, 0), (0, 1, 0))
    )
    assert (down - origin)[1] < -1e-3
    assert (right - origin)[0] > 1e-3
    assert abs((down - origin)[0]) < 1e-6
    assert abs((right - origin)[1]) < 1e-6


def test_the_unit_cell_follows_the_position(panel, qtbot):
    panel.session.move_to(2, 1)
    assert "row 2, column 1" in panel.cell.words.text()
    first = panel.cell.words.text()
    panel.session.move_to(2, 4)
    assert panel.cell.words.text() != first


def test_the_compare_button_opens_the_panel(panel, qtbot, monkeypatch):
    opened = create_autospec(analysis.open_panel)
    monkeypatch.setattr(analysis, "open_panel", opened)
    qtbot.mouseClick(panel.compare_button, Qt.MouseButton.LeftButton)
    opened.assert_called_once_with(panel.viewer, "Compare")


def test_grains_are_those_of_the_crystal_that_is_looked_at(panel, silver, qtbot):
    take_map(panel.viewer, overlapping_map(silver, "template"))
    assert len(find(panel, qtbot)) == 2
    panel.session.look_at_crystal(2)
    assert panel.analysed.grains is None
    assert "Crystal 2 of each pattern" in panel.which_crystal.text()
    label = find(panel, qtbot).label
    np.testing.assert_array_equal(
        np.argwhere(label), [[1, 1], [1, 2], [2, 1], [2, 2]]
    )  # two more are too few
    panel.session.look_at_crystal(1)
    assert panel.analysed.map is panel.maps.map
    assert panel.analysed.grains is None

"""The Compare panel in a real window: the missing map, the layers, the list of the worst, the table file."""

import time
from unittest.mock import create_autospec

import pandas as pd
import pytest
from qtpy.QtCore import Qt

from helpers.gui_scan import VACUUM, fill
from napari_4dstem_orient.analysis.comparison import Agreement
from napari_4dstem_orient.napari_plugin.layers.scan_layers import find_layer
from napari_4dstem_orient.napari_plugin.panels.compare import panel as compare
from napari_4dstem_orient.napari_plugin.panels.compare.panel import (
    CLASSES,
    DIFFERENCE,
    DOMAINS,
    CompareWidget,
)
from napari_4dstem_orient.workflow.session import MapBy, Stage


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


@pytest.fixture
def panel(dock, silver, knowing):
    """The panel on calibrated disks, with the transformer's map; template matching would be 2° off."""
    widget = dock(CompareWidget)
    disks = fill(widget.session, silver)
    widget.session.choose(phases=(silver,))
    widget.session.put(Stage.MAP, knowing["transformer"].index(disks))
    return widget


@pytest.fixture
def compared(panel, qtbot):
    click(qtbot, panel.run_buttons["template"])
    qtbot.waitUntil(lambda: panel.compare_button.isEnabled(), timeout=60_000)
    click(qtbot, panel.compare_button)
    qtbot.waitUntil(lambda: panel.found is not None and not panel.jobs.running, timeout=60_000)
    return panel


def test_the_panel_says_which_map_is_missing_and_offers_to_run_it(panel):
    assert "template matching" in panel.needs.text()
    assert not panel.run_buttons["template"].isHidden()
    assert panel.run_buttons["transformer"].isHidden()
    assert not panel.compare_button.isEnabled()


def test_both_maps_are_compared_as_layers_and_in_words(compared):
    difference = find_layer(compared.viewer, DIFFERENCE)
    assert difference.data[2, 2] == pytest.approx(2, abs=0.01)
    assert difference.colorbar.visible
    assert find_layer(compared.viewer, CLASSES).data[VACUUM] == Agreement.NEITHER
    assert difference.name_overlay.visible  # the colour bar's title
    assert difference.name.startswith("comparison: misorientation (°)")
    assert "median 2.0° apart" in compared.summary.text()


def test_one_part_of_the_comparison_is_on_the_map_at_a_time(compared):
    def visible():
        layers = {name: find_layer(compared.viewer, name) for name in (DIFFERENCE, CLASSES, DOMAINS)}
        return [name for name, layer in layers.items() if layer.visible]

    assert visible() == [DIFFERENCE, CLASSES]
    compared.shown.setCurrentText("Highly correlated domains")
    compared.shown.activated.emit(1)
    assert visible() == [DOMAINS]
    compared.shown.setCurrentText("Nothing")
    compared.shown.activated.emit(2)
    assert visible() == []


def test_next_and_a_click_in_the_list_move_the_position(compared, qtbot):
    compared.order.setCurrentIndex(2)
    compared.order.activated.emit(2)
    assert compared.table.model().rowCount() == 23
    click(qtbot, compared.next)
    first = compared.session.position
    click(qtbot, compared.next)
    assert compared.session.position != first
    click(qtbot, compared.previous)
    assert compared.session.position == first
    compared.session.move_to(3, 5)
    line = compared.table.currentIndex()
    assert [line.siblingAtColumn(column).data() for column in (0, 1)] == ["3", "5"]


def test_comparing_can_be_cancelled_and_leaves_what_was_there(compared, qtbot, monkeypatch):
    """It runs beside the window and says how far it is: a large scan takes a while."""

    def for_ever(*maps, progress, **options):
        for done in range(100_000):
            progress(done, 100_000)
            time.sleep(0.005)

    former = compared.found
    monkeypatch.setattr(compare, "compare_maps", create_autospec(compare.compare_maps, side_effect=for_ever))
    click(qtbot, compared.compare_button)
    qtbot.waitUntil(lambda: "%" in compared.jobs.label.text(), timeout=60_000)
    click(qtbot, compared.jobs.cancel_button)
    qtbot.waitUntil(lambda: not compared.jobs.running, timeout=60_000)
    assert compared.found is former


def test_another_map_makes_the_comparison_stale_until_it_is_made_anew(compared, qtbot):
    assert compared.stale.isHidden()
    former = compared.found
    compared.session.put(MapBy("template"), former.maps[0])
    assert compared.found is former
    assert not compared.stale.isHidden()
    assert "Compare again" in compared.stale.text()
    click(qtbot, compared.compare_button)
    qtbot.waitUntil(lambda: compared.found is not former and not compared.jobs.running, timeout=60_000)
    assert compared.stale.isHidden()
    assert find_layer(compared.viewer, DIFFERENCE).data[2, 2] == pytest.approx(0, abs=0.1)


def test_another_scan_step_makes_no_comparison_stale_and_is_in_its_table(compared, tmp_path):
    former = compared.found
    compared.session.set_calibration(compared.session.calibration.with_(r_pixel=8.0, r_aspect=4.0))
    assert compared.stale.isHidden()
    assert compared.found.angle is former.angle
    compared.save_table(tmp_path / "compared.csv")
    table = pd.read_csv(tmp_path / "compared.csv", comment="#")
    assert (table["x_nm"].max(), table["y_nm"].max()) == (5 * 4.0, 3 * 16.0)


def test_maps_of_former_disks_make_the_comparison_stale(compared):
    compared.session.put(Stage.CALIBRATED, compared.session.get(Stage.CALIBRATED))
    assert "other disks" in compared.stale.text()
    assert not compared.stale.isHidden()


def test_another_scan_makes_the_comparison_go(compared):
    compared.session.put(Stage.SCAN, compared.session.get(Stage.SCAN))
    assert compared.found is None
    assert find_layer(compared.viewer, DIFFERENCE) is None
    assert compared.legend.text() == ""
    assert not any(plot.save_button.isEnabled() for plot in compared.plots.plots)


def test_the_legend_says_what_the_colours_mean(compared):
    legend = compared.legend.text()
    assert legend.endswith(" neither: 1")
    assert legend.count("background: ") == legend.count("background: #000000") == 1


def test_the_table_is_written(compared, tmp_path):
    compared.save_table(tmp_path / "a.csv")
    assert pd.read_csv(tmp_path / "a.csv", comment="#")["row"].size == 24

"""Without scrolling: the main button and the result of each step, and the preview above its settings."""

import pytest
from qtpy.QtWidgets import QApplication

from helpers.gui_scan import fill, made_map
from napari_4dstem_orient.napari_plugin.layers.map_layers import add_map_layers
from napari_4dstem_orient.napari_plugin.panels.docks import open_workbench, show_panel
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.workflow.session import MapBy, Stage

SIZES = [(1280, 800), (1600, 1000), (1920, 1080), (1280, 720)]
"""Of windows; the last is 1920 × 1080 pixels at scale 1.5."""

MAIN = {
    "Data": ("open_button", "run_all.button", "run_all.crystal", "patterns.view"),
    "Bragg disks": ("probe_button", "preview.view", "state", "run_button"),
    "Calibration": ("fit_button", "view", "state", "apply_button"),
    "Map": ("phases", "effort", "run_buttons.transformer", "run_buttons.template", "results.transformer"),
    "Analysis": ("maps", "grains.find_button"),
    "Export": ("folder", "export_button"),
}
"""What must be in sight, by panel."""

ABOVE = {
    "Data": ("patterns.view", "calibration"),
    "Bragg disks": ("preview.view", "form.native"),
    "Calibration": ("view", "form.native"),
}


def part(panel, path):
    for name in path.split("."):
        panel = panel[name] if isinstance(panel, dict) else getattr(panel, name)
    return panel


def whole(widget) -> bool:
    return widget.visibleRegion().boundingRect().size() == widget.size()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "{}x{}".format(*size))
def test_the_main_button_and_the_result_of_each_step_are_in_sight(
    knowing, make_napari_viewer, silver, qtbot, size
):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(*size)
    panels = open_workbench(viewer)
    session = session_for(viewer)
    fill(session, silver)
    panels["Map"].choose_phase("Ag")
    session.put(Stage.MAP, made_map(silver, "transformer"))
    add_map_layers(viewer, session.get(MapBy("transformer")))
    qtbot.waitUntil(lambda: not any(panel.jobs.running for panel in panels.values()), timeout=60_000)
    hidden = []
    for title, paths in MAIN.items():
        show_panel(panels[title])
        qtbot.waitUntil(lambda title=title: not panels[title].visibleRegion().isEmpty(), timeout=60_000)
        QApplication.processEvents()
        for path in paths:
            widget = part(panels[title], path)
            try:
                qtbot.waitUntil(lambda widget=widget: whole(widget), timeout=3_000)
            except Exception:
                hidden.append(f"{title}: {path}")
        if title in ABOVE:
            upper, lower = (part(panels[title], path) for path in ABOVE[title])
            assert upper.mapTo(panels[title], upper.rect().bottomLeft()).y() < (
                lower.mapTo(panels[title], lower.rect().topLeft()).y()
            )
    for panel in viewer.window.dock_widgets.values():
        panel.close_step()
    assert not hidden

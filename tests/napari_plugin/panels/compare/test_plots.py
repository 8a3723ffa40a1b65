"""The plots of the Compare panel in a real window: what they show, clicks on points, files, themes."""

import numpy as np
import pytest
from matplotlib.backend_bases import MouseEvent
from qtpy.QtWidgets import QFileDialog

from helpers.gui_scan import SHAPE, VACUUM, fill, made_map
from napari_4dstem_orient.analysis.comparison import compare_maps
from napari_4dstem_orient.napari_plugin.panels.compare.figures import POINTS, scatter_places
from napari_4dstem_orient.napari_plugin.panels.compare.plots import ComparePlots
from napari_4dstem_orient.napari_plugin.qt.endings import Endings
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.workflow.session import Stage


def scored(silver, method, seed):
    """Return a map with another score at every position."""
    made = made_map(silver, method)
    made.score[:] = (
        np.random.default_rng(seed).permutation(np.linspace(0.2, 0.9, made.score.size)).reshape(SHAPE)
    )
    made.phase_id[VACUUM] = -1
    return made


@pytest.fixture
def plots(make_napari_viewer_proxy, qtbot, silver):
    """All plots, open, of two maps with scores."""
    viewer = make_napari_viewer_proxy()
    session = session_for(viewer)
    fill(session, silver)
    maps = scored(silver, "transformer", 1), scored(silver, "template", 2)
    session.put(Stage.MAP, maps[0])
    session.put(Stage.MAP, maps[1])
    endings = Endings()
    widget = ComparePlots(viewer, endings)
    viewer.window.add_dock_widget(widget, name="Plots")
    for section in widget.sections.values():
        section.toggle.setChecked(True)
    widget.take(compare_maps(*maps))
    widget.show_measure("score")
    qtbot.waitUntil(lambda: widget.correlations.save_button.isEnabled(), timeout=60_000)
    for plot in widget.plots:
        plot.canvas.draw()
    yield widget
    endings.close()


def press(canvas, x, y):
    canvas.callbacks.process("button_press_event", MouseEvent("button_press_event", canvas, x, y, 1))


def test_both_methods_differ_in_line_style_as_well_as_in_colour(plots):
    (density,), (correlation,) = plots.densities.canvas.figure.axes, plots.correlations.canvas.figure.axes
    assert len({line.get_linestyle() for line in density.lines}) == 2
    named = [line for line in correlation.lines if not line.get_label().startswith("_")]
    assert len({line.get_linestyle() for line in named}) == len({line.get_color() for line in named}) == 3
    assert correlation.get_xlabel() == "distance (nm)"
    assert "1/e" in plots.correlations.words.text()
    (legend,) = plots.densities.canvas.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["Transformer", "Template matching"]


def test_a_click_on_a_point_inspects_its_position_and_marks_it(plots):
    (axes,) = plots.scatter.canvas.figure.axes
    one, other = plots.found.similarity["score"][:, 3, 1]
    mark = axes.lines[-1]
    assert plots.session.position != (3, 1)
    press(plots.scatter.canvas, *axes.transData.transform((one, other)))
    assert plots.session.position == (3, 1)
    np.testing.assert_allclose(np.ravel(mark.get_data()), [one, other])
    plots.session.move_to(*VACUUM)
    assert not len(mark.get_xdata())


def test_a_click_far_from_every_point_moves_nothing(plots):
    (axes,) = plots.scatter.canvas.figure.axes
    shown = axes.transData.transform(np.moveaxis(plots.found.similarity["score"], 0, -1).reshape(-1, 2))
    grid = np.argwhere(np.ones((40, 40))) / 40 * axes.bbox.size + axes.bbox.min
    apart = np.nanmin(np.linalg.norm(grid[:, None] - shown, axis=-1), axis=1)
    before = plots.session.position
    plots.session.move_to(*VACUUM)
    press(plots.scatter.canvas, *grid[apart.argmax()])
    assert plots.session.position == VACUUM != before


def test_all_figures_are_written_black_on_white(plots, tmp_path, monkeypatch):
    for plot, suffix in zip(plots.plots, ("pdf", "svg", "png"), strict=True):
        path = tmp_path / f"figure.{suffix}"
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, to=str(path): (to, ""))
        plot.save_button.click()
        assert path.stat().st_size > 1000
        assert plot.paper_figure().axes[0].xaxis.label.get_color() == "black"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["figure.pdf", "figure.png", "figure.svg"]
    # the figure on the screen still marks the position
    plots.session.move_to(2, 2)
    mark = plots.scatter.canvas.figure.axes[0].lines[-1]
    assert mark.get_xdata()[0] == plots.found.similarity["score"][0, 2, 2]


def test_words_follow_the_theme(plots):
    label = lambda: plots.densities.canvas.figure.axes[0].xaxis.label.get_color()  # noqa: E731
    dark = label()
    plots.densities.viewer.theme = "light"
    assert label() != dark


def test_a_large_scan_is_drawn_in_part_and_the_words_say_so(plots, silver):
    shape = (120, 100)
    rotation = np.broadcast_to(np.eye(3, dtype=np.float32), (*shape, 3, 3))
    large = compare_maps(*(made_map(silver, name, shape, rotation) for name in ("transformer", "template")))
    places = scatter_places(large, "score")
    assert len(np.unique(places, axis=0)) == POINTS
    plots.sections["Correlation with distance"].toggle.setChecked(False)
    plots.take(large)
    plots.show_measure("score")
    assert "10,000 of them drawn" in plots.scatter.words.text()

"""The inspected position as a figure: its panels, marks, scale bar and metadata."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.image import imread
from PIL import Image
from scipy.spatial.transform import Rotation

from helpers.gui_scan import (
    Q_PIXEL,
    VACUUM,
    fill,
    made_map,
    overlapping_disks,
    overlapping_map,
    truth,
)
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.napari_plugin.panels.inspector.pattern_figure import about, pattern_figure
from napari_4dstem_orient.napari_plugin.panels.inspector.views import ViewOptions
from napari_4dstem_orient.napari_plugin.pattern_view.figures import write_figure
from napari_4dstem_orient.napari_plugin.pattern_view.inspection import look
from napari_4dstem_orient.napari_plugin.pattern_view.overlays import LONGER
from napari_4dstem_orient.napari_plugin.state.snapshot import Snapshot
from napari_4dstem_orient.workflow.session import Session, Stage


@pytest.fixture
def snapshot(silver):
    """Both maps; the transformer's answer is 5° off."""
    session = Session()
    disks = fill(session, silver)
    off = truth() @ Rotation.from_euler("z", 5.0, degrees=True).as_matrix()
    session.put(Stage.MAP, made_map(silver, "template", disks=disks))
    session.put(Stage.MAP, made_map(silver, "transformer", rotation=off, disks=disks))
    return Snapshot.of(session)


def named(axes, gid):
    return next(child for child in axes.get_children() if child.get_gid() == gid)


def test_three_panels_say_zone_axis_and_scores(snapshot):
    position = look(snapshot, 2, 1)
    panels = pattern_figure(position, position.answers).axes
    assert [panel.get_title() for panel in panels] == [
        "Measured (row 2, column 1)",
        "Template matching",
        "Transformer",
    ]
    assert "differ by 5.0°" in panels[0].get_xlabel()
    assert "zone axis" in panels[1].get_xlabel()
    assert "reliability 93%" in panels[2].get_xlabel()


def test_labels_stand_at_measured_disks(snapshot):
    position = look(snapshot, 2, 1)
    panel = pattern_figure(position, position.answers, look=ViewOptions(labels=True)).axes[1]
    assert not pattern_figure(position, position.answers).axes[1].texts  # only where they are switched on
    places = np.array([text.xy for text in panel.texts])
    assert len(places) == 8
    for col, row in places:
        assert np.hypot(*(position.disks - [row, col]).T).min() < 1e-6
        assert np.hypot(*(position.disks - [col, row]).T).min() > 0.05  # rows are not columns


def test_residuals_start_at_the_prediction_and_point_to_the_disk(snapshot):
    position = look(snapshot, 2, 1)
    moved = replace(position, disks=position.disks + np.array([0.5, -0.2]))
    lines = named(pattern_figure(moved, position.answers).axes[1], "residuals").get_segments()
    assert len(lines) > 5
    for start, end in lines:
        np.testing.assert_allclose(end - start, [-0.2 * LONGER, 0.5 * LONGER], atol=0.02)  # x is the column


def test_the_scale_bar_is_as_long_as_it_says(snapshot):
    position = look(snapshot, 2, 1)
    panel = pattern_figure(position, position.answers).axes[0]
    length = np.ptp(named(panel, "scale bar").get_xdata()) * Q_PIXEL
    assert f"{length:g} Å⁻¹" in [text.get_text() for text in panel.texts]


def test_a_position_without_an_answer_says_why(snapshot):
    position = look(snapshot, *VACUUM)
    panels = pattern_figure(position, {"template": position.answers["template"]}).axes
    assert position.answers["template"].status.text in panels[1].get_xlabel()
    assert panels[2].get_xlabel() == "no answer"


def test_files_know_where_they_come_from(snapshot, tmp_path):
    trusted = snapshot.calibration.with_(q_pixel_from="fitted")  # else a line below makes the figure larger
    snapshot = replace(snapshot, calibration=trusted)
    position = look(snapshot, 2, 1)
    told = about(position, position.answers, snapshot)
    figure = pattern_figure(position, position.answers)
    for suffix in ("png", "svg", "pdf"):
        write_figure(figure, tmp_path / f"figure.{suffix}", told)
    assert imread(tmp_path / "figure.png").shape[1] == 2160
    with Image.open(tmp_path / "figure.png") as picture:
        read = json.loads(picture.info["Description"])
    assert read["position"] == {"row": 2, "column": 1}
    assert read["calibration"]["q_pixel"] == Q_PIXEL
    assert read["source"] == "drawn"
    np.testing.assert_allclose(read["answers"]["template"]["rotation"], truth()[2, 1], atol=1e-5)
    described = ElementTree.parse(tmp_path / "figure.svg").find(
        ".//{http://purl.org/dc/elements/1.1/}description"
    )
    assert json.loads(described.text)["answers"].keys() == {"template", "transformer"}
    assert b"/Subject" in (tmp_path / "figure.pdf").read_bytes()


def test_other_suffixes_are_refused(snapshot, tmp_path):
    position = look(snapshot, 2, 1)
    with pytest.raises(UserError, match=r"\.png, \.pdf or \.svg"):
        write_figure(pattern_figure(position, {}), tmp_path / "figure.doc", {})


@pytest.mark.parametrize(("crystal", "drawn"), [(0, {"crystal 1", "crystal 2"}), (2, {"crystal 2"})])
def test_crystals_are_drawn_as_on_the_screen_and_explained_in_the_legend(silver, crystal, drawn):
    session = Session()
    fill(session, silver, overlapping_disks(silver))
    session.put(Stage.MAP, overlapping_map(silver))
    snapshot = Snapshot.of(session)
    position = look(snapshot, 2, 1)
    figure = pattern_figure(position, position.answers, look=ViewOptions(crystal=crystal))
    panel = figure.axes[2]
    assert {child.get_gid() for child in panel.get_children()} & {"crystal 1", "crystal 2"} == drawn
    seen = position.marks(position.answers["transformer"].beside[0].spots)
    middles = [path.vertices[:4].mean(axis=0)[::-1] for path in named(panel, "crystal 2").get_paths()]
    np.testing.assert_allclose(middles, seen.disks[seen.explained], atol=1e-6)
    assert drawn <= {text.get_text() for text in figure.legends[0].get_texts()}
    assert "crystal 2: Ag" in panel.get_xlabel()
    assert "25% of the light" in panel.get_xlabel()
    told = about(position, position.answers, snapshot)["answers"]["transformer"]
    assert told["beside"][0]["share"] == 0.25

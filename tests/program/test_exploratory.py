"""A map made with an unchecked calibration says so wherever it goes; a checked one carries no badge."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.gui_scan import calibrated_disks, detected_disks, made_map
from napari_4dstem_orient.analysis.comparison import compare_maps
from napari_4dstem_orient.analysis.grains import find_grains
from napari_4dstem_orient.calibration.calibrate import calibrate
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.export import images
from napari_4dstem_orient.export.ebsd import save_ang, save_ctf
from napari_4dstem_orient.export.grain_table import save_grain_table
from napari_4dstem_orient.export.images import channel_figure, save_channel_image
from napari_4dstem_orient.export.table import save_csv
from napari_4dstem_orient.export.tiff import save_ome_tiff
from napari_4dstem_orient.indexing.settings import TemplateSettings
from napari_4dstem_orient.napari_plugin.layers.exploratory import EXPLORATORY
from napari_4dstem_orient.napari_plugin.layers.map_layers import add_map_layers
from napari_4dstem_orient.napari_plugin.layers.scan_layers import put_layer
from napari_4dstem_orient.napari_plugin.panels.orientation.panel import summary
from napari_4dstem_orient.napari_plugin.pattern_view.figures import write_figure
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.workflow.functions import map_orientations
from napari_4dstem_orient.workflow.provenance import with_origin

COARSE = TemplateSettings(zone_axis_step=6.0, in_plane_step=4.0)
WHY = "exploratory: the detector's pixel size was not checked against a crystal"


@pytest.fixture(params=["file", "typed", "fitted"])
def found(request, silver):
    known = Calibration(voltage=200, q_pixel=0.03, q_pixel_from=request.param, rotation_from="typed")
    disks = BraggDisks.from_lists((1, 1), [np.zeros((0, 3))])
    return with_origin(made_map(silver, "transformer"), disks, known), request.param != "fitted"


def test_the_reasons_are_recorded_and_reopen(found, tmp_path):
    made, exploratory = found
    assert made.exploratory == (WHY if exploratory else "")
    made.save(tmp_path / "map.h5")
    assert OrientationMap.load(tmp_path / "map.h5").exploratory == made.exploratory


def test_answers_that_are_mostly_wrong_do_not_earn_it_whatever_the_calibration_says(silver, tmp_path):
    """As with a wrong crystal or voltage: every disk list has an answer, and hardly one is believed."""
    known = Calibration(voltage=200, q_pixel=0.03, q_pixel_from="fitted", rotation_from="typed")
    disks = BraggDisks.from_lists((1, 1), [np.zeros((0, 3))])
    doubtful = made_map(silver, "transformer")
    doubtful.certainty.reliability[:] = 0.3
    made = with_origin(doubtful, disks, known)
    assert "more likely wrong than right" in made.exploratory
    save_ang(made, tmp_path / "map.ang")
    assert "more likely wrong than right" in (tmp_path / "map.ang").read_text()
    doubtful.certainty.reliability[:] = 0.9
    assert with_origin(doubtful, disks, known).exploratory == ""


def test_an_unknown_rotation_does_not_earn_it(silver):
    known = Calibration(voltage=200, q_pixel=0.03, q_pixel_from="fitted")
    disks = BraggDisks.from_lists((1, 1), [np.zeros((0, 3))])
    assert "rotation" in with_origin(made_map(silver, "transformer"), disks, known).exploratory
    for told in (
        {"rotation_from": "typed"},
        {"rotation_from": "instrument"},
        {"rotation": 12.0},
        {"flip": True},
    ):
        assert with_origin(made_map(silver, "transformer"), disks, known.with_(**told)).exploratory == ""


@pytest.mark.parametrize(("save", "suffix"), [(save_ang, "ang"), (save_ctf, "ctf"), (save_csv, "csv")])
def test_text_files_say_it(found, tmp_path, save, suffix):
    made, exploratory = found
    save(made, tmp_path / f"map.{suffix}")
    assert (WHY in (tmp_path / f"map.{suffix}").read_text()) is exploratory


def test_pictures_say_it(found, tmp_path):
    import tifffile

    made, exploratory = found
    assert any(WHY in text.get_text() for text in channel_figure(made, "ipf-z").texts) is exploratory
    save_channel_image(made, tmp_path / "map.tif", "ipf-z")
    with tifffile.TiffFile(tmp_path / "map.tif") as file:
        assert (WHY in file.imagej_metadata["Info"]) is exploratory


@pytest.mark.parametrize("channel", ["phase", "score", "reliability", "explained"])
def test_pictures_of_every_channel_say_it(found, tmp_path, monkeypatch, channel):
    import tifffile

    made, exploratory = found
    badges = []
    monkeypatch.setattr(images, "_badge", lambda figure, text: badges.append(text))
    save_channel_image(made, tmp_path / "map.png", channel)
    assert badges == [WHY if exploratory else ""]
    save_channel_image(made, tmp_path / "map.tif", channel)
    with tifffile.TiffFile(tmp_path / "map.tif") as file:
        assert (WHY in file.imagej_metadata["Info"]) is exploratory


def test_all_layers_in_one_file_say_it(found, tmp_path):
    import tifffile

    made, exploratory = found
    save_ome_tiff(made, tmp_path / "map.ome.tif")
    with tifffile.TiffFile(tmp_path / "map.ome.tif") as file:
        assert (WHY.replace("'", "&apos;") in file.ome_metadata.replace("'", "&apos;")) is exploratory


def test_tables_of_what_follows_from_the_map_say_it(found, tmp_path):
    made, exploratory = found
    save_grain_table(find_grains(made), tmp_path / "grains.csv")
    compared = compare_maps(made, replace(made, method="template", provenance={}))
    compared.save_table(tmp_path / "compared.csv")
    for name in ("grains.csv", "compared.csv"):
        assert (f"# {WHY}" in (tmp_path / name).read_text(encoding="utf-8")) is exploratory


def test_figures_say_it_below_themselves(found, tmp_path):
    from matplotlib.figure import Figure

    made, exploratory = found
    figure = Figure()
    write_figure(figure, tmp_path / "figure.svg", made.provenance)
    assert any(WHY in text.get_text() for text in figure.texts) is exploratory
    assert (WHY.partition(": ")[2] in (tmp_path / "figure.svg").read_text()) is exploratory


@pytest.mark.parametrize("origin", ["file", "fitted"])
def test_disks_hand_their_calibration_to_the_map(silver, origin):
    """In Python nobody passes the calibration on: the disks remember it."""
    disks = calibrated_disks(silver)
    known = Calibration(200, 0.03, q_pixel_from=origin, r_pixel=20.0, rotation_from="typed")
    centred, _ = calibrate(detected_disks(disks), known)
    made = map_orientations(centred, [silver], 200, method="template", template=COARSE)
    assert made.exploratory == (WHY if origin == "file" else "")
    assert made.r_pixel == 20.0
    told = map_orientations(
        disks, [silver], 200, method="template", template=COARSE, calibration=known.with_(q_pixel=0.05)
    )
    assert told.provenance["calibration"]["q_pixel"] == 0.05
    nobody_knows = map_orientations(disks, [silver], 200, method="template", template=COARSE)
    assert "pixel size is not known" in nobody_knows.exploratory


def test_the_canvas_says_it_while_such_a_layer_is_seen(found, make_napari_viewer_proxy):
    made, exploratory = found
    viewer = make_napari_viewer_proxy()
    session_for(viewer).set_calibration(Calibration(r_pixel=20.0))
    add_map_layers(viewer, replace(made, provenance={}))
    overlay = viewer.canvas.overlays[EXPLORATORY]
    assert not overlay.visible
    (layer,) = add_map_layers(viewer, made)
    assert overlay.visible is exploratory
    if exploratory:
        assert overlay.text.split() == WHY.split()
        layer.visible = False
        assert not overlay.visible
        grains = put_layer(
            viewer, "grains", made.phase_id + 1, (20.0, 20.0), "labels", exploratory=made.exploratory
        )
        assert "exploratory" in grains.name
        assert overlay.visible
        grains = put_layer(viewer, "grains", made.phase_id + 1, (20.0, 20.0), "labels")
        assert grains.name == "grains"
        assert not overlay.visible


def test_layers_and_words_say_it(found, make_napari_viewer_proxy):
    made, exploratory = found
    viewer = make_napari_viewer_proxy()
    assert all(("exploratory" in layer.name) is exploratory for layer in add_map_layers(viewer, made))
    assert (WHY in summary(made, stale=False)) is exploratory
    checked = add_map_layers(viewer, replace(made, provenance={}))
    assert not any("exploratory" in layer.name for layer in checked)

"""A map made with an unchecked calibration says so wherever it goes; a checked one carries no badge."""

from dataclasses import replace

import numpy as np
import pytest

from gui_scan import made_map
from napari_4dstem_orient.disks import BraggDisks
from napari_4dstem_orient.io.ebsd import save_ang, save_ctf
from napari_4dstem_orient.io.images import ipf_figure, save_ipf_image
from napari_4dstem_orient.napari_plugin.map_layers import add_map_layers
from napari_4dstem_orient.napari_plugin.widgets.orientation import summary
from napari_4dstem_orient.orientation_map import OrientationMap
from napari_4dstem_orient.pipeline import with_origin
from napari_4dstem_orient.scan import Calibration

WHY = "exploratory: the detector's pixel size was not checked against a crystal"


@pytest.fixture(params=["file", "fitted"])
def found(request, silver):
    known = Calibration(voltage=200, q_pixel=0.03, q_pixel_from=request.param)
    disks = BraggDisks.from_lists((1, 1), [np.zeros((0, 3))])
    return with_origin(made_map(silver, "transformer"), disks, known), request.param == "file"


def test_the_reasons_are_recorded_and_reopen(found, tmp_path):
    made, exploratory = found
    assert made.exploratory == (WHY if exploratory else "")
    made.save(tmp_path / "map.h5")
    assert OrientationMap.load(tmp_path / "map.h5").exploratory == made.exploratory


@pytest.mark.parametrize(("save", "suffix"), [(save_ang, "ang"), (save_ctf, "ctf")])
def test_text_files_say_it(found, tmp_path, save, suffix):
    made, exploratory = found
    save(made, tmp_path / f"map.{suffix}")
    assert (WHY in (tmp_path / f"map.{suffix}").read_text()) is exploratory


def test_pictures_say_it(found, tmp_path):
    import tifffile

    made, exploratory = found
    assert any(WHY in text.get_text() for text in ipf_figure(made).texts) is exploratory
    save_ipf_image(made, tmp_path / "map.tif")
    with tifffile.TiffFile(tmp_path / "map.tif") as file:
        assert (WHY in file.imagej_metadata["Info"]) is exploratory


def test_layers_and_words_say_it(found, make_napari_viewer_proxy):
    made, exploratory = found
    viewer = make_napari_viewer_proxy()
    assert all(("exploratory" in layer.name) is exploratory for layer in add_map_layers(viewer, made))
    assert (WHY in summary(made, stale=False)) is exploratory
    checked = add_map_layers(viewer, replace(made, provenance={}))
    assert not any("exploratory" in layer.name for layer in checked)

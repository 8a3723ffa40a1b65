"""What the dock widgets share: one session a viewer, forms and layers."""

import gc
import os
import weakref
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from qtpy.QtWidgets import QApplication

from helpers.gui_scan import numbered_scan
from napari_4dstem_orient.core.parameters import parameter
from napari_4dstem_orient.napari_plugin.layers.scan_layers import put_layer, rescale
from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_scan, overview
from napari_4dstem_orient.napari_plugin.qt.forms import form_for
from napari_4dstem_orient.napari_plugin.state.sessions import session_for


def test_the_proxy_and_the_viewer_share_one_session(make_napari_viewer_proxy):
    proxy = make_napari_viewer_proxy()
    assert session_for(proxy) is session_for(proxy.__wrapped__)


def test_a_window_of_ours_lets_waiting_threads_sleep(make_napari_viewer, monkeypatch):
    viewer = make_napari_viewer()
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    session_for(viewer)
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


def test_each_viewer_has_its_own_session(make_napari_viewer):
    assert session_for(make_napari_viewer()) is not session_for(make_napari_viewer())


def test_the_session_goes_when_its_viewer_goes(small_scan, qapp):
    # A viewer model without a window: windows are kept by napari and Qt beyond our reach.
    from napari.components import ViewerModel

    viewer = ViewerModel()
    open_scan(viewer, small_scan)
    gone = weakref.ref(session_for(viewer))
    QApplication.processEvents()
    del viewer
    gc.collect()
    assert gone() is None


@dataclass(frozen=True)
class Settings:
    small: Annotated[float, parameter("Small", "A small number.", min=0.0, max=1.0, step=0.1)] = 0.5
    maybe: Annotated[float | None, parameter("Maybe", "May be unknown.", unit="kV", min=0)] = None
    count: Annotated[int, parameter("Count", "How many.", min=1, max=50)] = 5
    kind: Annotated[Literal["poly", "multicorr"], parameter("Kind", "Which.")] = "poly"
    switch: Annotated[bool, parameter("Switch", "On or off.")] = False


def test_a_form_shows_what_the_settings_say(qtbot):
    form = form_for(Settings)
    qtbot.addWidget(form.native)
    assert form.settings() == Settings()
    assert form["maybe"].label == "Maybe (kV)"
    assert form["count"].tooltip == "How many."
    assert (form["count"].min, form["count"].max) == (1, 50)


def test_a_form_gives_back_what_was_typed_and_set(qtbot):
    form = form_for(Settings(count=7))
    qtbot.addWidget(form.native)
    changes = []
    form.changed.connect(lambda: changes.append(form.settings()))
    qtbot.keyClicks(form["maybe"].native, "3e2")
    assert form.settings() == Settings(count=7, maybe=300.0)
    assert changes
    other = Settings(small=0.00137, maybe=80.0, kind="multicorr", switch=True)
    changes.clear()
    form.set(other)
    assert form.settings() == other
    assert changes == [other]
    form.set(Settings())
    assert form.settings().maybe is None


def test_a_layer_of_ours_is_updated_in_place_even_renamed(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy()
    layer = put_layer(viewer, "disk count", np.eye(3), (2.0, 2.0))
    layer.name = "my name"
    viewer.add_image(np.zeros((3, 3)), name="disk count")
    put_layer(viewer, "disk count", np.ones((4, 5)), (2.0, 2.0))
    assert len(viewer.layers) == 2
    assert viewer.layers["my name"].data.shape == (4, 5)


def test_all_scan_layers_change_to_one_unit(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy()
    put_layer(viewer, "a", np.eye(3), None)
    rescale(viewer, (2.5, 2.5))
    layer = put_layer(viewer, "b", np.eye(3), (2.5, 2.5))
    for layer in viewer.layers:
        assert tuple(layer.scale) == (2.5, 2.5)
        assert [str(unit) for unit in layer.units] == ["nanometer", "nanometer"]


def test_the_overview_shows_a_large_scan_from_few_patterns():
    scan = numbered_scan((100, 70))
    image = overview(scan, seconds=600.0)
    assert image.shape == (100, 70)
    exact = np.arange(7000).reshape(100, 70) * 16
    assert np.abs(image - exact).max() <= 16 * (70 * 2 + 2)

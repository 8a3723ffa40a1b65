"""Forms show what a settings dataclass says, and which choices cannot be taken here."""

import sys

import pytest
from qtpy.QtCore import Qt

from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.indexing.settings import TemplateSettings
from napari_4dstem_orient.napari_plugin.qt.forms import form_for


def states(box):
    """Whether each choice of a box can be taken, and its tooltip, by its text."""
    tips = [box.itemData(index, Qt.ItemDataRole.ToolTipRole) or "" for index in range(box.count())]
    enabled = [box.model().item(index).isEnabled() for index in range(box.count())]
    return {box.itemText(index): (enabled[index], tips[index]) for index in range(box.count())}


@pytest.mark.parametrize("settings", [DetectionSettings, TemplateSettings])
def test_an_engine_that_is_not_installed_is_shown_and_says_how_to_get_it(qtbot, monkeypatch, settings):
    monkeypatch.setitem(sys.modules, "py4DSTEM", None)
    form = form_for(settings)
    qtbot.addWidget(form.native)
    shown = states(form["engine"].native)
    assert shown["torch"] == (True, "")
    can, why = shown["py4DSTEM"]
    assert not can
    assert 'pip install "napari-4dstem-orient[py4dstem]"' in why
    # A job of elsewhere that asks for it is still shown as it is.
    form.set(settings(engine="py4DSTEM"))
    assert form.settings().engine == "py4DSTEM"


@pytest.mark.py4dstem
def test_an_engine_that_is_installed_can_be_taken(qtbot):
    form = form_for(DetectionSettings)
    qtbot.addWidget(form.native)
    assert states(form["engine"].native)["py4DSTEM"] == (True, "")

"""Preferences: what the manifest declares is what the map panel starts with."""

import shutil
from pathlib import Path

import npe2
import pytest
from napari.settings import get_plugin_settings

from napari_4dstem_orient.core.memory import EXPLAINED, MEMORY
from napari_4dstem_orient.indexing.models import list_models
from napari_4dstem_orient.napari_plugin.panels.detection.panel import DisksWidget
from napari_4dstem_orient.napari_plugin.panels.orientation.panel import OrientationWidget
from napari_4dstem_orient.napari_plugin.state.indexers import fit_models
from napari_4dstem_orient.napari_plugin.state.preferences import (
    PLUGIN,
    Preferences,
    default_models_folder,
    preferences,
)

MANIFEST = Path(__file__).parents[3] / "napari.yaml"


@pytest.fixture
def settings(plugin_settings, npe2pm):
    """The plugin's settings as napari makes them from the manifest, saved to a temporary folder."""
    npe2pm.register(npe2.PluginManifest.from_file(MANIFEST))
    return get_plugin_settings(PLUGIN)


def test_the_manifests_defaults_are_the_plugins(settings):
    assert preferences() == Preferences("auto", default_models_folder())
    assert default_models_folder().parts[-2:] == (PLUGIN, "models")


def test_a_folder_of_own_models_is_searched(settings, tmp_path):
    bundled = list_models()
    shutil.copy(bundled[0].path, tmp_path / "mine.safetensors")
    settings.computing.models_folder = str(tmp_path)
    assert preferences().models_folder == tmp_path
    listed = [model.path for model in fit_models((), None).available]
    assert listed == [model.path for model in bundled] + [tmp_path / "mine.safetensors"]


def test_the_map_panel_starts_with_the_preferred_device(settings, dock):
    settings.computing.device = "cpu"
    panel = dock(OrientationWidget)
    assert panel.devices.currentText() == "CPU"
    assert panel.session.job.device == "cpu"


def test_the_disks_panel_starts_with_the_preferred_memory(settings, dock):
    assert preferences().memory == MEMORY
    settings.computing.memory = 300
    panel = dock(DisksWidget)
    assert panel.memory.text() == "300 MiB"
    assert panel.memory.toolTip().startswith(EXPLAINED)

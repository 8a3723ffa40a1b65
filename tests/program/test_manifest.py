"""The manifest: everything npe2's own validation lets through."""

from pathlib import Path

import pytest
import yaml
from app_model.expressions import parse_expression
from napari._app_model.constants import MenuId
from npe2 import PluginManager, PluginManifest
from npe2.manifest.contributions import ContributionPoints
from npe2.manifest.utils import import_python_name
from npe2.types import PythonName
from pydantic import BaseModel

import napari_4dstem_orient
from napari_4dstem_orient.export.registry import FORMATS as EXPORTS
from napari_4dstem_orient.io.formats import FORMATS, suffixes
from napari_4dstem_orient.napari_plugin.panels.registry import PANELS, titles
from napari_4dstem_orient.samples.library import SAMPLES

MANIFEST = Path(napari_4dstem_orient.__file__).with_name("napari.yaml")
CONTENT = yaml.safe_load(MANIFEST.read_text())
CONTRIBUTIONS = CONTENT["contributions"]
COMMANDS = {command["id"]: command for command in CONTRIBUTIONS["commands"]}


def test_npe2_finds_and_accepts_it() -> None:
    manifest = PluginManifest.from_distribution("napari-4dstem-orient")
    assert manifest.display_name == "4D-STEM Orientation Mapping"


@pytest.mark.parametrize("command", CONTRIBUTIONS["commands"], ids=lambda command: command["id"])
def test_every_command_leads_to_code(command: dict) -> None:
    assert callable(import_python_name(PythonName(command["python_name"])))
    parse_expression(command.get("enablement", "True"))


def test_every_contribution_names_a_command_that_exists() -> None:
    used = [
        item["command"]
        for kind in ("widgets", "readers", "writers", "sample_data")
        for item in CONTRIBUTIONS[kind]
    ]
    used += [item["command"] for items in CONTRIBUTIONS["menus"].values() for item in items]
    by_the_command_line = {"napari-4dstem-orient.demo"}
    assert {*used, *by_the_command_line} == set(COMMANDS)


def test_no_field_is_unknown_to_npe2() -> None:
    def known(model: type[BaseModel]) -> set[str]:
        return set(model.model_fields) | {field.alias for field in model.model_fields.values() if field.alias}

    assert set(CONTENT) <= known(PluginManifest)
    assert set(CONTRIBUTIONS) <= known(ContributionPoints)
    parsed = PluginManifest.from_file(MANIFEST).contributions
    for kind in ("commands", "widgets", "readers", "writers", "sample_data"):
        for raw, item in zip(CONTRIBUTIONS[kind], getattr(parsed, kind), strict=True):
            assert set(raw) <= known(type(item)), raw


def test_menus_are_open_to_plugins() -> None:
    assert set(CONTRIBUTIONS["menus"]) <= {str(menu) for menu in MenuId.contributables()}


def test_no_two_titles_or_widget_names_are_the_same() -> None:
    for kind, field in (("commands", "title"), ("widgets", "display_name"), ("sample_data", "display_name")):
        names = [item[field] for item in CONTRIBUTIONS[kind]]
        assert len(names) == len(set(names))


def test_file_commands_stay_out_of_the_palette() -> None:
    for kind in ("readers", "writers"):
        for item in CONTRIBUTIONS[kind]:
            assert COMMANDS[item["command"]]["enablement"] == "False"


@pytest.mark.parametrize("suffix", suffixes())
def test_the_reader_is_offered_for_every_format(suffix: str) -> None:
    manager = PluginManager()
    manager.register(PluginManifest.from_file(MANIFEST))
    offered = [reader.command for reader in manager.iter_compatible_readers([f"scan{suffix}"])]
    assert offered == ["napari-4dstem-orient.read"]


def test_the_reader_is_offered_for_nothing_else() -> None:
    (reader,) = CONTRIBUTIONS["readers"]
    assert {pattern.removeprefix("*") for pattern in reader["filename_patterns"]} <= set(suffixes())
    assert reader["accepts_directories"] == any(kind.folders for kind in FORMATS.values())


def test_the_writers_are_offered_for_every_export_that_a_layer_can_leave_as() -> None:
    of = {
        writer["command"].partition(".")[2]: writer["filename_extensions"]
        for writer in CONTRIBUTIONS["writers"]
    }
    assert of["write_map"] == [one.ending for one in EXPORTS.values() if one.plain]
    assert of["write_image"] == [one.ending for one in EXPORTS.values() if one.channels is not None]
    same = [
        writer["filename_extensions"]
        for writer in CONTRIBUTIONS["writers"]
        if writer["layer_types"] == ["labels"]
    ]
    assert same == [of["write_map"]]


def test_the_widgets_are_the_panels() -> None:
    widgets = {
        item["display_name"]: COMMANDS[item["command"]]["python_name"] for item in CONTRIBUTIONS["widgets"]
    }
    assert list(widgets)[:2] == ["Open all panels", "Reset layout"]  # where people look first
    for command in ("Open all panels", "Reset layout"):
        widgets.pop(command)
    in_menu = {title: panel for title, panel in PANELS.items() if title != "Train"}  # from the list of models
    assert widgets == {panel.menu: panel.python_name for panel in in_menu.values()}
    numbered = [name for name in widgets if name[0].isdigit()]
    assert numbered == sorted(numbered) == list(widgets)[: len(numbered)]
    steps = [PANELS[title].menu for title in titles("step")]
    assert [name for name in widgets if name in steps] == steps


def test_the_samples_are_those_of_the_data_panel() -> None:
    assert [item["display_name"] for item in CONTRIBUTIONS["sample_data"]] == list(SAMPLES)

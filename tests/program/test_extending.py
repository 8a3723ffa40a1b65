"""The page on extending: its toy package is installed, and used from the command line and in a window."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from helpers.made_maps import some_map
from napari_4dstem_orient import load
from napari_4dstem_orient.cli import app
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.ours import made_here
from napari_4dstem_orient.core.registry import Registry
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.export.registry import FORMATS as EXPORTS
from napari_4dstem_orient.indexing.methods import METHODS
from napari_4dstem_orient.io.formats import FORMATS
from napari_4dstem_orient.napari_plugin.panels.registry import PANELS
from napari_4dstem_orient.napari_plugin.panels.shared.docks import open_workbench
from napari_4dstem_orient.napari_plugin.panels.shared.opening import take_map
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.workflow.session import Stage

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS / "toy_package"
PAGE = TESTS.parent / "docs" / "extending.md"
REGISTRIES = (FORMATS, EXPORTS, PANELS, METHODS)


def look_again() -> None:
    """Let the registries ask the installed packages anew."""
    for registry in REGISTRIES:
        vars(registry).pop("_entries", None)


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, dict[str, str]]]:
    """Install the toy package; return its entry points by group."""
    told = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    about = tmp_path / "installed" / f"orient_toys-{told['version']}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {told['name']}\nVersion: {told['version']}\n"
    )
    lines = []
    for group, entries in told["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {place}" for name, place in entries.items())]
    (about / "entry_points.txt").write_text("\n".join(lines))
    for folder in (about.parent, PACKAGE):
        monkeypatch.syspath_prepend(folder)
    look_again()
    yield told["entry-points"]
    look_again()


@pytest.fixture
def toy_file(small_scan: Scan, tmp_path: Path) -> Path:
    path = tmp_path / "scan.toy"
    sizes = " ".join(map(str, small_scan.data.shape))
    path.write_bytes(f"{sizes} 300\n".encode() + np.asarray(small_scan.data, "<u2").tobytes())
    return path


def test_the_page_shows_the_package_as_it_is() -> None:
    shown = re.findall(
        r"^`(\S+)`:\n\n```\w+\n(.*?)```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    files = [path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".toml") and path.stat().st_size]
    assert dict(shown) == {path.relative_to(PACKAGE).as_posix(): path.read_text() for path in files}


def test_the_package_and_the_page_name_every_registry(toys: dict) -> None:
    groups = {registry._group: set(registry) - set(registry._own) for registry in REGISTRIES}
    assert groups == {group: set(entries) for group, entries in toys.items()}
    assert all(f"| `{group}` |" in PAGE.read_text(encoding="utf-8") for group in groups)


@pytest.mark.usefixtures("toys")
def test_a_toy_file_is_a_scan(toy_file: Path, small_scan: Scan) -> None:
    scan = load(toy_file)
    np.testing.assert_array_equal(scan.data, small_scan.data)
    assert scan.calibration.voltage == 300
    toy_file.write_bytes(toy_file.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"^scan.toy cannot be read as Toy file"):
        load(toy_file)


@pytest.mark.usefixtures("toys")
def test_the_command_line_maps_and_exports_by_toys(toy_file: Path) -> None:
    result = toy_file.with_name("map.h5")
    words = [
        "map",
        str(toy_file),
        "--phase",
        "Cu",
        "--q-pixel",
        "0.05",
        "--semiangle",
        "3",
        "-o",
        str(result),
    ]
    words += ["--method", "toy", "--export", "toy"]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = OrientationMap.load(result)
    assert found.method == "toy"
    assert found.indexed.all()
    np.testing.assert_allclose(found.rotation, np.broadcast_to(np.eye(3), found.rotation.shape))
    text = result.with_suffix(".txt")
    assert text.read_text().splitlines()[1] == "12 of 12 positions indexed"
    assert made_here(text)
    assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0  # replaces its own


def test_the_window_says_that_it_has_no_place_for_a_toys_map(make_napari_viewer_proxy) -> None:
    with pytest.raises(UserError, match="method 'toy', which the window has no place for"):
        take_map(make_napari_viewer_proxy(), replace(some_map(), method="toy"))


@pytest.mark.usefixtures("toys")
def test_what_a_toy_does_not_know_is_not_asked_of_it(toy_file: Path) -> None:
    words = [
        "map",
        str(toy_file),
        "--phase",
        "Cu",
        "-o",
        "map.h5",
        "--method",
        "toy",
        "--min-reliability",
        "0.5",
    ]
    with pytest.raises(UserError, match="Toy does not know how reliable"):
        CliRunner().invoke(app, words, catch_exceptions=False)


@pytest.mark.usefixtures("toys")
def test_the_workbench_opens_the_toy_panel(make_napari_viewer_proxy, few_disks) -> None:
    viewer = make_napari_viewer_proxy()
    panel = open_workbench(viewer)["Toy"]
    assert panel.count.text() == "No disks yet."
    session_for(viewer).put(Stage.DISKS, few_disks)
    assert panel.count.text() == "25 disks."
    panel.close_step()


@pytest.mark.usefixtures("toys")
def test_a_toy_panel_that_fails_keeps_no_other_away(make_napari_viewer_proxy, monkeypatch) -> None:
    monkeypatch.setattr("orient_toys.panel.ToyWidget", None)
    told: list[object] = []
    monkeypatch.setattr("napari_4dstem_orient.napari_plugin.panels.shared.docks.notify", told.append)
    panels = open_workbench(make_napari_viewer_proxy())
    assert "Toy" not in panels
    assert {"Overview", "Data", "Export"} <= set(panels)
    assert len(told) == 1
    assert str(told[0]).startswith("The panel Toy cannot be opened")


def test_without_the_package_there_are_no_toys() -> None:
    assert all(
        isinstance(registry, Registry) and "toy" not in map(str.lower, registry) for registry in REGISTRIES
    )

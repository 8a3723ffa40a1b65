"""The page on extending: its toy package is installed, and used from the command line and in a window."""

import re
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from scipy.spatial.transform import Rotation
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
from napari_4dstem_orient.napari_plugin.layers.map_layers import map_layers
from napari_4dstem_orient.napari_plugin.panels.docks import open_panel, open_workbench
from napari_4dstem_orient.napari_plugin.panels.registry import PANELS
from napari_4dstem_orient.napari_plugin.panels.shared.opening import take_map
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.workflow.script import script_of
from napari_4dstem_orient.workflow.session import MapBy, Stage
from napari_4dstem_orient.workflow.session_state import SessionState

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS / "toy_package"
PAGE = TESTS.parent / "docs" / "extending.md"
REGISTRIES = (FORMATS, EXPORTS, PANELS, METHODS)
PATIENCE = 120_000


def click(button, qtbot) -> None:
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def press(panel, name: str, qtbot) -> None:
    """Click a panel's button, and wait until what it began is done."""
    qtbot.waitUntil(lambda: not panel.jobs.running and getattr(panel, name).isEnabled(), timeout=PATIENCE)
    click(getattr(panel, name), qtbot)
    qtbot.waitUntil(lambda: not panel.jobs.running, timeout=PATIENCE)


def close(panels: dict) -> None:
    for panel in panels.values():
        panel.close_step()


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


def test_a_map_of_a_method_that_is_not_installed_is_shown_inspected_and_said(
    make_napari_viewer, qtbot
) -> None:
    viewer = make_napari_viewer(show=True)
    panels = open_workbench(viewer)
    take_map(viewer, replace(some_map(), method="toy"))
    assert len(map_layers(viewer, "toy")) == 1
    column = panels["Inspector"].predicted["toy"]
    qtbot.waitUntil(lambda: "zone axis" in column.words.text(), timeout=PATIENCE)
    assert panels["Analysis"].maps.currentText() == panels["Export"].maps.currentText() == "toy"
    close(panels)


@pytest.fixture
def toys_at_work(toys: dict, toy_file: Path, make_napari_viewer, qtbot):
    """A window in which the toy file was opened and mapped by the toy and by template matching, with clicks."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1600, 1000)
    panels = open_workbench(viewer)
    session = session_for(viewer)
    panels["Data"].open_path(str(toy_file))
    qtbot.waitUntil(lambda: session.get(Stage.PROBE) is not None, timeout=PATIENCE)
    known = session.calibration.with_(q_pixel=0.05, q_pixel_from="typed", semiangle=3.0)
    session.set_calibration(known)
    press(panels["Bragg disks"], "run_button", qtbot)
    press(panels["Calibration"], "apply_button", qtbot)
    maps = panels["Map"]
    maps.choose_phase("Cu")
    maps.forms["toy"]["turn"].value = 30.0
    maps.forms["template"]["zone_axis_step"].value = 10.0
    for method in ("toy", "template"):
        qtbot.waitUntil(maps.run_buttons[method].isEnabled, timeout=PATIENCE)
        click(maps.run_buttons[method], qtbot)
        qtbot.waitUntil(lambda: not maps.jobs.running, timeout=PATIENCE)
    yield viewer, panels
    close({**panels, **viewer.window.dock_widgets})


def test_the_window_maps_inspects_exports_compares_saves_and_queues_by_a_toy(
    toys_at_work, toy_file: Path, qtbot
) -> None:
    viewer, panels = toys_at_work
    session, found = session_for(viewer), session_for(viewer).maps["toy"]
    turned = Rotation.from_euler("z", 30, degrees=True).as_matrix()
    np.testing.assert_allclose(found.rotation, np.broadcast_to(turned, found.rotation.shape), atol=1e-6)
    assert "12 of 12" in panels["Map"].results["toy"].text()
    assert len(map_layers(viewer, "toy")) == 1

    column = panels["Inspector"].predicted["toy"]
    session.move_to(1, 2)
    qtbot.waitUntil(lambda: "zone axis" in column.words.text(), timeout=PATIENCE)
    assert column.view.title.text() == "Toy"

    export, folder = panels["Export"], toy_file.parent / "out"
    folder.mkdir()
    export.maps.setCurrentIndex(export.maps.findData("toy"))
    export.folder.setText(str(folder))
    for key, box in export.formats.items():
        box.setChecked(key == "toy")
    press(export, "export_button", qtbot)
    (text,) = folder.iterdir()
    assert text.read_text().splitlines()[1] == "12 of 12 positions indexed"

    compare = open_panel(viewer, "Compare")
    for box, method in ((compare.one, "toy"), (compare.other, "template")):
        box.setCurrentIndex(box.findData(method))
        box.activated.emit(box.currentIndex())
    press(compare, "compare_button", qtbot)
    assert compare.found.names == ("toy", "template")

    queue = open_panel(viewer, "Queue")
    session.put(Stage.MAP, found, session.record(MapBy("toy")).job)  # the newest is what the queue does
    scans = toy_file.parent / "scans"
    scans.mkdir()
    shutil.copy(toy_file, scans / "other.toy")
    queue.list_folder(str(scans))
    qtbot.waitUntil(queue.start_button.isEnabled, timeout=PATIENCE)
    press(queue, "start_button", qtbot)
    queued = OrientationMap.load(scans / "other_orientation.h5")
    assert queued.method == "toy"
    np.testing.assert_array_equal(queued.rotation, found.rotation)

    overview, project = panels["Overview"], toy_file.parent / "a.4dorient.h5"
    qtbot.waitUntil(lambda: "Toy: ready" in overview.steps["Toy"].text(), timeout=PATIENCE)
    overview.save_project(str(project))
    qtbot.waitUntil(lambda: not overview.jobs.running, timeout=PATIENCE)
    session.restore(SessionState())
    assert not map_layers(viewer)
    overview.open_project(str(project))
    qtbot.waitUntil(lambda: not overview.jobs.running and "toy" in session.maps, timeout=PATIENCE)
    np.testing.assert_array_equal(session.maps["toy"].rotation, found.rotation)
    assert len(map_layers(viewer, "toy")) == 1
    assert panels["Map"].forms["toy"]["turn"].value == 30.0
    assert session.record(MapBy("toy")).job.method == "toy"
    assert "'method': 'toy'" in script_of(session.state)


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
    monkeypatch.setattr("napari_4dstem_orient.napari_plugin.panels.docks.notify", told.append)
    panels = open_workbench(make_napari_viewer_proxy())
    assert "Toy" not in panels
    assert {"Overview", "Data", "Export"} <= set(panels)
    assert len(told) == 1
    assert str(told[0]).startswith("The panel Toy cannot be opened")


def test_without_the_package_there_are_no_toys() -> None:
    assert all(
        isinstance(registry, Registry) and "toy" not in map(str.lower, registry) for registry in REGISTRIES
    )

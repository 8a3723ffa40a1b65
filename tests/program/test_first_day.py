"""From an empty napari to a map by real clicks, which are counted: what a new user does on the first day."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDialogButtonBox, QFileDialog, QLineEdit, QMenu

from helpers.format_files import mib
from helpers.walk_through.hands import click, says, wait
from napari_4dstem_orient.napari_plugin.layers.map_layers import map_layers
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.samples.copper import copper_polycrystal
from napari_4dstem_orient.workflow.session import MapBy, Stage

LEFT = Qt.MouseButton.LeftButton
STRIDE = 4
WANTED = MapBy("transformer")


CARBIDE = """data_carbide
_cell_length_a 3.6149
_cell_length_b 3.6149
_cell_length_c 3.6149
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'P m -3 m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Cu1 Cu 0 0 0
Cu2 Cu 0 0.5 0.5
C1 C 0.5 0.5 0.5
"""


class User:
    """Clicks in a window, and counts; to drop a file, or to choose one in a dialog, is one click."""

    def __init__(self, viewer) -> None:
        self.viewer, self.session, self.clicks = viewer, session_for(viewer), 0

    def panel(self, title):
        return self.viewer.window.dock_widgets[title]

    def click(self, widget) -> None:
        self.clicks += 1
        click(widget)

    def from_menu(self, menu: QMenu, text: str) -> None:
        """Click on a line of a menu that is open."""
        wait("the menu", menu.isVisible)
        (line,) = (line for line in menu.actions() if line.text().replace("&", "") == text)
        self.clicks += 1
        QTest.mouseClick(menu, LEFT, pos=menu.actionGeometry(line).center())

    def answer(self, path: Path, done) -> None:
        """Answer each dialog that comes up, by a file or by its OK, until something is done."""
        answered = []

        def look() -> None:
            dialog = QApplication.activeModalWidget()
            if dialog is not None and dialog not in answered:
                answered.append(dialog)
                self.clicks += 1
            if isinstance(dialog, QFileDialog):
                (name,) = dialog.findChildren(QLineEdit, "fileNameEdit")
                name.setText(str(path))
                QTest.keyClick(name, Qt.Key.Key_Return)
            elif dialog is not None:
                ok = dialog.findChild(QDialogButtonBox).button(QDialogButtonBox.StandardButton.Ok)
                QTest.mouseClick(ok, LEFT)
            if not done():
                QTimer.singleShot(100, look)

        QTimer.singleShot(100, look)

    def drop(self, path: Path) -> None:
        """Drop a file on the canvas, which is one click; napari may ask which reader shall read it."""
        window, data = self.viewer.window, QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path))])
        self.clicks += 1
        self.answer(path, lambda: "Data" in window.dock_widgets)
        on, action = window._qt_viewer, Qt.DropAction.CopyAction
        keys = Qt.KeyboardModifier.NoModifier
        on.dropEvent(QDropEvent(QPointF(on.rect().center()), action, data, LEFT, keys))
        wait("the workbench", lambda: "Map display" in window.dock_widgets)

    def run_all(self, crystal: str) -> None:
        """Press Run all, and choose the crystal that it asks for."""
        run = self.panel("Data").run_all
        wait("the scan", lambda: self.session.scan_shape is not None)
        self.click(run.button)
        self.from_menu(run.menu, crystal)

    def wait_for_map(self):
        """Wait for the map, shown, and nothing at work."""
        run = self.panel("Data").run_all
        wait("the map", lambda: not run.updater.running and self.session.get(WANTED) is not None)
        wait("its layer", lambda: map_layers(self.viewer, "transformer"))
        return self.session.get(WANTED)


@pytest.fixture(scope="module")
def patterns():
    return np.asarray(copper_polycrystal().data[::STRIDE, ::STRIDE])


@pytest.fixture
def user(make_napari_viewer, monkeypatch):
    QApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs)
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    yield User(viewer)
    for panel in list(viewer.window.dock_widgets.values()):
        panel.close_step()


def calibrated_file(path: Path, patterns: np.ndarray) -> Path:
    """Write patterns and their calibration as py4DSTEM does."""
    known = copper_polycrystal().calibration
    with h5py.File(path, "w") as file:
        file["scan/datacube/data"] = patterns
        bundle = file.create_group("scan/metadatabundle/calibration")
        told = {"Q_pixel_size": known.q_pixel, "Q_pixel_units": "A^-1", "voltage": known.voltage * 1e3}
        for name, value in told.items():
            bundle[name] = value
    return path


def all_steps_are_current(user) -> bool:
    steps = user.panel("Overview").steps
    told = {title: made.text().partition(": ")[2] for title, made in steps.items()}
    return all(told[title] == "current" for title in ("Data", "Bragg disks", "Calibration", "Map"))


def test_a_calibrated_file_is_mapped_by_five_clicks_without_typing(user, patterns, tmp_path):
    user.drop(calibrated_file(tmp_path / "own.h5", patterns))
    user.run_all("Cu")
    found = user.wait_for_map()
    assert found.indexed.mean() > 0.7
    assert [phase.name for phase in found.phases] == ["Cu"]
    assert user.clicks <= 5
    wait("the overview", lambda: all_steps_are_current(user))
    assert says(user.panel("Data"), "indexed")
    assert says(user.panel("Map"), "positions indexed")
    assert user.session.record(WANTED).job.detection is not None


@pytest.mark.parametrize("kind", ["npy", "mib"])
def test_a_flat_stack_is_mapped_by_seven_clicks_and_its_voltage(user, patterns, tmp_path, kind):
    flat = patterns.reshape(-1, *patterns.shape[2:])
    path = tmp_path / f"own.{kind}"
    if kind == "npy":
        np.save(path, flat)
    else:
        mib(path, flat)
    user.drop(path)
    data = user.panel("Data")
    shape = "12 × 16"
    wait("the question", lambda: data.reading.shape_buttons.isVisible() and not data.jobs.running)
    user.click(next(one for one in data.reading.offered if one.text() == shape))
    user.run_all("Cu")
    asked = user.viewer.window._qt_window.focusWidget()
    QTest.keyClicks(asked, "300")
    QTest.keyClick(asked, Qt.Key.Key_Return)
    found = user.wait_for_map()
    assert found.scan_shape == (12, 16)
    assert found.indexed.mean() > 0.7
    assert user.clicks <= 7
    known = user.session.calibration
    assert known.q_pixel == pytest.approx(copper_polycrystal().calibration.q_pixel, rel=0.02)
    assert known.q_pixel_from == "fitted"
    assert user.session.get(Stage.CALIBRATED).provenance["calibration"]["q_pixel"] == known.q_pixel


def test_a_crystal_that_no_model_knows_is_mapped_by_seven_clicks(user, patterns, tmp_path):
    """Copper with a carbon atom in its middle: no model was trained for that."""
    crystal = tmp_path / "unknown.cif"
    crystal.write_text(CARBIDE)
    user.drop(calibrated_file(tmp_path / "own.h5", patterns))
    run = user.panel("Data").run_all
    wait("the scan", lambda: user.session.scan_shape is not None)
    user.click(run.button)
    user.answer(crystal, lambda: bool(user.session.job.phases))
    user.from_menu(run.menu, "CIF file …")
    found = user.wait_for_map()
    assert found.indexed.mean() > 0.5
    assert user.clicks <= 7

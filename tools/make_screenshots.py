"""Take the pictures of docs/images: every step of the job on the silver sample, through a real window.

    xvfb-run -a -s "-screen 0 1600x1000x24" python tools/make_screenshots.py
    xvfb-run -a -s "-screen 0 1600x1000x24" python tools/make_screenshots.py --size 1280x800 --out small-pictures

It presses the buttons that a user would press and waits for what they make. Look at every picture afterwards.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
from qtpy.QtWidgets import QApplication, QComboBox

from napari_4dstem_orient.napari_plugin.map_layers import map_layers
from napari_4dstem_orient.napari_plugin.opening import open_scan
from napari_4dstem_orient.napari_plugin.sessions import session_for
from napari_4dstem_orient.napari_plugin.workbench import open_workbench, show_panel
from napari_4dstem_orient.samples.silver import silver_twins
from napari_4dstem_orient.session import Stage

POSITION, OTHER_POSITION = (34, 60), (46, 165)
"""Scan positions to look at, in two grains."""


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", default="1600x1000", help="width x height of the window in pixels")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "images")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    width, height = map(int, options.size.split("x"))
    viewer = napari.Viewer(title="napari-4dstem-orient")
    viewer.window.resize(width, height)
    try:
        Photographer(viewer, options.out).take_all()
    finally:
        viewer.close()


class Photographer:
    """Works through the job in one window and photographs it after each step."""

    def __init__(self, viewer: napari.Viewer, folder: Path) -> None:
        self.viewer, self.folder = viewer, folder
        self.session = session_for(viewer)
        self.panels: dict[str, Any] = open_workbench(viewer)

    def take_all(self) -> None:
        """Take the pictures, in the order of the job."""
        open_scan(self.viewer, silver_twins())
        self.session.move_to(*POSITION)
        self.data()
        self.disks()
        self.calibration()
        self.map()
        self.inspector()
        self.export()

    def data(self) -> None:
        """Virtual images of the sample."""
        panel = self.front("Data")
        self.wait(lambda: self.session.get(Stage.PROBE) is not None)  # found at once, beside this step
        panel.images_button.click()
        self.wait(lambda: not panel.jobs.running)
        self.shoot("1-data")

    def disks(self) -> None:
        """The live preview, then all disks."""
        panel = self.front("Bragg disks")
        panel.run_button.click()
        self.wait(lambda: not panel.jobs.running)
        self.shoot("2-disks")

    def calibration(self) -> None:
        """The pixel size fitted to silver's rings, as a check, and the direct beam over the scan."""
        panel = self.front("Calibration")
        panel.crystal.setCurrentText("Ag")
        panel.fit_button.click()
        self.wait(lambda: not panel.jobs.running)
        panel.apply_button.click()
        self.wait(lambda: self.session.get(Stage.CALIBRATED) is not None)
        self.shoot("3-calibration")

    def map(self) -> None:
        """The transformer's map."""
        panel = self.front("Map")
        panel.choose_phase("Ag")
        self.wait(lambda: panel.run_buttons["transformer"].isEnabled())
        panel.run_buttons["transformer"].click()
        self.wait(lambda: self.session.get(Stage.TRANSFORMER_MAP) is not None)
        self.wait(lambda: bool(map_layers(self.viewer)))
        self.wait(lambda: "differ by" in self.panels["Inspector"].measured.words.text())
        self.shoot("4-map")

    def inspector(self) -> None:
        """Two grains under the inspector; the second, beside both maps, is the README's picture."""
        words = self.panels["Inspector"].measured.words
        display = self.panels["Map display"]
        choose(display.channel, "ipf-x")  # here all grains but one share a zone axis
        self.wait(lambda: bool(map_layers(self.viewer, kind="ipf-x")))
        for (row, col), name in ((OTHER_POSITION, "5-inspector"), (POSITION, "overview")):
            self.session.move_to(row, col)
            shown = f"row {row}, column {col}<"
            self.wait(lambda shown=shown: shown in words.text() and "differ by" in words.text())
            if name == "overview":
                choose(display.beside, "ipf-x")  # and IPF-Z in its place
            self.shoot(name)

    def export(self) -> None:
        """What can be written."""
        panel = self.front("Export")
        panel.folder.setText("~/silver-twins")
        self.shoot("6-export")

    def front(self, title: str) -> Any:
        """Bring a panel to the front."""
        show_panel(self.panels[title])
        return self.panels[title]

    def wait(self, done: Callable[[], bool], seconds: float = 600) -> None:
        """Keep the window alive until something is done."""
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"{done} is still not true after {seconds} s")
            QApplication.processEvents()
            time.sleep(0.01)

    def shoot(self, name: str) -> None:
        """Let the window settle, then photograph it."""
        settled = time.monotonic() + 2
        self.wait(lambda: time.monotonic() > settled)
        self.viewer.screenshot(str(self.folder / f"{name}.png"), canvas_only=False, flash=False)
        print(self.folder / f"{name}.png")


def choose(box: QComboBox, key: str) -> None:
    """Choose an entry as a user would."""
    box.setCurrentIndex(box.findData(key))
    box.activated.emit(box.currentIndex())


if __name__ == "__main__":
    main()

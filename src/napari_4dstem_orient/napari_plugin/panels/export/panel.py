"""Export: write a map as the files that other programs read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import napari
from qtpy.QtWidgets import QCheckBox, QFileDialog, QLineEdit

from napari_4dstem_orient.core.progress import Progress
from napari_4dstem_orient.export.registry import FORMATS, ExportError, export, export_files
from napari_4dstem_orient.napari_plugin.panels.base import StepWidget, button, section, wrapped
from napari_4dstem_orient.napari_plugin.panels.shared.map_chooser import NEEDS_A_MAP, MapChooser
from napari_4dstem_orient.napari_plugin.panels.shared.replacing import may_replace, refuse_what_is_open
from napari_4dstem_orient.napari_plugin.qt.bounded import Bounded
from napari_4dstem_orient.napari_plugin.qt.boxes import fill, form, row
from napari_4dstem_orient.napari_plugin.qt.jobs import notify, telling
from napari_4dstem_orient.workflow.session import Stage

STEM = "orientation"


LINES = 6
"""Of the names of files that were written; more are scrolled."""


class ExportWidget(StepWidget):
    """Writes a map in the formats ticked, into one folder."""

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.maps = MapChooser(self.session, "Which method's map to write.")
        self.folder, self.stem = QLineEdit(), QLineEdit()
        self._typed: set[QLineEdit] = set()
        for field in (self.folder, self.stem):
            field.textEdited.connect(lambda text, field=field: self._typed.add(field))
        self.stem.setToolTip("All files' names begin with it.")
        browse = button("Browse…", "Choose the folder.", self._ask_for_folder)
        self.formats: dict[str, QCheckBox] = {}
        for name, one in FORMATS.items():
            self.formats[name] = box = QCheckBox(f"{one.title} ({one.ending})")
            box.setToolTip(f"For {one.readers}." if one.readers else box.text())
            box.setChecked(name in ("h5", "ang", "ctf", "png"))
            box.toggled.connect(lambda ticked: self.refresh())
        self.export_button = button("Export", "Write the files ticked.", self.export)
        self.written = wrapped()
        where = form({"Map": self.maps, "Folder": row((self.folder, 1), browse), "Name": self.stem})
        fill(self.body, where, section("Formats"), *self.formats.values())
        fill(self.footer, Bounded(self.written, LINES), self.export_button)
        self.body.addStretch(1)
        self._propose()
        self.refresh()

    def job_is_of_scan(self) -> bool:
        """Files that were asked for are written."""
        return False

    def refresh(self) -> None:
        """List the maps there are."""
        self.maps.refresh()
        found = self.maps.map is not None
        self.say_needs("" if found else NEEDS_A_MAP)
        self.export_button.setEnabled(found and bool(self._ticked()) and not self.jobs.running)

    @telling
    def export(self) -> None:
        """Write the files."""
        if (found := self.maps.map) is None:
            return
        folder = Path(self.folder.text()).expanduser()
        stem = self.stem.text().strip() or STEM
        files = [folder / name for name in export_files(self._ticked(), stem, found)]
        self.written.setText("")
        refuse_what_is_open(files, self.session)
        if may_replace(self, files):
            disks, calibration = self.session.get(Stage.CALIBRATED), self.session.calibration
            write = partial(export, found, folder, self._ticked(), stem, disks, calibration)
            self.jobs.run("Exporting", self._on_written, _export, write)

    def _propose(self) -> None:
        """Name files after the scan and put them beside it, unless the user said where."""
        scan = self.session.get(Stage.SCAN)
        file = Path(scan.source.partition("::")[0]) if scan is not None and scan.reopens else None
        where = (
            (str(Path.home()), STEM) if file is None else (str(file.absolute().parent), f"{file.stem}_{STEM}")
        )
        for field, text in zip((self.folder, self.stem), where, strict=True):
            if field not in self._typed:
                field.setText(text)

    def forget(self) -> None:
        """Name files after the scan that has come, and say nothing of those of the former."""
        self._propose()
        self.written.clear()

    def _ticked(self) -> list[str]:
        return [name for name, box in self.formats.items() if box.isChecked()]

    def _on_written(self, result: tuple[list[Path], ExportError | None]) -> None:
        paths, failed = result
        names = "".join(f"<br>{path.name}" for path in paths)
        self.written.setText(f"Written to {paths[0].parent}:{names}" if paths else "")
        if failed is not None:
            notify(failed)

    def _ask_for_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder to write to", self.folder.text())
        if folder:
            self.folder.setText(folder)
            self._typed.add(self.folder)


def _export(write: Callable[..., list[Path]], progress: Progress) -> tuple[list[Path], ExportError | None]:
    """Return the files written, and what could not be."""
    try:
        return write(progress=progress), None
    except ExportError as error:
        return error.written, error

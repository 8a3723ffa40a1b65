"""Export: write a map as the files that other programs read."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QFormLayout, QHBoxLayout, QLabel, QLineEdit

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.progress import Progress
from napari_4dstem_orient.export.registry import FORMATS, ExportError, export, export_files
from napari_4dstem_orient.indexing.methods import title_of
from napari_4dstem_orient.napari_plugin.panels.base import StepWidget, button, section
from napari_4dstem_orient.napari_plugin.panels.shared.replacing import may_replace, refuse_what_is_open
from napari_4dstem_orient.napari_plugin.qt.jobs import notify
from napari_4dstem_orient.workflow.session import MapBy, Stage

if TYPE_CHECKING:
    import napari

STEM = "orientation"


class ExportWidget(StepWidget):
    """Writes a map in the formats ticked, into one folder.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.maps = QComboBox()
        self.maps.setToolTip("Which method's map to write.")
        self.folder, self.stem = QLineEdit(), QLineEdit()
        self._typed: set[QLineEdit] = set()
        for field in (self.folder, self.stem):
            field.textEdited.connect(lambda text, field=field: self._typed.add(field))
        self.stem.setToolTip("All files' names begin with it.")
        browse = button("Browse…", "Choose the folder.", self._ask_for_folder)
        folder_row = QHBoxLayout()
        folder_row.addWidget(self.folder, 1)
        folder_row.addWidget(browse)
        form = QFormLayout()
        form.addRow("Map", self.maps)
        form.addRow("Folder", folder_row)
        form.addRow("Name", self.stem)
        self.body.addLayout(form)
        self.body.addWidget(section("Formats"))
        self.formats: dict[str, QCheckBox] = {}
        for name, one in FORMATS.items():
            self.formats[name] = box = QCheckBox(f"{one.title} ({one.ending})")
            box.setToolTip(f"For {one.readers}." if one.readers else box.text())
            box.setChecked(name in ("h5", "ang", "ctf", "png"))
            box.toggled.connect(lambda ticked: self.refresh())
            self.body.addWidget(box)
        self.export_button = button("Export", "Write the files ticked.", self.export)
        self.written = QLabel()
        self.written.setWordWrap(True)
        self.body.addWidget(self.export_button)
        self.body.addWidget(self.written)
        self.body.addStretch(1)
        self._propose()
        self.refresh()

    def job_is_of_scan(self) -> bool:
        """Files that were asked for are written."""
        return False

    def refresh(self) -> None:
        """List the maps there are."""
        found = list(self.session.maps)
        chosen = self.maps.currentData()
        self.maps.clear()
        for method in found:
            stale = " (stale)" if self.session.is_stale(MapBy(method)) else ""
            self.maps.addItem(title_of(method) + stale, method)
        self.maps.setCurrentIndex(max(self.maps.findData(chosen), 0) if found else -1)
        self.say_needs("" if found else "Needs: an orientation map (run one in Map).")
        self.export_button.setEnabled(bool(found and self._ticked()) and not self.jobs.running)

    def export(self) -> None:
        """Write the files."""
        found = self.session.maps[self.maps.currentData()]
        folder = Path(self.folder.text()).expanduser()
        stem = self.stem.text().strip() or STEM
        files = [folder / name for name in export_files(self._ticked(), stem, found)]
        self.written.setText("")
        try:
            refuse_what_is_open(files, self.session)
        except UserError as error:
            notify(error)
            return
        if may_replace(self, files):
            disks, calibration = self.session.get(Stage.CALIBRATED), self.session.calibration
            self.jobs.run(
                "Exporting",
                self._on_written,
                partial(_export, found, disks, calibration),
                folder,
                self._ticked(),
                stem,
            )

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


def _export(
    orientation_map: Any,
    disks: Any,
    calibration: Any,
    folder: Path,
    formats: list[str],
    stem: str,
    progress: Progress,
) -> tuple[list[Path], ExportError | None]:
    """Return the files written, and what could not be."""
    try:
        return export(orientation_map, folder, formats, stem, disks, calibration, progress), None
    except ExportError as error:
        return error.written, error

"""Queue: map all scans of a folder like the open one, one after another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path

import napari
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QTreeWidget, QTreeWidgetItem

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.napari_plugin.panels.base import StepWidget, button, wrapped
from napari_4dstem_orient.napari_plugin.panels.shared.replacing import may_replace
from napari_4dstem_orient.napari_plugin.qt.boxes import fill, form, row
from napari_4dstem_orient.napari_plugin.qt.jobs import telling
from napari_4dstem_orient.napari_plugin.state.preferences import preferences
from napari_4dstem_orient.workflow.batch import Outcome, map_file, recipe, result_of, scans_in
from napari_4dstem_orient.workflow.job import Job
from napari_4dstem_orient.workflow.run import Results


class Status(StrEnum):
    """How far a file is."""

    WAITING = "○ waiting"
    RUNNING = "… running"
    DONE = "✓ done"
    FAILED = "✗ failed"


@dataclass
class Entry:
    """A file of the queue and its line in the list."""

    path: Path
    item: QTreeWidgetItem
    status: Status = Status.WAITING

    def show(self, status: Status, text: str = "") -> None:
        """Say how far it is, and the result or the reason."""
        self.status = status
        self.item.setText(1, status)
        self.item.setText(2, text)
        self.item.setToolTip(2, text)


class QueueWidget(StepWidget):
    """Maps a folder's scans with the settings of the newest map."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self.entries: list[Entry] = []
        self._recipe: tuple[Job, Results] | None = None
        self._stopped = False
        self.folder, self.output = QLineEdit(), QLineEdit()
        self.folder.setToolTip("All scans in it are listed.")
        self.folder.editingFinished.connect(self._list_if_new)
        self.output.setPlaceholderText("beside the scans")
        self.output.setToolTip("Where results are written; empty: beside each scan.")
        self.list = QTreeWidget()
        self.list.setHeaderLabels(["File", "State", "Result or reason"])
        self.list.setRootIsDecorated(False)
        self.list.setToolTip("Each is mapped like the open scan: same probe, settings, crystals and model.")
        self.start_button = button(
            "Map them", "Those that wait or have failed, one after another.", self.start
        )
        self.count = wrapped()
        self._listed = ""
        scans = self._with_browse(self.folder, "Folder of scans")
        results = self._with_browse(self.output, "Folder of results")
        fill(self.body, form({"Folder": scans, "Results": results}), (self.list, 1))
        fill(self.footer, self.count, self.start_button)
        self.jobs.cancel_button.clicked.connect(self._stop)
        self.refresh()

    def _with_browse(self, field: QLineEdit, title: str) -> QHBoxLayout:
        return row((field, 1), button("Browse…", "Choose the folder.", partial(self._browse, field, title)))

    def list_folder(self, folder: str) -> None:
        """List the scans of a folder."""
        if self.jobs.running:
            return
        self.folder.setText(folder)
        self._listed = folder
        self.jobs.run("Looking for scans", self._show_files, scans_in, folder)

    @telling
    def start(self) -> None:
        """Map the files that wait or have failed."""
        self._recipe = recipe(self.session)
        todo = [entry for entry in self.entries if entry.status in (Status.WAITING, Status.FAILED)]
        if not may_replace(self, [result_of(entry.path, self._results(entry)) for entry in todo]):
            return
        self._stopped = False
        for entry in todo:
            entry.show(Status.WAITING)
        self._next()

    def _results(self, entry: Entry) -> Path:
        """Return the folder that a file's result goes into."""
        typed = self.output.text().strip()
        return Path(typed).expanduser() if typed else entry.path.parent

    def job_is_of_scan(self) -> bool:
        """Return False: a queue maps other scans."""
        return False

    def refresh(self) -> None:
        """Say what is missing, and how far the queue is."""
        try:
            recipe(self.session)
            self.say_needs("")
        except UserError as error:
            self.say_needs(f"Needs: {str(error)[0].lower()}{str(error)[1:]}")
        idle = not self.jobs.running
        left = [entry for entry in self.entries if entry.status in (Status.WAITING, Status.FAILED)]
        self.start_button.setEnabled(idle and bool(left) and not self.needs.text())
        for field in (self.folder, self.output):
            field.setEnabled(idle)
        done = sum(entry.status is Status.DONE for entry in self.entries)
        failed = sum(entry.status is Status.FAILED for entry in self.entries)
        text = f"{done} of {len(self.entries)} done, {failed} failed." if self.entries else ""
        self.count.setText(text or ("No scan in this folder." if self._listed and idle else ""))

    def _show_files(self, paths: list[Path]) -> None:
        self.list.clear()
        self.entries = []
        for path in paths:
            item = QTreeWidgetItem([path.name, "", ""])
            item.setToolTip(0, str(path))
            self.list.addTopLevelItem(item)
            entry = Entry(path, item)
            entry.show(Status.WAITING)
            self.entries.append(entry)
        for column in range(2):
            self.list.resizeColumnToContents(column)
        self.refresh()

    def _next(self) -> None:
        entry = next((entry for entry in self.entries if entry.status is Status.WAITING), None)
        if entry is None or self._stopped or self._recipe is None:
            self.refresh()
            return
        entry.show(Status.RUNNING)
        job, have = self._recipe
        running = self.jobs.run(
            entry.path.name,
            lambda outcome: self._take(entry, outcome),
            map_file,
            entry.path,
            replace(job, memory=preferences().memory),
            self._results(entry),
            have=have,
        )
        running.cancelled.connect(lambda: self._cancelled(entry))

    def _take(self, entry: Entry, outcome: Outcome) -> None:
        if outcome.reason:
            entry.show(Status.FAILED, outcome.reason)
        else:
            entry.show(Status.DONE, str(outcome.result))
        self._next()

    def _cancelled(self, entry: Entry) -> None:
        entry.show(Status.WAITING, "cancelled; goes on where it was")
        self.refresh()

    def _stop(self) -> None:
        self._stopped = True

    def _list_if_new(self) -> None:
        folder = self.folder.text().strip()
        if folder and folder != self._listed:
            self.list_folder(folder)

    def _browse(self, field: QLineEdit, title: str) -> None:
        folder = QFileDialog.getExistingDirectory(self, title, field.text())
        if folder:
            field.setText(folder)
            self._list_if_new()

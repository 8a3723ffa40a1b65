"""Overview: which data these are, how far each step is, and the whole work as a project."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtGui import QGuiApplication, QKeySequence, QShortcut  # type: ignore[attr-defined]
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QPushButton, QWidget

from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.napari_plugin.panels.base import StepWidget, button, wrapped
from napari_4dstem_orient.napari_plugin.panels.docks import open_panel, open_steps
from napari_4dstem_orient.napari_plugin.panels.overview.autosave import Autosave, LeftBehind, left_behind
from napari_4dstem_orient.napari_plugin.panels.overview.open_scans import OpenScans
from napari_4dstem_orient.napari_plugin.panels.registry import PANELS, titles
from napari_4dstem_orient.napari_plugin.panels.shared.facts import facts_text, facts_tooltip
from napari_4dstem_orient.napari_plugin.panels.shared.keeping import (
    PROJECTS,
    ask_for_project,
    may_take_place,
    project_path,
)
from napari_4dstem_orient.napari_plugin.panels.shared.opening import opening_scan, overview
from napari_4dstem_orient.napari_plugin.panels.shared.project_to_viewer import (
    read_project,
    show_project,
)
from napari_4dstem_orient.napari_plugin.panels.shared.scans import KeptScan, scans_for
from napari_4dstem_orient.napari_plugin.panels.shared.undo import Undo
from napari_4dstem_orient.napari_plugin.panels.shared.unsaved import are_in_files, not_in_files
from napari_4dstem_orient.napari_plugin.panels.shared.updating import Updater
from napari_4dstem_orient.napari_plugin.panels.shared.viewer_to_project import project_of
from napari_4dstem_orient.napari_plugin.qt.boxes import bare, fill, row
from napari_4dstem_orient.napari_plugin.qt.dialogs import open_file
from napari_4dstem_orient.napari_plugin.qt.jobs import telling
from napari_4dstem_orient.napari_plugin.state.sessions import bare_viewer
from napari_4dstem_orient.napari_plugin.state.step_states import SYMBOLS, details, state_of
from napari_4dstem_orient.samples.library import SAMPLES, find_sample
from napari_4dstem_orient.workflow.job import Key
from napari_4dstem_orient.workflow.project import Project, is_project_file, save_project
from napari_4dstem_orient.workflow.script import script_of

WELCOME = (
    "<b>Start here:</b> open a 4D-STEM file, drop one on this window, open a project, "
    "or try one of the two samples."
)
COLUMNS = 2
"""Of steps beside each other, in the order of reading."""


class OverviewWidget(StepWidget):
    """Shows where the work stands; saves, opens and recovers it."""

    SCROLLS_ABOVE = 260  # the details may be long

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self.setAcceptDrops(True)
        self.facts = wrapped()
        self.updater = Updater(bare_viewer(napari_viewer))
        self._panels: dict[str, Any] = {}
        self.autosave = self._new_autosave()
        self.former: Autosave | None = None
        """The work that another scan has replaced."""
        self.left: LeftBehind | None = left_behind()
        self._recovered: Autosave | LeftBehind | None = None
        self.body.setSpacing(3)
        self._aside: dict[KeptScan, Autosave] = {}
        self._build_first_run()
        self.scans = OpenScans(napari_viewer, self.turns, self.refresh)
        self.undo = Undo(napari_viewer, self.endings)
        steps, actions = self._build_steps(), self._build_actions()
        here = row((self.facts, 1), self.scans.another_button)
        fill(
            self.body,
            here,
            self.scans,
            self.first_run,
            self.recovery,
            steps,
            *actions,
            self.said,
            self.details,
        )
        self.body.addStretch(1)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self.refresh)
        attributes = vars(self)  # a window that is closed tells its panels nothing but this
        self.destroyed.connect(lambda: _end(attributes))
        self.endings.callback(_end, attributes)
        self.endings.listen(self.session.job_changed, self._later)
        self.endings.listen(self.session.pins_changed, self._save_soon)
        self.endings.callback(self.updater.stop)
        self.endings.listen(self.updater.changed, self.refresh)
        self.endings.listen(self.undo.changed, self._later)
        self.endings.listen(scans_for(napari_viewer).changed, self._on_scans)
        self.refresh()

    # ---------------------------------------------------------------- building

    def _build_first_run(self) -> None:
        self.open_button = button("Open file …", "Any 4D-STEM format.", self._open_file)
        self.sample_buttons = {
            name: button(name.split()[0], f"Open the sample {name}.", partial(self.open_sample, name))
            for name in SAMPLES
        }
        self.recovery_text = wrapped()
        self.recover_button = button("Recover", "Open it as it was some seconds before.", self.recover)
        self.discard_button = button("Discard", "Remove it for good.", self.discard)
        self.first_run, self.recovery = QWidget(), QWidget()
        self.first_run.setLayout(bare(row(self.open_button, *self.sample_buttons.values())))
        self.recovery.setLayout(bare(row(self.recovery_text, self.recover_button, self.discard_button)))

    def _build_steps(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(2)
        self.steps: dict[str, QPushButton] = {}
        for place, title in enumerate(titles("step")):
            made = self.steps[title] = button("", "", partial(self.show_step, title))
            keys = QShortcut(QKeySequence(f"Alt+{place + 1}"), self)
            keys.activated.connect(partial(self.enter_step, title))
            made.setStyleSheet("text-align: left; padding: 2px 4px")
            grid.addWidget(made, place // COLUMNS, place % COLUMNS)
        return grid

    def _build_actions(self) -> tuple[QHBoxLayout, ...]:
        self.update_button = button(
            "Update stale steps",
            "Run what is stale or missing, in order; never what is current.",
            self.update_steps,
        )
        self.details_button = QPushButton("Details")
        self.details_button.setCheckable(True)
        self.details_button.setToolTip(
            "Say of each step what it needs, what it made, when, with which settings."
        )
        self.details_button.toggled.connect(lambda on: self.refresh())
        self.script_button = button(
            "Script", "Copy Python that repeats what was done here.", self.copy_script
        )
        self.save_button = button(
            "Save…", "Save a project: everything but the patterns, in one file.", self._ask_save
        )
        self.project_button = button(
            "Open…",
            "Open a project: go on where it was saved.",
            partial(open_file, self, "Open project", PROJECTS, self.open_project),
        )
        self.queue_button = button("Queue…", "Map all scans of a folder like the open one.", self._open_queue)
        self.undo_button = button("Undo", "", self.undo.undo)
        self.said, self.details = wrapped(), wrapped()
        self.details.hide()
        return (
            row((self.update_button, 1), self.undo_button, self.details_button),
            row(self.save_button, self.project_button, self.script_button, self.queue_button),
        )

    # ---------------------------------------------------------------- what is shown

    def refresh(self) -> None:
        """Show the scan and how far each step is."""
        loaded, idle = self.session.scan_shape is not None, not self.jobs.running
        self.facts.setText(facts_text(self.session) if loaded else WELCOME)
        self.facts.setToolTip(facts_tooltip(self.session) if loaded else "")
        self.first_run.setVisible(not loaded)
        self.recovery.setVisible(self.kept is not None)
        replaced = self.kept is not None and self.kept is self.former
        self.recovery_text.setText("The work replaced is kept:" if replaced else "Unsaved work was found:")
        self.recovery_text.setToolTip(
            "Until this window is closed."
            if replaced
            else "It was left behind when the program ended unexpectedly."
        )
        self.scans.refresh(loaded, idle)
        self._watch_panels()
        told = []
        for number, (title, made) in enumerate(self.steps.items(), start=1):
            panel, of = self._panels.get(title), (PANELS[title].needs, PANELS[title].makes)
            state, words = state_of(self.session, *of, panel is not None and panel.jobs.running)
            text = details(self.session, title, *of, words)
            made.setText(f"{SYMBOLS[state]} {title}: {words}")
            made.setToolTip(f"{text}\nAlt+{number} goes there.")
            made.setAccessibleDescription(text)
            told.append(text)
        self.details.setText("\n".join(told))
        self.details.setVisible(self.details_button.isChecked())
        due = self.updater.pending() if loaded else []
        self.update_button.setEnabled(bool(due) and not self.updater.running)
        self.update_button.setText("Updating …" if self.updater.running else "Update stale steps")
        self.script_button.setEnabled(loaded)
        self.undo_button.setEnabled(bool(self.undo.words) and not self.updater.running)
        last = self.undo.words or "a layer that was deleted, or a result that another has replaced"
        self.undo_button.setToolTip(f"Bring back {last} (Ctrl+Z over the map).")
        for control in (self.first_run, self.recovery, self.project_button):
            control.setEnabled(idle)
        self.save_button.setEnabled(loaded and idle)
        if self.updater.said:
            self.say(self.updater.said)
            self.updater.said = ""
        self.said.setVisible(bool(self.said.text()))

    def say(self, text: str) -> None:
        """Tell something below the buttons."""
        self.said.setText(text)
        self.said.setVisible(bool(text))

    def _watch_panels(self) -> None:
        """Hear when a step begins and ends."""
        opened = open_steps(self.viewer).items()
        there = {title: panel for title, panel in opened if isinstance(panel, StepWidget)}
        for title, panel in there.items():
            if self._panels.get(title) is not panel:
                panel.jobs.running_changed.connect(self._later)
        self._panels = there

    def _later(self, *what: Any) -> None:
        if not self._closed:
            self._soon.start(0)

    def job_is_of_scan(self) -> bool:
        """Projects are opened and saved whatever scan comes meanwhile."""
        return False

    def forget(self) -> None:
        """Take no further step of an update, and say nothing of the former scan."""
        self.updater.stop("Another scan was opened, so the update of the former one ended.")
        self.say("")

    def _on_changed(self, key: Key) -> None:
        super()._on_changed(key)
        if self.session.scan_shape is not None:
            self.autosave.soon()

    # ---------------------------------------------------------------- what is done

    def show_step(self, title: str) -> Any:
        """Bring a step's panel to the front, opened if it is missing."""
        panel = open_panel(self.viewer, title)
        self.refresh()
        return panel

    def enter_step(self, title: str) -> None:
        """Bring a step's panel to the front and the keyboard into it."""
        self.show_step(title).take_keyboard()

    def _on_scans(self) -> None:
        """Keep aside what waits, each scan on its own: a crash shall not take it."""
        kept = scans_for(self.viewer).kept
        for each in kept:
            if each not in self._aside:
                self._aside[each], self.autosave = self.autosave, self._new_autosave()
                self._aside[each].save_finally()
        for gone in [each for each in self._aside if each not in kept]:
            self._aside.pop(gone).close()
        self._later()

    def update_steps(self) -> None:
        """Run what is stale or missing."""
        self.say("")
        self.updater.start()

    def open_sample(self, name: str) -> None:
        """Open a sample."""
        if not self.jobs.running:
            self.jobs.run("Opening the sample", self._take_scan, _open_sample, name)

    @telling
    def copy_script(self) -> None:
        """Put the script into the clipboard."""
        QGuiApplication.clipboard().setText(script_of(self.session.state))
        self.say("The script is in the clipboard.")

    def save_project(self, path: str) -> None:
        """Write everything into a project file."""
        path = project_path(path)
        project = project_of(bare_viewer(self.viewer))

        def saved(nothing: None) -> None:
            are_in_files(project.state.results.values())
            self.say(f"Saved: {path}")

        self.jobs.run("Saving the project", saved, save_project, project, path)

    def open_project(self, path: str) -> None:
        """Read a project off the main thread and show it."""
        if not self.jobs.running:
            self.jobs.run("Opening the project", self._take_project, read_project, path)

    def recover(self) -> None:
        """Open the work that was left behind or replaced; its file stays until it has been saved anew."""
        if (kept := self.kept) is not None and not self.jobs.running:
            self._recovered = kept
            self.jobs.run("Recovering", self._take_recovered, read_project, str(kept.path))

    def discard(self) -> None:
        """Remove the work that was left behind or replaced."""
        if (kept := self.kept) is not None:
            self._let_go(kept)
            kept.discard()
        self.refresh()

    def set_aside(self) -> None:
        """Keep the work there is, which another scan is about to replace, until the window is closed."""
        if self.former is not None:
            self.former.discard()
        self.former, self.autosave = self.autosave, self._new_autosave()
        self.former.save_finally()
        self.former.after_save(self._later)

    @property
    def kept(self) -> Autosave | LeftBehind | None:
        """What can be recovered: what was replaced last, else what a crash left behind."""
        return self.former if self.former is not None and self.former.path.is_file() else self.left

    def _let_go(self, kept: Autosave | LeftBehind) -> None:
        if kept is self.former:
            self.former = None
        elif kept is self.left:
            self.left = None

    def _new_autosave(self) -> Autosave:
        return Autosave(partial(project_of, bare_viewer(self.viewer)))

    def _save_soon(self) -> None:
        self.autosave.soon()

    def dragEnterEvent(self, event: Any) -> None:
        """Take files that are dragged over the panel."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Open the project or scan that was dropped."""
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if paths and is_project_file(paths[0]):
            self.open_project(paths[0])
        elif paths:
            self.show_step("Data").open_path(paths[0])

    def _take_scan(self, opened: tuple[Scan, np.ndarray]) -> Iterator[None]:
        if may_take_place(self.viewer):
            yield from opening_scan(self.viewer, *opened)

    def _take_project(self, read: tuple[Project, np.ndarray | None]) -> Iterator[None]:
        if may_take_place(self.viewer):
            yield from self._show_project(read)

    def _show_project(self, read: tuple[Project, np.ndarray | None]) -> Iterator[None]:
        yield from show_project(self.viewer, *read)
        self.say(" ".join(read[0].warnings))

    def _take_recovered(self, read: tuple[Project, np.ndarray | None]) -> Iterator[None]:
        kept = self._recovered
        if not may_take_place(self.viewer):
            return
        yield from self._show_project(read)
        not_in_files(read[0].state.results.values())  # but in one that is about to go
        self.autosave.save()
        if kept is not None:
            self._let_go(kept)
            self.autosave.after_save(kept.discard)
        self.refresh()

    def _open_file(self) -> None:
        self.show_step("Data").open_button.click()

    def _open_queue(self) -> None:
        open_panel(self.viewer, "Queue")

    def _ask_save(self) -> None:
        if path := ask_for_project(self, self.session):
            self.save_project(path)


def _end(of_panel: dict[str, Any]) -> None:
    """Remove what the window kept aside, and leave what a crash left behind."""
    for kept in (of_panel["autosave"], of_panel["former"], *of_panel["_aside"].values()):
        if kept is not None:
            kept.close()
    if of_panel["left"] is not None:
        of_panel["left"].release()


def _open_sample(name: str) -> tuple[Scan, np.ndarray]:
    scan = find_sample(name)
    return scan, overview(scan)

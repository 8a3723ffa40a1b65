"""Before something that is opened takes the place of work that no file holds, the user is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import napari
from qtpy.QtCore import QEventLoop
from qtpy.QtWidgets import QMessageBox

from napari_4dstem_orient.napari_plugin.panels.docks import find_panel
from napari_4dstem_orient.napari_plugin.panels.shared.facts import name_of
from napari_4dstem_orient.napari_plugin.panels.shared.replacing import ask_where
from napari_4dstem_orient.napari_plugin.panels.shared.scans import keep_scan
from napari_4dstem_orient.napari_plugin.panels.shared.unsaved import are_in_files, at_stake
from napari_4dstem_orient.napari_plugin.panels.shared.viewer_to_project import project_of
from napari_4dstem_orient.napari_plugin.qt.jobs import Job, notify
from napari_4dstem_orient.napari_plugin.state.sessions import bare_viewer, session_for
from napari_4dstem_orient.napari_plugin.state.step_states import describe
from napari_4dstem_orient.workflow.job import Key
from napari_4dstem_orient.workflow.project import SUFFIX, save_project
from napari_4dstem_orient.workflow.session import Session, Stage

PROJECTS = f"Projects (*{SUFFIX});;All files (*)"


def may_take_place(viewer: napari.Viewer, coming: Key = Stage.SCAN) -> bool:
    """Tell whether something may take its place in the session; asks the user where work would be lost.

    Parameters
    ----------
    viewer : napari.Viewer
    coming : Key
        What comes; a scan takes the place of everything.

    Returns
    -------
    bool
        True: nothing is lost, the user has saved it as a project, keeps it beside the new scan (``scans``), or does
        not want it any more. Then the overview, if it is open, can bring it back until the window closes.
    """
    session = session_for(viewer)
    while lost := at_stake(session, coming):
        answer = _ask(viewer, session, lost, coming)
        if answer == QMessageBox.ButtonRole.DestructiveRole:
            _set_aside(viewer)
            return True
        if answer == QMessageBox.ButtonRole.YesRole:
            keep_scan(viewer)
            return True
        if answer != QMessageBox.ButtonRole.AcceptRole:
            return False
        _save(viewer, session)
    return True


def _ask(viewer: napari.Viewer, session: Session, lost: list[Key], coming: Key) -> QMessageBox.ButtonRole:
    scan = session.get(Stage.SCAN)
    of = f" of {name_of(scan)}" if scan is not None else ""
    count = "the result" if len(lost) == 1 else f"the {len(lost)} results"
    lines = "\n".join(f"• {describe(key, session.get(key))}" for key in lost)
    box = QMessageBox(bare_viewer(viewer).window._qt_window)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("Replace what is open?")
    box.setText(f"Replace {count}{of}?")
    box.setInformativeText(f"In no file yet:\n{lines}")
    roles = QMessageBox.ButtonRole
    save = box.addButton("Save project…", roles.AcceptRole)
    if coming is Stage.SCAN:
        box.addButton("Keep both", roles.YesRole)
    box.addButton("Replace", roles.DestructiveRole)
    cancel = box.addButton("Cancel", roles.RejectRole)
    box.setDefaultButton(save)
    box.setEscapeButton(cancel)
    box.exec()
    try:
        return box.buttonRole(box.clickedButton())
    except RuntimeError:  # the window was closed meanwhile
        return roles.RejectRole
    finally:
        box.setParent(None)  # type: ignore[call-overload]


def _save(viewer: napari.Viewer, session: Session) -> None:
    """Let the user save a project, and wait until it is written; what goes wrong is told."""
    window = bare_viewer(viewer).window._qt_window
    path = ask_for_project(window, session)
    if not path:
        return
    loop, job = QEventLoop(), Job(save_project, project := project_of(bare_viewer(viewer)), path)
    job.finished.connect(lambda nothing: are_in_files(project.state.results.values()))
    job.failed.connect(notify)
    for ended in (job.finished, job.failed):
        ended.connect(loop.quit)
    job.start()
    loop.exec()


def ask_for_project(parent: Any, session: Session) -> str:
    """Ask where a project shall be saved; empty where the user does not want to any more."""
    scan = session.get(Stage.SCAN)
    name = Path(scan.source.partition("::")[0]).stem if scan is not None and scan.reopens else "project"
    return ask_where(parent, "Save project", f"{name}{SUFFIX}", PROJECTS, project_path)


def project_path(path: str) -> str:
    """Return a path with the suffix that projects have."""
    return path if path.endswith(".h5") else f"{path}{SUFFIX}"


def _set_aside(viewer: napari.Viewer) -> None:
    if (overview := find_panel(viewer, "Overview")) is not None:
        overview.set_aside()

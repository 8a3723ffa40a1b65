"""What the window asks before it replaces a file, and what it never replaces."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_4dstem_orient.core.inputs import refuse_inputs
from napari_4dstem_orient.io.companions import files_of
from napari_4dstem_orient.workflow.session import Session
from napari_4dstem_orient.workflow.session_state import files_read

_NAMED = 8
"""Files named in the question."""


def refuse_what_is_open(paths: Iterable[Path], session: Session) -> None:
    """Refuse to write over the scan, or whatever else the window's work is read from.

    Raises
    ------
    UserError
    """
    given: list[str | Path] = [*files_read(session.state), *(session.job.models or ())]
    sources = [file for one in given for file in files_of(one)]
    for path in paths:
        refuse_inputs(path, sources)


def ask_where(parent: QWidget, title: str, name: str, filters: str, complete: Callable[[str], str]) -> str:
    """Ask where a file shall be saved; empty where the user does not want to any more.

    Parameters
    ----------
    parent : QWidget
    title, name, filters : str
        Of the dialog; ``name`` is proposed.
    complete : callable
        Returns a path as it was typed with what its name lacks, such as a suffix.
    """
    path, _ = QFileDialog.getSaveFileName(parent, title, name, filters)
    whole = complete(path) if path else ""
    # The system's dialog asked about the name as it was typed.
    return whole if path == whole or may_replace(parent, [Path(whole)]) else ""


def may_replace(parent: QWidget, paths: Sequence[Path]) -> bool:
    """Ask whether those of the files that exist may be replaced; True where none does."""
    there = [path for path in paths if os.path.exists(path)]
    if not there:
        return True
    names = [path.name for path in there[:_NAMED]]
    names += [f"and {len(there) - _NAMED} more"] if len(there) > _NAMED else []
    what = "this file" if len(there) == 1 else f"these {len(there)} files"
    answer = QMessageBox.question(
        parent,
        "Replace?",
        f"Replace {what} in {there[0].parent}?\n\n" + "\n".join(names),
        QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No,
        QMessageBox.StandardButton.No,
    )
    return bool(answer == QMessageBox.StandardButton.Yes)

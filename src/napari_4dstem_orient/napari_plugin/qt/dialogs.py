"""Files that the user chooses; where they would rather not, nothing is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtWidgets import QFileDialog, QWidget

Take = Callable[[str], Any]
"""Called with the path."""


def open_file(parent: QWidget, title: str, filters: str, take: Take, start: str = "") -> None:
    """Let the user choose a file to read, beginning at ``start``."""
    path, _ = QFileDialog.getOpenFileName(parent, title, start, filters)
    if path:
        take(path)


def save_file(parent: QWidget, title: str, name: str, filters: str, take: Take) -> None:
    """Let the user choose a file to write, with a name proposed."""
    path, _ = QFileDialog.getSaveFileName(parent, title, name, filters)
    if path:
        take(path)

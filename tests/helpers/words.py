"""The words that a window shows, and those that the glossary explains."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import unescape
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QDockWidget,
    QGroupBox,
    QLabel,
    QLineEdit,
    QMenu,
    QTabBar,
    QTableView,
    QWidget,
)

ROOT = Path(__file__).parents[2]
WORD = re.compile(r"[A-Za-z]{3,}(?:-[A-Za-z]{3,})*")


def texts_of(widget: QWidget) -> Iterator[str]:
    """Yield all that a widget and what lies in it show, or will show."""
    for label in widget.findChildren(QLabel):
        yield label.text()
    for button in widget.findChildren(QAbstractButton):
        yield button.text()
    for box in widget.findChildren(QComboBox):
        yield from (box.itemText(index) for index in range(box.count()))
    for field in widget.findChildren(QLineEdit):
        yield field.placeholderText()
    for group in widget.findChildren(QGroupBox):
        yield group.title()
    for menu in widget.findChildren(QMenu):
        yield from (action.text() for action in menu.actions())
    for tabs in widget.findChildren(QTabBar):
        yield from (tabs.tabText(index) for index in range(tabs.count()))
    for dock in widget.findChildren(QDockWidget):
        yield dock.windowTitle()
    for table in widget.findChildren(QTableView):
        if (model := table.model()) is not None:
            heads = (model.headerData(at, Qt.Orientation.Horizontal) for at in range(model.columnCount()))
            yield from (str(head) for head in heads if head is not None)


def words_of(texts: Iterable[str]) -> dict[str, str]:
    """Return the words in lower case, each with a text that it comes from."""
    found: dict[str, str] = {}
    for text in texts:
        plain = unescape(re.sub(r"<[^>]+>", " ", text)).replace("&", "")
        for word in WORD.findall(plain):
            found.setdefault(word.lower(), plain)
    return found


def glossary() -> set[str]:
    """Return the words that the glossary explains, in lower case: of the first column of its tables."""
    lines = (ROOT / "docs/glossary.md").read_text(encoding="utf-8").splitlines()
    heads = [line.split("|")[1] for line in lines if line.startswith("|")]
    return {word.lower() for head in heads for word in WORD.findall(head)}


def plain_english() -> set[str]:
    """Return the words that need no explanation."""
    return set((Path(__file__).parent / "plain_words.txt").read_text(encoding="utf-8").split())

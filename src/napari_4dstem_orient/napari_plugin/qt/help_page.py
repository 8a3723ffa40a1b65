"""Pages of the documentation in a window of their own, without a network."""

from __future__ import annotations

import re
from collections.abc import Mapping

from qtpy.QtGui import QTextCursor, QTextDocument
from qtpy.QtWidgets import QDialog, QTabWidget, QTextBrowser, QWidget

from napari_4dstem_orient.napari_plugin.qt.boxes import column

SIZE = (760, 620)
"""Pixels of the window."""
PICTURES = re.compile(r"!\[[^\]]*\]\([^)]*\)\n*")


class HelpPage(QDialog):
    """Shows pages as tabs, the first of them at one of its headings; other windows go on meanwhile.

    Parameters
    ----------
    parent : QWidget
    pages : dict of str to str
        Markdown by the tab's title; pictures are left out.
    heading : str
        To begin at; empty for the beginning.
    """

    def __init__(self, parent: QWidget, pages: Mapping[str, str], heading: str = "") -> None:
        super().__init__(parent)
        self.setWindowTitle("Help")
        self.resize(*SIZE)
        self.tabs = QTabWidget()
        column(self, self.tabs)
        for title, text in pages.items():
            browser = QTextBrowser()
            browser.setOpenExternalLinks(True)
            browser.setMarkdown(PICTURES.sub("", text))
            self.tabs.addTab(browser, title)
        self._go_to(heading)

    def _go_to(self, heading: str) -> None:
        browser = self.tabs.widget(0)
        if not heading or not isinstance(browser, QTextBrowser):
            return
        document: QTextDocument | None = browser.document()
        found = QTextCursor() if document is None else document.find(heading)
        while not found.isNull() and found.block().text() != heading and document is not None:
            found = document.find(heading, found)
        if not found.isNull():
            browser.moveCursor(QTextCursor.MoveOperation.End)  # so that the heading comes to the top
            found.clearSelection()
            browser.setTextCursor(found)

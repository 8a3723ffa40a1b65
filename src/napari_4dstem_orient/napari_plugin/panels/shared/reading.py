"""What a file may leave open: which of its datasets, and the scan shape of a flat stack."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QLineEdit, QPushButton, QWidget

from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.io.load import DatasetFacts, FileFacts, likely_scan_shapes
from napari_4dstem_orient.napari_plugin.panels.base import button, wrapped
from napari_4dstem_orient.napari_plugin.qt.boxes import bare
from napari_4dstem_orient.napari_plugin.qt.tones import Tone, set_tone

SHAPES = 3
"""Scan shapes offered; more would not lie side by side."""


def leaves_a_question(facts: FileFacts) -> bool:
    """Tell whether a file cannot be loaded without the user's word."""
    first, *others = facts.datasets
    return bool(others) or first.scan_shape is None


class ReadingOptions(QWidget):
    """Asks for dataset and scan shape; hidden where a file leaves nothing open.

    Parameters
    ----------
    read : callable
        Called when the user has chosen.
    """

    def __init__(self, read: Callable[[], None]) -> None:
        super().__init__()
        self._read = read
        self._facts: tuple[DatasetFacts, ...] = ()
        self.question = wrapped()
        set_tone(self.question, Tone.DOUBTFUL)
        self.datasets = QComboBox()
        self.datasets.currentIndexChanged.connect(self._on_dataset)
        self.shape = QLineEdit()
        self.shape.returnPressed.connect(self._on_read)
        self.shape.setToolTip("Scan rows x columns.")
        self.read_button = button("Read", "Open the file with this dataset and scan shape.", self._on_read)
        self.shape_buttons = QWidget()
        self._shapes = bare(QHBoxLayout(self.shape_buttons))
        self.offered: list[QPushButton] = []
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.addRow(self.question)
        self._form.addRow(self.shape_buttons)
        self._form.addRow("Dataset", self.datasets)
        self._form.addRow("Scan shape", self.shape)
        self._form.addRow(self.read_button)
        self.hide()

    @property
    def dataset(self) -> str | None:
        """The chosen dataset; None where the file has but one."""
        return self._facts[self.datasets.currentIndex()].name or None if self._facts else None

    @property
    def scan_shape(self) -> str | None:
        """The scan shape as typed; None where the dataset has four dimensions or nothing is typed."""
        text = self.shape.text().strip()
        return text if text and self.shape.isVisibleTo(self) else None

    def show_facts(self, facts: FileFacts | None, scan: Scan | None) -> None:
        """Show what a file holds, and ask for what it leaves open unless its scan is there."""
        self._facts = facts.datasets if facts is not None else ()
        chosen = scan.source.partition("::")[2] if scan is not None else ""
        with QSignalBlocker(self.datasets):
            self.datasets.clear()
            for dataset in self._facts:
                self.datasets.addItem(f"{dataset.name} ({' × '.join(map(str, dataset.shape))})")
                if dataset.name == chosen:
                    self.datasets.setCurrentIndex(self.datasets.count() - 1)
        self._form.setRowVisible(self.datasets, len(self._facts) > 1)
        if scan is None:
            self._on_dataset()
        ask = scan is None and bool(self._facts)
        self.question.setText(self._question(facts) if ask and facts is not None else "")
        self._form.setRowVisible(self.question, ask)
        self.setVisible(ask or len(self._facts) > 1 or any(dataset.flat for dataset in self._facts))

    def _on_read(self) -> None:
        if self._facts:  # and not of a file whose scan has gone
            self._read()

    def _on_dataset(self, index: int = 0) -> None:
        if not self._facts:
            return
        dataset = self._facts[self.datasets.currentIndex()]
        rows, cols = dataset.suggested_shape
        self.shape.setText(f"{rows}x{cols}" if dataset.scan_shape else "")
        self.shape.setPlaceholderText(f"for example {rows}x{cols}")
        self._form.setRowVisible(self.shape, dataset.flat)
        self._offer(likely_scan_shapes(dataset.patterns, SHAPES) if dataset.flat else [])

    def _offer(self, shapes: list[tuple[int, int]]) -> None:
        """Offer scan shapes as buttons: one click reads."""
        self.offered.clear()
        while (item := self._shapes.takeAt(0)) is not None:
            item.widget().deleteLater()
        for rows, cols in shapes:
            told = f"Read as {rows} rows of {cols} positions."
            made = button(f"{rows} × {cols}", told, partial(self._read_as, f"{rows}x{cols}"))
            self._shapes.addWidget(made)
            self.offered.append(made)
        self._form.setRowVisible(self.shape_buttons, bool(shapes))

    def _read_as(self, shape: str) -> None:
        self.shape.setText(shape)
        self._on_read()

    def _question(self, facts: FileFacts) -> str:
        first, *others = self._facts
        if others:
            return f"{facts.path.name} holds {len(self._facts)} datasets: choose one and press Read."
        return (
            f"{facts.path.name} is a stack of {first.patterns:,} patterns. How many rows × columns? "
            "Choose, or type its scan shape and press Read."
        )

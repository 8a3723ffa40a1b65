"""Widgets beside and below one another, as panels are built of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from qtpy.QtWidgets import QBoxLayout, QComboBox, QFormLayout, QHBoxLayout, QLayout, QVBoxLayout, QWidget

Part = QWidget | QLayout
Box = TypeVar("Box", bound=QBoxLayout)


def fill(box: Box, *parts: Part | tuple[Part, int]) -> Box:
    """Put parts into a box, in order; one that comes with a number takes so large a share of what is left over."""
    for part in parts:
        what, share = part if isinstance(part, tuple) else (part, 0)
        if isinstance(what, QLayout):
            box.addLayout(what, share)
        else:
            box.addWidget(what, share)
    return box


def row(*parts: Part | tuple[Part, int]) -> QHBoxLayout:
    """Put parts beside each other."""
    return fill(QHBoxLayout(), *parts)


def column(owner: QWidget, *parts: Part | tuple[Part, int]) -> QVBoxLayout:
    """Put parts below each other into a widget, up to its edges."""
    return fill(bare(QVBoxLayout(owner)), *parts)


def bare(layout: Box) -> Box:
    """Leave no margin around a layout."""
    layout.setContentsMargins(0, 0, 0, 0)
    return layout


def form(rows: Mapping[str, Part]) -> QFormLayout:
    """Put each part beside its label."""
    layout = QFormLayout()
    for label, part in rows.items():
        layout.addRow(label, part)  # type: ignore[arg-type]
    return layout


def choices(tooltip: str, items: Iterable[str] = ()) -> QComboBox:
    """Make a list to choose from."""
    made = QComboBox()
    made.addItems(list(items))
    made.setToolTip(tooltip)
    return made

"""The list of crystals to tick: the bundled ones, and any CIF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari.utils.notifications import show_info
from qtpy.QtCore import QSignalBlocker, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QListWidget, QListWidgetItem

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.crystals.library import bundled, crystals_in, find_phase, look_up, title_of
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.napari_plugin.qt.dialogs import open_file
from napari_4dstem_orient.napari_plugin.qt.jobs import notify, telling

ROWS = 5


class PhaseList(QListWidget):
    """Crystals by name, those wanted ticked; a CIF that cannot be read is told and not ticked.

    Signals
    -------
    ticked : Signal(tuple)
        The phases that are ticked now.
    """

    ticked = Signal(tuple)

    def __init__(self) -> None:
        super().__init__()
        self._crystals: dict[str, Phase] = {}  # by what stands for them in the list, where that is no file
        for name in bundled():
            self._add(name, name)
        self.setFixedHeight(ROWS * (self.fontMetrics().lineSpacing() + 6))
        self.itemChanged.connect(self._on_changed)

    def choose(self, source: str | Path) -> None:
        """Tick a bundled phase by name, or add and tick the phase of a CIF file."""
        item = self._listed().get(str(source)) or self._add(title_of(source), str(source))
        item.setCheckState(Qt.CheckState.Checked)

    def choose_only(self, sources: list[str]) -> None:
        """Tick these and no others."""
        for item in ticked_items(self):
            if item.data(Qt.ItemDataRole.UserRole) not in sources:
                item.setCheckState(Qt.CheckState.Unchecked)
        for source in sources:
            self.choose(source)

    def choose_crystals(self, phases: Sequence[Phase]) -> None:
        """Tick these crystals and no others; of those that are not listed the list keeps the whole crystal."""
        for phase in phases:
            if phase.name not in bundled() or not find_phase(phase.name).same_crystal(phase):
                self._crystals[phase.name if phase.name not in bundled() else f"{phase.name} (other)"] = phase
        known = {id(phase): name for name, phase in self._crystals.items()}
        self.choose_only([known.get(id(phase), phase.name) for phase in phases])

    def sources(self) -> list[str]:
        """Return names and CIF paths of what is ticked."""
        return [item.data(Qt.ItemDataRole.UserRole) for item in ticked_items(self)]

    def ask_for_cif(self) -> None:
        """Let the user choose a CIF file."""
        open_file(self, "Open a crystal", "Crystals (*.cif)", self.offer)

    @telling
    def offer(self, path: str) -> None:
        """Add and tick the crystal of a CIF; of a file with several, add them all for the user to tick."""
        sources = crystals_in(path)
        if len(sources) == 1:
            self.choose(sources[0])
            return
        for source in sources:
            if source not in self._listed():
                self.scrollToItem(self._add(title_of(source), source))
        show_info(f"{Path(path).name} holds {len(sources)} crystals, now in the list: tick the one you want.")

    def _listed(self) -> dict[str, QListWidgetItem]:
        """Return the items by name or path."""
        return {item.data(Qt.ItemDataRole.UserRole): item for item in items_of(self)}

    def _add(self, title: str, source: str) -> QListWidgetItem:
        item = QListWidgetItem(title)
        item.setData(Qt.ItemDataRole.UserRole, source)
        item.setToolTip(source)
        item.setCheckState(Qt.CheckState.Unchecked)
        with QSignalBlocker(self):
            self.addItem(item)
        return item

    def _on_changed(self, changed: QListWidgetItem) -> None:
        phases: list[Phase] = []
        for item in ticked_items(self):
            try:
                source = item.data(Qt.ItemDataRole.UserRole)
                if source in self._crystals:
                    phases.append(self._crystals[source])
                    continue
                found = look_up(source)
                phases.append(found.phase)
                if found.notes and source == changed.data(Qt.ItemDataRole.UserRole):
                    show_info(f"Note on {item.text()}: {' '.join(found.notes)}")
            except UserError as error:
                notify(error)
                item.setCheckState(Qt.CheckState.Unchecked)  # comes back here without it
                return
        self.ticked.emit(tuple(phases))


def ticked_items(listed: QListWidget) -> list[QListWidgetItem]:
    """Return the items of a list that are ticked."""
    return [item for item in items_of(listed) if item.checkState() == Qt.CheckState.Checked]


def items_of(listed: QListWidget) -> list[QListWidgetItem]:
    """Return all items of a list."""
    items = (listed.item(row) for row in range(listed.count()))
    return [item for item in items if item is not None]

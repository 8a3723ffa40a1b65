"""The scans open in one window: go to another, see them side by side, close one."""

from __future__ import annotations

from collections.abc import Callable

import napari
from qtpy.QtWidgets import QWidget

from napari_4dstem_orient.napari_plugin.layers.map_layers import (
    end_side_by_side,
    other_scans,
    showing_other_scans,
)
from napari_4dstem_orient.napari_plugin.panels.base import button
from napari_4dstem_orient.napari_plugin.panels.shared.keeping import may_take_place
from napari_4dstem_orient.napari_plugin.panels.shared.project_to_viewer import switching
from napari_4dstem_orient.napari_plugin.panels.shared.scans import (
    KeptScan,
    empty,
    keep_scan,
    name_here,
    scans_for,
)
from napari_4dstem_orient.napari_plugin.qt.boxes import bare, choices, row
from napari_4dstem_orient.napari_plugin.qt.event_loop import EventLoopSteps
from napari_4dstem_orient.napari_plugin.state.sessions import bare_viewer


class OpenScans(QWidget):
    """Lists the open scans; hidden while there is but one.

    Parameters
    ----------
    viewer : napari.Viewer
    turns : EventLoopSteps
        Of the panel, which takes what is to be done in steps.
    refresh : callable
        Shows the panel as things are now.
    """

    def __init__(self, viewer: napari.Viewer, turns: EventLoopSteps, refresh: Callable[[], None]) -> None:
        super().__init__()
        self._viewer, self._turns, self._refresh = bare_viewer(viewer), turns, refresh
        self.another_button = button(
            "+", "Keep this scan with all that was made of it, and open another one beside it.", self.keep
        )
        self.another_button.setAccessibleName("Open another scan")
        self.another_button.setFixedWidth(2 * self.another_button.sizeHint().height())
        self.box = choices("The scans open in this window, each with its own results and choices.")
        # Long names widen the list when it is open, not the panel.
        self.box.setSizeAdjustPolicy(self.box.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.box.setMinimumContentsLength(12)
        self.box.activated.connect(self._switch)
        self.beside_button = button(
            "Side by side", "Show the pictures of all open scans beside each other.", self._show_beside
        )
        self.beside_button.setCheckable(True)
        self.close_button = button("Close scan", "Close this scan, and go on with the next.", self.close_scan)
        self.setLayout(bare(row((self.box, 1), self.beside_button, self.close_button)))

    def refresh(self, loaded: bool, idle: bool) -> None:
        """List the scans; this one first."""
        kept = scans_for(self._viewer).kept
        self.another_button.setVisible(loaded)
        self.setVisible(bool(kept))
        self.box.clear()
        self.box.addItems([name_here(self._viewer), *(each.name for each in kept)])
        self.beside_button.setChecked(bool(other_scans(self._viewer)))
        self.beside_button.setEnabled(loaded)
        for control in (self.another_button, self):
            control.setEnabled(idle and not self._turns.isActive())

    def keep(self) -> None:
        """Let the scan wait, and be ready for another one."""
        keep_scan(self._viewer)
        empty(self._viewer)

    def close_scan(self) -> None:
        """Go on with the next scan in place of this one; asks where work would be lost."""
        following = scans_for(self._viewer).kept[0]
        if may_take_place(self._viewer):
            self._go_to(following)

    def _switch(self, index: int) -> None:
        """Work on a scan that waits; this one waits instead."""
        if index > 0:
            chosen = scans_for(self._viewer).kept[index - 1]
            keep_scan(self._viewer)
            self._go_to(chosen)

    def _go_to(self, kept: KeptScan) -> None:
        self._turns.take(switching(self._viewer, kept), self._refresh)
        self._refresh()

    def _show_beside(self) -> None:
        """Show all scans, or this one alone again."""
        if not self.beside_button.isChecked():
            end_side_by_side(self._viewer)
            return
        kept = scans_for(self._viewer).kept
        pictures = {each.name: each.picture for each in kept if each.picture is not None}
        self._turns.take(showing_other_scans(self._viewer, pictures), self._refresh)

"""A panel that counts Bragg disks."""

import napari

from napari_4dstem_orient.napari_plugin.panels.base import StepWidget, wrapped
from napari_4dstem_orient.napari_plugin.panels.registry import Panel
from napari_4dstem_orient.workflow.session import Stage


class ToyWidget(StepWidget):
    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.count = wrapped()
        self.body.addWidget(self.count)
        self.refresh()

    def refresh(self) -> None:
        """Show what the session holds now; called whenever that changes."""
        disks = self.session.get(Stage.DISKS)
        self.count.setText("No disks yet." if disks is None else f"{len(disks)} disks.")


TOY = Panel("Toy", "step", "orient_toys.panel:ToyWidget", needs=Stage.DISKS)

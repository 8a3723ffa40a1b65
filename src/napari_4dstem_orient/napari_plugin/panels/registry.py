"""The dock widgets, each told once: the manifest, the workbench and panels that open others look here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

Place = Literal["overview", "step", "below", "tab"]
"""Above the steps; a step of the job; below the map; a tab beside the steps, opened on demand."""

_HERE = "napari_4dstem_orient.napari_plugin.panels"


@dataclass(frozen=True)
class Panel:
    """A dock widget that can be opened.

    Attributes
    ----------
    title : str
        Of its tab.
    place : str
        See ``Place``.
    python_name : str
        ``"module:class"``, imported when it is first needed.
    """

    title: str
    place: Place
    python_name: str

    def load(self) -> type[QWidget]:
        """Import the widget's class."""
        module, name = self.python_name.split(":")
        kind: type[QWidget] = getattr(import_module(module), name)
        return kind


PANELS = {
    panel.title: panel
    for panel in (
        Panel("Overview", "overview", f"{_HERE}.overview.panel:OverviewWidget"),
        Panel("Data", "step", f"{_HERE}.data.panel:DataWidget"),
        Panel("Bragg disks", "step", f"{_HERE}.detection.panel:DisksWidget"),
        Panel("Calibration", "step", f"{_HERE}.calibration.panel:CalibrationWidget"),
        Panel("Map", "step", f"{_HERE}.orientation.panel:OrientationWidget"),
        Panel("Analysis", "step", f"{_HERE}.analysis.panel:AnalysisWidget"),
        Panel("Export", "step", f"{_HERE}.export.panel:ExportWidget"),
        Panel("Inspector", "below", f"{_HERE}.inspector.panel:InspectorWidget"),
        Panel("Map display", "below", f"{_HERE}.map_display.panel:MapDisplayWidget"),
        Panel("Compare", "tab", f"{_HERE}.compare.panel:CompareWidget"),
        Panel("Train", "tab", f"{_HERE}.training.panel:TrainingWidget"),
        Panel("Queue", "tab", f"{_HERE}.queue.panel:QueueWidget"),
        Panel("Virtual images", "tab", f"{_HERE}.virtual_images.panel:VirtualImagesWidget"),
    )
}
"""By title, in the order in which they are opened."""


def titles(*places: Place) -> list[str]:
    """Return the titles of the panels of these places, in order."""
    return [title for title, panel in PANELS.items() if panel.place in places]

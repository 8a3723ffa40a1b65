"""The dock widgets, each told once: the manifest, the workbench and panels that open others look here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from napari_4dstem_orient.core.registry import Registry
from napari_4dstem_orient.workflow.job import Stage

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
    menu : str
        What napari's menu of plugins calls it, in the manifest too.
    place : str
        See ``Place``.
    python_name : str
        ``"module:class"``, imported when it is first needed.
    needs, makes : Stage or None
        Of a step: what must be there before it, and what it makes; the Overview shows how far that is.
    help : str
        The heading of the tutorial that tells of it, where that is not ``menu``.
    """

    menu: str
    place: Place
    python_name: str
    needs: Stage | None = None
    makes: Stage | None = None
    help: str = ""

    def load(self) -> type[QWidget]:
        """Import the widget's class."""
        module, name = self.python_name.split(":")
        kind: type[QWidget] = getattr(import_module(module), name)
        return kind


PANELS: Registry[Panel] = Registry(
    "napari_4dstem_orient.panels",
    Panel,
    {
        "Overview": Panel(
            "Overview", "overview", f"{_HERE}.overview.panel:OverviewWidget", help="When something changes"
        ),
        "Data": Panel("1 Data", "step", f"{_HERE}.data.panel:DataWidget", None, Stage.SCAN),
        "Bragg disks": Panel(
            "2 Bragg disks", "step", f"{_HERE}.detection.panel:DisksWidget", Stage.SCAN, Stage.DISKS
        ),
        "Calibration": Panel(
            "3 Calibration",
            "step",
            f"{_HERE}.calibration.panel:CalibrationWidget",
            Stage.DISKS,
            Stage.CALIBRATED,
        ),
        "Map": Panel(
            "4 Orientation map",
            "step",
            f"{_HERE}.orientation.panel:OrientationWidget",
            Stage.CALIBRATED,
            Stage.MAP,
        ),
        "Analysis": Panel("6 Analysis", "step", f"{_HERE}.analysis.panel:AnalysisWidget", Stage.MAP),
        "Export": Panel("7 Export", "step", f"{_HERE}.export.panel:ExportWidget", Stage.MAP),
        "Inspector": Panel("5 Inspector", "below", f"{_HERE}.inspector.panel:InspectorWidget"),
        "Map display": Panel(
            "Map display", "below", f"{_HERE}.map_display.panel:MapDisplayWidget", help="4 Orientation map"
        ),
        "Compare": Panel("Compare methods", "tab", f"{_HERE}.compare.panel:CompareWidget", help="6 Analysis"),
        "Train": Panel(
            "Train a model", "tab", f"{_HERE}.training.panel:TrainingWidget", help="4 Orientation map"
        ),
        "Queue": Panel("Queue", "tab", f"{_HERE}.queue.panel:QueueWidget", help="7 Export"),
        "Virtual images": Panel(
            "Virtual images", "tab", f"{_HERE}.virtual_images.panel:VirtualImagesWidget", help="1 Data"
        ),
    },
)
"""By the title of the tab, in the order in which they are opened."""


def titles(*places: Place) -> list[str]:
    """Return the titles of the panels of these places, in order."""
    return [title for title, panel in PANELS.items() if panel.place in places]


def maker(stage: Stage) -> str:
    """Return the title of the step's panel that makes a result; a probe is made where disks are."""
    made = Stage.DISKS if stage is Stage.PROBE else stage
    return next(title for title, panel in PANELS.items() if panel.makes is made)

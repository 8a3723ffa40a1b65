"""Strain of the map, measured from its disks, against a reference and along axes of one's choice."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtWidgets import QComboBox, QWidget

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.progress import Progress
from napari_4dstem_orient.napari_plugin.layers.analysed import Analysed
from napari_4dstem_orient.napari_plugin.layers.map_layers import add_map_layers, show_channel
from napari_4dstem_orient.napari_plugin.layers.regions import region_at
from napari_4dstem_orient.napari_plugin.panels.base import button, wrapped
from napari_4dstem_orient.napari_plugin.qt.boxes import choices, column, form
from napari_4dstem_orient.napari_plugin.qt.jobs import JobBar, telling
from napari_4dstem_orient.workflow.session import MapBy, Stage

if TYPE_CHECKING:
    from napari_4dstem_orient.analysis.strain.strain import Axes, Reference
    from napari_4dstem_orient.core.bragg_disks import BraggDisks

REFERENCES: dict[str, Reference] = {
    "the crystal, one pixel size fitted": "ideal",
    "each grain's mean": "grain",
    "the mean of the grain or region at the position": "region",
}
AXES = {"x down the rows, y along them": "scan", "a, b or c of each grain": "grain"}
SHOWN = "strain-xx"


class StrainSection(QWidget):
    """Measures strain and shows it as a channel of the map.

    Parameters
    ----------
    analysed : Analysed
    jobs : JobBar
        Of the panel.
    """

    def __init__(self, analysed: Analysed, jobs: JobBar) -> None:
        super().__init__()
        self.analysed, self.jobs = analysed, jobs
        self.reference = choices("What the lattice is compared with.", REFERENCES)
        self.axes = QComboBox()
        self.axes.setEditable(True)
        self.axes.addItems(list(AXES))
        self.axes.setToolTip("Along which axes strain is given; or type a crystal direction, such as 1,1,0.")
        self.measure_button = button(
            "Measure strain",
            "Fit how the lattice is deformed in the plane at each position, with a standard deviation.",
            self.measure,
        )
        self.found = wrapped()
        fields = form({"Against": self.reference, "Along": self.axes})
        column(self, fields, self.measure_button, self.found)
        analysed.map_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Say what is known of the map's strain."""
        found = self.analysed.map
        self.measure_button.setEnabled(self._can() and not self.jobs.running)
        strain = None if found is None else found.strain
        self.found.setText("" if strain is None else f"{strain.summary} Map display shows its components.")

    def _can(self) -> bool:
        """Whether there is a map, and the disks that it was made from are as they were."""
        session, found = self.analysed.session, self.analysed.map
        return (
            found is not None
            and session.get(Stage.CALIBRATED) is not None
            and not session.is_stale(MapBy(found.method))
        )

    @telling
    def measure(self) -> None:
        """Measure the strain of the session's map in a thread."""
        from napari_4dstem_orient.analysis.strain.strain import read_axes

        session, found = self.analysed.session, self.analysed.map
        if found is None or self.jobs.running:
            return
        whole = session.maps[found.method]
        axes = read_axes(AXES.get(self.axes.currentText(), self.axes.currentText()))
        reference = REFERENCES[self.reference.currentText()]
        region = self._region(whole) if reference == "region" else None
        disks = session.get(Stage.CALIBRATED)
        self.jobs.run(
            "Measuring strain",
            partial(self._on_found, whole),
            _measure,
            whole,
            disks,
            reference,
            axes,
            region,
        )

    def _region(self, found: OrientationMap) -> np.ndarray:
        """Return the region at the selected position, bool, shape (scan_y, scan_x)."""
        position = self.analysed.session.position
        places = np.zeros((0, 2), int)
        if position is not None:
            places = region_at(self.analysed.viewer, position, found.scan_shape)
        if not len(places):
            raise UserError(
                "No region lies at the selected position: find grains, or paint one in a labels layer of the scan's "
                "size, and click into it."
            )
        region = np.zeros(found.scan_shape, bool)
        region[tuple(places.T)] = True
        return region

    def _on_found(self, asked: OrientationMap, found: OrientationMap) -> Iterator[None]:
        session, key = self.analysed.session, MapBy(found.method)
        if not asked.answers_as(session.maps.get(found.method)):
            return
        record = session.record(key)
        kept = session.put(Stage.MAP, found, None if record is None else record.job, still_stale=True)
        yield
        layers = add_map_layers(self.analysed.viewer, kept)
        show_channel(layers[-1], SHOWN)
        self.refresh()


def _measure(
    orientation_map: OrientationMap,
    disks: BraggDisks,
    reference: Reference,
    axes: Axes,
    region: np.ndarray | None,
    progress: Progress,
) -> OrientationMap:
    from napari_4dstem_orient.workflow.strain import with_strain

    return with_strain(orientation_map, disks, reference, axes, region, progress)

"""What the sections of the analysis panel share: the map chosen, its grains, and the grain selected."""

from __future__ import annotations

from dataclasses import replace

import napari
from psygnal import Signal

from napari_4dstem_orient.analysis.grains import Grains
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.napari_plugin.layers.placing import scan_position
from napari_4dstem_orient.napari_plugin.layers.scan_layers import scan_layers
from napari_4dstem_orient.napari_plugin.qt.endings import Endings
from napari_4dstem_orient.napari_plugin.state.sessions import session_for


class Analysed:
    """One map under analysis.

    Parameters
    ----------
    viewer : napari.Viewer
    endings : Endings
        Of the panel, for its sections.

    Signals
    -------
    map_changed : Signal()
        Another map, or none; its grains are not known any more.
    steps_changed : Signal()
        The same map, and grains, with other scan steps.
    grains_changed : Signal()
        Grains were found, or lost.
    selected_changed : Signal()
        Another grain is selected, or none.
    """

    map_changed = Signal()
    steps_changed = Signal()
    grains_changed = Signal()
    selected_changed = Signal()

    def __init__(self, viewer: napari.Viewer, endings: Endings) -> None:
        self.viewer, self.endings = viewer, endings
        self.session = session_for(viewer)
        self.map: OrientationMap | None = None
        self.grains: Grains | None = None
        self.selected = 0
        """Number of the selected grain, 0 for none."""

    @property
    def steps(self) -> tuple[float, float] | None:
        """Scan steps in nm, down the rows and along them, of all that lies over the scan."""
        return self.session.calibration.steps

    def take(self, orientation_map: OrientationMap | None) -> None:
        """Analyse another map."""
        former, self.map = self.map, orientation_map
        if orientation_map is not None and orientation_map.answers_as(former):
            if orientation_map is not former:
                self.grains = self._of_map(self.grains)
                self.steps_changed.emit()
        elif orientation_map is not former:
            self.put_grains(None)
            self.map_changed.emit()

    def put_grains(self, grains: Grains | None) -> None:
        """Set the grains of the map."""
        self.grains = self._of_map(grains)
        self.select(0)
        self.grains_changed.emit()

    def _of_map(self, grains: Grains | None) -> Grains | None:
        """Return grains with the scan steps that the map has now."""
        if grains is None or self.map is None:
            return grains
        return replace(grains, orientation_map=self.map)

    def select(self, number: int) -> None:
        """Select a grain."""
        if number != self.selected:
            self.selected = number
            self.selected_changed.emit()

    def position_at(self, world: tuple[float, ...]) -> tuple[int, int] | None:
        """Return the scan position (row, column) at a world position; None beside the scan."""
        layers, shape = scan_layers(self.viewer), self.session.scan_shape
        return scan_position(layers[0], world, shape) if layers and shape is not None else None

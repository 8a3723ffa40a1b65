"""Which method's map a panel works on."""

from __future__ import annotations

from qtpy.QtWidgets import QComboBox

from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.indexing.methods import title_of
from napari_4dstem_orient.workflow.session import MapBy, Session

NEEDS_A_MAP = "Needs: an orientation map (run one in Map)."


class MapChooser(QComboBox):
    """The maps there are, by method."""

    def __init__(self, session: Session, tooltip: str) -> None:
        super().__init__()
        self._session = session
        self.setToolTip(tooltip)

    def refresh(self) -> None:
        """List the session's maps; what is chosen stays chosen, the last one is at first."""
        chosen, found = self.currentData(), list(self._session.maps)
        self.clear()
        for method in found:
            stale = " (stale)" if self._session.is_stale(MapBy(method)) else ""
            self.addItem(title_of(method) + stale, method)
        self.setCurrentIndex(found.index(chosen) if chosen in found else len(found) - 1)

    @property
    def map(self) -> OrientationMap | None:
        """The map chosen; None where there is none."""
        return self._session.maps.get(self.currentData())

"""Analysis: grains, misorientations, pole figures and the unit cell of a map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QComboBox, QFormLayout, QWidget

from napari_4dstem_orient.indexing.methods import title_of
from napari_4dstem_orient.napari_plugin.layers.analysed import Analysed
from napari_4dstem_orient.napari_plugin.panels.analysis.cell import CellSection
from napari_4dstem_orient.napari_plugin.panels.analysis.grains import GrainsSection
from napari_4dstem_orient.napari_plugin.panels.analysis.misorientation import MisorientationSection
from napari_4dstem_orient.napari_plugin.panels.analysis.poles import PolesSection
from napari_4dstem_orient.napari_plugin.panels.base import StepWidget, button, wrapped
from napari_4dstem_orient.napari_plugin.panels.shared.docks import open_panel
from napari_4dstem_orient.napari_plugin.qt.collapsible import Section
from napari_4dstem_orient.workflow.session import MapBy

if TYPE_CHECKING:
    import napari


class AnalysisWidget(StepWidget):
    """What a map says about the specimen, in sections that open and close.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.maps = QComboBox()
        self.maps.setToolTip("Which method's map to analyse.")
        self.maps.activated.connect(lambda: self.refresh())
        form = QFormLayout()
        form.addRow("Map", self.maps)
        self.body.addLayout(form)
        self.exploratory = wrapped()
        self.body.addWidget(self.exploratory)
        self.compare_button = button(
            "Compare with template matching…", "Open the panel that compares both maps.", self._open_compare
        )
        self.body.addWidget(self.compare_button)
        self.analysed = Analysed(napari_viewer)
        self.grains = GrainsSection(self.analysed, self.jobs)
        self.misorientation = MisorientationSection(self.analysed)
        self.poles = PolesSection(self.analysed)
        self.cell = CellSection(self.analysed)
        self.sections: dict[str, Section] = {}
        for title, content in (
            ("Grains and boundaries", self.grains),
            ("Misorientation", self.misorientation),
            ("Pole figures", self.poles),
            ("Unit cell", self.cell),
        ):
            self._add_section(title, content)
        self.body.addStretch(1)
        self.sections["Grains and boundaries"].toggle.setChecked(True)
        self.refresh()

    def _add_section(self, title: str, content: QWidget) -> None:
        self.sections[title] = made = Section(title, content)
        self.body.addWidget(made)

    def refresh(self) -> None:
        """List the maps there are, and take the one chosen."""
        found = list(self.session.maps)
        chosen = self.maps.currentData()
        self.maps.clear()
        for method in found:
            stale = " (stale)" if self.session.is_stale(MapBy(method)) else ""
            self.maps.addItem(title_of(method) + stale, method)
        if found:
            preferred = chosen if chosen in found else found[-1]
            self.maps.setCurrentIndex(self.maps.findData(preferred))
        self.say_needs("" if found else "Needs: an orientation map (run one in Map).")
        method = self.maps.currentData()
        self.analysed.take(self.session.maps.get(method))
        why = self.analysed.map.exploratory if self.analysed.map is not None else ""
        self.exploratory.setText(f"△ {why}")
        self.exploratory.setVisible(bool(why))
        for section in self._contents():
            if section is not self.cell:
                section.refresh()

    def forget(self) -> None:
        """Let go of positions picked, and of figures, in the former scan."""
        self.misorientation.forget()

    def release(self) -> None:
        """Let the sections stop listening."""
        for section in self._contents():
            section.release()

    def _contents(self) -> tuple[Any, ...]:
        return self.grains, self.misorientation, self.poles, self.cell

    def _open_compare(self) -> None:
        open_panel(self.viewer, "Compare")

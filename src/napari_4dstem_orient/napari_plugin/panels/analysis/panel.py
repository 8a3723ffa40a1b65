"""Analysis: grains, misorientations, pole figures, strain and the unit cell of a map."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import napari

from napari_4dstem_orient.analysis.grains import GrainSettings
from napari_4dstem_orient.core.parameters import from_plain
from napari_4dstem_orient.napari_plugin.layers.analysed import Analysed
from napari_4dstem_orient.napari_plugin.layers.map_layers import crystal_of
from napari_4dstem_orient.napari_plugin.panels.analysis.cell import CellSection
from napari_4dstem_orient.napari_plugin.panels.analysis.grains import GrainsSection
from napari_4dstem_orient.napari_plugin.panels.analysis.misorientation import MisorientationSection
from napari_4dstem_orient.napari_plugin.panels.analysis.poles import PolesSection
from napari_4dstem_orient.napari_plugin.panels.analysis.strain import StrainSection
from napari_4dstem_orient.napari_plugin.panels.base import StepWidget, button, wrapped
from napari_4dstem_orient.napari_plugin.panels.docks import open_panel
from napari_4dstem_orient.napari_plugin.panels.shared.map_chooser import NEEDS_A_MAP, MapChooser
from napari_4dstem_orient.napari_plugin.qt.boxes import fill, form
from napari_4dstem_orient.napari_plugin.qt.collapsible import Section


class AnalysisWidget(StepWidget):
    """What a map says about the specimen, in sections that open and close."""

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.maps = MapChooser(self.session, "Which method's map to analyse.")
        self.maps.activated.connect(lambda: self.refresh())
        self.exploratory, self.which_crystal = wrapped(), wrapped()
        self.compare_button = button(
            "Compare with template matching…",
            "Open the panel that compares both maps.",
            lambda: open_panel(self.viewer, "Compare"),
        )
        self.analysed = Analysed(napari_viewer, self.endings)
        self.grains = GrainsSection(self.analysed, self.jobs)
        self.misorientation = MisorientationSection(self.analysed)
        self.poles = PolesSection(self.analysed)
        self.strain = StrainSection(self.analysed, self.jobs)
        self.cell = CellSection(self.analysed)
        titles = ("Grains and boundaries", "Misorientation", "Pole figures", "Strain", "Unit cell")
        parts = zip(titles, self._contents(), strict=True)
        self.sections = {title: Section(title, content) for title, content in parts}
        fill(self.body, form({"Map": self.maps}), self.which_crystal, self.exploratory)
        fill(self.body, self.compare_button, *self.sections.values()).addStretch(1)
        self.sections["Grains and boundaries"].toggle.setChecked(True)
        self.endings.listen(self.session.crystal_changed, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """List the maps there are, and take the one chosen, of the crystal that is looked at."""
        self.maps.refresh()
        whole = self.maps.map
        found = None if whole is None else crystal_of(whole, self.session.crystal)
        self.say_needs("" if found is not None else NEEDS_A_MAP)
        self.analysed.take(found)
        self.which_crystal.setText(
            f"Crystal {max(self.session.crystal, 1)} of each pattern; choose another in Map display."
        )
        self.which_crystal.setVisible(whole is not None and len(whole.beside) > 0)
        why = found.exploratory if found is not None else ""
        self.exploratory.setText(f"△ {why}")
        self.exploratory.setVisible(bool(why))
        for section in self._contents():
            if section is not self.cell:
                section.refresh()

    def forget(self) -> None:
        """Let go of positions picked, and of figures, in the former scan."""
        self.misorientation.forget()

    def remember(self) -> dict[str, Any]:
        """Tell which map's grains are shown, and with which settings they were found."""
        grains = self.analysed.grains
        return {} if grains is None else {"map": self.maps.currentData(), "grains": asdict(grains.settings)}

    def recall(self, told: dict[str, Any]) -> None:
        """Find grains again as they were found."""
        shown = from_plain(_Shown, told)
        self.grains.form.set(from_plain(GrainSettings, shown.grains))
        self.maps.setCurrentIndex(max(self.maps.findData(shown.map), 0))
        self.refresh()
        self.grains.find()

    def _contents(self) -> tuple[Any, ...]:
        return self.grains, self.misorientation, self.poles, self.strain, self.cell


@dataclass(frozen=True)
class _Shown:
    """What the panel remembers."""

    map: str
    grains: dict[str, Any]

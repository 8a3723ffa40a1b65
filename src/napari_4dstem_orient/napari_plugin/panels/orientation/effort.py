"""Fast, Normal or Thorough: one choice in place of what experts set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtWidgets import QComboBox

from napari_4dstem_orient.indexing.settings import TemplateSettings, TransformerSettings
from napari_4dstem_orient.napari_plugin.qt.forms import Form

EFFORTS: dict[str, dict[str, Any]] = {
    "Fast": {
        "transformer": TransformerSettings(template_hypotheses=0, refinement_iterations=1),
        "template": TemplateSettings(zone_axis_step=4.0, in_plane_step=4.0),
    },
    "Normal": {"transformer": TransformerSettings(), "template": TemplateSettings()},
    "Thorough": {
        "transformer": TransformerSettings(template_hypotheses=32, refinement_iterations=5),
        "template": TemplateSettings(zone_axis_step=1.0, in_plane_step=1.0),
    },
}
"""Settings of the methods, by their key."""
OWN = "Own settings"


class EffortChooser(QComboBox):
    """Sets the forms of all methods at once, and says which effort they amount to.

    Parameters
    ----------
    forms : dict of str to Form
        By the method's key; those that come later count too.
    """

    def __init__(self, forms: Mapping[str, Form[Any]]) -> None:
        super().__init__()
        self._forms = forms
        self.addItems([*EFFORTS, OWN])
        self.setCurrentText("Normal")
        self.setToolTip(
            "Fast: fewer hypotheses, refined once, and coarser templates: about twice as fast. Normal: more hypotheses "
            "where a pattern convinces nobody. Thorough: still more, and finer templates, several times slower. "
            "Each sets the fields below, where they can be changed one by one."
        )
        self.activated.connect(lambda: self._choose(self.currentText()))

    def _choose(self, effort: str) -> None:
        for method, settings in EFFORTS.get(effort, {}).items():
            if method in self._forms:
                self._forms[method].set(settings)
        self.refresh()

    def refresh(self) -> None:
        """Say which effort the forms amount to."""
        for effort, told in EFFORTS.items():
            if all(self._forms[key].settings() == told[key] for key in told if key in self._forms):
                self.setCurrentText(effort)
                return
        self.setCurrentText(OWN)

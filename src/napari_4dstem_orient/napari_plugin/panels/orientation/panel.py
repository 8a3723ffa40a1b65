"""Map orientations: choose phases, model and device, and run the transformer or template matching."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QListWidget, QListWidgetItem, QPushButton, QWidget

from napari_4dstem_orient.indexing.methods import METHODS, in_words, title_of
from napari_4dstem_orient.indexing.settings import AcceptanceSettings
from napari_4dstem_orient.napari_plugin.layers.hover import show_answer_under_cursor
from napari_4dstem_orient.napari_plugin.layers.map_layers import (
    MAP,
    add_map_layers,
    hide_images,
    map_layers,
)
from napari_4dstem_orient.napari_plugin.layers.removal import take_away
from napari_4dstem_orient.napari_plugin.panels.base import StepWidget, button, needs_text, section, wrapped
from napari_4dstem_orient.napari_plugin.panels.docks import open_panel
from napari_4dstem_orient.napari_plugin.panels.orientation.effort import EffortChooser
from napari_4dstem_orient.napari_plugin.panels.orientation.parent import ParentChooser
from napari_4dstem_orient.napari_plugin.panels.orientation.which_crystal import WhichCrystal
from napari_4dstem_orient.napari_plugin.panels.shared.advanced import Advanced
from napari_4dstem_orient.napari_plugin.panels.shared.device_chooser import DeviceChooser
from napari_4dstem_orient.napari_plugin.panels.shared.phase_list import PhaseList, ticked_items
from napari_4dstem_orient.napari_plugin.qt.boxes import Part, column, fill, row
from napari_4dstem_orient.napari_plugin.qt.collapsible import Section
from napari_4dstem_orient.napari_plugin.qt.dialogs import open_file
from napari_4dstem_orient.napari_plugin.qt.event_loop import ONCE_OPEN, later
from napari_4dstem_orient.napari_plugin.qt.forms import Form, form_for
from napari_4dstem_orient.napari_plugin.qt.jobs import SignalRelay, telling
from napari_4dstem_orient.napari_plugin.state.indexers import Fit, can_map, fit_models, indexers_for
from napari_4dstem_orient.napari_plugin.state.preferences import preferences
from napari_4dstem_orient.napari_plugin.state.snapshot import Snapshot
from napari_4dstem_orient.workflow.session import MapBy, Stage

if TYPE_CHECKING:
    import napari

    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.crystals.phase import Phase
    from napari_4dstem_orient.workflow.job import Job, Key

ROWS_OF_MODELS = 4


class OrientationWidget(StepWidget):
    """Turns calibrated disks into an orientation map, by any method."""

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.indexers = indexers_for(self.session)
        self.run_buttons: dict[str, QPushButton] = {}
        self.results: dict[str, QLabel] = {}
        self.forms: dict[str, Form[Any]] = {}
        self._hidden: list[Layer] = []
        """What is hidden for the sake of a map that grows."""
        self._build_phases()
        self.effort = EffortChooser(self.forms)
        fill(self.body, row(QLabel("Effort"), (self.effort, 1)))
        of_models = sorted(METHODS, key=lambda method: not METHODS[method].reads_models)
        for number, method in enumerate(of_models):
            self._build_method(method, models=number == 0)
        answers = self._make_form(AcceptanceSettings, "acceptance")
        fill(self.body, Section("Answers given, by all methods", answers), self._make_device())
        fill(self.footer, row(*self.run_buttons.values()), *self.results.values())
        self.body.addStretch(1)
        self._fitting = self.endings.latest(self._show_models)
        self.endings.listen(self.indexers.models_added, self._fit_models)
        show_answer_under_cursor(napari_viewer)
        if self.session.job.phases:
            self.phases.choose_crystals(self.session.job.phases)
        self.endings.callback(later(self, self._fit_models, ONCE_OPEN).stop)
        self.refresh()

    # ---------------------------------------------------------------- building

    def _build_phases(self) -> None:
        self.phases = PhaseList()
        self.phases.setToolTip("The crystals there may be; tick more than one to tell phases apart.")
        self.phases.ticked.connect(self._on_phases_ticked)
        open_button = button("Open CIF…", "Add a crystal from a CIF file.", self.phases.ask_for_cif)
        self.which = WhichCrystal(self)
        self.which.taken.connect(self.phases.choose)
        self.parents = ParentChooser()
        self.parents.chosen.connect(lambda parents: self.session.choose(parents=parents))
        fill(self.body, section("Crystal phases"), self.phases, open_button, self.parents, self.which)

    def _make_device(self) -> Advanced:
        self.devices = DeviceChooser(preferences().device, self.endings)
        self.session.choose(device=self.devices.currentData())
        self.devices.activated.connect(lambda: self.session.choose(device=self.devices.currentData()))
        self.advanced = Advanced(self.session, self.endings)
        self.advanced.form.insertRow(0, "Device", self.devices)
        return self.advanced

    def _build_method(self, method: str, models: bool) -> None:
        content = QWidget()
        parts = self._make_models() if models else ()
        column(content, *parts, self._make_form(METHODS[method].settings, method))
        fill(self.body, Section(f"{title_of(method)}: {'models and ' if models else ''}settings", content))
        self.run_buttons[method] = button(
            f"Run {in_words(method)}",
            "Map the whole scan; the maps appear as layers.",
            partial(self.run, method),
        )
        self.results[method] = wrapped()

    def _make_models(self) -> tuple[Part, ...]:
        self.models = QListWidget()
        self.models.setWordWrap(True)
        self.models.setToolTip(
            "Trained networks that fit by crystal, voltage and k range can be ticked; grey ones say why not. Crystals "
            "without one are found by templates: any CIF will do."
        )
        self.models.setFixedHeight(ROWS_OF_MODELS * (self.fontMetrics().lineSpacing() + 6))
        self.models.itemChanged.connect(self._on_models_ticked)
        self.without_model = wrapped()
        self.train_button = button(
            "Train a model…", "Make one for the crystals ticked and this scan's voltage.", self._open_training
        )
        choose = partial(open_file, self, "Open a model", "Models (*.safetensors)", self.add_model)
        open_button = button("Open model…", "Add a model file to the list.", choose)
        return self.models, self.without_model, row(open_button, self.train_button)

    def _make_form(self, settings: type[Any], field: str) -> QWidget:
        """Make a settings form; what it says becomes a field of the choice."""
        form = self.forms[field] = form_for(settings)

        def choose() -> None:
            of_methods = {**self.session.job.settings, field: form.settings()}
            kept = {field: form.settings()} if field == "acceptance" else {"settings": of_methods}
            self.session.choose(**kept)

        form.changed.connect(choose)
        form.changed.connect(self.effort.refresh)
        return form.native

    # ---------------------------------------------------------------- phases and models

    def choose_phase(self, name: str | Path) -> None:
        """Tick a bundled phase by name, or add and tick the phase of a CIF file."""
        self.phases.choose(name)

    def _on_phases_ticked(self, phases: tuple[Phase, ...]) -> None:
        parents = self.parents.offer([phase.name for phase in phases])
        self._choose_models(None, "Models are being compared …", phases=phases, parents=parents)
        self._fit_models()
        self.refresh()

    def _fit_models(self) -> None:
        beam = Snapshot.of(self.session).beam
        self._fitting.ask(partial(fit_models, self.session.job.phases, beam, self.indexers.more_models))

    def _show_models(self, fit: Fit) -> None:
        self.models.blockSignals(True)
        self.models.clear()
        listed = zip(fit.available, fit.reasons, strict=True)
        for model, why_not in sorted(listed, key=lambda pair: bool(pair[1])):  # those that fit first
            item = QListWidgetItem(f"{model.card.title}\n{why_not}" if why_not else model.card.title)
            item.setData(Qt.ItemDataRole.UserRole, model.path)
            item.setToolTip(why_not or f"{model.path.name} fits")
            item.setCheckState(Qt.CheckState.Checked if model.path in fit.chosen else Qt.CheckState.Unchecked)
            if why_not:
                item.setFlags(Qt.ItemFlag.NoItemFlags)
            self.models.addItem(item)
        self.models.blockSignals(False)
        self._choose_models(fit.chosen, fit.without and f"By templates: {fit.without}.")
        self.refresh()

    def _choose_models(self, models: Iterable[Path] | None, without: str, **fields: Any) -> None:
        self.without_model.setText(without)
        self.session.choose(models=None if models is None else tuple(map(str, models)), **fields)

    def _on_models_ticked(self, changed: QListWidgetItem) -> None:
        ticked = [item.data(Qt.ItemDataRole.UserRole) for item in ticked_items(self.models)]
        self._choose_models(ticked, "" if ticked else "By templates: no model is ticked.")
        self.refresh()

    @telling
    def add_model(self, path: str | Path) -> None:
        """Add a model file to the list; one that is none is told and left out."""
        from napari_4dstem_orient.indexing.transformer.checkpoint import read_card

        read_card(path)
        self.indexers.add_model(Path(path))

    def _open_training(self) -> None:
        open_panel(self.viewer, "Train").prefill(self.phases.sources())

    # ---------------------------------------------------------------- running

    def forget(self) -> None:
        """Let go of what was said of the former scan's crystal."""
        self.which.forget()

    def make(self, key: Key) -> None:
        """Map the whole scan by the method of a map."""
        if isinstance(key, MapBy):
            self.run(key.method)

    def run(self, method: str, afresh: bool = False) -> None:
        """Map the whole scan by a method; it goes on where such a run was stopped, unless it shall begin afresh."""
        growing = SignalRelay()
        growing.told.connect(self._see)
        long_run, resumed = self.long_run(partial(self.run, method), afresh)
        self.session.choose(method=method)
        snapshot = Snapshot.of(self.session)
        wanted, self._hidden = snapshot.job, []
        job = self.jobs.run(
            title_of(method),
            partial(self.showing_map, job=wanted),
            snapshot.map,
            wanted,
            long_run,
            growing.told.emit,
        )
        job.keep(growing, resumed)
        job.cancelled.connect(partial(self._forget_unfinished, method))
        job.failed.connect(partial(self._forget_unfinished, method))

    def _see(self, orientation_map: OrientationMap) -> None:
        """Show a map as far as it is; that of a job that was given up comes too late."""
        if self.jobs.running:
            self._draw(orientation_map)

    def _forget_unfinished(self, method: str, *why: object) -> None:
        """Show what there was before a map that will not be finished."""
        if (former := self.session.maps.get(method)) is not None:
            self._draw(former)
            return
        for layer in map_layers(self.viewer, method):
            take_away(self.viewer, layer)
        for layer in self._hidden:
            layer.visible = True

    def showing_map(self, orientation_map: OrientationMap, job: Job | None = None) -> Iterator[None]:
        """Put a map into the session, with what it was made with, and show it as layers, in steps."""
        kept = self.session.put(Stage.MAP, orientation_map, job)
        yield
        self._draw(kept)
        self.viewer.layers.selection.active = map_layers(self.viewer, orientation_map.method)[-1]

    def _draw(self, orientation_map: OrientationMap) -> None:
        """Show a map, finished or not, as layers."""
        if not map_layers(self.viewer, orientation_map.method):
            self._hidden = hide_images(self.viewer)
        add_map_layers(self.viewer, orientation_map)

    def refresh(self) -> None:
        """Say what is missing, what was found and whether it is still true."""
        missing = self.session.missing(Stage.MAP)
        self.say_needs(needs_text(missing))
        self.which.refresh()
        job = self.session.job
        for method, run in self.run_buttons.items():
            run.setEnabled(not missing and not self.jobs.running and can_map(job, method))
            found, stale = self.session.maps.get(method), self.session.is_stale(MapBy(method))
            self.results[method].setText(summary(found, stale) if found is not None else "")
            self.results[method].setVisible(found is not None)
        self.without_model.setVisible(bool(job.phases and self.without_model.text()))

    def _on_changed(self, key: Key) -> None:
        if key is Stage.SCAN:  # another scan, or another voltage or pixel size
            self._fit_models()
        there = self.session.maps
        for layer in map_layers(self.viewer):
            if layer.metadata[MAP].method not in there:
                take_away(self.viewer, layer)
        super()._on_changed(key)


def summary(orientation_map: OrientationMap, stale: bool) -> str:
    """Say how much of the scan a map answers for, and how well."""
    indexed = orientation_map.indexed
    text = f"{indexed.sum():,} of {indexed.size:,} positions indexed ({indexed.mean():.0%})"
    if indexed.any():
        text += f", median score {np.median(orientation_map.score[indexed]):.2f}"
    if orientation_map.how_sure:
        text += f", {orientation_map.how_sure}"
    if orientation_map.exploratory:
        text += f"; {orientation_map.exploratory}"
    return f"{text}. Stale: disks or calibration changed; run again." if stale else f"{text}."

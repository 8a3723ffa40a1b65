"""Train a model: choose crystals and how long, and watch it learn."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
from matplotlib.figure import Figure
from qtpy.QtCore import Slot  # type: ignore[attr-defined]
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget
from superqt.utils import qthrottled

from napari_4dstem_orient.core.atomic import check_writable, make_folder
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.progress import Progress
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.methods import FARTHEST
from napari_4dstem_orient.napari_plugin.panels.base import StepWidget, button, section, wrapped
from napari_4dstem_orient.napari_plugin.panels.shared.device_chooser import DeviceChooser
from napari_4dstem_orient.napari_plugin.panels.shared.phase_list import PhaseList
from napari_4dstem_orient.napari_plugin.panels.shared.plot_canvas import Plot, dress
from napari_4dstem_orient.napari_plugin.panels.training.model_file import ModelFile, existing
from napari_4dstem_orient.napari_plugin.qt.boxes import column, fill, row
from napari_4dstem_orient.napari_plugin.qt.forms import form_for
from napari_4dstem_orient.napari_plugin.qt.jobs import SignalRelay
from napari_4dstem_orient.napari_plugin.state.indexers import indexers_for
from napari_4dstem_orient.napari_plugin.state.preferences import preferences
from napari_4dstem_orient.napari_plugin.state.snapshot import Snapshot
from napari_4dstem_orient.training.curves import plot_history
from napari_4dstem_orient.training.plan import GAIN, TrainingPlan, checkpoint_of

if TYPE_CHECKING:
    from napari_4dstem_orient.training.run import Unfinished
    from napari_4dstem_orient.workflow.job import Key

REDRAW_AFTER = 300
"""Milliseconds; figures that come faster are drawn together."""


class TrainingWidget(StepWidget):
    """Trains a model for crystals in the background; stopped, it can be gone on with."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self.indexers = indexers_for(self.session)
        self.phases = PhaseList()
        self.form = form_for(TrainingPlan)
        self.devices = DeviceChooser(preferences().device, self.endings)
        self.file = ModelFile()
        self._chosen: tuple[Phase, ...] = ()
        self._begun: Unfinished | None = None
        self._damaged = ""
        self._history: list[dict[str, float]] = []
        self._target: Path | None = None
        self._redraw = qthrottled(self._draw, timeout=REDRAW_AFTER, leading=False, parent=self)
        self.endings.callback(self._redraw.cancel)
        self._build_inputs()
        self._build_progress()
        self.phases.ticked.connect(self._on_ticked)
        self.form.changed.connect(self._propose)
        self.file.changed.connect(self._on_file)
        self.jobs.pause_button.show()
        self.prefill([])

    # ---------------------------------------------------------------- building

    def _build_inputs(self) -> None:
        self.inputs, self.where = QWidget(), QWidget()
        self.phases.setToolTip(
            "The crystals to learn; more than one make a joint model that tells them apart."
        )
        cif_button = button("Open CIF…", "Add a crystal from a CIF file.", self.phases.ask_for_cif)
        device = row(QLabel("Device"), (self.devices, 1))
        column(
            self.inputs,
            section("Crystals"),
            self.phases,
            cif_button,
            section("Training"),
            self.form.native,
            device,
        )
        column(self.where, section("Model file"), self.file)
        self.inputs.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.summary = wrapped()
        fill(self.body, self.summary, self.inputs, self.where)

    def _build_progress(self) -> None:
        self.advice, self.state = wrapped(), wrapped()
        self.curves = Plot(self.viewer, self.endings, 340, "Loss and accuracy of the training so far")
        self.start_button = button(
            "Train", "Train in the background; napari stays usable, and a stop loses nothing.", self.start
        )
        self.anew_button = button("Begin anew", "Leave what was stopped; take another file.", self.file.anew)
        fill(self.body, self.advice, self.state, self.curves).addStretch(1)
        fill(self.footer, row((self.start_button, 1), self.anew_button))

    # ---------------------------------------------------------------- what to train

    def prefill(self, sources: list[str]) -> None:
        """Tick these crystals (names or CIF files), and take voltage, precession and reach from the session."""
        if self.jobs.running:
            return
        now, plan = Snapshot.of(self.session), self.form.settings()
        if self.session.scan_shape is not None:
            reach = now.beam.k_max if now.beam is not None else now.detector.reach
            plan = replace(
                plan,
                voltage=now.calibration.voltage,
                precession=now.calibration.precession,
                k_max=math.floor(100 * min(reach, FARTHEST)) / 100,
            )
        self.form.set(plan)
        self.phases.choose_only(sources)
        self._propose()

    def _on_ticked(self, phases: tuple[Phase, ...]) -> None:
        self._chosen = phases
        self._propose()

    def _propose(self) -> None:
        plan = self.form.settings()
        self.file.propose([phase.name for phase in self._chosen], plan.voltage, plan.precession)
        self.refresh()

    def _on_file(self) -> None:
        self._damaged, self._begun = "", None
        if checkpoint_of(self.file.path).exists():
            from napari_4dstem_orient.training.run import find_unfinished

            try:
                self._begun = find_unfinished(self.file.path)
            except UserError as error:
                self._damaged = str(error)
        if self._begun is not None:
            self._show_history(self._begun.history)
        self.refresh()

    def _obstacle(self) -> str:
        """Say why training cannot begin, or nothing."""
        if there := existing(self.file.path):
            return f"{there.name} exists already: choose another file."
        if self._damaged or self._begun is not None:
            return self._damaged
        if not self._chosen:
            return "Tick a crystal, or open a CIF."
        return "Enter the voltage." if self.form.settings().voltage is None else ""

    # ---------------------------------------------------------------- training

    def start(self) -> None:
        """Train, or go on where a training was stopped."""
        from napari_4dstem_orient.training.run import resume, train_plan

        figures, words = SignalRelay(), SignalRelay()
        figures.told.connect(self._on_figures)
        words.told.connect(self.advice.setText)
        device = self.devices.currentData()
        if self._begun is not None:
            train = partial(resume, device=device, report=figures.told.emit)
        else:
            train = partial(
                train_plan,
                self._chosen,
                self.form.settings(),
                device=device,
                report=figures.told.emit,
                tell=words.told.emit,
            )
            self._show_history([])
        self._target = self.file.path
        self.state.clear()
        job = self.jobs.run("Training", lambda model: None, _train, train, self._target)
        job.keep(figures, words)
        job.progress.connect(self._on_progress)

    @Slot(int, int)
    def _on_progress(self, done: int, total: int) -> None:
        if self._target is None or total <= 1 or self.jobs.clock.speed is None:
            return
        text = f"{done:,} of {total:,} patterns, {self.jobs.clock.speed:,.0f} a second."
        self.state.setText("Trained; its accuracy is being measured …" if done >= total else text)

    @Slot(object)
    def _on_figures(self, figures: dict[str, float]) -> None:
        self._history.append(figures)
        self._redraw()

    def _on_running(self, running: bool) -> None:
        if not running and not self._closed:
            self._take_what_came()
        super()._on_running(running)

    def _take_what_came(self) -> None:
        """Offer the model, or to go on; whether the job ended or was stopped does not matter, only what is there."""
        target, self._target = self._target, None
        self.advice.clear()
        self.state.clear()
        self._draw()
        if target is not None and target.exists():
            self.state.setText(f"{target.name} is trained and in the map panel's list of models.")
            self.indexers.add_model(target)
            self.file.anew()
        else:
            self._on_file()

    # ---------------------------------------------------------------- showing

    def job_is_of_scan(self) -> bool:
        """Return False: a training needs no scan."""
        return False

    def refresh(self) -> None:
        """Show inputs while there is something to choose, and what is trained while it is."""
        running = self.jobs.running
        self.inputs.setVisible(not running and self._begun is None)
        self.where.setVisible(not running)
        self.summary.setText(self._in_words() if running or self._begun is not None else GAIN)
        self.start_button.setText("Go on" if self._begun is not None else "Train")
        self.start_button.setVisible(not running)
        self.anew_button.setVisible(not running and self._begun is not None)
        obstacle = self._obstacle()
        self.start_button.setEnabled(not obstacle)
        self.say_needs(obstacle if not running else "")
        for label in (self.advice, self.state):
            label.setVisible(bool(label.text()) or running)

    def _in_words(self) -> str:
        plan = self.form.settings()
        if self._begun is not None:
            card = self._begun.card
            low, high = card.synthesis["thickness"]
            done = f"{self._begun.seen:,} of {self._begun.settings.patterns:,} patterns are done."
            return f"<b>{card.title}</b> · {low:g} to {high:g} Å<br>{done}"
        names = " + ".join(phase.name for phase in self._chosen)
        precession = f" · precession {plan.precession:g}°" if plan.precession else ""
        return (
            f"<b>{names} · {plan.voltage:g} kV · {plan.k_max:g} Å⁻¹{precession}</b>"
            f" · {plan.thinnest:g} to {plan.thickest:g} Å<br>{self.file.path.name}"
        )

    def _show_history(self, history: list[dict[str, float]]) -> None:
        self._history = list(history)
        self._draw()

    def _draw(self) -> None:
        """Draw the curves and say the last figures, or neither where there are none."""
        self.curves.setVisible(bool(self._history))
        if self._history:
            last = self._history[-1]
            self.curves.show_figure(
                partial(_draw_curves, self._history),
                f"Validation: median {last['median']:.1f}°; {last['within_5']:.0%} within 5°, "
                f"{last['best_within_5']:.0%} for the best hypothesis.",
            )

    def _on_changed(self, key: Key) -> None:
        """Another scan is no reason to stop a training."""


def _draw_curves(history: list[dict[str, float]], figure: Figure, color: str) -> None:
    loss, accuracy = figure.subplots(2, 1, sharex=True)
    plot_history(loss, accuracy, history)
    loss.set_xlabel("")
    accuracy.set_ylabel("within 5° (%)")
    accuracy.locator_params(axis="x", nbins=5)
    for axes in (loss, accuracy):
        dress(axes, color)


def _train(train: Callable[..., Any], out: Path, progress: Progress) -> None:
    make_folder(out.parent)
    check_writable(out)
    train(out=out, progress=progress)

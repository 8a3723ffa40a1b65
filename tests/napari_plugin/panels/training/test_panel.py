"""The training panel in a real window: prefilled, trained, paused, stopped and gone on with, then mapped with."""

import threading
from dataclasses import replace
from unittest.mock import create_autospec

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from helpers.gui_scan import fill
from napari_4dstem_orient.indexing.transformer.checkpoint import read_card
from napari_4dstem_orient.napari_plugin.panels.orientation.panel import OrientationWidget
from napari_4dstem_orient.napari_plugin.panels.training import model_file
from napari_4dstem_orient.napari_plugin.panels.training import panel as training_widget
from napari_4dstem_orient.napari_plugin.panels.training.panel import TrainingWidget
from napari_4dstem_orient.napari_plugin.state import indexers
from napari_4dstem_orient.napari_plugin.state.preferences import Preferences
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.training import accuracy as evaluation
from napari_4dstem_orient.training import budget, run, trainer
from napari_4dstem_orient.training.budget import Speed
from napari_4dstem_orient.training.trainer import Trainer, TrainingSettings

STEPS, BATCH = 3, 32
"""Of ``BATCH`` patterns, in the budget of the tests."""


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """The user's folder of models, not made yet."""
    models = tmp_path / "models"
    for module in (model_file, training_widget, indexers):
        monkeypatch.setattr(module, "preferences", lambda: Preferences("cpu", models))
    return models


class Gate:
    """Lets a training do a number of steps and then waits."""

    def __init__(self):
        self.steps = threading.Semaphore(0)

    def open(self, steps: int) -> None:
        self.steps.release(steps)


@pytest.fixture
def gate(monkeypatch):
    """Three steps fit into the budget and are enough; each waits for the gate, the gate is opened by the test."""
    whole, step, made = evaluation.evaluate_model, Trainer.step, Gate()

    def step_when_open(run):
        made.steps.acquire(timeout=300)
        return step(run)

    monkeypatch.setattr(Trainer, "step", step_when_open)
    monkeypatch.setattr(
        evaluation, "evaluate_model", lambda *args, **kwargs: whole(*args, **{**kwargs, "patterns": 8})
    )
    monkeypatch.setattr(trainer, "VALIDATION_PATTERNS", 16)
    monkeypatch.setattr(budget, "CUBIC_PATTERNS", 90)
    monkeypatch.setattr(run, "SETTINGS", TrainingSettings(batch=BATCH, every=BATCH))
    speed = create_autospec(run.measure_speed, return_value=Speed(15.0 * 60 / STEPS, 0.0))
    monkeypatch.setattr(run, "measure_speed", speed)
    yield made
    made.open(10_000)


@pytest.fixture
def window(make_napari_viewer_proxy, folder, gate, qtbot, silver):
    """A viewer with silver's disks at hand and the map panel open."""
    viewer = make_napari_viewer_proxy(show=True)
    fill(session_for(viewer), silver)
    panel = OrientationWidget(viewer)
    viewer.window.add_dock_widget(panel, name="Map")
    panel.choose_phase("Ag")
    yield viewer, panel
    for inner in list(viewer.window.dock_widgets.values()):
        inner.close_step()


@pytest.fixture
def training_panel(window, qtbot):
    """The training panel as the map panel's button opens it."""
    viewer, map_panel = window
    qtbot.mouseClick(map_panel.train_button, Qt.MouseButton.LeftButton)
    return next(p for p in viewer.window.dock_widgets.values() if isinstance(p, TrainingWidget))


def click(qtbot, button):
    qtbot.waitUntil(lambda: button.isVisible() and button.isEnabled(), timeout=60_000)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def idle(panel):
    return lambda: not panel.jobs.running


def test_the_panel_opens_with_what_is_mapped(window, training_panel, qtbot, folder):
    viewer, map_panel = window
    assert training_panel.phases.sources() == ["Ag"]
    settings = training_panel.form.settings()
    assert (settings.voltage, settings.precession, settings.k_max) == (200.0, 0.0, 1.35)
    assert training_panel.file.path == folder / "Ag_200kV.safetensors"
    assert training_panel.start_button.isEnabled()
    map_panel.choose_phase("Cu")
    qtbot.mouseClick(map_panel.train_button, Qt.MouseButton.LeftButton)
    panels = [p for p in viewer.window.dock_widgets.values() if isinstance(p, TrainingWidget)]
    assert panels == [training_panel]
    assert training_panel.file.path.name == "Ag-Cu_200kV.safetensors"


def test_a_trained_model_is_in_the_map_panels_list_at_once(window, training_panel, qtbot, gate, folder):
    _, map_panel = window
    gate.open(STEPS)
    click(qtbot, training_panel.start_button)
    assert not training_panel.start_button.isVisible()
    assert training_panel.jobs.pause_button.isVisible()
    qtbot.waitUntil(idle(training_panel), timeout=180000)
    trained = folder / "Ag_200kV.safetensors"
    assert read_card(trained).training["patterns"] == STEPS * BATCH
    assert "Ag_200kV.safetensors is trained" in training_panel.state.text()
    assert training_panel.curves.isVisible()
    assert len(training_panel._history) == STEPS
    qtbot.waitUntil(lambda: map_panel.session.job.models == (str(trained),), timeout=60_000)
    listed = [
        map_panel.models.item(row).data(Qt.ItemDataRole.UserRole) for row in range(map_panel.models.count())
    ]
    assert listed.count(trained) == 1
    assert map_panel.run_buttons["transformer"].isEnabled()
    # the next one gets another name, and this one cannot be overwritten
    assert training_panel.file.path == folder / "Ag_200kV-2.safetensors"
    training_panel.file.field.clear()
    qtbot.keyClicks(training_panel.file.field, str(trained))
    assert not training_panel.start_button.isEnabled()
    assert "exists already" in training_panel.needs.text()


def test_a_stopped_training_goes_on_where_it_was(
    training_panel, qtbot, gate, folder, make_napari_viewer_proxy
):
    click(qtbot, training_panel.start_button)
    gate.open(1)
    qtbot.waitUntil(lambda: len(training_panel._history) == 1, timeout=180000)
    training_panel.jobs.cancel_button.click()
    gate.open(1)
    qtbot.waitUntil(idle(training_panel), timeout=180000)
    assert not (folder / "Ag_200kV.safetensors").exists()
    assert training_panel.start_button.text() == "Go on"
    assert "64 of 96 patterns are done" in training_panel.summary.text()
    # a panel of another window finds it by its name, and needs nothing else
    viewer = make_napari_viewer_proxy(show=True)
    other = TrainingWidget(viewer)
    viewer.window.add_dock_widget(other, name="Train a model")
    other.file.field.clear()
    qtbot.keyClicks(other.file.field, str(folder / "Ag_200kV"))
    assert "Ag · 200 kV · 1.35 Å⁻¹" in other.summary.text()
    assert len(other._history) == 1
    gate.open(1)
    click(qtbot, other.start_button)
    qtbot.waitUntil(idle(other), timeout=180000)
    assert read_card(folder / "Ag_200kV.safetensors").training["patterns_seen"] == STEPS * BATCH
    other.close_step()


def test_what_was_stopped_can_be_left(training_panel, qtbot, gate, folder):
    click(qtbot, training_panel.start_button)
    gate.open(1)
    qtbot.waitUntil(lambda: len(training_panel._history) == 1, timeout=180000)
    training_panel.jobs.cancel_button.click()
    gate.open(1)
    qtbot.waitUntil(idle(training_panel), timeout=180000)
    click(qtbot, training_panel.anew_button)
    assert training_panel.file.path == folder / "Ag_200kV-2.safetensors"
    assert training_panel.start_button.text() == "Train"
    assert training_panel.inputs.isVisible()


def test_a_paused_training_takes_no_step(training_panel, qtbot, gate):
    click(qtbot, training_panel.start_button)
    gate.open(1)
    qtbot.waitUntil(lambda: len(training_panel._history) == 1, timeout=180000)
    click(qtbot, training_panel.jobs.pause_button)
    gate.open(STEPS)  # the step that waits for the gate is the last
    qtbot.wait(1500)
    assert "paused" in training_panel.jobs.label.text()
    assert training_panel.jobs.running
    assert len(training_panel._history) == 1
    click(qtbot, training_panel.jobs.pause_button)
    qtbot.waitUntil(idle(training_panel), timeout=180000)
    assert len(training_panel._history) == STEPS


def test_closing_the_dock_writes_the_checkpoint(window, training_panel, qtbot, gate, folder, notified):
    viewer, _ = window
    click(qtbot, training_panel.start_button)
    gate.open(1)
    qtbot.waitUntil(lambda: len(training_panel._history) == 1, timeout=180000)
    job = training_panel.jobs.job
    viewer.window.remove_dock_widget(training_panel)
    gate.open(1)
    job.wait(180)
    QApplication.processEvents()
    assert run.find_unfinished(folder / "Ag_200kV.safetensors").seen == 2 * BATCH
    assert not notified


def test_another_scan_does_not_stop_a_training(window, training_panel, qtbot, gate, silver):
    viewer, _ = window
    click(qtbot, training_panel.start_button)
    fill(session_for(viewer), silver)
    gate.open(STEPS)
    qtbot.waitUntil(lambda: "is trained" in training_panel.state.text(), timeout=180000)


def test_a_hopeless_budget_is_told_and_nothing_is_lost(training_panel, qtbot, notified, monkeypatch, folder):
    monkeypatch.setattr(budget, "CUBIC_PATTERNS", 1_000_000)
    click(qtbot, training_panel.start_button)
    qtbot.waitUntil(idle(training_panel), timeout=180000)
    assert "15 min is too short for Ag" in notified[0].message
    assert training_panel.start_button.isEnabled()
    assert not list(folder.iterdir())


def test_what_is_missing_is_said(training_panel, folder):
    training_panel.phases.choose_only([])
    assert training_panel.needs.text() == "Tick a crystal, or open a CIF."
    training_panel.phases.choose("Ag")
    training_panel.form.set(replace(training_panel.form.settings(), voltage=None))
    assert training_panel.needs.text() == "Enter the voltage."
    assert not training_panel.start_button.isEnabled()
    folder.mkdir()
    (folder / "spoilt.training").write_bytes(b"damaged")
    training_panel.file.field.setText(str(folder / "spoilt"))
    assert "damaged training checkpoint" in training_panel.needs.text()
    assert not training_panel.start_button.isEnabled()

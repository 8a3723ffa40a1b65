"""Run all: what it asks, what it chooses by itself, and how it is stopped; what it makes is in test_first_day."""

import threading
from dataclasses import replace

import pytest

from helpers.gui_scan import calibrated_disks, scan_of
from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_scan
from napari_4dstem_orient.workflow.session import MapBy, Stage

MAP = MapBy("transformer")


@pytest.fixture
def run(knowing, bench, silver):
    viewer, panels = bench
    open_scan(viewer, scan_of(calibrated_disks(silver)))
    return panels["Data"].run_all


def test_every_step_is_taken_and_what_was_done_is_kept(run, qtbot):
    run.choose("Ag")
    run.button.click()
    qtbot.waitUntil(lambda: run.session.get(MAP) is not None and not run.updater.running, timeout=120_000)
    assert "indexed" in run.said.text()
    disks = run.session.get(Stage.DISKS)
    run.button.click()  # nothing is missing: the map is made once more
    qtbot.waitUntil(lambda: not run.updater.running, timeout=120_000)
    assert run.session.get(Stage.DISKS) is disks


def test_it_asks_for_the_crystal_and_goes_on_with_the_answer(run, qtbot):
    run.button.click()
    qtbot.waitUntil(run.menu.isVisible, timeout=60_000)
    assert not run.updater.running
    run.menu.hide()
    run.choose("Ag")
    assert run.updater.running


def test_it_can_be_cancelled_and_what_was_there_stays(run, knowing, qtbot):
    knowing["transformer"].gate = gate = threading.Event()
    run.choose("Ag")
    run.button.click()
    qtbot.waitUntil(lambda: run.session.get(Stage.CALIBRATED) is not None, timeout=120_000)
    qtbot.waitUntil(lambda: run.working.isVisible() and run.cancel_button.isEnabled(), timeout=60_000)
    run.cancel_button.click()
    gate.set()
    assert not run.updater.running
    assert "Cancelled" in run.said.text()
    assert run.session.get(Stage.DISKS) is not None
    qtbot.wait(300)
    assert run.session.get(MAP) is None


def test_a_samples_crystal_is_chosen_and_goes_with_the_sample(run, qtbot):
    scan = run.session.get(Stage.SCAN)
    open_scan(run._viewer, replace(scan, data=scan.data + 0, metadata={"crystal": "Cu"}))
    qtbot.waitUntil(lambda: [phase.name for phase in run.session.job.phases] == ["Cu"], timeout=60_000)
    assert run.crystal.text() == "Cu"
    open_scan(run._viewer, replace(scan, data=scan.data + 0))
    qtbot.waitUntil(lambda: run.session.job.phases == (), timeout=60_000)

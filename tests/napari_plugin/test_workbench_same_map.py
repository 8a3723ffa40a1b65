"""What is pressed in the window, step by step, gives the map that the command line gives, bit for bit."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from helpers.chunked_scan import CERTAINTY, DISKS, MAP, equal
from helpers.gui_scan import CALIBRATION, SHAPE, calibrated_disks, scan_of
from napari_4dstem_orient.indexing.methods import METHODS
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient.napari_plugin.panels.docks import open_workbench
from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_scan
from napari_4dstem_orient.napari_plugin.state.indexers import can_map
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.workflow import chunks
from napari_4dstem_orient.workflow.job import Job
from napari_4dstem_orient.workflow.run import run
from napari_4dstem_orient.workflow.session import MapBy, Stage

LEFT = Qt.MouseButton.LeftButton
TYPED = {"voltage": 200.0, "q_pixel": 0.03, "r_pixel": 20.0, "rotation": 30.0, "flip": True}
PATIENCE = 120_000


@pytest.fixture
def press(make_napari_viewer, monkeypatch, qtbot):
    """Open a scan in the workbench and press every button up to both maps; return the session."""
    viewer = make_napari_viewer(show=True)
    panels = open_workbench(viewer)

    def idle(panel):
        qtbot.waitUntil(lambda: not panel.jobs.running, timeout=PATIENCE)

    def press(scan):
        session, disks, maps = session_for(viewer), panels["Bragg disks"], panels["Map"]
        open_scan(viewer, scan)
        session.set_calibration(session.calibration.with_(**TYPED, q_pixel_from="typed"))
        qtbot.waitUntil(lambda: session.get(Stage.PROBE) is not None, timeout=PATIENCE)
        idle(disks)
        qtbot.mouseClick(disks.run_button, LEFT)
        idle(disks)
        qtbot.mouseClick(panels["Calibration"].apply_button, LEFT)
        idle(panels["Calibration"])
        maps.choose_phase("Ag")
        for method in METHODS:
            qtbot.waitUntil(lambda method=method: can_map(session.job, method), timeout=PATIENCE)
            qtbot.waitUntil(maps.run_buttons[method].isEnabled, timeout=PATIENCE)
            qtbot.mouseClick(maps.run_buttons[method], LEFT)
            idle(maps)
        return session

    yield press
    for panel in panels.values():
        panel.close_step()


@pytest.mark.parametrize("flat", [False, True], ids=["scan", "flat stack"])
def test_the_windows_map_is_the_pipelines(press, silver, tmp_path, monkeypatch, flat):
    monkeypatch.setattr(chunks, "FEWEST", 6)  # several chunks, as of a large scan
    monkeypatch.setattr(chunks, "PARTS", 4)
    patterns = scan_of(calibrated_disks(silver)).data.compute()
    np.save(tmp_path / "scan.npy", patterns.reshape(-1, 96, 96) if flat else patterns)
    shape = SHAPE if flat else None
    session = press(load(tmp_path / "scan.npy", scan_shape=shape))
    asked = Job(str(tmp_path / "scan.npy"), scan_shape=shape, calibration=TYPED)
    have = run(asked, Stage.CALIBRATED)
    equal(session.get(Stage.CALIBRATED), have.calibrated, DISKS)
    for method in METHODS:
        seen = session.maps[method]
        made = run(Job(phases=session.job.phases, method=method), have=have).map
        equal(seen, made, MAP)
        if made.certainty is not None:
            equal(seen.certainty, made.certainty, CERTAINTY)
        assert made.indexed.mean() > 0.9
        assert seen.r_pixel == made.r_pixel == CALIBRATION.r_pixel
        # What the window says it did, done again from the file alone, is the same.
        again = run(session.record(MapBy(method)).job).map
        equal(again, made, MAP)
        assert {name: seen.provenance[name] for name in ("input", "calibration")} == {
            name: again.provenance[name] for name in ("input", "calibration")
        }

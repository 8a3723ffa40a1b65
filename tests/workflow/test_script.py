"""Copied as a script, the work runs again by itself and gives the same."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import napari_4dstem_orient
from helpers.gui_scan import CALIBRATION, calibrated_disks, scan_of
from napari_4dstem_orient.calibration.calibrate import CalibrationSettings
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.indexing.settings import TemplateSettings
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient.io.result import load_map
from napari_4dstem_orient.workflow.reference import job_of
from napari_4dstem_orient.workflow.run import run
from napari_4dstem_orient.workflow.script import script_of
from napari_4dstem_orient.workflow.session import MapBy, Session, Stage

COARSE = TemplateSettings(zone_axis_step=6.0, in_plane_step=4.0)


def session_with(tmp_path, silver, *methods):
    """Every step taken as the window takes it, with its record; the pixel size is the file's, unchecked."""
    np.save(tmp_path / "scan.npy", scan_of(calibrated_disks(silver)).data.compute())
    known = CALIBRATION.with_(q_pixel_from="file")
    scan, made = load(tmp_path / "scan.npy").with_calibration(known), Session()
    made.choose(
        probe=2.0,
        detection=DetectionSettings(min_intensity=5.0),
        centring=CalibrationSettings(),
        phases=(silver,),
        settings={"template": COARSE},
        device="cpu",
    )
    made.put(Stage.SCAN, scan, job_of(scan))
    for stage in (Stage.PROBE, Stage.DISKS, Stage.CALIBRATED):
        job = made.job_for(stage)
        done = run(job, stage)
        result = {Stage.PROBE: done.probe, Stage.DISKS: done.disks, Stage.CALIBRATED: done.calibrated}
        made.put(stage, result[stage], job)
    for method in methods:
        made.choose(method=method)
        job = made.job_for(Stage.MAP)
        made.put(Stage.MAP, run(job).map, job)
    return made


@pytest.fixture
def session(tmp_path, silver):
    return session_with(tmp_path, silver, "template")


@pytest.mark.parametrize("method", ["template", "transformer"])
def test_the_script_makes_the_same_map(tmp_path, silver, method):
    session = session_with(tmp_path, silver, method)
    (tmp_path / "again.py").write_text(script_of(session.state), encoding="utf-8")
    source = Path(napari_4dstem_orient.__file__).parents[1]
    ran = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "again.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Direct beam found" in ran.stdout
    found, again = session.maps[method], load_map(tmp_path / f"orientation_{method}.h5")
    assert found.indexed.sum() > 12
    for name in ("rotation", "phase_id", "score", "status", "runner_up"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name), err_msg=name)
    assert again.exploratory == found.exploratory != ""
    assert again.r_pixel == CALIBRATION.r_pixel
    assert again.provenance["input"] == str(tmp_path / "scan.npy")


def test_the_script_finds_the_same_disks(session):
    made: dict = {}
    disks_only = Session()
    for stage in (Stage.SCAN, Stage.PROBE, Stage.DISKS):
        disks_only.put(stage, session.get(stage), session.record(stage).job)
    exec(script_of(disks_only.state), made)
    for name in ("offsets", "qx", "qy", "intensity"):
        found, again = getattr(session.get(Stage.DISKS), name), getattr(made["results"].disks, name)
        np.testing.assert_array_equal(again, found)


def test_no_script_of_nothing():
    with pytest.raises(UserError, match="Nothing is loaded"):
        script_of(Session().state)


def test_no_script_of_what_is_in_memory_only(small_scan):
    session = Session()
    session.put(Stage.SCAN, small_scan, job_of(small_scan))
    with pytest.raises(UserError, match="in memory only"):
        script_of(session.state)


def test_the_script_replaces_its_own_results_and_nothing_of_somebody_elses(session, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script, output = script_of(session.state), Path("orientation_template.h5")
    output.write_text("somebody else's")
    made: dict = {}
    with pytest.raises(UserError) as caught:
        exec(script, made)
    assert str(caught.value) == (
        "orientation_template.h5 exists and was not made by this program; "
        "move it away, or run the script in another folder."
    )
    assert output.read_text() == "somebody else's"
    assert "results" not in made  # nothing was done before
    output.unlink()
    session.get(MapBy("template")).save(output)
    before = output.stat().st_mtime_ns
    exec(script, made)
    assert output.stat().st_mtime_ns > before

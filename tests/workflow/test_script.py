"""Copied as a script, the work runs again by itself and gives the same."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import napari_4dstem_orient
from helpers.gui_scan import CALIBRATION, calibrated_disks, scan_of
from napari_4dstem_orient.calibration.calibrate import CalibrationSettings, calibrate
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.detection.probe import synthetic_probe
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.indexing.settings import TemplateSettings
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient.io.result import load_map
from napari_4dstem_orient.workflow.records import (
    calibration_record,
    choice_settings,
    detection_record,
    probe_settings,
)
from napari_4dstem_orient.workflow.reference import reference_of
from napari_4dstem_orient.workflow.run import find_disks, map_orientations
from napari_4dstem_orient.workflow.script import script_of
from napari_4dstem_orient.workflow.session import Session, Stage

COARSE = TemplateSettings(zone_axis_step=6.0, in_plane_step=4.0)


@pytest.fixture
def session(tmp_path, silver):
    """Every step taken as the window takes it, with its record; the pixel size is the file's, unchecked."""
    np.save(tmp_path / "scan.npy", scan_of(calibrated_disks(silver)).data.compute())
    known = CALIBRATION.with_(q_pixel_from="file")
    scan, made = load(tmp_path / "scan.npy").with_calibration(known), Session()
    probe, detection = synthetic_probe(2.0, scan.detector_shape), DetectionSettings(min_intensity=5.0)
    made.put(Stage.SCAN, scan, settings=reference_of(scan))
    made.put(Stage.PROBE, probe, settings=probe_settings(probe))
    made.put(
        Stage.DISKS, find_disks(scan, probe, detection, device="cpu"), detection_record(detection, "cpu")
    )
    centring = CalibrationSettings()
    calibrated, _ = calibrate(made.get(Stage.DISKS), known, centring)
    made.put(Stage.CALIBRATED, calibrated, calibration_record(centring, known))
    answer = map_orientations(
        calibrated, [silver], known.voltage, method="template", template=COARSE, device="cpu"
    )
    made.put(Stage.TEMPLATE_MAP, answer, choice_settings([silver], [], "cpu", template=COARSE))
    return made


def test_the_script_makes_the_same_map(session, tmp_path):
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
    found, again = session.get(Stage.TEMPLATE_MAP), load_map(tmp_path / "orientation_template.h5")
    assert found.indexed.sum() > 12
    np.testing.assert_array_equal(again.phase_id, found.phase_id)
    np.testing.assert_allclose(again.rotation, found.rotation, atol=1e-5)
    assert again.exploratory == found.exploratory != ""
    assert again.r_pixel == CALIBRATION.r_pixel
    assert again.provenance["input"] == str(tmp_path / "scan.npy")


def test_the_script_finds_the_same_disks(session):
    made: dict = {}
    disks_only = Session()
    for stage in (Stage.SCAN, Stage.PROBE, Stage.DISKS):
        disks_only.put(stage, session.get(stage), session.record(stage).settings)
    exec(script_of(disks_only.state), made)
    for name in ("offsets", "qx", "qy", "intensity"):
        np.testing.assert_array_equal(getattr(made["disks"], name), getattr(session.get(Stage.DISKS), name))
    assert made["calibration"] == session.calibration


def test_no_script_of_nothing():
    with pytest.raises(UserError, match="Nothing is loaded"):
        script_of(Session().state)


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
    assert "calibration" not in made  # nothing was done before
    output.unlink()
    session.get(Stage.TEMPLATE_MAP).save(output)
    before = output.stat().st_mtime_ns
    exec(script, made)
    assert output.stat().st_mtime_ns > before

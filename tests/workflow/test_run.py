"""What is seen of a run while it goes on, and what is said before its work."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from helpers.chunked_scan import DISKS, KNOWN, MAP, equal
from napari_4dstem_orient.calibration.calibrate import CalibrationSettings
from napari_4dstem_orient.core.certainty import IndexingStatus
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.progress import silent
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.indexing.settings import TemplateSettings
from napari_4dstem_orient.workflow.job import Job, Stage
from napari_4dstem_orient.workflow.run import Observer, Results, run

QUICK = {"template": TemplateSettings(zone_axis_step=6.0)}


@pytest.fixture
def job(scan_file, copper):
    return Job(str(scan_file), calibration=KNOWN, phases=(copper,), method="template", settings=QUICK)


def test_results_are_seen_to_grow_by_rows(small_chunks, job):
    steps, seen = [], []

    def report(step):
        steps.append(step)
        return silent

    observer = Observer(report, lambda stage, so_far: seen.append((stage, so_far())))
    done = run(job, observer=observer)
    of_all = ["Pooling neighbours", "Looking for further crystals"]
    assert steps == ["Detecting Bragg disks", "Mapping orientations", *of_all]
    alone = done.map.alone()  # neighbours speak when all rows are there
    counts = [grown for stage, grown in seen if stage is Stage.DISKS]
    maps = [grown for stage, grown in seen if stage is not Stage.DISKS]
    assert len(counts) == len(maps) == 8  # a row each
    for number, (grown, found) in enumerate(zip(counts, maps, strict=True), start=1):
        np.testing.assert_array_equal(grown[:number], done.disks.sure().counts[:number])
        assert not grown[number:].any()
        np.testing.assert_array_equal(found.rotation[:number], alone.rotation[:number])
        assert (found.status[number:] == IndexingStatus.NOT_RUN).all()
        assert not found.indexed[number:].any()
        np.testing.assert_array_equal(
            found.rotation[number:], np.broadcast_to(np.eye(3), (8 - number, 6, 3, 3))
        )
        assert found.exploratory == done.map.exploratory != ""
    equal(maps[-1], alone, MAP)


def test_what_is_there_is_not_made_again(job):
    done = run(job)
    elsewhere = replace(job, path="gone.npy", detection=None)
    again = run(elsewhere, have=Results(calibrated=done.calibrated, calibration=done.calibration))
    equal(again.map, done.map, MAP)
    assert again.disks is None
    probe = Results(scan=done.scan, probe=done.probe, settings=done.settings)
    equal(run(elsewhere, Stage.DISKS, have=probe).disks, done.disks, DISKS)


def test_a_map_tells_its_job_and_that_makes_it_again(job):
    made = run(job).map
    again = run(Job.from_dict(made.provenance["job"])).map
    equal(again, made, MAP)
    assert again.provenance["job"] == made.provenance["job"] == job.to_dict()


@pytest.mark.parametrize(
    ("change", "about"),
    [
        ({"path": None}, "neither a file nor a sample"),
        ({"method": "guess"}, "no method 'guess'"),
        ({"calibration": {"q_pixel": 0.05}}, "voltage"),
        ({"calibration": {"voltage": 300}}, "how large a pixel is"),
        ({"device": "abacus"}, "abacus"),
        ({"centring": CalibrationSettings(row=5000.0, col=3.0)}, "lies beside the detector"),
        ({"method": "transformer", "models": ("gone.safetensors",)}, "gone.safetensors"),
        ({"engine": "py4DSTEM"}, "py4DSTEM is not installed"),
        ({"settings": {"template": TemplateSettings(engine="py4DSTEM")}}, "py4DSTEM is not installed"),
        ({"detection": DetectionSettings(engine="py4DSTEM")}, "py4DSTEM is not installed"),
    ],
)
def test_what_would_end_a_job_is_said_before_its_work(job, change, about, monkeypatch):
    monkeypatch.setitem(sys.modules, "py4DSTEM", None)  # as where it is not installed
    observer = Observer(lambda step: pytest.fail(f"{step} began"))
    with pytest.raises(UserError, match=about):
        run(replace(job, **change), observer=observer)

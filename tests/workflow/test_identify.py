"""Which crystals could be at some scan positions: of a scan only what is needed is read."""

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest

from helpers.multislice import multislice_patterns, multislice_scan
from napari_4dstem_orient import UserError, find_phase
from napari_4dstem_orient.indexing.identification import identify_phases
from napari_4dstem_orient.workflow import identify as module
from napari_4dstem_orient.workflow.identify import identify
from napari_4dstem_orient.workflow.job import Job, Stage
from napari_4dstem_orient.workflow.run import Observer, Results, run

PHASES = tuple(map(find_phase, ("Cu", "Cu2O", "Ni")))
AT = [(0, 3), (5, 1), (0, 3)]


@pytest.fixture(scope="module")
def scan():
    """48 multislice patterns of copper as 6 × 8 positions."""
    scan = multislice_scan(multislice_patterns("cu").part(slice(48)), 1e5)
    counts = np.asarray(scan.data).reshape(6, 8, *scan.detector_shape)
    return replace(scan, data=da.from_array(counts, chunks=(1, 8, -1, -1)))


def test_only_the_positions_and_some_others_are_detected_with_the_same_answers(scan, monkeypatch):
    job = Job(phases=PHASES, device="cpu")
    whole = run(job, Stage.CALIBRATED, have=Results(scan=scan)).calibrated
    voltage = scan.calibration.voltage
    asked = identify_phases(whole, PHASES, voltage, [3, 41], device="cpu")
    monkeypatch.setattr(module, "DETECTED", 20)
    steps = []

    def report(step):
        return lambda done, total: steps.append((step, total))

    found = identify(job, AT, Observer(report), Results(scan=scan))
    assert found.positions.tolist() == [3, 41]
    assert [each.phase for each in found.evidence] == [each.phase for each in asked.evidence]
    np.testing.assert_allclose(found.probability, asked.probability, atol=0.05)
    assert found.evidence[0].phase is PHASES[0]
    detected, compared = dict(steps).values()
    assert detected in (20, 21, 22)
    assert compared == len(PHASES) + 2


def test_a_scan_of_few_positions_gives_what_its_whole_detection_gives(scan):
    job = Job(phases=PHASES[:2], device="cpu")
    whole = run(job, Stage.CALIBRATED, have=Results(scan=scan))
    told = []
    found = identify(job, None, Observer(lambda step: lambda done, total: told.append(step)), whole)
    again = identify(job, have=Results(scan=scan))
    assert "Detecting Bragg disks" not in told
    np.testing.assert_array_equal(found.positions, again.positions)
    np.testing.assert_allclose(found.probability, again.probability, atol=1e-3)


@pytest.mark.parametrize("place", [(-1, 0), (6, 0), (0, 8)])
def test_a_position_beside_the_scan_is_refused(scan, place):
    with pytest.raises(UserError, match="rows 0 to 5 and columns 0 to 7"):
        identify(Job(phases=PHASES), [place], have=Results(scan=scan))


def test_what_is_not_known_is_asked_for_before_anything_is_read(scan):
    unknown = replace(scan, calibration=replace(scan.calibration, voltage=None))
    with pytest.raises(UserError, match="voltage"):
        identify(Job(phases=PHASES), have=Results(scan=unknown))

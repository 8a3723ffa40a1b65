"""A part of a scan: which positions it holds, and that it is found again wherever it is read."""

import pickle

import numpy as np
import pytest

from napari_4dstem_orient.cli.options import read_part
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.part import Part
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient.workflow.job import Job
from napari_4dstem_orient.workflow.reference import job_of, open_reference, reference_of


@pytest.fixture
def numbered(tmp_path):
    """A file whose patterns are filled with 100 × row + column."""
    rows, cols = np.indices((9, 12))
    patterns = np.broadcast_to((100 * rows + cols)[..., None, None], (9, 12, 8, 8))
    np.save(tmp_path / "numbered.npy", patterns.astype(np.uint16))
    return tmp_path / "numbered.npy"


def numbers(scan):
    return np.asarray(scan.data[:, :, 0, 0])


def test_a_region_and_every_nth_position_are_a_scan_of_their_own(numbered):
    scan = load(numbered, part=Part((2, 8), (1, None), 3))
    expected = np.array([[201, 204, 207, 210], [501, 504, 507, 510]])
    np.testing.assert_array_equal(numbers(scan), expected)
    np.testing.assert_array_equal(numbers(pickle.loads(pickle.dumps(scan))), expected)
    np.testing.assert_array_equal(numbers(pickle.loads(pickle.dumps(scan.rows(1, 2)))), expected[1:])
    again = open_reference(reference_of(scan), numbered.parent)
    np.testing.assert_array_equal(numbers(again), expected)
    blocks = [block[:, 0, 0] for _, block in scan.batches(3)]
    np.testing.assert_array_equal(np.concatenate(blocks), expected.ravel())


def test_a_job_of_a_part_goes_through_plain_values(numbered):
    job = job_of(load(numbered, part=Part(every=4)))
    assert job.part == Part(every=4)
    assert Job.from_dict(job.to_dict()).part == Part(every=4)
    assert job_of(load(numbered, part=Part())).part is None


def test_positions_that_are_read_lie_farther_apart():
    known = Part(every=4).steps(Calibration(r_pixel=5.0, r_aspect=1.21))
    assert (known.r_pixel, known.r_aspect) == (20.0, 1.21)


def test_a_region_of_a_part_is_told_in_positions_of_the_whole():
    part = Part((10, 50), (20, 60), 4).region((1, 3), (0, 2))
    assert part == Part((14, 19), (20, 25), 4)
    assert str(part) == "rows 14 to 18, columns 20 to 24, every 4th position"


def test_the_command_line_reads_a_part():
    assert read_part(None, None) is None
    assert read_part(None, 4) == Part(every=4)
    assert read_part("10:60, :40", 2) == Part((10, 60), (0, 40), 2)
    with pytest.raises(UserError, match="not like 10:60,0:40"):
        read_part("10-60", None)


def test_a_part_beside_the_scan_is_refused(numbered):
    with pytest.raises(UserError, match="9 × 12 positions, of which rows 20 to the last holds none"):
        load(numbered, part=Part((20, None)))

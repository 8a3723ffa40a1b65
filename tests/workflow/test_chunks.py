"""Disks and maps taken apart are put together again; chunks are whole rows."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.chunked_scan import CERTAINTY, DISKS, MAP, equal
from helpers.made_maps import some_map, sure
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.workflow import chunks
from napari_4dstem_orient.workflow.chunks import row_chunks


@st.composite
def disks_and_cuts(draw):
    rows, cols = draw(st.integers(1, 9)), draw(st.integers(1, 5))
    counts = draw(st.lists(st.integers(0, 4), min_size=rows * cols, max_size=rows * cols))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    lists = [rng.random((count, 3)).astype(np.float32) for count in counts]
    cuts = sorted(draw(st.sets(st.integers(1, rows), max_size=3)) - {rows})
    disks = BraggDisks.from_lists((rows, cols), lists, calibrated=True, detector_shape=(8, 9), reach=1.5)
    return disks, list(zip([0, *cuts], [*cuts, rows], strict=True))


@given(disks_and_cuts())
def test_disks_taken_apart_are_put_together_again(case):
    disks, cuts = case
    joined = BraggDisks.join([disks.rows(*cut) for cut in cuts])
    equal(joined, disks, DISKS)
    assert (joined.scan_shape, joined.detector_shape, joined.reach) == (disks.scan_shape, (8, 9), 1.5)
    start, _ = cuts[-1]
    np.testing.assert_array_equal(disks.rows(*cuts[-1]).at(0, 0), disks.at(start, 0))


@given(st.integers(1, 7), st.integers(0, 7), st.booleans())
def test_maps_taken_apart_are_put_together_again(rows, cut, certain):
    whole = sure(some_map((rows, 3))) if certain else some_map((rows, 3))
    parts = []
    for part in (slice(0, cut), slice(cut, None)):
        certainty = whole.certainty
        if certainty is not None:
            certainty = replace(certainty, **{name: getattr(certainty, name)[part] for name in CERTAINTY})
        parts.append(replace(whole, **{n: getattr(whole, n)[part] for n in MAP}, certainty=certainty))
    joined = OrientationMap.join(parts)
    equal(joined, whole, MAP)
    assert (joined.certainty is None) == (not certain)
    if certain:
        equal(joined.certainty, whole.certainty, CERTAINTY)


def test_parts_that_do_not_belong_together_are_refused(few_disks):
    with pytest.raises(ValueError, match="2 kinds"):
        BraggDisks.join([few_disks, replace(few_disks, calibrated=False)])
    with pytest.raises(ValueError, match="2 kinds"):
        OrientationMap.join([some_map((2, 3)), some_map((2, 4))])


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_chunks_are_whole_rows_and_all_of_them(rows, cols):
    found = row_chunks((rows, cols))
    assert [row for start, stop in found for row in range(start, stop)] == list(range(rows))
    assert all((stop - start) * cols <= max(chunks.MOST, cols) for start, stop in found)

"""A scan is read once, whatever a file keeps together."""

import pickle
from collections import Counter
from dataclasses import replace

import dask.array as da
import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.scan import Calibration, Opened, Scan
from napari_4dstem_orient.core.units import kilovolts
from napari_4dstem_orient.detection.detect import detect_disks
from napari_4dstem_orient.detection.probe import synthetic_probe
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.io.load import load, open_scan
from napari_4dstem_orient.io.source import Source

small = st.integers(1, 9)


@given(st.tuples(small, small), st.tuples(small, small), st.integers(0, 8), st.integers(1, 40))
def test_batches_give_every_pattern_once_and_say_which(scan_shape, stored, first, patterns):
    data = np.arange(np.prod(scan_shape), dtype=np.float32).reshape(*scan_shape, 1, 1)
    lazy = da.from_array(data, chunks=(1, 3, 1, 1))
    opened = Opened(lazy, open_scan, {}, (first, first + scan_shape[0]))
    seen = np.zeros(data.size)
    for where, block in Scan(lazy, opened=opened, stored=stored).batches(patterns):
        np.testing.assert_array_equal(block[:, 0, 0], where)
        seen[where] += 1
    assert (seen == 1).all()


class Chunked:
    """An array that counts how often each of its chunks would be decompressed."""

    def __init__(self, shape, chunks):
        self.shape, self.chunks, self.dtype, self.decoded = shape, chunks, np.dtype(np.uint16), Counter()

    def __getitem__(self, key):
        spans = [range(*part.indices(size)) for part, size in zip(key, self.shape, strict=True)]
        touched = [
            range(span[0] // step, span[-1] // step + 1)
            for span, step in zip(spans[:2], self.chunks[:2], strict=True)
        ]
        self.decoded.update((row, col) for row in touched[0] for col in touched[1])
        return np.zeros([len(span) for span in spans], np.uint16)


@pytest.mark.parametrize("start", [0, 3, 8])
def test_what_a_file_keeps_together_is_decompressed_once(start):
    array = Chunked((40, 50, 64, 64), (8, 16, 64, 64))
    source = Source([array])
    scan = Scan(source.array((40, 50)), stored=source.stored)
    opened = Opened(scan.data, open_scan, {}, (0, 40))
    rest = Scan(scan.data, opened=opened, stored=source.stored).rows(start, 40)
    assert sum(len(where) for where, _ in rest.batches(100)) == (40 - start) * 50
    assert set(array.decoded.values()) == {1}


def test_rows_of_rows_are_the_right_ones_and_other_data_replace_them():
    data = np.arange(60, dtype=np.float32).reshape(12, 5, 1, 1)
    rows = Scan(da.from_array(data)).rows(2, 11).rows(3, 7)
    assert rows.pattern(1, 2) == data[6, 2]
    assert rows.pattern(-1, -1) == data[8, 4]
    np.testing.assert_array_equal(
        np.concatenate([block for _, block in rows.batches(3)]).ravel(), data[5:9].ravel()
    )
    other = replace(rows, data=rows.data * 2)
    assert other.pattern(1, 2) == 2 * data[6, 2]


def test_another_process_reads_rows_as_this_one_does(tmp_path):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_dataset("data", data=np.arange(6 * 4 * 8 * 8).reshape(6, 4, 8, 8), chunks=(2, 2, 8, 8))
    rows = load(tmp_path / "scan.h5").rows(1, 5)
    there = pickle.loads(pickle.dumps(rows))
    assert there.stored == (2, 2)
    assert there.cut is not None
    assert there.cut.rows is there.data  # or it would read whole chunks for each batch
    np.testing.assert_array_equal(there.pattern(2, 3), rows.pattern(2, 3))


@pytest.mark.parametrize(
    ("chunks", "stored"),
    [((4, 8, 256, 256), (4, 8)), ((16, 32, 256, 256), (16, 16)), ((1024, 1024, 16, 16), (1, 1))],
)
def test_no_more_is_kept_together_than_fits(chunks, stored):
    assert Source([Chunked((1024, 1024, 256, 256), chunks)]).stored == stored


def test_disks_of_a_file_with_blocks_of_positions_are_those_of_one_without(tmp_path):
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:48, :48]
    patterns = np.zeros((9, 10, 48, 48))
    for row, col in np.ndindex(9, 10):  # other numbers of disks at each position
        for spot in rng.uniform(8, 40, (rng.integers(1, 6), 2)):
            patterns[row, col] += 200 * (np.hypot(y - spot[0], x - spot[1]) < 3)
    data = rng.poisson(patterns).astype(np.uint16)
    probe, settings = synthetic_probe(3.0, (48, 48)), DetectionSettings(min_intensity=5.0)
    found = {}
    for name, chunks in (("blocks", (4, 3, 48, 48)), ("patterns", (1, 1, 48, 48))):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.create_dataset("data", data=data, chunks=chunks, compression="gzip")
        scan = load(tmp_path / f"{name}.h5")
        assert scan.stored == chunks[:2]
        found[name] = detect_disks(scan, probe, settings)
    blocks, one = found["blocks"], found["patterns"]
    assert len(np.unique(one.counts)) > 2
    np.testing.assert_array_equal(blocks.offsets, one.offsets)
    np.testing.assert_allclose(blocks.qx, one.qx, atol=1e-4)
    np.testing.assert_allclose(blocks.intensity, one.intensity, rtol=1e-4)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (200_000, "was 200 kV meant?"),
        (80_000.0, "was 80 kV meant?"),
        (0.3, "was 300 kV meant?"),
        (1e8, "3500 kV."),
    ],
)
def test_a_voltage_that_no_microscope_has_is_refused(typed, meant):
    with pytest.raises(UserError, match="electron microscopes run between 1 and 3500 kV") as told:
        Calibration(voltage=typed)
    assert str(told.value).endswith(meant)


@pytest.mark.parametrize("voltage", [1.0, 5.0, 60.0, 1250.0, 3000.0])
def test_every_microscopes_voltage_is_taken(voltage):
    assert Calibration(voltage=voltage).voltage == voltage


@pytest.mark.parametrize("turn", [float("nan"), float("inf"), -float("inf")])
def test_a_rotation_that_is_no_number_is_refused(turn):
    with pytest.raises(UserError, match=r"rotation is .*a number of degrees"):
        Calibration(rotation=turn)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [(200_000, 200.0), (300.0, 300.0), (1e8, None), (5e-3, None), (0, None), ("", None)],
)
def test_a_files_voltage_is_in_volts_or_kilovolts_or_unknown(stored, expected):
    assert kilovolts(stored) == expected

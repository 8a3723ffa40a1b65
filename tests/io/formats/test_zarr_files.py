"""Arrays that zarr itself wrote are read as zarr reads them, of what is asked for only."""

import numcodecs
import numpy as np
import pytest
import zarr

from helpers.zarr_files import make_array, make_group
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.io.formats.zarr_files import Array, Group, open_zarr

DATA = np.arange(7 * 5 * 6, dtype=np.int16).reshape(7, 5, 6)
KEYS = [
    np.s_[:],
    np.s_[3],
    np.s_[2:6, 1:4],
    np.s_[-1, :, 5],
    np.s_[1:7:3, ::2, 4:],
    np.s_[0, 4, 3],
    np.s_[4:4],
]


def written_by_zarr(folder, compressor, filters, order):
    """Write with zarr 2 or 3, whichever is there."""
    root = zarr.open_group(
        str(folder / "a.zspy"), mode="w", **({} if zarr.__version__ < "3" else {"zarr_format": 2})
    )
    about = {
        "shape": DATA.shape,
        "chunks": (3, 2, 4),
        "dtype": DATA.dtype,
        "order": order,
        "filters": filters,
    }
    if zarr.__version__ < "3":
        array = root.create_dataset("Experiments/scan/data", compressor=compressor, fill_value=-7, **about)
    else:
        array = root.create_array("Experiments/scan/data", compressors=compressor, fill_value=-7, **about)
    array[:6] = DATA[:6]  # the last chunks are never written
    return open_zarr(folder / "a.zspy")["Experiments/scan/data"], array


@pytest.mark.filterwarnings("ignore")  # zarr's own
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    ("compressor", "filters"),
    [
        (numcodecs.Blosc(), None),
        (numcodecs.Zstd(), [numcodecs.Delta("i2")]),
        (numcodecs.GZip(), None),
        (None, None),
    ],
    ids=["blosc", "delta and zstd", "gzip", "plain"],
)
def test_slices_are_those_of_zarr(tmp_path, compressor, filters, order):
    mine, theirs = written_by_zarr(tmp_path, compressor, filters, order)
    assert (mine.shape, mine.chunks, mine.dtype) == (theirs.shape, theirs.chunks, theirs.dtype)
    for key in KEYS:
        np.testing.assert_array_equal(mine[key], theirs[key])
        assert mine[key].shape == np.asarray(theirs[key]).shape
    assert (mine[6] == -7).all()
    np.testing.assert_array_equal(mine[::-2, 0], theirs[:][::-2, 0])


def test_only_touched_chunks_are_read(tmp_path):
    folder = make_array(make_group(tmp_path / "a", "Experiments") / "data", DATA, (3, 2, 4))
    for chunk in folder.glob("[1-9].*"):
        chunk.write_bytes(b"damaged")
    data = open_zarr(tmp_path / "a")["Experiments/data"]
    np.testing.assert_array_equal(data[:3, 4], DATA[:3, 4])
    with pytest.raises((ValueError, RuntimeError)):
        data[3]


def test_groups_are_mappings_with_attributes(tmp_path):
    make_array(make_group(tmp_path / "a", "Experiments/scan", title="x") / "data", DATA)
    (tmp_path / "a/Experiments/notes").mkdir()  # no group
    root = open_zarr(tmp_path / "a")
    assert list(root) == ["Experiments"]
    assert list(root["Experiments"]) == ["scan"]
    assert isinstance(root["Experiments/scan"], Group)
    assert root["Experiments/scan"].attrs == {"title": "x"}
    assert root.attrs == {}
    assert isinstance(root["Experiments"]["scan/data"], Array)
    assert "Experiments/other" not in root
    with pytest.raises(KeyError):
        root["Experiments/other"]


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(UserError, match="is not a zarr file"):
        open_zarr(tmp_path)
    (tmp_path / "zarr.json").write_text("{}")
    with pytest.raises(UserError, match="of zarr's version 3"):
        open_zarr(tmp_path)


def test_a_chunk_that_unpacks_to_more_is_refused(tmp_path):
    folder = make_array(make_group(tmp_path / "a", "Experiments") / "data", DATA, compressor=numcodecs.GZip())
    (folder / "0.0.0").write_bytes(numcodecs.GZip().encode(bytes(100_000)))
    with pytest.raises(ValueError, match="unpacks to more"):
        open_zarr(tmp_path / "a")["Experiments/data"][0]

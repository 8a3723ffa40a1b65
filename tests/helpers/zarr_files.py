"""Groups and arrays of zarr's version 2, written without zarr, whose versions do not have one way to do it."""

import itertools
import json

import numcodecs
import numpy as np
from numcodecs.compat import ensure_bytes


def make_group(root, path="", **attributes):
    """Make the group at a path of a zarr folder, with those above it, and return its folder."""
    for folder in reversed([root / path, *(root / path).relative_to(root).parents]):
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / ".zgroup").write_text('{"zarr_format": 2}')
    (root / path / ".zattrs").write_text(json.dumps(attributes))
    return root / path


BLOSC = numcodecs.Blosc()


def make_array(folder, data, chunks=None, compressor=BLOSC, filters=(), order="C"):
    """Write an array as a folder of chunks, and return the folder."""
    folder.mkdir(exist_ok=True)
    chunks = chunks or data.shape
    told = {"zarr_format": 2, "shape": data.shape, "chunks": chunks, "dtype": data.dtype.str, "fill_value": 0}
    told |= {"order": order, "filters": [codec.get_config() for codec in filters] or None}
    told["compressor"] = compressor and compressor.get_config()
    (folder / ".zarray").write_text(json.dumps(told))
    counts = [range(-(-size // piece)) for size, piece in zip(data.shape, chunks, strict=True)]
    for place in itertools.product(*counts):
        part = data[tuple(slice(i * piece, (i + 1) * piece) for i, piece in zip(place, chunks, strict=True))]
        packed = np.zeros(chunks, data.dtype, order)
        packed[tuple(map(slice, part.shape))] = part
        for codec in (*filters, *filter(None, [compressor])):
            packed = codec.encode(packed)
        (folder / ".".join(map(str, place))).write_bytes(ensure_bytes(packed))
    return folder

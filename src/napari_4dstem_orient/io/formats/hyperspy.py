"""HyperSpy's own files: .hspy (HDF5) and .zspy (zarr), which hold the same tree.

Read by h5py and zarr: rosettasciio 0.15 makes a dask task of every stored chunk (0.7 s a pattern where each is a chunk
of its own, a million in all) and opens .zspy for writing.
"""

from __future__ import annotations

import bz2
import lzma
import math
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from napari_4dstem_orient.core import hdf5_access
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.packed import blosc_size, zstd_size
from napari_4dstem_orient.core.reading import LARGEST_DESCRIPTION, LARGEST_PIECE
from napari_4dstem_orient.core.units import kilovolts, positive, text
from napari_4dstem_orient.io.formats import ScanFormat
from napari_4dstem_orient.io.formats.axes import Axes, detector_first, from_axes
from napari_4dstem_orient.io.source import Source, Transposed, why_unfit

_CODECS = {
    *("blosc", "zstd", "lz4", "zlib", "gzip", "bz2", "lzma", "shuffle", "delta", "packbits", "bitround"),
    *("fixedscaleoffset", "quantize", "astype", "crc32", "crc32c", "adler32", "fletcher32"),
}
_BY_PYTHON: dict[str, Callable[[Any], Any]] = {
    "gzip": lambda codec: zlib.decompressobj(47),
    "zlib": lambda codec: zlib.decompressobj(47),
    "bz2": lambda codec: bz2.BZ2Decompressor(),
    "lzma": lambda codec: lzma.LZMADecompressor(codec.format, None, codec.filters),
}
_ROOT = "Experiments/.zgroup"


def _holds(path: Path) -> bool:
    """Whether there are HyperSpy's ``Experiments``."""
    return hdf5_access.whether(
        path, lambda file: "Experiments" in file and "file_format_version" in file.attrs
    )


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the file's signals that are scans or stacks."""
    root = hdf5_access.open_file(path) if path.is_file() and h5py.is_hdf5(path) else _open_other(path)
    if not isinstance(experiments := _at(root, "Experiments"), Mapping):
        raise UserError(f"{path.name} holds no HyperSpy signal; save it again from HyperSpy.")
    return list(_signals(experiments, voltage))


def _open_other(path: Path) -> Any:
    return hdf5_access.open_file(path) if path.suffix.lower() == ".hspy" else _open_zarr(path)


def _open_zarr(path: Path) -> Any:
    """Return the root of a zarr folder, or of one packed into a zip file, perhaps with the folder around it."""
    import zarr

    store: Any = str(path)
    names = [file.name for file in path.iterdir()] if path.is_dir() else _packed(path)
    if not path.is_dir():
        store = zarr.ZipStore(str(path), mode="r")
    if any(name.endswith("zarr.json") for name in names):
        raise UserError(
            f"{path.name} is of zarr's version 3, which is not read here; save it again as .hspy."
        )
    around = next((name[: -len(_ROOT)] for name in names if name.endswith(_ROOT)), "")
    try:
        return zarr.open(store, mode="r", path=around.strip("/") or None)
    except (zarr.errors.PathNotFoundError, zarr.errors.GroupNotFoundError) as error:
        raise UserError(f"{path.name} is not a zarr file, or parts are missing; copy it again.") from error


def _packed(path: Path) -> list[str]:
    """Return the names in a zip file.

    Raises
    ------
    UserError
        It is none.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            members = packed.infolist()
    except zipfile.BadZipFile as error:
        raise UserError(
            f"{path.name} is neither a zarr folder nor a zip file of one, or it is cut short; copy it again."
        ) from error
    for one in members:
        described = Path(one.filename).name.startswith(".z")
        if one.file_size > (LARGEST_DESCRIPTION if described else LARGEST_PIECE):
            raise UserError(
                f"{path.name} packs {one.file_size:,} bytes into one piece; save it again in smaller chunks."
            )
    return [one.filename for one in members]


def _signals(experiments: Any, typed: float | None) -> Iterator[Source]:
    for name in experiments:
        group = _at(experiments, name)
        data, where = _at(group, "data"), f"/Experiments/{name}/data"
        if data is None:
            continue
        if not isinstance(data, h5py.Dataset):
            _check_codecs(data)
        axes = [_attributes(group, f"axis-{axis}") for axis in range(len(data.shape))]
        steps: Axes = [(axis.get("scale"), axis.get("units")) for axis in axes]
        if detector_first(steps):
            data, steps = Transposed(data, (2, 3, 0, 1)), [*steps[2:], *steps[:2]]
        if unfit := why_unfit(data.shape, data.dtype):
            yield Source([data], where, unfit=unfit)
            continue
        microscope = _attributes(group, "metadata/Acquisition_instrument/TEM")
        told = from_axes(
            steps,
            typed or kilovolts(microscope.get("beam_energy")),
            positive(microscope.get("convergence_angle")),
        )
        precession = math.degrees(
            (positive(microscope.get("rocking_angle")) or 0.0) / 1e3
        )  # pyxem notes mrad
        yield Source(
            [data],
            where,
            told.with_(precession=precession),
            metadata={
                "title": text(_attributes(group, "metadata/General").get("title")),
                "signal_type": text(_attributes(group, "metadata/Signal").get("signal_type")),
            },
        )


def _check_codecs(data: Any) -> None:
    """Refuse a zarr array that is packed by anything but what is known to unpack numbers, and nothing else.

    Raises
    ------
    UserError
        Such as Python's pickle, which runs what it unpacks; or a zip file that unpacks to more than its chunks hold.
    """
    import zarr

    for codec in filter(None, (data.compressor, *(data.filters or ()))):
        if codec.codec_id not in _CODECS:
            raise UserError(
                f"{data.name} is packed by {codec.codec_id!r}, which is not opened here, for what it unpacks may run; "
                "ask for a file packed by blosc, zstd or gzip."
            )
    # What the filters make of a pixel is never larger than eight of its size.
    most = 8 * math.prod(data.chunks) * data.dtype.itemsize + 1024
    if data.compressor is not None:
        data._compressor = _Bounded(data.compressor, most)
    if isinstance(data.store, zarr.ZipStore):
        for one in data.store.zf.infolist():
            if one.filename.startswith(f"{data.path}/") and one.file_size > most:
                raise UserError(
                    f"{data.name} keeps {one.file_size:,} bytes in a chunk of {most // 8:,}; the file is damaged."
                )


class _Bounded:
    """A zarr codec that unpacks no more than a chunk holds: a small file may unpack to any size."""

    def __init__(self, codec: Any, most: int) -> None:
        self._codec, self._most, self.codec_id = codec, most, codec.codec_id

    def decode(self, packed: Any, out: Any = None) -> Any:
        """Unpack a chunk; ValueError where it is larger."""
        start, found = bytes(packed[:20]), None
        if self.codec_id in _BY_PYTHON:
            found = _BY_PYTHON[self.codec_id](self._codec).decompress(bytes(packed), self._most + 1)
            size = len(found)
        else:
            size = _TOLD[self.codec_id](start) if self.codec_id in _TOLD else 0
        if size > self._most:
            raise ValueError(f"a chunk of no more than {self._most:,} bytes unpacks to more")
        if found is None:
            return self._codec.decode(packed, out)
        if out is None:
            return found
        np.asarray(out).reshape(-1, order="A").view("u1")[:] = np.frombuffer(found, "u1")
        return out


_TOLD: dict[str, Callable[[bytes], int]] = {
    "blosc": blosc_size,
    "lz4": lambda start: int.from_bytes(start[:4], "little"),
    "zstd": zstd_size,
}
"""What the beginning of a packed chunk tells of its size."""


def _attributes(group: Any, path: str) -> dict[str, Any]:
    found = _at(group, path)
    return {} if found is None else dict(found.attrs)


def _at(group: Any, path: str) -> Any:
    """Return what lies at a path of an HDF5 or zarr group; None where nothing does, or in an array.

    Looked into by name, an array is read, whatever size it says.
    """
    if isinstance(group, h5py.Group):
        return hdf5_access.member(group, path)
    return group[path] if isinstance(group, Mapping) and path in group else None


HYPERSPY = ScanFormat("HyperSpy", (".hspy", ".zspy", ".zspy.zip"), read, holds=_holds, folders=True)

"""Zarr folders, and zip files of one, from which only numbers are read: nothing in them runs, waits or grows."""

from __future__ import annotations

import bz2
import lzma
import math
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.packed import blosc_size, zstd_size
from napari_4dstem_orient.core.reading import LARGEST_DESCRIPTION, LARGEST_PIECE, check_regular

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
_TOLD: dict[str, Callable[[bytes], int]] = {
    "blosc": blosc_size,
    "lz4": lambda start: int.from_bytes(start[:4], "little"),
    "zstd": zstd_size,
}
"""What the beginning of a packed chunk tells of its size."""
_ROOT = "Experiments/.zgroup"


def open_zarr(path: Path) -> Any:
    """Return the root of a zarr folder, or of one packed into a zip file, perhaps with the folder around it."""
    store: Any
    if path.is_dir():
        names, store = [file.name for file in path.iterdir()], _Folder(str(path))
    else:
        names, store = _packed(path), zarr.ZipStore(str(path), mode="r")
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
        _check_piece(path.name, one.filename, one.file_size)
    return [one.filename for one in members]


class _Folder(zarr.DirectoryStore):
    """A zarr folder of regular files: of what is none zarr says that it is not there, and zeros are in its place."""

    def __contains__(self, key: str) -> bool:
        path = Path(self.path, key)
        if not os.path.lexists(path):
            return False
        check_regular(path)
        _check_piece(Path(self.path).name, key, path.stat().st_size)
        return True

    def __getitem__(self, key: str) -> bytes:
        if key not in self:
            raise KeyError(key)
        return Path(self.path, key).read_bytes()


def _check_piece(whole: str, key: str, size: int) -> None:
    """Refuse a piece of zarr that is larger than any honest one."""
    if size > (LARGEST_DESCRIPTION if Path(key).name.startswith(".z") else LARGEST_PIECE):
        raise UserError(f"{whole} packs {size:,} bytes into one piece; save it again in smaller chunks.")


def check_codecs(data: Any) -> None:
    """Refuse a zarr array that is packed by anything but what is known to unpack numbers, and nothing else.

    Raises
    ------
    UserError
        Such as Python's pickle, which runs what it unpacks; or a zip file that unpacks to more than its chunks hold.
    """
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

"""Zarr folders of version 2, and zip files of one, from which only numbers are read: nothing runs, waits or grows.

Read by numcodecs, which every version of zarr has: zarr 2 does not go beside napari's zarr 3, and neither says before
it unpacks a chunk how large that becomes.
"""

from __future__ import annotations

import bz2
import itertools
import json
import lzma
import math
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
from numcodecs.compat import ensure_bytes

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
_GROUP, _ARRAY = ".zgroup", ".zarray"
_ROOT = f"Experiments/{_GROUP}"


def open_zarr(path: Path) -> Group:
    """Return the root of a zarr folder, or of one packed into a zip file, perhaps with the folder around it."""
    store = _Folder(path) if path.is_dir() else _Zip(path)
    names = store.names()
    if any(name.endswith("zarr.json") for name in names):
        raise UserError(
            f"{path.name} is of zarr's version 3, which is not read here; save it again as .hspy."
        )
    around = next((name[: -len(_ROOT)] for name in names if name.endswith(_ROOT)), "")
    root = Group(store, around.strip("/"))
    if root.attribute_file(_GROUP) is None:
        raise UserError(f"{path.name} is not a zarr file, or parts are missing; copy it again.")
    return root


class _Folder:
    """The pieces of a zarr folder, which are regular files; of what is none nothing is read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self, under: str = "") -> list[str]:
        """Return the names in the folder, or in one below it."""
        folder = self._path / under
        return sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []

    def read(self, key: str, most: int) -> bytes | None:
        """Return a piece of no more than so many bytes; None where there is none."""
        path = self._path / key
        if not os.path.lexists(path):
            return None
        check_regular(path)
        _check_piece(self._path.name, key, path.stat().st_size, most)
        return path.read_bytes()


class _Zip:
    """The pieces of a zarr folder in a zip file."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        try:
            self._file = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise UserError(
                f"{path.name} is neither a zarr folder nor a zip file of one, or it is cut short; copy it again."
            ) from error
        self._sizes = {member.filename: member.file_size for member in self._file.infolist()}
        for name, size in self._sizes.items():
            _check_piece(path.name, name, size, LARGEST_PIECE)

    def names(self, under: str = "") -> list[str]:
        """Return the names in the file with their folders, or those of a folder in it without."""
        if not under:
            return list(self._sizes)
        below = (name.removeprefix(f"{under}/") for name in self._sizes if name.startswith(f"{under}/"))
        return sorted({name.partition("/")[0] for name in below})

    def read(self, key: str, most: int) -> bytes | None:
        """Return a piece of no more than so many bytes; None where there is none."""
        if key not in self._sizes:
            return None
        _check_piece(self._name, key, self._sizes[key], most)
        return self._file.read(key)


def _check_piece(whole: str, key: str, size: int, most: int) -> None:
    """Refuse a piece of zarr that is larger than any honest one."""
    if size > min(most, LARGEST_DESCRIPTION if Path(key).name.startswith(".z") else LARGEST_PIECE):
        raise UserError(f"{whole} packs {size:,} bytes into one piece; save it again in smaller chunks.")


class Group(Mapping[str, Any]):
    """A group of zarr's version 2: groups and arrays by their names, or by a path."""

    def __init__(self, store: _Folder | _Zip, path: str) -> None:
        self._store, self._path = store, path

    def attribute_file(self, name: str) -> Any:
        """Return what one of zarr's own files says of the group; None where there is none."""
        said = self._store.read(_joined(self._path, name), LARGEST_DESCRIPTION)
        return None if said is None else json.loads(said)

    @property
    def attrs(self) -> dict[str, Any]:
        """What its maker wrote beside it."""
        return dict(self.attribute_file(".zattrs") or {})

    def __getitem__(self, path: str) -> Group | Array:
        inner = Group(self._store, _joined(self._path, path))
        if inner.attribute_file(_GROUP) is not None:
            return inner
        if (told := inner.attribute_file(_ARRAY)) is None:
            raise KeyError(path)
        return Array(self._store, inner._path, told)

    def __iter__(self) -> Iterator[str]:
        names = self._store.names(self._path)
        return iter([name for name in names if not name.startswith(".") and name in self])

    def __len__(self) -> int:
        return len(list(iter(self)))


def _joined(path: str, name: str) -> str:
    return f"{path}/{name}".strip("/")


class Array:
    """An array of zarr's version 2; slicing reads the chunks that it touches, and nothing else does.

    Raises
    ------
    UserError
        It is packed by anything but what is known to unpack numbers, and nothing else, such as Python's pickle, which
        runs what it unpacks.
    """

    def __init__(self, store: _Folder | _Zip, path: str, told: Mapping[str, Any]) -> None:
        self._store, self._path, self.name = store, path, f"/{path}"
        codecs = [*(told["filters"] or ()), *filter(None, [told["compressor"]])]
        for codec in codecs:
            if codec["id"] not in _CODECS:
                raise UserError(
                    f"{self.name} is packed by {codec['id']!r}, which is not opened here, for what it unpacks may run; "
                    "ask for a file packed by blosc, zstd or gzip."
                )
        self.shape, self.chunks = (tuple(map(int, told[name])) for name in ("shape", "chunks"))
        if len(self.shape) != len(self.chunks) or min((*self.shape, 0)) < 0 or min((*self.chunks, 1)) < 1:
            raise ValueError(f"{self.name} has a shape or chunks that cannot be")
        self.ndim, self.dtype = len(self.shape), np.dtype(told["dtype"])
        fill = told["fill_value"] or 0
        self._fill = np.array(float(fill) if isinstance(fill, str) else fill).astype(self.dtype)
        self._order, self._separator = told["order"], told.get("dimension_separator", ".")
        # What the filters make of a pixel is never larger than eight of its size.
        self._most = 8 * math.prod(self.chunks) * self.dtype.itemsize + 1024
        self._codecs = [numcodecs.get_codec(dict(codec)) for codec in codecs]
        if told["compressor"]:
            self._codecs[-1] = _Bounded(self._codecs[-1], self._most)

    def __getitem__(self, key: Any) -> np.ndarray:
        key = key if isinstance(key, tuple) else (key,)
        key = (*key, *[slice(None)] * (self.ndim - len(key)))
        wanted = [np.arange(size)[part] for size, part in zip(self.shape, key, strict=True)]
        if any(part.size == 0 for part in wanted):
            return np.zeros([part.size for part in wanted if part.ndim], self.dtype)
        first = [int(part.min()) for part in wanted]
        sides = [int(part.max()) - start + 1 for part, start in zip(wanted, first, strict=True)]
        block = np.full(sides, self._fill)
        touched = [
            range(start // piece, (start + side - 1) // piece + 1)
            for start, side, piece in zip(first, sides, self.chunks, strict=True)
        ]
        for place in itertools.product(*touched):
            self._fill_in(block, first, place)
        asked = [
            slice(None) if part.ndim else int(part) - start for part, start in zip(wanted, first, strict=True)
        ]
        steps = [slice(None, None, _step(part)) for part in wanted if part.ndim]
        return block[tuple(asked)][tuple(steps)]

    def _fill_in(self, block: np.ndarray, first: Sequence[int], place: Sequence[int]) -> None:
        """Copy what a chunk and a block, which begins at ``first``, have in common."""
        chunk = self._chunk(place)
        if chunk is None:
            return
        begins = [number * piece for number, piece in zip(place, self.chunks, strict=True)]
        low = np.maximum(begins, first)
        high = np.minimum(np.add(begins, self.chunks), np.add(first, block.shape))
        there, here = (
            tuple(itertools.starmap(slice, zip(low - start, high - start, strict=True)))
            for start in (first, begins)
        )
        block[there] = chunk[here]

    def _chunk(self, place: Sequence[int]) -> np.ndarray | None:
        """Return a chunk; None where it was never written."""
        key = _joined(self._path, self._separator.join(map(str, place)) or "0")
        packed: Any = self._store.read(key, self._most)
        if packed is None:
            return None
        for codec in reversed(self._codecs):
            packed = codec.decode(packed)
        return np.frombuffer(ensure_bytes(packed), self.dtype).reshape(self.chunks, order=self._order)


def _step(indices: np.ndarray) -> int:
    return int(indices[1] - indices[0]) if len(indices) > 1 else 1


class _Bounded:
    """A zarr codec that unpacks no more than a chunk holds: a small file may unpack to any size."""

    def __init__(self, codec: Any, most: int) -> None:
        self._codec, self._most, self.codec_id = codec, most, codec.codec_id

    def decode(self, packed: Any) -> Any:
        """Unpack a chunk; ValueError where it is larger."""
        start, found = bytes(packed[:20]), None
        if self.codec_id in _BY_PYTHON:
            found = _BY_PYTHON[self.codec_id](self._codec).decompress(bytes(packed), self._most + 1)
            size = len(found)
        else:
            size = _TOLD[self.codec_id](start) if self.codec_id in _TOLD else 0
        if size > self._most:
            raise ValueError(f"a chunk of no more than {self._most:,} bytes unpacks to more")
        return self._codec.decode(packed) if found is None else found

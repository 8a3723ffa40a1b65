"""The packed pieces (chunks) of HDF5 datasets, looked at before HDF5 unpacks them: it does that to the end."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from typing import Any

import h5py
import numpy as np

from napari_4dstem_orient.core import packed
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.reading import LARGEST_PIECE, check_room

_UNPACKED = 2**25  # bytes that are unpacked to see whether there are more, when a file is opened
_MOST_PIECES = 5_000  # of a dataset, that are looked at when a file is opened
_BITSHUFFLE = 32008


@dataclass(frozen=True)
class _Packing:
    """How a dataset is packed.

    Attributes
    ----------
    name : str
        Of the dataset.
    holds : int
        Bytes of one piece, unpacked.
    number, bit : int
        The HDF5 filter that packs and its place in the pipeline; 0 and 0 where none may make a piece larger.
    """

    name: str
    holds: int
    number: int
    bit: int

    @property
    def most(self) -> int:
        """Bytes above which a piece is not honest: packing makes nothing larger, but for some bytes."""
        return self.holds + self.holds // 50 + 4096

    def doubtful(self, size: int) -> bool:
        """Tell whether a piece of so many bytes could unpack to more than may be, as far as its packer can."""
        return size * packed.DENSEST.get(self.number, math.inf) > max(self.most, LARGEST_PIECE)

    def check_size(self, size: int) -> None:
        """Refuse a piece that takes more room in the file than what it holds."""
        if size > self.most:
            raise UserError(
                f"{self.name} packs {self.holds:,} bytes into {size:,}, which no honest file does; ask for another "
                "copy."
            )

    def check(self, size: int, mask: int, start: bytes, whole: Callable[[], bytes]) -> None:
        """Refuse a piece that tells, or is found, to unpack to more than what it holds.

        Parameters
        ----------
        size : int
            Bytes in the file.
        mask : int
            The filters that were left out, as bits.
        start : bytes
            How it begins, ``packed.START`` bytes if it is as long.
        whole : callable
            Returns all of it.
        """
        if mask >> self.bit & 1:
            return
        if tells := packed.HDF5_FILTERS.get(self.number):
            more = tells(start.ljust(packed.START, b"\0")) > self.most
        elif not self.doubtful(size):
            return
        elif self.number in packed.UNTOLD:
            more = packed.exceeds(packed.UNTOLD[self.number](), whole(), self.most)
        else:
            check_room(size * packed.DENSEST[self.number], f"A piece of {self.name}")
            return
        if more:
            self.refuse(f"A piece of {self.name}")

    def refuse(self, what: str) -> None:
        raise UserError(
            f"{what} holds {self.holds:,} bytes and unpacks to more than {self.most:,}, which no honest file does; ask "
            "for another copy."
        )


def check_pieces(dataset: h5py.Dataset) -> None:
    """Refuse packed pieces that take more room than what they hold, or unpack to more, as far as that is quickly seen.

    Raises
    ------
    UserError
        One of the first pieces does.
    """
    if (packing := _packing(dataset)) is None:
        return
    pieces: list[Any] = []

    def look(piece: Any) -> int | None:
        """Return what ends the search."""
        pieces.append(piece)
        return 1 if piece.size > packing.most or len(pieces) >= _MOST_PIECES else None

    dataset.id.chunk_iter(look)
    if pieces:
        packing.check_size(pieces[-1].size)
    if packing.number not in packed.HDF5_FILTERS:
        pieces = [piece for piece in pieces if packing.doubtful(piece.size)]
        # The largest first: none makes more than so many times as much of a piece.
        pieces.sort(key=lambda piece: -piece.size)
        pieces = pieces[: max(1, _UNPACKED // packing.most)]
    with open(dataset.file.filename, "rb") as file:
        for piece in pieces if packing.number else ():
            whole = _Whole(dataset, piece.chunk_offset)
            if dataset.file.userblock_size:  # where pieces lie is counted from its end, or not
                start = whole()[: packed.START]
            else:
                file.seek(piece.byte_offset)
                start = file.read(min(packed.START, piece.size))
            packing.check(piece.size, piece.filter_mask, start, whole)


def guarded(array: Any) -> Any:
    """Return a dataset behind a guard where not all of its pieces were looked at; anything else as it is."""
    packing = _packing(array) if isinstance(array, h5py.Dataset) else None
    if packing is None:
        return array
    many = math.prod(-(-size // piece) for size, piece in zip(array.shape, array.chunks, strict=True))
    untold = packing.number in packed.UNTOLD and packing.doubtful(packing.most)
    return _Guarded(array, packing) if many > _MOST_PIECES or untold else array


class _Guarded:
    """A dataset each of whose pieces is looked at before HDF5 reads it for the first time."""

    def __init__(self, dataset: h5py.Dataset, packing: _Packing) -> None:
        self._dataset, self._packing = dataset, packing
        self._seen: set[tuple[int, ...]] = set()
        self.shape, self.dtype, self.chunks, self.ndim = (
            dataset.shape,
            dataset.dtype,
            dataset.chunks,
            dataset.ndim,
        )

    def __getitem__(self, key: Any) -> np.ndarray:
        key = key if isinstance(key, tuple) else (key,)
        key = (*key, *[slice(None)] * (self.ndim - len(key)))
        parts = zip(key, self.shape, self.chunks, strict=True)
        touched = [_touched(range(size)[part], piece) for part, size, piece in parts]
        for offset in product(*touched):
            if offset not in self._seen:
                self._look(offset)
        return self._dataset[key]

    def _look(self, offset: tuple[int, ...]) -> None:
        mask, piece = 0, b""
        # MemoryError is what h5py says of a piece that was never written; HDF5 will tell whatever else is wrong.
        with suppress(OSError, RuntimeError, ValueError, MemoryError):
            mask, piece = self._dataset.id.read_direct_chunk(offset)
        self._packing.check_size(len(piece))
        if self._packing.number and piece:
            self._packing.check(len(piece), mask, piece[: packed.START], lambda: piece)
        self._seen.add(offset)


def _touched(inside: range | int, piece: int) -> range:
    """Return where pieces begin that hold some of these indices."""
    lowest, highest = (inside, inside) if isinstance(inside, int) else (inside.start, inside.stop - 1)
    return range(lowest // piece * piece, highest + 1, piece)


@dataclass(frozen=True)
class _Whole:
    """A piece as it lies in the file, read when it is called."""

    dataset: h5py.Dataset
    offset: tuple[int, ...]

    def __call__(self) -> bytes:
        return bytes(self.dataset.id.read_direct_chunk(self.offset)[1])


def _packing(dataset: h5py.Dataset) -> _Packing | None:
    """Return how a dataset is packed; None where no filter is used.

    Raises
    ------
    UserError
        It is packed twice, or its filters say that they make more of a piece than it holds.
    """
    filters = dataset.id.get_create_plist()
    if dataset.chunks is None or not filters.get_nfilters():
        return None
    used = [(bit, *filters.get_filter(bit)[::2]) for bit in range(filters.get_nfilters())]
    used = [one for one in used if one[1] != packed.CHECKSUM]
    packers = [place for place, one in enumerate(used) if _packs(*one[1:])]
    bit, number = used[-1][:2] if packers else (0, 0)
    packing = _Packing(dataset.name, math.prod(dataset.chunks) * dataset.dtype.itemsize, number, bit)
    if packers and packers != [len(used) - 1]:
        raise UserError(
            f"{dataset.name} is packed twice, so that nobody can tell what it unpacks to; save it again, packed once."
        )
    for _, filtering, values in used:
        if filtering in packed.TELL_FOR_ALL and packed.told_for_all(values) > packing.most:
            packing.refuse(dataset.name)
    return packing


def _packs(number: int, values: tuple[int, ...]) -> bool:
    """Tell whether a filter packs; bitshuffle may only put bits in another order."""
    return number in packed.PACKERS and (number != _BITSHUFFLE or (len(values) > 4 and values[4] > 0))

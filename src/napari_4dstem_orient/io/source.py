"""What every reader returns: the datasets of a file, opened but not read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.reading import saying
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.core.units import shape_text

if TYPE_CHECKING:
    import dask.array as da

SMALLEST_DETECTOR = 8
"""Pixels on a side: below that a 4D dataset is a map of matrices, not of patterns."""

_CHUNK_BYTES = 32 * 2**20


@dataclass(frozen=True, eq=False)
class Source:
    """One dataset of a file.

    Attributes
    ----------
    parts : sequence of array-likes
        One of shape (scan_y, scan_x, det_y, det_x), or flat stacks of shape (n, det_y, det_x), in order.
        NumPy slicing reads from the file; nothing else does.
    name : str
        Path of the dataset in the file; empty where a file holds only one.
    calibration : Calibration
        What the file says about units.
    scan_shape : (int, int) or None
        What the file says about the scan of a flat stack.
    promised : int or None
        Patterns that the file's header promises, where it holds fewer.
    absent : str
        What to do where patterns are absent though the file itself is whole; empty for copying it again.
    metadata : dict
        Whatever else the file says, as plain JSON values.
    stored_at : tuple or None
        The same for two names of the same data.
    unfit : str
        Why it is no scan, as ``why_unfit`` says it; empty where it may be one.
    """

    parts: Sequence[Any]
    name: str = ""
    calibration: Calibration = field(default_factory=Calibration)
    scan_shape: tuple[int, int] | None = None
    promised: int | None = None
    absent: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    stored_at: tuple[int, int] | None = None
    unfit: str = ""

    @property
    def flat(self) -> bool:
        """Whether this is a flat stack."""
        return len(self.parts[0].shape) == 3

    @property
    def patterns(self) -> int:
        """Number of patterns."""
        return sum(math.prod(map(int, part.shape[:-2])) for part in self.parts)

    @property
    def detector_shape(self) -> tuple[int, int]:
        """Detector pixels along (y, x)."""
        rows, cols = self.parts[0].shape[-2:]
        return int(rows), int(cols)

    @property
    def dtype(self) -> np.dtype:
        """Type of a pixel."""
        return np.dtype(self.parts[0].dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """As stored: (scan_y, scan_x, det_y, det_x), or (n, det_y, det_x) for a flat stack."""
        return (self.patterns, *self.detector_shape) if self.flat else tuple(self.parts[0].shape)

    @property
    def stored(self) -> tuple[int, int]:
        """Scan rows and columns that the file keeps together, as far as they may be in memory at once.

        Of a flat stack patterns are read in order anyway.
        """
        chunks = None if self.flat else getattr(self.parts[0], "chunks", None)
        if chunks is None:
            return 1, 1
        room = _CHUNK_BYTES // max(1, self.dtype.itemsize * math.prod(self.detector_shape))
        high, wide = int(chunks[0]), int(chunks[1])
        return (high, min(wide, room // high)) if high <= room else (1, 1)

    @property
    def together(self) -> int:
        """Bytes that the file keeps in one compressed piece; 0 where it keeps none."""
        kept = [math.prod(chunks) for part in self.parts if (chunks := getattr(part, "chunks", None))]
        return max(kept, default=0) * self.dtype.itemsize

    def array(self, scan_shape: tuple[int, int], path: Path | None = None) -> da.Array:
        """Return the lazy 4D array of a file, under a scan shape whose product is not above ``patterns``."""
        if not self.flat and tuple(self.parts[0].shape[:2]) == scan_shape:
            return lazy(self.parts[0], self.stored, path, self.name)
        parts = self.parts if self.flat else [_Flattened(self.parts[0])]
        return lazy(Stack(parts, scan_shape), path=path, name=self.name)

    def as_stack(self) -> Source:
        """Return a single image as a stack of one; anything else as it is."""
        if not self.unfit or len(self.parts[0].shape or ()) != 2:
            return self
        one = _Single(self.parts[0])
        return replace(self, parts=[one], unfit=why_unfit(one.shape, one.dtype))


def why_unfit(shape: Sequence[int] | None, dtype: np.dtype) -> str:
    """Say why an array is no scan and no stack of patterns; empty where it may be one."""
    shape = tuple(int(size) for size in shape or ())
    if dtype.kind == "c":
        return f"is complex ({dtype}); save its squared magnitude, which is what a detector counts"
    if dtype.kind not in "uifb":
        return f"holds {dtype}; a scan holds real numbers"
    if len(shape) not in (3, 4):
        return (
            f"has the shape {shape_text(shape) or 'of a single number'}; a scan has four dimensions "
            "(scan_y, scan_x, det_y, det_x), a stack of patterns three"
        )
    if 0 < min(shape[-2:]) < SMALLEST_DETECTOR and 0 not in shape:
        return f"has patterns of only {shape_text(shape[-2:])} pixels"
    return ""


class Stack:
    """Flat stacks of patterns seen as one array (scan_y, scan_x, det_y, det_x); reads only what is asked for.

    dask's own reshape would read a whole chunk for one pattern.
    """

    ndim = 4

    def __init__(self, parts: Sequence[Any], scan_shape: tuple[int, int]) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *(part.shape[0] for part in parts)])
        self.shape = (*scan_shape, *(int(size) for size in parts[0].shape[1:]))
        self.dtype = np.dtype(parts[0].dtype)

    def __getitem__(self, key: tuple[Any, ...]) -> np.ndarray:
        rows, cols, *detector = key
        first = np.arange(self.shape[0])[rows] * self.shape[1]
        flat = np.add.outer(first, np.arange(self.shape[1])[cols])
        block = self._read(flat.ravel()).reshape(*flat.shape, *self.shape[2:])
        return block[(..., *detector)] if detector else block

    def _read(self, wanted: np.ndarray) -> np.ndarray:
        part = np.searchsorted(self._starts, wanted, side="right") - 1
        cuts = np.flatnonzero((np.diff(wanted) != 1) | (np.diff(part) != 0)) + 1
        runs = np.split(np.arange(len(wanted)), cuts) if len(wanted) else []
        blocks = []
        for run in runs:
            number = part[run[0]]
            start = int(wanted[run[0]] - self._starts[number])
            blocks.append(np.asarray(self._parts[number][start : start + len(run)]))
        return np.concatenate(blocks) if blocks else np.empty((0, *self.shape[2:]), self.dtype)


class Transposed:
    """A file's array seen with its axes in another order; reads only what is asked for."""

    def __init__(self, array: Any, order: tuple[int, ...]) -> None:
        self._array, self._order = array, order
        self.shape = tuple(int(array.shape[axis]) for axis in order)
        self.dtype = np.dtype(array.dtype)
        chunks = getattr(array, "chunks", None)
        self.chunks = tuple(chunks[axis] for axis in order) if chunks else None

    def __getitem__(self, key: Any) -> np.ndarray:
        key = key if isinstance(key, tuple) else (key,)
        key = (*key, *[slice(None)] * (len(self.shape) - len(key)))
        single = [isinstance(item, int | np.integer) for item in key]
        wide = [slice(item, item + 1) if one else item for item, one in zip(key, single, strict=True)]
        stored = tuple(wide[self._order.index(axis)] for axis in range(len(wide)))
        block = np.asarray(self._array[stored]).transpose(self._order)
        return block[tuple(0 if one else slice(None) for one in single)]


class _Single:
    """An image seen as a stack of one."""

    def __init__(self, array: Any) -> None:
        self._array = array
        self.shape = (1, *(int(size) for size in array.shape))
        self.dtype = np.dtype(array.dtype)

    def __getitem__(self, wanted: Any) -> np.ndarray:
        return np.asarray(self._array[:, :])[None][wanted]


class _Flattened:
    """A (scan_y, scan_x, det_y, det_x) array seen as (n, det_y, det_x), for contiguous slices."""

    def __init__(self, array: Any) -> None:
        self._array = array
        self._cols = array.shape[1]
        self.shape = (array.shape[0] * array.shape[1], *array.shape[2:])
        self.dtype = array.dtype

    def __getitem__(self, wanted: slice) -> np.ndarray:
        blocks = []
        for row in range(wanted.start // self._cols, -(-wanted.stop // self._cols)):
            start, stop = wanted.start - row * self._cols, wanted.stop - row * self._cols
            blocks.append(np.asarray(self._array[row, max(start, 0) : min(stop, self._cols)]))
        return np.concatenate(blocks)


def lazy(array: Any, stored: tuple[int, int] = (1, 1), path: Path | None = None, name: str = "") -> da.Array:
    """Wrap an array-like of shape (scan_y, scan_x, det_y, det_x) in chunks of about 32 MB.

    Parameters
    ----------
    array : array-like
    stored : (int, int)
        Scan rows and columns that the file keeps together; no chunk ends within them.
    path, name : Path and str, optional
        The file that it reads from, and the dataset in it: said where that fails.
    """
    import dask.array as da

    pattern = max(1, math.prod(map(int, array.shape[2:])) * np.dtype(array.dtype).itemsize)
    high, wide = stored
    cols = min(array.shape[1], max(wide, _CHUNK_BYTES // pattern // high // wide * wide))
    rows = min(array.shape[0], max(high, _CHUNK_BYTES // (pattern * cols) // high * high))
    # name=False: a name made from the contents would read the whole file.
    return da.from_array(
        _Unread(array, path, name),
        chunks=(rows, cols, -1, -1),
        name=False,
        meta=np.empty((0,) * 4, counting(array.dtype)),
    )


class _Unread:
    """An array-like with nothing but slicing: dask would copy a memory map, that is, read the whole file."""

    ndim = 4

    def __init__(self, array: Any, path: Path | None, name: str) -> None:
        self._array, self._path = array, path
        self._source = f"{path}::{name}" if name else str(path)
        self._length = _length(path) if path is not None else 0
        self.shape = tuple(int(size) for size in array.shape)
        self.dtype = counting(array.dtype)

    def __getitem__(self, key: Any) -> np.ndarray:
        if self._path is None:
            return np.asarray(self._array[key], self.dtype)
        row, col = (part.start or 0 if isinstance(part, slice) else part for part in key[:2])
        with saying(self._source, f"cannot be read at scan position ({row}, {col})"):
            if _length(self._path) < self._length:
                # Touched beyond its end, a file mapped into memory ends the program.
                raise UserError(f"{self._source} has become shorter since it was opened; open it again.")
            return np.asarray(self._array[key], self.dtype)


def counting(dtype: Any) -> np.dtype:
    """Return the type that patterns are read as: numbers where the file holds yes and no."""
    return np.dtype(np.uint8) if np.dtype(dtype).kind == "b" else np.dtype(dtype)


def _length(path: Path) -> float:
    """Return a file's length in bytes; that of a folder changes, and one that is gone can still be read."""
    try:
        return path.stat().st_size if path.is_file() else math.inf
    except OSError:
        return math.inf


def records(path: Path, record: np.dtype, offset: int = 0) -> np.memmap:
    """Map the complete records (header and pattern) of a file into memory, not reading them.

    Parameters
    ----------
    path : Path
    record : dtype
        Structured type of one record.
    offset : int
        Bytes before the first record.

    Raises
    ------
    UserError
        Not one complete record.
    """
    count, _ = complete(path, record.itemsize, offset)
    return np.memmap(path, dtype=record, mode="r", offset=offset, shape=(int(count),))


class Frames:
    """The patterns of one file of records, which is open only while it is read.

    So a file that has become shorter is noticed (touched beyond its end, a file mapped into memory ends the program),
    and a scan may have more files than may be open at once.

    Parameters
    ----------
    path, record, offset
        As ``records``; the patterns are the field ``data``.
    most : int, optional
        Patterns beyond so many are left out.
    """

    def __init__(self, path: Path, record: np.dtype, offset: int = 0, most: int | None = None) -> None:
        self._path, self._record, self._offset = path, record, offset
        whole, self.begun = complete(path, record.itemsize, offset)
        pixels = record["data"]
        self.shape = (whole if most is None else min(whole, most), *pixels.shape)
        self.dtype = pixels.base

    def __getitem__(self, wanted: Any) -> np.ndarray:
        frames = records(self._path, self._record, self._offset)
        if len(frames) < self.shape[0]:
            raise UserError(f"{self._path.name} has become shorter since it was opened; open it again.")
        return frames["data"][: self.shape[0]][wanted]


def complete(path: Path, record: int, offset: int = 0) -> tuple[int, int]:
    """Return how many records of so many bytes a file holds whole, and how many it begins.

    Raises
    ------
    UserError
        Not one whole record.
    """
    length = path.stat().st_size - offset
    if length < record:
        raise UserError(f"{path.name} is cut short: it ends within its first pattern; copy it again.")
    return length // record, -(-length // record)


def head(path: Path, length: int) -> bytes:
    """Return the first bytes of a file.

    Raises
    ------
    UserError
        The file is shorter.
    """
    with path.open("rb") as file:
        start = file.read(length)
    if len(start) < length:
        raise UserError(f"{path.name} is cut short: its header is not complete; copy it again.")
    return start

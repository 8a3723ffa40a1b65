"""What packed bytes unpack to, known before they are: a small file may unpack to any size."""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable
from typing import Any


def zstd_size(start: bytes) -> int:
    """Return the size that the header of a Zstandard frame tells (RFC 8878, 3.1.1.1)."""
    told, single = start[4], start[4] >> 5 & 1
    place, length = 6 - single + (0, 1, 2, 4)[told & 3], (single, 2, 4, 8)[told >> 6]
    return int.from_bytes(start[place : place + length], "little") + (256 if length == 2 else 0)


def blosc_size(start: bytes) -> int:
    """Return the size that the header of a blosc buffer tells."""
    return int.from_bytes(start[4:8], "little")


def blosc2_size(start: bytes) -> int:
    """Return the largest size that a Blosc2 frame tells of itself, of its chunks, and in the first of them."""
    header = int.from_bytes(start[11:15], "big")
    return max(
        int.from_bytes(start[30:38], "big"),
        int.from_bytes(start[58:62], "big"),
        int.from_bytes(start[header + 4 : header + 8], "little"),
    )


def _first_eight(start: bytes) -> int:
    return int.from_bytes(start[:8], "big")


def _szip_size(start: bytes) -> int:
    return int.from_bytes(start[:4], "little")


START = 512
"""Bytes in which a piece tells what it unpacks to."""
HDF5_FILTERS: dict[int, Callable[[bytes], int]] = {
    4: _szip_size,
    32001: blosc_size,
    32004: _first_eight,  # LZ4
    32008: _first_eight,  # bitshuffle that packs, too
    32015: zstd_size,
    32026: blosc2_size,
}
"""What the first ``START`` bytes of a piece tell that an HDF5 filter, by its number, unpacks to, and makes room for."""

GZIP, LZF = 1, 32000
UNTOLD: dict[int, Callable[[], Any]] = {GZIP: zlib.decompressobj, 307: bz2.BZ2Decompressor}
"""HDF5 filters whose pieces do not tell (gzip, bzip2), and what unpacks them as far as is wanted."""
DENSEST = {GZIP: 1100, LZF: 90}
"""Times that HDF5 filters make anything smaller, at most."""
PACKERS = {*UNTOLD, *HDF5_FILTERS, LZF}
"""HDF5 filters of which a piece may come out larger than it goes in."""
CHECKSUM = 3
"""HDF5 filter that only adds some bytes at the end."""
TELL_FOR_ALL = (5, 6)
"""HDF5 filters (n-bit, scale-offset) that make room for as many numbers as the dataset says of all its pieces."""


def told_for_all(values: tuple[int, ...]) -> int:
    """Return the bytes that they make room for, from what a dataset says to them; 0 where it says too little."""
    return values[2] * values[4] if len(values) > 4 else 0


def exceeds(unpacking: Any, packed: bytes, most: int) -> bool:
    """Tell whether something unpacks to more than so many bytes; what is damaged, the reader finds."""
    try:
        return len(unpacking.decompress(packed, most + 1)) > most
    except (OSError, ValueError, zlib.error):
        return False

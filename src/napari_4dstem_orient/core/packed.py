"""What packed bytes unpack to, known before they are: a small file may unpack to any size."""

from __future__ import annotations

import bz2
from collections.abc import Callable


def zstd_size(start: bytes) -> int:
    """Return the size that the header of a Zstandard frame tells (RFC 8878, 3.1.1.1)."""
    told, single = start[4], start[4] >> 5 & 1
    place, length = 6 - single + (0, 1, 2, 4)[told & 3], (single, 2, 4, 8)[told >> 6]
    return int.from_bytes(start[place : place + length], "little") + (256 if length == 2 else 0)


def blosc_size(start: bytes) -> int:
    """Return the size that the header of a blosc buffer tells."""
    return int.from_bytes(start[4:8], "little")


def _first_eight(start: bytes) -> int:
    return int.from_bytes(start[:8], "big")


HDF5_FILTERS: dict[int, Callable[[bytes], int]] = {
    32001: blosc_size,
    32004: _first_eight,  # LZ4
    32008: _first_eight,  # bitshuffle that packs, too
    32015: zstd_size,
}
"""What the first 20 bytes of a piece tell that an HDF5 filter, by its number, unpacks to, and makes room for."""

BZIP2 = 307
"""HDF5 filter whose pieces do not tell."""


def bzip2_exceeds(packed: bytes, most: int) -> bool:
    """Tell whether bzip2 unpacks to more than so many bytes; what is damaged, the reader finds."""
    try:
        return len(bz2.BZ2Decompressor().decompress(packed, most + 1)) > most
    except (OSError, ValueError):
        return False

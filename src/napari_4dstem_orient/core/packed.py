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


def _first_eight(start: bytes) -> int:
    return int.from_bytes(start[:8], "big")


HDF5_FILTERS: dict[int, Callable[[bytes], int]] = {
    32001: blosc_size,
    32004: _first_eight,  # LZ4
    32008: _first_eight,  # bitshuffle that packs, too
    32015: zstd_size,
}
"""What the first 20 bytes of a piece tell that an HDF5 filter, by its number, unpacks to, and makes room for."""

UNTOLD: dict[int, Callable[[], Any]] = {1: zlib.decompressobj, 307: bz2.BZ2Decompressor}
"""HDF5 filters whose pieces do not tell (gzip, bzip2), and what unpacks them as far as is wanted."""
PACKERS = {*UNTOLD, *HDF5_FILTERS, 4, 32000, 32026}
"""HDF5 filters of which a piece may come out larger than it goes in: also szip, LZF and Blosc2."""
CHECKSUM = 3
"""HDF5 filter that only adds some bytes at the end."""


def exceeds(unpacking: Any, packed: bytes, most: int) -> bool:
    """Tell whether something unpacks to more than so many bytes; what is damaged, the reader finds."""
    try:
        return len(unpacking.decompress(packed, most + 1)) > most
    except (OSError, ValueError, zlib.error):
        return False

"""Which positions belong together: neighbours that may be the same crystal, whichever twin each took."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.pooling.candidates import Candidates, apart, best_first

LIKELY = 0.1
"""Hypotheses less probable than this link nobody."""
ALIKE = 3.0
"""Degrees between hypotheses that link two positions: more than a grain bends from one to the next."""
LEAST = 4
"""Positions of a pool; what fewer of them measured they know as well alone."""
HYPOTHESES = 3
"""Of each position that may link it."""
STEPS = ((0, 1), (1, -1), (1, 0), (1, 1))
"""Rows and columns to the neighbours that come later in the scan."""


@dataclass(frozen=True, eq=False)
class Pools:
    """Groups of positions, each within a tile of the scan; they overlap.

    Attributes
    ----------
    members : ndarray, int64, shape (m,)
        Flat scan positions, pool by pool.
    offsets : ndarray, int64, shape (pools + 1,)
        The members of pool ``i`` are ``members[offsets[i]:offsets[i + 1]]``.
    """

    members: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def size(self) -> np.ndarray:
        """Number of members of each pool."""
        return np.diff(self.offsets)

    @property
    def pool(self) -> np.ndarray:
        """The pool of each of the ``members``."""
        return np.repeat(np.arange(len(self)), self.size)


def links(
    found: Candidates, probability: np.ndarray, scan_shape: tuple[int, int], phases: tuple[Phase, ...]
) -> np.ndarray:
    """Return pairs of neighbours (n, 2), flat, any likely hypotheses of which agree."""
    positions = scan_shape[0] * scan_shape[1]
    likely = np.flatnonzero(probability > LIKELY)
    order, rank = best_first(found.owner[likely], probability[likely])
    place, rank = likely[order][rank < HYPOTHESES], rank[rank < HYPOTHESES]
    table = np.full((positions, HYPOTHESES), -1)
    table[found.owner[place], rank] = place
    number = np.arange(positions).reshape(scan_shape)
    pairs = []
    for down, right in STEPS:
        one = number[: len(number) - down, max(-right, 0) : scan_shape[1] - max(right, 0)].ravel()
        other = number[down:, max(right, 0) : scan_shape[1] + min(right, 0)].ravel()
        linked = np.zeros(len(one), bool)
        for mine in range(HYPOTHESES):
            for theirs in range(HYPOTHESES):
                left, right_one = table[one, mine], table[other, theirs]
                open_ = np.flatnonzero((left >= 0) & (right_one >= 0) & ~linked)
                a, b = left[open_], right_one[open_]
                angle = apart(
                    found.rotation[a], found.phase_id[a], found.rotation[b], found.phase_id[b], phases
                )
                linked[open_] = angle < ALIKE
        pairs.append(np.stack([one[linked], other[linked]], 1))
    return np.concatenate(pairs)


def pools_of(pairs: np.ndarray, scan_shape: tuple[int, int], tile: int) -> Pools:
    """Return the linked parts of every tile of ``tile`` rows and columns; tiles overlap by half.

    Each position lies in up to four tiles. A part that several tiles hold whole is one pool.
    """
    parts = [
        part for shift in _shifts(scan_shape, tile) for part in _parts_of(pairs, scan_shape, tile, shift)
    ]
    if not parts:
        return Pools(np.zeros(0, np.int64), np.zeros(1, np.int64))
    members = np.concatenate([members for members, _ in parts])
    size = np.concatenate([size for _, size in parts])
    return _once(Pools(members, np.concatenate([[0], np.cumsum(size)])))


def _shifts(scan_shape: tuple[int, int], tile: int) -> list[tuple[int, int]]:
    half = tile // 2
    rows, cols = ((0, half) if length > half else (0,) for length in scan_shape)
    return [(row, col) for row in rows for col in cols]


def _parts_of(
    pairs: np.ndarray, scan_shape: tuple[int, int], tile: int, shift: tuple[int, int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the members, part by part, and sizes of the linked parts of the tiles that begin at ``shift``."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    positions = scan_shape[0] * scan_shape[1]
    row, col = np.divmod(np.arange(positions), scan_shape[1])
    across = scan_shape[1] // tile + 2
    of_tile = (row + tile - shift[0]) // tile * across + (col + tile - shift[1]) // tile
    one, other = pairs[of_tile[pairs[:, 0]] == of_tile[pairs[:, 1]]].T
    graph = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(positions, positions))
    _, part = connected_components(graph, directed=False)
    size = np.bincount(part)
    kept = np.flatnonzero(size[part] >= LEAST)
    if len(kept):
        kept = kept[np.argsort(part[kept], kind="stable")]
        yield kept, size[np.unique(part[kept])]


def _once(pools: Pools) -> Pools:
    """Return each pool once: those with the same members have the same sum of the members' random numbers."""
    number = np.random.default_rng(0).integers(2**62, size=pools.members.max() + 1)
    _, first = np.unique(np.add.reduceat(number[pools.members], pools.offsets[:-1]), return_index=True)
    first.sort()
    kept = np.isin(pools.pool, first)
    return Pools(pools.members[kept], np.concatenate([[0], np.cumsum(pools.size[first])]))

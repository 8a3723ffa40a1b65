"""What neighbours did to an orientation map, and what it was before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class PoolVerdict(IntEnum):
    """What became of a position's own answer in the light of its neighbours (``indexing.pooling``)."""

    ALONE = 0
    CONFIRMED = 1
    CHANGED = 2
    KEPT = 3

    @property
    def text(self) -> str:
        """What to show to a person."""
        return {
            PoolVerdict.ALONE: "judged alone",
            PoolVerdict.CONFIRMED: "confirmed by its neighbours",
            PoolVerdict.CHANGED: "changed by its neighbours",
            PoolVerdict.KEPT: "kept against its neighbours",
        }[self]


@dataclass(frozen=True, eq=False)
class Pooled:
    """What neighbours did to a map, and what it was before.

    Attributes
    ----------
    verdict : ndarray, uint8, shape (scan_y, scan_x)
        A ``PoolVerdict`` for each position.
    where : dict of str to ndarray, int64, shape (m,)
        Flat positions at which an array of the map (``OrientationMap.arrays``) was another, by its name.
    before : dict of str to ndarray, shape (m, ...)
        What it held there.
    """

    verdict: np.ndarray
    where: Mapping[str, np.ndarray]
    before: Mapping[str, np.ndarray]

    @classmethod
    def of(
        cls, verdict: np.ndarray, before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]
    ) -> Pooled:
        """Remember what differs between the arrays of two maps of the same scan."""
        where = {}
        for name, values in before.items():
            nan = (values != values) & (after[name] != after[name])
            differs = ((values != after[name]) & ~nan).reshape(verdict.size, -1).any(1)
            where[name] = np.flatnonzero(differs)
        return cls(verdict, where, {name: flattened(values)[where[name]] for name, values in before.items()})

    def undone(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the arrays of a map as they were before."""
        undone = {name: values.copy() for name, values in arrays.items()}
        for name, values in self.before.items():
            flattened(undone[name])[self.where[name]] = values
        return undone


def flattened(values: np.ndarray) -> np.ndarray:
    """Return an array of a map, (scan_y, scan_x, ...), by flat positions."""
    rows, cols, *rest = values.shape  # of runners-up there may be none
    return values.reshape(rows * cols, *rest)

"""Patterns of several crystals that lie over each other: sums of multislice patterns, with the truth."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import dask.array as da
import numpy as np

from helpers.multislice import MultislicePatterns
from napari_4dstem_orient.core.scan import Scan

WEIGHTS = (1.0, 0.5, 0.25)
"""Of the further crystals beside the first, pattern after pattern."""


@dataclass(frozen=True, eq=False)
class Overlapping:
    """One row of patterns of k crystals each.

    Attributes
    ----------
    scan : Scan
        Poisson counts.
    rotation : ndarray, shape (n, k, 3, 3)
    phase : ndarray of int, shape (n, k)
        Counts into the sets of patterns.
    weight : ndarray, shape (n,)
        Of each further crystal; that of the first is 1.
    """

    scan: Scan
    rotation: np.ndarray
    phase: np.ndarray
    weight: np.ndarray

    def first(self, count: int) -> "Overlapping":
        """Return the first few."""
        scan = replace(self.scan, data=self.scan.data[:, :count])
        return Overlapping(scan, self.rotation[:count], self.phase[:count], self.weight[:count])


def overlapping(
    sets: Sequence[MultislicePatterns], count: int, crystals: int, dose: float, seed: int = 0
) -> Overlapping:
    """Draw sums of random patterns, of random sets.

    Parameters
    ----------
    sets : sequence of MultislicePatterns
        One for each phase, of the same detector.
    count, crystals : int
        Sums, and patterns in each.
    dose : float
        Electrons in a sum.
    seed : int
    """
    rng = np.random.default_rng(seed)
    weight = np.resize(WEIGHTS, count)
    expected, rotation, phase = [], [], []
    for each in weight:
        of = rng.integers(len(sets), size=crystals)
        drawn = {number: rng.permutation(len(one)) for number, one in enumerate(sets)}
        which = [drawn[number][place] for place, number in enumerate(of)]
        share = np.array([1.0, *[each] * (crystals - 1)])
        patterns = [sets[number].share[index] for number, index in zip(of, which, strict=True)]
        expected.append(np.tensordot(share / share.sum(), patterns, 1))
        rotation.append([sets[number].rotation[index] for number, index in zip(of, which, strict=True)])
        phase.append(of)
    counts = rng.poisson(dose * np.array(expected)).astype(np.uint16)[None]
    data = da.from_array(counts, chunks=(1, *counts.shape[1:]))
    scan = Scan(data, sets[0].calibration, source=f"{count} sums of {crystals} patterns")
    return Overlapping(scan, np.array(rotation), np.array(phase), weight)

"""What two compared maps look like as a whole: densities of their similarities, two-point correlations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.analysis.correlation import TwoPoint, two_point, zone_axis_features
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.progress import Progress, silent

if TYPE_CHECKING:
    from napari_4dstem_orient.analysis.comparison import Comparison
    from napari_4dstem_orient.crystals.phase import Phase

BINS = 512
CROSS = "both"
"""Name of the correlation between the two maps, beside those of each with itself."""


@dataclass(frozen=True, eq=False)
class ZoneAxisCorrelations:
    """How zone axes of one phase correlate with distance.

    Attributes
    ----------
    phase : Phase
        The phase that most positions have.
    curves : dict of str to TwoPoint
        Autocorrelation of each map that has the phase, by the map's name; the cross-correlation as ``CROSS``.
    unit : str
        Of ``TwoPoint.r``.
    """

    phase: Phase
    curves: dict[str, TwoPoint]
    unit: str


def densities(samples: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Estimate probability densities on one common axis by Gaussian kernels of Scott's width.

    Values are binned first, so that the time does not grow with their number squared.

    Scott's width is σ n^(-1/5) (D. W. Scott, Multivariate Density Estimation, 1992).

    Parameters
    ----------
    samples : sequence of ndarray
        Values of any shape; those that are not finite do not count.

    Returns
    -------
    x : ndarray, shape (n,)
        Empty where no sample has a value.
    density : list of ndarray, shape (n,)
        Of each sample; the integral over x is 1, or 0 without values.
    """
    from scipy.ndimage import gaussian_filter1d

    finite = [np.asarray(values, float)[np.isfinite(values)] for values in samples]
    every = np.concatenate(finite)
    if not every.size:
        return np.empty(0), [np.empty(0) for _ in finite]
    thinnest = 1e-3 * max(float(np.abs(every).max()), 1e-3)  # a single value is no line without width
    widths = [
        max(float(values.std(ddof=1)) * values.size**-0.2, thinnest) if values.size > 1 else thinnest
        for values in finite
    ]
    reach = 4 * max(widths)
    edges = np.linspace(every.min() - reach, every.max() + reach, BINS + 1)
    step = edges[1] - edges[0]
    found = []
    for values, width in zip(finite, widths, strict=True):
        counts = np.histogram(values, edges)[0] / (max(values.size, 1) * step)
        found.append(gaussian_filter1d(counts, width / step, mode="constant", truncate=6))
    return (edges[1:] + edges[:-1]) / 2, found


def zone_axis_correlations(found: Comparison, progress: Progress = silent) -> ZoneAxisCorrelations:
    """Correlate the zone axes of both maps, each with itself and with the other, in their most frequent phase.

    Parameters
    ----------
    found : Comparison
    progress : Progress
        Called with correlations done, and all of them.

    Raises
    ------
    UserError
        No position is indexed.
    """
    phase = _commonest(found)
    fields, wheres, names = [], [], []
    for name, one in zip(found.names, found.maps, strict=True):
        same = [number for number, other in enumerate(one.phases) if phase.same_crystal(other)]
        where = np.isin(one.phase_id, same)
        if where.any():
            made = zone_axis_features(one.rotation[where], phase)
            field = np.zeros((*where.shape, made.shape[1]), np.float32)
            field[where] = made
            fields.append(field)
            wheres.append(where)
            names.append(name)
    pairs = [(name, index, index) for index, name in enumerate(names)]
    if len(names) == 2:
        pairs.append((CROSS, 0, 1))
    curves = {}
    for done, (name, a, b) in enumerate(pairs):
        progress(done, len(pairs))
        curves[name] = two_point(fields[a], fields[b], (wheres[a], wheres[b]), found.steps)
    progress(len(pairs), len(pairs))
    return ZoneAxisCorrelations(phase, curves, "positions" if found.steps is None else "nm")


def _commonest(found: Comparison) -> Phase:
    """Return the phase that most answers of both maps name."""
    counted = [
        (int((one.phase_id == number).sum()), phase)
        for one in found.maps
        for number, phase in enumerate(one.phases)
    ]
    count, phase = max(counted, key=lambda each: each[0])
    if not count:
        raise UserError("No position of either map is indexed; there are no zone axes to correlate.")
    return phase

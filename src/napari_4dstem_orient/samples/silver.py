"""Sample "Silver twins (SPED)": a scan DERIVED from the real patterns of five silver grains.

The resource holds the sum of all real patterns of each of five clusters of a scanning precession electron
diffraction scan, and the positions of each cluster (T. Bergh, NTNU; CC-BY-4.0:
``resources/ATTRIBUTION.md``). The scan shown here puts the mean pattern of its cluster at every position
and adds noise; it is not the measured one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from napari_4dstem_orient.core.resource_files import resource
from napari_4dstem_orient.core.scan import Calibration, Scan
from napari_4dstem_orient.samples.lazy import poisson_scan

SEED = 20240611
CENTRE = (56, 56)
"""Detector pixel of the direct beam."""


@dataclass(frozen=True)
class SilverReference:
    """What the published analysis of the real scan found (template matching at 0.5°, pyxem).

    Attributes
    ----------
    zones : tuple of (int, int, int)
        Zone axis of each grain, up to symmetry.
    misorientations : dict
        (grain, grain) to symmetry-reduced misorientation in degrees, all ten pairs.
    """

    zones: tuple[tuple[int, int, int], ...]
    misorientations: dict[tuple[int, int], float]


SILVER_REFERENCE = SilverReference(
    zones=((1, 0, 1), (1, 0, 1), (1, 1, 4), (1, 0, 1), (1, 0, 1)),
    misorientations={
        (0, 1): 60.0,
        (0, 2): 35.4,
        (0, 3): 39.0,
        (0, 4): 60.0,
        (1, 2): 38.2,
        (1, 3): 32.0,
        (1, 4): 39.0,
        (2, 3): 60.0,
        (2, 4): 39.2,
        (3, 4): 60.0,
    },
)


@lru_cache(maxsize=1)
def _stored() -> tuple[np.ndarray, np.ndarray]:
    """Return the clusters' summed patterns and their positions."""
    with np.load(resource("samples", "silver_twins.npz")) as stored:
        return stored["sums"], stored["grains"]


def silver_grains() -> np.ndarray:
    """Return the positions of the five grains, bool, shape (5, 64, 208); some positions belong to none."""
    return _stored()[1].copy()


def silver_patterns() -> np.ndarray:
    """Return the mean real pattern of each grain, float32, shape (5, 112, 112)."""
    sums, grains = _stored()
    return (sums / grains.sum(axis=(1, 2))[:, None, None]).astype(np.float32)


def silver_twins() -> Scan:
    """Open the sample: silver twins under precessed illumination at 200 kV, DERIVED from real patterns.

    Every position of a grain has the grain's mean real pattern plus counting noise. Positions of no grain
    (in the protective platinum layer) have the direct beam and the diffuse background that all five
    patterns share, and no Bragg disks.

    Returns
    -------
    Scan
        uint32, shape (64, 208, 112, 112), made when read. The convergence angle is not known.
    """
    grains = silver_grains()
    patterns = np.concatenate([_shared_background(silver_patterns())[None], silver_patterns()])
    which = np.where(grains.any(axis=0), grains.argmax(axis=0) + 1, 0)
    data = poisson_scan(
        "silver-twins",
        (*which.shape, *patterns.shape[1:]),
        lambda row, columns: patterns[which[row, columns]],
        SEED,
        np.uint32,
    )
    calibration = Calibration(
        voltage=200.0, q_pixel=0.0267283, r_pixel=20.37, precession=1.0, q_pixel_from="file"
    )
    metadata = {
        "title": "Silver twins (SPED)",
        "crystal": "Ag",
        "derived": "DERIVED from real patterns: each grain's mean pattern plus noise, not the measured scan.",
        "attribution": "Real patterns: T. Bergh (NTNU), SPED_Ag, Zenodo record 15490547, CC-BY-4.0.",
    }
    source = "sample: Silver twins (SPED), derived from real patterns"
    return Scan(data, calibration, source=source, metadata=metadata)


def _shared_background(patterns: np.ndarray) -> np.ndarray:
    """Return the round background below the Bragg spots of all patterns: a low percentile on every circle."""
    row, col = np.indices(patterns.shape[1:])
    circle = np.rint(np.hypot(row - CENTRE[0], col - CENTRE[1])).astype(int)
    profile = [np.percentile(patterns[:, circle == radius], 10) for radius in range(circle.max() + 1)]
    return np.asarray(profile, np.float32)[circle]

"""Noisy scans from multislice patterns (``tools/make_multislice_patterns.py``), with the truth."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np

from napari_4dstem_orient.core.scan import Calibration, Scan
from napari_4dstem_orient.samples.lazy import poisson_scan

DATA = Path(__file__).parents[1] / "data"

DIFFUSE_LENGTH = 1400.0
"""Å: a slab of thickness t scatters the share 1 - exp(-t / this) of the electrons diffusely."""


@dataclass(frozen=True, eq=False)
class MultislicePatterns:
    """Expected patterns, each of its own orientation and thickness.

    Attributes
    ----------
    share : ndarray, float32, shape (n, det_y, det_x)
        Of the beam's electrons in each pixel; elastic scattering only.
    rotation : ndarray, float64, shape (n, 3, 3)
        g_lab = Rᵀ g_crystal.
    thickness : ndarray, shape (n,)
        Å.
    origin : ndarray, shape (2,)
        Direct beam in px.
    calibration : Calibration
    crystal : str
    """

    share: np.ndarray
    rotation: np.ndarray
    thickness: np.ndarray
    origin: np.ndarray
    calibration: Calibration
    crystal: str

    def __len__(self) -> int:
        return len(self.share)

    @property
    def scan_shape(self) -> tuple[int, int]:
        """Rows and columns of the scan: one row, so that its positions count the patterns."""
        return 1, len(self)


@lru_cache(maxsize=4)
def multislice_patterns(crystal: str = "cu") -> MultislicePatterns:
    """Read a set of patterns."""
    with h5py.File(DATA / f"multislice_{crystal}.h5") as file:
        attrs = file.attrs
        return MultislicePatterns(
            share=((file["root"][()] * file["scale"][()][:, None, None]) ** 2).astype(np.float32),
            rotation=file["rotation"][()],
            thickness=file["thickness"][()],
            origin=np.array(attrs["origin"]),
            calibration=Calibration(
                voltage=float(attrs["voltage"]),
                q_pixel=float(attrs["q_pixel"]),
                semiangle=float(attrs["semiangle"]),
                q_pixel_from="file",
            ),
            crystal=str(attrs["crystal"]),
        )


def multislice_scan(
    patterns: MultislicePatterns, dose: float, diffuse_length: float = DIFFUSE_LENGTH, seed: int = 0
) -> Scan:
    """Return a scan of Poisson counts, the same whenever it is read.

    Parameters
    ----------
    patterns : MultislicePatterns
    dose : float
        Electrons in a pattern.
    diffuse_length : float
        Å; infinite for elastic scattering only.
    seed : int
        Of the noise.
    """
    halo = _halo(patterns)
    lost = 1 - np.exp(-patterns.thickness / diffuse_length)

    def expected(row: int, columns: slice) -> np.ndarray:
        share = lost[columns, None, None]
        return dose * ((1 - share) * patterns.share[columns] + share * halo)

    shape = (*patterns.scan_shape, *patterns.share.shape[1:])
    data = poisson_scan(f"multislice-{patterns.crystal}-{dose:g}", shape, expected, seed, np.uint32)
    return Scan(data, patterns.calibration, source=f"multislice {patterns.crystal}, {dose:g} electrons")


def _halo(patterns: MultislicePatterns) -> np.ndarray:
    """Return diffuse scattering as in the copper sample: a smooth halo, its sum 1."""
    row, col = np.indices(patterns.share.shape[1:])
    k = np.hypot(row - patterns.origin[0], col - patterns.origin[1]) * patterns.calibration.q_pixel
    shape = 1 / (1 + (k / 0.25) ** 2) ** 1.5
    return shape / shape.sum()

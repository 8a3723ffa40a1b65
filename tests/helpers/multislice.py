"""Noisy scans from multislice patterns, with the truth: of ``tests/data``, or of any file that
``tools/make_multislice_patterns.py`` or ``tools/make_test_beds.py`` wrote."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np

from napari_4dstem_orient.core.scan import Calibration, Scan
from napari_4dstem_orient.core.units import electron_wavelength
from napari_4dstem_orient.samples.lazy import poisson_scan

DATA = Path(__file__).parents[1] / "data"

DIFFUSE_LENGTH = 1400.0
"""Å: a slab of thickness t scatters the share 1 - exp(-t / this) of the electrons diffusely."""

RINGS = 0.06
"""Strength of the soft rings in the copper sample's diffuse scattering."""

SOFTNESS = 0.2
"""Width of the aperture's edge, as a share of the semiangle."""

KINDS = ("vacuum", "grain", "single", "pair", "lamella")
"""What ``MultislicePatterns.kind`` counts."""


@dataclass(frozen=True, eq=False)
class MultislicePatterns:
    """Expected patterns of known orientation and thickness, one by one or as a map.

    Attributes
    ----------
    share : ndarray, float32, shape (n, det_y, det_x)
        Of the beam's electrons in each pixel; elastic scattering only.
    rotation : ndarray, float64, shape (n, 3, 3), of a map (rows, cols, 3, 3)
        g_lab = Rᵀ g_crystal.
    thickness : ndarray, shape (n,) or (rows, cols)
        Å; 0 in vacuum.
    origin : ndarray, shape (2,)
        Direct beam in px.
    calibration : Calibration
    crystal : str
        Of ``resources/crystals``.
    index : ndarray, int, shape (rows, cols)
        Which pattern each position of the scan shows; one by one: a single row.
    label : ndarray, int, shape (rows, cols)
        Grains, islands and lamellae counted through, -1 in vacuum; one by one: each its own.
    kind : ndarray, uint8, shape (rows, cols)
        See ``KINDS``.
    """

    share: np.ndarray
    rotation: np.ndarray
    thickness: np.ndarray
    origin: np.ndarray
    calibration: Calibration
    crystal: str
    index: np.ndarray
    label: np.ndarray
    kind: np.ndarray

    def __len__(self) -> int:
        return len(self.share)

    @property
    def scan_shape(self) -> tuple[int, int]:
        """Rows and columns of the scan."""
        rows, cols = self.index.shape
        return rows, cols

    @property
    def probe(self) -> np.ndarray:
        """The beam without a specimen, its sum 1, shape (det_y, det_x)."""
        fine, (rows, cols) = 8, self.share.shape[1:]
        row, col = (
            np.arange(n * fine) / fine + (1 / fine - 1) / 2 for n in (rows, cols)
        )  # of parts of pixels
        k = np.hypot(row[:, None] - self.origin[0], col - self.origin[1]) * self.calibration.q_pixel
        edge = 1e-3 * self.calibration.semiangle / electron_wavelength(self.calibration.voltage)
        parts = 0.5 - 0.5 * np.tanh(2 * (k / edge - 1) / SOFTNESS)
        shape = (parts**2).reshape(rows, fine, cols, fine).sum(axis=(1, 3))
        return shape / shape.sum()

    def part(self, which: slice) -> "MultislicePatterns":
        """Return some of the patterns of a set that is no map."""
        truth = {name: getattr(self, name)[which] for name in ("share", "rotation", "thickness")}
        return replace(self, **truth, **_one_by_one(len(truth["share"])))


def multislice_patterns(crystal: str | Path = "cu") -> MultislicePatterns:
    """Read a set of patterns: of ``tests/data`` by the crystal's name (or ``"map_cu"``), any other by its path."""
    path = crystal if isinstance(crystal, Path) else DATA / f"multislice_{crystal}.h5"
    return _read(path)


@lru_cache(maxsize=4)
def _read(path: Path) -> MultislicePatterns:
    with h5py.File(path) as file:
        attrs = dict(file.attrs)
        stored = {name: item[()] for name, item in file.items()}
    maps = {name: stored.get(name, usual) for name, usual in _one_by_one(len(stored["root"])).items()}
    return MultislicePatterns(
        share=((stored["root"] * stored["scale"][:, None, None]) ** 2).astype(np.float32),
        rotation=stored["rotation"],
        thickness=stored["thickness"],
        origin=np.array(attrs["origin"]),
        calibration=Calibration(
            voltage=float(attrs["voltage"]),
            q_pixel=float(attrs["q_pixel"]),
            semiangle=float(attrs["semiangle"]),
            q_pixel_from="file",
        ),
        crystal=str(attrs["crystal"]),
        **maps,
    )


def _one_by_one(count: int) -> dict[str, np.ndarray]:
    number = np.arange(count)[None]
    return {"index": number, "label": number, "kind": np.full((1, count), KINDS.index("grain"), np.uint8)}


def multislice_scan(
    patterns: MultislicePatterns,
    dose: float,
    diffuse_length: float = DIFFUSE_LENGTH,
    seed: int = 0,
    rings: float = 0.0,
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
    rings : float
        Strength of soft rings in the diffuse scattering; the copper sample's is ``RINGS``.
    """
    halo = _halo(patterns, rings)
    lost = (1 - np.exp(-patterns.thickness / diffuse_length)).reshape(patterns.scan_shape)

    def expected(row: int, columns: slice) -> np.ndarray:
        share = lost[row, columns, None, None]
        return dose * ((1 - share) * patterns.share[patterns.index[row, columns]] + share * halo)

    shape = (*patterns.scan_shape, *patterns.share.shape[1:])
    name = f"multislice-{patterns.crystal}-{shape[0]}x{shape[1]}-{dose:g}-{diffuse_length:g}-{rings:g}"
    data = poisson_scan(name, shape, expected, seed, np.uint32)
    return Scan(data, patterns.calibration, source=f"multislice {patterns.crystal}, {dose:g} electrons")


def _halo(patterns: MultislicePatterns, rings: float) -> np.ndarray:
    """Return diffuse scattering as in the copper sample: a smooth halo, soft rings if asked, its sum 1."""
    row, col = np.indices(patterns.share.shape[1:])
    k = np.hypot(row - patterns.origin[0], col - patterns.origin[1]) * patterns.calibration.q_pixel
    soft = np.exp(-(((k - 0.48) / 0.07) ** 2)) + 0.5 * np.exp(-(((k - 0.83) / 0.09) ** 2))
    shape = 1 / (1 + (k / 0.25) ** 2) ** 1.5 + rings * soft
    return shape / shape.sum()

"""The template that the detection looks for in every pattern: what a Bragg disk looks like."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from napari_4dstem_orient.core.checks import check_patterns
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.reading import check_room, reading
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection.direct_beam import DirectBeam
from napari_4dstem_orient.detection.patterns import aligned_mean
from napari_4dstem_orient.detection.radius import LARGEST, LEAST, find_radius
from napari_4dstem_orient.detection.vacuum import find_vacuum_beam, without_hot_pixels

TRENCH = 2.5
"""Outer radius, in disk radii, of the negative ring that makes the template blind to an even background."""

SOFTNESS = 1.0
"""Width, in px, of a drawn disk's edge."""

VACUUM_PATTERNS = 256
"""Patterns of a vacuum scan that are averaged, at most."""


@dataclass(frozen=True, eq=False)
class Probe:
    """A disk template for cross-correlation.

    Attributes
    ----------
    kernel : ndarray, float32, shape (det_y, det_x)
        Disk of sum 1 minus a soft ring of sum 1, centred on pixel (0, 0) and wrapped: py4DSTEM's convention.
        Correlating with it gives the mean counts per pixel of a disk above its surroundings.
    radius : float
        Disk radius in detector pixels.
    kind : str
        ``"synthetic"``, ``"vacuum"`` or ``"region"`` (of the scan itself).
    provenance : dict
        What it was made from, as plain JSON values.
    """

    kernel: np.ndarray
    radius: float
    kind: str
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kernel = self.kernel
        if kernel.ndim != 2 or not kernel.size or not np.isfinite(kernel).all() or not kernel.max() > 0:
            raise ValueError(f"a probe of shape {kernel.shape} shows no disk, or holds what is no number")
        if not 0 < self.radius < np.inf:
            raise ValueError(f"a probe cannot have the radius {self.radius}")

    @cached_property
    def fourier(self) -> np.ndarray:
        """Conjugate Fourier transform of the kernel, complex128, computed once."""
        return np.conj(np.fft.fft2(self.kernel.astype(np.float64)))  # NumPy 2 keeps to single precision

    def blurred(self, smoothing: float) -> np.ndarray:
        """Return the kernel as the blurred correlation sees it, float64, shape (det_y, det_x), wrapped as it is."""
        from scipy import ndimage

        return ndimage.gaussian_filter(np.asarray(self.kernel, np.float64), smoothing, mode="wrap")

    @property
    def doubt(self) -> str:
        """A sentence where its radius is doubtful; else empty."""
        return str(self.provenance.get("doubt", ""))

    @property
    def image(self) -> np.ndarray:
        """The kernel with its disk in the middle, to look at."""
        return np.fft.fftshift(self.kernel)


def probe_for(scan: Scan, probe: Probe | float | None = None) -> Probe:
    """Return the disk template to look for in a scan.

    Parameters
    ----------
    scan : Scan
    probe : Probe or float, optional
        A template stays what it is; a number is the radius in px of the disk to draw, which is found by default.

    Raises
    ------
    UserError
        As ``synthetic_probe`` and ``radius.find_radius``.
    """
    if isinstance(probe, Probe):
        return probe
    if probe is not None:
        return synthetic_probe(probe, scan.detector_shape)
    found = find_radius(scan)
    drawn = synthetic_probe(found.px, scan.detector_shape)
    told = {"radius_from": found.found_by} | ({"doubt": found.doubt} if found.doubt else {})
    return replace(drawn, provenance={**drawn.provenance, **told})


def synthetic_probe(radius: float, shape: tuple[int, int]) -> Probe:
    """Draw a disk template.

    Parameters
    ----------
    radius : float
        Disk radius in pixels.
    shape : (int, int)
        Detector pixels along (y, x).

    Raises
    ------
    UserError
        If the disk does not fit on the detector.
    """
    largest = LARGEST * min(shape)
    if not LEAST <= radius <= largest:
        raise UserError(
            f"A disk radius of {radius:.3g} px does not suit a detector of {shape[0]} × {shape[1]} pixels; "
            f"choose between {LEAST:g} and {largest:.3g} px."
        )
    return Probe(
        _drawn(radius, shape),
        float(radius),
        "synthetic",
        {"radius": float(radius), "width": SOFTNESS},
    )


def _drawn(radius: float, shape: tuple[int, int]) -> np.ndarray:
    """Return the kernel of a disk with a soft edge; beyond its ring, where it is 0, nothing is computed."""
    wide = 2 * math.ceil((TRENCH + 0.5) * radius) + 16
    y, x = (_wrapped(min(side, wide)) for side in shape)
    apart = np.hypot(y[:, None], x)
    drawn = _kernel(1 / (1 + np.exp(4 * (apart - radius) / SOFTNESS)), apart, radius)
    kernel = np.zeros(shape, np.float32)
    kernel[np.ix_(y, x)] = drawn
    return kernel


def _wrapped(side: int) -> np.ndarray:
    """Return the pixels of an axis counted from the first, those of its second half from the end: below 0."""
    return np.rint(np.fft.fftfreq(side) * side).astype(int)


def probe_from_vacuum(source: Scan | np.ndarray, region: tuple[slice, slice] | None = None) -> Probe:
    """Measure a disk template on patterns without a specimen.

    Parameters
    ----------
    source : Scan or ndarray, shape (..., det_y, det_x)
        A vacuum scan, vacuum patterns or their mean, or the scan under study together with ``region``.
    region : (slice, slice), optional
        Rows and columns of a vacuum area of the scan.

    Raises
    ------
    UserError
        If the region is empty, or shows no beam, more than one, or a part of one.
    """
    if isinstance(source, Scan):
        name, patterns = source.source, _read_region(source, region)
    else:
        name, patterns = "memory", np.asarray(source, np.float32).reshape(-1, *source.shape[-2:])
    check_patterns(patterns, "the vacuum patterns", name)
    mean = without_hot_pixels(aligned_mean(patterns))
    beam = find_vacuum_beam(mean, name if region is None else f"The region {_describe(region)} of {name}")
    y, x = (_wrapped(side) for side in mean.shape)
    return Probe(
        _kernel(_cut_out(mean, beam), np.hypot(y[:, None], x), beam.radius),
        beam.radius,
        "vacuum" if region is None else "region",
        {"source": name, "patterns": len(patterns), "region": _describe(region), "radius": beam.radius},
    )


def probe_from_file(path: str | Path, dataset: str | None = None) -> Probe:
    """Measure a disk template on a file of vacuum patterns.

    Parameters
    ----------
    path : str or Path
        A scan, a stack of patterns, or a single image, of any format that ``load`` knows.
    dataset : str, optional
        Path of the dataset within the file.

    Raises
    ------
    UserError
        If the file cannot be read, or shows no beam, more than one, or a part of one.
    """
    from napari_4dstem_orient.io.load import load_frames

    with reading(path, "a probe", folder=True) as path:
        return probe_from_vacuum(load_frames(path, dataset))


def _read_region(scan: Scan, region: tuple[slice, slice] | None) -> np.ndarray:
    """Return patterns of a region of the scan, evenly thinned to ``VACUUM_PATTERNS``."""
    rows, cols = scan.scan_shape
    flat = np.arange(rows * cols).reshape(rows, cols)[region if region is not None else ...].ravel()
    if not len(flat):
        raise UserError(
            f"The vacuum region {_describe(region)} holds no scan position: the scan is {rows} × {cols}."
        )
    step = -(-len(flat) // VACUUM_PATTERNS)
    check_room(2 * 4 * len(flat[::step]) * math.prod(scan.detector_shape), "What the vacuum patterns hold")
    return np.stack([scan.pattern(*divmod(int(index), cols)) for index in flat[::step]])


def _describe(region: tuple[slice, slice] | None) -> str | None:
    if region is None:
        return None
    return ", ".join(f"{part.start or 0}:{'end' if part.stop is None else part.stop}" for part in region)


def _cut_out(mean: np.ndarray, beam: DirectBeam) -> np.ndarray:
    """Return a mean pattern, softly cut off around its beam, which lies on pixel (0, 0) then and is wrapped."""
    from scipy import ndimage

    y, x = np.ogrid[: mean.shape[0], : mean.shape[1]]
    beyond = np.hypot(y - beam.center[0], x - beam.center[1]) - beam.radius - 1
    softness = np.clip(beyond / max(2.0, beam.radius / 2), 0, 1)
    cut = mean * np.cos(0.5 * np.pi * softness) ** 2
    return ndimage.shift(cut, (-beam.center[0], -beam.center[1]), order=1, mode="grid-wrap")


def _kernel(disk: np.ndarray, apart: np.ndarray, radius: float) -> np.ndarray:
    """Return a disk about pixel (0, 0) minus a ring that fades as sin² out to ``TRENCH`` radii, both of sum 1.

    py4DSTEM's "sigmoid" kernel; ``apart`` is each pixel's distance from the middle.
    """
    ring = np.cos(0.5 * np.pi * np.clip(apart / (TRENCH * radius), 0, 1)) ** 2
    return np.ascontiguousarray(disk / disk.sum() - ring / ring.sum(), np.float32)

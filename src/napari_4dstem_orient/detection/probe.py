"""The template that the detection looks for in every pattern: what a Bragg disk looks like."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from napari_4dstem_orient.detection.direct_beam import find_direct_beam
from napari_4dstem_orient.detection.engine import quiet
from napari_4dstem_orient.detection.patterns import aligned_mean
from napari_4dstem_orient.detection.radius import LARGEST, LEAST, find_radius
from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.io.checks import check_patterns
from napari_4dstem_orient.io.reading import check_room, mapped, reading
from napari_4dstem_orient.scan import Scan

TRENCH = 2.5
"""Outer radius, in disk radii, of the negative ring that makes the template blind to an even background."""

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
        """Conjugate Fourier transform of the kernel, computed once."""
        return np.conj(np.fft.fft2(self.kernel))

    @property
    def doubt(self) -> str:
        """A sentence where its radius is doubtful; else empty."""
        return str(self.provenance.get("doubt", ""))

    @property
    def image(self) -> np.ndarray:
        """The kernel with its disk in the middle, to look at."""
        return np.fft.fftshift(self.kernel)


def estimate_radius(scan: Scan, samples: int = 32) -> float:
    """Return the radius of a scan's disks in pixels, as ``radius.find_radius`` finds it."""
    return find_radius(scan, samples).px


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


def synthetic_probe(radius: float, shape: tuple[int, int], width: float = 1.0) -> Probe:
    """Draw a disk template.

    Parameters
    ----------
    radius : float
        Disk radius in pixels.
    shape : (int, int)
        Detector pixels along (y, x).
    width : float
        Softness of the disk's edge in pixels.

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
    with quiet():
        from py4DSTEM.braggvectors.probe import Probe as Py4DProbe

        template = Py4DProbe.generate_synthetic_probe(radius, width, shape)
    center = (shape[0] / 2, shape[1] / 2)
    return Probe(
        _kernel(template, radius, center),
        float(radius),
        "synthetic",
        {"radius": float(radius), "width": float(width)},
    )


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
        If the region is empty or shows no direct beam.
    """
    if isinstance(source, Scan):
        name, patterns = source.source, _read_region(source, region)
    else:
        name, patterns = "memory", np.asarray(source, np.float32).reshape(-1, *source.shape[-2:])
    mean = aligned_mean(patterns)
    beam = find_direct_beam(mean)
    if beam.radius > LARGEST * min(mean.shape):
        raise UserError(
            f"{name} shows no probe: its bright patch has a radius of {beam.radius:.3g} px on a detector of "
            f"{mean.shape[0]} × {mean.shape[1]} pixels; take a vacuum frame with the scan's own aperture."
        )
    with quiet():
        from py4DSTEM.braggvectors.probe import Probe as Py4DProbe

        template = Py4DProbe.from_vacuum_data(
            mean, threshold=0.2, expansion=max(2.0, beam.radius / 2), opening=max(1, int(beam.radius / 4))
        )
    return Probe(
        _kernel(template, beam.radius, beam.center),
        beam.radius,
        "vacuum" if region is None else "region",
        {"source": name, "patterns": len(patterns), "region": _describe(region), "radius": beam.radius},
    )


def probe_from_file(path: str | Path, dataset: str | None = None) -> Probe:
    """Measure a disk template on a file of vacuum patterns.

    Parameters
    ----------
    path : str or Path
        Any 4D-STEM file, a NumPy array file or, with ``dataset``, an image or stack within an HDF5 file.
    dataset : str, optional
        Path of the dataset within the file.

    Raises
    ------
    UserError
        If the file cannot be read or shows no direct beam.
    """
    with reading(path, "a probe", folder=True) as path:
        patterns = _images(path, dataset)
        if patterns is None:
            from napari_4dstem_orient.io.load import inspect, load

            # Of a flat stack, or a single frame, the scan shape does not matter.
            flat = [facts for facts in inspect(path).datasets if facts.flat and dataset in (None, facts.name)]
            shape = (1, flat[0].patterns) if len(flat) == 1 and flat[0].scan_shape is None else None
            return probe_from_vacuum(load(path, dataset, shape))
        probe = probe_from_vacuum(patterns)
    return Probe(probe.kernel, probe.radius, "vacuum", {**probe.provenance, "source": str(path)})


def _images(path: Path, dataset: str | None) -> np.ndarray | None:
    """Return a file's single image or stack of images, or None if it is something for ``load``."""
    if not path.is_file():
        return None
    if path.suffix == ".npy":
        array = mapped(path)
    elif dataset is not None:
        import h5py

        from napari_4dstem_orient.io import hdf5_access as hdf5

        if not h5py.is_hdf5(path):
            return None
        with hdf5.open_file(path) as file:
            found = hdf5.member(file, dataset)
            stack = isinstance(found, h5py.Dataset) and found.ndim in (2, 3)
            array = hdf5.array(file, dataset) if stack else np.zeros(0)
    else:
        return None
    if array.ndim not in (2, 3):
        return None
    if array.dtype.kind not in "uifb" or not array.size:
        raise UserError(
            f"{path.name} holds {array.dtype} of shape {array.shape}; a probe is measured on patterns of real numbers."
        )
    check_room(2 * 4 * array.size, "What the vacuum file holds")
    images = np.asarray(array, np.float32)
    check_patterns(images.reshape(-1, *images.shape[-2:]), "the vacuum file", path.name)
    return images


def _read_region(scan: Scan, region: tuple[slice, slice] | None) -> np.ndarray:
    """Return patterns of a region of the scan, evenly thinned to ``VACUUM_PATTERNS``."""
    rows, cols = scan.scan_shape
    flat = np.arange(rows * cols).reshape(rows, cols)[region if region is not None else ...].ravel()
    if not len(flat):
        raise UserError(
            f"The vacuum region {_describe(region)} holds no scan position: the scan is {rows} × {cols}."
        )
    step = -(-len(flat) // VACUUM_PATTERNS)
    return np.stack([scan.pattern(*divmod(int(index), cols)) for index in flat[::step]])


def _describe(region: tuple[slice, slice] | None) -> str | None:
    if region is None:
        return None
    return ", ".join(f"{part.start or 0}:{'end' if part.stop is None else part.stop}" for part in region)


def _kernel(template: Any, radius: float, center: tuple[float, float]) -> np.ndarray:
    kernel = template.get_kernel(mode="sigmoid", radii=(0, TRENCH * radius), origin=center)
    return np.ascontiguousarray(kernel, np.float32)

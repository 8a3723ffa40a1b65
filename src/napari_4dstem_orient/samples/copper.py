"""Sample "Copper polycrystal (simulated)": a small scan whose every orientation is known.

``tools/make_copper_sample.py`` computed the ground truth and the disks of every position; the images are
drawn here, with a diffuse background and Poisson noise, when they are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import h5py
import numpy as np

from napari_4dstem_orient.core.resource_files import resource
from napari_4dstem_orient.core.scan import Calibration, Scan
from napari_4dstem_orient.samples.lazy import poisson_scan


@dataclass(frozen=True, eq=False)
class CopperTruth:
    """What the simulated scan shows, by construction.

    Attributes
    ----------
    rotation : ndarray, float32, shape (48, 64, 3, 3)
        Orientation matrices in this program's frame (g_lab = Rᵀ g_crystal); without meaning in vacuum.
    grain : ndarray, int16, shape (48, 64)
        Grain number, -1 in vacuum.
    vacuum : ndarray, bool, shape (48, 64)
        No film: the direct beam only.
    boundary : ndarray, bool, shape (48, 64)
        Within one position of a grain boundary, where the pattern mixes both grains.
    """

    rotation: np.ndarray
    grain: np.ndarray
    vacuum: np.ndarray
    boundary: np.ndarray


def copper_truth() -> CopperTruth:
    """Return the ground truth of the copper sample."""
    with h5py.File(resource("samples", "copper.h5")) as file:
        return CopperTruth(**{name: values[()] for name, values in file["truth"].items()})


def copper_polycrystal(magnify: int = 1, descan: bool = True) -> Scan:
    """Open the sample: a simulated film of twelve copper grains at 300 kV, with bending, vacuum and noise.

    Parameters
    ----------
    magnify : int
        So many times 128 pixels along each side of the detector; the sample itself has 1.
    descan : bool
        Whether the direct beam wanders over the scan, as it does in the sample, or stays in the middle.

    Returns
    -------
    Scan
        uint16, shape (48, 64, magnify * 128, magnify * 128), drawn when read.
    """
    drawing = _drawing() if descan else _drawing().centred()
    drawing = drawing.magnified(magnify)
    rows, cols = drawing.beam.shape[:2]
    name = f"copper-polycrystal-{magnify}-{descan}"
    data = poisson_scan(
        name, (rows, cols, *drawing.detector_shape), drawing.expected, drawing.seed, np.uint16
    )
    metadata = {
        "title": "Copper polycrystal (simulated)",
        "crystal": "Cu",
        "simulated": "Simulated by tools/make_copper_sample.py; nothing was measured.",
        "electrons_per_pattern": drawing.dose,
    }
    return Scan(data, drawing.calibration, source="sample: Copper polycrystal (simulated)", metadata=metadata)


@dataclass(frozen=True, eq=False)
class _Drawing:
    """The disks of every position (row, col, electrons, uneven_row, uneven_col) and how to draw them."""

    offsets: np.ndarray
    disks: np.ndarray
    beam: np.ndarray
    diffuse: np.ndarray
    radius: float
    dose: float
    seed: int
    detector_shape: tuple[int, int]
    q_pixel: float
    calibration: Calibration

    def centred(self) -> _Drawing:
        """Return the same patterns with the direct beam in the middle of the detector."""
        beam = np.broadcast_to(np.array(self.detector_shape) / 2, self.beam.shape)
        disks = self.disks.copy()
        disks[:, :2] += np.repeat((beam - self.beam).reshape(-1, 2), np.diff(self.offsets), axis=0)
        return replace(self, beam=beam, disks=disks)

    def magnified(self, times: int) -> _Drawing:
        """Return the same patterns, of as many electrons, on a detector of finer pixels."""
        if times == 1:
            return self
        q_pixel, (rows, cols) = self.q_pixel / times, self.detector_shape
        return replace(
            self,
            disks=self.disks * np.array([times, times, 1, 1, 1], np.float32),
            beam=self.beam * times,
            radius=self.radius * times,
            detector_shape=(rows * times, cols * times),
            q_pixel=q_pixel,
            calibration=self.calibration.with_(q_pixel=q_pixel),
        )

    def expected(self, row: int, columns: slice) -> np.ndarray:
        """Return the mean counts of some positions of a scan row, shape (n, det_y, det_x)."""
        scan_cols = self.beam.shape[1]
        flat = row * scan_cols + np.arange(scan_cols)[columns]
        first, last = self.offsets[flat[0]], self.offsets[flat[-1] + 1]
        owner = np.repeat(np.arange(len(flat)), np.diff(self.offsets[flat[0] : flat[-1] + 2]))
        return self._background(row, columns) + self._draw(len(flat), owner, self.disks[first:last])

    def _draw(self, patterns: int, owner: np.ndarray, disks: np.ndarray) -> np.ndarray:
        """Add up disks with soft rims, brighter on one side than on the other."""
        reach = int(np.ceil(self.radius)) + 1
        window = np.arange(-reach, reach + 1)
        centre = np.rint(disks[:, :2]).astype(int)
        row = (centre[:, 0, None] + window)[:, :, None]
        col = (centre[:, 1, None] + window)[:, None, :]
        down, across = row - disks[:, 0, None, None], col - disks[:, 1, None, None]
        cover = np.clip(self.radius + 0.5 - np.hypot(down, across), 0, 1)
        slope = 1 + (down * disks[:, 3, None, None] + across * disks[:, 4, None, None]) / self.radius
        shape = cover * np.maximum(slope, 0)
        electrons = shape / cover.sum(axis=(1, 2), keepdims=True) * disks[:, 2, None, None]
        images = np.zeros((patterns, *self.detector_shape))
        row, col, who = np.broadcast_arrays(row, col, owner[:, None, None])
        inside = (row >= 0) & (row < self.detector_shape[0]) & (col >= 0) & (col < self.detector_shape[1])
        np.add.at(images, (who[inside], row[inside], col[inside]), electrons[inside])
        return images

    def _background(self, row: int, columns: slice) -> np.ndarray:
        """Return diffuse scattering: a halo and two soft rings, as of an amorphous layer."""
        beam = self.beam[row, columns]
        pixel_row, pixel_col = np.indices(self.detector_shape)
        distance = np.hypot(pixel_row - beam[:, 0, None, None], pixel_col - beam[:, 1, None, None])
        k = distance * self.q_pixel
        rings = np.exp(-(((k - 0.48) / 0.07) ** 2)) + 0.5 * np.exp(-(((k - 0.83) / 0.09) ** 2))
        shape = 1 / (1 + (k / 0.25) ** 2) ** 1.5 + 0.06 * rings
        amount = self.dose * self.diffuse[row, columns, None, None]
        return amount * shape / shape.sum(axis=(1, 2), keepdims=True)


@lru_cache(maxsize=1)
def _drawing() -> _Drawing:
    with h5py.File(resource("samples", "copper.h5")) as file:
        attrs = file.attrs
        return _Drawing(
            offsets=file["disks/offsets"][()],
            disks=file["disks/rows"][()],
            beam=file["beam"][()],
            diffuse=file["diffuse"][()],
            radius=float(attrs["disk_radius"]),
            dose=float(attrs["dose"]),
            seed=int(attrs["seed"]),
            detector_shape=(int(attrs["detector_shape"][0]), int(attrs["detector_shape"][1])),
            q_pixel=float(attrs["q_pixel"]),
            calibration=Calibration(
                voltage=float(attrs["voltage"]),
                q_pixel=float(attrs["q_pixel"]),
                r_pixel=float(attrs["r_pixel"]),
                semiangle=float(attrs["semiangle"]),
                q_pixel_from="file",
                rotation_from="file",
            ),
        )

"""Patterns drawn disk by disk, with the truth."""

import dask.array as da
import numpy as np

from napari_4dstem_orient.core.scan import Scan

Q_PIXEL = 0.0328


WAVELENGTH = 0.0197


def draw_disk(shape, row, col, radius, edge=0.7):
    y, x = np.ogrid[: shape[0], : shape[1]]
    distance = np.hypot(y - row, x - col)
    return 1 / (1 + np.exp(np.clip(4 * (distance - radius) / edge, -50, 50)))


def scan_of(patterns):
    return Scan(da.from_array(np.asarray(patterns, np.float32)[None]), source="drawn")


def kinematic_patterns(phase, electrons, count=16, size=128, radius=2.3, seed=4):
    """Draw patterns of random orientations with counting noise; return them and (row, col, electrons) of each disk."""
    rng = np.random.default_rng(seed)
    reflections = phase.reflections(2.1)
    y, x = np.ogrid[:size, :size]
    halo = np.exp(-np.hypot(y - size / 2, x - size / 2) / (size / 8))
    patterns, truth = [], []
    for _ in range(count):
        rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        g = reflections.g @ rotation
        miss = g[:, 2] - WAVELENGTH * (g**2).sum(1) / 2
        strength = reflections.intensity / reflections.intensity.max() * np.exp(-((miss / 0.02) ** 2)) * 0.1
        center = size / 2 + rng.normal(0, 0.4, 2)
        place = center + g[:, :2] / Q_PIXEL
        shown = (strength > 1e-4) & (np.abs(place - size / 2).max(1) < size / 2 - radius - 2)
        rows = np.vstack([[*center, 1.0], np.c_[place, strength][shown]])
        image = sum(value * draw_disk((size, size), row, col, radius) for row, col, value in rows)
        scale = 0.9 * electrons / image.sum()
        patterns.append(rng.poisson(image * scale + 0.1 * electrons * halo / halo.sum()))
        truth.append(rows * [1, 1, scale * np.pi * radius**2])
    return np.array(patterns, np.float32), truth

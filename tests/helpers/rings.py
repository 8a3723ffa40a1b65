"""Disks on the rings of made crystals, round and elliptical, as a detection finds them."""

from dataclasses import replace

import numpy as np

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.crystals.phase import Phase

Q_PIXEL = 0.0328


IRON = Phase(
    "Fe", (2.87, 2.87, 2.87, 90, 90, 90), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), np.full(2, 26), np.ones(2)
)


TITANIUM = Phase(
    "Ti",
    (2.95, 2.95, 4.68, 90, 90, 120),
    np.array([[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]]),
    np.full(2, 22),
    np.ones(2),
)


def disks_of(phase, q_pixel=Q_PIXEL, scatter=0.4, false=0.25, patterns=80, grains=80, middle=64):
    """Draw patterns of randomly turned crystals, with scattered positions and false disks."""
    rng = np.random.default_rng(1)
    reflections = phase.reflections(1.4 * middle * q_pixel)
    turns = [np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(grains)]
    lists = []
    for index in range(patterns):
        g = reflections.g @ turns[index % grains]
        miss = g[:, 2] - 0.0197 * (g**2).sum(axis=1) / 2
        strength = reflections.intensity * np.exp(-((miss / 0.02) ** 2))
        place = g[:, :2] / q_pixel
        shown = (strength > 2e-3 * reflections.intensity.max()) & (np.abs(place).max(axis=1) < middle - 3)
        place = place[shown] + rng.normal(0, scatter, (shown.sum(), 2))
        wrong = rng.uniform(3 - middle, middle - 3, (round(false * len(place)), 2))
        rows = np.r_[
            [[0, 0, 5 * reflections.intensity.max()]],
            np.c_[place, strength[shown]],
            np.c_[wrong, np.full(len(wrong), 2e-3 * reflections.intensity.max())],
        ]
        lists.append(rows + np.array([middle, middle + 1.5, 0]))
    return BraggDisks.from_lists((1, patterns), lists, detector_shape=(2 * middle, 2 * middle))


CENTRE = 64, 65.5


def elliptical(disks, ratio, axis):
    """Stretch what ``disks_of`` drew along an axis, in degrees from qx towards qy."""
    x, y = disks.qx - CENTRE[0], disks.qy - CENTRE[1]
    along = np.array([np.cos(np.deg2rad(axis)), np.sin(np.deg2rad(axis))])
    e = (ratio - 1) / (ratio + 1)
    part = x * along[0] + y * along[1]
    x, y = x * (1 - e) + 2 * e * part * along[0], y * (1 - e) + 2 * e * part * along[1]
    return replace(disks, qx=np.float32(x + CENTRE[0]), qy=np.float32(y + CENTRE[1]))

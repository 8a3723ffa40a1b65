"""Tell whether a camera counted its electrons one by one, from the places where they lie apart."""

from __future__ import annotations

import numpy as np

APART = 0.25
"""Electrons in a pixel of the surroundings, at most, where they lie apart."""
ELECTRONS, TWINS = 100, 20
"""So many must lie apart, and so many beside another, to tell."""
ONE, DOUBLE, ROUNDED = (0.85, 1.25), (0.7, 1.6), 0.1
"""Bounds of what the noise tells of an electron, in steps, and of pixels with two electrons over pixels beside another
with one, where electrons are counted: rounded sums have no two beside nothing, electrons of which two pixels hear have
too many neighbours. Below the last share numbers are rounded."""


def counts_electrons(images: np.ndarray, step: float) -> bool | None:
    """Tell whether each electron adds one ``step`` to one pixel; False: it is rounded away; None: nobody can tell.

    Electrons that lie apart hardly show the crystal: their squares exceed the products of neighbours by their own noise
    alone. What is left of disks is smooth, so products along both axes take its second difference away, as
    v·(v − 2 v₁ + v₁₁) for neighbours beside (1) and across (11).

    Parameters
    ----------
    images : ndarray, shape (n, det_y, det_x)
    step : float
        The smallest difference of two values.
    """
    from scipy import ndimage

    if step <= 0:
        return None
    electrons, twins, double, noise = np.zeros(4)
    for image in images:
        value = np.rint(np.asarray(image, np.float64) / step)
        if np.abs(value * step - image).max() > 1e-3 * step:
            return None
        wide, near = (ndimage.uniform_filter(value, side) * side**2 for side in (7, 3))
        inner = np.s_[3:-3, 3:-3]
        here = np.where((wide - near)[inner] < APART * (7**2 - 3**2), value[inner], 0)
        lines = value[:-2] + value[2:]
        beside = (value[:, :-2] + value[:, 2:])[3:-3, 2:-2] + lines[2:-2, 3:-3]
        across = (lines[:, :-2] + lines[:, 2:])[2:-2, 2:-2]
        electrons += here.sum()
        twins += (here * beside).sum() / 4
        double += (here * (here - 1)).sum()
        noise += (here * (here - beside / 2 + across / 4)).sum()
    if electrons < ELECTRONS or twins < TWINS:
        return None
    if double < ROUNDED * twins:
        return False
    return (
        True if ONE[0] <= noise / electrons <= ONE[1] and DOUBLE[0] <= double / twins <= DOUBLE[1] else None
    )

"""Diffraction patterns as pictures: measured ones, predicted ones, and marks over both. Knows no Qt."""

from __future__ import annotations

import numpy as np

GAMMA = 0.5
"""Weak disks matter as much as strong ones."""
DIRECT_BEAM = 0.05
"""Share of the detector around the direct beam that does not count for a picture's contrast."""
FINE = 560
"""Pixels across a picture at least, so that thin circles can be drawn."""
LINE = 1.0
"""Half the width of a circle's line in fine pixels."""
DASHES, DASH = 6, 0.6
"""Dashes around a circle, and the share of it that they cover."""


def measured_picture(pattern: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Scale a pattern from black (0) to white (1) for its reflections: the direct beam may be all white."""
    rows, cols = np.indices(pattern.shape, sparse=True)
    beside = np.hypot(rows - origin[0], cols - origin[1]) > DIRECT_BEAM * min(pattern.shape)
    black, white = np.nanpercentile(pattern, 40), np.nanpercentile(pattern[beside], 99.9)
    return np.clip((pattern - black) / max(white - black, 1e-6), 0, 1)


def predicted_picture(
    positions: np.ndarray, intensity: np.ndarray, shape: tuple[int, int], origin: np.ndarray, radius: float
) -> np.ndarray:
    """Draw a predicted pattern as the detector would see it.

    Parameters
    ----------
    positions : ndarray, shape (n, 2)
        Detector pixels from the direct beam.
    intensity : ndarray, shape (n,)
        The strongest is drawn as 1.
    shape : (int, int)
        Pixels of the detector.
    origin : ndarray, shape (2,)
        Pixel of the direct beam.
    radius : float
        Radius of a disk in pixels.

    Returns
    -------
    ndarray, float32
        Disks with soft edges; the direct beam is as bright as the strongest spot.
    """
    picture = np.zeros(shape, np.float32)
    intensity = np.append(intensity / intensity.max(initial=1e-12), 1.0)
    centres = np.vstack([positions, np.zeros((1, 2))]) + origin
    where, distance, which = _around(centres, radius, shape)
    np.maximum.at(picture, where, np.clip(radius + 0.5 - distance, 0, 1) * intensity[which])
    return picture


def fineness(shape: tuple[int, ...]) -> int:
    """Return into how many fine pixels a detector pixel is cut along each axis."""
    return max(1, -(-FINE // min(shape[:2])))


class Circles:
    """Thin circles around some pixels of a picture, drawn onto as many pictures as one likes.

    Parameters
    ----------
    shape : (int, int)
        Pixels of the picture.
    centres : ndarray, shape (n, 2)
        Pixels of the picture.
    radius : float
        Pixels of the picture.
    colour : (int, int, int)
        Red, green, blue, 0 to 255.
    """

    def __init__(
        self, shape: tuple[int, int], centres: np.ndarray, radius: float, colour: tuple[int, int, int]
    ) -> None:
        self._fine = fine = fineness(shape)
        self._shape = (shape[0] * fine, shape[1] * fine)
        middle = centres * fine + (fine - 1) / 2
        (rows, cols), distance, which = _around(middle, radius * fine + LINE, self._shape)
        strength = LINE + 0.5 - np.abs(distance - radius * fine)
        near = strength > 0
        self._rows, self._cols, self._which = rows[near], cols[near], which[near]
        self._strength = np.minimum(strength[near], 1)
        angle = np.arctan2(self._rows - middle[self._which, 0], self._cols - middle[self._which, 1])
        self._in_dash = angle * (DASHES / (2 * np.pi)) % 1 < DASH
        self._colour = np.array(colour, np.float32)

    def over(self, picture: np.ndarray, dashed: np.ndarray | None = None) -> np.ndarray:
        """Return a picture (0 to 1) in grey, cut into finer pixels, under the circles.

        Parameters
        ----------
        picture : ndarray, shape (y, x)
        dashed : ndarray of bool, shape (n,), optional
            Circles drawn with dashes; none by default.

        Returns
        -------
        ndarray, uint8, shape (f y, f x, 3)
            f is ``fineness`` of the picture's shape.
        """
        grey = np.rint(255 * picture**GAMMA).astype(np.uint8)
        rgb = np.repeat(grey.repeat(self._fine, axis=0).repeat(self._fine, axis=1)[..., None], 3, axis=2)
        drawn = slice(None) if dashed is None else self._in_dash | ~dashed[self._which]
        _blend(rgb, self._rows[drawn], self._cols[drawn], self._strength[drawn], self._colour)
        return rgb


def draw_crosses(
    rgb: np.ndarray, centres: np.ndarray, radius: float, fine: int, colour: tuple[int, int, int]
) -> None:
    """Draw a small × at some pixels of a picture that was cut into ``fine`` finer ones, onto it.

    Parameters
    ----------
    rgb : ndarray, uint8, shape (f y, f x, 3)
    centres : ndarray, shape (n, 2)
        Pixels before the cutting, as ``radius`` is.
    radius : float
        Half the side of the square that a × fills.
    fine : int
    colour : (int, int, int)
        Red, green, blue, 0 to 255.
    """
    middle = centres * fine + (fine - 1) / 2
    (rows, cols), _, which = _around(middle, radius * fine, rgb.shape[:2])
    down, right = rows - middle[which, 0], cols - middle[which, 1]
    strength = LINE + 0.5 - np.abs(np.abs(down) - np.abs(right)) / np.sqrt(2)
    near = (strength > 0) & (np.maximum(np.abs(down), np.abs(right)) <= radius * fine)
    _blend(rgb, rows[near], cols[near], np.minimum(strength[near], 1), np.array(colour, np.float32))


def _blend(
    rgb: np.ndarray, rows: np.ndarray, cols: np.ndarray, strength: np.ndarray, colour: np.ndarray
) -> None:
    """Mix a colour into some pixels; where two lines meet, the stronger counts."""
    line = np.zeros(rgb.shape[:2], np.float32)
    np.maximum.at(line, (rows, cols), strength.astype(np.float32))
    where = np.nonzero(line)
    share = line[where][:, None]
    rgb[where] = np.rint((1 - share) * rgb[where] + share * colour).astype(np.uint8)


def _around(
    centres: np.ndarray, radius: float, shape: tuple[int, ...]
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray]:
    """Return the pixels near each centre: (rows, columns), distance from it, and which centre."""
    window = np.arange(int(np.ceil(2 * radius)) + 3)
    corner = np.floor(centres - radius).astype(int) - 1
    rows, cols = np.broadcast_arrays(
        corner[:, 0, None, None] + window[:, None], corner[:, 1, None, None] + window[None, :]
    )
    distance = np.hypot(rows - centres[:, 0, None, None], cols - centres[:, 1, None, None])
    inside = (rows >= 0) & (rows < shape[0]) & (cols >= 0) & (cols < shape[1])
    which = np.broadcast_to(np.arange(len(centres))[:, None, None], inside.shape)
    return (rows[inside], cols[inside]), distance[inside], which[inside]

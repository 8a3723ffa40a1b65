"""Bragg disks of a whole scan in one flat buffer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

_VALUES = ("qx", "qy", "intensity", "uncertainty", "snr")
"""What each disk has; the last two where the detection told them."""

SURE = 3.0
"""Signal-to-noise ratio from which on a peak is shown and counted as a disk: of those that noise alone makes, one in
some hundreds reaches it."""


@dataclass(frozen=True, eq=False)
class BraggDisks:
    """The ragged lists of Bragg disks of all scan positions, as one flat buffer (CSR).

    The disks of flat scan position ``i`` (row-major) are ``offsets[i]:offsets[i + 1]``.

    Attributes
    ----------
    scan_shape : (int, int)
        Scan positions along (y, x).
    offsets : ndarray, int64, shape (scan_y * scan_x + 1,)
    qx, qy : ndarray, float32, shape (n,)
        Position along the detector's first (qx) and second (qy) axis: detector pixels as detected; Å⁻¹ from
        the direct beam and in the scan frame once ``calibrated``.
    intensity : ndarray, float32, shape (n,)
        Correlation with the probe template, as the detection engine gives it.
    uncertainty : ndarray, float32, shape (n,), or None
        Standard deviation of qx, and of qy, in their unit; None where the detection did not tell.
    snr : ndarray, float32, shape (n,), or None
        Signal-to-noise ratio: height of the disk over the standard deviation of the correlation at its place; None
        where the detection did not tell.
    calibrated : bool
        Whether qx, qy are in Å⁻¹, centred and turned into the scan frame.
    detector_shape : (int, int) or None
        Detector pixels along (y, x), where known.
    reach : float or None
        |q| in Å⁻¹ up to which the detector sees every direction, where known (calibrated disks).
    provenance : dict
        The settings that made the disks, as plain JSON values.
    origin : ndarray, float64, shape (scan_y, scan_x, 2), or None
        The direct beam along (qx, qy) in detector pixels where the file of the disks tells it.
    """

    scan_shape: tuple[int, int]
    offsets: np.ndarray
    qx: np.ndarray
    qy: np.ndarray
    intensity: np.ndarray
    calibrated: bool = False
    detector_shape: tuple[int, int] | None = None
    reach: float | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    uncertainty: np.ndarray | None = None
    snr: np.ndarray | None = None
    origin: np.ndarray | None = None

    def __post_init__(self) -> None:
        positions = self.scan_shape[0] * self.scan_shape[1]
        if len(self.offsets) != positions + 1 or self.offsets[0] != 0 or np.any(np.diff(self.offsets) < 0):
            raise ValueError(f"offsets do not describe {positions} scan positions")
        if not len(self.qx) == len(self.qy) == len(self.intensity) == self.offsets[-1]:
            raise ValueError("qx, qy, intensity and offsets disagree about the number of disks")
        for name in ("uncertainty", "snr"):
            values = getattr(self, name)
            if values is not None and len(values) != self.offsets[-1]:
                raise ValueError(f"{name} and offsets disagree about the number of disks")

    @classmethod
    def from_lists(
        cls, scan_shape: tuple[int, int], lists: Sequence[np.ndarray], **fields: Any
    ) -> BraggDisks:
        """Join one (n_i, 3) array of (qx, qy, intensity) for each scan position, row-major."""
        counts = np.fromiter((len(rows) for rows in lists), dtype=np.int64, count=len(lists))
        flat = np.concatenate(
            [np.zeros((0, 3), np.float32), *(np.asarray(r, np.float32).reshape(-1, 3) for r in lists)]
        )
        return cls(
            scan_shape,
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            np.ascontiguousarray(flat[:, 0], np.float32),
            np.ascontiguousarray(flat[:, 1], np.float32),
            np.ascontiguousarray(flat[:, 2], np.float32),
            **fields,
        )

    @classmethod
    def join(cls, parts: Sequence[BraggDisks]) -> BraggDisks:
        """Put scan rows that ``rows`` took apart together again; what is not a disk comes from the first part.

        Raises
        ------
        ValueError
            No part, or parts of different width, units or detectors.
        """
        kinds = {(part.scan_shape[1], part.calibrated, part.detector_shape, part.reach) for part in parts}
        if len(kinds) != 1:
            raise ValueError(f"parts of {len(kinds)} kinds do not make one scan")
        counts = np.concatenate([np.diff(part.offsets) for part in parts])
        full = [part.values for part in parts if len(part)] or [parts[0].values]
        joined: list[Any] = [
            np.concatenate([values[name] for values in full])
            if all(name in values for values in full)
            else None
            for name in _VALUES
        ]
        told = [part.origin for part in parts if part.origin is not None]
        return replace(
            parts[0],
            origin=np.concatenate(told) if len(told) == len(parts) else None,
            scan_shape=(sum(part.scan_shape[0] for part in parts), parts[0].scan_shape[1]),
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            **dict(zip(_VALUES, joined, strict=True)),
        )

    def __len__(self) -> int:
        return len(self.qx)

    @property
    def values(self) -> dict[str, Any]:
        """The flat arrays that hold one value for each disk, by name."""
        return {name: getattr(self, name) for name in _VALUES if getattr(self, name) is not None}

    @property
    def counts(self) -> np.ndarray:
        """Number of disks at each scan position, shape (scan_y, scan_x)."""
        return np.diff(self.offsets).reshape(self.scan_shape)

    @property
    def owner(self) -> np.ndarray:
        """Flat scan position of every disk, shape (n,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def at(self, row: int, col: int) -> np.ndarray:
        """Return the disks of one scan position as an (n, 3) array of (qx, qy, intensity)."""
        flat = row * self.scan_shape[1] + col
        part = slice(self.offsets[flat], self.offsets[flat + 1])
        return np.stack([self.qx[part], self.qy[part], self.intensity[part]], axis=1)

    def rows(self, start: int, stop: int) -> BraggDisks:
        """Return the disks of scan rows ``start`` to ``stop - 1``, as a scan of their own."""
        cols = self.scan_shape[1]
        ends = self.offsets[start * cols : stop * cols + 1]
        part = slice(ends[0], ends[-1])
        values = {name: array[part] for name, array in self.values.items()}
        origin = None if self.origin is None else self.origin[start:stop]
        return replace(self, scan_shape=(stop - start, cols), offsets=ends - ends[0], origin=origin, **values)

    def sure(self, least: float = SURE) -> BraggDisks:
        """Return the disks of at least this signal-to-noise ratio; all where it is not known.

        To show, count, export and calibrate with; an indexer weighs the others too.
        """
        return self if self.snr is None else self.where(self.snr >= least)

    def where(self, keep: np.ndarray) -> BraggDisks:
        """Return the disks for which ``keep``, bool (n,), is true."""
        offsets = np.concatenate([[0], np.cumsum(keep)])[self.offsets].astype(np.int64)
        return replace(self, offsets=offsets, **{name: array[keep] for name, array in self.values.items()})

    def with_others(self, others: BraggDisks) -> BraggDisks:
        """Return these disks and others of the same scan, the strongest of each position first."""
        owner = np.concatenate([self.owner, others.owner])
        values = {name: np.concatenate([array, getattr(others, name)]) for name, array in self.values.items()}
        order = np.lexsort((-values["intensity"], owner))
        joined = {name: array[order] for name, array in values.items()}
        return replace(self, offsets=self.offsets + others.offsets, **joined)

    def only(self, row: int, col: int) -> BraggDisks:
        """Return a 1 × 1 scan holding the disks of one position."""
        return self.take(np.array([row * self.scan_shape[1] + col]))

    def take(self, positions: np.ndarray) -> BraggDisks:
        """Return a scan of one column, whose rows hold the disks of these flat positions (n,)."""
        counts = self.offsets[positions + 1] - self.offsets[positions]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        index = np.arange(offsets[-1]) + np.repeat(self.offsets[positions] - offsets[:-1], counts)
        values = {name: array[index] for name, array in self.values.items()}
        origin = None if self.origin is None else self.origin.reshape(-1, 1, 2)[positions]
        return replace(self, scan_shape=(len(positions), 1), offsets=offsets, origin=origin, **values)

    def padded(
        self, length: int, positions: slice | np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return disks as a dense block, the strongest ``length`` of each position first.

        Parameters
        ----------
        length : int
            Disks kept for each position.
        positions : slice or ndarray of int, optional
            Flat scan positions to take; all by default.

        Returns
        -------
        block : ndarray, float32, shape (n, length, 3 to 5)
            (qx, qy, intensity), then snr where the disks have it, then uncertainty where they have that too; zero
            beyond the last disk.
        mask : ndarray, bool, shape (n, length)
            True where there is a disk.
        """
        flat = np.arange(len(self.offsets) - 1)[positions if positions is not None else slice(None)]
        counts = self.offsets[flat + 1] - self.offsets[flat]
        width = int(max(counts.max(initial=0), 1))
        place = np.arange(width)
        inside = place < counts[:, None]
        index = np.where(inside, self.offsets[flat][:, None] + place, 0)
        columns = [self.qx, self.qy, self.intensity]
        if self.snr is not None:
            columns += [self.snr] if self.uncertainty is None else [self.snr, self.uncertainty]
        block = np.zeros((len(flat), width, len(columns)), np.float32)
        if len(self):
            for axis, values in enumerate(columns):
                block[..., axis] = np.where(inside, values[index], 0)
        order = np.argsort(np.where(inside, -block[..., 2], np.inf), axis=1, kind="stable")[:, :length]
        block = np.take_along_axis(block, order[..., None], axis=1)
        inside = np.take_along_axis(inside, order, axis=1)
        if width < length:
            block = np.pad(block, ((0, 0), (0, length - width), (0, 0)))
            inside = np.pad(inside, ((0, 0), (0, length - width)))
        return block, inside

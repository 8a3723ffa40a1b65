"""A 4D-STEM scan that is never assumed to fit in memory, and what calibrates it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_4dstem_orient.core.errors import UserError

if TYPE_CHECKING:
    import dask.array as da


LARGEST_DISTORTION = 0.2
"""A detector that stretches rings by more than this, relatively, was not set up for diffraction."""

PLAUSIBLE_REACH = (0.4, 8.0)
"""Å⁻¹: a detector that sees less, or more, was probably given its pixel size in another unit."""

VOLTAGES = (1.0, 3500.0)
"""kV: between these electron microscopes run."""

UNCHECKED = {
    **dict.fromkeys(
        ("unknown", "file", "typed"), "the detector's pixel size was not checked against a crystal"
    ),
    "instrument": "the detector's pixel size is that of the instrument, and was not checked in this scan",
    "doubtful": "the fit of the detector's pixel size to a crystal is doubtful",
}
"""What speaks against a pixel size, by where it comes from."""

ROTATION_FROM = ("unknown", "file", "typed", "instrument")
"""Where rotation and flip may come from."""


@dataclass(frozen=True)
class Calibration:
    """What turns detector pixels and scan steps into physical units; ``None`` means unknown.

    Attributes
    ----------
    voltage : float or None
        Accelerating voltage in kV.
    q_pixel : float or None
        Size of a detector pixel in Å⁻¹.
    r_pixel : float or None
        Scan step in nm; where those along the two axes differ, their geometric mean.
    r_aspect : float
        Step down the rows over that along them; 1 where they are equal.
    semiangle : float or None
        Convergence semiangle in mrad.
    rotation : float
        Angle in degrees that turns detector axes into scan axes (py4DSTEM's ``QR_rotation``).
    flip : bool
        Whether the detector axes are exchanged before that turn (py4DSTEM's ``QR_flip``).
    rotation_from : str
        Where rotation and flip come from: one of ``ROTATION_FROM``.
    q_pixel_from : str
        Where ``q_pixel`` comes from: ``"unknown"``, ``"file"``, ``"typed"``, ``"fitted"`` to a crystal,
        ``"instrument"`` (remembered of a microscope), or ``"doubtful"``, which is a fit that one should not trust.
    precession : float
        Half-angle of the precession cone in degrees; 0 for a still beam.
    distortion : (float, float)
        How the detector shows a ring of radius R: as R (1 + e cos 2(φ - φ0)), with φ from the detector's first axis
        towards its second; given as (e cos 2φ0, e sin 2φ0). It is undone before that turn; (0, 0) for none.
    unclear : str
        What the file tells of pixel sizes and steps and nothing can be made of, such as ``"detector pixels of 1.0
        'nm'"``; empty for nothing.
    """

    voltage: float | None = None
    q_pixel: float | None = None
    r_pixel: float | None = None
    semiangle: float | None = None
    rotation: float = 0.0
    flip: bool = False
    q_pixel_from: str = "unknown"
    precession: float = 0.0
    distortion: tuple[float, float] = (0.0, 0.0)
    unclear: str = ""
    r_aspect: float = 1.0
    rotation_from: str = "unknown"

    def __post_init__(self) -> None:
        along, aslant = map(float, self.distortion)
        object.__setattr__(self, "distortion", (along, aslant))  # JSON has only lists
        if not np.hypot(along, aslant) < LARGEST_DISTORTION:
            raise UserError(
                f"The calibration's distortion is {self.distortion}; both numbers together must be below "
                f"{LARGEST_DISTORTION:g}, such as 0.01 for rings that are 2 % longer than wide."
            )
        for name in ("voltage", "q_pixel", "r_pixel", "semiangle", "r_aspect"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise UserError(
                    f"The calibration's {name} is {value}; it must be a positive number or left empty."
                )
        if not math.isfinite(self.rotation):
            raise UserError(f"The calibration's rotation is {self.rotation}; it must be a number of degrees.")
        if self.rotation_from not in ROTATION_FROM:
            raise UserError(
                f"The calibration's rotation comes from {self.rotation_from!r}; it must be one of "
                f"{', '.join(ROTATION_FROM)}."
            )
        if self.voltage is not None and not VOLTAGES[0] <= self.voltage <= VOLTAGES[1]:
            raise UserError(_no_such_voltage(self.voltage))
        if not 0 <= self.precession < 10:
            raise UserError(
                f"The precession angle is {self.precession}; it must be between 0 and 10 degrees."
            )

    def with_(self, **changes: Any) -> Calibration:
        """Return a copy with the given fields replaced; a scan step given alone is that along both axes."""
        alone = {"r_aspect": 1.0} if "r_pixel" in changes else {}
        return replace(self, **{**alone, **changes})

    @property
    def steps(self) -> tuple[float, float] | None:
        """Scan steps in nm down the rows and along them; None where they are unknown."""
        return both_steps(self.r_pixel, self.r_aspect)

    @property
    def rotation_is_known(self) -> bool:
        """Whether somebody or something told how the detector is turned in the scan, if only that it is not."""
        return self.rotation_from != "unknown" or bool(self.rotation or self.flip)

    @property
    def exploratory(self) -> tuple[str, ...]:
        """Why maps made with this calibration are for a first look only; empty where nothing speaks against it."""
        reasons = []
        if self.voltage is None:
            reasons.append("the accelerating voltage is not known")
        if self.q_pixel is None:
            reasons.append("the detector's pixel size is not known")
        elif self.q_pixel_from in UNCHECKED:
            reasons.append(UNCHECKED[self.q_pixel_from])
        if not self.rotation_is_known:
            reasons.append("how the detector is turned in the scan (rotation) is not known")
        return tuple(reasons)


def kilovolts(number: float) -> float | None:
    """Return a voltage given in kV, or else in V, in kV; None where it is neither's."""
    low, high = VOLTAGES
    return next((value for value in (number, number / 1e3) if low <= value <= high), None)


def _no_such_voltage(given: float) -> str:
    meant = kilovolts(given) or kilovolts(given * 1e3)
    likely = f": was {meant:g} kV meant?" if meant else "."
    return (
        f"The voltage is {given:g} kV, but electron microscopes run between {VOLTAGES[0]:g} and "
        f"{VOLTAGES[1]:g} kV{likely}"
    )


def both_steps(r_pixel: float | None, r_aspect: float) -> tuple[float, float] | None:
    """Return the steps down the rows and along them, from their geometric mean and their ratio."""
    return None if r_pixel is None else (r_pixel * math.sqrt(r_aspect), r_pixel / math.sqrt(r_aspect))


@dataclass(frozen=True, eq=False)
class Opened:
    """How an array of patterns was opened, so that another process can open it too.

    Attributes
    ----------
    array : dask array, shape (scan_y, scan_x, det_y, det_x)
        What was opened; a scan with other data than this forgets where they came from.
    opener : callable
        Opens the file's scan again; pickled by its name, so a function of a module.
    arguments : dict
        Of ``opener``, such as path, dataset, scan_shape, voltage.
    rows : (int, int)
        The scan rows taken, first and one past the last.
    """

    array: da.Array
    opener: Callable[..., Scan]
    arguments: dict[str, Any]
    rows: tuple[int, int]


@dataclass(frozen=True, eq=False)
class RowSlice:
    """Rows of a larger array: dask, asked for a part of a part, would read the whole part first.

    Attributes
    ----------
    rows, whole : dask array
    first : int
        Where in the whole they begin.
    """

    rows: da.Array
    whole: da.Array
    first: int


@dataclass(frozen=True, eq=False)
class Scan:
    """A lazy 4D dataset: a diffraction pattern at every scan position.

    Attributes
    ----------
    data : dask array, shape (scan_y, scan_x, det_y, det_x)
        Counts; nothing is read until a pattern is asked for.
    calibration : Calibration
        What the file, or the user, says about units.
    source : str
        The file (and dataset within it) or sample it came from.
    metadata : dict
        Whatever else the file says, as plain JSON values.
    opened : Opened or None
        How to open the file again: a pickled scan holds this instead of the patterns.
    stored : (int, int)
        Scan rows and columns that the file keeps together (an HDF5 chunk, say): read in part, they are decompressed
        as a whole all the same.
    cut : Cut or None
        Where rows were cut out; a scan with other data forgets it.
    """

    data: da.Array
    calibration: Calibration = field(default_factory=Calibration)
    source: str = "memory"
    metadata: dict[str, Any] = field(default_factory=dict)
    opened: Opened | None = None
    stored: tuple[int, int] = (1, 1)
    cut: RowSlice | None = None

    def __post_init__(self) -> None:
        if self.data.ndim != 4:
            raise UserError(
                f"{self.source} has {self.data.ndim} dimensions; a scan has four (scan_y, scan_x, det_y, det_x)."
            )

    @property
    def reopens(self) -> Opened | None:
        """How to open exactly these data again; None where they are not a file's."""
        return self.opened if self.opened and self.opened.array is self.data else None

    def __reduce__(self) -> Any:
        rest = self.calibration, self.source, self.metadata
        if (opened := self.reopens) is None:
            return Scan, (self.data, *rest)
        told = opened.opener, opened.arguments, opened.rows, self.data.shape, str(self.data.dtype)
        return _open_again, (*told, *rest)

    @property
    def scan_shape(self) -> tuple[int, int]:
        """Number of scan positions along (y, x)."""
        return self.data.shape[0], self.data.shape[1]

    @property
    def detector_shape(self) -> tuple[int, int]:
        """Number of detector pixels along (y, x)."""
        return self.data.shape[2], self.data.shape[3]

    def pattern(self, row: int, col: int) -> np.ndarray:
        """Return one diffraction pattern, float32 of shape (det_y, det_x)."""
        row, col = range(self.data.shape[0])[row], range(self.data.shape[1])[col]
        return self.read(slice(row, row + 1), slice(col, col + 1))[0]

    def rows(self, start: int, stop: int) -> Scan:
        """Return scan rows ``start`` to ``stop - 1``, as a scan of their own."""
        data, opened = self.data[start:stop], self.reopens
        whole, before = self._whole
        if opened is not None:
            first = opened.rows[0]
            opened = replace(opened, array=data, rows=(first + start, first + stop))
        return replace(self, data=data, opened=opened, cut=RowSlice(data, whole, before + start))

    def batches(self, patterns: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Read each pattern once: whole rows in order, or, where a file keeps several rows together, such blocks.

        Parameters
        ----------
        patterns : int
            About how many patterns to hold at once; at least what the file keeps together.

        Yields
        ------
        where : ndarray of int, shape (n,)
            Flat scan positions (row-major) of the batch.
        block : ndarray, float32, shape (n, det_y, det_x)
            Their patterns.
        """
        number = np.arange(self.data.shape[0] * self.data.shape[1]).reshape(self.scan_shape)
        high, wide = self.stored
        step_cols = min(self.scan_shape[1], max(wide, patterns // high // wide * wide))
        step_rows = max(high, patterns // step_cols // high * high)
        first = self.opened.rows[0] if self.opened else 0
        for rows in _aligned(self.scan_shape[0], step_rows, first % high):
            for cols in _aligned(self.scan_shape[1], step_cols):
                yield number[rows, cols].ravel(), self.read(rows, cols)

    @property
    def _whole(self) -> tuple[da.Array, int]:
        """What to read from, and where in it this scan begins."""
        cut = self.cut
        return (cut.whole, cut.first) if cut is not None and cut.rows is self.data else (self.data, 0)

    def read(self, rows: slice, cols: slice) -> np.ndarray:
        """Read the patterns of a block of positions, float32 of shape (n, det_y, det_x)."""
        whole, first = self._whole
        block = whole[rows.start + first : rows.stop + first, cols].compute(scheduler="synchronous")
        return np.asarray(block, np.float32).reshape(-1, *self.detector_shape)

    def with_calibration(self, calibration: Calibration) -> Scan:
        """Return the same data under another calibration."""
        return replace(self, calibration=calibration)


def _aligned(size: int, step: int, begun: int = 0) -> Iterator[slice]:
    """Cut 0 … size into steps, of which the first was begun so much earlier."""
    for start in range(-begun, size, step):
        yield slice(max(start, 0), min(start + step, size))


def _open_again(
    opener: Callable[..., Scan],
    arguments: dict[str, Any],
    rows: tuple[int, int],
    shape: tuple[int, ...],
    dtype: str,
    calibration: Calibration,
    source: str,
    metadata: dict[str, Any],
) -> Scan:
    """Open a file for a scan that arrived from another process."""
    scan = opener(**arguments).rows(*rows)
    if scan.data.shape != shape or str(scan.data.dtype) != dtype:
        raise UserError(f"{source} is not the same file everywhere; copy it again.")
    return replace(scan, calibration=calibration, source=source, metadata=metadata)

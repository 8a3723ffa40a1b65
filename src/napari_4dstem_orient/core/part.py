"""A part of a scan: a region of interest, or every nth position for a first look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from napari_4dstem_orient.core.errors import UserError

if TYPE_CHECKING:
    import dask.array as da

    from napari_4dstem_orient.core.scan import Calibration


@dataclass(frozen=True)
class Part:
    """Which positions of a scan are read; they make a scan of their own.

    Attributes
    ----------
    rows, cols : (int, int or None)
        The first, and one past the last; None for the scan's end.
    every : int
        Of them every so manieth down the rows and along them.
    """

    rows: tuple[int, int | None] = (0, None)
    cols: tuple[int, int | None] = (0, None)
    every: Annotated[int, {"min": 1, "max": 1000}] = 1

    def of(self, array: da.Array) -> da.Array:
        """Return the part of an array of patterns, shape (scan_y, scan_x, det_y, det_x).

        Raises
        ------
        UserError
            There is no such part.
        """
        found = array[slice(*self.rows, self.every), slice(*self.cols, self.every)]
        if 0 in found.shape[:2] or min(self.rows[0], self.cols[0]) < 0:
            rows, cols = array.shape[:2]
            raise UserError(f"The scan has {rows} × {cols} positions, of which {self} holds none.")
        return found

    def region(self, rows: tuple[int, int], cols: tuple[int, int]) -> Part:
        """Return a region of this part, given in its own positions, first and one past the last, of the whole scan."""
        spans = [
            (begun + first * self.every, begun + (stop - 1) * self.every + 1)
            for (begun, _), (first, stop) in ((self.rows, rows), (self.cols, cols))
        ]
        return Part(spans[0], spans[1], self.every)

    def steps(self, known: Calibration) -> Calibration:
        """Return a scan's calibration with the distance of the positions that are read."""
        if known.r_pixel is None:
            return known
        return known.with_(r_pixel=known.r_pixel * self.every, r_aspect=known.r_aspect)

    def __str__(self) -> str:
        """Return it in words."""
        names = ("rows", self.rows), ("columns", self.cols)
        region = [
            f"{name} {start} to {'the last' if stop is None else stop - 1}"
            for name, (start, stop) in names
            if (start, stop) != (0, None)
        ]
        told = [", ".join(region), f"every {self.every}th position" if self.every > 1 else ""]
        return ", ".join(filter(None, told)) or "all of it"

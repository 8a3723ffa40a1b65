"""What an export is: each writer says it of itself, and the registry lists them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from napari_4dstem_orient.core.orientation_map import OrientationMap


@dataclass(frozen=True)
class Export:
    """One kind of file that a map can leave as.

    Attributes
    ----------
    title : str
        What is in it.
    ending : str
        What follows the stem of its name, such as ``".ang"`` or ``"_orix.h5"``.
    write : callable
        ``write(orientation_map, path)``, and by name what it takes beside these.
    readers : str
        What opens it.
    takes : tuple of str
        Of ``"disks"`` and ``"calibration"``, either of which may be None, and ``"channel"``.
    channels : callable, optional
        ``channels(orientation_map)`` returns those that become a file each; all that there may be, without a map.
    whole : bool
        Whether one file holds all crystals of the patterns; else each has a file of its own.
    hdf5 : str
        What the attribute ``format`` of an HDF5 file says after the program's name (``core.ours.sign``).
    """

    title: str
    ending: str
    write: Callable[..., None]
    readers: str = ""
    takes: tuple[Literal["disks", "calibration", "channel"], ...] = ()
    channels: Callable[[OrientationMap | None], list[str]] | None = None
    whole: bool = False
    hdf5: str = ""

    @property
    def plain(self) -> bool:
        """Whether a map is all it takes, and a usual suffix tells it from the others."""
        return not self.takes and Path(f"map{self.ending}").suffix == self.ending

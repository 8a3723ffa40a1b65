"""What this program wrote, told by its contents: that a command line replaces without ``--force``, and nothing else.

HDF5 files have an attribute ``format``; texts begin a line with the program's name and version, perhaps after what
makes it a comment; pictures, models and checkpoints have it in their header.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import h5py

from napari_4dstem_orient.core.atomic import writing
from napari_4dstem_orient.core.hdf5_access import whether
from napari_4dstem_orient.core.reading import is_regular

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROGRAM = "napari-4dstem-orient"

_HDF5 = b"\x89HDF\r\n\x1a\n"
_HEAD = 2**20
_LINE = re.compile(
    rb'^((# |# OPERATOR: |Author\t)?napari-4dstem-orient \d|\s*"program": "napari-4dstem-orient)',
    re.MULTILINE,
)
_ANYWHERE = re.compile(rb"napari-4dstem-orient \d")


def signature() -> str:
    """Return what our files say of who made them."""
    from napari_4dstem_orient.core.version import VERSION

    return f"{PROGRAM} {VERSION}"


def save_picture(figure: Figure, path: str | Path, dpi: int = 150) -> None:
    """Write a matplotlib figure as a PNG that says who made it.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    with writing(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format="png", metadata={"Software": signature()})


def sign(file: h5py.File, kind: str) -> None:
    """Write into an HDF5 file what it is and who made it."""
    file.attrs["format"] = f"{PROGRAM} {kind}"


def made_here(path: Path, kind: str = "") -> bool:
    """Tell whether a file is one that this program made.

    Parameters
    ----------
    path : Path
    kind : str
        What it would be replaced by, where that is an HDF5 file (as ``sign`` is told): it replaces only its own kind.
        Nothing else replaces an HDF5 file.
    """
    if not is_regular(path):  # looking into a pipe would wait for ever
        return False
    if kind:
        return whether(path, lambda file: file.attrs.get("format") == f"{PROGRAM} {kind}")
    try:
        with path.open("rb") as opened:
            head = opened.read(_HEAD)
    except OSError:
        return False
    if head.startswith(_HDF5):
        return False
    return bool((_ANYWHERE if b"\0" in head else _LINE).search(head))

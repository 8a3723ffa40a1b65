"""The crystals that come with the program, and how a phase is found by name or file."""

from __future__ import annotations

import os
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.resource_files import resource
from napari_4dstem_orient.crystals.cif.read import CifReading, inspect_cif
from napari_4dstem_orient.crystals.cif.text import BLOCK_AFTER, crystal_names
from napari_4dstem_orient.crystals.phase import Phase


def bundled() -> dict[str, Path]:
    """Return the CIFs that come with the program, by name ("Cu", "TiO2", ...), in alphabetical order."""
    return {path.stem: path for path in sorted(resource("crystals").glob("*.cif"))}


def find_phase(name_or_path: str | Path) -> Phase:
    """Return a bundled crystal (upper or lower case alike) or that of a CIF.

    Of a CIF that holds several crystals, ``FILE.cif::BLOCK`` names the data block.

    Raises
    ------
    UserError
        If there is neither such a crystal nor such a file, or the CIF is refused (see ``read_cif``).
    """
    return look_up(name_or_path).phase


def look_up(name_or_path: str | Path) -> CifReading:
    """Return a crystal as ``find_phase`` does, with notes on what is odd about its file but does no harm."""
    crystals = bundled()
    by_lower = {name.lower(): path for name, path in crystals.items()}
    wanted = str(name_or_path).strip()
    if wanted.lower() in by_lower:
        return _read_bundled(by_lower[wanted.lower()])
    file, _, block = wanted.partition(BLOCK_AFTER)
    if Path(file).suffix.lower() == ".cif" or os.path.exists(file):
        return inspect_cif(file, block or None)
    near = [by_lower[name].stem for name in get_close_matches(wanted.lower(), by_lower, n=3, cutoff=0.5)]
    hint = f" (nearest: {', '.join(near)})" if near else ""
    known = ", ".join(crystals)
    raise UserError(
        f"There is no crystal {wanted!r}{hint}; choose one of {known}, or give the path of a CIF."
    )


def crystals_in(path: str | Path) -> list[str]:
    """Return what ``find_phase`` takes for each crystal of a CIF: the file, or of several each block of it.

    Raises
    ------
    UserError
        If the file cannot be read or is not a CIF.
    """
    names = crystal_names(Path(path))
    return [str(path)] if len(names) < 2 else [f"{path}{BLOCK_AFTER}{name}" for name in names]


def title_of(source: str | Path) -> str:
    """Return what to call a source of ``find_phase`` in a list: the file's name, and the block's."""
    file, _, block = str(source).partition(BLOCK_AFTER)
    return f"{Path(file).stem} {block}".strip()


@cache
def _read_bundled(path: Path) -> CifReading:
    return inspect_cif(path)

"""The crystals that come with the program, and how a phase is found by name or file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.progress import Progress, silent
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


@dataclass(frozen=True)
class Gathered:
    """Crystals from many sources, each once.

    Attributes
    ----------
    crystals : dict of str to CifReading
        By what ``find_phase`` takes for each.
    left_out : dict of str to str
        Why, in a sentence, by source.
    """

    crystals: dict[str, CifReading] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def gather(sources: Iterable[str | Path], progress: Progress = silent) -> Gathered:
    """Look up crystals by name, file or folder of CIFs; what cannot be read does not keep the others away.

    Parameters
    ----------
    sources : iterable of str or Path
        Of a file with several crystals all are taken, of a folder all its CIFs.
    progress : Progress
        Called with (files read, all); may raise ``Cancelled``.
    """
    found, files = Gathered(), [file for source in sources for file in _files_of(str(source))]
    for done, file in enumerate(files, start=1):
        try:
            listed = crystals_in(file) if os.path.isfile(file) else [file]
        except UserError as error:
            found.left_out[file], listed = str(error), []
        for source in listed:
            _take(found, source)
        progress(done, len(files))
    return found


def _files_of(source: str) -> list[str]:
    """Return the CIFs of a folder, in alphabetical order; anything else as it is."""
    if not os.path.isdir(source):
        return [source]
    return sorted(str(path) for path in Path(source).iterdir() if path.suffix.lower() == ".cif")


def _take(found: Gathered, source: str) -> None:
    """Add a crystal unless it is there already."""
    try:
        reading = look_up(source)
    except UserError as error:
        found.left_out[source] = str(error)
        return
    for other, known in found.crystals.items():
        if known.phase.same_crystal(reading.phase):
            found.left_out[source] = f"It is the same crystal as {title_of(other)}."
            return
    found.crystals[source] = reading


def title_of(source: str | Path) -> str:
    """Return what to call a source of ``find_phase`` in a list: the file's name, and the block's."""
    file, _, block = str(source).partition(BLOCK_AFTER)
    return f"{Path(file).stem} {block}".strip()


@cache
def _read_bundled(path: Path) -> CifReading:
    return inspect_cif(path)

"""The text of a CIF: its data blocks and numbers, as they stand."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

from napari_4dstem_orient.errors import UserError

LARGEST = 10_000_000
"""Bytes; a longer file is not a crystal's CIF."""

Block = dict[str, Any]
"""One data block: lower-case names to a text or, from a loop, a list of texts."""
STRAY = "stray text"
"""Entry of a block for texts that belong to no name (a symbol with spaces and without quotes, say)."""


def crystal_block(path: Path) -> Block:
    """Return the one data block of a CIF that describes a crystal.

    Raises
    ------
    UserError
        If the file cannot be read, is not a CIF, or describes no crystal or several.
    """
    name = path.name
    crystals = [block for block in _blocks(path) if isinstance(block.get("_atom_site_fract_x"), list)]
    if not crystals:
        raise UserError(
            f"{name} lists no atoms with fractional coordinates; choose a CIF of a crystal structure."
        )
    if len(crystals) > 1:
        raise UserError(
            f"{name} holds {len(crystals)} crystals; put the one you want into a file of its own."
        )
    return crystals[0]


def _blocks(path: Path) -> list[Block]:
    """Split the file into its data blocks."""
    try:
        raw = path.read_bytes() if path.stat().st_size < LARGEST else b"\0"
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the path.") from error
    text = raw.decode("utf-8", errors="replace")
    text = re.sub(r"^\s*(loop_|data_)", lambda found: found[0].lower(), text, flags=re.I | re.M)
    parts = re.split(r"^\s*(?=data_\S)", text, flags=re.M)[1:]
    if b"\0" in raw or not parts:
        raise UserError(f"{path.name} is not a CIF (no data_ block in it); choose a crystal's .cif file.")
    try:
        return [_block(part) for part in parts]
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise UserError(
            f"{path.name} is a broken CIF ({error}); it may be cut short: get it again from its source."
        ) from error


def _block(text: str) -> Block:
    """Parse one data block, with what belongs to no name under ``STRAY``."""
    from pymatgen.io.cif import CifBlock

    with warnings.catch_warnings(record=True) as issues:
        warnings.simplefilter("always")
        block = CifBlock.from_str(text).data
    plain = {name.lower().replace(".", "_"): value for name, value in block.items()}
    return plain | {STRAY: [str(issue.message).rpartition(": ")[2] for issue in issues]}


def number(text: Any) -> float:
    """Return a CIF number without its standard uncertainty (``3.615(2)`` is 3.615), or NaN if it is none."""
    found = re.fullmatch(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?:\(\d*\)?)?", str(text).strip())
    return float(found[1]) if found else float("nan")

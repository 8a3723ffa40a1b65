"""What a job reads must never be what it writes."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from napari_4dstem_orient.core.errors import UserError

_NAMING = ("input", "source", "path", "file")


def refuse_inputs(output: str | Path, inputs: Iterable[str | Path]) -> None:
    """Refuse to write over a file, or into a folder, that is read.

    Parameters
    ----------
    output : path
    inputs : iterable of path
        May have a ``::/dataset`` after them; those that do not exist are nothing to lose.

    Raises
    ------
    UserError
    """
    for given in inputs:
        source = file_of(given)
        if os.path.isfile(source) or os.path.isdir(source):
            _refuse(Path(output).expanduser(), source)


def file_of(given: str | Path) -> Path:
    """Return the file of a path that may have a ``::/dataset`` after it."""
    path = Path(given).expanduser()
    return path if os.path.lexists(path) else Path(str(given).partition("::")[0]).expanduser()


def inputs_of(provenance: Mapping[str, Any]) -> Iterator[str]:
    """Yield the files that provenance, or a record's settings, name: scan, file of disks, vacuum pattern."""
    for key, value in provenance.items():
        if isinstance(value, Mapping):
            yield from inputs_of(value)
        elif key in _NAMING and isinstance(value, str) and value:
            yield value


def folded(path: Path) -> str:
    """Return a path as a file system knows it that does not tell capitals from small letters."""
    return unicodedata.normalize("NFC", os.path.realpath(path)).casefold()


def _is_one(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:  # one of them is not there yet
        return False


def _refuse(output: Path, source: Path) -> None:
    if _is_one(output, source):
        raise UserError(f"The output {output} is the input {source}; choose another name.")
    if folded(output) == folded(source):
        raise UserError(
            f"The output {output} is the input {source} where capitals and small letters are the same; "
            "choose another name."
        )
    within = Path(os.path.realpath(output)).parents if os.path.isdir(source) else ()
    if any(_is_one(folder, source) for folder in within):
        raise UserError(f"The output {output} lies in the input {source}; choose another folder.")

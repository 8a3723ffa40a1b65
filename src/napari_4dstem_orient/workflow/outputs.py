"""Whether a command may write what it is asked to, found out before it works."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from napari_4dstem_orient.core.atomic import check_writable
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.inputs import folded, refuse_inputs
from napari_4dstem_orient.core.ours import made_here
from napari_4dstem_orient.export.registry import FORMATS
from napari_4dstem_orient.io.companions import files_of
from napari_4dstem_orient.io.result import KIND


def check_replaceable(path: str | Path) -> None:
    """Refuse a result file of a script, before it works, that cannot be written or that somebody else made.

    Raises
    ------
    UserError
    """
    check_writable(path := Path(path).expanduser())
    if os.path.exists(path) and not made_here(path, KIND):
        raise UserError(
            f"{path} exists and was not made by this program; move it away, or run the script in another folder."
        )


def check_outputs(
    outputs: Iterable[tuple[Path, str]], inputs: Iterable[str | Path | None] = (), force: bool = False
) -> None:
    """Refuse outputs that would destroy something.

    Parameters
    ----------
    outputs : iterable of (Path, str)
        Each file to be written, and which export it is; anything else for what is none.
    inputs : iterable of path or None
        All that is read; it and what belongs to it are never replaced, forced or not.
    force : bool
        Replace also what this program did not make.

    Raises
    ------
    UserError
        A file cannot be written, is an input, would be written twice, or is somebody else's.
    """
    wanted = [(path.expanduser(), name) for path, name in outputs]
    sources = [file for given in inputs if given is not None for file in files_of(given)]
    known: dict[str, Path] = {}
    for path, _ in wanted:
        refuse_inputs(path, sources)
        if (twin := known.setdefault(folded(path), path)) is not path:
            raise UserError(f"{path} would be written twice, for {twin} too; choose another name.")
    for path, name in wanted:
        check_writable(path)
        kind = FORMATS[name].hdf5 if name in FORMATS else ""
        if os.path.exists(path) and not force and not made_here(path, kind):
            raise UserError(
                f"{path} exists and was not made by this command; choose another name, or add --force to replace it."
            )

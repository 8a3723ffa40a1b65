"""Write matplotlib figures as pictures that know where they come from. Knows no Qt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from napari_4dstem_orient.core.atomic import writing
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.inputs import inputs_of
from napari_4dstem_orient.core.orientation_map import why_exploratory

ABOUT = {".png": "Description", ".pdf": "Subject", ".svg": "Description"}
"""Suffixes of figures, and the field of each format's metadata that holds the provenance."""


def write_figure(figure: Figure, path: str | Path, about: Mapping[str, Any] | None = None) -> None:
    """Write a figure as its suffix says; where its provenance calls it exploratory, that stands below it.

    Parameters
    ----------
    figure : Figure
    path : path
    about : mapping, optional
        Provenance, written into the file's metadata as JSON text.

    Raises
    ------
    UserError
        The suffix is none of these, or the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in ABOUT:
        raise UserError(f"Cannot write {path}: figures end in .png, .pdf or .svg; choose one of these.")
    metadata = None if about is None else {ABOUT[suffix]: json.dumps(about, default=str, ensure_ascii=False)}
    if why := why_exploratory(about or {}):
        figure.text(0.01, 0, f"△ {why}", fontsize=7, va="top", wrap=True)
    with writing(path, inputs=inputs_of(about or {})) as temporary:
        figure.savefig(temporary, dpi=300, metadata=metadata, bbox_inches="tight" if why else None)

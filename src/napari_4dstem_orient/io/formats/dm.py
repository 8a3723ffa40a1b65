"""Gatan Digital Micrograph: .dm3 and .dm4."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.io.formats.axes import detector_first, from_axes
from napari_4dstem_orient.io.source import Source
from napari_4dstem_orient.io.units import kilovolts

NAME = "Digital Micrograph"
SUFFIXES = (".dm3", ".dm4")


def matches(path: Path) -> bool:
    """Whether the name is Digital Micrograph's."""
    return path.suffix.lower() in SUFFIXES


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the file's scans and stacks, mapped into memory."""
    from ncempy.io.dm import fileDM

    try:
        with contextlib.redirect_stdout(io.StringIO()), fileDM(str(path), on_memory=False) as file:
            return list(_objects(file, voltage))
    except UserError:
        raise
    except Exception as error:  # ncempy raises whatever it stumbles over
        raise UserError(f"{path.name} is cut short, or not a Digital Micrograph file ({error}).") from error


def _objects(file: Any, typed: float | None) -> Iterator[Source]:
    thumbnails = 1 if file.numObjects > 1 else 0
    voltage = typed or kilovolts(_tag(file, "Microscope Info.Voltage"))
    starts = np.cumsum([0, *file.dataShape])
    for number in range(file.numObjects - thumbnails):
        dimensions = int(file.dataShape[number + thumbnails])
        if dimensions not in (3, 4):
            continue
        data = file.getMemmap(number)
        first = starts[number + thumbnails]
        # Digital Micrograph counts the fastest axis first, NumPy last.
        axes = list(zip(file.scale, file.scaleUnit, strict=False))[first : first + dimensions][::-1]
        if data.ndim == 4 and detector_first(axes):
            data, axes = data.transpose(2, 3, 0, 1), [*axes[2:], *axes[:2]]
        if data.ndim in (3, 4) and data.dtype.kind in "uif":
            yield Source([data], "", from_axes(axes, voltage), _titan_shape(file))


def _titan_shape(file: Any) -> tuple[int, int] | None:
    """Return the scan shape that NCEM's TitanX notes beside its flat stacks."""
    rows, cols = _tag(file, "4D STEM Tags.Scan shape Y"), _tag(file, "4D STEM Tags.Scan shape X")
    return (int(rows), int(cols)) if rows and cols else None


def _tag(file: Any, name: str) -> Any:
    return next((value for key, value in file.allTags.items() if name in key), None)

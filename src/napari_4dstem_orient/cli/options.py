"""The options that several commands share, each spelled and explained once."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.memory import EXPLAINED, LEAST_MEMORY
from napari_4dstem_orient.core.part import Part

if TYPE_CHECKING:
    import numpy as np

    from napari_4dstem_orient.analysis.strain.strain import Reference
    from napari_4dstem_orient.calibration.calibrate import CalibrationSettings
    from napari_4dstem_orient.crystals.phase import Phase
    from napari_4dstem_orient.workflow.instruments import Instrument
    from napari_4dstem_orient.workflow.store import Partial

NO_MODEL = "none"
"""In place of a model file: templates alone propose."""

Input = Annotated[
    str, typer.Argument(help="A 4D dataset, or a file of Bragg peaks (py4DSTEM).", metavar="INPUT")
]
Phases = Annotated[
    list[str],
    typer.Option(
        "--phase",
        help="A CIF file or the name of a bundled crystal; again for more. FILE.cif::BLOCK is one block of several.",
        metavar="CIF|NAME",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar=f"FILE|{NO_MODEL}",
        help="The transformer's trained model; by default the shipped ones that fit. Crystals without one are found "
        "by templates.",
    ),
]


class EngineName(StrEnum):
    """Whose code computes; both find the same."""

    torch = "torch"
    py4DSTEM = "py4DSTEM"


Engine = Annotated[
    EngineName,
    typer.Option(
        help="What finds disks and matches templates: torch, many patterns at once, or py4DSTEM's own code (the extra "
        "py4dstem), one after another. Both find the same."
    ),
]
Device = Annotated[str, typer.Option(help="Where it is computed: auto, cpu, cuda or mps.")]
Dataset = Annotated[str | None, typer.Option(help="The dataset to read, of a file that holds several.")]
ScanShape = Annotated[
    str | None, typer.Option(help="Scan rows x columns of a flat stack of patterns, such as 256x256.")
]
Region = Annotated[
    str | None,
    typer.Option(
        help="A region of the scan: first row and one past the last, then columns.", metavar="R0:R1,C0:C1"
    ),
]
Every = Annotated[
    int | None,
    typer.Option(
        help="Of the scan every so manieth position, down the rows and along them, for a first look; a scan step given "
        "is then their distance.",
        min=1,
    ),
]
ProbeFile = Annotated[
    str | None, typer.Option(help="A vacuum scan or pattern to take the probe from.", metavar="FILE[::/path]")
]
ProbeRadius = Annotated[
    float | None,
    typer.Option(
        help="Radius of a disk; by default what the convergence angle says, or measured in the scan.",
        metavar="PX",
    ),
]
InstrumentName = Annotated[
    str | None,
    typer.Option(
        "--instrument",
        help="A microscope saved in the window by this name: it tells what neither the file nor another option does.",
        metavar="NAME",
    ),
]
Voltage = Annotated[float | None, typer.Option(help="Accelerating voltage.", metavar="kV")]
QPixel = Annotated[float | None, typer.Option(help="Size of a detector pixel.", metavar="Å⁻¹")]
FitPixel = Annotated[
    str | None,
    typer.Option(
        help="Fit the detector pixel to the rings of this crystal, which must be in the scan. What is known of the "
        "pixel is the guess, and stays where the fit is doubtful.",
        metavar="CIF|NAME",
    ),
]
RPixel = Annotated[float | None, typer.Option(help="Scan step.", metavar="nm")]
Semiangle = Annotated[float | None, typer.Option(help="Convergence semiangle.", metavar="mrad")]
Rotation = Annotated[
    float | None, typer.Option(help="Turn from detector axes to scan axes.", metavar="degrees")
]
Precession = Annotated[
    float | None, typer.Option(help="Half-angle of the precession cone.", metavar="degrees")
]
Flip = Annotated[
    bool | None, typer.Option("--flip/--no-flip", help="Exchange the detector axes before that turn.")
]

Origin = Annotated[
    str | None,
    typer.Option(
        help="Where the direct beam lies: auto (the file's own, else what the beams say), plane, parabola, constant, "
        "each (pattern its own), or its row and column in px, such as 63.5,64.",
        metavar="auto|plane|parabola|each|constant|ROW,COL",
    ),
]
StrainReference = Annotated[
    str,
    typer.Option(
        help="What strain is against: ideal (the crystal, with one pixel size fitted to the map), grain (each grain's "
        "mean), or the mean of a region, as rows,columns such as 0:10,0:20.",
        metavar="ideal|grain|ROWS,COLS",
    ),
]
StrainAxes = Annotated[
    str,
    typer.Option(
        help="Along which axes strain is given: those of the scan (x down the rows), of each grain (a, b or c), or a "
        "crystal direction projected into the plane, such as 1,1,0.",
        metavar="scan|grain|U,V,W",
    ),
]
Memory = Annotated[
    int,
    typer.Option(
        help=EXPLAINED,
        metavar="MiB",
        min=LEAST_MEMORY,
    ),
]
Workers = Annotated[
    int | None, typer.Option(help="Spread the job over so many processes of this machine.", min=1)
]
ClusterAddress = Annotated[
    str | None,
    typer.Option(
        "--cluster", help="Spread it over the workers of a running Dask scheduler.", metavar="tcp://HOST:PORT"
    ),
]

Force = Annotated[
    bool,
    typer.Option("--force", help="Replace files that this command did not make; never what it reads."),
]


def one_of(entries: Mapping[str, Any], help: str, without: str = "") -> Any:
    """Return an option whose value, or each of whose values, is a key; packages may add some."""

    def check(given: str | list[str] | None) -> str | list[str] | None:
        for key in [given] if isinstance(given, str) else given or ():
            if key not in entries or key == without:
                raise typer.BadParameter(f"{key!r} is not one of {', '.join(keys)}.")
        return given

    keys = [key for key in entries if key != without]
    return typer.Option(help=help, metavar=f"<{'|'.join(keys)}>", callback=check)


def read_origin(text: str | None) -> CalibrationSettings | None:
    """Return how the direct beam is found, given as ``--origin``."""
    if text is None:
        return None
    from napari_4dstem_orient.calibration.calibrate import CalibrationSettings
    from napari_4dstem_orient.calibration.origin import ORIGINS

    if text in ORIGINS:
        return CalibrationSettings(text)
    try:
        row, col = (float(part) for part in text.split(","))
    except ValueError:
        row = col = float("nan")
    if not (math.isfinite(row) and math.isfinite(col)):
        raise UserError(
            f"--origin {text} is neither one of {', '.join(ORIGINS)} nor a row and a column in px, such as 63.5,64."
        )
    return CalibrationSettings(row=row, col=col)


def read_reference(text: str, scan_shape: tuple[int, int]) -> tuple[Reference, np.ndarray | None]:
    """Return what strain is against, and the region where it is one."""
    if text in ("ideal", "grain"):
        return ("ideal" if text == "ideal" else "grain"), None
    import numpy as np

    region = np.zeros(scan_shape, bool)
    try:
        (top, bottom), (left, right) = (map(int, part.split(":")) for part in text.split(","))
        region[top:bottom, left:right] = min(top, left) >= 0
    except ValueError:
        pass
    if not region.any():
        raise UserError(
            f"{text} is neither ideal, grain nor a region in a map of {scan_shape[0]} × {scan_shape[1]} positions; "
            "give first and last rows and columns, such as 0:10,0:20."
        )
    return "region", region


def read_phases(names: Sequence[str]) -> list[Phase]:
    """Return crystals by name or file, and say what is odd about the files but does no harm."""
    from napari_4dstem_orient.crystals.library import look_up

    phases = []
    for name in names:
        found = look_up(name)
        if found.notes:
            typer.echo(f"Note on {name}: {' '.join(found.notes)}", err=True)
        phases.append(found.phase)
    return phases


def named(parents: Sequence[str], given: Sequence[str], phases: Sequence[Phase]) -> tuple[str, ...]:
    """Return the names of those phases that are parents, which are told as the phases were given.

    Raises
    ------
    UserError
        One is none of these.
    """
    if unknown := [parent for parent in parents if parent not in given]:
        raise UserError(f"--parent {unknown[0]} is no phase; give it as --phase {unknown[0]} too.")
    return tuple(phase.name for text, phase in zip(given, phases, strict=True) if text in parents)


def read_probe(where: str | None, radius: float | None = None) -> float | str | None:
    """Return what a job says of its probe: a vacuum file, given as ``FILE`` or ``FILE::/path``, or a radius."""
    if where is not None and radius is not None:
        raise UserError("Give --probe or --probe-radius, not both: a measured probe has its radius.")
    return radius if where is None else where


def read_instrument(name: str | None) -> Instrument | None:
    """Return the instrument of a name, if one is given."""
    from napari_4dstem_orient.workflow.instruments import find_instrument

    return None if name is None else find_instrument(name)


def read_part(region: str | None, every: int | None) -> Part | None:
    """Return which positions of a scan are read; None for all of them."""
    if region is None:
        return None if every is None else Part(every=every)
    found = re.fullmatch(r"\s*(\d*):(\d*)\s*,\s*(\d*):(\d*)\s*", region)
    if found is None:
        raise UserError(f"The region {region} is not like 10:60,0:40: rows first, then columns.")
    top, bottom, left, right = (int(number) if number else None for number in found.groups())
    return Part((top or 0, bottom), (left or 0, right), every or 1)


def refuse_for_disks(source: str, given: Mapping[str, object]) -> None:
    """Refuse options, by name, that only a scan has a use for, where the input is a file of Bragg peaks."""
    from napari_4dstem_orient.io.bragg_peaks import is_disk_file

    if (names := [name for name, value in given.items() if value is not None]) and is_disk_file(source):
        raise UserError(
            f"{source} holds Bragg peaks, which have no use for {' and '.join(names)}; leave it out."
        )


def warn(doubts: Iterable[str]) -> None:
    """Print sentences about what may be wrong."""
    for doubt in doubts:
        typer.echo(f"Warning: {doubt}", err=True)


def tidy(partial: Partial) -> None:
    """Remove what was kept in case of an interruption, and say what is left of other runs."""
    if partial.remove():
        typer.echo(
            f"{partial.folder} holds parts of a run with other input or settings, or of another version; "
            "remove it if you need them no more.",
            err=True,
        )

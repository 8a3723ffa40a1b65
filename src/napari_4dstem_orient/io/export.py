"""Everything a map can leave as, in one call: what the command line and the export widget share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.io.atomic import make_folder

if TYPE_CHECKING:
    from napari_4dstem_orient.analysis.colors import LabAxis
    from napari_4dstem_orient.disks import BraggDisks
    from napari_4dstem_orient.orientation_map import OrientationMap
    from napari_4dstem_orient.scan import Calibration

FORMATS = {
    "h5": "Result file (.h5): everything, reopens here",
    "ang": "EDAX TSL text (.ang): MTEX, orix, OIM",
    "ctf": "Channel text file (.ctf): MTEX, orix, AZtec",
    "csv": "Table of the whole map (.csv): spreadsheets, pandas, R",
    "orix": "orix crystal map (_orix.h5): orix.io.load",
    "py4dstem": "Orientations for py4DSTEM (_py4dstem.emd): py4DSTEM.read",
    "emd": "Bragg disks for py4DSTEM (_disks.emd): py4DSTEM.read",
    "hspy": "Signals, and disks where there are (.hspy): HyperSpy, pyxem",
    "png": "Pictures with colour key and scale bar (.png)",
    "tiff": "Bare IPF layers with pixel size (.tif): ImageJ",
    "ome": "All layers with units (.ome.tif): Fiji, QuPath, napari",
}
"""What can be exported, and what for."""

_ENDINGS = {"orix": "_orix.h5", "py4dstem": "_py4dstem.emd", "emd": "_disks.emd", "ome": ".ome.tif"}

SHOWN: tuple[LabAxis, ...] = ("x", "y", "z")
"""Lab axes whose IPF colours are exported: two in plane and one out of plane."""


def export(
    orientation_map: OrientationMap,
    folder: str | Path,
    formats: Iterable[str],
    stem: str = "orientation",
    disks: BraggDisks | None = None,
    calibration: Calibration | None = None,
) -> list[Path]:
    """Write a map, and on request its disks, in several formats.

    Parameters
    ----------
    orientation_map : OrientationMap
    folder : path
        Made where it is missing.
    formats : iterable of str
        Any of ``FORMATS``.
    stem : str
        What the file names begin with.
    disks : BraggDisks, optional
        Needed for ``"emd"``; go into ``"hspy"`` where they are given.
    calibration : Calibration, optional
        Stored with the disks, and with the orientations for py4DSTEM.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    UserError
        Unknown format, no disks for ``"emd"``, or a file cannot be written.
    """
    wanted = list(dict.fromkeys(formats))
    if unknown := [name for name in wanted if name not in FORMATS]:
        raise UserError(f"There is no export format {', '.join(unknown)}; choose from {', '.join(FORMATS)}.")
    if "emd" in wanted and disks is None:
        raise UserError("There are no Bragg disks to export as emd; detect or load disks first.")
    base = make_folder(folder) / stem
    paths: list[Path] = []
    for name in wanted:
        if name in ("png", "tiff"):
            paths += _save_pictures(name, orientation_map, base)
        else:
            paths.append(_beside(base, _ENDINGS.get(name, f".{name}")))
            _save(name, orientation_map, paths[-1], disks, calibration)
    return paths


def _beside(base: Path, ending: str) -> Path:
    # Not with_suffix: the stem may hold a dot.
    return base.with_name(base.name + ending)


def _save(
    name: str,
    orientation_map: OrientationMap,
    path: Path,
    disks: BraggDisks | None,
    calibration: Calibration | None,
) -> None:
    """Write one of the formats that are one file."""
    from napari_4dstem_orient.io import (
        bragg_peaks,
        ebsd,
        layers,
        orix_maps,
        py4dstem_maps,
        result,
        signals,
        table,
    )

    if name == "emd":
        if disks is not None:
            bragg_peaks.save_disks(disks, path, calibration=calibration)
    elif name == "hspy":
        signals.save_hspy(orientation_map, path, disks, calibration)
    elif name == "py4dstem":
        py4dstem_maps.save_py4dstem_map(orientation_map, path, calibration)
    else:
        {
            "h5": result.save_map,
            "ang": ebsd.save_ang,
            "ctf": ebsd.save_ctf,
            "csv": table.save_csv,
            "orix": orix_maps.save_orix,
            "ome": layers.save_ome_tiff,
        }[name](orientation_map, path)


def _save_pictures(name: str, orientation_map: OrientationMap, base: Path) -> list[Path]:
    """Write the IPF maps, and as PNG the other pictures; return the files."""
    from napari_4dstem_orient.io import images

    paths = []
    for direction in SHOWN:
        paths.append(_beside(base, f"_ipf-{direction}{'.png' if name == 'png' else '.tif'}"))
        images.save_ipf_image(orientation_map, paths[-1], direction)
    return paths + (_save_other_pictures(orientation_map, base) if name == "png" else [])


def _save_other_pictures(orientation_map: OrientationMap, base: Path) -> list[Path]:
    """Write every other channel of the map, the phases where there are several; return the files."""
    from napari_4dstem_orient.analysis.channels import CHANNELS, channels_of
    from napari_4dstem_orient.io import images

    several = len(orientation_map.phases) > 1
    shown = [key for key in channels_of(orientation_map) if CHANNELS[key].axis is None]
    paths = []
    for key in shown if several else [key for key in shown if key != "phase"]:
        paths.append(_beside(base, f"_{key}.png"))
        images.save_channel_image(orientation_map, paths[-1], key)
    return paths

"""Everything a map can leave as, in one call: what the command line and the export widget share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.io.atomic import make_folder

if TYPE_CHECKING:
    from napari_4dstem_orient.analysis.colors import LabAxis
    from napari_4dstem_orient.disks import BraggDisks
    from napari_4dstem_orient.orientation_map import OrientationMap
    from napari_4dstem_orient.scan import Calibration

FORMATS = {
    "h5": "Result file (HDF5): everything, reopens here",
    "ang": "EDAX TSL text (.ang): MTEX, orix, OIM",
    "ctf": "Channel text file (.ctf): MTEX, orix, AZtec",
    "png": "Pictures with colour key and scale bar (.png)",
    "tiff": "Bare IPF layers with pixel size (.tif)",
    "emd": "Bragg disks for py4DSTEM (.emd)",
}
"""What can be exported, and what for."""

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
        Needed for ``"emd"``.
    calibration : Calibration, optional
        Stored with the disks.

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
        if name == "emd" and disks is not None:
            paths.append(_save_disks(disks, calibration, _beside(base, "_disks.emd")))
        else:
            paths += _save(name, orientation_map, base)
    return paths


def _beside(base: Path, ending: str) -> Path:
    # Not with_suffix: the stem may hold a dot.
    return base.with_name(base.name + ending)


def _save_disks(disks: BraggDisks, calibration: Calibration | None, path: Path) -> Path:
    from napari_4dstem_orient.io.bragg_peaks import save_disks

    save_disks(disks, path, calibration=calibration)
    return path


def _save(name: str, orientation_map: OrientationMap, base: Path) -> list[Path]:
    """Write one format; return its files."""
    from napari_4dstem_orient.io import ebsd, images, result

    if name in ("png", "tiff"):
        suffix = {"png": ".png", "tiff": ".tif"}[name]
        paths = []
        for direction in SHOWN:
            paths.append(_beside(base, f"_ipf-{direction}{suffix}"))
            images.save_ipf_image(orientation_map, paths[-1], direction)
        return paths + (_save_other_pictures(orientation_map, base) if name == "png" else [])
    path = _beside(base, f".{name}")
    {"h5": result.save_map, "ang": ebsd.save_ang, "ctf": ebsd.save_ctf}[name](orientation_map, path)
    return [path]


def _save_other_pictures(orientation_map: OrientationMap, base: Path) -> list[Path]:
    """Write the score, what is known of certainty and, where there are several, the phases; return the files."""
    from napari_4dstem_orient.io import images

    certainty, several = orientation_map.certainty, len(orientation_map.phases) > 1
    pictures = {"Score": orientation_map.score}
    if certainty is not None:
        pictures |= {"Reliability": certainty.reliability}
        pictures |= {"Phase margin": certainty.phase_margin} if several else {}
    paths = []
    for title, values in pictures.items():
        paths.append(_beside(base, f"_{title.lower().replace(' ', '-')}.png"))
        shown = np.where(orientation_map.indexed, values, np.nan)
        images.save_scalar_image(shown, paths[-1], title, "0 to 1", orientation_map.r_pixel)
    if several:
        paths.append(_beside(base, "_phase.png"))
        images.save_phase_image(orientation_map, paths[-1])
    return paths

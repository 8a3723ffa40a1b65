"""Everything a map can leave as, in one call: what the command line and the export widget share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.io.atomic import make_folder

if TYPE_CHECKING:
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
    return [path for name in wanted for path in _write(name, orientation_map, base, disks, calibration)]


def _write(
    name: str,
    orientation_map: OrientationMap,
    base: Path,
    disks: BraggDisks | None,
    calibration: Calibration | None,
) -> list[Path]:
    from napari_4dstem_orient.io import ebsd, images, result

    def named(ending: str) -> Path:
        return base.with_name(base.name + ending)

    if name == "png":
        return _write_pictures(orientation_map, named)
    if name == "tiff":
        paths = [named("_ipf-x.tif"), named("_ipf-z.tif")]
        for path, direction in zip(paths, ("x", "z"), strict=True):
            images.save_ipf_image(orientation_map, path, direction)
        return paths
    path = named("_disks.emd" if name == "emd" else f".{name}")
    if name == "emd":
        from napari_4dstem_orient.io.bragg_peaks import save_disks

        save_disks(disks, path, calibration=calibration)
    else:
        {"h5": result.save_map, "ang": ebsd.save_ang, "ctf": ebsd.save_ctf}[name](orientation_map, path)
    return [path]


def _write_pictures(orientation_map: OrientationMap, named) -> list[Path]:
    import numpy as np

    from napari_4dstem_orient.io import images

    paths = [named("_ipf-x.png"), named("_ipf-z.png"), named("_score.png")]
    for path, direction in zip(paths[:2], ("x", "z"), strict=True):
        images.save_ipf_image(orientation_map, path, direction)
    score = np.where(orientation_map.indexed, orientation_map.score, np.nan)
    images.save_scalar_image(
        score, paths[2], "Score", "share of the pattern explained", orientation_map.r_pixel
    )
    if len(orientation_map.phases) > 1:
        paths.append(named("_phase.png"))
        images.save_phase_image(orientation_map, paths[-1])
    return paths

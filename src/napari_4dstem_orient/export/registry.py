"""Everything a map can leave as, in one call: what the command line and the export widget share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_4dstem_orient.core.atomic import make_folder
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.progress import Progress, silent

if TYPE_CHECKING:
    from napari_4dstem_orient.analysis.colours import LabAxis
    from napari_4dstem_orient.core.bragg_disks import BraggDisks
    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.core.scan import Calibration

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
_PICTURES = {"png": ".png", "tiff": ".tif"}
_SAID, _LONGEST = 3, 300
"""Failures told one by one, for many of one export are alike; letters of what a library says."""

SHOWN: tuple[LabAxis, ...] = ("x", "y", "z")
"""Lab axes whose IPF colours are exported: two in plane and one out of plane."""


class ExportError(UserError):
    """Some files could not be written; the others are.

    Attributes
    ----------
    written : list of Path
    failed : list of UserError
        Why the others are not.
    """

    def __init__(self, written: list[Path], failed: list[UserError]) -> None:
        self.written, self.failed = written, failed
        told = "; ".join(str(error).rstrip(".") for error in failed[:_SAID])
        more = f"; and {len(failed) - _SAID} more" if len(failed) > _SAID else ""
        count = f"{len(failed)} of {len(failed) + len(written)} files not exported"
        super().__init__(f"{count}{' (the others are written)' if written else ''}: {told}{more}.")

    @property
    def worth_another_try(self) -> bool:
        """Whether a file failed for want of room or of a right to write, and not for what the map is."""
        return any(isinstance(error.__cause__, OSError | RuntimeError) for error in self.failed)


def export(
    orientation_map: OrientationMap,
    folder: str | Path,
    formats: Iterable[str],
    stem: str = "orientation",
    disks: BraggDisks | None = None,
    calibration: Calibration | None = None,
    progress: Progress = silent,
) -> list[Path]:
    """Write a map, and on request its disks, in several formats; what fails keeps nothing else from being written.

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
    progress : callable
        ``progress(done, total)`` in files.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ExportError
        No disks for ``"emd"``, a format that cannot hold the map, or a file cannot be written: all others are.
    UserError
        Unknown format, or the folder cannot be made.
    Cancelled
        ``progress`` raised it.
    """
    files = export_files(formats, stem, orientation_map)
    folder = make_folder(folder)
    written: list[Path] = []
    failed: list[UserError] = []
    for done, (file, name) in enumerate(files.items()):
        progress(done, len(files))
        try:
            _save(name, orientation_map, folder / file, disks, calibration)
            written.append(folder / file)
        except UserError as error:
            failed.append(error)
        except Exception as error:  # a defect with one file shall not keep the others waiting
            why = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST]
            failed.append(UserError(f"Cannot write {folder / file} ({why})."))
    if failed:
        raise ExportError(written, failed)
    return written


def export_files(
    formats: Iterable[str], stem: str, orientation_map: OrientationMap | None = None
) -> dict[str, str]:
    """Return the name of each file that ``export`` writes, and what is in it; without a map, of each it may write.

    Raises
    ------
    UserError
        Unknown format.
    """
    wanted = list(dict.fromkeys(formats))
    if unknown := [name for name in wanted if name not in FORMATS]:
        raise UserError(f"There is no export format {', '.join(unknown)}; choose from {', '.join(FORMATS)}.")
    files: dict[str, str] = {}
    for name in wanted:
        if name in _PICTURES:
            keys = _channels(name, orientation_map)
            files |= {f"{stem}_{key}{_PICTURES[name]}": key for key in keys}
        else:
            files[stem + _ENDINGS.get(name, f".{name}")] = name
    return files


def _channels(name: str, orientation_map: OrientationMap | None) -> list[str]:
    """Return the channels that become pictures: the IPF maps, and for people all others that say something."""
    from napari_4dstem_orient.analysis.channels import CHANNELS, channels_of

    ipf = [f"ipf-{direction}" for direction in SHOWN]
    if name != "png":
        return ipf
    known = list(CHANNELS) if orientation_map is None else channels_of(orientation_map)
    one_phase = orientation_map is not None and len(orientation_map.phases) == 1
    return ipf + [key for key in known if key not in ipf and not (one_phase and key == "phase")]


def _save(
    name: str,
    orientation_map: OrientationMap,
    path: Path,
    disks: BraggDisks | None,
    calibration: Calibration | None,
) -> None:
    """Write one file: one of the formats, or the picture of a channel."""
    from napari_4dstem_orient.export import ebsd, images, table
    from napari_4dstem_orient.export import hspy as signals
    from napari_4dstem_orient.export import orix as orix_maps
    from napari_4dstem_orient.export import py4dstem as py4dstem_maps
    from napari_4dstem_orient.export import tiff as layers
    from napari_4dstem_orient.io import bragg_peaks, result

    if name == "emd":
        if disks is None:
            raise UserError("There are no Bragg disks to export as emd; detect or load disks first.")
        bragg_peaks.save_disks(disks, path, calibration=calibration)
    elif name == "hspy":
        signals.save_hspy(orientation_map, path, disks, calibration)
    elif name == "py4dstem":
        py4dstem_maps.save_py4dstem_map(orientation_map, path, calibration)
    elif name in FORMATS:
        {
            "h5": result.save_map,
            "ang": ebsd.save_ang,
            "ctf": ebsd.save_ctf,
            "csv": table.save_csv,
            "orix": orix_maps.save_orix,
            "ome": layers.save_ome_tiff,
        }[name](orientation_map, path)
    else:
        images.save_channel_image(orientation_map, path, name)

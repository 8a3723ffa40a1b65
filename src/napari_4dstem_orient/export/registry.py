"""Everything a map can leave as, in one call: what the command line and the export widget share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_4dstem_orient.core.atomic import make_folder
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.inputs import inputs_of, refuse_inputs
from napari_4dstem_orient.core.limits import MOST_CRYSTALS
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.core.registry import Registry
from napari_4dstem_orient.export.base import Export

if TYPE_CHECKING:
    from napari_4dstem_orient.core.bragg_disks import BraggDisks
    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.core.scan import Calibration

_HERE = "napari_4dstem_orient.export"

FORMATS: Registry[Export] = Registry(
    "napari_4dstem_orient.exports",
    Export,
    {
        "h5": f"{_HERE}.own:RESULT",
        "ang": f"{_HERE}.ebsd:ANG",
        "ctf": f"{_HERE}.ebsd:CTF",
        "csv": f"{_HERE}.table:CSV",
        "orix": f"{_HERE}.orix:ORIX",
        "py4dstem": f"{_HERE}.py4dstem:PY4DSTEM",
        "emd": f"{_HERE}.own:DISKS",
        "hspy": f"{_HERE}.hspy:HSPY",
        "png": f"{_HERE}.images:PNG",
        "tiff": f"{_HERE}.images:TIFF",
        "ome": f"{_HERE}.tiff:OME",
    },
)
"""What can be exported."""

_SAID, _LONGEST = 3, 300
"""Failures told one by one, for many of one export are alike; letters of what a library says."""


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
    files = _files(formats, stem, orientation_map)
    folder = make_folder(folder)
    written: list[Path] = []
    failed: list[UserError] = []
    for done, (file, (name, channel, crystal)) in enumerate(files.items()):
        progress(done, len(files))
        one, given = FORMATS[name], {"disks": disks, "calibration": calibration, "channel": channel}
        try:
            refuse_inputs(folder / file, inputs_of(orientation_map.provenance))
            what = (
                orientation_map
                if one.whole or not orientation_map.beside
                else orientation_map.of_crystal(crystal)
            )
            one.write(what, folder / file, **{taken: given[taken] for taken in one.takes})
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
    """Return the name of each file that ``export`` writes, and what is in it: a channel, or a whole format.

    Without a map, of each file it may write.

    Raises
    ------
    UserError
        Unknown format.
    """
    files = _files(formats, stem, orientation_map)
    return {file: channel or name for file, (name, channel, _) in files.items()}


def _files(
    formats: Iterable[str], stem: str, orientation_map: OrientationMap | None
) -> dict[str, tuple[str, str, int]]:
    """Return the format of each file, the channel where it holds one, and which crystal of the patterns."""
    wanted = list(dict.fromkeys(formats))
    if unknown := [name for name in wanted if name not in FORMATS]:
        raise UserError(f"There is no export format {', '.join(unknown)}; choose from {', '.join(FORMATS)}.")
    most = MOST_CRYSTALS if orientation_map is None else 1 + len(orientation_map.beside)
    files = {}
    for name in wanted:
        one = FORMATS[name]
        for crystal in range(1, 2 if one.whole else most + 1):
            start = stem if crystal == 1 else f"{stem}_crystal{crystal}"
            if one.channels is None:
                files[start + one.ending] = name, "", crystal
            else:
                shown = orientation_map if orientation_map is None else orientation_map.of_crystal(crystal)
                files |= {f"{start}_{key}{one.ending}": (name, key, crystal) for key in one.channels(shown)}
    return files

"""The two long steps of the job, as they are done to some scan rows, in this process or another."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import NoDisks, UserError
from napari_4dstem_orient.core.memory import MEMORY
from napari_4dstem_orient.core.progress import Progress
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.core.version import identity
from napari_4dstem_orient.indexing.methods import METHODS, Asked, check_method
from napari_4dstem_orient.indexing.settings import AcceptanceSettings
from napari_4dstem_orient.workflow.chunks import ChunkFunction, Rows

if TYPE_CHECKING:
    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.core.scan import Calibration
    from napari_4dstem_orient.detection.probe import Probe
    from napari_4dstem_orient.detection.settings import DetectionSettings
    from napari_4dstem_orient.indexing.base import Indexer, Offered, Verified, Verifies
    from napari_4dstem_orient.workflow.job import Job
    from napari_4dstem_orient.workflow.store import Chunks, Store


@dataclass(frozen=True, eq=False)
class Detection:
    """Finds Bragg disks.

    Attributes
    ----------
    probe : Probe
    settings : DetectionSettings or None
        None only where the probe does not fit the detector, which the detection then says.
    device : str
    memory : int
        MiB that patterns may take in each process; answers do not depend on it.
    """

    probe: Probe
    settings: DetectionSettings | None
    device: str = "auto"
    memory: int = MEMORY

    def kept(self, scan: Scan, store: Store | None) -> Chunks | None:
        """Return where the disks of a scan are kept; nowhere unless it is a file, of which one knows its changes."""
        if store is None or (origin := scan.reopens) is None:
            return None
        from napari_4dstem_orient.detection.patterns import sample_patterns
        from napari_4dstem_orient.io.companions import files_of
        from napari_4dstem_orient.workflow.store import file_fingerprint

        there = sorted(path for path in files_of(origin.arguments["path"]) if path.exists())
        files = [file_fingerprint(path) for path in there]
        read = [origin.arguments[name] for name in ("dataset", "scan_shape", "part")]
        # Patterns too: links may lead farther than is looked.
        found_by = self.probe, self.settings, _computed_on(self.device)
        return store.disks(found_by, files, read, origin.rows, sample_patterns(scan), identity())

    def begin(self) -> ChunkFunction:
        """Return what finds the disks of some rows; rows without any are no error, the others may have some."""
        return self._detect

    def _detect(self, part: Scan, first: int, progress: Progress) -> BraggDisks:
        from napari_4dstem_orient.detection.detect import detect_disks

        try:
            return detect_disks(part, self.probe, self.settings, progress, self.device, memory=self.memory)
        except NoDisks:
            pass
        except UserError:
            _check_patterns(part, first)
            raise
        nothing = np.zeros(0, np.float32)
        offsets = np.zeros(part.scan_shape[0] * part.scan_shape[1] + 1, np.int64)
        return BraggDisks(
            part.scan_shape, offsets, nothing, nothing, nothing, detector_shape=part.detector_shape
        )


def _check_patterns(part: Scan, first: int) -> None:
    """Refuse patterns that hold no counts, and name their place in the whole scan."""
    from napari_4dstem_orient.core.checks import check_patterns

    cols = part.scan_shape[1]
    for where, block in part.batches(64):
        for flat, pattern in zip(where.tolist(), block, strict=True):
            place = f"the pattern at scan position (row {first + flat // cols}, column {flat % cols})"
            check_patterns(pattern[None], place, part.source)


def join_disks(parts: Sequence[BraggDisks], scan: Scan) -> BraggDisks:
    """Put the disks of all rows of a scan together.

    Raises
    ------
    UserError
        There are none.
    """
    disks = BraggDisks.join(parts)
    telling = [{**part.provenance, "source": scan.source} for part in parts if len(part)]
    if not telling:
        raise NoDisks(
            f"No disks anywhere in {scan.source}: lower the min. intensity of the detection, or check the probe."
        )
    return replace(disks, provenance=_told_once(telling))


@dataclass(frozen=True, eq=False)
class Indexing:
    """Finds orientations, of ``BraggDisks``, and verifies those that are ``Offered`` (methods that can).

    Attributes
    ----------
    method : str
    asked : Asked
    files : tuple of str
        Hashes of the files that decide its answers, such as models.
    """

    method: str
    asked: Asked
    files: tuple[str, ...]

    @classmethod
    def of(cls, disks: BraggDisks, job: Job, known: Calibration) -> Indexing:
        """Return the step of a job for the calibrated disks of a whole scan.

        Raises
        ------
        UserError
            No disks anywhere, disks not calibrated, or a named model does not fit (and why).
        """
        asked = Asked(
            job.phases,
            _checked_voltage(disks, job, known),
            known.precession,
            disks.reach,
            float(np.hypot(disks.qx, disks.qy).max()),
            job.own_settings,
            job.acceptance,
            # Workers run elsewhere.
            None if job.models is None else [str(Path(m).expanduser().absolute()) for m in job.models],
            job.device,
        )
        step = cls(job.method, asked, ())
        return replace(step, files=step.deciding_files())

    @property
    def pools(self) -> bool:
        """Whether what neighbours measured is asked for, and the method can verify it."""
        asked = self.asked.acceptance or AcceptanceSettings()
        return asked.neighbours and METHODS[self.method].verifies

    @property
    def crystals(self) -> int:
        """How many crystals are looked for in a pattern at most."""
        return (self.asked.acceptance or AcceptanceSettings()).crystals

    def kept(self, disks: BraggDisks, store: Store | None) -> Chunks | None:
        """Return where the map of these disks is kept."""
        if store is None:
            return None
        measured = disks.offsets, disks.values, disks.reach, disks.detector_shape
        told = replace(self.asked, models=None)  # those that are used are among the files, wherever they lie
        asked = self.method, told, _computed_on(self.asked.device)
        return store.maps(measured, asked, self.files, identity())

    def begin(self) -> ChunkFunction:
        """Load the models, or make the templates.

        Raises
        ------
        UserError
            The files that decide are others than where the work was given out, or have changed since.
        """
        if self.deciding_files() != self.files:
            raise UserError(
                f"The model or the verifiers on {platform.node()} are others than where the work was given out; "
                "give all workers the same environment and model file."
            )
        indexer = self._indexer

        def index(part: BraggDisks | Offered, first: int, progress: Progress) -> OrientationMap | Verified:
            if isinstance(part, BraggDisks):
                return indexer.index(part, progress)
            return cast("Verifies", indexer).verify(part, progress)

        return index

    @cached_property
    def _indexer(self) -> Indexer:
        """The indexer, made once in each process."""
        return self.make()

    def __getstate__(self) -> dict[str, Any]:
        return {item.name: getattr(self, item.name) for item in fields(self)}  # without the indexer

    def make(self) -> Indexer:
        """Return the indexer."""
        return METHODS[self.method].make(self.asked)

    def deciding_files(self) -> tuple[str, ...]:
        """Return hashes of the files, beside the program's code, that the answers depend on."""
        paths = METHODS[self.method].files(self.asked)
        return tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)


def _checked_voltage(disks: BraggDisks, job: Job, known: Calibration) -> float:
    """Return the voltage (kV); raise UserError where no indexer can be made, whichever models there are."""
    check_method(job.method)
    if not job.phases:
        raise UserError("No crystal phase is given; give a CIF file or the name of a bundled crystal.")
    if not len(disks):
        raise UserError("There are no Bragg disks at any scan position; change the detection settings.")
    if not disks.calibrated:
        raise UserError("The Bragg disks are not calibrated; call calibrate first.")
    if known.voltage is None:
        raise UserError("The accelerating voltage (kV) is not known; give it, for example --voltage 300.")
    return known.voltage


def join_maps(parts: Sequence[OrientationMap]) -> OrientationMap:
    """Put the maps of all rows of a scan together.

    Raises
    ------
    UserError
        They were not all made with the same files and settings.
    """
    from napari_4dstem_orient.core.orientation_map import OrientationMap

    return replace(OrientationMap.join(parts), provenance=_told_once([part.provenance for part in parts]))


def counts_so_far(done: Mapping[Rows, BraggDisks], scan_shape: tuple[int, int]) -> np.ndarray:
    """Return the number of sure disks at each position, of the rows that are done; 0 elsewhere."""
    counts = np.zeros(scan_shape, np.int64)
    for (start, stop), disks in done.items():
        counts[start:stop] = disks.sure().counts
    return counts


def map_so_far(done: Mapping[Rows, OrientationMap], scan_shape: tuple[int, int]) -> OrientationMap:
    """Return a map of the rows that are done; the others have no answer yet."""
    from napari_4dstem_orient.core.orientation_map import OrientationMap

    first = next(iter(done.values()))
    parts, row = [], 0
    for (start, stop), part in [*sorted(done.items()), ((scan_shape[0], 0), None)]:
        if start > row:
            parts.append(first.nothing((start - row, scan_shape[1])))
        if part is not None:
            parts.append(part)
        row = stop
    return OrientationMap.join(parts)


WHERE = ("device", "precision")
"""What may differ from part to part: on which device, and how precisely it multiplies."""


def _told_once(provenances: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what made all parts of a result; of devices, all that there were."""
    kinds = {
        json.dumps({**told, **dict.fromkeys(WHERE)}, sort_keys=True, default=str) for told in provenances
    }
    if len(kinds) > 1:
        raise UserError(
            "The parts of the result were not all made with the same files and settings; give all workers the same "
            "environment and model file, and run it again."
        )
    first = provenances[0]
    where = {
        name: ", ".join(dict.fromkeys(told[name] for told in provenances)) for name in WHERE if name in first
    }
    return {**first, **where}


def _computed_on(device: str) -> tuple[str, ...]:
    """Return which kind of device computes, and how precisely it multiplies, where this process has it."""
    from napari_4dstem_orient.core.devices import choose_device, half_precision

    try:
        chosen = choose_device(device)
    except UserError:
        return (device,)  # only the workers have it
    return chosen.type, str(half_precision(chosen))

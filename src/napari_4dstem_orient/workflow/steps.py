"""The two long steps of the job, as they are done to some scan rows, in this process or another."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import NoDisks, UserError
from napari_4dstem_orient.core.memory import MEMORY
from napari_4dstem_orient.core.progress import Progress
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.core.version import identity
from napari_4dstem_orient.indexing.make import check_asked, fitting_models, make_indexer
from napari_4dstem_orient.workflow.chunks import Kept, Rows, Work

if TYPE_CHECKING:
    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.core.scan import Calibration
    from napari_4dstem_orient.crystals.phase import Phase
    from napari_4dstem_orient.detection.probe import Probe
    from napari_4dstem_orient.detection.settings import DetectionSettings
    from napari_4dstem_orient.indexing.base import Indexer
    from napari_4dstem_orient.workflow.job import Job
    from napari_4dstem_orient.workflow.store import Partial


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
    doubts : tuple of str
        Sentences about what was suggested and may be wrong.
    """

    probe: Probe
    settings: DetectionSettings | None
    device: str = "auto"
    memory: int = MEMORY
    doubts: tuple[str, ...] = ()

    def kept(self, scan: Scan, store: Partial | None) -> Kept | None:
        """Return where the disks of a scan are kept; nowhere unless it is a file, of which one knows its changes."""
        if store is None or (origin := scan.reopens) is None:
            return None
        from napari_4dstem_orient.detection.patterns import sample_patterns
        from napari_4dstem_orient.workflow.store import file_fingerprint

        file = file_fingerprint(origin.arguments["path"])
        read = [origin.arguments[name] for name in ("dataset", "scan_shape")]
        # Patterns too: a file that only points to others does not change with them.
        found_by = self.probe, self.settings, _computed_on(self.device)
        return store.disks(found_by, file, read, origin.rows, sample_patterns(scan), identity())

    def begin(self) -> Work:
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
            f"No disks anywhere in {scan.source}: lower the weakest disk in the detection settings, or check the probe."
        )
    return replace(disks, provenance=_told_once(telling))


@dataclass(frozen=True, eq=False)
class Indexing:
    """Finds orientations.

    Attributes
    ----------
    farthest : BraggDisks
        The position with the farthest disk of the scan: all that an indexer needs to know of it.
    phases : tuple of Phase
    voltage : float or None
        kV.
    options : dict
        Further arguments of ``indexing.make.make_indexer``.
    files : tuple of str
        Hashes of the files that decide its answers: models, pre-verifier and verifier.
    """

    farthest: BraggDisks
    phases: tuple[Phase, ...]
    voltage: float | None
    options: Mapping[str, Any]
    files: tuple[str, ...]

    @classmethod
    def of(cls, disks: BraggDisks, job: Job, known: Calibration) -> Indexing:
        """Return the step of a job for the calibrated disks of a whole scan.

        Raises
        ------
        UserError
            As ``indexing.make.make_indexer``.
        """
        check_asked(disks, job.phases, known.voltage, job.method)
        disk = int(np.argmax(np.hypot(disks.qx, disks.qy)))
        flat = int(np.searchsorted(disks.offsets, disk, side="right")) - 1
        farthest = disks.only(*divmod(flat, disks.scan_shape[1]))
        options = {
            "method": job.method,
            "settings": job.own_settings,
            "models": [
                str(Path(model).expanduser().absolute()) for model in job.models
            ],  # workers run elsewhere
            "device": job.device,
            "precession": known.precession,
            "acceptance": job.acceptance,
        }
        step = cls(farthest, job.phases, known.voltage, options, ())
        return replace(step, files=step.deciding_files())

    def kept(self, disks: BraggDisks, store: Partial | None) -> Kept | None:
        """Return where the map of these disks is kept."""
        if store is None:
            return None
        measured = disks.offsets, disks.values, disks.reach, disks.detector_shape
        asked = self.phases, self.voltage, self.options, _computed_on(self.options["device"])
        return store.maps(measured, asked, self.files, identity())

    def begin(self) -> Work:
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
        indexer = self.make()

        def index(part: BraggDisks, first: int, progress: Progress) -> OrientationMap:
            return indexer.index(part, progress)

        return index

    def make(self) -> Indexer:
        """Return the indexer; raise UserError as ``indexing.make.make_indexer``."""
        return make_indexer(self.farthest, self.phases, self.voltage, **self.options)

    def deciding_files(self) -> tuple[str, ...]:
        """Return hashes of the files, beside the program's code, that the answers depend on."""
        from napari_4dstem_orient.core.resource_files import resource
        from napari_4dstem_orient.indexing.verification.network import PRE_VERIFIER, VERIFIER

        if self.options["method"] != "transformer":
            return ()
        precession, models = self.options["precession"], self.options["models"]
        uses = fitting_models(self.phases, self.voltage, self.farthest.reach, precession, models)
        paths = [*(use.path for use in uses), resource(PRE_VERIFIER), resource(VERIFIER)]
        return tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)


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
    """Return the number of disks at each position, of the rows that are done; 0 elsewhere."""
    counts = np.zeros(scan_shape, np.int64)
    for (start, stop), disks in done.items():
        counts[start:stop] = disks.counts
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

"""The two long steps of the job, as they are done to some scan rows, in this process or another."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import NoDisks, UserError
from napari_4dstem_orient.core.memory import MEMORY, check_memory
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.core.version import identity
from napari_4dstem_orient.indexing.make import IndexerOptions, check_asked, fitting_models, make_indexer
from napari_4dstem_orient.workflow.chunks import Here, Kept, Runner, Work, in_chunks

if TYPE_CHECKING:
    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.crystals.phase import Phase
    from napari_4dstem_orient.detection.probe import Probe
    from napari_4dstem_orient.detection.settings import DetectionSettings
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

    @classmethod
    def of(
        cls,
        scan: Scan,
        probe: Probe | float | None,
        settings: DetectionSettings | None,
        device: str = "auto",
        memory: int = MEMORY,
        engine: str | None = None,
    ) -> Detection:
        """Find the probe and settings from the whole scan where they are not given, as ``detect_disks`` does."""
        from napari_4dstem_orient.detection.probe import probe_for
        from napari_4dstem_orient.detection.suggest import suggest

        check_memory(memory)
        probe, doubt = probe_for(scan, probe), ""
        if settings is None and probe.kernel.shape == scan.detector_shape:
            settings, doubt = suggest(scan, probe)
        if settings is not None and engine is not None:
            settings = replace(settings, engine=engine)
        return cls(probe, settings, device, memory, tuple(filter(None, (probe.doubt, doubt))))

    def kept(self, scan: Scan, partial: Partial | None) -> Kept | None:
        """Return where the disks of a scan are kept; nowhere unless it is a file, of which one knows its changes."""
        if partial is None or (origin := scan.reopens) is None:
            return None
        from napari_4dstem_orient.detection.patterns import sample_patterns
        from napari_4dstem_orient.workflow.store import file_fingerprint

        file = file_fingerprint(origin.arguments["path"])
        read = [origin.arguments[name] for name in ("dataset", "scan_shape")]
        # Patterns too: a file that only points to others does not change with them.
        found_by = self.probe, self.settings, _computed_on(self.device)
        return partial.disks(found_by, file, read, origin.rows, sample_patterns(scan), identity())

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
    options : IndexerOptions
        Further arguments of ``indexing.make.make_indexer``.
    files : tuple of str
        Hashes of the files that decide its answers: models, pre-verifier and verifier.
    """

    farthest: BraggDisks
    phases: tuple[Phase, ...]
    voltage: float | None
    options: IndexerOptions
    files: tuple[str, ...]

    @classmethod
    def of(
        cls, disks: BraggDisks, phases: Sequence[Phase], voltage: float | None, options: IndexerOptions
    ) -> Indexing:
        """Return the step for the disks of a whole scan.

        Raises
        ------
        UserError
            As ``indexing.make.make_indexer``.
        """
        check_asked(disks, phases, voltage, options.get("method", "transformer"))
        disk = int(np.argmax(np.hypot(disks.qx, disks.qy)))
        flat = int(np.searchsorted(disks.offsets, disk, side="right")) - 1
        farthest = disks.only(*divmod(flat, disks.scan_shape[1]))
        files = _deciding_files(farthest, phases, voltage, options)
        return cls(farthest, tuple(phases), voltage, options, files)

    def kept(self, disks: BraggDisks, partial: Partial | None) -> Kept | None:
        """Return where the map of these disks is kept."""
        if partial is None:
            return None
        measured = disks.offsets, disks.values, disks.reach, disks.detector_shape
        asked = self.phases, self.voltage, self.options, _computed_on(self.options.get("device", "auto"))
        return partial.maps(measured, asked, self.files, identity())

    def begin(self) -> Work:
        """Load the models, or make the templates.

        Raises
        ------
        UserError
            The files that decide are others than where the work was given out, or have changed since.
        """
        if _deciding_files(self.farthest, self.phases, self.voltage, self.options) != self.files:
            raise UserError(
                f"The model or the verifiers on {platform.node()} are others than where the work was given out; "
                "give all workers the same environment and model file."
            )
        indexer = make_indexer(self.farthest, self.phases, self.voltage, **self.options)

        def index(part: BraggDisks, first: int, progress: Progress) -> OrientationMap:
            return indexer.index(part, progress)

        return index


def _deciding_files(
    farthest: BraggDisks, phases: Sequence[Phase], voltage: float | None, options: IndexerOptions
) -> tuple[str, ...]:
    """Return hashes of the files, beside the program's code, that the answers depend on."""
    from napari_4dstem_orient.core.resource_files import resource
    from napari_4dstem_orient.indexing.verification.network import PRE_VERIFIER, VERIFIER

    if options.get("method", "transformer") != "transformer":
        return ()
    precession, model = options.get("precession", 0.0), options.get("model")
    uses = fitting_models(phases, voltage, farthest.reach, precession, model)
    paths = [*(use.path for use in uses), resource(PRE_VERIFIER), resource(VERIFIER)]
    return tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)


def index_disks(
    disks: BraggDisks,
    phases: Sequence[Phase],
    voltage: float | None,
    *,
    progress: Progress = silent,
    runner: Runner | None = None,
    partial: Partial | None = None,
    **options: Unpack[IndexerOptions],
) -> OrientationMap:
    """Index all disks, chunk by chunk.

    Parameters
    ----------
    disks, phases, voltage, **options
        As ``indexing.make.make_indexer``.
    progress, partial
        As ``workflow.run.map_scan``.
    runner : Runner, optional
        Who does the work (``workflow.cluster.workers``); this process by default.

    Raises
    ------
    UserError, Cancelled
        As ``indexing.make.make_indexer`` and ``workflow.cluster.Cluster.run``.
    """
    from napari_4dstem_orient.core.orientation_map import OrientationMap

    if (model := options.get("model")) is not None:
        paths = [model] if isinstance(model, str | Path) else model
        options["model"] = [
            str(Path(path).expanduser().absolute()) for path in paths
        ]  # workers run elsewhere
    step, runner = Indexing.of(disks, phases, voltage, options), runner or Here()
    parts = in_chunks(step, disks, runner, progress, step.kept(disks, partial))
    answer = OrientationMap.join(parts)
    told = _told_once([part.provenance for part in parts])
    return replace(answer, provenance={**told, "workers": runner.description})


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

"""The two long steps of the job, as they are done to some scan rows, in this process or another."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np

from napari_4dstem_orient.chunks import Here, Kept, Runner, Work, in_chunks
from napari_4dstem_orient.disks import BraggDisks
from napari_4dstem_orient.errors import NoDisks, UserError
from napari_4dstem_orient.indexing.make import IndexerOptions, fitting_models, make_indexer
from napari_4dstem_orient.memory import MEMORY, check_memory
from napari_4dstem_orient.progress import Progress, silent
from napari_4dstem_orient.scan import Scan

if TYPE_CHECKING:
    from napari_4dstem_orient.crystals.phase import Phase
    from napari_4dstem_orient.detection.probe import Probe
    from napari_4dstem_orient.detection.settings import DetectionSettings
    from napari_4dstem_orient.io.partial import Partial
    from napari_4dstem_orient.orientation_map import OrientationMap


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

    @classmethod
    def of(
        cls,
        scan: Scan,
        probe: Probe | None,
        settings: DetectionSettings | None,
        device: str = "auto",
        memory: int = MEMORY,
        engine: str | None = None,
    ) -> Detection:
        """Find the probe and settings from the whole scan where they are not given, as ``detect_disks`` does."""
        from napari_4dstem_orient.detection.probe import estimate_radius, synthetic_probe
        from napari_4dstem_orient.detection.settings import suggest_settings

        check_memory(memory)
        if probe is None:
            probe = synthetic_probe(estimate_radius(scan), scan.detector_shape)
        if settings is None and probe.kernel.shape == scan.detector_shape:
            settings = suggest_settings(scan, probe)
        if settings is not None and engine is not None:
            settings = replace(settings, engine=engine)
        return cls(probe, settings, device, memory)

    def kept(self, scan: Scan, partial: Partial | None) -> Kept | None:
        """Return where the disks of a scan are kept; nowhere unless it is a file, of which one knows its changes."""
        if partial is None or (origin := scan.reopens) is None:
            return None
        from napari_4dstem_orient.detection.patterns import sample_patterns
        from napari_4dstem_orient.io.partial import file_fingerprint

        file = file_fingerprint(origin.arguments["path"])
        read = [origin.arguments[name] for name in ("dataset", "scan_shape")]
        # Patterns too: a file that only points to others does not change with them.
        found_by = self.probe, self.settings, self.device
        return partial.disks(found_by, file, read, origin.rows, sample_patterns(scan), libraries())

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
    from napari_4dstem_orient.io.checks import check_patterns

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
    telling = next((part.provenance for part in parts if len(part)), None)
    if telling is None:
        raise NoDisks(
            f"No disks anywhere in {scan.source}: lower the weakest disk in the detection settings, or check the probe."
        )
    return replace(disks, provenance={**telling, "source": scan.source})


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
    """

    farthest: BraggDisks
    phases: tuple[Phase, ...]
    voltage: float | None
    options: IndexerOptions = field(default_factory=IndexerOptions)

    @classmethod
    def of(
        cls, disks: BraggDisks, phases: Sequence[Phase], voltage: float | None, options: IndexerOptions
    ) -> Indexing:
        """Return the step for the disks of a whole scan."""
        farthest = disks
        if len(disks):
            disk = int(np.argmax(np.hypot(disks.qx, disks.qy)))
            flat = int(np.searchsorted(disks.offsets, disk, side="right")) - 1
            farthest = disks.only(*divmod(flat, disks.scan_shape[1]))
        return cls(farthest, tuple(phases), voltage, options)

    def kept(self, disks: BraggDisks, partial: Partial | None) -> Kept | None:
        """Return where the map of these disks is kept."""
        if partial is None:
            return None
        measured = disks.offsets, disks.qx, disks.qy, disks.intensity, disks.reach
        return partial.maps(measured, self.phases, self.voltage, self.options, self._models(), libraries())

    def _models(self) -> list[str]:
        """Return hashes of the files that the answers depend on."""
        from napari_4dstem_orient.resource_files import resource

        asked = self.options
        if asked.get("method", "transformer") != "transformer":
            return []
        uses = fitting_models(
            self.phases, self.voltage, self.farthest.reach, asked.get("precession", 0.0), asked.get("model")
        )
        paths = [use.path for use in uses] + [resource("referee.safetensors")]
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]

    def begin(self) -> Work:
        """Load the models, or make the templates."""
        indexer = make_indexer(self.farthest, self.phases, self.voltage, **self.options)

        def index(part: BraggDisks, first: int, progress: Progress) -> OrientationMap:
            return indexer.index(part, progress)

        return index


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
        As ``pipeline.map_scan``.
    runner : Runner, optional
        Who does the work (``spread.workers``); this process by default.

    Raises
    ------
    UserError, Cancelled
        As ``indexing.make.make_indexer`` and ``spread.Cluster.run``.
    """
    from napari_4dstem_orient.orientation_map import OrientationMap

    if (model := options.get("model")) is not None:
        paths = [model] if isinstance(model, str | Path) else model
        options["model"] = [
            str(Path(path).expanduser().absolute()) for path in paths
        ]  # workers run elsewhere
    step, runner = Indexing.of(disks, phases, voltage, options), runner or Here()
    parts = in_chunks(step, disks, runner, progress, step.kept(disks, partial))
    _check_same_models(parts)
    answer = OrientationMap.join(parts)
    return replace(answer, provenance={**answer.provenance, "workers": runner.description})


def _check_same_models(parts: Sequence[OrientationMap]) -> None:
    hashes = {str([part.provenance.get(name) for name in ("models", "referee")]) for part in parts}
    if len(hashes) > 1:
        raise UserError(
            "The workers do not have the same models; give all the same environment and model file."
        )


def libraries() -> dict[str, str]:
    """Return the versions of the libraries that decide about numbers."""
    return {name: version(name) for name in ("numpy", "torch", "py4DSTEM", "orix")}

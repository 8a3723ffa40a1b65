"""From lists of disks to an orientation map: patterns per second of every method, and seconds of every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from napari_4dstem_orient.calibration.calibrate import calibrate
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.devices import choose_device, each_batch
from napari_4dstem_orient.core.memory import parts
from napari_4dstem_orient.core.optional import why_not
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.base import Indexer
from napari_4dstem_orient.indexing.methods import METHODS, Asked
from napari_4dstem_orient.indexing.settings import TemplateSettings, TransformerSettings
from napari_4dstem_orient.indexing.transformer.indexer import TransformerIndexer
from napari_4dstem_orient.io.bragg_peaks import open_disks, save_disks
from napari_4dstem_orient.workflow.functions import map_orientations
from napari_4dstem_orient.workflow.run import Report
from napari_4dstem_orient.workflow.strain import with_strain
from napari_4dstem_orient_evaluation.benchmarks.measuring import REFERENCE, Rate, Stopwatch, take_turns
from napari_4dstem_orient_evaluation.benchmarks.workloads import tile_disks

ALONE, REFINED, TEMPLATE = "transformer alone", "transformer with refinement", "template matching, torch"
EVERYTHING = "transformer with neighbours, further crystals and strain"
TRANSFORMERS = {
    ALONE: TransformerSettings(reference_disks=1, verify=False),
    REFINED: TransformerSettings(),
}
ENGINES = {TEMPLATE: "torch", REFERENCE: "py4DSTEM"}
Methods = dict[str, "Indexer | Everything"]
STEPS = ("load", "calibrate", "tokens", "inference", "assembly", "whole")
MATCHES = 1
"""Orientations that both template engines look for: py4DSTEM's default. Two, the program's, take twice the time."""
BATCHES_TOGETHER = 64
"""Batches whose steps are done one step after the other: bounds the memory."""


@dataclass(frozen=True)
class Everything:
    """Maps disks as the program suggests, its workflow's steps after the first answers included, and their strain."""

    phase: Phase
    voltage: float
    device: str

    def index(self, disks: BraggDisks) -> OrientationMap:
        """Map the disks of a scan."""
        known = Calibration(voltage=self.voltage)
        found = map_orientations(disks, [self.phase], self.voltage, calibration=known, device=self.device)
        return with_strain(found, disks)


def make_methods(disks: BraggDisks, phase: Phase, voltage: float, device: str) -> Methods:
    """Return every method that is installed, ready: models loaded, template libraries made."""
    asked = Asked(
        (phase,), voltage, 0.0, disks.reach, float(np.hypot(disks.qx, disks.qy).max()), device=device
    )
    indexers: Methods = {}
    for name, settings in TRANSFORMERS.items():
        indexers[name] = METHODS["transformer"].make(replace(asked, settings=settings))
    indexers[EVERYTHING] = Everything(phase, voltage, device)
    for name, engine in ENGINES.items():
        if why_not(engine):
            continue
        template = TemplateSettings(zone_axis_step=2.0, engine=engine, matches=MATCHES, verify=False)
        indexers[name] = METHODS["template"].make(replace(asked, settings=template))
    for name, indexer in indexers.items():
        indexer.index(tile_disks(disks, (1, 8)) if name == REFERENCE else disks)
    return indexers


def time_mapping(
    disks: BraggDisks,
    indexers: Methods,
    sides: Sequence[int],
    runs: int,
    positions: int,
    report: Report,
) -> list[Rate]:
    """Time every method on disks in memory; py4DSTEM on at most ``positions`` of them."""
    rates = []
    for side in sides:
        whole = tile_disks(disks, (side, side))
        some = tile_disks(disks, (1, min(side**2, positions)))
        jobs = {
            name: partial(indexer.index, some if name == REFERENCE else whole)
            for name, indexer in indexers.items()
        }
        for name, seconds in take_turns(jobs, runs, report(f"Mapping {side}²")).items():
            timed = len(some.offsets) - 1 if name == REFERENCE else side**2
            rates.append(Rate("disks to map", name, side**2, timed, seconds))
    return rates


def time_steps(
    disks: BraggDisks,
    known: Calibration,
    indexers: Methods,
    sides: Sequence[int],
    runs: int,
    folder: Path,
    report: Report,
) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Time a disk file's way to a map, step by step and, apart from that, as a whole.

    Returns
    -------
    dict
        Seconds of every run by side (``"8²"``), method and step.
    """
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    file = folder / "disks.h5"
    for side in sides:
        save_disks(tile_disks(disks, (side, side)), file, known)
        watches = {name: Stopwatch(choose_device("cpu")) for name in TRANSFORMERS}
        progress = report(f"Steps {side}²")
        for run in range(runs):
            for name, watch in watches.items():
                indexer = indexers[name]
                assert isinstance(indexer, TransformerIndexer)
                _steps(file, indexer, watch)
                watch.time("whole", partial(_from_file, file, indexer))
            progress(run + 1, runs)
        found[f"{side}²"] = {name: watch.seconds for name, watch in watches.items()}
    file.unlink()
    return found


def _from_file(file: Path, indexer: Indexer) -> None:
    indexer.index(calibrate(*open_disks(file))[0])


def _steps(file: Path, indexer: TransformerIndexer, watch: Stopwatch) -> None:
    """Do what ``_from_file`` does, one step at a time."""
    loaded = watch.time("load", lambda: open_disks(file))
    disks = watch.time("calibrate", lambda: calibrate(*loaded)[0])
    apart = Stopwatch(indexer.device)
    reach, builder, batches = indexer.reach(disks), indexer.builder(disks), indexer.batches(disks)
    for part in (batches[some] for some in parts(len(batches), BATCHES_TOGETHER)):
        tokens = apart.time("tokens", partial(_tokens, indexer, disks, part, reach))
        answers = apart.time("inference", partial(_answers, indexer, [batch for _, batch in tokens]))
        for (where, _), answer in zip(tokens, answers, strict=True):
            apart.time("assembly", partial(builder.enter, where, *answer))
    apart.time("assembly", partial(builder.finish, indexer.name, {}))
    for name, seconds in apart.seconds.items():
        watch.seconds.setdefault(name, []).append(sum(seconds))


def _answers(indexer: TransformerIndexer, tokens: Sequence) -> list:
    # Named by lists of one number, because a batch of tokens is not to be halved.
    named = [[number] for number in range(len(tokens))]
    found = each_batch(lambda name: indexer.answer(*tokens[name[0]]), named, indexer.device)
    return [answer for _, answer in found]


def _tokens(indexer: TransformerIndexer, disks: BraggDisks, part: Sequence[np.ndarray], reach: float) -> list:
    return list(each_batch(lambda where: indexer.read(disks, where, reach), part, indexer.device))

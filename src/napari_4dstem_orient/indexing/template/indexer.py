"""Template matching as an indexer: our library matched in batches by torch, or all of it done by py4DSTEM (ACOM)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.devices import choose_device, describe, each_batch
from napari_4dstem_orient.core.memory import parts
from napari_4dstem_orient.core.optional import check_engine, import_py4dstem
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.core.silence import quiet
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.base import Hypotheses, MapBuilder, Offered, Verified, reach_of
from napari_4dstem_orient.indexing.reflections import reach_within, reflector_of
from napari_4dstem_orient.indexing.scoring import (
    Measured,
    odds_by_score,
    score,
    scoring_for,
    without_direct_beam,
)
from napari_4dstem_orient.indexing.settings import (
    AcceptanceSettings,
    ScoreSettings,
    TemplateSettings,
)
from napari_4dstem_orient.indexing.template.library import SHELL, Templates, refuse_larger
from napari_4dstem_orient.indexing.template.matching import batch_sizes, match
from napari_4dstem_orient.indexing.template.reliability import Judge, with_reliability
from napari_4dstem_orient.indexing.template.zone_axes import zone_count, zone_triangles
from napari_4dstem_orient.indexing.verification.reliability import calibrated

CHUNK = 16
"""Scan positions between two progress reports where py4DSTEM matches."""
OFFERED = 1024
"""Hypotheses from elsewhere at a time."""
MAKING, KEPT = 40, 32
"""Bytes that py4DSTEM takes for each zone axis, shell and angle: of the part that is being made, and of all parts."""


class TemplateMatcher:
    """Indexes scans by template matching, one phase after the other.

    Parameters
    ----------
    phases : sequence of Phase
    voltage : float
        kV.
    k_max : float
        Å⁻¹.
    precession : float
        Half-angle in degrees.
    settings, acceptance
        See their classes. The score of an answer is the same as the transformer's, not py4DSTEM's correlation.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``; py4DSTEM's own engine runs on the CPU.
    judge : Judge, optional
        Of the same phases; says how reliable the answers are, which stay as they are.

    Raises
    ------
    UserError
        If there is no such engine or device, or the engine is not installed.
    """

    name = "template"

    def __init__(
        self,
        phases: Sequence[Phase],
        voltage: float,
        k_max: float,
        precession: float = 0.0,
        settings: TemplateSettings | None = None,
        acceptance: AcceptanceSettings | None = None,
        device: str = "auto",
        judge: Judge | None = None,
    ) -> None:
        self.phases = tuple(phases)
        self.voltage = voltage
        self.k_max = k_max
        self.precession = precession
        self.settings = settings or TemplateSettings()
        self.acceptance = acceptance or AcceptanceSettings()
        self._judge = judge
        check_engine(self.settings.engine)
        self._by_torch = self.settings.engine == "torch"
        chosen = choose_device(device)
        self.device = chosen if self._by_torch else torch.device("cpu")
        self._reflectors = [
            reflector_of(phase, voltage, k_max, precession, self.device) for phase in self.phases
        ]
        self._reach = min([reach_within(phase, k_max) for phase in self.phases], default=k_max)

    @cached_property
    def _plans(self) -> list[Any]:
        """py4DSTEM crystals with their template libraries; seconds to make, so made once and when first needed."""
        return [_joined(self._parts(phase)) for phase in self.phases]

    @cached_property
    def _templates(self) -> list[Templates]:
        """The libraries that torch matches, made when first needed."""
        return [
            Templates.covering(phase, reflector, self.settings)
            for phase, reflector in zip(self.phases, self._reflectors, strict=True)
        ]

    def _parts(self, phase: Phase) -> Iterator[Any]:
        """Yield py4DSTEM's crystal with the templates of one triangle of zone axes after the other."""
        phase.check_reflections(self.k_max)
        crystal = phase.to_py4dstem()
        # Else py4DSTEM looks for a symmetry that it does not need, and finds none where atoms share a site.
        crystal.pymatgen_available = False
        with quiet():
            crystal.calculate_structure_factors(self.k_max)
        triangles = zone_triangles(phase)
        self._check_size(phase, triangles)
        for corners in triangles:
            with quiet():
                crystal.orientation_plan(
                    zone_axis_range=corners,
                    angle_step_zone_axis=self.settings.zone_axis_step,
                    angle_step_in_plane=self.settings.in_plane_step,
                    accel_voltage=self.voltage * 1e3,
                    corr_kernel_size=self.settings.kernel,
                    sigma_excitation_error=self.settings.excitation_width,
                    precession_angle_degrees=self.precession or None,
                    power_intensity=self.settings.power(self.precession),
                    power_intensity_experiment=self.settings.power(self.precession),
                    progress_bar=False,
                )
            yield crystal

    def _check_size(self, phase: Phase, triangles: np.ndarray) -> None:
        """Refuse, before it is made, a library of py4DSTEM's that is not going to fit in memory."""
        zones = zone_count(triangles, self.settings.zone_axis_step)
        shells = min(self.k_max / SHELL, len(phase.reflections(self.k_max).hkl))
        angles = 360 / self.settings.in_plane_step
        refuse_larger(shells * angles * zones * (MAKING / len(triangles) + KEPT), zones, phase, self.settings)

    def index(self, disks: BraggDisks, progress: Progress = silent) -> OrientationMap:
        """Map the orientations of a scan's calibrated disks; see ``Indexer.index``."""
        reach = reach_of(disks, self._reach)
        runners_up = self.settings.matches * len(self.phases) - 1
        listed = disks.sure().counts
        builder = MapBuilder(disks.scan_shape, self.phases, self.acceptance, runners_up, listed, calibrated)
        counts = disks.counts.ravel()
        batches = self._batches(counts)
        if self._by_torch:
            answers = each_batch(lambda batch: self._batch(disks, batch, reach), batches, self.device)
        else:  # py4DSTEM's prints are caught, which works for one thread only
            answers = ((batch, self._batch(disks, batch, reach)) for batch in batches)
        done = 0
        for where, answer in answers:
            builder.enter(where, *answer)
            done += len(where)
            progress(done, len(counts))
        return builder.finish(self.name, self._provenance(disks))

    def verify(self, offered: Offered, progress: Progress = silent) -> Verified:
        """Score hypotheses from elsewhere, as they are; see ``Verifies.verify``."""
        odds = None if self._judge is None else self._judge.verify(offered).odds
        verified = Verified.nothing(len(offered.rotation))
        reach, done = reach_of(offered.disks, self._reach), 0
        batches = np.split(np.arange(len(offered.rotation)), range(OFFERED, len(offered.rotation), OFFERED))
        for where, answer in each_batch(
            lambda batch: self._verify(offered, batch, reach), batches, self.device
        ):
            verified.put(where, *answer)
            done += len(where)
            progress(done, len(offered.rotation))
        return verified if odds is None else replace(verified, odds=odds)

    @torch.inference_mode()
    def _verify(self, offered: Offered, where: np.ndarray, reach: float) -> tuple[np.ndarray, ...]:
        measured = self._read(offered.disks, where, reach)
        rotation = torch.from_numpy(offered.rotation[where]).to(self.device)[:, None]
        value = torch.zeros(len(where), device=self.device)
        n_matched = torch.zeros(len(where), dtype=torch.int64, device=self.device)
        for phase_id, reflector in enumerate(self._reflectors):
            rows = torch.from_numpy(offered.phase_id[where] == phase_id).to(self.device).nonzero()[:, 0]
            scored = score(measured[rows], rotation[rows], reflector, self._scoring(measured.snr is not None))
            value[rows], n_matched[rows] = scored.value[:, 0], scored.n_matched[:, 0]
        found = value.cpu().numpy()
        odds = odds_by_score(found, offered.against[where])
        unknown = np.full((len(where), 2), np.nan, np.float32)
        return offered.rotation[where], odds, found, n_matched.cpu().numpy(), unknown

    def _batches(self, counts: np.ndarray) -> list[np.ndarray]:
        """Split scan positions, longest lists of disks first, so that short lists do not pay for long ones."""
        order = np.argsort(-counts, kind="stable")
        if self._by_torch:
            # Made here, before there are threads.
            sizes = batch_sizes(self._templates, counts[order], self.settings.matches)
            return np.split(order, np.cumsum(sizes)[:-1]) if sizes else []
        return [order[part] for part in parts(len(order), CHUNK)]

    @torch.inference_mode()
    def _batch(
        self, disks: BraggDisks, where: np.ndarray, reach: float
    ) -> tuple[np.ndarray, Hypotheses | None]:
        """Return which positions have enough disks, and hypotheses for those."""
        measured = self._read(disks, where, reach)
        tried = measured.enough(self.acceptance.min_disks)
        told = tried.cpu().numpy()
        if not told.any():
            return told, None
        matches = [self._match(phase_id, measured[tried]) for phase_id in range(len(self.phases))]
        found = self._answer(measured[tried], matches)
        if self._judge:
            found = with_reliability(found, self._judge.beside(disks, where[told], matches), self.phases)
        return told, found

    def _read(self, disks: BraggDisks, where: np.ndarray, reach: float) -> Measured:
        nearest = min(reflector.nearest for reflector in self._reflectors)
        block, inside = disks.padded(max(int(disks.counts.ravel()[where].max()), 1), where)
        tensor = torch.from_numpy(block).to(self.device)
        mask = without_direct_beam(tensor, torch.from_numpy(inside).to(self.device), nearest)
        return Measured.of(tensor, mask, reach)

    def _answer(self, measured: Measured, matches: Sequence[torch.Tensor]) -> Hypotheses:
        """Return the matches (n, m, 3, 3) of each phase with their scores, best first."""
        found = []
        for phase_id, (rotation, reflector) in enumerate(zip(matches, self._reflectors, strict=True)):
            scored = score(measured, rotation, reflector, self._scoring(measured.snr is not None))
            phase_ids = np.full(rotation.shape[:2], phase_id, np.int32)
            value, explained = scored.value.cpu().numpy(), scored.n_matched.cpu().numpy()
            found.append(Hypotheses(rotation.cpu().numpy(), phase_ids, value, explained))
        # Within a phase the order of the matches stands; between phases the common score of the first match decides.
        later = 2.0 * np.arange(self.settings.matches)
        preference = [part.score[:, :1] - later for part in found]
        return Hypotheses.join(found, self.settings.matches * len(self.phases), preference)

    def _scoring(self, snr_known: bool) -> ScoreSettings:
        return scoring_for(self._reflectors[0], snr_known)

    def _match(self, phase_id: int, measured: Measured) -> torch.Tensor:
        """Return orientations (n, matches, 3, 3) of one phase, best first."""
        if self._by_torch:
            templates = self._templates[phase_id]
            return match(templates, measured.q, measured.intensity, measured.mask, self.settings.matches)
        with quiet():
            matched = [
                _match_one(self._plans[phase_id], q[mask], intensity[mask], self.settings.matches)
                for q, intensity, mask in zip(
                    measured.q.numpy(), measured.intensity.numpy(), measured.mask.numpy(), strict=True
                )
            ]
        return torch.from_numpy(np.stack(matched).astype(np.float32))

    def _provenance(self, disks: BraggDisks) -> dict[str, Any]:
        engine = "torch" if self._by_torch else "py4DSTEM"
        return {
            "method": self.name,
            "engine": f"{engine} {version(engine)}",
            "voltage_kV": self.voltage,
            "k_max": self.k_max,
            "precession_degrees": self.precession,
            "device": describe(self.device) if self._by_torch else "CPU",
            "settings": asdict(self.settings),
            "acceptance": asdict(self.acceptance),
            "scoring": asdict(self._scoring(disks.snr is not None)),
            **({} if self._judge is None else {"verifiers": self._judge.verifiers}),
        }


def _joined(parts: Iterable[Any]) -> Any:
    """Return py4DSTEM's crystal with the templates of all parts, which are made in it one after the other."""
    names = [f"orientation_{name}" for name in ("vecs", "rotation_angles", "rotation_matrices", "ref")]
    made = [(crystal, [getattr(crystal, name) for name in names]) for crystal in parts]
    crystal = made[0][0]
    for name, arrays in zip(names, zip(*(each for _, each in made), strict=True), strict=True):
        setattr(crystal, name, np.concatenate(arrays))
    crystal.orientation_num_zones = len(crystal.orientation_vecs)
    return crystal


def _match_one(crystal: Any, q: np.ndarray, intensity: np.ndarray, matches: int) -> np.ndarray:
    """Match one pattern; return orientation matrices (matches, 3, 3), best first."""
    point_list = import_py4dstem("emdfile").PointList
    peaks = np.zeros(len(q), dtype=[("qx", float), ("qy", float), ("intensity", float)])
    peaks["qx"], peaks["qy"], peaks["intensity"] = q[:, 0], q[:, 1], intensity
    orientation = crystal.match_single_pattern(point_list(peaks), num_matches_return=matches, verbose=False)
    return np.asarray(orientation.matrix, float).reshape(matches, 3, 3)

"""Template matching: py4DSTEM's automated crystal orientation mapping (ACOM) as an indexer."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import torch

from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.disks import BraggDisks
from napari_4dstem_orient.indexing.indexer import AcceptanceSettings, Hypotheses, MapBuilder, reach_of
from napari_4dstem_orient.indexing.scoring import Measured, ScoreSettings, score, without_direct_beam
from napari_4dstem_orient.orientation_map import OrientationMap
from napari_4dstem_orient.parameters import parameter
from napari_4dstem_orient.progress import Progress, silent

CHUNK = 16
"""Scan positions between two progress reports."""


@dataclass(frozen=True)
class TemplateSettings:
    """py4DSTEM's orientation plan and matching."""

    zone_axis_step: Annotated[
        float,
        parameter(
            "Zone axis step",
            "Angle between neighbouring zone axes of the template library; smaller is finer and slower.",
            "°",
            min=0.5,
            max=10.0,
            step=0.5,
        ),
    ] = 2.0
    in_plane_step: Annotated[
        float,
        parameter("In-plane step", "Angle between in-plane rotations.", "°", min=0.5, max=10.0, step=0.5),
    ] = 2.0
    kernel: Annotated[
        float,
        parameter(
            "Correlation kernel",
            "Distance at which a measured and a template disk stop overlapping.",
            "Å⁻¹",
            min=0.01,
            max=0.5,
            step=0.01,
        ),
    ] = 0.08
    excitation_width: Annotated[
        float,
        parameter(
            "Excitation error width",
            "How far a reflection may be from the Ewald sphere and still be in a template (Gaussian width).",
            "Å⁻¹",
            min=0.002,
            max=0.1,
            step=0.002,
        ),
    ] = 0.02
    intensity_power: Annotated[
        float,
        parameter(
            "Intensity power",
            "Measured and template intensities enter the correlation to this power: 1 trusts them, 0 compares "
            "positions only.",
            min=0.0,
            max=1.0,
            step=0.05,
        ),
    ] = 0.5
    matches: Annotated[
        int, parameter("Matches", "Orientations returned for each position, best first.", min=1, max=4)
    ] = 2


class TemplateMatcher:
    """Indexes scans by py4DSTEM's template matching, one phase after the other.

    Parameters
    ----------
    phases : sequence of Phase
    voltage : float
        kV.
    k_max : float
        Å⁻¹.
    precession : float
        Half-angle in degrees.
    settings, acceptance, scoring
        See their classes. The score of an answer is the same as the transformer's, not py4DSTEM's correlation.
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
        scoring: ScoreSettings | None = None,
    ) -> None:
        self.phases = tuple(phases)
        self.voltage = voltage
        self.k_max = k_max
        self.precession = precession
        self.settings = settings or TemplateSettings()
        self.acceptance = acceptance or AcceptanceSettings()
        self.scoring = scoring or ScoreSettings()
        self._reflectors = [Reflector.of(phase, voltage, k_max, precession) for phase in phases]

    @cached_property
    def _plans(self) -> list[Any]:
        """py4DSTEM crystals with their template libraries; seconds to make, so made once and when first needed."""
        crystals = []
        for phase in self.phases:
            crystal = phase.to_py4dstem()
            with _quiet():
                crystal.calculate_structure_factors(self.k_max)
                crystal.orientation_plan(
                    zone_axis_range="auto",
                    angle_step_zone_axis=self.settings.zone_axis_step,
                    angle_step_in_plane=self.settings.in_plane_step,
                    accel_voltage=self.voltage * 1e3,
                    corr_kernel_size=self.settings.kernel,
                    sigma_excitation_error=self.settings.excitation_width,
                    precession_angle_degrees=self.precession or None,
                    power_intensity=self.settings.intensity_power,
                    power_intensity_experiment=self.settings.intensity_power,
                    progress_bar=False,
                )
            crystals.append(crystal)
        return crystals

    def index(self, disks: BraggDisks, progress: Progress = silent) -> OrientationMap:
        """Map the orientations of a scan's calibrated disks; see ``Indexer.index``."""
        reach = reach_of(disks, self.k_max)
        builder = MapBuilder(
            disks.scan_shape, self.phases, self.acceptance, self.settings.matches * len(self.phases) - 1
        )
        positions = np.arange(disks.counts.size)
        longest = max(int(disks.counts.max(initial=1)), 1)
        nearest = min(reflector.nearest for reflector in self._reflectors)
        for start in range(0, len(positions), CHUNK):
            where = positions[start : start + CHUNK]
            block, inside = disks.padded(longest, where)
            tensor = torch.from_numpy(block)
            measured = Measured.of(
                tensor, without_direct_beam(tensor, torch.from_numpy(inside), nearest), reach
            )
            count = measured.mask.sum(1).numpy()
            tried = count >= self.acceptance.min_disks
            builder.leave_out(where[~tried])
            if tried.any():
                found = self._answer(measured[torch.from_numpy(tried)])
                builder.put(where[tried], found, count[tried])
            progress(start + len(where), len(positions))
        return builder.finish(self.name, self._provenance())

    def _answer(self, measured: Measured) -> Hypotheses:
        found = []
        for phase_id, (crystal, reflector) in enumerate(zip(self._plans, self._reflectors, strict=True)):
            with _quiet():
                matched = [
                    _match(crystal, q[mask], intensity[mask], self.settings.matches)
                    for q, intensity, mask in zip(
                        measured.q.numpy(), measured.intensity.numpy(), measured.mask.numpy(), strict=True
                    )
                ]
            rotation = np.stack(matched)
            scored = score(measured, torch.from_numpy(rotation.astype(np.float32)), reflector, self.scoring)
            phase_ids = np.full(rotation.shape[:2], phase_id, np.int32)
            found.append(Hypotheses(rotation, phase_ids, scored.value.numpy(), scored.explained.numpy()))
        # Within a phase py4DSTEM's own order stands; between phases the common score of the first match decides.
        later = 2.0 * np.arange(self.settings.matches)
        preference = [part.score[:, :1] - later for part in found]
        return Hypotheses.join(found, self.settings.matches * len(self.phases), preference)

    def _provenance(self) -> dict[str, Any]:
        import py4DSTEM

        return {
            "method": self.name,
            "engine": f"py4DSTEM {py4DSTEM.__version__}",
            "voltage_kV": self.voltage,
            "k_max": self.k_max,
            "precession_degrees": self.precession,
            "device": "CPU",
            "settings": asdict(self.settings),
            "acceptance": asdict(self.acceptance),
            "scoring": asdict(self.scoring),
        }


def _match(crystal: Any, q: np.ndarray, intensity: np.ndarray, matches: int) -> np.ndarray:
    """Match one pattern; return orientation matrices (matches, 3, 3), best first."""
    from emdfile import PointList

    peaks = np.zeros(len(q), dtype=[("qx", float), ("qy", float), ("intensity", float)])
    peaks["qx"], peaks["qy"], peaks["intensity"] = q[:, 0], q[:, 1], intensity
    orientation = crystal.match_single_pattern(PointList(peaks), num_matches_return=matches, verbose=False)
    return np.asarray(orientation.matrix, float).reshape(matches, 3, 3)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep py4DSTEM's prints, progress bars and numpy warnings to itself."""
    silence = io.StringIO()
    with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

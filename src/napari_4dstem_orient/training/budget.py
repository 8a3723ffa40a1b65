"""How many training patterns fit into some minutes on this device, and whether crystals can be learned from them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from napari_4dstem_orient.core.errors import Cancelled, UserError
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.training.trainer import TrainingSettings

CUBIC_PATTERNS = 100_000
"""Training patterns after which a model of a crystal of full cubic symmetry, together with the verifier and pairs of
disks, is worth mapping with (benchmarks/experiments.md, "From a CIF file"); its network alone wants many more."""
CUBIC_ROTATIONS = 24
"""Proper rotations of m-3m. A crystal with fewer has a fundamental zone so many times larger, and needs so many
times more patterns to fill it as densely."""
HOPELESS = 0.1
"""Share of the patterns needed, below which a training is refused: its answers would be guesses."""
MOST_REFLECTIONS = 20_000
"""Each pattern of a batch computes all of them: more would take several GB and hours."""
WARM_UP_STEPS, TIMED_STEPS = 3, 8


@dataclass(frozen=True)
class Speed:
    """Seconds for one training step (a batch) and for one validation with its checkpoint."""

    step: float
    validation: float


class _Measured(Cancelled):
    """Ends the training that is only timed."""


def measure_speed(
    train: Callable[..., Any], settings: TrainingSettings, progress: Progress = silent
) -> Speed:
    """Time a few steps of the training to come; nothing of them is kept.

    Parameters
    ----------
    train : callable
        ``train_model`` with everything but ``out``, ``settings``, ``progress`` and ``report``.
    settings : TrainingSettings
    progress : Progress
        May cancel; nothing is done as long as it says so.
    """
    ends: list[float] = []
    validated: list[float] = []

    def on_step(done: int, total: int) -> None:
        progress(0, 1)
        ends.append(time.monotonic())

    def on_validation(figures: dict[str, float]) -> None:
        validated.append(time.monotonic())
        raise _Measured

    steps = WARM_UP_STEPS + TIMED_STEPS
    brief = replace(settings, patterns=2 * steps * settings.batch, every=steps * settings.batch)
    with TemporaryDirectory() as folder, suppress(_Measured):
        train(out=Path(folder) / "timed.safetensors", settings=brief, progress=on_step, report=on_validation)
    durations = [later - earlier for earlier, later in pairwise(ends)]
    return Speed(median(durations[WARM_UP_STEPS - 1 :]), validated[0] - ends[-1])


def patterns_within(minutes: float, speed: Speed, settings: TrainingSettings) -> int:
    """Return how many patterns fit, in whole batches and at least one of them."""
    seconds_each = speed.step / settings.batch + speed.validation / settings.every
    return max(1, int(60 * minutes / seconds_each / settings.batch)) * settings.batch


def patterns_needed(phases: Sequence[Phase]) -> int:
    """Return about how many patterns a model of these crystals needs: the more, the lower their symmetry."""
    return sum(CUBIC_PATTERNS * CUBIC_ROTATIONS // len(phase.symmetry) for phase in phases)


def reflections_within(phase: Phase, k_max: float) -> int:
    """Return how many reciprocal lattice points lie within ``k_max`` (Å⁻¹), absences included."""
    return round(4 / 3 * math.pi * k_max**3 * abs(float(np.linalg.det(phase.lattice))))


def refuse_too_large(phases: Sequence[Phase], k_max: float) -> None:
    """Raise UserError for a crystal with more reflections than a training can hold."""
    for phase in phases:
        count = reflections_within(phase, k_max)
        if count > MOST_REFLECTIONS:
            possible = k_max * (MOST_REFLECTIONS / count) ** (1 / 3)
            raise UserError(
                f"{phase.name} is too large to train for: about {count:,} reflections up to {k_max:g} Å⁻¹, where "
                f"{MOST_REFLECTIONS:,} can be held; choose a k range up to {math.floor(100 * possible) / 100:g} Å⁻¹."
            )


def check_budget(phases: Sequence[Phase], k_max: float, minutes: float, patterns: int) -> str:
    """Say why a budget is too small for the crystals, or return nothing where it is not.

    Parameters
    ----------
    phases : sequence of Phase
    k_max : float
        Å⁻¹.
    minutes : float
        The budget.
    patterns : int
        What fits into it on this device.

    Raises
    ------
    UserError
        The budget is so small that the model would be of no use.
    """
    needed = patterns_needed(phases)
    if patterns >= needed:
        return ""
    names = " + ".join(phase.name for phase in phases)
    because = []
    if needed > CUBIC_PATTERNS * len(phases):
        times = needed / (CUBIC_PATTERNS * len(phases))
        because.append(f"{times:g} times as many as for a cubic crystal, for its low symmetry")
    because.append(f"{sum(reflections_within(p, k_max) for p in phases):,} reflections up to {k_max:g} Å⁻¹")
    text = (
        f"{minutes:g} min is too short for {names}: {patterns:,} training patterns fit on this device and about "
        f"{needed:,} are needed ({'; '.join(because)}). "
        f"Give it about {math.ceil(minutes * needed / patterns):,} min, or a smaller k range."
    )
    if patterns < HOPELESS * needed:
        raise UserError(text)
    return text

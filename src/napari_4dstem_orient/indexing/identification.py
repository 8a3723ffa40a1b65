"""Which of many crystals could be here: all are looked for in the same patterns, and one verifier compares them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.memory import parts
from napari_4dstem_orient.core.progress import Progress, going_on, silent
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.base import Hypotheses, MapBuilder
from napari_4dstem_orient.indexing.methods import Asked
from napari_4dstem_orient.indexing.methods.transformer import by_templates
from napari_4dstem_orient.indexing.settings import AcceptanceSettings
from napari_4dstem_orient.indexing.verification.reliability import NEAREST, calibrated

POSITIONS = 64
"""Scan positions that are looked at by default, all over the scan."""
SPEAKING = 4
"""Sure disks, the direct beam apart, from which a position is looked at by default."""
TOGETHER = 16
"""Positions between two reports of progress."""
LEAST_SHARE = 0.1
"""A crystal that explains less is not spoken of."""
UNEXPLAINED = 0.25
"""Share of the positions from which it is said that no crystal explains them."""
ADVICE = "offer another crystal, or check the pixel size"
OVERLAP = 0.1
"""Of what two crystals explain, the share that both do, from which they are said to look alike."""


@dataclass(frozen=True)
class PhaseEvidence:
    """What speaks for a crystal.

    Attributes
    ----------
    phase : Phase
    share : float
        Of the positions, about how many it explains: the mean of its probabilities among all crystals and none.
    likeliest : int
        Positions where it is likelier than each other crystal, and than none.
    reliability : float
        Median, where it is the likeliest, of how likely its best orientation is right; NaN where it is nowhere.
    ahead : float
        Median, of the same positions, of how much likelier it is than the next crystal; NaN where it is nowhere.
    score : float
        Median of its best orientations' scores, 0 to 1; NaN without any.
    n_matched : float
        Median number of disks that these match.
    """

    phase: Phase
    share: float
    likeliest: int
    reliability: float
    ahead: float
    score: float
    n_matched: float


@dataclass(frozen=True, eq=False)
class Identification:
    """What some scan positions say about which crystals are there.

    Attributes
    ----------
    evidence : tuple of PhaseEvidence
        Of each crystal, those that explain most of the positions first.
    positions : ndarray, int, shape (n,)
        Flat indices of those that were looked at and have enough disks.
    probability : ndarray, shape (n, k)
        Of each crystal in the order of ``evidence``; what is missing to 1 says that it is none of them.
    """

    evidence: tuple[PhaseEvidence, ...]
    positions: np.ndarray
    probability: np.ndarray

    @property
    def none(self) -> float:
        """Share of the positions that no crystal explains."""
        return max(1 - sum(each.share for each in self.evidence), 0.0)

    @property
    def alike(self) -> list[tuple[Phase, ...]]:
        """Groups of crystals that the same positions speak for, so that they cannot tell them apart."""
        groups: list[set[int]] = []
        for pair in combinations(range(len(self.evidence)), 2):
            both = self.probability[:, pair]
            together, either = both.min(1).sum(), both.max(1).sum()
            if together > OVERLAP * either and either > LEAST_SHARE * len(both):
                joined = [group for group in groups if group & set(pair)]
                groups = [group for group in groups if group not in joined] + [set(pair).union(*joined)]
        return [tuple(self.evidence[number].phase for number in sorted(group)) for group in groups]

    @property
    def words(self) -> str:
        """What it means, in a sentence or two."""
        there = [each for each in self.evidence if each.share >= LEAST_SHARE]
        many = len(self.positions)
        if not there or (many == 1 and self.none > 0.5):
            return f"None of these crystals fits: {ADVICE}."
        if many == 1:
            words = (
                "It is " + " or ".join(f"{each.phase.name} ({each.share:.0%} likely)" for each in there) + "."
            )
        else:
            said = " and ".join(f"{each.phase.name} explains {each.share:.0%}" for each in there)
            words = f"{said} of {many} positions."
        if self.none > UNEXPLAINED:
            words += f" None explains the other {self.none:.0%}: {ADVICE}."
        for *others, last in self.alike:
            words += (
                f" {', '.join(phase.name for phase in others)} and {last.name} cannot be told apart here."
            )
        return words


def speaking_positions(disks: BraggDisks, count: int = POSITIONS) -> np.ndarray:
    """Return up to ``count`` scan positions with enough sure disks, evenly all over the scan, as flat indices."""
    speaking = np.flatnonzero(disks.sure().counts.ravel() > SPEAKING)
    return speaking[np.linspace(0, len(speaking) - 1, min(count, len(speaking))).round().astype(int)]


def identify_phases(
    disks: BraggDisks,
    phases: Sequence[Phase],
    voltage: float,
    positions: Sequence[int] | np.ndarray | None = None,
    precession: float = 0.0,
    device: str = "auto",
    progress: Progress = silent,
) -> Identification:
    """Say which crystals could be at some scan positions, those that explain most of them first.

    Parameters
    ----------
    disks : BraggDisks
        Calibrated: in Å⁻¹, centred, in the scan frame.
    phases : sequence of Phase
        Any number of crystals; all are found by their templates, so that none has an advantage.
    voltage : float
        kV.
    positions : sequence of int, optional
        Flat indices of scan positions (row × columns + column); by default ``speaking_positions``.
    precession : float
        Half-angle of the precession cone in degrees.
    device : "auto", "cpu", "cuda" or "mps"
    progress : Progress
        Called with (crystals made ready and positions done, all).

    Raises
    ------
    UserError
        No phase is given, the disks are not calibrated, or no position has enough disks.
    Cancelled
        If ``progress`` raised it.
    """
    chosen = speaking_positions(disks) if positions is None else np.asarray(positions, int)
    if not len(chosen):
        raise UserError(
            f"No scan position has more than {SPEAKING} sure disks; choose positions, or detect more."
        )
    total = len(phases) + len(chosen)
    farthest = float(np.hypot(disks.qx, disks.qy).max(initial=0))
    asked = Asked(tuple(phases), voltage, precession, disks.reach, farthest, device=device)
    indexer = by_templates(asked, going_on(progress, 0, total))
    reach, judged = indexer.reach(disks), _Judged(tuple(phases), len(chosen))
    for part in parts(len(chosen), TOGETHER):
        tried, found = indexer.answer(*indexer.read(disks, chosen[part], reach))
        if found is not None:
            judged.put(np.arange(len(chosen))[part][tried], found)
        progress(len(phases) + min(part.stop, len(chosen)), total)
    if not judged.tried.any():
        raise UserError("No disk of these scan positions stands out of the noise; choose others.")
    evidence = [judged.evidence(number) for number in range(len(phases))]
    order = sorted(range(len(phases)), key=lambda number: -evidence[number].share)
    return Identification(tuple(evidence[number] for number in order), chosen, judged.probability[:, order])


class _Judged:
    """What n positions say about k crystals, collected batch by batch."""

    def __init__(self, phases: tuple[Phase, ...], count: int) -> None:
        self.phases = phases
        shape = count, len(phases)
        self.tried = np.zeros(count, bool)
        self.probability = np.zeros(shape)
        self.score, self.n_matched = np.full(shape, np.nan), np.full(shape, np.nan)
        self._map = MapBuilder((count, 1), phases, AcceptanceSettings(), 0, calibrate=calibrated)

    def put(self, where: np.ndarray, found: Hypotheses) -> None:
        """Enter the hypotheses of some positions, those of all crystals."""
        found = replace(found, probability=_beforehand(found, len(self.phases)))
        assert found.probability is not None
        self.tried[where] = True
        self._map.put(where, found)
        for number in range(len(self.phases)):
            own = found.phase_id == number
            self.probability[where, number] = np.where(own, found.probability, 0).sum(1)
            best = np.where(own, found.probability, -1).argmax(1)[:, None]
            for mine, theirs in ((self.score, found.score), (self.n_matched, found.n_matched)):
                mine[where, number] = np.take_along_axis(theirs, best, 1)[:, 0]

    def evidence(self, number: int) -> PhaseEvidence:
        """Return what speaks for a crystal."""
        share = self.probability[:, number]
        none = 1 - self.probability.sum(1)
        wins = self.tried & (share >= np.maximum(self.probability.max(1), none))

        def median(values: np.ndarray) -> float:
            return float(np.median(values)) if len(values) else float("nan")

        return PhaseEvidence(
            self.phases[number],
            float(share.mean()),
            int(wins.sum()),
            median(self._map.reliability[wins]),
            median(self._map.phase_margin[wins]),
            median(self.score[self.tried, number]),
            median(self.n_matched[self.tried, number]),
        )


def _beforehand(found: Hypotheses, crystals: int) -> np.ndarray:
    """Return the probabilities where, before anything is measured, one of the crystals is as likely as none of them.

    The verifier holds each of them for so likely; of many wrong ones some would be believed at every position.
    """
    assert found.probability is not None
    some = found.probability.sum(1, keepdims=True)
    return found.probability / (some + crystals * np.maximum(1 - some, NEAREST))

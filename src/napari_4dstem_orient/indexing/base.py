"""What every way of finding orientations has in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.certainty import AmbiguityFlag, Certainty, IndexingStatus
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.settings import AcceptanceSettings


class Indexer(Protocol):
    """Finds orientations from calibrated Bragg disks; ``indexing.methods.METHODS`` makes one."""

    @property
    def name(self) -> str:
        """The method, by its key in ``METHODS``."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The crystals it chooses from."""

    def index(self, disks: BraggDisks, progress: Progress = silent) -> OrientationMap:
        """Map the orientations of a scan; ``disks.only(row, col)`` maps one position.

        Parameters
        ----------
        disks : BraggDisks
        progress : Progress
            Called with (scan positions done, all).

        Raises
        ------
        UserError
            If the disks are not calibrated.
        Cancelled
            If ``progress`` raises it.
        """


class Verifies(Protocol):
    """What an indexer can do besides, whose positions may hear what their neighbours measured."""

    def verify(self, offered: Offered, progress: Progress = silent) -> Verified:
        """Say what disks make of hypotheses from elsewhere.

        Parameters
        ----------
        offered : Offered
        progress : Progress
            Called with (hypotheses done, all).
        """


@dataclass(frozen=True, eq=False)
class Offered:
    """Hypotheses from elsewhere, each with the disks by which it is to be verified; n is their number.

    Attributes
    ----------
    disks : BraggDisks
        Of n scan rows and one column.
    rotation : ndarray, float32, shape (n, 3, 3)
    phase_id : ndarray, int32, shape (n,)
    against : ndarray, float32, shape (n,)
        Score of the answer that the same disks had without.
    """

    disks: BraggDisks
    rotation: np.ndarray
    phase_id: np.ndarray
    against: np.ndarray

    @property
    def scan_shape(self) -> tuple[int, int]:
        """Number of hypotheses, and one column."""
        return self.disks.scan_shape

    def rows(self, start: int, stop: int) -> Offered:
        """Return some of them."""
        part = slice(start, stop)
        return Offered(
            self.disks.rows(start, stop), self.rotation[part], self.phase_id[part], self.against[part]
        )


@dataclass(frozen=True, eq=False)
class Verified:
    """What the disks make of ``Offered`` hypotheses.

    Attributes
    ----------
    rotation : ndarray, float32, shape (n, 3, 3)
        Turned a little, where the disks ask for it.
    odds : ndarray, float64, shape (n,)
        How much likelier the disks make it than that no hypothesis is right.
    score : ndarray, float32, shape (n,)
    n_matched : ndarray, int32, shape (n,)
    precision : ndarray, float32, shape (n, 2)
        As ``Certainty.precision``.
    """

    rotation: np.ndarray
    odds: np.ndarray
    score: np.ndarray
    n_matched: np.ndarray
    precision: np.ndarray

    @classmethod
    def nothing(cls, count: int) -> Verified:
        """Return room for so many, to ``put`` them in."""
        return cls(
            np.zeros((count, 3, 3), np.float32),
            np.zeros(count),
            np.zeros(count, np.float32),
            np.zeros(count, np.int32),
            np.full((count, 2), np.nan, np.float32),
        )

    @classmethod
    def join(cls, parts: Sequence[Verified]) -> Verified:
        """Put successive parts together."""
        return cls(
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])}
        )

    def put(self, where: np.ndarray, *values: np.ndarray) -> None:
        """Enter some of them, their values in the order of the attributes."""
        for mine, theirs in zip(vars(self).values(), values, strict=True):
            mine[where] = theirs


@dataclass(frozen=True, eq=False)
class Hypotheses:
    """Several answers for each of n patterns, best first.

    Attributes
    ----------
    rotation : ndarray, shape (n, h, 3, 3)
    phase_id : ndarray, int, shape (n, h)
    score : ndarray, shape (n, h)
    n_matched : ndarray, int, shape (n, h)
    probability : ndarray, shape (n, h), or None
        That the hypothesis is right, where the method knows it; what is missing to 1 says that none of them is.
    precision : ndarray, shape (n, 2), or None
        Of the first, as ``Certainty.precision``, where the method knows it.
    """

    rotation: np.ndarray
    phase_id: np.ndarray
    score: np.ndarray
    n_matched: np.ndarray
    probability: np.ndarray | None = None
    precision: np.ndarray | None = None

    @classmethod
    def join(
        cls, parts: list[Hypotheses], keep: int, preference: list[np.ndarray] | None = None
    ) -> Hypotheses:
        """Sort the hypotheses of several phases or models by score (or ``preference``) and keep the best few."""
        names = ["rotation", "phase_id", "score", "n_matched"]
        if parts[0].probability is not None:
            names.append("probability")
        joined = {name: np.concatenate([getattr(part, name) for part in parts], axis=1) for name in names}
        sorting = joined["score"] if preference is None else np.concatenate(preference, axis=1)
        order = np.argsort(-sorting, axis=1, kind="stable")[:, :keep]
        rows = np.arange(len(order))[:, None]
        return cls(**{name: values[rows, order] for name, values in joined.items()})

    def of_winning_phase(self, keep: int) -> Hypotheses:
        """Return the winner and further hypotheses of its phase; where these run out, the score is 0."""
        same = self.phase_id == self.phase_id[:, :1]
        score = np.where(same, self.score, 0)
        rank = np.where(same, np.arange(same.shape[1]), same.shape[1])
        order = np.argsort(rank, axis=1, kind="stable")[:, :keep]
        rows = np.arange(len(order))[:, None]
        return Hypotheses(
            self.rotation[rows, order],
            self.phase_id[rows, order],
            score[rows, order],
            self.n_matched[rows, order],
            None if self.probability is None else np.where(same, self.probability, 0)[rows, order],
        )


ALIKE = 10.0
"""Degrees; hypotheses closer than this count as one orientation when reliability is judged."""
HALF_TURN = np.diag([-1.0, -1.0, 1.0])
"""Half a turn about the beam, on the right of an orientation matrix."""
NEAR_HALF_TURN = 5.0
"""Degrees."""
RIVAL = 0.2
"""A rival is worth a warning from this share of the winner's probability."""
FEW_DISKS = 6
"""An answer that explains fewer is worth a warning."""


class MapBuilder:
    """Collects hypotheses batch by batch into an orientation map.

    Parameters
    ----------
    scan_shape : tuple of int
    phases : tuple of Phase
    acceptance : AcceptanceSettings
    runners_up : int
        Further hypotheses to keep.
    listed : ndarray of int, shape (scan_y, scan_x), optional
        Sure disks of each position's list, the direct beam among them; they tell why a position was not tried.
    calibrate : callable, optional
        What a reliability is to become, elementwise; probabilities are left as they are.
    """

    def __init__(
        self,
        scan_shape: tuple[int, int],
        phases: tuple[Phase, ...],
        acceptance: AcceptanceSettings,
        runners_up: int,
        listed: np.ndarray | None = None,
        calibrate: Callable[[np.ndarray], np.ndarray] = lambda reliability: reliability,
    ) -> None:
        self.calibrate = calibrate
        positions = scan_shape[0] * scan_shape[1]
        self.listed = np.zeros(positions, int) if listed is None else listed.ravel()
        self.scan_shape = scan_shape
        self.phases = phases
        self.acceptance = acceptance
        self.rotation = np.tile(np.eye(3, dtype=np.float32), (positions, 1 + runners_up, 1, 1))
        self.phase_id = np.full(positions, -1, np.int32)
        self.score = np.zeros((positions, 1 + runners_up), np.float32)
        self.n_matched = np.zeros(positions, np.int32)
        self.status = np.full(positions, IndexingStatus.NOT_RUN, np.uint8)
        self.certain = True
        self.reliability = np.zeros(positions, np.float32)
        self.phase_margin = np.zeros(positions, np.float32)
        self.ambiguity = np.zeros(positions, np.uint8)
        self.probability = np.zeros((positions, 1 + runners_up), np.float32)
        self.precision = np.full((positions, 2), np.nan, np.float32)

    def enter(self, where: np.ndarray, tried: np.ndarray, found: Hypotheses | None) -> None:
        """Enter a batch: flat scan positions, which of them have enough disks, and hypotheses of those."""
        self.leave_out(where[~tried])
        if found is not None:
            self.put(where[tried], found)

    def put(self, where: np.ndarray, found: Hypotheses, disk_count: np.ndarray | None = None) -> None:
        """Enter the hypotheses of flat scan positions ``where``.

        A method that has not left out positions with too few disks says how many each has (``disk_count``).
        """
        asked = self.acceptance
        enough = np.ones(len(where), bool) if disk_count is None else disk_count >= asked.min_disks
        failed = {
            IndexingStatus.TOO_FEW_DISKS: ~enough,
            IndexingStatus.LOW_SCORE: found.score[:, 0] < asked.least_score(found.probability is not None),
        }
        if found.probability is None:
            self.certain = False
        else:
            believed, margin, ambiguity = self._judge(found, found.probability)
            reliability = self.calibrate(believed)
            few = found.n_matched[:, 0] < FEW_DISKS
            ambiguity |= np.where(few, AmbiguityFlag.FEW_DISKS, 0).astype(np.uint8)
            self.reliability[where] = reliability * enough
            self.phase_margin[where] = margin * enough
            self.ambiguity[where] = ambiguity * enough
            failed[IndexingStatus.UNRELIABLE] = reliability < asked.min_reliability
            if len(self.phases) > 1:
                failed[IndexingStatus.AMBIGUOUS_PHASE] = margin < asked.min_phase_margin
        reason = np.select(list(failed.values()), list(failed), default=IndexingStatus.INDEXED)
        self.status[where] = reason
        indexed = reason == IndexingStatus.INDEXED
        self.phase_id[where] = np.where(indexed, found.phase_id[:, 0], -1)
        if found.precision is not None:
            self.precision[where] = np.where(enough[:, None], found.precision, np.nan)
        own = found.of_winning_phase(self.rotation.shape[1])
        count = own.rotation.shape[1]
        self.rotation[where, :count] = np.where(indexed[:, None, None, None], own.rotation, np.eye(3))
        self.score[where, :count] = own.score * enough[:, None]
        self.n_matched[where] = own.n_matched[:, 0] * enough
        if own.probability is not None:
            self.probability[where, :count] = own.probability * enough[:, None]

    def _judge(self, found: Hypotheses, likely: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return reliability, phase margin and ``AmbiguityFlag`` of each pattern's winner."""
        winner = found.phase_id[:, :1]
        same_phase = found.phase_id == winner
        apart, half_turned = np.full(likely.shape, 180.0), np.full(likely.shape, 180.0)
        own_half_turn = np.zeros(len(winner))
        for phase_id in np.unique(winner):
            rows = winner[:, 0] == phase_id
            phase, best = self.phases[phase_id], found.rotation[rows, :1]
            apart[rows] = misorientation(found.rotation[rows], best, phase)
            half_turned[rows] = misorientation(found.rotation[rows], best @ HALF_TURN, phase)
            own_half_turn[rows] = misorientation(best[:, 0], best[:, 0] @ HALF_TURN, phase)
        alike = same_phase & (apart < ALIKE)
        reliability = (likely * alike).sum(1)
        of_phases = np.stack(
            [(likely * (found.phase_id == number)).sum(1) for number in range(len(self.phases))], 1
        )
        rivals = np.where(same_phase & ~alike, likely, 0)
        turned = (half_turned < NEAR_HALF_TURN) & (own_half_turn[:, None] > ALIKE)
        of_winner = of_phases[np.arange(len(winner)), winner[:, 0]]
        others = of_phases.sum(1) - of_winner
        worth = RIVAL * reliability
        ambiguity = (
            np.where((rivals * turned).max(1) > worth, AmbiguityFlag.HALF_TURN, 0)
            | np.where((rivals * ~turned).max(1) > worth, AmbiguityFlag.ELSEWHERE, 0)
            | np.where(others > worth, AmbiguityFlag.OTHER_PHASE, 0)
            | np.where(likely.sum(1) < 0.5, AmbiguityFlag.OUT_OF_RANGE, 0)
        )
        second = np.where(np.arange(len(self.phases)) == winner, -np.inf, of_phases).max(1, initial=0.0)
        return reliability, of_winner - second, ambiguity.astype(np.uint8)

    def leave_out(self, where: np.ndarray) -> None:
        """Enter positions that were not tried: of all their disks, or of those that could be reflections, too few."""
        enough = self.listed[where] > self.acceptance.min_disks  # one of them is the direct beam
        self.status[where] = np.where(enough, IndexingStatus.DISKS_ELSEWHERE, IndexingStatus.TOO_FEW_DISKS)

    def finish(self, method: str, provenance: dict[str, Any]) -> OrientationMap:
        """Return the map."""
        shape = self.scan_shape
        certainty = Certainty(
            self.reliability.reshape(shape),
            self.phase_margin.reshape(shape),
            self.ambiguity.reshape(shape),
            self.probability.reshape(*shape, -1),
            self.precision.reshape(*shape, 2),
        )
        return OrientationMap(
            phases=self.phases,
            rotation=self.rotation[:, 0].reshape(*shape, 3, 3),
            phase_id=self.phase_id.reshape(shape),
            score=self.score[:, 0].reshape(shape),
            status=self.status.reshape(shape),
            n_matched=self.n_matched.reshape(shape),
            runner_up=self.rotation[:, 1:].reshape(*shape, -1, 3, 3),
            runner_up_score=self.score[:, 1:].reshape(*shape, -1),
            method=method,
            provenance=provenance,
            certainty=certainty if self.certain else None,
        )


def reach_of(disks: BraggDisks, k_max: float) -> float:
    """Return |q| in Å⁻¹ up to which disks of this scan could have been seen.

    Raises
    ------
    UserError
        If the disks are not calibrated.
    """
    if not disks.calibrated:
        raise UserError("The Bragg disks are in detector pixels; calibrate them before mapping orientations.")
    return k_max if disks.reach is None else min(k_max, disks.reach)

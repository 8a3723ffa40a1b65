"""The answer: how the crystal is turned at every scan position, and which crystal it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_4dstem_orient.core.certainty import AmbiguityFlag, Certainty, IndexingStatus
from napari_4dstem_orient.core.errors import LONGEST, UserError, one_line
from napari_4dstem_orient.core.pooled import Pooled, flattened
from napari_4dstem_orient.core.scan import both_steps
from napari_4dstem_orient.core.strain import Strain

if TYPE_CHECKING:
    from napari_4dstem_orient.crystals.phase import Phase


EARNED = 0.5
"""Median reliability below which a map's own answers speak against what it was made with."""


@dataclass(frozen=True, eq=False)
class OrientationMap:
    """Orientations, phases and scores of a scan, and the settings that made them.

    Attributes
    ----------
    phases : tuple of Phase
        ``phase_id`` counts into this.
    rotation : ndarray, float32, shape (scan_y, scan_x, 3, 3)
        Columns are the lab axes x, y, z in crystal Cartesian coordinates (g_lab = Rᵀ g_crystal), as in
        py4DSTEM; the same matrix as orix's ``Orientation``. Lab x is the first scan axis (down the rows),
        y the second, z = x × y; the beam travels along -z. Identity where there is no answer.
    phase_id : ndarray, int32, shape (scan_y, scan_x)
        Index into ``phases``; -1 where there is no answer.
    score : ndarray, float32, shape (scan_y, scan_x)
        How well the answer explains the disks, 0 to 1 (see ``indexing.scoring``), the same for every method.
    status : ndarray, uint8, shape (scan_y, scan_x)
        A ``IndexingStatus`` for each position.
    n_matched : ndarray, int32, shape (scan_y, scan_x)
        Number of measured disks (direct beam apart) that the answer explains.
    runner_up : ndarray, float32, shape (scan_y, scan_x, n, 3, 3)
        Further hypotheses of the same phase, best first; n may be 0.
    runner_up_score : ndarray, float32, shape (scan_y, scan_x, n)
        Their scores; 0 where there is no such hypothesis.
    method : str
        ``"transformer"`` or ``"template"``.
    r_pixel : float or None
        Scan step in nm; where those along the two axes differ, their geometric mean.
    provenance : dict
        Program version, inputs, parameters, model hash, device, as plain JSON values.
    certainty : Certainty or None
        None where the method does not know (template matching).
    r_aspect : float
        Scan step down the rows over that along them.
    pooled : Pooled or None
        What neighbours changed (``alone`` undoes it); None where each position was judged alone.
    beside : tuple of OrientationMap
        Further crystals of the same patterns: a map of the second, then of the third; where a pattern has none, its
        ``phase_id`` is -1. Empty where no pattern has one, or none was looked for.
    share : ndarray, float32, shape (scan_y, scan_x), or None
        This crystal's share of the intensity that all crystals of the pattern explain; None where there are none
        ``beside``.
    strain : Strain or None
        Of this crystal, where it was measured (``analysis.strain``); other answers have none.
    """

    phases: tuple[Phase, ...]
    rotation: np.ndarray
    phase_id: np.ndarray
    score: np.ndarray
    status: np.ndarray
    n_matched: np.ndarray
    runner_up: np.ndarray
    runner_up_score: np.ndarray
    method: str
    r_pixel: float | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    certainty: Certainty | None = None
    r_aspect: float = 1.0
    pooled: Pooled | None = None
    beside: tuple[OrientationMap, ...] = ()
    share: np.ndarray | None = None
    strain: Strain | None = None

    def __post_init__(self) -> None:
        shape = self.phase_id.shape
        if len(shape) != 2 or self.rotation.shape != (*shape, 3, 3) or self.score.shape != shape:
            raise ValueError("rotation, phase_id and score disagree about the scan's shape")

    @classmethod
    def join(cls, parts: Sequence[OrientationMap]) -> OrientationMap:
        """Put maps of a scan's successive rows together; what is not an array comes from the first part.

        As in a map made at once, certainty is lost where one part does not know it.

        Raises
        ------
        ValueError
            No part, or parts of different width, methods or phases.
        """
        kinds = {(part.scan_shape[1], part.method, tuple(p.name for p in part.phases)) for part in parts}
        if len(kinds) != 1:
            raise ValueError(f"parts of {len(kinds)} kinds do not make one map")
        known = [part.certainty for part in parts if part.certainty is not None]
        certainty = Certainty(**_joined(known, _names(known))) if len(known) == len(parts) else None
        arrays = _joined(parts, _ARRAYS)
        return replace(
            parts[0], **arrays, certainty=certainty, pooled=None, beside=(), share=None, strain=None
        )

    def nothing(self, scan_shape: tuple[int, int]) -> OrientationMap:
        """Return a map of the same kind, of other positions, at none of which anything was tried yet."""
        empty = _empty(self, _ARRAYS, scan_shape)
        empty["rotation"][:], empty["runner_up"][:] = np.eye(3), np.eye(3)
        empty["phase_id"][:], empty["status"][:] = -1, IndexingStatus.NOT_RUN
        known, certainty = self.certainty, None
        if known is not None:
            certainty = Certainty(**_empty(known, _names([known]), scan_shape))
            if certainty.precision is not None:
                certainty.precision[:] = np.nan
        return replace(self, **empty, certainty=certainty, pooled=None, beside=(), share=None, strain=None)

    def take(self, positions: np.ndarray) -> OrientationMap:
        """Return a map of one column, whose rows are these flat positions (n,), without what lies ``beside``."""
        arrays = {name: flattened(values)[positions][:, None] for name, values in self.arrays.items()}
        return self.with_arrays(arrays, pooled=None, beside=(), share=None)

    def put(self, positions: np.ndarray, other: OrientationMap) -> OrientationMap:
        """Return the map with the answers of another, of one column, at these flat positions (n,)."""
        arrays = {name: values.copy() for name, values in self.arrays.items()}
        for name, values in other.arrays.items():
            flattened(arrays[name])[positions] = values[:, 0]
        return self.with_arrays(arrays)

    def only(self, kept: np.ndarray) -> OrientationMap:
        """Return the map of a further crystal where ``kept`` (bool, scan_y × scan_x) is true; elsewhere is none."""
        nothing = self.nothing(self.scan_shape).arrays
        nothing["status"][:] = IndexingStatus.NO_OTHER
        arrays = {
            name: np.where(kept.reshape(*kept.shape, *(1,) * (values.ndim - 2)), values, nothing[name])
            for name, values in self.arrays.items()
        }
        return self.with_arrays(arrays, strain=None if self.strain is None else self.strain.where(kept))

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """All that has a value at each scan position, its certainty among them, by name."""
        known = (
            [] if self.certainty is None else [(self.certainty, name) for name in _names([self.certainty])]
        )
        return {name: getattr(owner, name) for owner, name in [*((self, name) for name in _ARRAYS), *known]}

    def with_arrays(self, arrays: Mapping[str, np.ndarray], **fields: Any) -> OrientationMap:
        """Return the map with others of its ``arrays``, all of them, and other fields; it has no strain."""
        certain = {name: values for name, values in arrays.items() if name in _CERTAINTY}
        own: dict[str, Any] = {name: values for name, values in arrays.items() if name not in certain}
        fields = {"strain": None, "certainty": Certainty(**certain) if certain else None} | fields
        return replace(self, **own, **fields)

    def alone(self) -> OrientationMap:
        """Return the map as it was before neighbours changed it, each position judged alone."""
        if self.pooled is None:
            return self
        provenance = {name: told for name, told in self.provenance.items() if name not in _LATER}
        undone = self.pooled.undone(self.arrays)
        return self.with_arrays(undone, provenance=provenance, pooled=None, beside=(), share=None)

    def of_crystal(self, number: int) -> OrientationMap:
        """Return the map of each pattern's first (1), second or third crystal, without the others.

        Raises
        ------
        IndexError
            No pattern has so many.
        """
        told = self.provenance | ({"crystal": number} if self.beside else {})
        return replace((self, *self.beside)[number - 1], provenance=told, beside=())

    @property
    def which_crystal(self) -> str:
        """What a reader of this map alone is told where patterns hold several crystals; empty where they do not."""
        number = self.provenance.get("crystal", 1 if self.beside else 0)
        return f"Crystal {number} of each pattern, of which some hold several" if number else ""

    @property
    def crystals(self) -> np.ndarray:
        """Number of crystals found at each position, int, shape (scan_y, scan_x)."""
        return np.sum([each.indexed for each in (self, *self.beside)], axis=0)

    @property
    def scan_shape(self) -> tuple[int, int]:
        """Number of scan positions along (y, x)."""
        return self.phase_id.shape[0], self.phase_id.shape[1]

    @property
    def steps(self) -> tuple[float, float] | None:
        """Scan steps in nm down the rows and along them; None where they are unknown."""
        return both_steps(self.r_pixel, self.r_aspect)

    def with_steps(self, r_pixel: float | None, r_aspect: float = 1.0) -> OrientationMap:
        """Return the map with other scan steps, which decide nothing in it; itself where it has these."""
        if (self.r_pixel, self.r_aspect) == (r_pixel, r_aspect):
            return self
        steps = {"r_pixel": r_pixel, "r_aspect": r_aspect}
        told = self.provenance.get("calibration")
        provenance = self.provenance | ({"calibration": {**told, **steps}} if told else {})
        beside = tuple(other.with_steps(r_pixel, r_aspect) for other in self.beside)
        return replace(self, r_pixel=r_pixel, r_aspect=r_aspect, provenance=provenance, beside=beside)

    def answers_as(self, other: OrientationMap | None) -> bool:
        """Tell whether another map holds these very answers, whatever its scan steps (see ``with_steps``)."""
        return other is not None and other.rotation is self.rotation and other.status is self.status

    @property
    def indexed(self) -> np.ndarray:
        """True where there is an answer, shape (scan_y, scan_x)."""
        return self.phase_id >= 0

    @property
    def confidence(self) -> np.ndarray:
        """Reliability where the method knows it, else score; shape (scan_y, scan_x)."""
        return self.score if self.certainty is None else self.certainty.reliability

    def accepted(self, min_score: float = 0.0, min_reliability: float = 0.0) -> OrientationMap:
        """Return the map without the answers that are worse, or less likely right, than this.

        What is refused becomes what an indexer leaves where it refuses an answer: no phase, the identity, and the
        reason; score, explained disks and certainty stay. The provenance says what was asked.

        Parameters
        ----------
        min_score, min_reliability : float
            0 to 1.

        Raises
        ------
        UserError
            A reliability is asked of a method that knows none.
        """
        if min_reliability and self.certainty is None:
            raise UserError(f"The {self.method} map knows no reliability; ask for a lowest score instead.")
        low = self.indexed & (self.score < min_score)
        unlikely = self.indexed & (self.confidence < min_reliability) & ~low
        refused = low | unlikely
        before = self.provenance.get("accepted", {})
        asked = {"min_score": min_score, "min_reliability": min_reliability}
        return replace(
            self,
            rotation=np.where(refused[..., None, None], np.eye(3, dtype=np.float32), self.rotation),
            runner_up=np.where(refused[..., None, None, None], np.eye(3, dtype=np.float32), self.runner_up),
            phase_id=np.where(refused, np.int32(-1), self.phase_id),
            status=np.select(
                [low, unlikely], [IndexingStatus.LOW_SCORE, IndexingStatus.UNRELIABLE], self.status
            ).astype(np.uint8),
            strain=None if self.strain is None else self.strain.where(~refused),
            beside=tuple(other.accepted(min_score, min_reliability).only(~refused) for other in self.beside),
            provenance=self.provenance
            | {"accepted": {name: max(float(value), before.get(name, 0.0)) for name, value in asked.items()}},
        )

    @property
    def exploratory(self) -> str:
        """Why the map is for a first look only, as one line to be shown with it; empty where it is none."""
        return why_exploratory(self.provenance)

    @property
    def disagreements(self) -> tuple[str, ...]:
        """What in the answers themselves speaks against the crystals or the calibration; empty where nothing does."""
        if self.certainty is None or not self.indexed.any():
            return ()
        if np.median(self.certainty.reliability[self.indexed]) >= EARNED:
            return ()
        return ("most answers are more likely wrong than right (another crystal, voltage or pixel size?)",)

    @property
    def how_sure(self) -> str:
        """How far the whole map can be relied on, to be shown to a person; empty where that is not known."""
        if self.certainty is None:
            return ""
        reliability, parts = self.certainty.reliability[self.indexed], []
        if reliability.size:
            unlikely = (reliability < 0.5).sum()
            parts = [
                f"median reliability {np.median(reliability):.0%}",
                f"{unlikely:,} more likely wrong than right",
            ]
        unreliable = np.isin(self.status, (IndexingStatus.UNRELIABLE, IndexingStatus.AMBIGUOUS_PHASE)).sum()
        foreign = (self.certainty.ambiguity & AmbiguityFlag.OUT_OF_RANGE > 0).sum()
        parts += [f"{unreliable:,} not indexed as unreliable"] if unreliable else []
        parts += [f"{foreign:,} perhaps none of the crystals"] if foreign else []
        return ", ".join(parts)

    def save(self, path: str | Path) -> None:
        """Write the result file (HDF5; see ``io.result``).

        Raises
        ------
        UserError
            The file cannot be written.
        """
        _file_format().save_map(self, path)

    @classmethod
    def load(cls, path: str | Path) -> OrientationMap:
        """Read a result file.

        Raises
        ------
        UserError
            The file is missing, damaged or not a result file.
        """
        return _file_format().load_map(path)


def _file_format() -> Any:
    """Return the module of the result file; it knows maps, not the other way round, so it is found by its name."""
    return import_module("napari_4dstem_orient.io.result")


_CERTAINTY = ("reliability", "phase_margin", "ambiguity", "probability", "precision")
_LATER = ("pooling", "crystals")
"""What the provenance says of the steps after each position was judged alone."""
_ARRAYS = ("rotation", "phase_id", "score", "status", "n_matched", "runner_up", "runner_up_score")


def _names(known: Sequence[Certainty]) -> tuple[str, ...]:
    """Return what all of these know; old ones know no probabilities."""
    return tuple(name for name in _CERTAINTY if all(getattr(one, name) is not None for one in known))


def _empty(whole: Any, names: tuple[str, ...], scan_shape: tuple[int, int]) -> dict[str, Any]:
    arrays = {name: getattr(whole, name) for name in names}
    return {name: np.zeros((*scan_shape, *old.shape[2:]), old.dtype) for name, old in arrays.items()}


def _joined(parts: Sequence[Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}


def why_exploratory(provenance: Mapping[str, Any]) -> str:
    """Return why what has this provenance is for a first look only, as one line; empty where it is none."""
    reasons = provenance.get("exploratory") or []
    return one_line(f"exploratory: {'; '.join(reasons)}", LONGEST) if reasons else ""

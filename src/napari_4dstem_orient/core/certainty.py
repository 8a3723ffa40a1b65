"""Why a scan position has, or has not, an answer, and how far the answer can be relied on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

import numpy as np


class IndexingStatus(IntEnum):
    """Why a scan position has, or has not, an answer."""

    INDEXED = 0
    TOO_FEW_DISKS = 1
    LOW_SCORE = 2
    NOT_RUN = 3
    UNRELIABLE = 4
    AMBIGUOUS_PHASE = 5
    DISKS_ELSEWHERE = 6
    NO_OTHER = 7

    @property
    def text(self) -> str:
        """What to show on hover."""
        return {
            IndexingStatus.INDEXED: "indexed",
            IndexingStatus.TOO_FEW_DISKS: "not indexed: too few disks",
            IndexingStatus.LOW_SCORE: "not indexed: no orientation explains the disks well enough",
            IndexingStatus.NOT_RUN: "not indexed: not run yet",
            IndexingStatus.UNRELIABLE: "not indexed: no answer is reliable enough",
            IndexingStatus.AMBIGUOUS_PHASE: "not indexed: no phase is likely enough against the others",
            IndexingStatus.DISKS_ELSEWHERE: (
                "not indexed: too few of its disks lie where the crystal has reflections (is the pixel size right?)"
            ),
            IndexingStatus.NO_OTHER: "no further crystal in this pattern",
        }[self]


class AmbiguityFlag(IntFlag):
    """What speaks against relying on an answer; several may hold."""

    HALF_TURN = 1
    ELSEWHERE = 2
    OTHER_PHASE = 4
    OUT_OF_RANGE = 8
    FEW_DISKS = 16

    @property
    def texts(self) -> list[str]:
        """What is shown to a person, one for each flag."""
        texts = {
            AmbiguityFlag.HALF_TURN: "turned by 180° about the beam it fits nearly as well",
            AmbiguityFlag.ELSEWHERE: "another orientation fits nearly as well",
            AmbiguityFlag.OTHER_PHASE: "another phase fits nearly as well",
            AmbiguityFlag.OUT_OF_RANGE: "perhaps none of these crystals, or a wrong pixel size",
            AmbiguityFlag.FEW_DISKS: "few disks",
        }
        return [text for flag, text in texts.items() if flag in self]

    @property
    def text(self) -> str:
        """The same in one line; empty where nothing does."""
        return "; ".join(self.texts)


@dataclass(frozen=True, eq=False)
class Certainty:
    """How far the answers of a map can be relied on.

    Attributes
    ----------
    reliability : ndarray, float32, shape (scan_y, scan_x)
        Probability that the answer is right, within 5°: that of all hypotheses that are nearly the same, against those
        elsewhere, those of other phases, and none of them, calibrated (``indexing.verification.reliability``). 0 where
        nothing was tried.
    phase_margin : ndarray, float32, shape (scan_y, scan_x)
        Probability of the answer's phase less that of the next likely one.
    ambiguity : ndarray, uint8, shape (scan_y, scan_x)
        ``AmbiguityFlag`` flags.
    probability : ndarray, float32, shape (scan_y, scan_x, 1 + n), or None
        Of the answer itself and of each runner-up; what a position refuses has one too. None in files of 0.1.0.
    precision : ndarray, float32, shape (scan_y, scan_x, 2), or None
        Standard deviation in degrees of an answer that is right, about its best and its worst determined axis (see
        ``indexing.verification.precision``); what a position refuses has one too. NaN where nothing was tried or
        refined; None in files of former versions.
    """

    reliability: np.ndarray
    phase_margin: np.ndarray
    ambiguity: np.ndarray
    probability: np.ndarray | None = None
    precision: np.ndarray | None = None

    def ambiguity_at(self, row: int, col: int) -> AmbiguityFlag:
        """Return the flags of one position."""
        return AmbiguityFlag(int(self.ambiguity[row, col]))

"""How reliable matches are: what a verifier that sees them beside other hypotheses thinks of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.base import ALIKE, Hypotheses, Offered, Verified


class Judge(Protocol):
    """Whoever verifies hypotheses, and has some of its own: an indexer that needs no network."""

    @property
    def verifiers(self) -> dict[str, str]:
        """The hashes of the files that decide."""

    def beside(self, disks: BraggDisks, where: np.ndarray, offered: Sequence[torch.Tensor]) -> Hypotheses:
        """Return its hypotheses of some positions with ``offered`` ones among them, and their probabilities."""

    def verify(self, offered: Offered, progress: Progress = silent) -> Verified:
        """See ``Verifies.verify``."""


def with_reliability(matches: Hypotheses, judged: Hypotheses, phases: tuple[Phase, ...]) -> Hypotheses:
    """Return matches with their probabilities, and after them what else the disks may mean.

    A match stands for what the judge found next to it, within ``ALIKE``: a template lies beside the truth, and the
    judge turned its hypotheses to where the disks are.

    Parameters
    ----------
    matches : Hypotheses
        Of n patterns, m each, without probabilities.
    judged : Hypotheses
        Of the same patterns, h each, with probabilities.
    phases : tuple of Phase
    """
    likely = judged.probability
    assert likely is not None
    apart = np.full((*matches.phase_id.shape, likely.shape[1]), 180.0)
    for number, phase in enumerate(phases):
        row, match, other = np.nonzero(
            (matches.phase_id[:, :, None] == number) & (judged.phase_id[:, None] == number)
        )
        apart[row, match, other] = misorientation(
            matches.rotation[row, match], judged.rotation[row, other], phase
        )
    own = apart.min(1) < ALIKE
    nearest = (apart.argmin(1)[:, None] == np.arange(apart.shape[1])[:, None]) & own[:, None]
    credited = replace(matches, probability=(nearest * likely[:, None]).sum(2))
    rivals = replace(judged, probability=np.where(own, 0.0, likely), precision=None)
    order = [
        np.broadcast_to(-np.arange(part.phase_id.shape[1]), part.phase_id.shape) for part in (matches, judged)
    ]
    after = order[1] - apart.shape[1]
    return Hypotheses.join([credited, rivals], apart.shape[1] + likely.shape[1], [order[0], after])

"""From proposed orientations to answers: the verifier ranks, corrects and says how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.indexing.base import Hypotheses
from napari_4dstem_orient.indexing.scoring import Measured, Score, score, score_weight
from napari_4dstem_orient.indexing.settings import ScoreSettings
from napari_4dstem_orient.indexing.verification.features import FEWER_PEAKS, MAX_PEAKS, PoseHypothesis
from napari_4dstem_orient.indexing.verification.network import Verifier, repeated

SEEDED = 8
"""Hypotheses of each phase that the pre-verifier's first look leaves; what corrections make one of them counts once."""

FINALISTS = 5
"""Hypotheses of each phase that are corrected more than once and ranked again."""

NEARLY_ALIKE = math.radians(2)
"""Of proposals closer than this only one is looked at: corrections would make them one."""

HOPELESS = 8.0
"""Finalists whose logit is so much less than the best are left as they are."""

NOTHING = -2.0
"""Logit of the pre-verifier up to which a phase is not there. Of noise, vacuum and what a crystal leaves unexplained
three in five have less; of right answers, down to 3,000 electrons, hardly any."""

SETTLED = math.radians(0.01)
"""A correction of so little is the last: the next would change neither the verdict nor the answer."""

CLOSER = 2
"""Corrections that only the best hypothesis of each phase gets in the end."""

LOSS = 0.3
"""Evidence that a correction may cost: less is what a verdict changes by chance."""

ASKED = {"cpu": 512, "cuda": 1 << 17, "mps": 1 << 14}
"""Hypotheses at a time: on a CPU few, so that they stay in its cache."""

IMPOSSIBLE = -1e4
"""Logit of a hypothesis that repeats another."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A phase with proposed orientations for n patterns.

    Attributes
    ----------
    phase_id : int
    rotation : Tensor, shape (n, h, 3, 3)
    reflector : Reflector
    symmetry : Tensor, shape (k, 3, 3)
    """

    phase_id: int
    rotation: torch.Tensor
    reflector: Reflector
    symmetry: torch.Tensor


@dataclass(frozen=True, eq=False)
class Shortlist:
    """What the pre-verifier leaves of a phase's proposals for n patterns.

    Attributes
    ----------
    candidate : Candidate
        The phase.
    pose : PoseHypothesis
        k of each pattern.
    logit : Tensor, shape (n, k)
    """

    candidate: Candidate
    pose: PoseHypothesis
    logit: torch.Tensor

    def joined(self, which: torch.Tensor, other: Shortlist) -> Shortlist:
        """Return a longer list, to which another adds for those patterns that ``which`` (bool, n) marks."""
        count = other.logit.shape[1]
        logit = torch.full((len(self.logit), count), IMPOSSIBLE, device=self.logit.device)
        logit[which] = other.logit
        # Where nothing is added the best is there again, which counts for nothing.
        pose = self.pose.pick(self.logit.argmax(1, keepdim=True).expand(-1, count)).copy()
        pose.put(which, other.pose)
        return Shortlist(self.candidate, self.pose.joined(pose), torch.cat([self.logit, logit], 1))


@dataclass(frozen=True, eq=False)
class Verdict:
    """What is thought of a phase's hypotheses for n patterns.

    Attributes
    ----------
    pose : PoseHypothesis
        h of each pattern.
    logit : Tensor, shape (n, h)
        The verifier's.
    score : Score
    """

    pose: PoseHypothesis
    logit: torch.Tensor
    score: Score


@torch.inference_mode()
def shortlist(measured: Measured, candidate: Candidate, pre_verifier: Verifier, iterations: int) -> Shortlist:
    """Look at all proposals of a phase, keep the best, and judge those again where the first look turned them to.

    A template lies up to two degrees beside the truth; before that is corrected, a wrong one may look better. Only the
    turn is kept: what scale and origin explained before it was made, it explains now.
    """
    pose = PoseHypothesis.of(candidate.rotation)
    worth = ~repeated(pose.rotation, candidate.symmetry, NEARLY_ALIKE)
    logit, moved = _ask(pre_verifier, measured, pose, candidate.reflector, worth, FEWER_PEAKS)
    logit, index = logit.topk(min(SEEDED, logit.shape[1]), dim=1)
    if not iterations:
        return Shortlist(candidate, pose.pick(index), logit)
    pose, worth = PoseHypothesis.of(moved.pick(index).rotation), logit > IMPOSSIBLE
    logit, _ = _ask(pre_verifier, measured, pose, candidate.reflector, worth, FEWER_PEAKS)
    return Shortlist(candidate, pose, logit)


@torch.inference_mode()
def rank(
    measured: Measured,
    shortlists: Sequence[Shortlist],
    verifier: Verifier,
    scoring: ScoreSettings,
    iterations: int,
    keep: int,
) -> Hypotheses:
    """Rank the shortlists of all phases together, likeliest first.

    Parameters
    ----------
    measured : Measured
        n patterns.
    shortlists : sequence of Shortlist
        One for each phase.
    verifier : Verifier
        That decides.
    scoring : ScoreSettings
        Of the score, which is reported and helps to choose.
    iterations : int
        So many times the best proposals are turned to where the disks say they should be; 0 leaves them.
    keep : int
        Hypotheses to return.
    """
    found = [_finalists(measured, short, verifier, iterations) for short in shortlists]
    verdicts = [
        Verdict(pose, logit, score(measured, pose.rotation, short.candidate.reflector, scoring))
        for short, (pose, logit) in zip(shortlists, found, strict=True)
    ]
    likely = _likely(verdicts, score_weight(shortlists[0].candidate.reflector))
    parts = [
        Hypotheses(
            verdict.pose.rotation.cpu().numpy(),
            np.full(tuple(probability.shape), short.candidate.phase_id, np.int32),
            verdict.score.value.cpu().numpy(),
            verdict.score.n_matched.cpu().numpy(),
            probability.cpu().numpy(),
        )
        for short, verdict, probability in zip(shortlists, verdicts, likely, strict=True)
    ]
    return likeliest_first(parts, keep)


def _likely(verdicts: Sequence[Verdict], weight: float) -> Sequence[torch.Tensor]:
    """Return, for each phase, the probabilities of its hypotheses (n, h) among those of all phases."""
    logits = torch.cat([verdict.logit for verdict in verdicts], 1)
    scores = torch.cat([verdict.score.value for verdict in verdicts], 1)
    # The verifier sees the strongest disks, the score all of them. Relative to the best one's it speaks about the
    # choice among hypotheses and not about "none of them".
    best = (logits + weight * scores).argmax(1, keepdim=True)
    logits = logits + weight * (scores - scores.gather(1, best))
    likely = torch.cat([torch.zeros_like(logits[:, :1]), logits], 1).softmax(1)[:, 1:]
    return likely.split([verdict.logit.shape[1] for verdict in verdicts], dim=1)


def likeliest_first(parts: Sequence[Hypotheses], keep: int) -> Hypotheses:
    """Join the hypotheses of several phases: those of the phase that is likeliest as a whole, then the others.

    Parameters
    ----------
    parts : sequence of Hypotheses
        One for each phase, with probabilities.
    keep : int
        Hypotheses to return.
    """
    probabilities = [part.probability for part in parts if part.probability is not None]
    likeliest = np.stack([probability.sum(1) for probability in probabilities]).argmax(0)
    preference = [
        probability + (likeliest == number)[:, None] for number, probability in enumerate(probabilities)
    ]
    return Hypotheses.join(list(parts), keep, preference)


def _finalists(
    measured: Measured, short: Shortlist, verifier: Verifier, iterations: int
) -> tuple[PoseHypothesis, torch.Tensor]:
    """Return the best few hypotheses of a phase, (n, f), and their logits, (n, f)."""
    candidate, pose, symmetry = short.candidate, short.pose, short.candidate.symmetry
    logit, index = torch.where(repeated(pose.rotation, symmetry), IMPOSSIBLE, short.logit).topk(
        min(FINALISTS, short.logit.shape[1]), dim=1
    )
    pose = pose.pick(index)
    best = logit.amax(1, keepdim=True)
    hopeless = (logit <= best - HOPELESS) | (best <= NOTHING)
    before, moving = pose, ~hopeless
    for left in range(iterations - 1 + CLOSER if iterations else 0, -1, -1):
        told, moved = _ask(verifier, measured, pose, candidate.reflector, moving)
        # A correction that loses evidence is taken back, and is the last.
        lost = moving & (pose is not before) & (told < logit - LOSS)
        pose, moving = before.where(lost, pose), moving & ~lost
        logit = torch.where(moving, told, logit)
        best = torch.where(hopeless, IMPOSSIBLE, logit).amax(1, keepdim=True)
        logit = torch.where(hopeless, torch.minimum(logit, best - HOPELESS), logit)
        if left > CLOSER:
            hopeless = logit <= best - HOPELESS
        worth = ~hopeless if left > CLOSER else logit == best
        if left:
            before, moving = pose, moving & worth & (pose.turn_to(moved) > SETTLED)
            pose = moved.where(moving, pose)
    logit, order = logit.sort(dim=1, descending=True)
    pose = pose.pick(order)
    return pose, torch.where(repeated(pose.rotation, symmetry), IMPOSSIBLE, logit)


def _ask(
    verifier: Verifier,
    measured: Measured,
    pose: PoseHypothesis,
    reflector: Reflector,
    worth: torch.Tensor,
    max_peaks: int = MAX_PEAKS,
) -> tuple[torch.Tensor, PoseHypothesis]:
    """Ask a verifier about the hypotheses (n, h) that are worth it; the others stay, with an impossible logit."""
    logit, moved = torch.full_like(pose.scale, IMPOSSIBLE), pose.copy()
    places = worth.nonzero()
    for asked in places.split(ASKED[worth.device.type]) if len(places) else ():
        pattern, which = asked.unbind(1)
        told, corrected = verifier(measured[pattern], pose[pattern, which][:, None], reflector, max_peaks)
        logit[pattern, which] = told[:, 0]
        moved.put((pattern, which), corrected[:, 0])
    return logit, moved

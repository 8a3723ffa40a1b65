"""Training the verifier on hypotheses that templates suggest, for simulated patterns of many crystals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.crystals.rotations import about_beam, from_vector
from napari_4dstem_orient.indexing.scoring import Measured, without_direct_beam
from napari_4dstem_orient.indexing.template.coarse import coarse_library
from napari_4dstem_orient.indexing.template.library import Templates
from napari_4dstem_orient.indexing.template.matching import likeliest
from napari_4dstem_orient.indexing.verification.features import MAX_PEAKS, PoseHypothesis
from napari_4dstem_orient.indexing.verification.network import WIDTH, Verifier, repeated
from napari_4dstem_orient.training.loss import misorientation_angle
from napari_4dstem_orient.training.resumable import read_story, restore_state, save_state
from napari_4dstem_orient.training.synthesis import PatternSource

LOOKALIKES = 16
"""Zone axes whose templates a pattern looks like; half of them, by chance, are hypotheses."""
WIDEST = math.radians(8)
"""A hypothesis made from the truth lies at most this far from it."""
BASIN = math.radians(12)
"""From farther away nobody expects a correction to find the truth."""
RIGHT = math.radians(3)
CORRECTING = 0.6
"""Weight of the loss of corrections beside that of the ranking."""
FINEST = math.radians(0.1)
"""Angle at which the loss of a correction passes from linear to logarithmic."""
ABSENT = 0.15
"""Share of patterns where the hypothesis near the truth is left out; that of its half turn about the beam stays."""
LISTED = 64
"""Peaks of a pattern."""


@dataclass(frozen=True, eq=False)
class Suspect:
    """A crystal that patterns may come from.

    Attributes
    ----------
    reflector : Reflector
    symmetry : Tensor, shape (k, 3, 3)
    library : Templates
    guilty : bool
        The patterns are this crystal's; of any other every hypothesis is wrong.
    """

    reflector: Reflector
    symmetry: torch.Tensor
    library: Templates
    guilty: bool

    @classmethod
    def of(cls, phase: Phase, source: PatternSource, empty: bool) -> Suspect:
        """Return a crystal under the beam of a source."""
        own = source.reflector
        present = phase is source.phase
        reflector = (
            own
            if present
            else Reflector.of(phase, source.voltage, source.k_max, own.precession, own.g.device)
        )
        symmetry = torch.as_tensor(phase.symmetry, dtype=torch.float32, device=own.g.device)
        return cls(reflector, symmetry, coarse_library(phase, reflector), present and not empty)


@dataclass(frozen=True, eq=False)
class Case:
    """Patterns with hypotheses of each suspect.

    Attributes
    ----------
    measured : Measured
    truth : Tensor, shape (n, 3, 3)
    suspects : tuple of Suspect
    rotations : tuple of Tensor, shape (n, h, 3, 3)
        Hypotheses of each suspect.
    """

    measured: Measured
    truth: torch.Tensor
    suspects: tuple[Suspect, ...]
    rotations: tuple[torch.Tensor, ...]

    def batches(self, size: int, generator: torch.Generator) -> list[Case]:
        """Return the case in shuffled pieces, patterns with about as many disks together."""
        noise = 4 * torch.rand(len(self.truth), generator=generator)
        order = (self.measured.mask.sum(1).cpu() + noise).argsort()
        pieces = [self._of(index.to(self.truth.device)) for index in order.split(size)]
        return [pieces[number] for number in torch.randperm(len(pieces), generator=generator)]

    @torch.no_grad()
    def refined(self, verifier: Verifier, max_peaks: int) -> Case:
        """Return the case with its hypotheses corrected once, as those are that a verifier ranks in the end."""
        rotations = tuple(
            verifier(self.measured, PoseHypothesis.of(rotation), suspect.reflector, max_peaks)[1].rotation
            for suspect, rotation in zip(self.suspects, self.rotations, strict=True)
        )
        return Case(self.measured, self.truth, self.suspects, rotations)

    def _of(self, index: torch.Tensor) -> Case:
        part = self.measured[index]
        longest = max(int(part.mask.sum(1).max()), 1)
        snr = None if part.snr is None else part.snr[:, :longest]
        q, intensity, mask = part.q[:, :longest], part.intensity[:, :longest], part.mask[:, :longest]
        measured = Measured(q, intensity, mask, part.reach, snr)
        rotations = tuple(rotation[index] for rotation in self.rotations)
        return Case(measured, self.truth[index], self.suspects, rotations)


@torch.no_grad()
def make_case(
    source: PatternSource,
    phases: Sequence[Phase],
    count: int,
    generator: torch.Generator,
    empty: bool = False,
) -> Case:
    """Simulate ``count`` patterns of one crystal, or ``empty`` ones, and make hypotheses of ``phases`` for them."""
    batch = source.draw(count, LISTED, generator, empty=empty)
    disks = batch.disks if batch.snr is None else torch.cat([batch.disks, batch.snr[..., None]], -1)
    mask = without_direct_beam(disks, batch.mask, source.reflector.nearest)
    listed = mask.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
    disks, mask = disks.gather(1, listed[..., None].expand_as(disks)), mask.gather(1, listed)
    measured = Measured.of(disks, mask, source.k_max).surest_first()
    suspects = tuple(Suspect.of(phase, source, empty) for phase in phases)
    rotations = tuple(_suggest(each, measured, batch.rotation, generator) for each in suspects)
    return Case(measured, batch.rotation, suspects, rotations)


def _suggest(
    suspect: Suspect, measured: Measured, truth: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Return hypotheses (n, h, 3, 3): from templates, the truth, and its half turn."""
    count, device = len(truth), truth.device
    alike = likeliest(suspect.library, measured.q, measured.intensity, measured.mask, LOOKALIKES)
    some = torch.rand(alike.shape[:2], generator=generator).argsort(1)[:, : LOOKALIKES // 2].to(device)
    alike = alike.gather(1, some[..., None, None].expand(-1, -1, 3, 3))
    near = truth @ turned_up_to(WIDEST, (count,), generator, device)
    chance = torch.rand(count, generator=generator).to(device)
    twin = (
        truth
        @ turned_up_to(WIDEST, (count,), generator, device)
        @ about_beam(truth.new_full((count,), math.pi))
    )
    far = turned_up_to(math.pi, (count,), generator, device)
    near = torch.where((chance < ABSENT)[:, None, None], far, near)
    return torch.cat([alike, near[:, None], twin[:, None]], 1)


def turned_up_to(
    angle: float, shape: tuple[int, ...], generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    """Return rotations about random axes by up to an angle in radians: (*shape, 3, 3)."""
    axis = torch.nn.functional.normalize(torch.randn(*shape, 3, generator=generator), dim=-1)
    return from_vector((axis * (angle * torch.rand(*shape, 1, generator=generator))).to(device))


def verifier_loss(
    verifier: Verifier, case: Case, max_peaks: int = MAX_PEAKS
) -> tuple[torch.Tensor, tuple[float, ...]]:
    """Return the loss of a batch; and its ranking loss, correction loss and the accuracy of the choice."""
    none = case.truth.new_zeros(len(case.truth), 1)
    verdicts = [
        _verdict(verifier, case, suspect, PoseHypothesis.of(rotation), max_peaks)
        for suspect, rotation in zip(case.suspects, case.rotations, strict=True)
    ]
    correction = torch.stack([verdict.correction for verdict in verdicts]).sum()
    evidence = torch.cat([none, *(each.evidence for each in verdicts)], 1)
    right = torch.cat([verdict.right for verdict in verdicts], 1)
    answer = torch.cat([~right.any(1, keepdim=True), right], 1)
    ranking = (evidence.logsumexp(1) - torch.where(answer, evidence, -1e4).logsumexp(1)).mean()
    chosen = answer.gather(1, evidence.argmax(1, keepdim=True)).float().mean()
    return ranking + CORRECTING * correction, (ranking.item(), correction.item(), chosen.item())


@dataclass(frozen=True, eq=False)
class _Verdict:
    """What the verifier says of one suspect's hypotheses: evidence and right (n, h), and the loss of corrections."""

    evidence: torch.Tensor
    right: torch.Tensor
    correction: torch.Tensor


def _verdict(
    verifier: Verifier, case: Case, suspect: Suspect, pose: PoseHypothesis, max_peaks: int
) -> _Verdict:
    truth, symmetry = case.truth[:, None], suspect.symmetry
    before = misorientation_angle(pose.rotation, truth, symmetry)
    again = repeated(pose.rotation, symmetry)
    logit, pose = verifier(case.measured, pose, suspect.reflector, max_peaks)
    after = misorientation_angle(pose.rotation, truth, symmetry)
    within = (before < BASIN) & suspect.guilty
    correction = (torch.log1p(after / FINEST) * within).sum() / within.sum().clamp_min(1)
    right = (after.detach() < RIGHT) & ~again & suspect.guilty
    return _Verdict(torch.where(again, -1e4, logit), right, correction)


@dataclass(frozen=True)
class VerifierSettings:
    """How the verifier is trained.

    Attributes
    ----------
    width : int
        Of the network.
    max_peaks : int
        Disks and reflections that it looks at.
    refined : int
        So many times, at most, hypotheses are corrected before; a quarter of them is not.
    steps : int
        Of the optimizer.
    batch : int
        Patterns in a step.
    cases, patterns : int
        So many crystals, with so many patterns each, are simulated at a time.
    epochs : int
        How often each pattern is seen.
    learning_rate : float
        Peak of the schedule (linear warm-up, then cosine to zero).
    impostors, rivals : float
        Shares of cases with hypotheses of another crystal alone, and beside those of the right one.
    empty : float
        Share of cases without a crystal.
    seed : int
    """

    width: int = WIDTH
    max_peaks: int = MAX_PEAKS
    refined: int = 2
    steps: int = 12000
    batch: int = 128
    cases: int = 4
    patterns: int = 768
    epochs: int = 2
    learning_rate: float = 3e-3
    impostors: float = 0.1
    rivals: float = 0.25
    empty: float = 0.1
    seed: int = 5


class VerifierTrainer:
    """A training of the verifier, resumable between rounds of simulated patterns.

    Parameters
    ----------
    sources : sequence of PatternSource
        Crystals and beams, drawn from with equal chances.
    settings : VerifierSettings
    """

    def __init__(self, sources: Sequence[PatternSource], settings: VerifierSettings) -> None:
        torch.manual_seed(0)
        self.sources = sources
        self.settings = settings
        self.verifier = Verifier(settings.width).to(sources[0].reflector.g.device)
        self.optimizer = torch.optim.AdamW(
            self.verifier.parameters(), settings.learning_rate, weight_decay=1e-4
        )
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.step = 0

    def round(self) -> list[float]:
        """Simulate patterns, learn from them, and return the mean figures of ``verifier_loss``."""
        cases = [batch for _ in range(self.settings.cases) for batch in self._case()]
        for number, case in enumerate(cases):
            for _ in range(min(number % 4, self.settings.refined)):
                case = case.refined(self.verifier, self.settings.max_peaks)
            cases[number] = case
        figures = []
        for _ in range(self.settings.epochs):
            for number in torch.randperm(len(cases), generator=self.generator):
                loss, found = verifier_loss(self.verifier, cases[number], self.settings.max_peaks)
                self._descend(loss)
                figures.append(found)
        return [float(mean) for mean in torch.tensor(figures).mean(0)]

    def _case(self) -> list[Case]:
        source, other = self._any_source(), self._any_source().phase
        chance = float(torch.rand(1, generator=self.generator))
        phases = [source.phase]
        if chance < self.settings.impostors + self.settings.rivals and not other.same_crystal(source.phase):
            phases = [other] if chance < self.settings.impostors else [source.phase, other]
        empty = float(torch.rand(1, generator=self.generator)) < self.settings.empty
        case = make_case(source, phases, self.settings.patterns, self.generator, empty)
        return case.batches(self.settings.batch, self.generator)

    def _any_source(self) -> PatternSource:
        return self.sources[int(torch.randint(len(self.sources), (1,), generator=self.generator))]

    def _descend(self, loss: torch.Tensor) -> None:
        done = min(1.0, self.step / self.settings.steps)
        rate = min(1.0, (self.step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * done))
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * rate + 1e-6
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.verifier.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1

    def save(self, path: Path) -> None:
        """Write everything needed to go on later."""
        story = {"step": self.step, "settings": asdict(self.settings)}
        save_state(path, self.verifier, self.optimizer, self.generator, story)

    def restore(self, path: Path) -> None:
        """Go on from what ``save`` wrote.

        Raises
        ------
        UserError
            If the file is damaged or belongs to a training with other settings.
        """
        story = read_story(path)
        if story.get("settings") != asdict(self.settings):
            raise UserError(f"{path} belongs to a training with other settings; remove it to start again.")
        restore_state(path, self.verifier, self.optimizer, self.generator)
        self.step = int(story["step"])

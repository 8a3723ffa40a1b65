"""The transformer as an indexer: disks → tokens → hypotheses → verifier (choice, correction, doubt) → map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import torch

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.devices import choose_device, describe, each_batch, half_precision
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.memory import parts
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.base import Hypotheses, MapBuilder, Offered, Verified, reach_of
from napari_4dstem_orient.indexing.scoring import Measured, score, scoring_for, without_direct_beam
from napari_4dstem_orient.indexing.settings import AcceptanceSettings, ScoreSettings, TransformerSettings
from napari_4dstem_orient.indexing.template.coarse import coarse_library
from napari_4dstem_orient.indexing.template.matching import likeliest
from napari_4dstem_orient.indexing.transformer.checkpoint import Model
from napari_4dstem_orient.indexing.transformer.tokens import in_frame, strongest
from napari_4dstem_orient.indexing.verification.network import Verifiers
from napari_4dstem_orient.indexing.verification.precision import deviations, turn_covariance
from napari_4dstem_orient.indexing.verification.ranking import (
    FINALISTS,
    NOTHING,
    Candidate,
    Shortlist,
    rank,
    shortlist,
)
from napari_4dstem_orient.indexing.verification.reliability import calibrated
from napari_4dstem_orient.indexing.verification.second_look import look_again

BATCH = {"cpu": 384, "cuda": 4096, "mps": 1024}
"""Patterns at a time: on a CPU few, so that they stay in its cache."""
LONGEST_LIST = 96
"""Disks of one position that scoring looks at, strongest first."""
RUNNERS_UP = 3
FIRST = 8
"""Templates that are tried first."""
SURE = 2.0
"""Logit of the pre-verifier from which the first proposals are enough."""


class TransformerIndexer:
    """Indexes scans of any crystals: coarse templates propose, and trained networks where these convince nobody.

    Parameters
    ----------
    models : sequence of Model
        Fitted to the crystals and the beam (``indexing.models``), one for each phase or joint ones.
    settings, acceptance
        See their classes.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    untrained : sequence of (Phase, Reflector)
        Crystals without a network, and their reflections.
    progress : Progress
        Called with (crystals made ready, all).

    Raises
    ------
    UserError
        If there is no crystal.
    """

    name = "transformer"

    def __init__(
        self,
        models: Sequence[Model],
        settings: TransformerSettings | None = None,
        acceptance: AcceptanceSettings | None = None,
        device: str = "auto",
        untrained: Sequence[tuple[Phase, Reflector]] = (),
        progress: Progress = silent,
    ) -> None:
        self.device = choose_device(device)
        self.models = [model.to(self.device) for model in models]
        self._precision = half_precision(self.device)
        self._fast = [model.in_half(self._precision) for model in self.models]
        self._untrained = tuple(phase for phase, _ in untrained)
        if not self.phases:
            raise UserError("No crystal phase is given; give a CIF file or the name of a bundled crystal.")
        self._reflectors = [reflector for model in self.models for reflector in model.reflectors]
        self._reflectors += [reflector.to(self.device) for _, reflector in untrained]
        self._verifiers = Verifiers.bundled(self.device, self._reflectors[0].precession)
        self._symmetries = [
            torch.as_tensor(crystal.symmetry, dtype=torch.float32, device=self.device)
            for crystal in self.phases
        ]
        self._libraries = []
        for phase, reflector in zip(self.phases, self._reflectors, strict=True):
            self._libraries.append(coarse_library(phase, reflector))
            progress(len(self._libraries), len(self.phases))
        self.settings = settings or TransformerSettings()
        self.acceptance = acceptance or AcceptanceSettings()

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The models' crystals, in order, then those without a model."""
        return (*(crystal for model in self.models for crystal in model.crystals), *self._untrained)

    @property
    def verifiers(self) -> dict[str, str]:
        """The hashes of the verifiers' files."""
        return self._verifiers.sha256

    def index(self, disks: BraggDisks, progress: Progress = silent) -> OrientationMap:
        """Map the orientations of a scan's calibrated disks; see ``Indexer.index``."""
        reach, builder = self.reach(disks), self.builder(disks)
        done = 0
        for where, answer in each_batch(
            lambda batch: self.answer(*self.read(disks, batch, reach)), self.batches(disks), self.device
        ):
            builder.enter(where, *answer)
            done += len(where)
            progress(done, disks.counts.size)
        return builder.finish(self.name, self._provenance(disks))

    def verify(self, offered: Offered, progress: Progress = silent) -> Verified:
        """Verify hypotheses from elsewhere; see ``Verifies.verify``."""
        verified = Verified.nothing(len(offered.rotation))
        reach, done = self.reach(offered.disks), 0
        for where, answer in each_batch(
            lambda batch: self._verify(offered, batch, reach), self.batches(offered.disks), self.device
        ):
            verified.put(where, *answer)
            done += len(where)
            progress(done, len(offered.rotation))
        return verified

    def beside(self, disks: BraggDisks, where: np.ndarray, offered: Sequence[torch.Tensor]) -> Hypotheses:
        """Return what is thought of some positions where other hypotheses are verified beside its own.

        Parameters
        ----------
        disks : BraggDisks
        where : ndarray of int, shape (n,)
            Flat scan positions.
        offered : sequence of Tensor, shape (n, h, 3, 3)
            For each phase.
        """
        return self._answer(*self.read(disks, where, self.reach(disks)), offered)

    # The steps of ``index``, which the benchmark times one by one.

    def reach(self, disks: BraggDisks) -> float:
        """Return |q| in Å⁻¹ up to which disks count."""
        trained = [model.card.k_max * model.stretch for model in self.models]
        others = [each.farthest for each in self._reflectors[len(self.phases) - len(self._untrained) :]]
        return reach_of(disks, min([max(trained), *others] if trained else others))

    def builder(self, disks: BraggDisks) -> MapBuilder:
        """Return an empty map of a scan."""
        listed = disks.sure().counts
        return MapBuilder(disks.scan_shape, self.phases, self.acceptance, RUNNERS_UP, listed, calibrated)

    def batches(self, disks: BraggDisks) -> list[np.ndarray]:
        """Split the scan positions by their number of disks, so that short lists do not pay for long ones."""
        order, size = np.argsort(disks.counts.ravel(), kind="stable"), BATCH[self.device.type]
        return [order[part] for part in parts(len(order), size)]

    def read(self, disks: BraggDisks, where: np.ndarray, reach: float) -> tuple[torch.Tensor, Measured]:
        """Return the disks of a batch on the device, those that count first: all of them, and as measured."""
        nearest = min(reflector.nearest for reflector in self._reflectors)
        longest = int(np.clip(disks.counts.ravel()[where].max(initial=1), 1, LONGEST_LIST))
        block, inside = disks.padded(longest, where)
        tensor = torch.from_numpy(block).to(self.device)
        mask = without_direct_beam(tensor, torch.from_numpy(inside).to(self.device), nearest)
        mask = mask & (tensor[..., :2].norm(dim=-1) <= reach)
        # The direct beam is the strongest of all: left in its place, pairs would be made with it.
        order = mask.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
        tensor = tensor.gather(1, order[..., None].expand_as(tensor))
        return tensor[..., :3], Measured.of(tensor, mask.gather(1, order), reach).surest_first()

    def answer(self, disks: torch.Tensor, measured: Measured) -> tuple[np.ndarray, Hypotheses | None]:
        """Return which positions have enough disks, and hypotheses for those."""
        tried = measured.enough(self.acceptance.min_disks)
        found = self._answer(disks[tried], measured[tried]) if bool(tried.any()) else None
        return tried.cpu().numpy(), found

    @torch.inference_mode()
    def _answer(
        self, disks: torch.Tensor, measured: Measured, offered: Sequence[torch.Tensor] = ()
    ) -> Hypotheses:
        if not self.settings.verify:
            read = self._read_by_networks(disks, measured, range(self.settings.reference_disks))
            return self._first_choices(read + self._templates(measured, 0, 1, len(read)), measured)
        proposed = self._templates(measured, 0, FIRST)
        if offered:
            proposed = [torch.cat([one, other], 1) for one, other in zip(proposed, offered, strict=True)]
        found = self._look(measured, proposed)
        seen = torch.cat([short.logit for short in found], 1).amax(1)
        unsure = (seen < SURE) & (seen > NOTHING)
        if self.settings.template_hypotheses and bool(unsure.any()):
            more = self._look(measured[unsure], self._more(disks[unsure], measured[unsure]))
            found = [one.joined(unsure, other) for one, other in zip(found, more, strict=True)]
        keep = FINALISTS * len(found)  # all: their probabilities and that of none of them add up to 1
        ranked = rank(
            measured,
            found,
            self._verifiers.verifier,
            self._scoring(measured.snr is not None),
            self.settings.refinement_iterations,
            keep,
        )
        best = torch.from_numpy(ranked.rotation[:, 0]).to(self.device)
        return replace(ranked, precision=self._deviations(measured, best, ranked.phase_id[:, 0]))

    def _deviations(self, measured: Measured, rotation: torch.Tensor, phase_id: np.ndarray) -> np.ndarray:
        """Return ``Certainty.precision`` of one answer to each of n patterns; NaN where nothing is refined."""
        if not self.settings.refinement_iterations:
            return np.full((len(phase_id), 2), np.nan, np.float32)
        return deviations(self.covariance(measured, rotation, phase_id))

    def covariance(self, measured: Measured, rotation: torch.Tensor, phase_id: np.ndarray) -> torch.Tensor:
        """Return the covariance (n, 3, 3) of one answer to each of n patterns; see ``turn_covariance``."""
        covariance = torch.zeros_like(rotation)
        for number, reflector in enumerate(self._reflectors):
            rows = torch.from_numpy(phase_id == number).to(self.device).nonzero()[:, 0]
            if len(rows):
                covariance[rows] = turn_covariance(
                    measured[rows], rotation[rows], reflector, self._verifiers.verifier
                )
        return covariance

    def _verify(self, offered: Offered, where: np.ndarray, reach: float) -> tuple[np.ndarray, ...]:
        """Return the rotations, odds, scores, numbers of matched disks and precision of some offers."""
        _, measured = self.read(offered.disks, where, reach)
        rotation = torch.from_numpy(offered.rotation[where]).to(self.device)
        against = torch.from_numpy(offered.against[where]).to(self.device)
        logit, value = torch.zeros_like(against), torch.zeros_like(against)
        n_matched = torch.zeros_like(against, dtype=torch.int64)
        for phase_id, reflector in enumerate(self._reflectors):
            rows = torch.from_numpy(offered.phase_id[where] == phase_id).to(self.device).nonzero()[:, 0]
            if len(rows):
                rotation[rows], logit[rows], scored = look_again(
                    measured[rows],
                    rotation[rows],
                    reflector,
                    self._verifiers.verifier,
                    self._scoring(measured.snr is not None),
                    self.settings.refinement_iterations,
                    against[rows],
                )
                value[rows], n_matched[rows] = scored.value, scored.n_matched
        answers = (rotation, logit.double().clamp(-50, 50).exp(), value, n_matched)
        precision = self._deviations(measured, rotation, offered.phase_id[where])
        return *(values.cpu().numpy() for values in answers), precision

    def _scoring(self, snr_known: bool) -> ScoreSettings:
        return scoring_for(self._reflectors[0], snr_known)

    def _templates(self, measured: Measured, after: int, count: int, first: int = 0) -> list[torch.Tensor]:
        """Return the orientations of the likeliest templates, ``count`` that come ``after`` so many: (n, count, 3, 3).

        Of each phase from the ``first`` on.
        """
        what = measured.q, measured.intensity, measured.mask
        return [likeliest(library, *what, after + count)[:, after:] for library in self._libraries[first:]]

    def _read_by_networks(
        self, disks: torch.Tensor, measured: Measured, reference_disks: Sequence[int]
    ) -> list[torch.Tensor]:
        """Return the hypotheses of the networks, shape (n, h, 3, 3), for each phase that has one: the first ones."""
        return [
            rotations
            for model in self._fast
            for rotations in propose(model, disks, measured.mask, reference_disks)
        ]

    def _more(self, disks: torch.Tensor, measured: Measured) -> list[torch.Tensor]:
        """Return further hypotheses of each phase: its next templates, and what its network says."""
        more = self._templates(measured, FIRST, self.settings.template_hypotheses)
        for number, rotations in enumerate(self._read_by_networks(disks, measured, range(1))):
            more[number] = torch.cat([more[number], rotations], 1)
        return more

    def _look(self, measured: Measured, proposed: Sequence[torch.Tensor]) -> list[Shortlist]:
        """Let the pre-verifier look at each phase's proposals."""
        crystals = zip(proposed, self._reflectors, self._symmetries, strict=True)
        candidates = [Candidate(phase_id, *crystal) for phase_id, crystal in enumerate(crystals)]
        corrections = self.settings.refinement_iterations
        return [shortlist(measured, each, self._verifiers.pre_verifier, corrections) for each in candidates]

    def _first_choices(self, proposed: Sequence[torch.Tensor], measured: Measured) -> Hypotheses:
        """Take the network's first choice for each phase; between phases the common score decides."""
        parts = []
        for phase_id, rotations in enumerate(proposed):
            first = rotations[:, :1]
            scored = score(
                measured, first, self._reflectors[phase_id], self._scoring(measured.snr is not None)
            )
            phase_ids = np.full(first.shape[:2], phase_id, np.int32)
            answers = (values.cpu().numpy() for values in (scored.value, scored.n_matched))
            parts.append(Hypotheses(first.cpu().numpy(), phase_ids, *answers))
        return Hypotheses.join(parts, len(parts))

    def _provenance(self, disks: BraggDisks) -> dict[str, object]:
        return {
            "method": self.name,
            "models": [{"title": model.card.title, "sha256": model.sha256} for model in self.models],
            "without_model": [phase.name for phase in self._untrained],
            "verifiers": self.verifiers,
            "device": describe(self.device),
            "precision": str(self._precision).removeprefix("torch."),
            "settings": asdict(self.settings),
            "acceptance": asdict(self.acceptance),
            "scoring": asdict(self._scoring(disks.snr is not None)),
        }


def propose(
    model: Model, disks: torch.Tensor, mask: torch.Tensor, reference_disks: Sequence[int]
) -> list[torch.Tensor]:
    """Read each pattern in several frames and return its hypotheses for each phase of the model.

    Parameters
    ----------
    model : Model
    disks : Tensor, shape (n, d, 3)
        qx, qy in Å⁻¹ and intensity; the direct beam masked out.
    mask : Tensor, bool, shape (n, d)
    reference_disks : sequence of int
        Which: turned so that the strongest (0), second strongest (1) … disk lies on +x. What a pattern with fewer
        disks is read as in a later frame is never likely. A network that reads patterns as they lie reads them once.

    Returns
    -------
    list of Tensor, shape (n, h, 3, 3)
        Orientations in the lab frame, likeliest first.
    """
    tokens, inside = strongest(disks, mask, model.tokens)
    scale = tokens.new_tensor([1 / model.stretch, 1 / model.stretch, 1.0])
    rotations, logits = [], []
    canonical = model.network.canonical
    for reference in reference_disks if canonical else reference_disks[:1]:
        usable = inside[:, min(reference, inside.shape[1] - 1)]
        turned, back = in_frame(tokens * scale, canonical, min(reference, tokens.shape[1] - 1))
        proposed, scores = model.network(turned * inside[..., None], inside)
        rotations.append(proposed @ back[:, None])
        logits.append(torch.where(usable[:, None], scores.log_softmax(1), torch.full_like(scores, -1e4)))
    phases = len(model.reflectors)
    by_phase = torch.stack(rotations, 1).unflatten(2, (phases, -1))
    likely = torch.stack(logits, 1).unflatten(2, (phases, -1))
    found = []
    for phase in range(phases):
        own = by_phase[:, :, phase].flatten(1, 2)
        order = likely[:, :, phase].flatten(1).argsort(1, descending=True)
        found.append(torch.gather(own, 1, order[..., None, None].expand(-1, -1, 3, 3)))
    return found

"""The transformer as an indexer: disks → tokens → hypotheses → physics as referee → refinement → map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.disks import BraggDisks
from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.indexing.devices import choose_device, describe, each_batch
from napari_4dstem_orient.indexing.indexer import AcceptanceSettings, Hypotheses, MapBuilder, reach_of
from napari_4dstem_orient.indexing.scoring import Measured, ScoreSettings, refine, score, without_direct_beam
from napari_4dstem_orient.indexing.transformer.checkpoint import Model, load_model
from napari_4dstem_orient.indexing.transformer.tokens import canonical_frame, strongest
from napari_4dstem_orient.orientation_map import OrientationMap
from napari_4dstem_orient.parameters import parameter
from napari_4dstem_orient.progress import Progress, silent

BATCH = 512
LONGEST_LIST = 96
"""Disks of one position that scoring looks at, strongest first."""
RUNNERS_UP = 3


@dataclass(frozen=True)
class TransformerSettings:
    """How the network's answers are used."""

    frames: Annotated[
        int,
        parameter(
            "Frames",
            "Read each pattern this many times, turned so that its strongest, second strongest … disk lies on +x; "
            "more hypotheses, more time.",
            min=1,
            max=5,
        ),
    ] = 5
    refined: Annotated[
        int,
        parameter(
            "Refined hypotheses",
            "So many of the best hypotheses are turned in small steps until they explain the disks best; 0 only "
            "chooses among the network's own.",
            min=0,
            max=8,
        ),
    ] = 3


class TransformerIndexer:
    """Indexes scans with trained models, one for each phase or joint ones.

    Parameters
    ----------
    models : sequence of Model
        All for the same voltage.
    settings, acceptance, scoring
        See their classes.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.

    Raises
    ------
    UserError
        If there is no model or their voltages differ.
    """

    name = "transformer"

    def __init__(
        self,
        models: Sequence[Model],
        settings: TransformerSettings | None = None,
        acceptance: AcceptanceSettings | None = None,
        scoring: ScoreSettings | None = None,
        device: str = "auto",
    ) -> None:
        if not models:
            raise UserError("The transformer needs at least one model; train one or choose a bundled one.")
        if len({model.card.voltage for model in models}) > 1:
            raise UserError("The chosen models are for different voltages; choose models of one voltage.")
        self.device = choose_device(device)
        self.models = [model.to(self.device) for model in models]
        self.settings = settings or TransformerSettings()
        self.acceptance = acceptance or AcceptanceSettings()
        self.scoring = scoring or ScoreSettings()

    @classmethod
    def load(cls, paths: str | Path | Sequence[str | Path], device: str = "auto") -> TransformerIndexer:
        """Make an indexer from one or several model files."""
        files = [paths] if isinstance(paths, str | Path) else list(paths)
        return cls([load_model(path) for path in files], device=device)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The models' phases, in order."""
        return tuple(phase for model in self.models for phase in model.card.crystals)

    def index(self, disks: BraggDisks, progress: Progress = silent) -> OrientationMap:
        """Map the orientations of a scan's calibrated disks; see ``Indexer.index``."""
        reach = reach_of(disks, max(model.card.k_max for model in self.models))
        builder = MapBuilder(disks.scan_shape, self.acceptance, RUNNERS_UP)
        # Sorted by number of disks, so that short lists do not pay for long ones.
        positions = np.argsort(disks.counts.ravel(), kind="stable")
        batches = [positions[start : start + BATCH] for start in range(0, len(positions), BATCH)]
        done = 0
        for where, (count, found) in zip(
            batches,
            each_batch(lambda batch: self._batch(disks, batch, reach), batches, self.device),
            strict=True,
        ):
            tried = count >= self.acceptance.min_disks
            builder.leave_out(where[~tried])
            if found is not None:
                builder.put(where[tried], found, count[tried])
            done += len(where)
            progress(done, len(positions))
        return builder.finish(self.phases, self.name, self._provenance())

    def _batch(
        self, disks: BraggDisks, where: np.ndarray, reach: float
    ) -> tuple[np.ndarray, Hypotheses | None]:
        """Return the number of disks at each position, and hypotheses for those that have enough."""
        nearest = min(reflector.nearest for model in self.models for reflector in model.reflectors)
        longest = int(np.clip(disks.counts.ravel()[where].max(initial=1), 1, LONGEST_LIST))
        block, inside = disks.padded(longest, where)
        tensor = torch.from_numpy(block).to(self.device)
        mask = without_direct_beam(tensor, torch.from_numpy(inside).to(self.device), nearest)
        measured = Measured.of(tensor, mask, reach)
        count = measured.mask.sum(1)
        tried = count >= self.acceptance.min_disks
        found = self._answer(tensor[tried], measured[tried]) if bool(tried.any()) else None
        return count.cpu().numpy(), found

    @torch.inference_mode()
    def _answer(self, disks: torch.Tensor, measured: Measured) -> Hypotheses:
        found = []
        first_phase = 0
        for model in self.models:
            rotations = self._propose(model, disks, measured.mask)
            for offset, (reflector, own) in enumerate(zip(model.reflectors, rotations, strict=True)):
                found.append(self._judge(measured, own, reflector, first_phase + offset))
            first_phase += len(model.reflectors)
        return Hypotheses.join(found, 1 + RUNNERS_UP)

    def _propose(self, model: Model, disks: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
        """Return hypotheses in the lab frame for each phase of the model, (n, h, 3, 3), likeliest first."""
        tokens, inside = strongest(disks, mask, model.card.network["tokens"])
        rotations, logits = [], []
        for reference in range(self.settings.frames):
            # A pattern with fewer disks than frames is read in its first frame again.
            usable = inside[:, min(reference, inside.shape[1] - 1)]
            turned, back = canonical_frame(tokens, min(reference, tokens.shape[1] - 1))
            proposed, scores = model.network(turned * inside[..., None], inside)
            rotations.append(proposed @ back[:, None])
            logits.append(torch.where(usable[:, None], scores.log_softmax(1), torch.full_like(scores, -1e4)))
        phases = len(model.reflectors)
        by_phase = torch.stack(rotations, 1).unflatten(2, (phases, -1))
        likely = torch.stack(logits, 1).unflatten(2, (phases, -1))
        result = []
        for phase in range(phases):
            own, order = (
                by_phase[:, :, phase].flatten(1, 2),
                likely[:, :, phase].flatten(1).argsort(1, descending=True),
            )
            result.append(torch.gather(own, 1, order[..., None, None].expand(-1, -1, 3, 3)))
        return result

    def _judge(
        self, measured: Measured, rotation: torch.Tensor, reflector: Reflector, phase: int
    ) -> Hypotheses:
        """Score all hypotheses, refine the best few and sort them."""
        scored = score(measured, rotation, reflector, self.scoring)
        if self.settings.refined == 0:
            keep = slice(0, 1 + RUNNERS_UP)
            return _hypotheses(rotation[:, keep], scored.value[:, keep], scored.explained[:, keep], phase)
        best = scored.value.topk(min(max(self.settings.refined, 1), rotation.shape[1]), dim=1).indices
        parts = []
        for column in best.unbind(1):
            start = rotation[torch.arange(len(rotation), device=rotation.device), column]
            refined, after = refine(measured, start, reflector, self.scoring)
            parts.append(_hypotheses(refined[:, None], after.value, after.explained, phase))
        return Hypotheses.join(parts, 1 + RUNNERS_UP)

    def _provenance(self) -> dict[str, object]:
        return {
            "method": self.name,
            "models": [{"title": model.card.title, "sha256": model.sha256} for model in self.models],
            "device": describe(self.device),
            "settings": asdict(self.settings),
            "acceptance": asdict(self.acceptance),
            "scoring": asdict(self.scoring),
        }


def _hypotheses(
    rotation: torch.Tensor, value: torch.Tensor, explained: torch.Tensor, phase: int
) -> Hypotheses:
    return Hypotheses(
        rotation.cpu().numpy(),
        np.full(tuple(value.shape), phase, np.int32),
        value.cpu().numpy(),
        explained.cpu().numpy(),
    )

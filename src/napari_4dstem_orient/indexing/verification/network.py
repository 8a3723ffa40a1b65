"""A small network that judges and corrects hypotheses: physics gives it the numbers, training what they mean.

It sees no crystal, only pairs of a measured disk and a reflection that a hypothesis predicts nearby: how strong the
disk is, how far apart they are, the reflection's excitation error and extinction distance. Therefore one
verifier serves all crystals, and phases can be compared by its verdicts.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from napari_4dstem_orient.core.atomic import writing
from napari_4dstem_orient.core.reading import check_room, file_hash, reading
from napari_4dstem_orient.core.resource_files import resource
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.rotations import from_vector
from napari_4dstem_orient.indexing.scoring import Measured
from napari_4dstem_orient.indexing.verification.features import (
    EXTENT,
    FEATURES,
    MAX_PEAKS,
    PAIRING,
    PoseHypothesis,
    View,
    view_of,
)

FORMAT = "napari-4dstem-orient referee 1"

VERIFIER, PRE_VERIFIER = "verifier.safetensors", "pre_verifier.safetensors"
"""Their files among the resources."""
PRECESSED_VERIFIER = "precessed_verifier.safetensors"
"""The verifier's under precession, which makes intensities kinematic."""
WIDTH = 48

PRIOR = (0.05, 0.05, 0.05, 0.01, 0.005, 0.005)
"""Expected size of a correction: turn about lab x, y, z (rad), relative scale, origin (Å⁻¹)."""
S_UNIT, POSITION_UNIT = 0.01, 0.01
"""Å⁻¹; errors of excitation errors and of positions that a weight of one stands for."""
ALIKE = math.radians(2)
"""Hypotheses closer than this are one."""
LARGEST_TURN = 0.15
"""Radians; a single correction turns no farther."""


_MOST_ROWS = 3 * 4096
"""Weights of the rows; the widest that anybody trains has less."""


def _relu() -> nn.ReLU:
    return nn.ReLU(inplace=True)  # fresh memory would take longer than the arithmetic


class Verifier(nn.Module):
    """Judges hypotheses; equivariant to turns in the plane because it only sees what these leave unchanged."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.sha256 = ""
        self.read = nn.Sequential(nn.Linear(FEATURES, width), _relu(), nn.Linear(width, width), _relu())
        self.context = nn.Sequential(
            nn.Linear(4 * width + EXTENT, 2 * width), _relu(), nn.Linear(2 * width, width)
        )
        self.reread = nn.Linear(width, width)
        self.again = nn.Sequential(_relu(), nn.Linear(width, width), _relu())
        self.rows = nn.Linear(width, 3)
        self.head = nn.Sequential(nn.Linear(5 * width + EXTENT, 2 * width), _relu(), nn.Linear(2 * width, 1))

    def forward(
        self, measured: Measured, pose: PoseHypothesis, reflector: Reflector, max_peaks: int = MAX_PEAKS
    ) -> tuple[torch.Tensor, PoseHypothesis]:
        """Judge and correct hypotheses of n patterns by up to ``max_peaks`` disks and reflections.

        Returns
        -------
        logit : Tensor, shape (n, h)
            Evidence that the hypothesis is right; 0 stands for "none of them is".
        pose : PoseHypothesis
            The hypotheses, corrected.
        """
        view, tokens, context = self._look(measured, pose, reflector, max_peaks)
        logit = self.head(torch.cat([_pool(tokens, view), context, view.extent], -1))[..., 0]
        return logit, _corrected(pose, _equations(view, self.rows(tokens).float()))

    def equations(self, measured: Measured, pose: PoseHypothesis, reflector: Reflector) -> Equations:
        """Return the least-squares problem by which hypotheses are corrected."""
        view, tokens, _ = self._look(measured, pose, reflector, MAX_PEAKS)
        return _equations(view, self.rows(tokens).float())

    def _look(
        self, measured: Measured, pose: PoseHypothesis, reflector: Reflector, max_peaks: int
    ) -> tuple[View, torch.Tensor, torch.Tensor]:
        """Return what there is to see of hypotheses, each pair as the network reads it, and all pairs together."""
        view = view_of(measured, pose, reflector, max_peaks)
        tokens = self.read(view.features)
        context = self.context(torch.cat([_pool(tokens, view), view.extent], -1))
        return view, self.again(self.reread(tokens) + context[..., None, :]), context


def repeated(rotation: torch.Tensor, symmetry: torch.Tensor, alike: float = ALIKE) -> torch.Tensor:
    """Return which hypotheses (n, h, 3, 3) nearly equal an earlier one of the same pattern: (n, h)."""
    count, hypotheses = rotation.shape[:2]
    rows = rotation.flatten(1, 2)
    # One product for all pairs of a pattern: many of 3 × 3 take several times as long.
    between = (rows @ rows.transpose(1, 2)).view(count, hypotheses, 3, hypotheses, 3).transpose(2, 3)
    trace = (between.reshape(count, hypotheses, hypotheses, 9) @ symmetry.flatten(-2).T).amax(-1)
    return torch.tril(trace > 1 + 2 * math.cos(alike), -1).any(-1)


def save_verifier(verifier: Verifier, card: dict[str, Any], path: str | Path) -> None:
    """Write a verifier as safetensors, with its card (plain JSON values) inside.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    from safetensors.torch import save

    weights = {name: value.cpu().contiguous() for name, value in verifier.state_dict().items()}
    with writing(Path(path)) as temporary:
        temporary.write_bytes(save(weights, {"card": json.dumps(card), "format": FORMAT}))


@dataclass(frozen=True, eq=False)
class Verifiers:
    """Two of a kind: one that is small, for the first look at all hypotheses, and one that decides.

    Attributes
    ----------
    pre_verifier, verifier : Verifier
    """

    pre_verifier: Verifier
    verifier: Verifier

    @classmethod
    def bundled(cls, device: torch.device | str = "cpu", precession: float = 0.0) -> Verifiers:
        """Read those that ship with the program, for so much precession (half-angle in degrees)."""
        return cls(*(load_verifier(device, path) for path in verifier_files(precession)))

    @property
    def sha256(self) -> dict[str, str]:
        """Hashes of both files."""
        return {"pre_verifier": self.pre_verifier.sha256, "verifier": self.verifier.sha256}


def verifier_files(precession: float) -> list[Path]:
    """Return the files of the pre-verifier and the verifier for so much precession (half-angle in degrees)."""
    return [resource(PRE_VERIFIER), resource(PRECESSED_VERIFIER if precession else VERIFIER)]


def load_verifier(device: torch.device | str = "cpu", path: str | Path | None = None) -> Verifier:
    """Read a verifier: the bundled one unless ``path`` names another.

    Raises
    ------
    UserError
        If the file is damaged or holds something else.
    """
    from safetensors.torch import load_file

    with reading(path or resource(VERIFIER), "a verifier") as path:
        check_room(2 * path.stat().st_size, "The verifier")
        weights = load_file(path)
        if not all(bool(torch.isfinite(value).all()) for value in weights.values()):
            raise ValueError("its weights are not finite numbers")
        if weights["read.0.weight"].shape[1] != FEATURES:
            raise ValueError("it belongs to another version of the program")
        width = weights["rows.weight"].shape[1]
        if not 0 < width <= weights["rows.weight"].numel() <= _MOST_ROWS:
            raise ValueError(f"it is {width} wide")
        verifier = Verifier(width)
        verifier.load_state_dict(weights)
        verifier.sha256 = file_hash(path)
        return verifier.to(device).eval()


def _pool(tokens: torch.Tensor, view: View) -> torch.Tensor:
    """Return mean and maximum over the disks' pairs and over the reflections' pairs: (n, h, 4 width)."""
    lit = tokens * view.present[..., None]  # no token is negative, so what is absent is never the maximum
    pooled = []
    for part in (slice(0, view.disks), slice(view.disks, None)):
        inside, empty = lit[:, :, part], ~view.present[:, :, part].any(2, keepdim=True)
        pooled.append(inside.sum(2) / 10.0)
        pooled.append(inside.amax(2).masked_fill(empty, -10.0))
    return torch.cat(pooled, -1)


@dataclass(frozen=True, eq=False)
class Equations:
    """A weighted least-squares problem, whose weights and some targets the network has filled.

    Unknowns: a small turn ω (g → g + ω × g), and changes of scale and origin. A reflection's row says by how much its
    excitation error should change; a disk's two rows say that it lies on its reflection, along lab x and y.

    Attributes
    ----------
    matrix : Tensor, shape (n, h, reflections + 2 disks, 6)
        In ``S_UNIT`` and ``POSITION_UNIT``, as the targets are.
    weight, target : Tensor, shape (n, h, reflections + 2 disks)
    g : Tensor, shape (n, h, disks, 3)
        Each disk's reflection in the lab frame, Å⁻¹.
    """

    matrix: torch.Tensor
    weight: torch.Tensor
    target: torch.Tensor
    g: torch.Tensor

    @property
    def prior(self) -> torch.Tensor:
        """Inverse variances of the unknowns before anything is measured, shape (6,)."""
        return 1 / self.matrix.new_tensor(PRIOR).square()

    @property
    def normal(self) -> torch.Tensor:
        """The normal matrix, shape (n, h, 6, 6)."""
        weighted = self.matrix * self.weight[..., None]
        return weighted.transpose(-1, -2) @ self.matrix + torch.diag(self.prior)


def _equations(view: View, rows: torch.Tensor) -> Equations:
    g, disks = view.g, view.disks
    present = view.present.float()
    zero, one = torch.zeros_like(g[..., 0]), torch.ones_like(g[..., 0])
    x, y, z = g.unbind(-1)
    change = torch.stack([y, -x, zero, zero, zero, zero], -1)[:, :, disks:] / S_UNIT
    wanted = 0.03 * torch.tanh(rows[:, :, disks:, 0]) / S_UNIT
    trust = rows[:, :, disks:, 1].clamp(-10, 6).exp() * present[:, :, disks:]
    in_x = torch.stack([zero, z, -y, x, one, zero], -1)[:, :, :disks] / POSITION_UNIT
    in_y = torch.stack([-z, zero, x, y, zero, one], -1)[:, :, :disks] / POSITION_UNIT
    near = (view.apart.square().sum(-1) < (4 * PAIRING) ** 2)[:, :, :disks]
    sure = rows[:, :, :disks, 2].clamp(-10, 8).exp() * present[:, :, :disks] * near
    apart = view.apart[:, :, :disks] / POSITION_UNIT
    matrix = torch.cat([change, in_x, in_y], 2)
    target = torch.cat([wanted, apart[..., 0], apart[..., 1]], 2)
    return Equations(matrix, torch.cat([trust, sure, sure], 2), target, g[:, :, :disks])


def _corrected(pose: PoseHypothesis, fit: Equations) -> PoseHypothesis:
    """Correct the hypotheses by one step of weighted least squares."""
    # Scale and origin are expected near zero altogether, a turn near zero each time.
    so_far = torch.cat([torch.zeros_like(pose.rotation[..., 0]), pose.scale[..., None], pose.origin], -1)
    right = fit.matrix.transpose(-1, -2) @ (fit.weight * fit.target)[..., None]
    step = torch.linalg.solve(fit.normal, right - (fit.prior * so_far)[..., None])[..., 0]
    turn = step[..., :3]
    length = turn.norm(dim=-1, keepdim=True).clamp_min(1e-9)
    turn = turn * (LARGEST_TURN * torch.tanh(length / LARGEST_TURN) / length)
    rotation = pose.rotation @ from_vector(-turn)
    return PoseHypothesis(rotation, pose.scale + step[..., 3], pose.origin + step[..., 4:])

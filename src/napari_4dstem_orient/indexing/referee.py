"""A small network that judges and corrects hypotheses: physics gives it the numbers, training what they mean.

It sees no crystal, only pairs of a measured disk and a reflection that a hypothesis predicts nearby: how strong the
disk is, how far apart they are, the reflection's excitation error and extinction distance. Therefore one
referee serves all crystals, and phases can be compared by its verdicts.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.indexing.rotations import from_vector
from napari_4dstem_orient.indexing.scoring import Measured
from napari_4dstem_orient.indexing.transformer.loss import misorientation_angle
from napari_4dstem_orient.io.atomic import writing
from napari_4dstem_orient.resource_files import resource

FORMAT = "napari-4dstem-orient referee 1"

PREDICTED = 24
"""Reflections of a hypothesis that are looked at: those that two-beam theory makes strongest."""
MEASURED = 24
"""Measured disks that are looked at, strongest first."""

PAIRING = 0.025
"""Å⁻¹; a disk belongs to the reflection for which distance and weakness together cost least."""
KERNELS = (0.0015, 0.005, 0.012, 0.03)
"""Å⁻¹; distances are seen through Gaussians of these widths."""
FEATURES = 18
COSINES = ((0.008, 0.25), (0.008, 0.5), (0.02, 0.25), (0.02, 0.5))
"""Width of the excitation error (Å⁻¹) and power of the intensities."""
EXTENT = 5 + len(COSINES)
WIDTH = 48

PRIOR = (0.05, 0.05, 0.05, 0.01, 0.005, 0.005)
"""Expected size of a correction: turn about lab x, y, z (rad), relative scale, origin (Å⁻¹)."""
S_UNIT, POSITION_UNIT = 0.01, 0.01
"""Å⁻¹; errors of excitation errors and of positions that a weight of one stands for."""
ALIKE = math.radians(2)
"""Hypotheses closer than this are one."""
LARGEST_TURN = 0.15
"""Radians; a single correction turns no farther."""


@dataclass(frozen=True, eq=False)
class Pose:
    """A hypothesis: an orientation, and how the measured positions are off under it.

    Attributes
    ----------
    rotation : Tensor, shape (n, h, 3, 3)
    scale : Tensor, shape (n, h)
        Relative error of the measured |q|.
    origin : Tensor, shape (n, h, 2)
        Where the direct beam really is, Å⁻¹.
    """

    rotation: torch.Tensor
    scale: torch.Tensor
    origin: torch.Tensor

    @classmethod
    def of(cls, rotation: torch.Tensor) -> Pose:
        """Start from an orientation and faultless positions."""
        zero = torch.zeros_like(rotation[..., 0])
        return cls(rotation, zero[..., 0], zero[..., :2])

    def pick(self, index: torch.Tensor) -> Pose:
        """Return the hypotheses that ``index`` (n, k) names."""
        return Pose(
            torch.gather(self.rotation, 1, index[..., None, None].expand(-1, -1, 3, 3)),
            self.scale.gather(1, index),
            torch.gather(self.origin, 1, index[..., None].expand(-1, -1, 2)),
        )


class Referee(nn.Module):
    """Judges hypotheses; equivariant to turns in the plane because it only sees what these leave unchanged."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.sha256 = ""
        self.read = nn.Sequential(nn.Linear(FEATURES, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.context = nn.Sequential(
            nn.Linear(4 * width + EXTENT, 2 * width), nn.ReLU(), nn.Linear(2 * width, width)
        )
        self.reread = nn.Linear(width, width)
        self.again = nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.rows = nn.Linear(width, 3)
        self.head = nn.Sequential(
            nn.Linear(5 * width + EXTENT, 2 * width), nn.ReLU(), nn.Linear(2 * width, 1)
        )

    def forward(self, measured: Measured, pose: Pose, reflector: Reflector) -> tuple[torch.Tensor, Pose]:
        """Judge and correct hypotheses of n patterns.

        Returns
        -------
        logit : Tensor, shape (n, h)
            Evidence that the hypothesis is right; 0 stands for "none of them is".
        pose : Pose
            The hypotheses, corrected.
        """
        view = view_of(measured, pose, reflector)
        tokens = self.read(view.features)
        context = self.context(torch.cat([_pool(tokens, view), view.extent], -1))
        tokens = self.again(self.reread(tokens) + context[..., None, :])
        logit = self.head(torch.cat([_pool(tokens, view), context, view.extent], -1))[..., 0]
        return logit, _corrected(pose, view, self.rows(tokens).float())


def repeated(rotation: torch.Tensor, symmetry: torch.Tensor, alike: float = ALIKE) -> torch.Tensor:
    """Return which hypotheses (n, h, 3, 3) nearly equal an earlier one of the same pattern: (n, h)."""
    apart = misorientation_angle(rotation[:, :, None], rotation[:, None], symmetry)
    return torch.tril(apart < alike, -1).any(-1)


def save_referee(referee: Referee, card: dict[str, Any], path: str | Path) -> None:
    """Write a referee as safetensors, with its card (plain JSON values) inside.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    from safetensors.torch import save

    weights = {name: value.cpu().contiguous() for name, value in referee.state_dict().items()}
    with writing(Path(path)) as temporary:
        temporary.write_bytes(save(weights, {"card": json.dumps(card), "format": FORMAT}))


def load_referee(device: torch.device | str = "cpu", path: str | Path | None = None) -> Referee:
    """Read a referee: the bundled one unless ``path`` names another.

    Raises
    ------
    UserError
        If the file is damaged or holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    path = Path(path or resource("referee.safetensors"))
    try:
        content = path.read_bytes()
        weights = load(content)
        referee = Referee(weights["rows.weight"].shape[1])
        referee.load_state_dict(weights)
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise UserError(f"{path} is not a readable referee of this program; install it again.") from error
    referee.sha256 = hashlib.sha256(content).hexdigest()
    return referee.to(device).eval()


@dataclass(frozen=True, eq=False)
class View:
    """Pairs of measured disks and predicted reflections; first each disk's, then each reflection's.

    Attributes
    ----------
    features : Tensor, shape (n, h, t, FEATURES)
    present : Tensor, bool, shape (n, h, t)
    disks : int
        How many of the t pairs are disks'.
    g : Tensor, shape (n, h, t, 3)
        The reflection of each pair in the lab frame, Å⁻¹.
    apart : Tensor, shape (n, h, t, 2)
        Disk minus reflection, Å⁻¹.
    extent : Tensor, shape (n, h, EXTENT)
        How many pairs of each kind there are, and cosines of measured and kinematic intensities.
    """

    features: torch.Tensor
    present: torch.Tensor
    disks: int
    g: torch.Tensor
    apart: torch.Tensor
    extent: torch.Tensor


@torch.no_grad()
def view_of(measured: Measured, pose: Pose, reflector: Reflector) -> View:
    """Pair the disks of n patterns with the reflections of their hypotheses."""
    rotation = pose.rotation
    g, error, coupling, strength, sweep, squared = _predicted(rotation, reflector, measured.reach)
    disks = min(measured.q.shape[1], MEASURED)
    mask = measured.mask[:, :disks]
    q = (measured.q[:, None, :disks] - pose.origin[:, :, None]) / (1 + pose.scale[..., None, None])
    light = measured.intensity[:, :disks].clamp_min(1e-5).log()
    distance = (
        q.square().sum(-1)[..., None]
        + g[..., :2].square().sum(-1)[:, :, None]
        - 2 * q @ g[..., :2].transpose(-1, -2)
    )
    cost = distance / (2 * PAIRING**2)
    faint = -0.5 * strength.clamp_min(1e-9).log()
    dark = torch.where(mask, -0.5 * light, 1e6)
    of_disk = (cost + faint[:, :, None]).argmin(-1)
    of_reflection = (cost + dark[:, None, :, None]).argmin(-2)
    hypotheses = rotation.shape[1]

    def both(of_disks: torch.Tensor, of_reflections: torch.Tensor) -> torch.Tensor:
        return torch.cat([of_disks, of_reflections], 2)

    def reflections(values: torch.Tensor) -> torch.Tensor:
        return both(values.gather(2, of_disk), values)

    def measured_ones(values: torch.Tensor) -> torch.Tensor:
        each = values if values.ndim == 3 else values[:, None].expand(-1, hypotheses, -1)
        return both(each, each.gather(2, of_reflection))

    pair_g = torch.stack([reflections(g[..., axis].contiguous()) for axis in range(3)], -1)
    pair_q = torch.stack([measured_ones(q[..., 0]), measured_ones(q[..., 1])], -1)
    s, c, power = reflections(error), reflections(coupling), reflections(strength)
    present = both(mask[:, None].expand(-1, hypotheses, -1), strength > 0)
    any_disk = measured_ones(mask) & present
    apart = torch.where(any_disk[..., None], pair_q - pair_g[..., :2], pair_g.new_tensor(1.0))
    length = pair_g[..., :2].norm(dim=-1).clamp_min(1e-3)
    along = (apart * pair_g[..., :2]).sum(-1) / length
    across = (apart[..., 1] * pair_g[..., 0] - apart[..., 0] * pair_g[..., 1]) / length
    far = apart.square().sum(-1)
    kind = torch.zeros_like(s)
    kind[..., disks:] = 1.0
    seen = [
        kind,
        length,
        measured_ones(light) / 3,
        torch.tanh(s / 0.008),
        torch.tanh(s / 0.03),
        s.abs().clamp_min(1e-4).log() / 2 + 2,
        c.clamp_min(1e-6).log() / 2 + 3,
        power.clamp_min(1e-6).log() / 3,
        torch.exp(-(s / 0.008).square()),
        reflections(sweep) / 0.02,
        *(torch.exp(-far / (2 * width**2)) for width in KERNELS),
        torch.tanh(along / 0.01),
        torch.tanh(across / 0.01),
        torch.tanh(along / 0.04),
        torch.tanh(across / 0.04),
    ]
    off = pose.origin.norm(dim=-1) / 0.005
    extent = [
        present[..., :disks].sum(-1) / 20.0,
        strength.sum(-1) / 10.0,
        torch.tanh(off),
        torch.tanh(off / 4),
    ]
    extent.append(torch.tanh(pose.scale.abs() / 0.01))
    near = torch.exp(-far / (2 * PAIRING**2)) * present
    for width, power_of in COSINES:
        expected = ((squared * torch.exp(-0.5 * (error / width).square())) * (strength > 0)).clamp_min(
            1e-12
        ) ** power_of
        found = (light.exp() * mask) ** power_of
        matched = (expected.gather(2, of_disk) * found[:, None] * near[..., :disks]).sum(-1)
        extent.append(matched / (expected.norm(dim=-1) * found.norm(dim=-1)[:, None]).clamp_min(1e-9))
    return View(torch.stack(seen, -1), present, disks, pair_g, apart, torch.stack(extent, -1))


def _predicted(rotation: torch.Tensor, reflector: Reflector, reach: float) -> tuple[torch.Tensor, ...]:
    """Return the strongest reflections: g (n, h, k, 3), excitation error, 1/ξ, strength and sweep (n, h, k).

    Strength is the envelope of two-beam theory, 1 / (1 + s² ξ²), averaged over the precession cone; sweep is by
    how much precession changes the excitation error. The strength of what lies beyond ``reach`` is 0.
    """
    squared = reflector.g.square().sum(-1)
    g_z = rotation[..., 2] @ reflector.g.T
    wavelength = reflector.wavelength
    error = (2 * g_z - wavelength * squared) / (2 - 2 * wavelength * g_z)
    coupling = 1 / reflector.extinction
    flat = (squared - g_z.square()).clamp_min(0)
    sweep = math.sin(math.radians(reflector.precession)) * flat.sqrt()
    if reflector.precession:
        cosines = [math.cos(math.pi * (step + 0.5) / 6) for step in range(6)]
        strength = torch.zeros_like(error)
        for cosine in cosines:
            strength += 1 / (1 + ((error + sweep * cosine) / coupling).square()) / len(cosines)
    else:
        strength = 1 / (1 + (error / coupling).square())
    strength = strength * (flat <= reach**2)
    strength, index = strength.topk(min(PREDICTED, strength.shape[-1]), dim=-1)
    g = reflector.g[index] @ rotation
    return (
        g,
        error.gather(-1, index),
        coupling[index],
        strength,
        sweep.gather(-1, index),
        reflector.intensity[index],
    )


def _pool(tokens: torch.Tensor, view: View) -> torch.Tensor:
    """Return mean and maximum over the disks' pairs and over the reflections' pairs: (n, h, 4 width)."""
    pooled = []
    for part in (slice(0, view.disks), slice(view.disks, None)):
        inside, present = tokens[:, :, part], view.present[:, :, part, None]
        pooled.append((inside * present).sum(2) / 10.0)
        pooled.append(torch.where(present, inside, -10.0).amax(2))
    return torch.cat(pooled, -1)


def _corrected(pose: Pose, view: View, rows: torch.Tensor) -> Pose:
    """Correct the hypotheses by one weighted least-squares step whose rows the network has filled.

    Unknowns: a small turn ω (g → g + ω × g), and changes of scale and origin. A reflection's row says by how much its
    excitation error should change; a disk's two rows say that it lies on its reflection.
    """
    g, disks = view.g, view.disks
    present = view.present.float()
    zero, one = torch.zeros_like(g[..., 0]), torch.ones_like(g[..., 0])
    x, y, z = g.unbind(-1)
    change = torch.stack([y, -x, zero, zero, zero, zero], -1)[:, :, disks:] / S_UNIT
    wanted = 0.03 * torch.tanh(rows[:, :, disks:, 0]) / S_UNIT
    trust = (rows[:, :, disks:, 1].clamp(-10, 6).exp() * present[:, :, disks:])[..., None]
    in_x = torch.stack([zero, z, -y, x, one, zero], -1)[:, :, :disks] / POSITION_UNIT
    in_y = torch.stack([-z, zero, x, y, zero, one], -1)[:, :, :disks] / POSITION_UNIT
    near = (view.apart.square().sum(-1) < (4 * PAIRING) ** 2)[:, :, :disks]
    sure = (rows[:, :, :disks, 2].clamp(-10, 8).exp() * present[:, :, :disks] * near)[..., None]
    apart = view.apart[:, :, :disks] / POSITION_UNIT
    matrix = torch.cat([change, in_x, in_y], 2)
    target = torch.cat([wanted, apart[..., 0], apart[..., 1]], 2)
    weighted = matrix * torch.cat([trust, sure, sure], 2)
    precision = 1 / g.new_tensor(PRIOR).square()
    # Scale and origin are expected near zero altogether, a turn near zero each time.
    so_far = torch.cat([torch.zeros_like(g[:, :, 0]), pose.scale[..., None], pose.origin], -1)
    normal = weighted.transpose(-1, -2) @ matrix + torch.diag(precision)
    step = torch.linalg.solve(
        normal, weighted.transpose(-1, -2) @ target[..., None] - (precision * so_far)[..., None]
    )[..., 0]
    turn = step[..., :3]
    length = turn.norm(dim=-1, keepdim=True).clamp_min(1e-9)
    turn = turn * (LARGEST_TURN * torch.tanh(length / LARGEST_TURN) / length)
    rotation = pose.rotation @ from_vector(-turn)
    return Pose(rotation, pose.scale + step[..., 3], pose.origin + step[..., 4:])

"""Two measures of how well given orientations explain their patterns, as the publication uses them; many at once."""

from __future__ import annotations

import math

import numpy as np
import torch

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.devices import each_batch
from napari_4dstem_orient.core.memory import parts
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.indexing.scoring import PREDICTED, Measured, without_direct_beam
from napari_4dstem_orient.indexing.settings import TemplateSettings

SHELL = 0.01
"""Å⁻¹; py4DSTEM gathers reflections in shells of this thickness."""
GRID = 128
"""Pixels of the detector that patterns are drawn on."""
SPOT = 1.5
"""Gaussian width of a drawn disk, pixels."""
WIDTH = 0.02
"""Å⁻¹; Gaussian width of the excitation error in drawn patterns, and py4DSTEM's own in its templates."""
BATCH = {"cpu": 512, "cuda": 16_384, "mps": 4096}
"""Patterns compared at a time."""


def similarities(
    disks: BraggDisks,
    rotation: np.ndarray,
    where: np.ndarray,
    reflector: Reflector,
    reach: float,
    settings: TemplateSettings | None = None,
    progress: Progress = silent,
) -> tuple[np.ndarray, np.ndarray]:
    """Compute sparse correlation and Q of one orientation for each scan position.

    Parameters
    ----------
    disks : BraggDisks
        Calibrated.
    rotation : ndarray, shape (scan_y, scan_x, 3, 3)
        Orientation matrices, as in ``OrientationMap``.
    where : ndarray of bool, shape (scan_y, scan_x)
        Positions to compare; all of the reflector's phase.
    reflector : Reflector
        The phase's reflections up to ``reach``, on the device that computes.
    reach : float
        |q| in Å⁻¹ up to which disks are compared.
    settings : TemplateSettings, optional
        Of the sparse correlation.
    progress : Progress
        Called with positions done and to do.

    Returns
    -------
    sparse, overlap : ndarray, float32, shape (scan_y, scan_x)
        NaN elsewhere, and where no disk is left beside the direct beam.
    """
    device = reflector.g.device
    correlate = SparseCorrelation(reflector, settings)
    found = np.full((2, where.size), np.nan, np.float32)
    flat = np.ascontiguousarray(rotation, np.float32).reshape(-1, 3, 3)
    # Longest lists first, so that short lists do not pay for long ones.
    chosen = np.flatnonzero(where)
    chosen = chosen[np.argsort(-disks.counts.ravel()[chosen], kind="stable")]

    @torch.inference_mode()
    def compare(batch: np.ndarray) -> np.ndarray:
        block, inside = disks.padded(max(int(disks.counts.ravel()[batch].max()), 1), batch)
        tensor, mask = torch.from_numpy(block).to(device), torch.from_numpy(inside).to(device)
        measured = Measured.of(tensor, without_direct_beam(tensor, mask, reflector.nearest), reach)
        turned = torch.from_numpy(flat[batch]).to(device)
        both = torch.stack([correlate(measured, turned), image_overlap(measured, turned, reflector)])
        return torch.where(measured.mask.any(1), both, torch.nan).cpu().numpy()

    size = BATCH[device.type]
    batches = [chosen[part] for part in parts(len(chosen), size)]
    done = 0
    for batch, values in each_batch(compare, batches, device):
        found[:, batch] = values
        done += len(batch)
        progress(done, len(chosen))
    sparse, overlap = found.reshape(2, *where.shape)
    return sparse, overlap


class SparseCorrelation:
    """py4DSTEM's matching score of one given orientation for each pattern.

    py4DSTEM draws the measured disks as a polar image (radial shells, azimuths) and multiplies it with the template of
    the orientation, whose reflections it shares out between the two nearest azimuths. Both are sums over disks and
    reflections, and so is their product: that sum is taken here. py4DSTEM divides by the length of the template in bins
    of azimuth, which changes by up to a factor of √2 with how the reflections fall between bins. Here the length of the
    reflections' weights stands in its place, so that answers a fraction of a degree apart have nearly the same score.

    The score: C. Ophus et al., Microsc. Microanal. 28 (2022) 390.

    Parameters
    ----------
    reflector : Reflector
        Reflections and beam.
    settings : TemplateSettings
        Kernel, width of the excitation error and intensity power; py4DSTEM's by default.
    """

    def __init__(self, reflector: Reflector, settings: TemplateSettings | None = None) -> None:
        self.reflector = reflector
        self.settings = settings or TemplateSettings(excitation_width=WIDTH)
        length = reflector.g.norm(dim=1).cpu().numpy()
        names, shell = np.unique(np.round(length / SHELL), return_inverse=True)
        radius = np.bincount(shell, length) / np.bincount(shell, minlength=len(names))
        self.radius = torch.as_tensor(radius[shell], dtype=torch.float32, device=reflector.g.device)
        """Of each reflection's shell, Å⁻¹."""
        self.step = 2 * math.pi / round(360 / self.settings.in_plane_step)

    def __call__(self, measured: Measured, rotation: torch.Tensor) -> torch.Tensor:
        """Score n patterns against one orientation each: (n, 3, 3) -> (n,)."""
        kernel, power = self.settings.kernel, self.settings.power(self.reflector.precession)
        where, weight = self._template(rotation)
        length = weight.norm(dim=1).clamp_min(1e-12)
        weight, index = weight.topk(max(int((weight > 0).sum(1).max()), 1))
        radius = self.radius[index]
        place = where.gather(1, index)
        across = measured.q.norm(dim=-1)[:, :, None] - radius[:, None]
        near = (across.abs() < kernel) & measured.mask[:, :, None] & (weight > 0)[:, None]
        pattern, disk, reflection = near.nonzero(as_tuple=True)
        azimuth = torch.atan2(measured.q[..., 1], measured.q[..., 0])[pattern, disk]
        around = place[pattern, reflection]
        left = around.floor()
        radius, across = radius[pattern, reflection], across[near]

        def spot(grid: torch.Tensor) -> torch.Tensor:
            turn = torch.remainder(grid * self.step - azimuth + math.pi, 2 * math.pi) - math.pi
            return torch.exp((across**2 + (turn * radius) ** 2) / (-2 * kernel**2))

        share = around - left
        value = ((1 - share) * spot(left) + share * spot(left + 1)) * weight[pattern, reflection]
        value = value * measured.intensity[pattern, disk] ** power
        return torch.zeros_like(length).index_add_(0, pattern, value) / length

    def _template(self, rotation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return each reflection's azimuth in steps and its weight, 0 where it is not excited, shape (n, m)."""
        reflector, settings = self.reflector, self.settings
        g = reflector.in_lab(rotation)
        errors = reflector.excitation_errors(g)
        near = torch.stack([error.abs() for error in errors]).amin(0) < settings.kernel
        intensity = reflector.excite(g, settings.excitation_width) * near
        power = torch.where(intensity > 0, intensity ** settings.power(reflector.precession), 0)
        return torch.atan2(g[..., 1], g[..., 0]) / self.step, power * self.radius


def image_overlap(measured: Measured, rotation: torch.Tensor, reflector: Reflector) -> torch.Tensor:
    """Return Q = Σ(sim · exp) / (‖sim‖ ‖exp‖) of n patterns and one orientation each, (n, 3, 3) -> (n,).

    exp are the measured disks to the power ½, sim the kinematic intensities of the brightest reflections, both drawn
    as Gaussian spots on a detector that reaches ``measured.reach``; neither has a direct beam. The product of two
    spots, summed over the detector, is a Gaussian of their distance, so nothing need be drawn.

    Q is that of the publication (Je, Kennedy, Kim, Yang, Thiede, arXiv 2602.12420), in the form of E. F. Rauch and
    L. Dupuy, Arch. Metall. Mater. 50 (2005) 87.
    """
    position, sim = reflector.brightest(rotation, WIDTH, measured.reach, PREDICTED)
    exp = measured.intensity.sqrt() * measured.mask
    width = SPOT * 2 * measured.reach / GRID

    def product(one: torch.Tensor, a: torch.Tensor, other: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        apart = torch.cdist(one, other, compute_mode="donot_use_mm_for_euclid_dist")
        near = torch.exp(-(apart / (2 * width)).square_().clamp_max_(40))  # beyond, denormal numbers are slow
        return (near @ b[..., None]).squeeze(-1).mul(a).sum(1)

    both = product(measured.q, exp, position, sim)
    lengths = product(measured.q, exp, measured.q, exp) * product(position, sim, position, sim)
    return (both / lengths.sqrt().clamp_min(1e-12)).clamp(0, 1)

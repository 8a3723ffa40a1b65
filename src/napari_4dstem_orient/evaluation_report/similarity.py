"""Two measures of how well one given orientation explains one pattern, as the publication uses them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.indexing.template import TemplateSettings

SHELL = 0.01
"""Å⁻¹; py4DSTEM gathers reflections in shells of this thickness."""
GRID = 128
"""Pixels of the detector that patterns are drawn on."""
SPOT = 1.5
"""Gaussian width of a drawn disk, pixels."""


class SparseCorrelation:
    """py4DSTEM's matching score of one given orientation.

    py4DSTEM divides by the length of the template in bins of azimuth, which changes by up to a factor of √2 with how
    the reflections fall between bins. Here the length of the reflections' weights stands in its place, so that
    answers a fraction of a degree apart have nearly the same score.

    Parameters
    ----------
    reflector : Reflector
        Reflections and beam.
    settings : TemplateSettings
        Kernel, width of the excitation error and intensity power.
    """

    def __init__(self, reflector: Reflector, settings: TemplateSettings | None = None) -> None:
        self.reflector = reflector
        self.settings = settings or TemplateSettings()
        length = reflector.g.norm(dim=1).cpu().numpy()
        names, self.shell = np.unique(np.round(length / SHELL), return_inverse=True)
        self.radius = np.bincount(self.shell, length) / np.bincount(self.shell, minlength=len(names))
        steps = round(360 / self.settings.in_plane_step)
        self.azimuth = 2 * np.pi * np.arange(steps) / steps

    def __call__(self, disks: np.ndarray, rotation: np.ndarray) -> float:
        """Score measured disks (m, 3) against an orientation (3, 3); intensities count relative to the strongest."""
        template, length = self.template(rotation)
        return float((self.polar(disks) * template).sum() / length)

    def polar(self, disks: np.ndarray) -> np.ndarray:
        """Return measured disks as py4DSTEM's polar image, shape (shells, azimuths)."""
        x, y, intensity = np.asarray(disks, float).T
        kernel = self.settings.kernel
        across = np.abs(np.hypot(x, y) - self.radius[:, None])
        turn = np.mod(self.azimuth - np.arctan2(y, x)[:, None] + np.pi, 2 * np.pi) - np.pi
        along = turn[None] * self.radius[:, None, None]
        weight = (intensity / intensity.max()) ** self.settings.intensity_power * (across < kernel)
        spot = np.exp((across[..., None] ** 2 + along**2) / (-2 * kernel**2))
        return (weight[..., None] * spot).sum(1)

    def template(self, rotation: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the polar template of an orientation, shape (shells, azimuths), and the length of its weights."""
        reflector, width = self.reflector, self.settings.excitation_width
        turned = torch.as_tensor(rotation, dtype=torch.float32, device=reflector.g.device)
        g = reflector.in_lab(turned)
        near = torch.stack(reflector.excitation_errors(g)).abs().amin(0) < self.settings.kernel
        intensity = (reflector.excite(g, width) * near).cpu().numpy()
        weight = intensity**self.settings.intensity_power * self.radius[self.shell]
        x, y = g[:, :2].cpu().numpy().T
        place = np.mod(np.arctan2(y, x) / self.azimuth[1], len(self.azimuth))
        left = np.floor(place).astype(int) % len(self.azimuth)
        share = place - np.floor(place)
        drawn = np.zeros((len(self.radius), len(self.azimuth)))
        np.add.at(drawn, (self.shell, left), (1 - share) * weight)
        np.add.at(drawn, (self.shell, (left + 1) % len(self.azimuth)), share * weight)
        return drawn, max(float(np.linalg.norm(weight)), 1e-12)


def image_overlap(measured: np.ndarray, predicted: np.ndarray, k_max: float) -> float:
    """Return Q = Σ(sim · exp) / (‖sim‖ ‖exp‖) of two lists of disks (n, 3) drawn on a detector that reaches k_max.

    exp are the measured disks to the power ½, sim the kinematic intensities; neither has a direct beam.
    """
    root = np.column_stack([measured[:, :2], np.sqrt(measured[:, 2])])
    exp, sim = drawn(root, k_max), drawn(predicted, k_max)
    return float((sim * exp).sum() / max(float(np.linalg.norm(sim) * np.linalg.norm(exp)), 1e-12))


def drawn(disks: np.ndarray, k_max: float) -> np.ndarray:
    """Draw disks (n, 3) as an image whose rows run along qx."""
    pixel = 2 * k_max / GRID
    place = (np.arange(GRID) - GRID / 2) * pixel
    profiles: Iterator[np.ndarray] = (
        np.exp(-0.5 * ((place - disks[:, axis, None]) / (SPOT * pixel)) ** 2) for axis in (0, 1)
    )
    rows, cols = profiles
    return np.einsum("n,nr,nc->rc", disks[:, 2].astype(float), rows, cols)

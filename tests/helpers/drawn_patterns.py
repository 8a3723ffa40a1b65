"""py4DSTEM's polar images and patterns on a detector, drawn pixel by pixel: what the fast sums must agree with."""

import numpy as np
import torch

from napari_4dstem_orient.indexing.settings import TemplateSettings
from napari_4dstem_orient.indexing.similarity import GRID, SHELL, SPOT, WIDTH


class PolarImages:
    """The two images whose product py4DSTEM calls the correlation, shape (shells, azimuths)."""

    def __init__(self, reflector, settings=None):
        self.reflector = reflector
        self.settings = settings or TemplateSettings(excitation_width=WIDTH)
        length = reflector.g.norm(dim=1).numpy()
        names, self.shell = np.unique(np.round(length / SHELL), return_inverse=True)
        self.radius = np.bincount(self.shell, length) / np.bincount(self.shell, minlength=len(names))
        steps = round(360 / self.settings.in_plane_step)
        self.azimuth = 2 * np.pi * np.arange(steps) / steps

    def measured(self, disks):
        """Draw measured disks (m, 3); intensities count relative to the strongest."""
        x, y, intensity = np.asarray(disks, float).T
        kernel = self.settings.kernel
        across = np.abs(np.hypot(x, y) - self.radius[:, None])
        turn = np.mod(self.azimuth - np.arctan2(y, x)[:, None] + np.pi, 2 * np.pi) - np.pi
        along = turn[None] * self.radius[:, None, None]
        weight = (intensity / intensity.max()) ** self.settings.power(self.reflector.precession) * (
            across < kernel
        )
        spot = np.exp((across[..., None] ** 2 + along**2) / (-2 * kernel**2))
        return (weight[..., None] * spot).sum(1)

    def template(self, rotation):
        """Draw the template of an orientation; return it and the length of its weights."""
        reflector, width = self.reflector, self.settings.excitation_width
        g = reflector.in_lab(torch.as_tensor(rotation, dtype=torch.float32))
        near = torch.stack(reflector.excitation_errors(g)).abs().amin(0) < self.settings.kernel
        intensity = (reflector.excite(g, width) * near).numpy()
        weight = intensity ** self.settings.power(self.reflector.precession) * self.radius[self.shell]
        x, y = g[:, :2].numpy().T
        place = np.mod(np.arctan2(y, x) / self.azimuth[1], len(self.azimuth))
        left = np.floor(place).astype(int) % len(self.azimuth)
        share = place - np.floor(place)
        image = np.zeros((len(self.radius), len(self.azimuth)))
        np.add.at(image, (self.shell, left), (1 - share) * weight)
        np.add.at(image, (self.shell, (left + 1) % len(self.azimuth)), share * weight)
        return image, max(float(np.linalg.norm(weight)), 1e-12)


def drawn_overlap(measured, predicted, k_max):
    """Return Q of two lists of disks (n, 3), both drawn on a detector."""
    root = np.column_stack([measured[:, :2], np.sqrt(measured[:, 2])])
    exp, sim = on_detector(root, k_max), on_detector(predicted, k_max)
    return float((sim * exp).sum() / np.linalg.norm(sim) / np.linalg.norm(exp))


def on_detector(disks, k_max):
    """Draw disks (n, 3) as an image whose rows run along qx; it is larger than k_max, so that no spot is cut."""
    pixel = 2 * k_max / GRID
    place = (np.arange(2 * GRID) - GRID) * pixel
    rows, cols = (np.exp(-0.5 * ((place - disks[:, axis, None]) / (SPOT * pixel)) ** 2) for axis in (0, 1))
    return np.einsum("n,nr,nc->rc", disks[:, 2].astype(float), rows, cols)

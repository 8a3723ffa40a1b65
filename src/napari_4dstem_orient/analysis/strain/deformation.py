"""How the lattice at each position is deformed in the plane, against the crystal of its answer: one fit for each.

A disk lies at the projection of its reflection: q = A g + o + t × g. A is the deformation of reciprocal space in the
plane, and the lattice's own is F = A⁻ᵀ. With it are fitted what is no strain: the pattern's origin o, and a small turn
t about the axes in the plane, which is known beforehand as well as the answer is precise.

What cannot be seen: strain along the beam, and shears of it against the plane. These change which reflections are
excited, not where they lie. A tilt makes no strain but for second order in its error: the answer's own tilt is in g.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.memory import parts
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.indexing.overlap.explained import Explainer
from napari_4dstem_orient.indexing.reflections import NEAR, near_enough, reflector_of

if TYPE_CHECKING:
    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.crystals.phase import Phase

FEWEST = 4
"""Disks, the direct beam apart, that say anything: three unknown vectors are fitted."""
FLATTEST = 0.1
"""Disks along a line say nothing across it: their spread across, over that along it, must be larger."""
LOOSEST = 0.01
"""Standard deviation of a strain; what is known worse is not known."""
WIDTH = 0.02
"""Å⁻¹; how far from the Ewald sphere a reflection may still make a disk (Gaussian width)."""
FAINTEST = 1e-4
"""Relative intensity of a reflection that makes no disk."""
LISTED = 192
"""Reflections of an orientation that may make disks, brightest first."""
RIVAL, APART = 0.3, 0.003
"""A disk that another reflection, so many Å⁻¹ away, suits as well but for this factor, is nobody's."""
FLOOR = 0.5
"""Least standard deviation of a disk's place, over the median one: no disk outweighs all others."""
BELIEVED = 8.0
"""Residuals that the disks' own uncertainties count for beside those that are measured."""
OUTLYING = 2.5
"""Standard deviations from which on a disk counts less, as 1 / distance (Huber)."""
TILT = 0.5
"""Degrees; standard deviation of an answer's tilt where the map does not know it."""
LOOKS, LOOKED_AT = 2, 512
"""How often, and at how many positions of a phase, it is looked how far disks are moved along q."""
TOGETHER = 0.4
"""Of how far disks are moved along q, the part that all of a pattern have in common (as a share of |q|): it looks like
a larger or smaller lattice. From multislice patterns of strained Cu and Si (``tools/measure_strain.py``)."""
CLIPPED = 4.0
"""Residuals beyond so many times the median one count as so many."""
ROUNDS = 4
"""How often disks are paired: each time with the reflections as deformed so far."""
_CHUNK = 256
_UNKNOWNS = 8


@dataclass(frozen=True, eq=False)
class Deformation:
    """In-plane deformation gradients against the crystals of a map, in the scan frame (lab x down the rows, y along).

    Attributes
    ----------
    gradient : ndarray, float64, shape (scan_y, scan_x, 2, 2)
        F: what lies at r in the crystal lies at F r in the specimen. NaN where too few disks speak.
    covariance : ndarray, float64, shape (scan_y, scan_x, 4, 4)
        Of F's entries xx, xy, yx, yy.
    disks : ndarray, int32, shape (scan_y, scan_x)
        Disks that speak.
    """

    gradient: np.ndarray
    covariance: np.ndarray
    disks: np.ndarray


def deformation(
    disks: BraggDisks,
    orientation_map: OrientationMap,
    voltage: float,
    precession: float = 0.0,
    number: int = 1,
    progress: Progress = silent,
) -> Deformation:
    """Fit the in-plane deformation at every position that has an answer.

    Strain from where disks lie: V. B. Ozdol et al., Appl. Phys. Lett. 106 (2015) 253107. Outlying disks count less,
    as P. J. Huber has it (Ann. Math. Stat. 35 (1964) 73).

    Parameters
    ----------
    disks : BraggDisks
        Calibrated; those that the map was made from.
    orientation_map : OrientationMap
    voltage : float
        kV.
    precession : float
        Half-angle in degrees.
    number : int
        Which crystal of each pattern, 1 for the first; disks that others explain do not speak.
    progress : callable
        ``progress(done, total)`` in positions.
    """
    clear = disks.sure()
    reach = float(np.hypot(clear.qx, clear.qy).max(initial=NEAR)) + NEAR
    crystals = [orientation_map, *orientation_map.beside]
    own = crystals.pop(number - 1)
    if crystals:
        explainer = Explainer(clear, own.phases, voltage, precession, reach)
        flat = ((each.rotation.reshape(-1, 3, 3), each.phase_id.ravel()) for each in crystals)
        clear = clear.where(~np.any([explainer.by(*each) for each in flat], axis=0))
    positions = own.phase_id.size
    gradient, covariance = np.full((positions, 2, 2), np.nan), np.full((positions, 4, 4), np.nan)
    count, done = np.zeros(positions, np.int32), 0
    rotation, tilt = own.rotation.reshape(-1, 3, 3), _tilts(own)
    rows = [np.flatnonzero(own.phase_id.ravel() == index) for index in range(len(own.phases))]

    def fitted(phase: Phase, some: np.ndarray, noise: _Noise) -> _Fitted:
        spots = _Spots.of(reflector_of(phase, voltage, reach, precession), rotation[some])
        return _fit(spots, _Measured.of(clear, some, noise), tilt[some])

    noise = _Noise()
    for _ in range(LOOKS):
        looks = [
            fitted(phase, some[:: max(1, -(-len(some) // LOOKED_AT))], noise)
            for phase, some in zip(own.phases, rows, strict=True)
            if len(some)
        ]
        noise = _Noise.of(looks)
    for phase, every in zip(own.phases, rows, strict=True):
        for some in (every[part] for part in parts(len(every), _CHUNK)):
            found = fitted(phase, some, noise)
            gradient[some], covariance[some], count[some] = found.gradient, found.covariance, found.disks
            done += len(some)
            progress(done, positions)
    progress(positions, positions)
    shape = own.scan_shape
    return Deformation(gradient.reshape(*shape, 2, 2), covariance.reshape(*shape, 4, 4), count.reshape(shape))


def _tilts(own: OrientationMap) -> np.ndarray:
    """Return the standard deviation of each answer's tilt, radians, shape (positions,)."""
    known = None if own.certainty is None else own.certainty.precision
    tilt = np.full(own.phase_id.size, TILT) if known is None else known[..., 1].ravel().astype(float)
    return np.deg2rad(np.nan_to_num(tilt, nan=TILT))


@dataclass(frozen=True)
class _Noise:
    """Standard deviations of disks in Å⁻¹: across q where the disks do not tell theirs, and what is added along q.

    Along q dynamical diffraction lights disks unevenly, which moves them; how far, the disks themselves tell.
    """

    across: float = 1.0
    along: float = 0.0

    @classmethod
    def of(cls, looks: Sequence[_Fitted]) -> _Noise:
        """Tell it from residuals."""
        left = np.concatenate([np.zeros((0, 2)), *(look.left for look in looks)])
        if not len(left):
            return cls()
        along, across = np.minimum(np.square(left), np.square(CLIPPED * np.median(np.abs(left), 0))).mean(0)
        return cls(float(np.sqrt(across)) or 1.0, float(np.sqrt(max(along - across, 0.0))))


@dataclass(frozen=True, eq=False)
class _Measured:
    """Disks of n positions: q (n, d, 2), variances along and across q (n, d, 2), and whether there is one (n, d).

    ``believed``: residuals that these variances count for; none where the disks do not tell them. ``common``: how far
    all disks of a pattern are moved together along q, Å⁻¹.
    """

    q: torch.Tensor
    variance: torch.Tensor
    there: torch.Tensor
    believed: float
    common: float

    @classmethod
    def of(cls, disks: BraggDisks, positions: np.ndarray, noise: _Noise) -> _Measured:
        """Take the disks of some flat positions."""
        found = disks.take(positions)
        block, there = found.padded(int(found.counts.max(initial=1)))
        q, believed = torch.from_numpy(block[..., :2]).double(), 0.0
        across = torch.full(there.shape, noise.across, dtype=torch.float64)
        if block.shape[-1] > 4 and disks.uncertainty is not None:
            least = FLOOR * float(np.median(disks.uncertainty))
            across, believed = torch.from_numpy(block[..., 4]).double().clamp_min(least), BELIEVED
        variance = torch.stack([across.square() + noise.along**2, across.square()], -1)
        return cls(q, variance, torch.from_numpy(there), believed, TOGETHER * noise.along)


@dataclass(frozen=True, eq=False)
class _Fitted:
    """What ``Deformation`` has of n positions, and residuals along and across q of all disks that speak (m, 2)."""

    gradient: np.ndarray
    covariance: np.ndarray
    disks: np.ndarray
    left: np.ndarray


@dataclass(frozen=True, eq=False)
class _Spots:
    """Reflections of n orientations that may make disks: g (n, m, 3) in the lab frame, relative intensity (n, m).

    The last is the direct beam. A disk within ``near`` (Å⁻¹) of one may be its.
    """

    g: torch.Tensor
    intensity: torch.Tensor
    near: float

    @classmethod
    def of(cls, reflector: Reflector, rotation: np.ndarray) -> _Spots:
        g_lab = reflector.in_lab(torch.from_numpy(rotation).float())
        listed, index = reflector.excite(g_lab, WIDTH).topk(min(LISTED, len(reflector.g)), dim=1)
        g = g_lab.gather(1, index[..., None].expand(-1, -1, 3)).double()
        beam = torch.zeros_like(g[:, :1])
        near = near_enough(reflector)
        intensity = torch.where(listed > FAINTEST, listed, 0).double()
        return cls(torch.cat([g, beam], 1), torch.cat([intensity, 1 + beam[..., 0]], 1), near)

    def of_disks(self, measured: _Measured, unknown: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return each disk's reflection, g (n, d, 3), as deformed by what is fitted so far, and whether it has one."""
        place = (self.g[..., :2] + torch.einsum("nmip,np->nmi", _columns(self.g), unknown)).float()
        apart = torch.cdist(measured.q.float(), place, compute_mode="donot_use_mm_for_euclid_dist")
        likely = self.intensity.float()[:, None] * torch.exp(-2 * (apart / self.near).square())
        suits, which = (likely * (apart < self.near)).topk(3, dim=-1)
        best, index = suits[..., 0], which[..., 0]
        places = place.gather(1, which.flatten(1)[..., None].expand(-1, -1, 2)).unflatten(1, which.shape[1:])
        elsewhere = (places - places[:, :, :1]).norm(dim=-1) > APART
        rival = (suits * elsewhere).amax(-1)
        # Of two disks for one reflection, that which suits better.
        claims = torch.zeros_like(place[..., 0]).scatter_reduce(1, index, best * measured.there, "amax")
        own = measured.there & (best > 0) & (rival < RIVAL * best) & (best >= claims.gather(1, index))
        return self.g.gather(1, index[..., None].expand(-1, -1, 3)), own


def _columns(g: torch.Tensor) -> torch.Tensor:
    """Return how places of reflections (n, m, 3) change with the unknowns, (n, m, 2, 8).

    The unknowns: A - 1 (xx, xy, yx, yy), the origin (x, y), and the turn about x and y.
    """
    x, y, z = g.unbind(-1)
    one, none = torch.ones_like(x), torch.zeros_like(x)
    down = [x, y, none, none, one, none, none, z]
    along = [none, none, x, y, none, one, -z, none]
    return torch.stack([torch.stack(down, -1), torch.stack(along, -1)], -2)


def _along_and_across(g: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Return what vectors (n, d, 2, …) have along q and across it; the direct beam's q points along x."""
    x, y = g[..., 0], g[..., 1]
    angle = torch.atan2(y, x)
    cos, sin = angle.cos(), angle.sin()
    turn = torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], -2)
    return torch.einsum("ndij,ndj...->ndi...", turn, vectors)


def _fit(spots: _Spots, measured: _Measured, tilt: np.ndarray) -> _Fitted:
    """Fit the deformation of n positions to their disks; ``tilt`` (n,) is the standard deviation of theirs."""
    positions = len(spots.g)
    unknown = torch.zeros(positions, _UNKNOWNS, dtype=torch.float64)
    trust = torch.ones(measured.there.shape, dtype=torch.float64)
    scale = torch.ones(positions, dtype=torch.float64)
    for _ in range(ROUNDS):
        g, own = spots.of_disks(measured, unknown)
        columns = _along_and_across(g, _columns(g))
        target = _along_and_across(g, measured.q - g[..., :2])
        weight = torch.where(own, trust, 0)[..., None] / measured.variance
        # The tilt's prior has its own unit, whatever the residuals make of that of the weights.
        prior = torch.zeros(positions, _UNKNOWNS, dtype=torch.float64)
        prior[:, -2:] = (scale / torch.from_numpy(tilt).square())[:, None]
        normal = torch.einsum("ndip,ndi,ndiq->npq", columns, weight, columns) + torch.diag_embed(prior)
        inverse = torch.linalg.pinv(normal, hermitian=True)
        unknown = (inverse @ torch.einsum("ndip,ndi,ndi->np", columns, weight, target)[..., None])[..., 0]
        left = target - torch.einsum("ndip,np->ndi", columns, unknown)
        squares = (left.square() / measured.variance).sum(-1)
        # A turn that is known beforehand is a residual too: two for two unknowns.
        freedom = 2 * own.sum(1) - (_UNKNOWNS - 2)
        misfit = torch.where(own, trust * squares, 0).sum(1)
        scale = (measured.believed + misfit) / (measured.believed + freedom).clamp_min(1)
        trust = (OUTLYING * (scale[:, None] / squares.clamp_min(1e-12)).sqrt()).clamp(max=1)
    speak = own & (g.square().sum(-1) > 0)
    covariance = inverse[:, :4, :4] * scale[:, None, None]
    squared = torch.where(speak, g[..., :2].square().sum(-1), 0).sum(1) / speak.sum(1).clamp_min(1)
    size = torch.eye(2, dtype=torch.float64).flatten()
    covariance = covariance + torch.outer(size, size) * (
        measured.common**2 / squared.clamp_min(1e-6)[:, None, None]
    )
    known = (speak.sum(1) >= FEWEST) & (_width(g[..., :2], speak) > FLATTEST)
    known &= torch.diagonal(covariance, dim1=1, dim2=2).amax(1) < LOOSEST**2
    reciprocal = torch.eye(2) + unknown[:, :4].reshape(-1, 2, 2) * known[:, None, None]
    gradient = torch.linalg.inv(reciprocal).mT.contiguous()
    order = [0, 2, 1, 3]  # F - 1 = -(A - 1)ᵀ to first order: xy and yx change places
    covariance = covariance[:, order][:, :, order]
    gradient[~known], covariance[~known] = torch.nan, torch.nan
    heard = left[speak & known[:, None]]
    return _Fitted(gradient.numpy(), covariance.numpy(), speak.sum(1).numpy(), heard.numpy())


def _width(q: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
    """Return how far some of (n, d, 2) places spread across the line through the beam they lie along, over along it."""
    spread = torch.einsum("ndi,nd,ndj->nij", q, which.double(), q)
    across, along = torch.linalg.eigvalsh(spread).clamp_min(0).sqrt().unbind(-1)
    return across / along.clamp_min(1e-12)

"""Make the sample "Copper polycrystal (simulated)": ``python tools/make_copper_sample.py``.

Writes ``resources/samples/copper.h5``: the ground truth and the list of disks of every scan position; the
images are drawn from that list, with noise, when the sample is opened (``samples/copper.py``).

The film is a Voronoi mosaic of grains whose orientations are drawn uniformly at random from one fixed seed;
nothing about them was chosen. Each grain is bent by one to two degrees; the film is thinner towards a wavy
edge and has a hole. Intensities are two-beam rocking curves averaged over a small spread of thickness, not
the Gaussian of excitation error that the models of this program are trained on; positions at a grain
boundary show both grains.

Frames: g_lab = Rᵀ g_crystal, detector pixel (row, col) = direct beam + (g_x, g_y) / q_pixel, the beam
travels along -z, so that a reflection is excited when g_z = +λ g² / 2.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from napari_4dstem_orient.crystals.phase import Phase, Reflections

SEED = 4
OUT = Path(__file__).parents[1] / "resources" / "samples" / "copper.h5"

SCAN = (48, 64)
DETECTOR = (128, 128)
GRAINS = 12
VOLTAGE = 300.0  # kV
WAVELENGTH = 0.0196875  # Å at 300 kV
Q_PIXEL = 0.0328  # Å⁻¹
SEMIANGLE = 1.94  # mrad: a disk radius of 3.0 px
R_PIXEL = 5.0  # nm
DOSE = 1e6  # electrons for each pattern
THICKNESS = (60.0, 140.0)  # Å, at the edge and inside
THICKNESS_SPREAD = 0.15  # of the thickness, under one probe
EXTINCTION_111 = 343.0  # Å: 242 Å at 100 kV (Hirsch et al. 1965), scaled by the electron's speed to 300 kV
DEBYE_WALLER = 0.55  # Å²
K_MAX = 2.2  # Å⁻¹; beyond the detector's edge
WEAKEST = 2e-5  # of the dose; weaker disks are left out


def main() -> None:
    """Make the sample and write it."""
    rng = np.random.default_rng(SEED)
    vacuum = vacuum_mask()
    grain, neighbour, share = mosaic(~vacuum, rng)
    bend = bending(rng)
    crystal_of = Rotation.random(GRAINS, random_state=SEED).as_matrix()
    rotation = crystal_of[grain] @ bend
    beside = crystal_of[neighbour] @ bend
    thickness = film_thickness(vacuum, rng)
    diffuse = np.where(vacuum, 0.002, thickness / 1400)
    beam = direct_beam(rng)

    reflections = copper().reflections(K_MAX)
    lists = []
    for where in np.ndindex(SCAN):
        disks = np.zeros((0, 5))
        if not vacuum[where]:
            mine = diffracted(reflections, rotation[where], thickness[where])
            theirs = diffracted(reflections, beside[where], thickness[where])
            disks = np.concatenate([scaled(mine, share[where]), scaled(theirs, 1 - share[where])])
        lists.append(on_detector(disks, 1 - diffuse[where], beam[where]))
    counts = [len(rows) for rows in lists]
    with h5py.File(OUT, "w") as file:
        file.attrs.update(voltage=VOLTAGE, q_pixel=Q_PIXEL, semiangle=SEMIANGLE, r_pixel=R_PIXEL, seed=SEED)
        file.attrs.update(
            dose=DOSE, detector_shape=DETECTOR, disk_radius=SEMIANGLE / 1000 / WAVELENGTH / Q_PIXEL
        )
        for name, values in {
            "truth/rotation": rotation.astype(np.float32),
            "truth/grain": np.where(vacuum, -1, grain).astype(np.int16),
            "truth/vacuum": vacuum,
            "truth/boundary": (share < 1) & ~vacuum,
            "beam": beam.astype(np.float32),
            "diffuse": diffuse.astype(np.float32),
            "disks/offsets": np.concatenate([[0], np.cumsum(counts)]),
            "disks/rows": np.concatenate(lists).astype(np.float32),
        }.items():
            file.create_dataset(name, data=values, compression="gzip", shuffle=True)


def copper() -> Phase:
    """Return fcc copper."""
    positions = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    return Phase("Cu", (3.6149, 3.6149, 3.6149, 90.0, 90.0, 90.0), positions, np.full(4, 29), np.ones(4))


def vacuum_mask() -> np.ndarray:
    """Return where there is no film: beyond a wavy edge at the lower right, and in a round hole."""
    row, col = np.indices(SCAN)
    edge = row + 0.8 * col > 76 + 2.5 * np.sin(col / 4.0)
    return edge | (np.hypot(row - 13, col - 19) < 4.5)


def mosaic(film: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each position's grain, the next grain, and the probe's share (0.5 to 1) in its own grain."""
    at = np.moveaxis(np.indices(SCAN), 0, -1).astype(float)
    seeds = rng.permutation(at[film])[:GRAINS]
    for _ in range(2):  # towards grains of similar size
        nearest = squared_distances(at, seeds).argmin(axis=-1)
        seeds = np.array([at[film & (nearest == grain)].mean(axis=0) for grain in range(GRAINS)])
    squared = squared_distances(at, seeds)
    order = np.argsort(squared, axis=-1)
    grain, neighbour = order[..., 0], order[..., 1]
    near, far = np.take_along_axis(squared, order[..., :2], axis=-1).transpose(2, 0, 1)
    to_boundary = (far - near) / (2 * np.linalg.norm(seeds[grain] - seeds[neighbour], axis=-1))
    return grain, neighbour, np.minimum(0.5 + to_boundary / 2, 1.0)


def squared_distances(at: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Return the squared distance of every position to every seed, shape (rows, cols, seeds)."""
    return ((at[..., None, :] - seeds) ** 2).sum(axis=-1)


def bending(rng: np.random.Generator) -> np.ndarray:
    """Return a smooth field of small turns of the lab axes, up to two degrees, shape (rows, cols, 3, 3)."""
    axes = np.stack([smooth(rng, 9.0) for _ in range(3)], axis=-1)
    turn = np.deg2rad(2.0) * axes / np.linalg.norm(axes, axis=-1).max()
    return Rotation.from_rotvec(turn.reshape(-1, 3)).as_matrix().reshape(*SCAN, 3, 3)


def smooth(rng: np.random.Generator, scale: float) -> np.ndarray:
    """Return a smooth random field between -1 and 1."""
    field = gaussian_filter(rng.standard_normal(SCAN), scale, mode="reflect")
    field -= field.mean()
    return field / np.abs(field).max()


def film_thickness(vacuum: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the film's thickness in Å: thin near vacuum, uneven inside."""
    away = 1 - gaussian_filter(vacuum.astype(float), 5.0)
    low, high = THICKNESS
    return low + (high - low) * np.clip(away**2 * (0.8 + 0.2 * smooth(rng, 6.0)), 0, 1)


def direct_beam(rng: np.random.Generator) -> np.ndarray:
    """Return the direct beam's pixel: a descan plane and a little jitter, shape (rows, cols, 2)."""
    down, across = np.meshgrid(*(np.linspace(-1, 1, n) for n in SCAN), indexing="ij")
    plane = np.stack([1.4 * down - 0.6 * across, 0.5 * down + 1.8 * across], axis=-1)
    return np.array(DETECTOR) / 2 + plane + rng.normal(0, 0.08, (*SCAN, 2))


def diffracted(reflections: Reflections, rotation: np.ndarray, thickness: float) -> np.ndarray:
    """Return one orientation's disks, shape (n, 5): g_x, g_y (Å⁻¹), share of the dose, uneven_x, uneven_y.

    The last two are the relative change of brightness from the disk's centre to its rim: inside a disk the
    excitation error is g_z - λ g² / 2 - λ κ·g at a distance κ from the centre.
    """
    g = reflections.g @ rotation  # g_lab = Rᵀ g_crystal
    length = np.linalg.norm(g, axis=1)
    error = g[:, 2] - WAVELENGTH * length**2 / 2
    strongest = np.sqrt(reflections.intensity.max())
    factor = np.sqrt(reflections.intensity) / strongest * np.exp(-DEBYE_WALLER * length**2 / 4)
    extinction = EXTINCTION_111 / factor
    across = SEMIANGLE / 1000 * length
    inner, middle, outer = (
        rocking(error + shift, extinction, thickness) for shift in (across, 0 * across, -across)
    )
    mean = (inner + 2 * middle + outer) / 4
    uneven = np.clip((outer - inner) / (2 * mean), -0.9, 0.9)
    disks = np.column_stack([g[:, :2], mean, uneven[:, None] * g[:, :2] / length[:, None]])
    keep = disks[mean > WEAKEST]
    keep[:, 2] *= min(1.0, 0.8 / max(keep[:, 2].sum(), 1e-9))
    return keep


def rocking(error: np.ndarray, extinction: np.ndarray, thickness: float) -> np.ndarray:
    """Return two-beam intensities averaged over a Gaussian spread of thickness."""
    effective = np.sqrt(error**2 + extinction**-2.0)
    spread = np.exp(-2 * (np.pi * THICKNESS_SPREAD * thickness * effective) ** 2)
    return (1 - spread * np.cos(2 * np.pi * thickness * effective)) / (2 * (extinction * effective) ** 2)


def scaled(disks: np.ndarray, share: float) -> np.ndarray:
    """Return the disks with their intensities multiplied."""
    return disks * np.array([1, 1, share, 1, 1])


def on_detector(disks: np.ndarray, available: float, beam: np.ndarray) -> np.ndarray:
    """Return disks in pixels and electrons, the direct beam first, those off the detector left out."""
    disks = disks[disks[:, 2] > WEAKEST]
    direct = [[0, 0, available - disks[:, 2].sum(), 0, 0]]
    rows = np.concatenate([direct, disks])
    rows[:, :2] = rows[:, :2] / Q_PIXEL + beam
    rows[:, 2] *= DOSE
    return rows[((rows[:, :2] > -4) & (rows[:, :2] < np.array(DETECTOR) + 4)).all(axis=1)]


if __name__ == "__main__":
    main()

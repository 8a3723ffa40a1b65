"""Simulate diffraction patterns by multislice, with abTEM: a test from other physics than the training data.

    python -m venv abtem-venv && abtem-venv/bin/pip install abtem==1.0.11 ase h5py
    abtem-venv/bin/python tools/make_multislice_patterns.py --crystal Cu --count 160

writes ``tests/data/multislice_cu.h5``; abTEM is no dependency of this program. Every pattern is a slab of its own
orientation (uniformly random) and thickness (log-uniform), cut out of a perfect crystal; the beam meets it at a
random place. Expected intensities, without noise and without diffuse scattering: thermal motion only damps the
potential (Debye-Waller), for the speckle of a few frozen phonon configurations is as wide as a Bragg disk.

Frames. Here as everywhere g_lab = Rᵀ g_crystal, rows of the detector are lab x, columns lab y, and the beam travels
along -z. abTEM's beam travels along +z: atoms are turned by 180° about x, (x, y, z) -> (x, -y, -z), a proper
rotation, and the columns of its pattern are reversed.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import h5py
import numpy as np
from scipy.spatial.transform import Rotation

DATA = Path(__file__).parents[1] / "tests" / "data"

SEED = 2026
VOLTAGE = 300.0  # kV
SEMIANGLE = 1.5  # mrad
SOFTNESS = 0.3  # mrad over which the aperture's edge falls off
Q_PIXEL = 0.0328  # Å⁻¹
DETECTOR = 128
FINE = 3  # samples of the wave in a detector pixel, along each axis; odd
ORIGIN = (63 + 2 / 3, 64 + 1 / 3)  # direct beam in px, along rows and columns; whole fine samples
BOX = FINE / Q_PIXEL  # Å: 91.5, ten times as wide as the probe
GRID = 600  # samples of the box: waves up to 2.19 Å⁻¹ pass abTEM's antialiasing, the detector ends at 2.1
SLICE = 1.0  # Å
THICKNESS = (30.0, 400.0)  # Å
FULL_SCALE = 16383  # of the square roots that are stored

FCC = ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))
BCC = ((0, 0, 0), (0.5, 0.5, 0.5))
CRYSTALS = {"Cu": (3.6149, FCC, 0.55), "Fe": (2.8665, BCC, 0.35)}
"""Edge of the cubic cell in Å, atoms in it, Debye-Waller B in Å²."""


def main() -> None:
    """Simulate and write, every few patterns what there is so far."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crystal", choices=CRYSTALS, default="Cu")
    parser.add_argument("--count", type=int, default=160)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    out = options.out or DATA / f"multislice_{options.crystal.lower()}.h5"
    out.parent.mkdir(parents=True, exist_ok=True)
    patterns, rotations, thicknesses = [], [], []
    start = time.monotonic()
    for index in range(options.count):
        rng = np.random.default_rng([SEED, index])
        rotation = Rotation.random(random_state=rng).as_matrix()
        thickness = float(np.exp(rng.uniform(*np.log(THICKNESS))))
        patterns.append(simulate(options.crystal, rotation, thickness, rng.random(3)))
        rotations.append(rotation)
        thicknesses.append(thickness)
        if (index + 1) % 16 == 0 or index + 1 == options.count:
            write(out, options.crystal, patterns, rotations, thicknesses)
            print(f"{index + 1} of {options.count}, {time.monotonic() - start:.0f} s", flush=True)


def simulate(crystal: str, rotation: np.ndarray, thickness: float, shift: np.ndarray) -> np.ndarray:
    """Return one pattern on the detector, as shares of the beam."""
    import abtem
    from abtem.parametrizations import LobatoParametrization

    abtem.config.set({"fftw.threads": 1, "dask.lazy": False, "diagnostics.progress_bar": False})
    edge, basis, debye_waller = CRYSTALS[crystal]
    sigma = float(np.sqrt(debye_waller / (8 * np.pi**2)))
    potential = abtem.Potential(
        slab(crystal, edge, basis, rotation, thickness, shift),
        gpts=GRID,
        slice_thickness=SLICE,
        parametrization=LobatoParametrization(sigmas={crystal: sigma}),
        projection="infinite",
    )
    probe = abtem.Waves(soft_probe(), energy=VOLTAGE * 1e3, extent=BOX)
    wave = probe.multislice(potential).array
    fine = np.abs(np.fft.fftshift(np.fft.fft2(np.asarray(wave, np.complex128)))) ** 2
    return on_detector(fine / fine.sum())


def soft_probe() -> np.ndarray:
    """Return the probe in the middle of the box; its aperture's edge is soft, so that it has no long tails."""
    from abtem.core.energy import energy2wavelength

    frequency = np.fft.fftfreq(GRID, BOX / GRID)
    angle = 1e3 * energy2wavelength(VOLTAGE * 1e3) * np.hypot(frequency[:, None], frequency)
    shape = 0.5 - 0.5 * np.tanh(2 * (angle - SEMIANGLE) / SOFTNESS)
    wave = np.fft.fftshift(np.fft.ifft2(shape))
    return (wave / np.linalg.norm(wave)).astype(np.complex64)


def slab(crystal, edge, basis, rotation, thickness, shift):  # type: ignore[no-untyped-def]
    """Cut a slab that fills the box out of the turned crystal, in abTEM's frame."""
    from ase import Atoms

    reach = int(np.ceil(np.hypot(np.sqrt(2) * BOX / 2, thickness / 2) / edge)) + 1
    cells = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
    half = np.array([BOX, BOX, thickness]) / 2
    atoms = []
    for site in basis:
        lab = edge * (cells + site + shift) @ rotation  # r_lab = Rᵀ r_crystal
        turned = lab * (1, -1, -1) + half
        atoms.append(turned[((turned >= 0) & (turned < 2 * half)).all(axis=1)])
    positions = np.concatenate(atoms)
    return Atoms(f"{crystal}{len(positions)}", positions=positions, cell=2 * half, pbc=True)


def on_detector(fine: np.ndarray) -> np.ndarray:
    """Sum fine samples of abTEM's pattern into the detector's pixels, in the lab frame."""
    middle = GRID // 2
    lab = np.zeros_like(fine)
    lab[:, 1:] = fine[:, :0:-1]  # q_y -> -q_y; the row of -Nyquist has no partner and is empty
    first = [middle - round(FINE * centre) - FINE // 2 for centre in ORIGIN]
    padded = np.pad(lab, GRID)
    rows, columns = (slice(GRID + start, GRID + start + FINE * DETECTOR) for start in first)
    return padded[rows, columns].reshape(DETECTOR, FINE, DETECTOR, FINE).sum(axis=(1, 3))


def write(out: Path, crystal: str, patterns: list, rotations: list, thicknesses: list) -> None:
    """Write what there is."""
    import abtem

    edge, _, debye_waller = CRYSTALS[crystal]
    root = np.sqrt(np.array(patterns))
    scale = root.max(axis=(1, 2)) / FULL_SCALE
    with h5py.File(out, "w") as file:
        stored = np.rint(root / scale[:, None, None]).astype(np.uint16)
        file.create_dataset("root", data=stored, chunks=(1, *stored.shape[1:]), compression=9, shuffle=True)
        file["scale"] = scale
        file["rotation"] = np.array(rotations)
        file["thickness"] = np.array(thicknesses, np.float32)
        file.attrs.update(
            about="(root * scale)**2: expected share of the beam's electrons in each pixel, no noise",
            made_by="tools/make_multislice_patterns.py",
            engine="abTEM, multislice",
            engine_version=abtem.__version__,
            crystal=crystal,
            lattice_constant=edge,
            debye_waller_B=debye_waller,
            thermal_motion="Debye-Waller damped potential (Lobato), no diffuse scattering, no absorption",
            voltage=VOLTAGE,
            semiangle=SEMIANGLE,
            aperture_softness=SOFTNESS,
            q_pixel=Q_PIXEL,
            origin=ORIGIN,
            box=BOX,
            grid=GRID,
            slice_thickness=SLICE,
            thickness_range=THICKNESS,
            seed=SEED,
            units="voltage kV, semiangle mrad, q_pixel 1/Å, lengths Å, origin px",
            frame="g_lab = R^T g_crystal; rows are lab x, columns lab y, the beam travels along -z",
        )


if __name__ == "__main__":
    main()

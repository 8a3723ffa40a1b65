"""Simulate diffraction patterns by multislice, with abTEM: a test from other physics than the training data.

    python -m venv abtem-venv && abtem-venv/bin/pip install abtem==1.0.11 ase h5py
    abtem-venv/bin/python tools/make_multislice_patterns.py --crystal Cu --count 160

writes ``tests/data/multislice_cu.h5``; abTEM is no dependency of this program. Every pattern is a slab of its own
orientation (uniformly random) and thickness (log-uniform), cut out of a perfect crystal; the beam meets it at a
random place. Expected intensities, without noise and without diffuse scattering: thermal motion only damps the
potential (Debye-Waller), for the speckle of a few frozen phonon configurations is as wide as a Bragg disk.
``make_test_beds.py`` makes maps of bent grains of such slabs.

Frames. Here as everywhere g_lab = Rᵀ g_crystal, rows of the detector are lab x, columns lab y, and the beam travels
along -z. abTEM's beam travels along +z: atoms are turned by 180° about x, (x, y, z) -> (x, -y, -z), a proper
rotation, and the columns of its pattern are reversed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
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
SLICE = 1.0  # Å
THICKNESS = (30.0, 400.0)  # Å
FULL_SCALE = 16383  # of the square roots that are stored


@dataclass(frozen=True)
class Box:
    """What is simulated: samples of the wave in a detector pixel (``fine``) and in the box, along each axis.

    Waves up to 2.19 Å⁻¹ pass abTEM's antialiasing; the detector, of ``pixels`` of ``q_pixel``, ends at 2.1.
    """

    fine: int = 3
    grid: int = 600
    q_pixel: float = Q_PIXEL
    pixels: int = DETECTOR

    @property
    def edge(self) -> float:
        """Å: 91.5, ten times as wide as the probe."""
        return self.fine / self.q_pixel

    @property
    def origin(self) -> tuple[float, float]:
        """Direct beam in px, along rows and columns, off the middle; whole samples make a pixel."""
        middle = (self.fine - 1) / 2
        row, col = (
            (round(self.fine * at + middle) - middle) / self.fine
            for at in (self.pixels / 2 - 0.3, self.pixels / 2 + 0.3)
        )
        return row, col


LARGE = Box()
SMALL = Box(2, 400)
"""A third of the work. Of a pattern 400 Å thick, 0.5 % of the beam falls elsewhere than in the large one."""

FINE = Box(1, 400, Q_PIXEL / 2, 2 * DETECTOR)
"""The same work, and a detector of four times as many pixels."""


@dataclass(frozen=True)
class Crystal:
    """Cell (a, b, c, α, β, γ), atoms in it (fractional, by element), Debye-Waller B in Å² by element."""

    cell: tuple[float, ...]
    atoms: dict[str, tuple[tuple[float, float, float], ...]]
    debye_waller: dict[str, float]


FCC = ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))
BCC = ((0, 0, 0), (0.5, 0.5, 0.5))
DIAMOND = (*FCC, *((0.25 + x, 0.25 + y, 0.25 + z) for x, y, z in FCC))
HCP = ((1 / 3, 2 / 3, 1 / 4), (2 / 3, 1 / 3, 3 / 4))
U = 0.3051  # of rutile's oxygen
CUBIC = (90.0, 90.0, 90.0)
CRYSTALS = {
    "Cu": Crystal((*(3.6149,) * 3, *CUBIC), {"Cu": FCC}, {"Cu": 0.55}),
    "Fe": Crystal((*(2.8665,) * 3, *CUBIC), {"Fe": BCC}, {"Fe": 0.35}),
    "Cu2O": Crystal(
        (*(4.2696,) * 3, *CUBIC),
        {"Cu": FCC, "O": ((0.25, 0.25, 0.25), (0.75, 0.75, 0.75))},
        {"Cu": 1.7, "O": 1.6},
    ),
    "Ni": Crystal((*(3.524,) * 3, *CUBIC), {"Ni": FCC}, {"Ni": 0.37}),
    "Si": Crystal((*(5.4309,) * 3, *CUBIC), {"Si": DIAMOND}, {"Si": 0.46}),
    "Mg": Crystal((3.2094, 3.2094, 5.2107, 90.0, 90.0, 120.0), {"Mg": HCP}, {"Mg": 1.7}),
    "Ti": Crystal((2.9506, 2.9506, 4.6835, 90.0, 90.0, 120.0), {"Ti": HCP}, {"Ti": 0.5}),
    "TiO2": Crystal(
        (4.593, 4.593, 2.959, *CUBIC),
        {"Ti": BCC, "O": ((U, U, 0), (1 - U, 1 - U, 0), (0.5 - U, 0.5 + U, 0.5), (0.5 + U, 0.5 - U, 0.5))},
        {"Ti": 0.4, "O": 0.5},
    ),
}
"""As in ``resources/crystals``."""
READ = {
    "ZnO": {"Zn": 0.6, "O": 0.6},
    "ZrO2": {"Zr": 0.3, "O": 0.5},
    "Bi": {"Bi": 1.0},
    "Mg2SiO4": {"Mg": 0.4, "Si": 0.3, "O": 0.4},
}
"""Debye-Waller B in Å² of crystals whose cell and atoms ASE reads from ``tests/data/crystals``."""
CLOSEST = 1.2
"""Å; no two atoms of these crystals lie closer."""
UPRIGHT = np.zeros((1, 2))
UNSTRAINED = np.eye(2)


def main() -> None:
    """Simulate and write, every few patterns what there is so far."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crystal", choices=[*CRYSTALS, *READ], default="Cu")
    parser.add_argument("--count", type=int, default=160)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--small", action="store_true", help="in the smaller box")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    out = options.out or DATA / f"multislice_{options.crystal.lower()}.h5"
    out.parent.mkdir(parents=True, exist_ok=True)
    box = SMALL if options.small else LARGE
    patterns, rotations, thicknesses = [], [], []
    start = time.monotonic()
    for index in range(options.count):
        rng = np.random.default_rng([options.seed, index])
        rotation = Rotation.random(random_state=rng).as_matrix()
        thickness = float(np.exp(rng.uniform(*np.log(THICKNESS))))
        patterns.append(simulate(options.crystal, rotation, [thickness], rng.random(3), box=box)[0, 0])
        rotations.append(rotation)
        thicknesses.append(thickness)
        if (index + 1) % 16 == 0 or index + 1 == options.count:
            truth = {"rotation": np.array(rotations), "thickness": np.array(thicknesses, np.float32)}
            write(out, np.array(patterns), truth, box, crystal=options.crystal, seed=options.seed)
            print(f"{index + 1} of {options.count}, {time.monotonic() - start:.0f} s", flush=True)


def crystal_named(name: str) -> Crystal:
    """Return a crystal of either table."""
    if name in CRYSTALS:
        return CRYSTALS[name]
    from ase.io import read

    cell = read(DATA / "crystals" / f"{name}.cif")
    apart = cell.get_all_distances(mic=True)
    if (
        closest := apart[apart > 0].min()
    ) < CLOSEST:  # ASE takes a setting that it does not know for another one
        raise SystemExit(
            f"{name}: ASE reads atoms {closest:.2f} Å apart; write its CIF in the standard setting."
        )
    places = cell.get_scaled_positions()
    symbols = np.array(cell.get_chemical_symbols())
    atoms = {symbol: tuple(map(tuple, places[symbols == symbol])) for symbol in READ[name]}
    return Crystal(tuple(cell.cell.cellpar()), atoms, READ[name])


def simulate(
    crystal: str,
    rotation: np.ndarray,
    thicknesses: Sequence[float],
    shift: np.ndarray,
    tilts: np.ndarray = UPRIGHT,
    wanted: np.ndarray | None = None,
    gradient: np.ndarray = UNSTRAINED,
    box: Box = LARGE,
) -> np.ndarray:
    """Return patterns on the detector, as shares of the beam, shape (tilts, thicknesses, pixels, pixels).

    ``tilts``: small rotation vectors (about lab x and y, radians) by which the crystal is turned, see `tilted`;
    ``thicknesses`` ascend; ``wanted`` (tilts, thicknesses): others are left empty. ``gradient`` (2, 2): how the
    turned crystal is deformed in the plane, x' = F x.
    """
    import abtem
    from abtem.core.axes import TiltAxis
    from abtem.parametrizations import LobatoParametrization

    abtem.config.set({"fftw.threads": 1, "dask.lazy": False, "diagnostics.progress_bar": False})
    sigmas = {
        name: float(np.sqrt(b / (8 * np.pi**2))) for name, b in crystal_named(crystal).debye_waller.items()
    }
    several = len(thicknesses) > 1  # whole slices then
    potential = abtem.Potential(
        slab(crystal, rotation, thicknesses[-1], shift, box, gradient),
        gpts=box.grid,
        slice_thickness=SLICE,
        parametrization=LobatoParametrization(sigmas=sigmas),
        projection="infinite",
        exit_planes=tuple(round(end / SLICE) - 1 for end in thicknesses) if several else None,
    )
    lean = -1e3 * np.asarray(tilts)[:, ::-1]  # mrad; in abTEM's frame the beam leans, not the crystal
    axis = TiltAxis(values=tuple(map(tuple, lean)))
    waves = np.repeat(soft_probe(box)[None], len(tilts), axis=0)
    probe = abtem.Waves(waves, energy=VOLTAGE * 1e3, extent=box.edge, ensemble_axes_metadata=[axis])
    wave = np.asarray(probe.multislice(potential).array).reshape(len(thicknesses), *waves.shape)
    images = np.zeros((len(tilts), len(thicknesses), box.pixels, box.pixels))
    for tilt, plane in np.argwhere(np.ones(images.shape[:2]) if wanted is None else wanted):
        fine = np.abs(np.fft.fftshift(np.fft.fft2(wave[plane, tilt].astype(np.complex128)))) ** 2
        images[tilt, plane] = on_detector(fine / fine.sum(), box)
    return images


def tilted(rotation: np.ndarray, tilts: np.ndarray) -> np.ndarray:
    """Return the orientations of a crystal turned by small rotation vectors about lab x and y, shape (n, 3, 3)."""
    vectors = np.concatenate([tilts, np.zeros((len(tilts), 1))], axis=1)
    return rotation @ Rotation.from_rotvec(vectors).as_matrix()


def soft_probe(box: Box) -> np.ndarray:
    """Return the probe in the middle of the box; its aperture's edge is soft, so that it has no long tails."""
    from abtem.core.energy import energy2wavelength

    frequency = np.fft.fftfreq(box.grid, box.edge / box.grid)
    angle = 1e3 * energy2wavelength(VOLTAGE * 1e3) * np.hypot(frequency[:, None], frequency)
    shape = 0.5 - 0.5 * np.tanh(2 * (angle - SEMIANGLE) / SOFTNESS)
    wave = np.fft.fftshift(np.fft.ifft2(shape))
    return (wave / np.linalg.norm(wave)).astype(np.complex64)


def slab(  # type: ignore[no-untyped-def]
    crystal: str,
    rotation: np.ndarray,
    thickness: float,
    shift: np.ndarray,
    box: Box,
    gradient: np.ndarray = UNSTRAINED,
):
    """Cut a slab that fills the box out of the turned crystal, in abTEM's frame."""
    from ase import Atoms
    from ase.geometry import cellpar_to_cell

    known = crystal_named(crystal)
    lattice = cellpar_to_cell(known.cell)  # a along x, c* along z, as in this program
    radius = np.hypot(np.sqrt(2) * box.edge / 2, thickness / 2) * np.linalg.norm(np.linalg.inv(gradient), 2)
    reach = np.ceil(radius * np.linalg.norm(np.linalg.inv(lattice), axis=0)).astype(int) + 1
    cells = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in reach], indexing="ij"), -1).reshape(-1, 3)
    half = np.array([box.edge, box.edge, thickness]) / 2
    symbols, atoms = [], []
    for symbol, sites in known.atoms.items():
        for site in sites:
            lab = (cells + site + shift) @ lattice @ rotation  # r_lab = Rᵀ r_crystal
            lab[:, :2] = lab[:, :2] @ gradient.T
            turned = lab * (1, -1, -1) + half
            inside = turned[((turned >= 0) & (turned < 2 * half)).all(axis=1)]
            atoms.append(inside)
            symbols += [symbol] * len(inside)
    return Atoms(symbols, positions=np.concatenate(atoms), cell=2 * half, pbc=True)


def on_detector(fine: np.ndarray, box: Box) -> np.ndarray:
    """Sum fine samples of abTEM's pattern into the detector's pixels, in the lab frame."""
    lab = np.zeros_like(fine)
    lab[:, 1:] = fine[:, :0:-1]  # q_y -> -q_y; the row of -Nyquist has no partner and is empty
    first = [box.grid // 2 - round(box.fine * centre + (box.fine - 1) / 2) for centre in box.origin]
    padded = np.pad(lab, box.grid)
    rows, columns = (slice(box.grid + start, box.grid + start + box.fine * box.pixels) for start in first)
    return padded[rows, columns].reshape(box.pixels, box.fine, box.pixels, box.fine).sum(axis=(1, 3))


def write(
    out: Path,
    patterns: np.ndarray,
    truth: dict[str, np.ndarray],
    box: Box,
    full: int = FULL_SCALE,
    **attrs: object,
) -> None:
    """Write expected patterns, as square roots in ``full`` steps, with what is true of them."""
    import abtem

    root = np.sqrt(patterns)
    scale = root.max(axis=(1, 2)) / full
    part = out.with_suffix(".part")
    with h5py.File(part, "w") as file:
        stored = np.rint(root / scale[:, None, None]).astype(np.uint16)
        file.create_dataset("root", data=stored, chunks=(1, *stored.shape[1:]), compression=9, shuffle=True)
        file["scale"] = scale
        for name, values in truth.items():
            file[name] = values
        file.attrs.update(
            about="(root * scale)**2: expected share of the beam's electrons in each pixel, no noise",
            engine="abTEM, multislice",
            engine_version=abtem.__version__,
            thermal_motion="Debye-Waller damped potential (Lobato), no diffuse scattering, no absorption",
            voltage=VOLTAGE,
            semiangle=SEMIANGLE,
            aperture_softness=SOFTNESS,
            q_pixel=box.q_pixel,
            origin=box.origin,
            box=box.edge,
            grid=box.grid,
            slice_thickness=SLICE,
            thickness_range=THICKNESS,
            units="voltage kV, semiangle mrad, q_pixel 1/Å, lengths Å, origin px",
            frame="g_lab = R^T g_crystal; rows are lab x, columns lab y, the beam travels along -z",
            **({"made_by": "tools/make_multislice_patterns.py"} | attrs),
        )
    part.rename(out)


if __name__ == "__main__":
    main()

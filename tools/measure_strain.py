"""Whether strains are right, and as right as they say, on multislice patterns of strained crystals.

    python tools/measure_strain.py --beds BEDS --set develop

``BEDS``: what ``make_test_beds.py`` wrote (``…_strained_cu``, ``…_strained_si``). Each bed is mapped as the program
suggests, at each dose, the pixel size known. Of the right answers (within 5°) the table has how many have a strain; of
these the errors of εxx, εyy, εxy and of the rotation, as root mean squares and as the 68th percentiles, and the share
within one standard deviation. The rotation's errors are those of the lattice, whatever the answer's.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import h5py
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from compare_peers import make_bed

import napari_4dstem_orient as orient
from helpers.multislice import multislice_patterns
from napari_4dstem_orient.analysis.grains import nearest_variant
from napari_4dstem_orient.analysis.strain.deformation import deformation
from napari_4dstem_orient.analysis.strain.strain import polar
from napari_4dstem_orient.crystals.misorientation import misorientation

RIGHT = 5.0  # degrees


def main() -> None:
    """Map, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--beds", type=Path, required=True)
    parser.add_argument("--set", choices=("develop", "final"), default="develop")
    parser.add_argument("--crystal", nargs="+", default=["cu", "si"])
    parser.add_argument("--dose", nargs="+", type=float, default=[2e5])
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| bed | electrons | right | with strain | rms | 68th percentile | within σ | rotation, rms | within σ |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for crystal in options.crystal:
        for dose in options.dose:
            print(row(options.beds / f"{options.set}_strained_{crystal}.h5", crystal, dose), flush=True)


def row(path: Path, crystal: str, dose: float) -> str:
    """Return a row of the table."""
    bed = make_bed([multislice_patterns(path)], (crystal,), dose, False)
    with h5py.File(path) as file:
        truth = file["gradient"][()]
    found, disks = orient.map_scan(bed.scan, bed.phases, device="cpu")
    said = deformation(disks, found, bed.scan.calibration.voltage)
    right = found.indexed & (misorientation(found.rotation, bed.rotation, found.phases[0]) < RIGHT)
    told = (right & ~np.isnan(said.gradient[..., 0, 0]))[0]
    answers = nearest_variant(found.rotation[0, told], bed.rotation[0, told], found.phases[0].symmetry)
    turned = (answers.swapaxes(1, 2) @ bed.rotation[0, told])[:, :2, :2]  # of the answer against the truth
    error, sigma = errors(said.gradient[0, told] @ turned, said.covariance[0, told], truth[told])
    within = np.abs(error) < sigma
    strain, turn = error[:, :3], np.rad2deg(error[:, 3])
    return (
        f"| {crystal} | {dose:g} | {right.mean():.1%} | {told.sum()} of {right.sum()} | "
        f"{rms(strain):.3%} | {np.percentile(np.abs(strain), 68):.3%} | {within[:, :3].mean():.0%} | "
        f"{rms(turn):.3f}° | {within[:, 3].mean():.0%} |"
    )


def errors(gradient: np.ndarray, covariance: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return errors of εxx, εyy, εxy and rotation (the truth has none), and their standard deviations, (n, 4)."""
    read = np.array([[1, 0, 0, 0], [0, 0, 0, 1], [0, 0.5, 0.5, 0], [0, -0.5, 0.5, 0]])
    stretch, turn = polar(gradient)
    error = np.column_stack([(stretch - truth).reshape(-1, 4) @ read[:3].T, turn])
    return error, np.sqrt(np.einsum("pa,nab,pb->np", read, covariance, read))


def rms(values: np.ndarray) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


if __name__ == "__main__":
    main()

"""Compare our own simulations with multislice patterns: ``python tools/compare_multislice.py``.

First the frames: the true orientation must correlate better with the patterns than turned or mirrored ones. Then
how far intensities of our models are from multislice, for reflections stronger than 1 % of the strongest.
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np
import torch
from detection_truth import reflector_of, true_reflections
from measure_detection import rms, robust

import napari_4dstem_orient as orient
from helpers.multislice import MultislicePatterns, multislice_patterns
from napari_4dstem_orient.crystals.bloch import BlochWaves
from napari_4dstem_orient.crystals.kinematic import Reflector

VARIANTS = {
    "true": (1, 1, 1),
    "turned by 180° about the beam": (-1, -1, 1),
    "turned by 180° about x": (1, -1, -1),
    "turned by 180° about y": (-1, 1, -1),
    "x mirrored": (-1, 1, 1),
    "y mirrored": (1, -1, 1),
    "z mirrored": (1, 1, -1),
}
DEBYE_WALLER = 0.55  # Å²: copper
CONES: dict[str, tuple[tuple[float, int], ...]] = {
    "3 parts": ((0.7, 3),),
    "6 parts": ((0.7, 6),),
    "19 parts": ((0.42, 6), (0.85, 12)),
}
THICK = (30, 70, 170, 401)  # Å


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crystal", default="cu")
    patterns = multislice_patterns(parser.parse_args().crystal)
    torch.set_num_threads(1)
    frames(patterns)
    intensities(patterns)
    centroids(patterns)


def frames(patterns: MultislicePatterns) -> None:
    """Print how intensities predicted for several frames correlate with the patterns, and how often each is best."""
    reflector = reflector_of(patterns)
    rows, cols = np.indices(patterns.share.shape[1:])
    result = np.zeros((len(patterns), len(VARIANTS)))
    for index, image in enumerate(patterns.share):
        for column, diagonal in enumerate(VARIANTS.values()):
            rotation = torch.as_tensor(patterns.rotation[index] @ np.diag(diagonal), dtype=torch.float32)
            g_lab = reflector.in_lab(rotation)
            predicted = reflector.excite(g_lab, 0.02) * (g_lab[:, :2].abs().amax(1) < 2.0)
            use = predicted > 1e-3 * predicted.max()
            pixel = patterns.origin + g_lab[use, :2].numpy() / patterns.calibration.q_pixel
            near = np.hypot(rows - pixel[:, 0, None, None], cols - pixel[:, 1, None, None]) < 2.6
            drawn = (near * np.sqrt(predicted[use].numpy())[:, None, None]).max(axis=0)
            away = np.hypot(rows - patterns.origin[0], cols - patterns.origin[1]) > 7
            result[index, column] = np.corrcoef(drawn[away], np.sqrt(image[away]))[0, 1]
    print("| frame | mean correlation of square roots | best of all |\n|---|---|---|")
    for name, values, wins in zip(
        VARIANTS, result.mean(0), np.bincount(result.argmax(1), minlength=len(VARIANTS)), strict=True
    ):
        print(f"| {name} | {values:.3f} | {wins} of {len(patterns)} |")


def intensities(patterns: MultislicePatterns) -> None:
    """Print the spread of log(model / multislice) in each pattern, by thickness."""
    truth = true_reflections(patterns)
    bloch = BlochWaves.of(orient.find_phase(patterns.crystal), patterns.calibration.voltage, 2.2)
    reflector = reflector_of(patterns)
    width = patterns.calibration.semiangle / 1e3 / bloch.wavelength
    models = {f"kinematic, width {w} Å⁻¹": _kinematic(reflector, w) for w in (0.006, 0.01, 0.015, 0.02, 0.03)}
    models["kinematic, width 0.7 / thickness"] = _kinematic(reflector, None)
    models["two-beam"] = _two_beam(reflector, np.zeros((1, 2)))
    for beams in (32, 48, 96):
        models[f"Bloch, {beams} beams"] = _bloch(bloch, beams, np.zeros((1, 2)))
    models["two-beam, 19 parts of the cone"] = _two_beam(reflector, disk_points(width))
    models["the same, Debye-Waller damped"] = _two_beam(reflector, disk_points(width), DEBYE_WALLER)
    for name, rings in CONES.items():
        models[f"Bloch, 64 beams, {name} of the cone"] = _bloch(bloch, 64, disk_points(width, rings))
    print("\n| intensities | " + " | ".join(f"{a} to {min(b, 400)} Å" for a, b in itertools.pairwise(THICK)))
    print("|---|---|---|---|")
    which = np.digitize(patterns.thickness, THICK) - 1
    for name, model in models.items():
        spread = [np.zeros(0)] * len(THICK)
        for index, true in enumerate(truth):
            use = ~true.hidden & (true.share > 0.01 * true.share.max())
            rotation = torch.as_tensor(patterns.rotation[index], dtype=torch.float32)
            predicted = model(rotation, float(patterns.thickness[index]), true.q[use])
            log = np.log(np.maximum(predicted, 1e-9) / true.share[use])
            spread[which[index]] = np.append(spread[which[index]], log - np.median(log))
        print(f"| {name} | " + " | ".join(f"{rms(s):.2f} ({robust(s):.2f})" for s in spread[:-1]) + " |")


def _kinematic(reflector: Reflector, width: float | None):  # type: ignore[no-untyped-def]
    def model(rotation: torch.Tensor, thickness: float, q: np.ndarray) -> np.ndarray:
        g_lab = reflector.in_lab(rotation)
        return _gather(g_lab[:, :2], reflector.excite(g_lab, width or 0.7 / thickness), q)

    return model


def _two_beam(reflector: Reflector, where: np.ndarray, damping: float = 0.0):  # type: ignore[no-untyped-def]
    def model(rotation: torch.Tensor, thickness: float, q: np.ndarray) -> np.ndarray:
        parts = [reflector.in_lab(turned) for turned in rotation @ tilts(where, reflector.wavelength)]
        shares = [
            reflector.two_beam(g, thickness) * torch.exp(-0.5 * damping * g.square().sum(1)) for g in parts
        ]
        return np.mean([_gather(g[:, :2], i, q) for g, i in zip(parts, shares, strict=True)], axis=0)

    return model


def _bloch(bloch: BlochWaves, beams: int, where: np.ndarray):  # type: ignore[no-untyped-def]
    def model(rotation: torch.Tensor, thickness: float, q: np.ndarray) -> np.ndarray:
        turned = rotation @ tilts(where, bloch.wavelength)
        found, share = bloch.diffract(turned, torch.full((len(turned), 1), thickness), beams=beams)
        return np.mean([_gather(at, one[0], q) for at, one in zip(found, share, strict=True)], axis=0)

    return model


def centroids(patterns: MultislicePatterns) -> None:
    """Print how far centroids of disks lie from their reflections, and how well Bloch waves over the cone know it.

    A disk shows the rocking curve along its g: it is lit unevenly, and its centroid moves.
    """
    truth = true_reflections(patterns)
    bloch = BlochWaves.of(orient.find_phase(patterns.crystal), patterns.calibration.voltage, 2.2)
    width = patterns.calibration.semiangle / 1e3 / bloch.wavelength
    where = disk_points(width)
    rows, cols = np.indices(patterns.share.shape[1:])
    which = np.digitize(patterns.thickness, THICK) - 1
    kept: list[list[np.ndarray]] = [[] for _ in THICK]
    for index, true in enumerate(truth):
        apart = np.linalg.norm(true.q[:, None] - true.q, axis=2) + 9 * np.eye(len(true.q))
        lonely = (apart > 2.5 * width).all(axis=1) & (true.share > 0.02 * true.share.max())
        turned = torch.as_tensor(patterns.rotation[index], dtype=torch.float32) @ tilts(
            where, bloch.wavelength
        )
        found, share = bloch.diffract(
            turned, torch.full((len(turned), 1), float(patterns.thickness[index])), beams=64
        )
        for q in true.q[lonely]:
            pixel = patterns.origin + q / patterns.calibration.q_pixel
            light = patterns.share[index] * (np.hypot(rows - pixel[0], cols - pixel[1]) < 4)
            seen = np.array(
                [((axis - at) * light).sum() for axis, at in ((rows, pixel[0]), (cols, pixel[1]))]
            )
            seen *= patterns.calibration.q_pixel / light.sum()
            own = np.array([_gather(at, one[0], q[None])[0] for at, one in zip(found, share, strict=True)])
            told = own @ where / max(own.sum(), 1e-12)
            along = q / np.linalg.norm(q)
            across = np.array([-along[1], along[0]])
            kept[which[index]].append(np.array([seen @ along, seen @ across, told @ along, told @ across]))
    print(
        "\n| thickness Å | disks | along g | across g | told by Bloch waves, along g | correlation | what remains |"
    )
    print("|---|---|---|---|---|---|---|")
    for low, high, part in zip(THICK[:-1], THICK[1:], kept[:-1], strict=True):
        along, across, told, _ = np.array(part).T
        print(
            f"| {low} to {min(high, 400)} | {len(part)} | {rms(along):.4f} | {rms(across):.4f} | {rms(told):.4f} | "
            f"{np.corrcoef(along, told)[0, 1]:.2f} | {rms(along - told):.4f} |"
        )


def disk_points(radius: float, rings: tuple[tuple[float, int], ...] = CONES["19 parts"]) -> np.ndarray:
    """Return places spread evenly over a disk, shape (n, 2)."""
    points = [np.zeros((len(rings) - 1, 2))]  # the middle, where there is more than one ring
    for share, count in rings:
        angle = np.arange(count) * 2 * np.pi / count
        points.append(radius * share * np.stack([np.cos(angle), np.sin(angle)], axis=1))
    return np.concatenate(points)


def tilts(where: np.ndarray, wavelength: float) -> torch.Tensor:
    """Return rotations T of the lab frame, for R @ T, that put the beam's part at ``where`` (Å⁻¹) on the axis.

    In a disk, the part at g + k comes from the part of the beam at k: there g_z counts as g_z - λ k·g.
    """
    x, y = wavelength * torch.as_tensor(where, dtype=torch.float32).T
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, zero, -x, zero, zero, -y, x, y, zero], 1).unflatten(1, (3, 3))
    return torch.linalg.matrix_exp(skew)


def _gather(at: torch.Tensor, share: torch.Tensor, q: np.ndarray) -> np.ndarray:
    """Sum intensities of all reflections within 0.04 Å⁻¹ of each place."""
    near = np.linalg.norm(at.numpy()[:, None] - q, axis=2) < 0.04
    return (near * share.numpy()[:, None]).sum(axis=0)


if __name__ == "__main__":
    main()

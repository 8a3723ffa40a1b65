"""Compare our own simulations with multislice patterns: ``python tools/compare_multislice.py``.

First the frames: the true orientation must correlate better with the patterns than turned or mirrored ones. Then
how far intensities of our models are from multislice, for reflections stronger than 1 % of the strongest.
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np
import torch
from measure_detection import reflector_of, rms, robust, true_reflections

import napari_4dstem_orient as orient
from multislice import MultislicePatterns, multislice_patterns
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
THICK = (30, 70, 170, 401)  # Å


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crystal", default="cu")
    patterns = multislice_patterns(parser.parse_args().crystal)
    torch.set_num_threads(1)
    frames(patterns)
    intensities(patterns)


def frames(patterns: MultislicePatterns) -> None:
    """Print how intensities predicted for several frames correlate with the patterns, and how often each is best."""
    reflector = reflector_of(patterns)
    rows, cols = np.indices(patterns.share.shape[1:])
    result = np.zeros((len(patterns), len(VARIANTS)))
    for index, image in enumerate(patterns.share):
        for column, diagonal in enumerate(VARIANTS.values()):
            rotation = torch.as_tensor(patterns.rotation[index] @ np.diag(diagonal), dtype=torch.float32)
            g_lab = reflector.in_lab(rotation)
            predicted = reflector.excite(g_lab, 0.7 / float(patterns.thickness[index]) + 0.002)
            use = (predicted > 1e-3 * predicted.max()) & (g_lab[:, :2].abs().amax(1) < 2.0)
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
    cone = patterns.calibration.semiangle / 1e3
    models = {f"kinematic, width {w} Å⁻¹": _kinematic(reflector, w) for w in (0.006, 0.01, 0.015, 0.02, 0.03)}
    models["kinematic, width 0.7 / thickness"] = _kinematic(reflector, None)
    models["two-beam"] = lambda r, t, q: _gather(
        reflector.in_lab(r)[:, :2], reflector.two_beam(reflector.in_lab(r), t), q
    )
    for beams in (32, 48, 96):
        models[f"Bloch, {beams} beams"] = _bloch(bloch, beams, 0.0)
    models["Bloch, 96 beams, averaged over the convergence cone"] = _bloch(bloch, 96, cone)
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


def _bloch(bloch: BlochWaves, beams: int, cone: float):  # type: ignore[no-untyped-def]
    def model(rotation: torch.Tensor, thickness: float, q: np.ndarray) -> np.ndarray:
        turned = rotation @ tilts(cone)
        found, share = bloch.diffract(turned, torch.full((len(turned), 1), thickness), beams=beams)
        return np.mean([_gather(at, one[0], q) for at, one in zip(found, share, strict=True)], axis=0)

    return model


def tilts(cone: float) -> torch.Tensor:
    """Return rotations that tilt the beam evenly over a cone of half-angle ``cone`` (rad), shape (n, 3, 3)."""
    if not cone:
        return torch.eye(3)[None]
    steps = [(0.0, 0.0)]
    for radius, count in ((0.42, 6), (0.85, 12)):
        steps += [
            (cone * radius * np.cos(a), cone * radius * np.sin(a))
            for a in np.arange(count) * 2 * np.pi / count
        ]
    x, y = torch.tensor(steps, dtype=torch.float32).T
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, zero, y, zero, zero, -x, -y, x, zero], 1).unflatten(1, (3, 3))
    return torch.linalg.matrix_exp(skew)


def _gather(at: torch.Tensor, share: torch.Tensor, q: np.ndarray) -> np.ndarray:
    """Sum intensities of all reflections within 0.04 Å⁻¹ of each place."""
    near = np.linalg.norm(at.numpy()[:, None] - q, axis=2) < 0.04
    return (near * share.numpy()[:, None]).sum(axis=0)


if __name__ == "__main__":
    main()

"""Map patterns with quantem, for ``tools/compare_peers.py``, which starts this in an environment of its own.

    quantem-venv/bin/python tools/quantem_peer.py INPUT.h5 OUTPUT.h5

``INPUT.h5``: counts (rows, cols, det_y, det_x) and probe; attributes voltage (kV), q_pixel (Å⁻¹), k_max (Å⁻¹), crystals
(paths of CIFs), rescue (whether positions lie beside each other, so that neighbours' answers are tried), matches (in
each pattern, one after the other is taken away).
``OUTPUT.h5``: for ``matched`` and ``refined``: rotation (rows, cols, matches, 3, 3), in this program's convention, and
phase, -1 where it has none; attributes: CPU seconds of ``detection``, ``matching``, ``refinement``.

Settings are those that did best on simulated patterns: nearly no threshold (0.05 counts), up to 100 peaks, steps of
2°, a parallel beam, the phase of the higher correlation.
"""

import contextlib
import os
import sys
import time
import warnings

import h5py
import numpy as np

PEAKS = {
    "min_abs_intensity": 0.05,
    "min_spacing": 4,
    "edge_boundary": 2,
    "subpixel": "upsample",
    "max_num_peaks": 100,
    "sigma_cc": 1.0,
    "progressbar": False,
}
STEP = 2.0  # degrees
AGREE = 0.03  # by so much less correlation an answer that neighbours share is preferred


def main() -> None:
    """Read, map, write."""
    source, target = sys.argv[1:]
    with h5py.File(source) as file:
        counts, probe, asked = file["counts"][()], file["probe"][()], dict(file.attrs)
    os.environ.update({name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")})
    warnings.filterwarnings("ignore")
    import torch

    torch.set_num_threads(1)
    seconds: dict[str, float] = {}
    maps = match(counts.astype(np.float32), probe.astype(np.float32), asked, seconds)
    with h5py.File(target, "w") as file:
        save(file.create_group("matched"), maps)
        nearby = (
            {"neighbor_rescue": True, "consensus_tol": AGREE}
            if asked["rescue"]
            else {"neighbor_rescue": False}
        )
        with timed(seconds, "refinement"):
            maps.refine_orientations(progress_bar=False, **nearby)
        save(file.create_group("refined"), maps)
        file.attrs.update(seconds)


def match(counts, probe, asked, seconds):  # type: ignore[no-untyped-def]
    """Return quantem's map of all crystals, matched."""
    from quantem.core.datastructures.dataset4dstem import Dataset4dstem
    from quantem.diffraction import BraggVectors, Crystal, CrystalMap
    from quantem.diffraction.calibration import DiffractionCalibration
    from quantem.diffraction.disk_detection import estimate_central_beam

    found = BraggVectors.from_dataset(Dataset4dstem.from_array(counts))
    found.make_template_from_probe(probe)
    found.detect_disks(positions=[(0, 0)], **PEAKS)  # what is only done once is not timed
    with timed(seconds, "detection"):
        found.detect_disks(**PEAKS)
    # Raw places are off by the rounding of the probe's centre; that of the direct beam is off by as much.
    centre, _ = estimate_central_beam(np.asarray(found.dataset.dp_mean.array))
    origins = found.measure_origins(search_radius=6.0, center=tuple(map(float, centre)))
    centred = found.correct_peak_origins(origins, origin_ref=(0, 0))
    peaks = centred.apply_calibration(DiffractionCalibration(float(asked["q_pixel"])))
    crystals = [
        Crystal.from_cif(path, name=str(i), verbose=False) for i, path in enumerate(asked["crystals"])
    ]
    maps = CrystalMap.from_vectors(
        peaks, crystals, energy_ev=1e3 * asked["voltage"], semiconv_mrad=0.0, k_max=float(asked["k_max"])
    )
    plan = {"angle_step_zone_axis_deg": STEP, "angle_step_in_plane_deg": STEP}
    maps.build_plan(**plan, progress_bar=False, verbose=False)
    with timed(seconds, "matching"):
        maps.match_orientations(num_matches=int(asked["matches"]), min_number_peaks=5, progress_bar=False)
    return maps


def save(group, maps) -> None:  # type: ignore[no-untyped-def]
    """Write each position's answers: of every match that of the crystal whose correlation is highest."""
    score = np.stack([one.corr.numpy() for one in maps])
    turned = np.stack([to_ours(one.quats.numpy()) for one in maps])
    best = score.argmax(axis=0)
    group["rotation"] = np.take_along_axis(turned, best[None, ..., None, None], axis=0)[0]
    group["phase"] = np.where(score.max(axis=0) > 0, best, -1)


def to_ours(quaternion: np.ndarray) -> np.ndarray:
    """Return orientation matrices, g_lab = Rᵀ g_crystal, of quantem's quaternions, v_lab = Q v_crystal."""
    w, x, y, z = np.moveaxis(np.asarray(quaternion, float), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)],
        [2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)],
        [2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


@contextlib.contextmanager
def timed(seconds, name):  # type: ignore[no-untyped-def]
    """Add up CPU seconds under a name."""
    start = time.process_time()
    yield
    seconds[name] = time.process_time() - start


if __name__ == "__main__":
    main()

"""What better proposals could gain: the share of right answers if the truth were always among them, and their time.

    python tools/measure_proposals.py --beds BEDS --set final --bed random_cu random_ti --dose 1e4 1e5

``BEDS``: what ``make_test_beds.py`` wrote. Each bed's disks are found as the program suggests, and each pattern is
answered alone. The table has, for each bed and dose, in % of the patterns with a crystal,

- ``near``: a proposal lies within 5° of the truth: of the first templates, and of all with those of the second round
  and what a network proposes;
- ``right``: the answer lies within 5°; ``without network``: the same if no trained network is asked; ``with truth``:
  the same where the truth is verified beside the proposals, which is the most that any other proposer could gain;
- ``time``: what the proposals take of the time from disks to answers: the most that a faster one could save.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from compare_peers import make_bed

import napari_4dstem_orient as orient
from helpers.multislice import multislice_patterns
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.methods import METHODS, Asked
from napari_4dstem_orient.indexing.transformer.indexer import FIRST, TransformerIndexer
from napari_4dstem_orient_evaluation.report.reliability import RIGHT

DOSES = (1e4, 1e5)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--beds", type=Path, required=True)
    parser.add_argument("--set", choices=("develop", "final"), default="develop")
    parser.add_argument("--bed", nargs="+", default=["random_cu"])
    parser.add_argument("--dose", nargs="+", type=float, default=list(DOSES))
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| bed | electrons | near, first | near, all | right | without network | with truth | time |")
    print(8 * "|---" + "|")
    for name in options.bed:
        for dose in options.dose:
            patterns = multislice_patterns(options.beds / f"{options.set}_{name}.h5")
            bed = make_bed([patterns], (patterns.crystal.lower(),), dose, False)
            shares = measured(bed.scan, bed.phases[0], bed.rotation, bed.crystal)
            print(f"| {name} | {dose:g} |", *(f"{100 * share:.1f} |" for share in shares), flush=True)


@torch.inference_mode()
def measured(scan: orient.Scan, phase: Phase, truth: np.ndarray, crystal: np.ndarray) -> list[float]:
    """Return the columns of the table as fractions.

    Parameters
    ----------
    scan : Scan
    phase : Phase
    truth : ndarray, shape (scan_y, scan_x, 3, 3)
    crystal : ndarray, bool, shape (scan_y, scan_x)
        Where there is a crystal.
    """
    _, disks = orient.map_scan(scan, [phase], device="cpu")
    asked = Asked((phase,), scan.calibration.voltage, k_max=disks.reach, device="cpu")
    indexer = METHODS["transformer"].make(asked)
    assert isinstance(indexer, TransformerIndexer)
    where = np.flatnonzero(crystal)
    right = truth.reshape(-1, 3, 3)[where].astype(np.float32)
    read = indexer.read(disks, where, indexer.reach(disks))
    first = indexer._templates(read[1], 0, FIRST)[0]
    more = indexer._more(*read)[0]

    def near(proposed: np.ndarray) -> np.ndarray:
        return misorientation(proposed, np.broadcast_to(right[:, None], proposed.shape), phase).min(1) < RIGHT

    def is_right(rotation: np.ndarray) -> float:
        return float((misorientation(rotation, right, phase) < RIGHT).mean())

    near_first = near(first.numpy())
    answered = indexer.index(disks).rotation.reshape(-1, 3, 3)[where]
    untrained = TransformerIndexer((), device="cpu", untrained=[(phase, indexer._reflectors[0])])
    plain = untrained.index(disks).rotation.reshape(-1, 3, 3)[where]
    oracle = indexer.beside(disks, where, [torch.from_numpy(right)[:, None]]).rotation[:, 0]
    return [
        float(near_first.mean()),
        float((near_first | near(more.numpy())).mean()),
        is_right(answered),
        is_right(plain),
        is_right(oracle),
        share_of_time(indexer, disks),
    ]


def share_of_time(indexer: TransformerIndexer, disks: BraggDisks) -> float:
    """Return what the first templates take of the time of indexing."""
    began = time.process_time()
    indexer.index(disks)
    whole = time.process_time() - began
    reach = indexer.reach(disks)
    batches = [indexer.read(disks, batch, reach) for batch in indexer.batches(disks)]
    began = time.process_time()
    for _, batch in batches:
        indexer._templates(batch, 0, FIRST)
    return (time.process_time() - began) / whole


if __name__ == "__main__":
    main()

"""What ``tools/compare_peers.py`` makes of a peer's answers."""

import importlib.util
from pathlib import Path

from helpers.multislice import multislice_patterns
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.crystals.misorientation import misorientation

PEER = Path(__file__).parents[2] / "tools" / "quantem_peer.py"

PATTERNS = [3, 20, 40, 60, 80, 100, 120, 140]
ANSWERED = [
    [0.6227, 0.1126, 0.0122, 0.7743],
    [-0.1070, -0.0280, -0.9257, 0.3618],
    [-0.9804, -0.1631, 0.1057, 0.0331],
    [0.4038, 0.1689, 0.3217, 0.8396],
    [0.8718, 0.3521, -0.0687, 0.3335],
    [0.0846, -0.2242, 0.9084, -0.3427],
    [0.1481, 0.2161, 0.3390, 0.9036],
    [-0.0395, -0.1831, -0.9250, 0.3305],
]
"""quantem 0.1.10's own quaternions for these patterns of 1e6 electrons."""


def test_quantems_answers_are_read_in_our_convention():
    spec = importlib.util.spec_from_file_location("quantem_peer", PEER)
    peer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(peer)
    truth, copper = multislice_patterns("cu").rotation[PATTERNS], find_phase("Cu")
    read = peer.to_ours(ANSWERED)
    right = {
        name: (misorientation(answer, truth, copper) < 2).sum()
        for name, answer in {
            "as it is": read,
            "transposed": read.swapaxes(-1, -2),
            "the beam from the other side": read * (1, -1, -1),
            "rows and columns exchanged": -read[..., [1, 0, 2]],
        }.items()
    }
    print(right)
    assert right.pop("as it is") >= 7
    assert max(right.values()) == 0

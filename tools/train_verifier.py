"""Train the verifiers that ship with the program: ``python tools/train_verifier.py [--pre-verifier] [--device cuda]``.

Writes ``resources/verifier.safetensors``, or with ``--pre-verifier`` the small one of the first look,
``pre_verifier.safetensors``. A step takes 0.2 s on one core, of the small one 0.07 s; stopped, the same command goes on
from its checkpoint. Deterministic for the seed on one machine.

The files of today were not made in one run: they began with the weights of 0.1.0, zero for inputs that those lacked,
and went on with ``--start`` for some 3,500 and 1,000 steps, while the training patterns were changed a few times. The
verifier went on twice for 4,000 steps with batches of 64 (seeds 17, 29; no precession speaks for it: silver's patterns
scatter more), and what ships is the mean of both ends. ``precessed_verifier.safetensors`` is the one before these.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path

import torch

from napari_4dstem_orient import __version__
from napari_4dstem_orient.core.devices import choose_device
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.indexing.verification.features import FEWER_PEAKS, MAX_PEAKS
from napari_4dstem_orient.indexing.verification.network import (
    PRE_VERIFIER,
    PRECESSED_VERIFIER,
    VERIFIER,
    WIDTH,
    load_verifier,
    save_verifier,
)
from napari_4dstem_orient.training.counting import CountingSettings
from napari_4dstem_orient.training.synthesis import PatternSource, SynthesisSettings
from napari_4dstem_orient_evaluation.verifier_training import VerifierSettings, VerifierTrainer

RESOURCES = Path(__file__).parents[1] / "resources"
PRE_VERIFIER_WIDTH = 16

BEAMS = [  # crystal, kV, precession in degrees; copper at 300 kV twice as often
    ("Cu", 300, 0), ("Cu", 300, 0), ("Cu", 200, 0), ("Ag", 200, 1), ("Ag", 200, 1), ("Au", 300, 1),
    ("Ag", 300, 0), ("Au", 300, 0), ("Al", 200, 0),
    ("Ni", 300, 0), ("Fe", 300, 0), ("Fe", 200, 0), ("Si", 300, 0), ("Si", 200, 0), ("Ti", 300, 0), ("Mg", 200, 0),
    ("Cu2O", 300, 0), ("Cu2O", 200, 0), ("W", 200, 0), ("GaAs", 200, 0),
]  # fmt: skip
PRECESSED_BEAMS = [
    ("Ag", 200, 1), ("Ag", 200, 0.6), ("Au", 300, 1), ("Cu", 200, 1), ("Cu", 300, 0.5), ("Al", 200, 0.8),
    ("Ni", 300, 0.7), ("Fe", 200, 1), ("Si", 200, 0.8), ("Ti", 300, 0.6), ("Cu2O", 200, 1), ("GaAs", 200, 0.7),
]  # fmt: skip
REACH, FARTHEST = 4.38, 2.2
"""A pattern reaches to so many lengths of the shortest reflection, but not beyond the other (Å⁻¹)."""
DOSE = (1e3, 5e6)
"""Electrons in a pattern."""
SCATTER = (0.0002, 0.012)
"""Å⁻¹; down to far less than networks are trained with: a verifier has to know how far positions can be trusted."""


def main() -> None:
    """Train, saying now and then how it goes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=VerifierSettings.steps)
    parser.add_argument("--device", default="auto")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--pre-verifier", action="store_true", help="the small one")
    which.add_argument("--precessed", action="store_true", help="the one for precessed beams")
    parser.add_argument("--start", type=Path, help="a verifier to begin with")
    parser.add_argument("--rate", type=float, default=VerifierSettings.learning_rate, help="learning rate")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    name = PRE_VERIFIER if options.pre_verifier else PRECESSED_VERIFIER if options.precessed else VERIFIER
    out, beams = options.out or RESOURCES / name, PRECESSED_BEAMS if options.precessed else BEAMS
    width = PRE_VERIFIER_WIDTH if options.pre_verifier else WIDTH
    peaks = FEWER_PEAKS if options.pre_verifier else MAX_PEAKS
    settings = VerifierSettings(
        width=width,
        max_peaks=peaks,
        refined=0 if options.pre_verifier else 2,
        steps=options.steps,
        learning_rate=options.rate,
    )
    counted = SynthesisSettings(clean_share=0.1, counting=CountingSettings(dose=DOSE))
    listed = SynthesisSettings(scatter=SCATTER)
    device = choose_device(options.device)
    # Every second crystal and beam has lists of no known signal-to-noise, well placed: as other programs make them.
    kinds = [(beam, counted) for beam in beams] + [(beam, listed) for beam in beams[::2]]
    trainer = VerifierTrainer([source(*beam, synthesis, device) for beam, synthesis in kinds], settings)
    if options.start:
        trainer.verifier.load_state_dict(load_verifier(device, options.start).state_dict())
    checkpoint = out.with_suffix(".training")
    if checkpoint.exists():
        trainer.restore(checkpoint)
    began = time.monotonic()
    while trainer.step < settings.steps:
        ranking, correction, right = trainer.round()
        trainer.save(checkpoint)
        text = f"ranking {ranking:.3f} correction {correction:.3f} right {right:.1%}"
        print(f"{trainer.step} steps, {time.monotonic() - began:.0f} s: {text}", flush=True)
    card = {
        "program": f"napari-4dstem-orient {__version__}",
        "beams": beams,
        "settings": asdict(settings),
        "synthesis": [counted.to_dict(), listed.to_dict()],
    }
    save_verifier(trainer.verifier, card, out)
    checkpoint.unlink()


def source(
    name: str, voltage: float, precession: float, synthesis: SynthesisSettings, device: torch.device
) -> PatternSource:
    """Return patterns of a bundled crystal."""
    phase = find_phase(name)
    k_max = min(REACH * phase.nearest, FARTHEST)
    return PatternSource(phase, voltage, k_max, synthesis, precession, device)


if __name__ == "__main__":
    main()

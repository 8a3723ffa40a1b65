"""Measure the shipped models again, after a change of how they are used, and write the figures on their cards."""

from __future__ import annotations

from pathlib import Path

from napari_4dstem_orient.indexing.transformer.checkpoint import load_model, save_model
from napari_4dstem_orient.training.training import with_accuracy

MODELS = Path(__file__).parents[1] / "resources" / "models"


def main() -> None:
    """Renew one card after the other."""
    for path in sorted(MODELS.glob("*.safetensors")):
        save_model(with_accuracy(load_model(path)), path)
        print(path.name, flush=True)


if __name__ == "__main__":
    main()

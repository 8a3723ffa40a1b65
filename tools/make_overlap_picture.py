"""Draw docs/images/overlap.png: the copper sample's first and second crystals, and how many there are.

python tools/make_overlap_picture.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import napari_4dstem_orient as orient
from napari_4dstem_orient.analysis.colours import ipf_colors
from napari_4dstem_orient.samples.copper import copper_polycrystal, copper_truth

TARGET = Path(__file__).parents[1] / "docs" / "images" / "overlap.png"


def main() -> None:
    """Map the sample and draw it."""
    found, _ = orient.map_scan(copper_polycrystal(), [orient.find_phase("Cu")])
    truth = copper_truth()
    pictures = {
        "first crystal, IPF-Z": ipf_colors(found, "z"),
        "second crystal, IPF-Z": ipf_colors(found.of_crystal(2), "z"),
        "crystals in the pattern": found.crystals,
        "patterns that mix two grains, by the truth": np.where(truth.vacuum, 0, 1 + truth.boundary),
    }
    figure, axes = plt.subplots(2, 2, figsize=(9, 7), layout="constrained")
    for (title, picture), axis in zip(pictures.items(), axes.ravel(), strict=True):
        shown = axis.imshow(picture, cmap="viridis", vmin=0, vmax=3)
        axis.set(title=title, xticks=[], yticks=[])
    figure.colorbar(shown, ax=axes[1], ticks=[0, 1, 2, 3], label="crystals")
    figure.savefig(TARGET, dpi=100)
    print(TARGET)


if __name__ == "__main__":
    main()

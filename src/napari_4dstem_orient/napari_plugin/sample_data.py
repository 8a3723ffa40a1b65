"""File > Open Sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import napari

from napari_4dstem_orient.napari_plugin.opening import open_sample
from napari_4dstem_orient.samples.copper import copper_polycrystal as copper_scan
from napari_4dstem_orient.samples.silver import silver_twins as silver_scan

if TYPE_CHECKING:
    from napari.types import LayerData


def silver_twins() -> list[LayerData]:
    """Open "Silver twins (SPED)", derived from real patterns."""
    return [open_sample(napari.current_viewer(), silver_scan())]


def copper_polycrystal() -> list[LayerData]:
    """Open "Copper polycrystal (simulated)"."""
    return [open_sample(napari.current_viewer(), copper_scan())]

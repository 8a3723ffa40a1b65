"""File > Open Sample."""

from __future__ import annotations

from collections.abc import Callable

import napari
from napari.types import LayerData

from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.napari_plugin.panels.shared.keeping import may_take_place
from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_sample
from napari_4dstem_orient.napari_plugin.workbench import open_with_data
from napari_4dstem_orient.samples.copper import copper_polycrystal as copper_scan
from napari_4dstem_orient.samples.silver import silver_twins as silver_scan


def silver_twins() -> list[LayerData]:
    """Open "Silver twins (SPED)", derived from real patterns."""
    return _opened(silver_scan)


def copper_polycrystal() -> list[LayerData]:
    """Open "Copper polycrystal (simulated)"."""
    return _opened(copper_scan)


def _opened(sample: Callable[[], Scan]) -> list[LayerData]:
    """Open a sample; nothing where the user would rather keep what there is."""
    viewer = napari.current_viewer()
    if viewer is not None and not may_take_place(viewer):
        return []
    layer = open_sample(viewer, sample())
    if viewer is not None:
        open_with_data(viewer)
    return [layer]

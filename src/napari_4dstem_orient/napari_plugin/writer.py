"""npe2 writers: a map's layer, saved through File > Save, becomes what other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.export.images import save_channel_image
from napari_4dstem_orient.export.registry import FORMATS
from napari_4dstem_orient.napari_plugin.layers.map_layers import CRYSTAL, KIND, MAP, crystal_of


def write_map(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write the whole map that a layer belongs to, as the suffix says: .h5 (result file), .ang, .ctf or .csv.

    Raises
    ------
    UserError
        The layer belongs to no orientation map, or the suffix is another one.
    """
    orientation_map = _map_of(meta)
    savers = {one.ending: one.write for one in FORMATS.values() if one.plain}
    save = savers.get(Path(path).suffix.lower())
    if save is None:
        raise UserError(f"{path} does not end in {', '.join(savers)}; choose one of these to save a map.")
    save(orientation_map, Path(path))
    return [path]


def write_image(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write the channel that a map's layer shows, with colour key, legend or colour bar, and scale bar.

    Raises
    ------
    UserError
        The layer belongs to no orientation map.
    """
    shown = crystal_of(_map_of(meta), meta["metadata"].get(CRYSTAL, 0))
    save_channel_image(shown, Path(path), meta["metadata"].get(KIND, "ipf-z"))
    return [path]


def _map_of(meta: dict[str, Any]) -> OrientationMap:
    orientation_map = meta.get("metadata", {}).get(MAP)
    if orientation_map is None:
        raise UserError(
            f"The layer {meta.get('name', '')!r} belongs to no orientation map;"
            " select a map's layer (such as IPF-Z) and save again."
        )
    return orientation_map

"""What the user set once and for all in napari's preferences (the manifest's configurations)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qtpy.QtCore import QStandardPaths

from napari_4dstem_orient.core.memory import MEMORY

PLUGIN = "napari-4dstem-orient"


@dataclass(frozen=True)
class Preferences:
    """The plugin's preferences.

    Attributes
    ----------
    device : str
        Where it is computed unless the map panel says otherwise.
    models_folder : Path
        Where the user's own models lie; it need not exist.
    memory : int
        MiB that patterns of a scan may take.
    """

    device: str
    models_folder: Path
    memory: int = MEMORY


def state_folder() -> Path:
    """Return where the operating system wants a program to keep what it must not forget."""
    locations = QStandardPaths.StandardLocation
    where = getattr(locations, "GenericStateLocation", locations.GenericDataLocation)  # new in Qt 6.7
    return Path(QStandardPaths.writableLocation(where)) / PLUGIN


def default_models_folder() -> Path:
    """Return where the operating system wants a program to keep a user's data."""
    data = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericDataLocation)
    return Path(data) / PLUGIN / "models"


def preferences() -> Preferences:
    """Return the preferences as they are now; the defaults where napari does not know the plugin."""
    from napari.settings import get_plugin_settings

    known = get_plugin_settings().get(PLUGIN)
    if known is None:
        return Preferences("auto", default_models_folder())
    folder = known.computing.models_folder.strip()
    return Preferences(
        known.computing.device,
        Path(folder).expanduser() if folder else default_models_folder(),
        known.computing.memory,
    )

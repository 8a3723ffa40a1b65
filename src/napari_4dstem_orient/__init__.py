"""Crystal orientation and phase maps from 4D-STEM scans, in napari, on the command line and in Python.

The job: ``load`` → ``detect_disks`` → ``calibrate`` → ``map_orientations`` → ``OrientationMap.save``.
Importing this package is instant: each name is fetched from its module when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_4dstem_orient.analysis.comparison import compare_maps as compare_maps
    from napari_4dstem_orient.calibration.calibrate import calibrate as calibrate
    from napari_4dstem_orient.core.bragg_disks import BraggDisks as BraggDisks
    from napari_4dstem_orient.core.errors import UserError as UserError
    from napari_4dstem_orient.core.orientation_map import OrientationMap as OrientationMap
    from napari_4dstem_orient.core.scan import Calibration as Calibration
    from napari_4dstem_orient.core.scan import Scan as Scan
    from napari_4dstem_orient.crystals.library import find_phase as find_phase
    from napari_4dstem_orient.crystals.phase import Phase as Phase
    from napari_4dstem_orient.detection.detect import detect_disks as detect_disks
    from napari_4dstem_orient.indexing.identification import identify_phases as identify_phases
    from napari_4dstem_orient.io.load import load as load
    from napari_4dstem_orient.workflow.functions import map_orientations as map_orientations
    from napari_4dstem_orient.workflow.functions import map_scan as map_scan

_HOMES = {
    "BraggDisks": "core.bragg_disks",
    "Calibration": "core.scan",
    "OrientationMap": "core.orientation_map",
    "Phase": "crystals.phase",
    "Scan": "core.scan",
    "UserError": "core.errors",
    "calibrate": "calibration.calibrate",
    "compare_maps": "analysis.comparison",
    "detect_disks": "detection.detect",
    "find_phase": "crystals.library",
    "identify_phases": "indexing.identification",
    "load": "io.load",
    "map_orientations": "workflow.functions",
    "map_scan": "workflow.functions",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = import_module(f"{__name__}.core.version").VERSION
    elif name in _HOMES:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

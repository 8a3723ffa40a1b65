"""Where it is computed: automatic says what that is on this machine."""

from __future__ import annotations

from functools import partial

from qtpy.QtWidgets import QComboBox

from napari_4dstem_orient.napari_plugin.qt.event_loop import ONCE_OPEN, later
from napari_4dstem_orient.napari_plugin.qt.latest_only import LatestOnly
from napari_4dstem_orient.napari_plugin.qt.libraries import import_libraries

DEVICES = {"auto": "Automatic", "cuda": "CUDA", "mps": "MPS (Apple GPU)", "cpu": "CPU"}


class DeviceChooser(QComboBox):
    """The devices by name; ``currentData`` is what the core calls the chosen one.

    Parameters
    ----------
    device : str
        Chosen at first.
    """

    def __init__(self, device: str) -> None:
        super().__init__()
        for name, title in DEVICES.items():
            self.addItem(title, name)
        self.setToolTip("Where it is computed. A device that is not there gives an error.")
        self.setCurrentIndex(self.findData(device))
        self._describing = LatestOnly(lambda text: self.setItemText(0, f"Automatic: {text}"))
        self._later = later(self, partial(self._describing.ask, _describe_automatic), ONCE_OPEN)

    def release(self) -> None:
        self._later.stop()
        self._describing.close()


def _describe_automatic() -> str:
    import_libraries()
    from napari_4dstem_orient.core.devices import choose_device, describe

    return describe(choose_device("auto"))

"""Where it is computed: automatic says what that is on this machine."""

from __future__ import annotations

from functools import partial

from qtpy.QtWidgets import QComboBox

from napari_4dstem_orient.napari_plugin.qt.endings import Endings
from napari_4dstem_orient.napari_plugin.qt.event_loop import ONCE_OPEN, later
from napari_4dstem_orient.napari_plugin.qt.libraries import import_libraries

DEVICES = {"auto": "Automatic", "cuda": "CUDA", "mps": "MPS (Apple GPU)", "cpu": "CPU"}


class DeviceChooser(QComboBox):
    """The devices by name; ``currentData`` is what the core calls the chosen one.

    Parameters
    ----------
    device : str
        Chosen at first.
    endings : Endings
        Of the panel.
    """

    def __init__(self, device: str, endings: Endings) -> None:
        super().__init__()
        for name, title in DEVICES.items():
            self.addItem(title, name)
        self.setToolTip("Where it is computed. A device that is not there gives an error.")
        self.setCurrentIndex(self.findData(device))
        describing = endings.latest(lambda text: self.setItemText(0, f"Automatic: {text}"))
        endings.callback(later(self, partial(describing.ask, _describe_automatic), ONCE_OPEN).stop)


def _describe_automatic() -> str:
    import_libraries()
    from napari_4dstem_orient.core.devices import choose_device, describe

    return describe(choose_device("auto"))

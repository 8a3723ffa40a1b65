"""The scans that a window holds beside the one it works on, each with its results, choices and layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from psygnal import Signal

from napari_4dstem_orient.napari_plugin.layers.cursor import MARKER
from napari_4dstem_orient.napari_plugin.layers.map_layers import end_side_by_side
from napari_4dstem_orient.napari_plugin.layers.scan_layers import remove_layers, scan_layers
from napari_4dstem_orient.napari_plugin.panels.shared.facts import name_of
from napari_4dstem_orient.napari_plugin.panels.shared.viewer_to_project import key_of, project_of
from napari_4dstem_orient.napari_plugin.state.sessions import bare_viewer, session_for
from napari_4dstem_orient.workflow.session import Stage
from napari_4dstem_orient.workflow.session_state import SessionState

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer

    from napari_4dstem_orient.workflow.project import Project


@dataclass(frozen=True, eq=False)
class KeptScan:
    """A scan that waits: all that was made of it, and the layers that showed it.

    Attributes
    ----------
    name : str
        As no other of the window.
    project : Project
    layers : tuple of Layer
        Bottom first.
    """

    name: str
    project: Project
    layers: tuple[Layer, ...]

    @property
    def picture(self) -> Layer | None:
        """The topmost of its pictures that was visible; None where there was none."""
        shown = [
            layer for layer in self.layers if layer.visible and layer.ndim == 2 and hasattr(layer, "rgb")
        ]
        return shown[-1] if shown else None


class Scans:
    """The scans that wait in one window.

    Signals
    -------
    changed : Signal()
        One came or went.
    """

    changed = Signal()

    def __init__(self) -> None:
        self.kept: list[KeptScan] = []

    def take_back(self, kept: KeptScan) -> None:
        """Let go of a scan: it is worked on again."""
        self.kept.remove(kept)
        self.changed.emit()


_scans: WeakKeyDictionary[napari.Viewer, Scans] = WeakKeyDictionary()


def scans_for(viewer: napari.Viewer) -> Scans:
    """Return the scans that wait in a viewer's window."""
    return _scans.setdefault(bare_viewer(viewer), Scans())


def keep_scan(viewer: napari.Viewer) -> None:
    """Let what the viewer works on wait, for another scan to take its place."""
    session, scans = session_for(viewer), scans_for(viewer)
    if session.scan_shape is None:
        return
    end_side_by_side(viewer)
    layers = tuple(layer for layer in scan_layers(viewer) if key_of(layer) != MARKER)
    kept = KeptScan(name_here(viewer), project_of(bare_viewer(viewer)), layers)
    scans.kept.append(kept)
    scans.changed.emit()


def empty(viewer: napari.Viewer) -> None:
    """Work on nothing, with the choices for the next results as they are."""
    session = session_for(viewer)
    remove_layers(viewer)
    session.restore(SessionState(job=session.job))


def name_here(viewer: napari.Viewer) -> str:
    """Return what to call the scan that is worked on: as none of those that wait."""
    session, taken = session_for(viewer), {kept.name for kept in scans_for(viewer).kept}
    scan = session.get(Stage.SCAN)
    name = name_of(scan) if scan is not None or session.scan_shape is None else "results without a scan"
    others = (f"{name} ({number})" for number in range(2, len(taken) + 3))
    return next(each for each in (name, *others) if each not in taken)

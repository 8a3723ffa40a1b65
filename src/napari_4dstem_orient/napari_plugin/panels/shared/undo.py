"""Brings back what the user deleted or replaced last: a layer, or a result."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_4dstem_orient.napari_plugin.layers.map_layers import MAP, add_map_layers, map_layers
from napari_4dstem_orient.napari_plugin.layers.removal import GOING
from napari_4dstem_orient.napari_plugin.layers.scan_layers import OURS, find_layer
from napari_4dstem_orient.napari_plugin.panels.shared.opening import DISK_COUNT, show_disk_count
from napari_4dstem_orient.napari_plugin.qt.endings import Endings
from napari_4dstem_orient.napari_plugin.state.sessions import bare_viewer, session_for
from napari_4dstem_orient.workflow.job import Key
from napari_4dstem_orient.workflow.session import Stage
from napari_4dstem_orient.workflow.session_state import SessionState

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer

MOST = 5
"""So many things at most: a former result takes memory."""
KEYS = "Control-Z"


class Undo:
    """What went from one window, the last first; another scan ends it.

    Parameters
    ----------
    viewer : napari.Viewer
    endings : Endings
        Of the panel that offers it.

    Signals
    -------
    changed : Signal()
        Something went, or came back.
    """

    changed = Signal()

    def __init__(self, viewer: napari.Viewer, endings: Endings) -> None:
        self._viewer = bare_viewer(viewer)
        self._session = session_for(viewer)
        self._gone: deque[tuple[str, Callable[[], None]]] = deque(maxlen=MOST)
        endings.listen(self._viewer.layers.events.removed, self._on_removed)
        endings.listen(self._viewer.layers.events.inserted, self._on_inserted)
        endings.listen(self._session.superseded, self._on_superseded)
        endings.listen(self._session.replaced, self._forget)
        self._viewer.bind_key(KEYS, lambda viewer: self.undo(), overwrite=True)

    @property
    def words(self) -> str:
        """What would come back; empty where nothing would."""
        return self._gone[-1][0] if self._gone else ""

    def undo(self) -> None:
        """Bring back what went last."""
        if self._gone:
            self._gone.pop()[1]()
            self.changed.emit()

    def _add(self, words: str, bring_back: Callable[[], None]) -> None:
        self._gone.append((words, bring_back))
        self.changed.emit()

    def _forget(self) -> None:
        self._gone.clear()
        self.changed.emit()

    def _on_removed(self, event: Any) -> None:
        layer = event.value
        if not layer.metadata.get(GOING):
            self._add(f"the layer {layer.name}", partial(self._put_layer, event.index, layer))

    def _on_inserted(self, event: Any) -> None:
        event.value.metadata.pop(GOING, None)

    def _put_layer(self, index: int, layer: Layer) -> None:
        """Show a layer again, where it was; one that has been made again meanwhile is shown instead."""
        again = find_layer(self._viewer, layer.metadata[OURS]) if OURS in layer.metadata else None
        if MAP in layer.metadata:
            method = layer.metadata[MAP].method
            again = next(iter(map_layers(self._viewer, method)), None)
            if method not in self._session.maps:
                return
        if again is not None:
            again.visible = True
            return
        self._viewer.layers.insert(min(index, len(self._viewer.layers)), layer)
        if MAP in layer.metadata:
            add_map_layers(self._viewer, self._session.maps[layer.metadata[MAP].method])

    def _on_superseded(self, key: Key, before: SessionState) -> None:
        self._add(f"the former {key}", partial(self._go_back, before))

    def _go_back(self, before: SessionState) -> None:
        self._session.go_back(before)
        disks = self._session.get(Stage.DISKS)
        if disks is not None and find_layer(self._viewer, DISK_COUNT) is not None:
            show_disk_count(self._viewer, disks.sure().counts)
        for found in self._session.maps.values():
            if map_layers(self._viewer, found.method):
                add_map_layers(self._viewer, found)

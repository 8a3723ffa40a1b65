"""One session for each viewer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from napari_4dstem_orient.napari_plugin.state.preferences import preferences
from napari_4dstem_orient.workflow.session import Session

if TYPE_CHECKING:
    import napari

_sessions: WeakKeyDictionary[napari.Viewer, Session] = WeakKeyDictionary()


def session_for(viewer: napari.Viewer) -> Session:
    """Return the session of a viewer; widgets of one viewer share it, and it goes when the viewer goes."""
    bare = bare_viewer(viewer)
    if bare not in _sessions:
        # Before torch is imported: its threads that wait shall sleep, as on the command line.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        _sessions[bare] = session = Session()
        told = preferences()
        session.choose(device=told.device, memory=told.memory)
    return _sessions[bare]


def is_open(viewer: napari.Viewer) -> bool:
    """Tell whether a viewer's window, if it has one, has not been closed; what comes late finds it without."""
    window = getattr(bare_viewer(viewer), "window", None)
    return window is None or hasattr(window, "_qt_window")


def bare_viewer(viewer: napari.Viewer) -> napari.Viewer:
    """Return the viewer behind the proxy that napari hands to a plugin, anew for each widget."""
    return getattr(viewer, "__wrapped__", viewer)

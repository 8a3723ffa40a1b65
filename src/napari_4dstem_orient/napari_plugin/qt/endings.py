"""What must end with a panel: connections to what outlives it, and whoever works for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from napari_4dstem_orient.napari_plugin.qt.jobs import notify
from napari_4dstem_orient.napari_plugin.qt.latest_only import LatestOnly


class Endings(ExitStack):
    """What a panel and its parts hold outside Qt's tree; ``close`` lets go of all of it, the last first."""

    def listen(self, signal: Any, slot: Callable[..., object]) -> None:
        """Connect a signal, of Qt, psygnal or napari, until the end."""
        signal.connect(slot)
        self.callback(signal.disconnect, slot)

    def latest(
        self,
        answered: Callable[[Any], object] = lambda result: None,
        failed: Callable[[Exception], object] = notify,
    ) -> LatestOnly:
        """Make a latest-only worker that answers until the end."""
        worker = LatestOnly(answered, failed)
        self.callback(worker.close)
        return worker

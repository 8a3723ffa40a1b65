"""Progress bars of long steps, on standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_4dstem_orient.core.progress import Progress

if TYPE_CHECKING:
    from napari_4dstem_orient.workflow.run import Report


@contextmanager
def progress_bars() -> Iterator[Report]:
    """Show a bar with time spent and time left for each step that is reported while the block runs."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:

        def report(step: str) -> Progress:
            task = bars.add_task(step, total=None)
            return lambda done, total: bars.update(task, completed=done, total=total)

        yield report

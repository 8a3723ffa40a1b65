"""How a long step reports what it has done, how it is stopped, and how its result is seen while it grows."""

from collections.abc import Callable
from typing import Any

Progress = Callable[[int, int], None]
"""``progress(done, total)``, called between batches. It may raise ``Cancelled`` to stop the step."""


def silent(done: int, total: int) -> None:
    """Report nothing."""


def going_on(progress: Progress, before: int, total: int) -> Progress:
    """Return how a part of a step reports, before which so much of all was done."""
    return lambda done, _: progress(before + done, total)


Glimpse = Callable[[Callable[[], Any]], None]
"""``glimpse(so_far)``, called between batches; ``so_far()`` makes the result of all that is done."""


def no_glimpse(so_far: Callable[[], Any]) -> None:
    """Look at nothing."""

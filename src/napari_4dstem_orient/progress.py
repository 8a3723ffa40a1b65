"""How a long step reports what it has done, and how it is stopped."""

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""``progress(done, total)``, called between batches. It may raise ``Cancelled`` to stop the step."""


def silent(done: int, total: int) -> None:
    """Report nothing."""

"""What a plain installation leaves out: py4DSTEM's own code, as an engine beside ours."""

from __future__ import annotations

import importlib
import threading
from importlib.util import find_spec
from types import ModuleType

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.silence import quiet

ENGINES = ("torch", "py4DSTEM")
"""Whose code finds disks and matches templates."""

_lock = threading.Lock()


def why_not(engine: str | None) -> str:
    """Say why an engine cannot be taken here and how to get it; empty where it can."""
    if engine != "py4DSTEM" or find_spec("py4DSTEM") is not None:
        return ""
    return (
        'py4DSTEM is not installed: pip install "napari-4dstem-orient[py4dstem]" in an environment with Python 3.11 or '
        "3.12, for it needs NumPy below 2; or choose the engine torch."
    )


def installed_engines() -> list[str]:
    """Return the engines that can be taken here."""
    return [engine for engine in ENGINES if not why_not(engine)]


def check_engine(engine: str | None) -> None:
    """Raise UserError where there is no such engine, or where it is not installed."""
    if engine is not None and engine not in ENGINES:
        raise UserError(f"There is no engine {engine!r}; choose one of {', '.join(ENGINES)}.")
    if missing := why_not(engine):
        raise UserError(missing)


def import_py4dstem(module: str = "py4DSTEM") -> ModuleType:
    """Import py4DSTEM, or a module that comes with it; seconds, once.

    Two threads that import it at once can stop each other (``_DeadlockError``): the second waits here.

    Raises
    ------
    UserError
        It is not installed.
    """
    check_engine("py4DSTEM")
    with _lock, quiet():
        return importlib.import_module(module)

"""Which program this is: its version, its code, and the libraries whose numbers it takes."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

VERSION = "0.1.0"
"""The program's, told here alone: builds read it, and a release's tag is compared with it."""
PACKAGE = Path(__file__).parents[1]
LIBRARIES = ("numpy", "scipy", "torch", "py4DSTEM", "orix", "spglib")
"""Those that decide about numbers."""
SHOWS = ("napari_plugin", "cli", "export", "training")
"""Folders whose code asks for answers and shows them, but makes none."""


def libraries() -> dict[str, str]:
    """Return the versions of the libraries that decide about numbers, of those that are installed."""
    found = {name: _version(name) for name in LIBRARIES}
    return {name: installed for name, installed in found.items() if installed}


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


@cache
def code(package: Path = PACKAGE) -> str:
    """Return a hash of all code that makes answers: every rule and constant in it, whatever the version is called."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        place = path.relative_to(package)
        if place.parts[0] not in SHOWS:
            content = path.read_bytes()
            digest.update(f"{place.as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def identity() -> dict[str, str]:
    """Return what is the same wherever the same input and settings give the same answer."""
    name = "napari-4dstem-orient"
    return {name: VERSION, f"{name}'s code": code()[:12], **libraries()}

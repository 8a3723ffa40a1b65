"""Which results of a session no file holds yet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import WeakSet

from napari_4dstem_orient.workflow.job import Key
from napari_4dstem_orient.workflow.session import Session, Stage

WORK = (Stage.DISKS, Stage.CALIBRATED, Stage.MAP)
"""What took time to make; a probe is found again at once."""

_in_files: WeakSet[Any] = WeakSet()


def are_in_files(results: Iterable[Any]) -> None:
    """Note that these results of a session were read from files or written into one: they can be had again."""
    for result in results:
        if result is not None:
            _in_files.add(result)


def not_in_files(results: Iterable[Any]) -> None:
    """Note that no file holds these results any more."""
    _in_files.difference_update([result for result in results if result is not None])


def at_stake(session: Session, coming: Key = Stage.SCAN) -> list[Key]:
    """Return what would be lost if another result came: with a scan everything goes, else only what is replaced."""
    going = [key for stage in WORK for key in session.made(stage)] if coming is Stage.SCAN else [coming]
    found = {key: session.get(key) for key in going}
    return [key for key, result in found.items() if result is not None and result not in _in_files]

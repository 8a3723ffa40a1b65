"""What can be added to: the program's own entries, then those of other installed packages."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

Entry = TypeVar("Entry")


class Registry(Mapping[str, Entry]):
    """Entries by key, in order; read only.

    Packages are asked when it is first looked into. An entry of theirs that cannot be loaded, is of another kind or has
    a key that is taken is left out, and one warning says so.

    Parameters
    ----------
    group : str
        Name of the packages' entry points, whose own names are the keys.
    kind : type
        What each entry is.
    own : mapping
        The program's own entries, or where each lies, as ``"module:name"``: imported when it is first asked for.
    """

    def __init__(self, group: str, kind: type[Entry], own: Mapping[str, Entry | str]) -> None:
        self._group, self._kind, self._own = group, kind, own

    def __getitem__(self, key: str) -> Entry:
        entry = self._entries[key]
        return EntryPoint(key, entry, self._group).load() if isinstance(entry, str) else entry

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    @cached_property
    def _entries(self) -> dict[str, Entry | str]:
        found = dict(self._own)
        for point in entry_points(group=self._group):
            try:
                if point.name in found:
                    raise ValueError("its name is taken")
                entry = point.load()
                if not isinstance(entry, self._kind):
                    raise TypeError(f"it is no {self._kind.__name__}")
                found[point.name] = entry
            except Exception as error:  # somebody else's: the program works without it
                package = point.dist.name if point.dist else point.value
                warnings.warn_explicit(
                    f"The entry {point.name!r} ({self._group}) of the package {package} is left out "
                    f"({type(error).__name__}: {error}); update or remove that package.",
                    UserWarning,
                    package,
                    1,
                )
        return found

"""What an interrupted run has done, kept in a folder until its result is there.

Each chunk is a file, named after its step, a fingerprint of all that determines its contents, and its scan rows. So
results of other inputs or settings are never taken up, and a file is written completely or not at all.
"""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_4dstem_orient.core.atomic import make_folder, writing
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.parameters import from_plain
from napari_4dstem_orient.core.reading import check_room, from_json, reading, to_json
from napari_4dstem_orient.core.temporaries import sweep
from napari_4dstem_orient.io.result import load_map, save_map


class Store:
    """A folder for what runs have done; it appears with the first chunk.

    Parameters
    ----------
    folder : Path
    afresh : bool
        Take up nothing of an earlier run.
    needed : bool
        Whether a run ends where a chunk cannot be written; else it goes on, and that chunk is not kept.
    """

    def __init__(self, folder: Path, afresh: bool = False, needed: bool = False) -> None:
        self.folder, self._afresh, self._needed = folder, afresh, needed
        self._chunks: list[Chunks] = []

    def disks(self, *determinants: Any) -> Chunks:
        """Return the chunks of Bragg disks that these values determine (see ``fingerprint``)."""
        return self._of("disks", ".npz", save_rows, load_rows, determinants)

    def maps(self, *determinants: Any) -> Chunks:
        """Return the chunks of the orientation map that these values determine (see ``fingerprint``)."""
        return self._of("map", ".h5", save_map, load_map, determinants)

    def _of(self, step: str, suffix: str, save: Any, load: Any, determinants: tuple[Any, ...]) -> Chunks:
        name = f"{step}-{fingerprint(step, *determinants)[:24]}"
        chunks = Chunks(self.folder, name, suffix, save, load, self._needed)
        self._chunks.append(chunks)
        if self._afresh:
            chunks.remove()
        return chunks

    def trim(self, size: int, age: float) -> None:
        """Remove the oldest parts until the folder holds so many bytes at most, and none is older (s)."""
        sweep(self.folder)
        parts = [(path.stat().st_mtime, path.stat().st_size, path) for path in self.folder.glob("*-*")]
        total, since = sum(bytes_of for _, bytes_of, _ in parts), time.time() - age
        for made, bytes_of, path in sorted(parts):
            if total > size or made < since:
                total -= bytes_of
                with suppress(OSError):
                    path.unlink()

    def remove(self) -> bool:
        """Remove what this run kept, once its output is saved; say whether something of other runs is left."""
        for chunks in self._chunks:
            chunks.remove()
        sweep(self.folder)
        with suppress(OSError):
            self.folder.rmdir()  # refuses where something is left
        return self.folder.exists()


class Partial(Store):
    """The folder ``NAME.partial`` beside an output file.

    Parameters
    ----------
    output : path
        The file that the run shall make.
    """

    def __init__(self, output: str | Path) -> None:
        output = Path(output).expanduser()
        super().__init__(output.with_name(output.name + ".partial"), needed=True)


@dataclass(frozen=True)
class Chunks:
    """The chunks of one step, which outlast the process.

    Attributes
    ----------
    folder : Path
    name : str
        Step and fingerprint.
    suffix : str
    save, load : callable
        ``save(result, path)`` writes a file completely or not at all; ``load(path)`` raises UserError where it is
        damaged.
    needed : bool
        See ``Store``.
    """

    folder: Path
    name: str
    suffix: str
    save: Callable[[Any, Path], None]
    load: Callable[[Path], Any]
    needed: bool = True

    def find(self, rows: tuple[int, int], cols: int) -> Any | None:
        """Return the result of a chunk; None where there is none, or it is damaged and must be made again."""
        if not (path := self._path(rows)).is_file():
            return None
        try:
            result = self.load(path)
        except UserError:
            return None
        return result if result.scan_shape == (rows[1] - rows[0], cols) else None

    def add(self, rows: tuple[int, int], result: Any) -> None:
        """Keep the result of a chunk.

        Raises
        ------
        UserError
            It cannot be written, and is needed.
        """
        try:
            make_folder(
                self.folder, 0o700
            )  # whatever may be read of the result, its parts are the user's own
            self.save(result, self._path(rows))
        except UserError:
            if self.needed:
                raise

    def remove(self) -> None:
        """Remove all chunks."""
        for path in self.folder.glob(f"{self.name}-*"):
            with suppress(OSError):
                path.unlink()

    def _path(self, rows: tuple[int, int]) -> Path:
        return self.folder / f"{self.name}-{rows[0]:06d}-{rows[1]:06d}{self.suffix}"


def save_rows(disks: BraggDisks, path: Path) -> None:
    """Write Bragg disks exactly as they are, for this program alone; ``save_disks`` writes py4DSTEM's format."""
    about, arrays = to_arrays(disks)
    with writing(path) as temporary:
        np.savez(temporary, about=np.array(about), **arrays)


def load_rows(path: Path) -> BraggDisks:
    """Read what ``save_rows`` wrote.

    Raises
    ------
    UserError
        The file is missing, damaged or something else.
    """
    with reading(path, "kept disks") as path, path.open("rb") as opened:
        with zipfile.ZipFile(opened) as packed:
            members = packed.infolist()
            check_room(sum(member.file_size for member in members), "What is kept")
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise ValueError("it is compressed, which this program leaves out")
        opened.seek(0)
        # NumPy itself would leave a damaged file open.
        with np.load(opened, allow_pickle=False) as file:
            return from_arrays(str(file["about"]), file)


def to_arrays(disks: BraggDisks) -> tuple[str, dict[str, np.ndarray]]:
    """Return Bragg disks as a JSON text and arrays, from which ``from_arrays`` makes exactly the same."""
    about = {
        "scan_shape": disks.scan_shape,
        "calibrated": disks.calibrated,
        "detector_shape": disks.detector_shape,
        "reach": disks.reach,
        "provenance": disks.provenance,
    }
    return to_json(about), {"offsets": disks.offsets, **disks.values}


def from_arrays(about: str, arrays: Mapping[str, Any]) -> BraggDisks:
    """Make the disks that ``to_arrays`` took apart.

    Raises
    ------
    KeyError, TypeError, ValueError
        They contradict each other, or hold what is no finite number.
    """
    told = from_plain(_About, from_json(about, dict))
    values: dict[str, Any] = {name: np.asarray(arrays[name]) for name in arrays if name != "about"}
    for name, array in values.items():
        if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
            raise ValueError(f"{name} holds what is no finite number")
    if values["offsets"].dtype.kind != "i":
        raise ValueError("offsets are no whole numbers")
    if min(told.scan_shape) < 0:
        raise ValueError(f"a scan cannot have the shape {told.scan_shape}")
    return BraggDisks(**vars(told), **values)


@dataclass(frozen=True)
class _About:
    """What disks have beside arrays."""

    scan_shape: tuple[int, int]
    calibrated: bool
    detector_shape: tuple[int, int] | None
    reach: float | None
    provenance: dict[str, Any]


def fingerprint(*values: Any) -> str:
    """Return a hash of plain values, arrays (by their contents), paths, and dataclasses and lists of such."""
    text = json.dumps(values, default=_plain, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def file_fingerprint(path: str | Path) -> tuple[str, list[tuple[str, int, int]]]:
    """Return what tells a file, or all of a folder, from its next version: names, sizes and times of change (ns)."""
    path = Path(path)
    members = sorted(path.rglob("*")) if path.is_dir() else [path]
    stats = [(str(member.relative_to(path.parent)), member.lstat()) for member in members]
    return str(path.absolute()), [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return [str(value.dtype), value.shape, content]
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name) for item in fields(value)}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a {type(value).__name__} has no fingerprint")

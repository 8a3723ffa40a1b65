"""Where a model to be trained goes: a name is proposed until the user gives one, and nothing is overwritten."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFileDialog, QLineEdit, QWidget

from napari_4dstem_orient.napari_plugin.panels.base import button
from napari_4dstem_orient.napari_plugin.qt.boxes import bare, row
from napari_4dstem_orient.napari_plugin.state.preferences import preferences
from napari_4dstem_orient.training.plan import checkpoint_of, files_of_training

SUFFIX = ".safetensors"


class ModelFile(QWidget):
    """The path of a model file.

    Signals
    -------
    changed : Signal()
        It is another one.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._stem = "model"
        self._typed = False
        self.field = QLineEdit()
        self.field.textEdited.connect(self._on_typed)
        self.field.textChanged.connect(self._on_changed)
        self.setLayout(bare(row((self.field, 1), button("Browse…", "Choose folder and name.", self._ask))))

    @property
    def path(self) -> Path:
        """The file, with the suffix that model files have."""
        path = Path(os.path.expanduser(self.field.text().strip()))
        path = path if path.name else path / self._stem
        return path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)

    def propose(self, names: Sequence[str], voltage: float | None, precession: float) -> None:
        """Name the file after crystals and voltage in the user's folder of models, unless the user named it."""
        parts = ["-".join(names) or "model"]
        parts += [f"{voltage:g}kV"] if voltage is not None else []
        parts += [f"{precession:g}deg"] if precession else []
        self._stem = re.sub(r"[^\w.-]+", "_", "_".join(parts))
        if not self._typed:
            self._show(free_path(preferences().models_folder, self._stem))

    def anew(self) -> None:
        """Propose a name again, one that nothing has been trained under."""
        self._typed = False
        self._show(free_path(preferences().models_folder, self._stem, begun=False))

    def _show(self, path: Path) -> None:
        self.field.setText(str(path))
        self.field.setCursorPosition(len(str(path)))

    def _on_changed(self, text: str) -> None:
        self.field.setToolTip(
            f"{self.path}\nThe folder of your own models is set in the preferences; the map panel lists what is there."
        )
        self.changed.emit()

    def _on_typed(self, text: str) -> None:
        self._typed = bool(text.strip())

    def _ask(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self,
            "Model to write",
            str(self.path),
            f"Models (*{SUFFIX})",
            options=QFileDialog.Option.DontConfirmOverwrite,  # a file that exists is refused anyhow
        )
        if path:
            self._typed = True
            self._show(Path(path))


def free_path(folder: Path, stem: str, begun: bool = True) -> Path:
    """Return the first of stem, stem-2, stem-3, … that is no model yet.

    Parameters
    ----------
    folder : Path
    stem : str
    begun : bool
        Whether a stopped training may lie there, to be gone on with.
    """
    names = (stem if number == 1 else f"{stem}-{number}" for number in count(1))
    paths = (folder / f"{name}{SUFFIX}" for name in names)
    return next(path for path in paths if not existing(path) and (begun or not checkpoint_of(path).exists()))


def existing(path: Path) -> Path | None:
    """Return the first of a finished training's files that is there already, of whoever it is."""
    done = (file for file in files_of_training(path) if file != checkpoint_of(path))
    return next((file for file in done if file.exists()), None)

"""Which crystal is here: many CIFs are compared at some positions, and one is taken for the map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QCheckBox, QFileDialog, QHeaderView, QLabel, QWidget

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.crystals.library import bundled, gather, title_of
from napari_4dstem_orient.indexing.identification import POSITIONS, Identification
from napari_4dstem_orient.napari_plugin.layers.regions import region_at
from napari_4dstem_orient.napari_plugin.panels.base import StepWidget, button, wrapped
from napari_4dstem_orient.napari_plugin.panels.shared.table import Table
from napari_4dstem_orient.napari_plugin.qt.boxes import choices, column, row
from napari_4dstem_orient.napari_plugin.qt.collapsible import Section
from napari_4dstem_orient.napari_plugin.qt.jobs import telling
from napari_4dstem_orient.napari_plugin.qt.tones import Tone, set_tone
from napari_4dstem_orient.napari_plugin.state.snapshot import Snapshot
from napari_4dstem_orient.workflow.identify import identify
from napari_4dstem_orient.workflow.run import Observer, Results
from napari_4dstem_orient.workflow.session import Stage

ALL, HERE, REGION = "Positions all over the scan", "The selected position", "The grain or region there"
HEADINGS = ("Crystal", "Share", "Best at", "Sure", "Ahead")
NAMED = 3
"""Files left out that are told of one by one; of the others how many."""


@dataclass(frozen=True)
class Compared:
    """What was found; ``source`` is what ``find_phase`` takes for each crystal, in the order of the evidence."""

    found: Identification
    source: list[str]
    left_out: dict[str, str]


class WhichCrystal(Section):
    """Compares crystals of CIF files, and those of the program, in the scan of a panel.

    Parameters
    ----------
    panel : StepWidget
        Where it stands: its session, viewer and jobs. It calls ``refresh`` and ``forget`` with its own.

    Signals
    -------
    taken : Signal(str)
        The user wants this crystal in the map: a name or a CIF, as ``find_phase`` takes it.
    """

    taken = Signal(str)

    def __init__(self, panel: StepWidget) -> None:
        content = QWidget()
        super().__init__("Which crystal is here?", content)
        self._panel = panel
        self.files: list[str] = []
        self.compared: Compared | None = None
        self._build(content)
        self.refresh()

    def _build(self, content: QWidget) -> None:
        self.listed, self.left_out, self.words = wrapped(), wrapped(), wrapped()
        set_tone(self.left_out, Tone.DOUBTFUL)
        self.with_bundled = QCheckBox("Those of the program")
        self.with_bundled.setToolTip("Compare the crystals that come with the program too.")
        self.with_bundled.setChecked(True)
        self.with_bundled.toggled.connect(self.refresh)
        add_files = button("Add CIFs…", "Choose CIF files; several at once.", self._ask_for_files)
        add_folder = button("Add folder…", "Take all CIF files of a folder.", self._ask_for_folder)
        self.clear_button = button("Clear", "Forget the files that were added.", self.clear)
        self.where = choices(
            "Where to look. A region is a grain (found in Analysis) or what you painted in a labels layer of the "
            "scan's shape; some of its positions are taken.",
            (ALL, HERE, REGION),
        )
        self.compare_button = button(
            "Compare crystals", "See which of the crystals explain the patterns there.", telling(self.compare)
        )
        self.table = Table()
        self.table.setToolTip(
            "Share of the positions that a crystal explains (0 to 1); at how many it is the likeliest; there, in the "
            "median, how likely its orientation is right, and how much likelier it is than the next crystal."
        )
        self.table.horizontalHeader().setMinimumSectionSize(20)
        self.table.chosen.connect(lambda line: self.refresh())
        self.use_button = button("Use this crystal", "Tick the selected crystal for the map.", self.use)
        column(
            content,
            row((add_files, 1), (add_folder, 1), self.clear_button),
            self.with_bundled,
            self.listed,
            row(QLabel("Where"), (self.where, 1)),
            self.compare_button,
            self.left_out,
            self.words,
            self.table,
            self.use_button,
        )

    # ---------------------------------------------------------------- what is compared

    def _ask_for_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Add crystals", "", "Crystals (*.cif)")
        self.add(paths)

    def _ask_for_folder(self) -> None:
        if folder := QFileDialog.getExistingDirectory(self, "Add a folder of crystals"):
            self.add([folder])

    def add(self, paths: Sequence[str | Path]) -> None:
        """Compare the crystals of these files, or of the files of these folders, too."""
        self.files = list(dict.fromkeys([*self.files, *map(str, paths)]))
        self.refresh()

    def clear(self) -> None:
        """Forget the files."""
        self.files = []
        self.refresh()

    @property
    def sources(self) -> list[str]:
        """Files, folders and names of what is compared; of the same crystal the file counts."""
        return [*self.files, *(bundled() if self.with_bundled.isChecked() else ())]

    def _at(self) -> list[tuple[int, int]] | None:
        """Return the scan positions chosen; None for some all over the scan."""
        session, where = self._panel.session, self.where.currentText()
        if where == ALL:
            return None
        if session.position is None or session.scan_shape is None:
            raise UserError("No scan position is selected; click on the scan.")
        if where == HERE:
            return [session.position]
        region = region_at(self._panel.viewer, session.position, session.scan_shape)
        if not len(region):
            raise UserError(
                "No region lies at the selected position: find grains in Analysis, or paint one in a labels layer of "
                "the scan's shape."
            )
        some = np.linspace(0, len(region) - 1, min(POSITIONS, len(region))).round().astype(int)
        return [(int(line), int(col)) for line, col in region[some]]

    # ---------------------------------------------------------------- comparing

    def compare(self) -> None:
        """Compare the crystals in a thread; raise UserError where something is not known."""
        snapshot = Snapshot.of(self._panel.session)
        if snapshot.calibration.voltage is None:
            raise UserError("The accelerating voltage is not known; enter it in the Data panel.")
        if snapshot.calibration.q_pixel is None and snapshot.calibrated is None:
            raise UserError("The size of a detector pixel is not known; enter it in the Data panel.")
        at = self._at()
        self._panel.jobs.run("Comparing crystals", self._show, _compare, self.sources, at, snapshot)

    def _show(self, compared: Compared) -> None:
        self.compared = compared
        evidence = compared.found.evidence
        columns: list[list] = [
            [title_of(source) for source in compared.source],
            [_rounded(each.share) for each in evidence],
            [each.likeliest for each in evidence],
            [_rounded(each.reliability) for each in evidence],
            [_rounded(each.ahead) for each in evidence],
        ]
        self.table.put(HEADINGS, columns)
        sizes = QHeaderView.ResizeMode
        for number in range(len(HEADINGS)):
            self.table.horizontalHeader().setSectionResizeMode(
                number, sizes.ResizeToContents if number else sizes.Stretch
            )
        self.table.show_line(0)
        self.refresh()

    def use(self) -> None:
        """Tick the selected crystal for the map."""
        if self.compared is not None and (line := self.table.line) is not None:
            self.taken.emit(self.compared.source[line])

    def forget(self) -> None:
        """Let go of what was found in a former scan."""
        self.compared = None
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Say what is compared, what was found, and enable what can be done."""
        session, found = self._panel.session, self.compared
        own = [f"{len(bundled())} of the program"] if self.with_bundled.isChecked() else []
        named = [Path(file).name for file in self.files[:NAMED]]
        more = [f"{len(self.files) - NAMED} more"] if len(self.files) > NAMED else []
        self.listed.setText(
            ", ".join([*own, *named, *more]) or "No crystal yet: add CIFs, or take the program's."
        )
        self.clear_button.setEnabled(bool(self.files))
        something = any(
            session.get(stage) is not None for stage in (Stage.SCAN, Stage.DISKS, Stage.CALIBRATED)
        )
        self.compare_button.setEnabled(something and bool(self.sources) and not self._panel.jobs.running)
        self.words.setText("" if found is None else found.found.words)
        self.left_out.setText("" if found is None else _told(found.left_out))
        for widget, text in ((self.words, self.words.text()), (self.left_out, self.left_out.text())):
            widget.setVisible(bool(text))
        self.table.setVisible(found is not None)
        self.use_button.setVisible(found is not None)
        self.use_button.setEnabled(self.table.line is not None)


def _compare(
    sources: Sequence[str],
    at: Sequence[tuple[int, int]] | None,
    snapshot: Snapshot,
    progress: Progress = silent,
) -> Compared:
    """Read the crystals and compare them."""
    gathered = gather(sources, progress)
    if not gathered.crystals:
        raise UserError(f"There is no crystal to compare. {_told(gathered.left_out)}")
    by_phase = {id(reading.phase): source for source, reading in gathered.crystals.items()}
    phases = tuple(reading.phase for reading in gathered.crystals.values())
    source = snapshot.scan.source if snapshot.scan is not None else None
    have = Results(
        snapshot.scan,
        snapshot.calibration,
        source,
        snapshot.probe,
        disks=snapshot.disks,
        calibrated=snapshot.calibrated,
    )
    found = identify(replace(snapshot.job, phases=phases), at, Observer(lambda step: progress), have)
    return Compared(found, [by_phase[id(each.phase)] for each in found.evidence], gathered.left_out)


def _told(left_out: dict[str, str]) -> str:
    """Say which files were left out and why; nothing of crystals that the program has too."""
    files = {name: why for name, why in left_out.items() if name not in bundled()}
    lines = []
    for source, why in list(files.items())[:NAMED]:
        name = Path(source).name
        lines.append(why if name in why else f"{name}: {why}")
    more = len(files) - NAMED
    return "\n".join([*lines, *([f"and {more} more files left out."] if more > 0 else [])])


def _rounded(share: float) -> float | None:
    return None if math.isnan(share) else round(share, 2)

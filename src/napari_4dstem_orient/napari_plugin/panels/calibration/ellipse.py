"""Whether the diffraction rings are round, and a button that makes them so."""

from __future__ import annotations

from collections.abc import Callable

import napari
import numpy as np

from napari_4dstem_orient.calibration.calibrate import CalibrationSettings
from napari_4dstem_orient.calibration.ellipse import CHECK, GOOD, EllipseFit, fit_ellipse
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.distortion import Distortion, ratio_and_axis
from napari_4dstem_orient.napari_plugin.panels.base import button
from napari_4dstem_orient.napari_plugin.panels.calibration.figure import BLUE, ORANGE, DisksFigure
from napari_4dstem_orient.napari_plugin.panels.shared.plot_canvas import dress
from napari_4dstem_orient.napari_plugin.qt.boxes import row
from napari_4dstem_orient.napari_plugin.qt.endings import Endings

JUDGED = f"Good below {1 + GOOD:g}, poor from {1 + CHECK:g}."
NONE = (0.0, 0.0)

SECTOR = 20
"""Degrees of azimuth whose disks are drawn as one median, too: single disks scatter more than rings are elliptical."""


class EllipseSection(DisksFigure):
    """The radius of the rings against azimuth."""

    HEIGHT = 135
    SAYS = "Deviation of the rings' radius in per cent against azimuth in degrees"

    def __init__(
        self, viewer: napari.Viewer, endings: Endings, centring: Callable[[], CalibrationSettings]
    ) -> None:
        super().__init__(viewer, endings, centring)
        self._before: Distortion = NONE
        self.correct_button = button(
            "Correct it",
            "Undo this distortion where disks are calibrated; press Apply afterwards.",
            self.correct,
        )
        self.undo_button = button("Undo", "Go back to the distortion before it was corrected.", self.undo)
        self.column.addLayout(row(self.correct_button, self.undo_button))

    @staticmethod
    def compute(disks: BraggDisks, centring: CalibrationSettings) -> EllipseFit:
        """Fit the ellipse."""
        return fit_ellipse(disks, centring.fit(disks).origin)

    def refresh(self) -> None:
        """Show what is there, and let the ellipse be corrected where one was found."""
        super().refresh()
        self._enable()

    def correct(self) -> None:
        """Undo the distortion found where disks are calibrated."""
        if self.answer is not None:
            self._before = self.session.calibration.distortion
            self._set(self.answer.distortion)

    def undo(self) -> None:
        """Take the correction back."""
        before = self._before if self._before != self.session.calibration.distortion else NONE
        self._set(before)

    def _set(self, distortion: Distortion) -> None:
        self.session.set_calibration(self.session.calibration.with_(distortion=distortion))

    def _forget(self) -> None:
        super()._forget()
        self._before = NONE

    def _enable(self) -> None:
        fit, corrected = self.answer, self.session.calibration.distortion
        self.correct_button.setEnabled(fit is not None and fit.trustworthy and fit.distortion != corrected)
        self.undo_button.setEnabled(corrected != NONE)

    def show_answer(self, fit: EllipseFit, color: str) -> None:
        """Draw the disks on rings with the fitted cosine."""
        corrected = self.session.calibration.distortion
        axes = self.canvas.figure.subplots()
        if len(fit.azimuth):
            size = 1 + 14 * fit.weight / fit.weight.max()
            axes.scatter(fit.azimuth, 100 * fit.deviation, s=size, color=BLUE, alpha=0.5, linewidths=0)
            axes.plot(*medians(fit), "s", color=color, markersize=3, label="median")
            span = max(
                160 * float(np.hypot(*fit.distortion)), float(np.quantile(np.abs(100 * fit.deviation), 0.8))
            )
            axes.set_ylim(-span, 1.5 * span)  # with room for the legend
        angle = np.linspace(0, 360, 181)
        axes.plot(angle, 100 * cosine(fit.distortion, angle), color=ORANGE, linewidth=1.5, label="fit")
        if corrected != NONE:
            undone = 100 * cosine(corrected, angle)
            axes.plot(angle, undone, color=color, linewidth=1, linestyle="--", label="corrected")
        axes.axhline(0, color=color, linewidth=0.4)
        axes.set_xlim(0, 360)
        axes.set_xticks(range(0, 361, 90))
        axes.set_xlabel("azimuth from the detector's first axis (°)")
        axes.set_ylabel("|q| / ring − 1 (%)")
        axes.legend(loc="upper right", framealpha=0, ncols=3)
        dress(axes, color)
        self.words.setText(_words(fit, corrected))
        self._enable()


def cosine(distortion: Distortion, azimuth: np.ndarray) -> np.ndarray:
    """Return by how much a ring is larger, relatively, at each azimuth (degrees)."""
    twice = np.deg2rad(2 * azimuth)
    return distortion[0] * np.cos(twice) + distortion[1] * np.sin(twice)


def medians(fit: EllipseFit) -> tuple[np.ndarray, np.ndarray]:
    """Return the middles (degrees) of the sectors that have disks, and their median deviation in per cent."""
    sector = (fit.azimuth // SECTOR).astype(int)
    found = np.unique(sector)
    percent = [100 * float(np.median(fit.deviation[sector == each])) for each in found]
    return (found + 0.5) * SECTOR, np.array(percent)


def _words(fit: EllipseFit, corrected: Distortion) -> str:
    lines = [f"{fit.quality(corrected).text}."]
    if fit.doubts:
        lines.append(f"Not to be trusted: {'; '.join(fit.doubts)}.")
    if np.isfinite(fit.error):
        # ratio = (1 + e) / (1 - e): its error is twice that of e.
        lines.append(
            f"Long over short axis {fit.ratio:.4f} ± {2 * fit.error:.4f}, "
            f"long axis {fit.axis:.0f}° from the detector's first axis "
            f"(down the rows) towards its second; {fit.rings} rings."
        )
    if corrected != NONE:
        left = ratio_and_axis(fit.remaining(corrected))[0]
        lines.append(f"Corrected by {ratio_and_axis(corrected)[0]:.4f}; {left:.4f} is left.")
    return " ".join([*lines, JUDGED])

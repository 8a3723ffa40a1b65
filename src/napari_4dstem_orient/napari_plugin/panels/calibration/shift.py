"""How the direct beam wanders over the scan, and how well the surface follows it."""

from __future__ import annotations

import numpy as np

from napari_4dstem_orient.calibration.calibrate import CalibrationSettings
from napari_4dstem_orient.calibration.origin import GOOD_SHARE, POOR_SHARE, OriginFit
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.napari_plugin.panels.calibration.figure import DisksFigure
from napari_4dstem_orient.napari_plugin.panels.shared.plot_canvas import dress
from napari_4dstem_orient.workflow.session import Stage

COLORS = "RdBu_r"
"""Diverging, and told apart by the colour-blind."""

LEAST_SPAN = 0.05
"""Px: smaller shifts do not fill the colours."""

LONGEST = 3.0
"""Rows over columns of a scan, or the inverse, beyond which its maps are stretched to be seen."""


class ShiftSection(DisksFigure):
    """Maps of the direct beam's shift along both axes of the detector: measured, fitted and what is left."""

    HEIGHT = 240
    SAYS = "Shift of the direct beam over the scan: measured, fitted and residual"

    @staticmethod
    def compute(disks: BraggDisks, centring: CalibrationSettings) -> OriginFit:
        """Fit the direct beam."""
        return centring.fit(disks)

    def show_answer(self, fit: OriginFit, color: str) -> None:
        """Draw the maps: detector y above, detector x below."""
        grid = self.canvas.figure.subplots(2, 3, sharex=True, sharey=True)
        rows, cols = fit.origin.shape[:2]
        aspect = "equal" if max(rows / cols, cols / rows) <= LONGEST else "auto"
        shifts = fit.shifts
        spans = [_span(*shifts[:2])] * 2 + [_span(shifts[2])]
        for column, title in enumerate(("measured", "fitted", "residual")):
            for row, name in enumerate(("detector y", "detector x")):
                axes = grid[row, column]
                shown = axes.imshow(
                    np.ma.masked_invalid(shifts[column][..., row]),
                    cmap=COLORS,
                    vmin=-spans[column],
                    vmax=spans[column],
                    aspect=aspect,
                    interpolation="nearest",
                )
                axes.set(
                    xticks=[], yticks=[], title=title if row == 0 else "", ylabel=name if column == 0 else ""
                )
                dress(axes, color)
                axes.patch.set(color="#808080", alpha=1)
            if column:
                over = grid[:, :2] if column == 1 else grid[:, 2:]
                name = "shift (px)" if column == 1 else "residual (px)"
                bar = self.canvas.figure.colorbar(
                    shown, ax=over, orientation="horizontal", aspect=25, pad=0.03
                )
                ends = f"{spans[column]:.2g}"
                bar.set_ticks([-spans[column], 0, spans[column]], labels=[f"−{ends}", "0", ends])
                bar.set_label(name)
                dress(bar.ax, color)
        probe = self.session.get(Stage.PROBE)
        self.words.setText(_words(fit, None if probe is None else float(probe.radius)))


def _span(*shifts: np.ndarray) -> float:
    """Return the end of a colour scale around zero that a few outliers do not stretch."""
    sizes = np.concatenate([np.abs(each[np.isfinite(each)]) for each in shifts])
    return max(float(np.quantile(sizes, 0.99)) if len(sizes) else 0.0, LEAST_SPAN)


def _words(fit: OriginFit, radius: float | None) -> str:
    judged = f"Good below {GOOD_SHARE:g} of a disk's radius, poor from {POOR_SHARE:g}"
    if radius is None:
        limits = f"{judged}; the radius is not known (choose a probe in Bragg disks)."
    else:
        limits = f"{judged}: {GOOD_SHARE * radius:.2f} and {POOR_SHARE * radius:.2f} px."
    lost = " Grey: not found." if fit.used < 1 else ""
    return (
        f"{fit.quality(radius).text}. Root mean square {fit.residual:.2f} px from {fit.reference}; direct beam found "
        f"in {fit.used:.0%} of the patterns.{lost} {limits}"
    )

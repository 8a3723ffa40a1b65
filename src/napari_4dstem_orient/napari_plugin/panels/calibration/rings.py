"""A crystal's rings over all disks or the mean pattern, moved by hand until they lie where they should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import napari
import numpy as np
from psygnal import Signal
from qtpy.QtWidgets import QTabBar, QWidget

from napari_4dstem_orient.calibration.calibrate import CalibrationSettings
from napari_4dstem_orient.calibration.origin import centred
from napari_4dstem_orient.calibration.pixel_size import GUESS_RANGE
from napari_4dstem_orient.calibration.ring_residuals import RingResiduals, residuals_at
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.distortion import (
    Distortion,
    distorted,
    from_ratio_and_axis,
    ratio_and_axis,
    undistorted,
)
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.scan import Calibration, Scan
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.crystals.rings import Rings, rings_of
from napari_4dstem_orient.detection.patterns import aligned_mean, sample_patterns
from napari_4dstem_orient.detection.vector_map import bragg_vector_map, vector_map_frame
from napari_4dstem_orient.napari_plugin.panels.base import wrapped
from napari_4dstem_orient.napari_plugin.pattern_view.overlays import circles
from napari_4dstem_orient.napari_plugin.pattern_view.pattern_canvas import PatternCanvas
from napari_4dstem_orient.napari_plugin.pattern_view.spot_matching import plane_text
from napari_4dstem_orient.napari_plugin.qt.boxes import column, row
from napari_4dstem_orient.napari_plugin.qt.endings import Endings
from napari_4dstem_orient.napari_plugin.qt.jobs import notify
from napari_4dstem_orient.napari_plugin.qt.labelled_slider import LabelledSlider
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.workflow.session import Stage

RINGS_SHOWN = 8
"""More would hide the disks they lie on."""
APART = 0.06
"""Of the picture's height: labels nearer than that would cover each other."""
PATTERNS = 128
"""Of which the mean pattern is."""
CLEAR = 0.7
"""Opacity of the rings, so that the disks below them are seen."""
STEP = 5e-4
"""Of the slider, relative to the pixel size that it begins at."""
START = 0.4
"""Where the third ring lies, in halves of the picture, as long as the pixel size is not known."""
PIXEL: dict[str, Any] = {
    **{"label": "Pixel (Å⁻¹)", "min": 0.0, "max": 1.0, "step": 1e-4},
    "tooltip": "Size of a detector pixel: smaller makes the rings larger.",
}
RATIO: dict[str, Any] = {
    **{"label": "Long/short axis ()", "min": 1.0, "max": 1.12, "step": 0.001},
    "tooltip": "How elliptical the detector shows rings: long over short axis.",
}
AXIS: dict[str, Any] = {
    **{"label": "Long axis (°)", "min": 0.0, "max": 180.0, "step": 1.0},
    "tooltip": "Direction of the long axis, from the detector's first axis (down the rows) towards its second.",
}


@dataclass(frozen=True)
class Trial:
    """A pixel size and an ellipse that are looked at, before they are taken.

    Attributes
    ----------
    q_pixel : float or None
        Å⁻¹.
    distortion : (float, float)
        As ``Calibration.distortion``.
    q_pixel_from : str
        As ``Calibration.q_pixel_from``.
    """

    q_pixel: float | None
    distortion: Distortion
    q_pixel_from: str

    @classmethod
    def of(cls, known: Calibration) -> Trial:
        """Return what is known."""
        return cls(known.q_pixel, known.distortion, known.q_pixel_from)


@dataclass(frozen=True, eq=False)
class Places:
    """Where the sure disks of a scan lie from the direct beam of their pattern.

    Attributes
    ----------
    x, y : ndarray, shape (n,)
        Detector pixels.
    beam : ndarray, shape (2,)
        The mean direct beam, in px.
    sure : BraggDisks
    """

    x: np.ndarray
    y: np.ndarray
    beam: np.ndarray
    sure: BraggDisks

    @classmethod
    def of(cls, disks: BraggDisks, centring: CalibrationSettings) -> Places:
        """Find the direct beam, which takes a while."""
        origin, sure = centring.fit(disks).origin, disks.sure()
        return cls(*centred(sure, origin), origin.mean(axis=(0, 1)), sure)

    def residuals(self, crystal: Phase, trial: Trial) -> RingResiduals:
        """Compare with a crystal's rings."""
        round_ones = undistorted(self.x, self.y, trial.distortion)
        return residuals_at(*round_ones, self.sure.intensity, crystal, float(trial.q_pixel or 0.0))


@dataclass(frozen=True, eq=False)
class Picture:
    """What the rings lie over.

    Attributes
    ----------
    image : ndarray, shape (rows, cols)
    middle : ndarray, shape (2,)
        The direct beam, in pixels of the picture.
    step : float or None
        Å⁻¹ per pixel where the picture has a scale of its own; None for detector pixels.
    """

    image: np.ndarray
    middle: np.ndarray
    step: float | None = None


class RingsByHand(QWidget):
    """A picture with a crystal's rings and their hkl, and sliders that move them.

    Parameters
    ----------
    viewer : napari.Viewer
    endings : Endings
        Of the panel.
    centring : callable
        Returns how the direct beam is found.

    Signals
    -------
    changed : Signal()
        The user has moved the rings.
    """

    changed = Signal()

    def __init__(
        self, viewer: napari.Viewer, endings: Endings, centring: Callable[[], CalibrationSettings]
    ) -> None:
        super().__init__()
        self.session, self._centring = session_for(viewer), centring
        self.crystal: Phase | None = None
        """Whose rings are shown."""
        self._moved: Trial | None = None
        self._known = Trial.of(self.session.calibration)
        self._asked: tuple[Any, ...] = ()
        self._places: Places | None = None
        self._picture: Picture | None = None
        self.view = PatternCanvas("", (150, 150))
        self.tabs = QTabBar()
        self.tabs.setExpanding(False)
        for title, tooltip in (
            ("All disks", "All disks of the scan, each from the direct beam of its pattern."),
            ("Mean pattern", f"Mean of {PATTERNS} patterns spread over the scan, the beam's shifts undone."),
        ):
            self.tabs.setTabToolTip(self.tabs.addTab(title), tooltip)
        self.tabs.currentChanged.connect(self.refresh)
        self.pixel, self.ratio, self.axis = (LabelledSlider(of, of["min"]) for of in (PIXEL, RATIO, AXIS))
        self.words = wrapped()
        for slider in self.sliders:
            slider.slider.valueChanged.connect(self._on_moved)
            slider.slider.sliderReleased.connect(self._make_room)
        sliders = row((self.pixel, 2), (self.ratio, 2), (self.axis, 1))
        column(self, self.tabs, (self.view, 1), sliders, self.words).setSpacing(2)
        self._pictures = endings.latest(self._take_picture, self._say_why_not)
        self._judges = endings.latest(self._take_residuals, self._say_why_not)

    @property
    def sliders(self) -> tuple[LabelledSlider, ...]:
        """All of them."""
        return self.pixel, self.ratio, self.axis

    @property
    def trial(self) -> Trial:
        """What the rings show."""
        return self._moved or Trial.of(self.session.calibration)

    @property
    def is_known(self) -> bool:
        """Whether the rings show what is used already, if anything."""
        known, trial = self.session.calibration, self.trial
        return (trial.q_pixel, trial.distortion) == (known.q_pixel, known.distortion)

    def show_rings(self, crystal: Phase | None) -> None:
        """Show the rings of a crystal; None: of none."""
        self.crystal = crystal
        self.refresh()

    def try_out(self, trial: Trial | None) -> None:
        """Show other rings; None: those of what is used."""
        self._moved = trial
        self._aim()
        self.refresh()

    def refresh(self) -> None:
        """Follow the session, the sliders and the tabs."""
        self._follow(Trial.of(self.session.calibration))
        disks, calibrated = self.session.get(Stage.DISKS), self.session.get(Stage.CALIBRATED)
        scan, raw = self.session.get(Stage.SCAN), disks is not None and not disks.calibrated
        has = bool(raw and len(disks)) or bool(calibrated is not None and len(calibrated))
        for slider in self.sliders:
            slider.setEnabled(raw)
        self.tabs.setTabEnabled(1, raw and scan is not None)
        if not has:
            self._asked, self._picture = (), None
            self.view.clear("All disks, once they are found")
            self.words.hide()
            return
        mean = raw and scan is not None and self.tabs.currentIndex() == 1
        asked = (disks if raw else calibrated, self._centring(), scan.data if mean else None)
        if not _same(asked, self._asked):
            if not _same(asked[:2], self._asked[:2]):
                self._places = None
            self._asked, self._picture = asked, None
            self._pictures.drop()
            if raw:
                self.view.clear("Adding up …")
                how = disks, self._centring(), self._places, scan if mean else None
                self._pictures.ask(partial(_look, *how))
            else:
                (step, _), (start, _) = vector_map_frame(calibrated)
                self._picture = Picture(bragg_vector_map(calibrated) ** 0.5, np.full(2, -start / step), step)
            self._aim()
        self._show()
        self._judge()

    def _follow(self, known: Trial) -> None:
        """Give up what was moved by hand once something else is used; a fit is still offered."""
        if known != self._known:
            self._known, moved = known, self._moved
            if moved is not None:
                by_hand = moved.q_pixel_from == "typed"
                self._moved = None if by_hand else replace(moved, distortion=known.distortion)
            self._aim()

    def _aim(self) -> None:
        """Let the sliders show the trial, the pixel's in the middle of its range."""
        trial = self.trial
        start = trial.q_pixel or self._guess()
        if start is not None:
            span = GUESS_RANGE if trial.q_pixel else 0.8
            self.pixel.set_range(start * (1 - span), start * (1 + span), start * STEP)
            self.pixel.show_value(start)
        ratio, axis = ratio_and_axis(trial.distortion)
        self.ratio.show_value(ratio)
        self.axis.show_value(axis)

    def _guess(self) -> float | None:
        """Return a pixel size that shows some rings; None without a crystal or disks."""
        disks = self.session.get(Stage.DISKS)
        if self.crystal is None or disks is None or disks.detector_shape is None:
            return None
        radii = rings_of(self.crystal, 4.0 / min(self.crystal.cell[:3])).radii[:3]
        return float(radii[-1] / (START * min(disks.detector_shape) / 2)) if len(radii) else None

    def _on_moved(self, *_: object) -> None:
        former = self.trial
        if self.sender() is self.pixel.slider:
            self._moved = replace(former, q_pixel=self.pixel.value, q_pixel_from="typed")
        else:
            self._moved = replace(former, distortion=from_ratio_and_axis(self.ratio.value, self.axis.value))
        self._show()
        self._judge()
        self.changed.emit()

    def _make_room(self) -> None:
        """Let a slider that was moved to its end go on from there."""
        slider = self.pixel.slider
        if slider.value() in (slider.minimum(), slider.maximum()):
            self._aim()

    # ---------------------------------------------------------------- what is seen

    def _take_picture(self, seen: tuple[Places, Picture]) -> None:
        self._places, self._picture = seen
        self._show()
        self._judge()

    def _show(self) -> None:
        picture, trial = self._picture, self.trial
        if picture is None:
            return
        step = picture.step or trial.q_pixel
        self.view.show_pattern(picture.image, step, [])
        if self.crystal is None or step is None:
            return
        distortion = trial.distortion if picture.step is None else (0.0, 0.0)
        rings = rings_of(self.crystal, 0.5 * np.sqrt(2) * max(picture.image.shape) * step)
        few = Rings(*(each[:RINGS_SHOWN] for each in rings))
        marks = circles("rings", picture.middle, few.radii / step, distortion)
        self.view.show_marks([replace(mark, opacity=np.array([CLEAR])) for mark in marks])
        apart = APART * min(picture.image.shape) / self.view.canvas.lens.zoom
        self.view.show_labels(_labels(few, picture.middle, step, distortion, apart, self.crystal))

    def _judge(self) -> None:
        """Ask how well the rings lie."""
        places, crystal, trial = self._places, self.crystal, self.trial
        if places is not None and crystal is not None and self._moved is not None and trial.q_pixel:
            self._judges.ask(partial(places.residuals, crystal, trial))
        else:
            self._judges.drop()
            self.words.hide()

    def _take_residuals(self, found: RingResiduals) -> None:
        how = f"{len(found.expected)} rings lie {found.rms[1]:.2%} off" if len(found.expected) else "No rings"
        unused = "" if self.is_known else " Not in use yet: press Use it."
        self.words.setText(
            f"{found.quality.text}: {how}, {found.explained:.0%} of the disks on rings.{unused}"
        )
        self.words.show()

    def _say_why_not(self, error: Exception) -> None:
        if not isinstance(error, UserError):
            notify(error)
            return
        self.words.setText(str(error))
        self.words.show()


def _look(
    disks: BraggDisks, centring: CalibrationSettings, places: Places | None, scan: Scan | None
) -> tuple[Places, Picture]:
    """Return where the disks lie, and a picture: of all of them, or, with a scan, of its mean pattern."""
    places = places or Places.of(disks, centring)
    if scan is not None:
        mean = aligned_mean(sample_patterns(scan, PATTERNS))
        return places, Picture(np.maximum(mean, 0), places.beam)
    x, y = places.x, places.y
    rows, cols = disks.detector_shape or (2 * int(np.abs(x).max()) + 2, 2 * int(np.abs(y).max()) + 2)
    middle = np.array([rows // 2, cols // 2])
    qx, qy = (x + middle[0]).astype(np.float32), (y + middle[1]).astype(np.float32)
    moved = replace(places.sure, qx=qx, qy=qy, origin=None, detector_shape=(rows, cols))
    return places, Picture(bragg_vector_map(moved) ** 0.5, middle)


def _labels(
    rings: Rings, middle: np.ndarray, step: float, distortion: Distortion, apart: float, crystal: Phase
) -> list[tuple[np.ndarray, str]]:
    """Name the rings that have room for it, each at its upper right."""
    made, last = [], -np.inf
    for radius, hkl in zip(rings.radii / step, rings.hkl, strict=True):
        if radius - last >= apart:
            across = np.array([radius / np.sqrt(2)])
            made.append((middle + np.ravel(distorted(-across, across, distortion)), plane_text(hkl, crystal)))
            last = radius
    return made


def _same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Tell whether disks and patterns are the same objects, and settings equal."""
    return len(one) == len(other) and all(
        a is b or (isinstance(a, CalibrationSettings) and a == b) for a, b in zip(one, other, strict=True)
    )

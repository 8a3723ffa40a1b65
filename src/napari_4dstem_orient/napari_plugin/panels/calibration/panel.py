"""Step 3, Calibration: direct beam, detector pixel, rotation; and whether to believe them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import napari
from matplotlib.figure import Figure
from qtpy.QtWidgets import QComboBox

from napari_4dstem_orient.calibration.calibrate import CalibrationReport, CalibrationSettings
from napari_4dstem_orient.calibration.pixel_size import PixelSizeFit, fit_q_pixel
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.progress import Progress
from napari_4dstem_orient.crystals.library import bundled, crystals_in, find_phase, title_of
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.detection.vector_map import bragg_vector_map
from napari_4dstem_orient.napari_plugin.panels.base import StepWidget, button, needs_text, section, wrapped
from napari_4dstem_orient.napari_plugin.panels.calibration.axes import AxesSection
from napari_4dstem_orient.napari_plugin.panels.calibration.ellipse import EllipseSection
from napari_4dstem_orient.napari_plugin.panels.calibration.figure import CalibrationFigure
from napari_4dstem_orient.napari_plugin.panels.calibration.residuals import ResidualsSection, draw_rings
from napari_4dstem_orient.napari_plugin.panels.calibration.rings import RingsByHand, Trial
from napari_4dstem_orient.napari_plugin.panels.calibration.shift import ShiftSection
from napari_4dstem_orient.napari_plugin.panels.shared.calibration_fields import CalibrationFields
from napari_4dstem_orient.napari_plugin.panels.shared.instrument import InstrumentMenu
from napari_4dstem_orient.napari_plugin.panels.shared.plot_canvas import Plot, dress
from napari_4dstem_orient.napari_plugin.qt.boxes import fill, row
from napari_4dstem_orient.napari_plugin.qt.collapsible import Section
from napari_4dstem_orient.napari_plugin.qt.dialogs import open_file
from napari_4dstem_orient.napari_plugin.qt.forms import form_for
from napari_4dstem_orient.napari_plugin.qt.jobs import telling
from napari_4dstem_orient.napari_plugin.qt.tones import Tone, set_tone
from napari_4dstem_orient.workflow.job import Job, Key
from napari_4dstem_orient.workflow.run import Results, run
from napari_4dstem_orient.workflow.session import Stage

PixelFit = tuple[PixelSizeFit, Phase]
"""A fitted detector pixel, and the crystal it was fitted to."""
FROM_FILE = "CIF …"


class CalibrationWidget(StepWidget):
    """Turn disks in pixels into disks in Å⁻¹ from the direct beam, in the scan's frame."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._fit: PixelFit | None = None
        self._report: CalibrationReport | None = None
        self._mapped: tuple[Phase, ...] = ()
        self.fields = CalibrationFields(self.session, ("q_pixel", "rotation", "flip"))
        self.crystal = CrystalChooser()
        self.fit_button = button(
            "Fit its rings", "Fit the detector pixel to this crystal, which must be in the scan.", self.fit
        )
        self.plot = Plot(napari_viewer, self.endings, 125, "Disks over |q| with the known crystal's rings")
        self.use_button = button(
            "Use it",
            "Take the pixel size and the ellipse that the rings show, fitted or by hand.",
            self.use_rings,
        )
        self.form = form_for(CalibrationSettings)
        self.rings = RingsByHand(napari_viewer, self.endings, self.form.settings)
        self.view = self.rings.view
        self.state = wrapped()
        self.apply_button = button(
            "Apply", "Fit the direct beam over the scan and calibrate all disks.", self.apply
        )
        of = napari_viewer, self.endings
        self.figures: dict[str, CalibrationFigure] = {
            "Ellipticity": EllipseSection(*of, self.form.settings),
            "Ring residuals": ResidualsSection(*of, lambda: self.crystal.choice),
            "Rotation and flip": AxesSection(*of, self._turn),
            "Direct-beam shift": ShiftSection(*of, self.form.settings),
        }
        self.sections = {title: Section(title, figure) for title, figure in self.figures.items()}
        instrument_menu = InstrumentMenu(napari_viewer, self.endings)
        fill(self.body, section("Known crystal"))
        fill(self.body, row((self.crystal, 1), (self.fit_button, 1), (self.use_button, 1)))
        fill(
            self.body,
            (self.plot, 1),
            (self.rings, 2),
            row((section("Detector"), 1), instrument_menu),
            self.fields,
        )
        fill(self.body, section("Direct beam"), self.form.native, *self.sections.values())
        fill(self.footer, self.state, self.apply_button)
        self.form.changed.connect(self._refresh_figures)
        self.fields.inputs["rotation"].native.textEdited.connect(self.figures["Rotation and flip"].refresh)
        self.crystal.currentIndexChanged.connect(self._on_crystal)
        self.rings.changed.connect(self._show_fit)
        self.endings.listen(self.session.job_changed, self._on_job)
        self._on_job()
        self.refresh()

    def _turn(self) -> tuple[float, bool]:
        flip = self.fields.flip
        return self.fields.inputs["rotation"].value or 0.0, flip is not None and flip.isChecked()

    def _on_crystal(self, index: int) -> None:
        if self.crystal.currentData() is not None:  # and not "CIF …"
            self.figures["Ring residuals"].refresh()
            self.rings.show_rings(phase_of(self.crystal.choice))

    def _on_job(self) -> None:
        phases = self.session.job.phases[:1]
        if phases != self._mapped:
            self._mapped = phases
            for phase in phases:
                self.crystal.choose(phase)
                self.rings.show_rings(phase)  # it may have been chosen before

    def _refresh_figures(self) -> None:
        for figure in self.figures.values():
            figure.refresh()

    def fit(self) -> None:
        """Fit the detector pixel to the rings of the chosen crystal, from where they lie."""
        disks = self.session.get(Stage.DISKS)
        if disks is None or self.jobs.running:
            return
        asked = disks, self.crystal.choice, self.rings.trial, self.form.settings()
        self.jobs.run("Fitting the rings", self._take_fit, _fit, *asked)

    def use_rings(self) -> None:
        """Take the pixel size and the ellipse that the rings show."""
        self.session.set_calibration(self.session.calibration.with_(**vars(self.rings.trial)))
        self.rings.try_out(None)
        self._show_fit()

    def make(self, key: Key) -> None:
        """Calibrate; a detector pixel that nobody checked is fitted to the rings of the first crystal of the map.

        One that the user typed stays.
        """
        phases, known = self.session.job.phases, self.session.calibration
        unchecked = known.q_pixel is None or known.q_pixel_from in ("file", "unknown", "instrument")
        self.apply(phases[0] if phases and unchecked else None)

    def apply(self, crystal: Phase | None = None) -> None:
        """Calibrate; what was there stays if it fails.

        With a crystal, the detector pixel is fitted to its rings, and taken if it was unknown or the fit is good.
        """
        disks = self.session.get(Stage.DISKS)
        if disks is not None and not self.jobs.running:
            self.session.choose(centring=self.form.settings())
            job, known = self.session.job_for(Stage.CALIBRATED), self.session.calibration
            have = Results(disks=disks, calibration=known)
            self.jobs.run("Calibrating", self._take, _calibrate, replace(job, ring_crystal=crystal), have)

    def refresh(self) -> None:
        """Say what is missing, show what is known, and let disks be calibrated where there are some."""
        disks, calibrated = self.session.get(Stage.DISKS), self.session.get(Stage.CALIBRATED)
        ready = disks is not None and not self.jobs.running
        missing = [] if calibrated is not None else self.session.missing(Stage.CALIBRATED)
        self.say_needs(needs_text(missing))
        self.fields.refresh()
        self.fields.setEnabled(self.session.scan_shape is not None)
        self.crystal.setEnabled(ready)
        self.fit_button.setEnabled(ready)
        self.apply_button.setEnabled(ready and self.session.calibration.q_pixel is not None)
        if disks is None or self.session.is_stale(Stage.DISKS):
            self._fit = None
        self.rings.refresh()
        self._show_fit()
        self._say_state(calibrated, disks)
        self._refresh_figures()

    def forget(self) -> None:
        """Say nothing that was found in the former scan."""
        self._fit = self._report = None
        self.rings.try_out(None)

    def _take(self, calibrated: tuple[Job, Results]) -> None:
        job, done = calibrated
        if job.ring_crystal is not None and done.pixel_fit is not None and done.calibration is not None:
            self._take_fit((done.pixel_fit, job.ring_crystal))
            self.session.set_calibration(done.calibration)
            # Made again it shall be with just this pixel.
            given = {**job.calibration, **vars(Trial.of(done.calibration))}
            job = replace(job, ring_crystal=None, calibration=given)
        self._report = done.report
        self.session.put(Stage.CALIBRATED, done.calibrated, job)

    def _take_fit(self, fit: PixelFit) -> None:
        self._fit, found = fit, fit[0]
        self.plot.show_figure(partial(_draw_fit, found), found.sentence)
        set_tone(self.plot.words, Tone.GOOD if found.trustworthy else Tone.DOUBTFUL)
        self.rings.crystal = fit[1]
        self.rings.try_out(Trial(found.q_pixel, self.rings.trial.distortion, found.q_pixel_from))
        self._show_fit()

    def _show_fit(self) -> None:
        fit = self._fit[0] if self._fit is not None else None
        self.plot.setVisible(fit is not None)
        trial = self.rings.trial
        self.use_button.setEnabled(trial.q_pixel is not None and not self.rings.is_known)
        self.use_button.setText("In use" if trial.q_pixel and self.rings.is_known else "Use it")

    def _say_state(self, calibrated: BraggDisks | None, disks: BraggDisks | None) -> None:
        text, tone = "", Tone.DOUBTFUL
        if calibrated is None:
            if disks is not None:
                known = self.session.calibration.q_pixel is not None
                text = "Not calibrated yet" + (
                    ": press Apply." if known else ": the detector pixel is unknown."
                )
        elif self.session.is_stale(Stage.CALIBRATED):
            text = "Disks or calibration have changed since: press Apply again."
        elif self._report is not None:
            text = " ".join([self._report.summary, *self._report.warnings])
            tone = Tone.DOUBTFUL if self._report.warnings else Tone.GOOD
        else:
            told = calibrated.provenance.get("calibration", {}).get("warnings", [])
            text, tone = " ".join(["Calibrated.", *told]), Tone.DOUBTFUL if told else Tone.GOOD
        self.state.setText(text)
        set_tone(self.state, tone)
        self.state.setVisible(bool(text))


class CrystalChooser(QComboBox):
    """The bundled crystals, and any CIF."""

    def __init__(self) -> None:
        super().__init__()
        for name, path in bundled().items():
            self.addItem(name, str(path))
        self.addItem(FROM_FILE)
        self.activated.connect(self._on_activated)

    @property
    def choice(self) -> str | Phase:
        """Path of the chosen crystal's CIF, or the crystal."""
        found = self.currentData()
        return found if isinstance(found, Phase) else str(found)

    def choose(self, phase: Phase) -> None:
        """Choose a crystal that is mapped; offer it where no entry has its name."""
        if (there := self.findText(phase.name)) < 0:
            there = self.count() - 1
            self.insertItem(there, phase.name, phase)
        self.setCurrentIndex(there)

    def add_file(self, path: str) -> None:
        """Offer, and choose, the crystal of a CIF; of several in a file the first.

        Raises
        ------
        UserError
            It cannot be read.
        """
        sources = crystals_in(path)
        find_phase(sources[0])
        before = self.count() - 1
        for source in sources:
            self.insertItem(self.count() - 1, title_of(source), source)
        self.setCurrentIndex(before)

    def _on_activated(self, index: int) -> None:
        if self.itemText(index) == FROM_FILE:
            self.setCurrentIndex(0)
            open_file(self, "Open a crystal", "Crystals (*.cif);;All files (*)", telling(self.add_file))


def _draw_fit(fit: PixelSizeFit, figure: Figure, color: str) -> None:
    axes = figure.subplots()
    draw_rings(axes, fit.profile_q, fit.profile, fit.expected)
    axes.set(xlabel="|q| (Å⁻¹): disks, and the crystal's rings", ylabel="√intensity")
    dress(axes, color)


def phase_of(crystal: str | Phase) -> Phase:
    """Return the crystal of a CIF, or the crystal itself."""
    return crystal if isinstance(crystal, Phase) else find_phase(crystal)


def _fit(
    disks: BraggDisks, crystal: str | Phase, begin: Trial, settings: CalibrationSettings, progress: Progress
) -> PixelFit:
    phase = phase_of(crystal)
    return fit_q_pixel(disks, phase, begin.q_pixel, settings.fit(disks).origin, begin.distortion), phase


def _calibrate(job: Job, have: Results, progress: Progress) -> tuple[Job, Results]:
    done = run(job, Stage.CALIBRATED, have=have)
    assert done.calibrated is not None
    bragg_vector_map(done.calibrated)  # so that it need not be made in the main thread
    return job, done

"""Compare: the transformer's answers beside template matching's, over the map and in a list of the worst."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import napari
import numpy as np
from napari.layers import Layer
from qtpy.QtWidgets import QHeaderView, QWidget

from napari_4dstem_orient.analysis.comparison import Agreement, Comparison, DomainSettings, compare_maps
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.parameters import from_plain
from napari_4dstem_orient.indexing.methods import METHODS, in_words, title_of
from napari_4dstem_orient.napari_plugin.layers.map_layers import add_map_layers
from napari_4dstem_orient.napari_plugin.layers.removal import take_away
from napari_4dstem_orient.napari_plugin.layers.scan_layers import find_layer, put_layer, title_colour_bar
from napari_4dstem_orient.napari_plugin.panels.base import StepWidget, button, needs_text, section, wrapped
from napari_4dstem_orient.napari_plugin.panels.compare.plots import ComparePlots
from napari_4dstem_orient.napari_plugin.panels.shared.table import Table
from napari_4dstem_orient.napari_plugin.qt.boxes import bare, choices, fill, form, row
from napari_4dstem_orient.napari_plugin.qt.dialogs import save_file
from napari_4dstem_orient.napari_plugin.qt.forms import form_for
from napari_4dstem_orient.napari_plugin.qt.jobs import telling
from napari_4dstem_orient.napari_plugin.qt.tones import Tone, set_tone
from napari_4dstem_orient.napari_plugin.state.indexers import can_map
from napari_4dstem_orient.napari_plugin.state.snapshot import Snapshot
from napari_4dstem_orient.workflow.job import Job
from napari_4dstem_orient.workflow.session import MapBy, Stage

TABLES = "Tables (*.csv)"
DIFFERENCE, CLASSES, DOMAINS = (
    "comparison: misorientation (°)",
    "comparison: not comparable",
    "comparison: highly correlated domains",
)
"""Our layers."""
SHOWN = {"Misorientation": (DIFFERENCE, CLASSES), "Highly correlated domains": (DOMAINS,), "Nothing": ()}
"""Which of them are on the map, by what is chosen."""
COMPARED = ("transformer", "template")
"""Compared at first; others may be chosen where there are more methods."""
CLASS_COLOURS = {1: "#D55E00", 2: "#56B4E9", 3: "#CC79A7", 4: "#000000"}
"""Of ``Agreement`` beside SAME_PHASE: Okabe and Ito's."""
DOMAIN_COLOUR = "#009E73"


class CompareWidget(StepWidget):
    """Shows where two methods differ, and goes to the positions where one is worse."""

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.found: Comparison | None = None
        self.choices = QWidget()
        self.one, self.other = choices("Which maps are compared."), choices("Which maps are compared.")
        self.choices.setLayout(bare(row((self.one, 1), (self.other, 1))))
        for box in (self.one, self.other):
            box.activated.connect(self._choose_maps)
        mapping = "Map the whole scan with the choices of the Map panel."
        self.run_buttons = {
            method: button(f"Run {in_words(method)}", mapping, partial(self.run, method))
            for method in METHODS
        }
        self.compare_button = button("Compare", "Compare both maps at every position.", self.compare)
        self.stale = wrapped()
        self.stale.setStyleSheet("font-weight: bold")
        set_tone(self.stale, Tone.DOUBTFUL)
        self.summary = wrapped()
        self.legend = wrapped()
        self.shown = choices("Which part of the comparison lies over the map.", SHOWN)
        self.shown.activated.connect(self._show_chosen)
        on_map = form({"On the map": self.shown})
        fill(self.body, self.choices, *self.run_buttons.values(), self.compare_button)
        fill(self.body, self.stale, self.summary, on_map, self.legend)
        self._build_list()
        self.form = form_for(DomainSettings)
        self.form.changed.connect(self._show_domains)
        self.share = wrapped()
        self.plots = ComparePlots(self.viewer, self.endings)
        fill(self.body, section("Highly correlated domains"), self.form.native, self.share, self.plots)
        save = partial(save_file, self, "Save the comparison", "comparison.csv", TABLES, self.save_table)
        self.save_button = button("Save table…", "Write every position's comparison as CSV.", save)
        self.footer.addWidget(self.save_button)
        self.endings.listen(self.session.position_changed, self._on_moved)
        self.endings.listen(self.session.job_changed, self.refresh)
        self.refresh()
        self._show_list()

    def _build_list(self) -> None:
        self.measure = choices("How well an answer explains the measured disks.")
        self.order = choices("Which positions are listed, the worst first.")
        self.table = Table()
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.chosen.connect(self._go)
        self.previous = button(
            "&Previous", "Go to the position above in the list.", partial(self.table.step, -1)
        )
        self.next = button("&Next", "Go to the position below in the list.", partial(self.table.step, 1))
        self.measure.activated.connect(self._show_results)
        self.order.activated.connect(self._show_list)
        fill(self.body, section("Where they differ"), form({"Measure": self.measure, "List": self.order}))
        fill(self.body, row((self.previous, 1), (self.next, 1)), self.table)

    def run(self, method: str, afresh: bool = False) -> None:
        """Map the whole scan by the method that is missing."""
        self.session.choose(method=method)
        snapshot = Snapshot.of(self.session)
        job, put = snapshot.job, partial(self._put_map, snapshot.job)
        long_run, resumed = self.long_run(partial(self.run, method), afresh)
        self.jobs.run(title_of(method), put, snapshot.map, job, long_run, lambda grown: None).keep(resumed)

    def _put_map(self, job: Job, made: OrientationMap) -> Iterator[None]:
        kept = self.session.put(Stage.MAP, made, job)
        yield
        add_map_layers(self.viewer, kept)

    @property
    def compared(self) -> tuple[str, str]:
        """The methods that are compared."""
        return self.one.currentData() or COMPARED[0], self.other.currentData() or COMPARED[1]

    def _choose_maps(self, *_: Any) -> None:
        if self.found is not None and self.found.names != self.compared:
            self.forget()
        self._show_list()
        self.refresh()

    def _offer_maps(self) -> None:
        """List the methods, and say of which the list of positions tells."""
        known = list(dict.fromkeys((*METHODS, *self.session.maps)))
        for box, chosen in zip((self.one, self.other), self.compared, strict=True):
            if [box.itemData(index) for index in range(box.count())] != known:
                box.clear()
                for method in known:
                    box.addItem(title_of(method), method)
                box.setCurrentIndex(max(box.findData(chosen), 0))
        self.choices.setVisible(len(known) > 2)
        order = max(self.order.currentIndex(), 0)
        self.order.clear()
        self.order.addItems(
            [*(f"{title_of(method)} worse" for method in self.compared), "Largest misorientation"]
        )
        self.order.setCurrentIndex(order)

    def compare(self) -> None:
        """Compare both maps in a thread."""
        snapshot = Snapshot.of(self.session)
        self.jobs.run(
            "Comparing",
            self._on_compared,
            compare_maps,
            *(snapshot.maps[method] for method in self.compared),
            snapshot.calibrated,
            snapshot.calibration,
            template=snapshot.job.settings.get("template"),
            device=snapshot.job.device,
        )

    def _on_compared(self, found: Comparison) -> Iterator[None]:
        self.found = found
        self.measure.clear()
        self.measure.addItems(list(found.similarity))
        for step in (
            self._put_difference,
            self._show_angles,
            self._put_classes,
            self.plots.take,
            self._show_list,
            self._show_domains,
            lambda found: self.plots.show_measure(self.measure.currentText()),
        ):
            if self.found is not None and self.found.angle is found.angle:  # and no map has gone meanwhile
                step(self.found)
            yield
        self.refresh()

    def _put_difference(self, found: Comparison) -> None:
        angle = np.nan_to_num(found.angle)
        top = max(5.0, float(np.percentile(angle, 99)))
        look: dict[str, Any] = {"colormap": "cividis", "contrast_limits": (0.0, top)}
        steps = self.session.calibration.steps
        look["visible"] = self._is_shown(DIFFERENCE)
        put_layer(self.viewer, DIFFERENCE, angle, steps, exploratory=found.exploratory, **look)

    def _show_angles(self, found: Comparison) -> None:
        if (layer := find_layer(self.viewer, DIFFERENCE)) is not None:
            title_colour_bar(layer)

    def _put_classes(self, found: Comparison) -> None:
        names = _class_names(found)
        layer = self._put_labels(CLASSES, found.agreement.astype(np.int32), CLASS_COLOURS)
        layer.features = {"answers": names}
        counts = np.bincount(found.agreement.ravel(), minlength=len(Agreement))
        there = [kind for kind in CLASS_COLOURS if counts[kind]]
        self.legend.setText("<br>".join(_legend_line(kind, names[kind], counts[kind]) for kind in there))

    def _put_labels(self, name: str, data: np.ndarray, colours: Mapping[Any, str]) -> Layer:
        from napari.utils.colormaps import DirectLabelColormap

        colormap = DirectLabelColormap(color_dict={None: "transparent", 0: "transparent", **colours})
        steps = self.session.calibration.steps
        look = {"colormap": colormap, "visible": self._is_shown(name)}
        return put_layer(self.viewer, name, data, steps, "labels", **look)

    def _is_shown(self, name: str) -> bool:
        return name in SHOWN[self.shown.currentText()]

    def _show_chosen(self, *_: Any) -> None:
        for name in (DIFFERENCE, CLASSES, DOMAINS):
            if (layer := find_layer(self.viewer, name)) is not None:
                layer.visible = self._is_shown(name)

    def _show_results(self, *_: Any) -> None:
        self._show_list()
        self._show_domains()
        self.plots.show_measure(self.measure.currentText())

    def _show_list(self, *_: Any) -> None:
        found, measure = self.found, self.measure.currentText()
        order, self._listed, values = self.order.currentIndex(), np.empty((0, 2), int), np.empty((3, 0))
        if found is not None and measure:
            self._listed = found.farthest() if order == 2 else found.worst(measure, order)
            rows, cols = self._listed.T
            values = np.stack(
                [*found.similarity[measure][:, rows, cols].round(3), found.angle[rows, cols].round(1)]
            )
        short = [f"{words[:5]}." if len(words) > 7 else words for words in map(in_words, self.compared)]
        told = [[None if np.isnan(value) else value for value in column] for column in values.tolist()]
        self.table.put(["row", "column", *short, "angle (°)"], [*self._listed.T.tolist(), *told])

    def _show_domains(self, *_: Any) -> None:
        if self.found is None or not self.measure.currentText():
            return
        domains = self.found.domains(self.measure.currentText(), self.form.settings())
        self._put_labels(DOMAINS, domains, {None: DOMAIN_COLOUR})
        self.share.setText(
            f"Green on the map where they are shown: {domains.max()} domains, {(domains > 0).mean():.0%} of the map."
        )

    def _go(self, line: int) -> None:
        self.session.move_to(*self._listed[line].tolist())

    def _on_moved(self, *position: int) -> None:
        """Mark the position in the list, where it is listed."""
        lines = np.flatnonzero((self._listed == position).all(axis=1))
        self.table.show_line(int(lines[0]) if len(lines) else -1)

    @telling
    def save_table(self, path: str | Path) -> None:
        """Write every position's comparison as CSV; what cannot be written is told."""
        if self.found is not None:
            measure = self.measure.currentText()
            self.found.save_table(path, self.found.domains(measure, self.form.settings()))

    def refresh(self) -> None:
        """Say what is missing and what was found."""
        self._offer_maps()
        one, other = self.compared
        missing = [method for method in dict.fromkeys(self.compared) if method not in self.session.maps]
        if self.found is not None and missing:
            self.forget()
        text = needs_text(self.session.missing(Stage.MAP)) if len(missing) == 2 else ""
        if missing and not text:
            names = " and ".join(map(in_words, missing))
            text = f"Needs: a map by {names}; run it here."
        job = self.session.job
        if missing and not all(can_map(job, method) for method in missing):
            text = text or "Needs: a crystal phase and a model (choose them in Map)."
        self.say_needs("Needs: two different methods." if one == other else text)
        calibrated = not self.session.missing(Stage.MAP)
        for method, run in self.run_buttons.items():
            run.setVisible(method in missing)
            run.setEnabled(calibrated and not self.jobs.running and can_map(job, method))
        self.compare_button.setEnabled(not missing and one != other and not self.jobs.running)
        for widget in (self.save_button, self.previous, self.next):
            widget.setEnabled(self.found is not None)
        self.summary.setText(_summary(self.found) if self.found is not None else "")
        self._take_steps()
        self.stale.setText(self._why_stale())
        self.stale.setVisible(bool(self.stale.text()))

    def _take_steps(self) -> None:
        """Tell distances with the maps' new scan steps, where only those have changed."""
        maps, found = tuple(self.session.get(MapBy(method)) for method in self.compared), self.found
        if found is None or maps == found.maps:
            return
        if all(
            one is not None and one.answers_as(former) for one, former in zip(maps, found.maps, strict=True)
        ):
            self.found = replace(found, maps=maps)
            self.plots.take(self.found)
            self.plots.show_measure(self.measure.currentText())

    def _why_stale(self) -> str:
        """Say why the comparison is not of what the session holds now, and what to do; empty where it is."""
        keys = [MapBy(method) for method in self.compared]
        if self.found is None:
            return ""
        if self.found.maps != tuple(map(self.session.get, keys)):
            return "Stale: a map has changed since. Press Compare again."
        if any(map(self.session.is_stale, keys)):
            return "Stale: a map was made from other disks. Map again, then press Compare."
        return ""

    def remember(self) -> dict[str, Any]:
        """Tell which methods' comparison is shown, and which part of it."""
        if self.found is None:
            return {}
        return {"compared": list(self.compared), "shown": self.shown.currentText()}

    def recall(self, told: dict[str, Any]) -> None:
        """Compare the same maps again."""
        was = from_plain(_Shown, told)
        self.shown.setCurrentIndex(max(self.shown.findText(was.shown), 0))
        for box, method in zip((self.one, self.other), was.compared, strict=True):
            box.setCurrentIndex(max(box.findData(method), 0))
        self.refresh()
        if self.compare_button.isEnabled():
            self.compare()

    def forget(self) -> None:
        """Show no comparison, nor what came of it."""
        self.found = None
        self.measure.clear()
        self.legend.clear()
        self.plots.take(None)
        self._show_list()
        self.share.clear()
        for name in (DIFFERENCE, CLASSES, DOMAINS):
            layer = find_layer(self.viewer, name)
            if layer is not None:
                take_away(self.viewer, layer)


@dataclass(frozen=True)
class _Shown:
    """What the panel remembers."""

    compared: tuple[str, str]
    shown: str = ""


def _class_names(found: Comparison) -> tuple[str, ...]:
    """Say in words what each ``Agreement`` means."""
    return ("", "different phase", *(f"only {in_words(method)}" for method in found.names), "neither")


def _legend_line(kind: int, name: str, count: int) -> str:
    """Show a class's colour as a square, framed so that it shows on every ground, with name and positions."""
    square = f'<span style="background: {CLASS_COLOURS[kind]}; color: gray">&nbsp;□&nbsp;</span>'
    return f"{square} {name}: {count:,}"


def _summary(found: Comparison) -> str:
    """Say how far both agree where both name the same phase."""
    same = found.angle[np.isfinite(found.angle)]
    text = f"{same.size:,} of {found.angle.size:,} positions have the same phase in both"
    if same.size:
        text += f": median {np.median(same):.1f}° apart, {(same <= 5).mean():.0%} within 5°"
    return f"{text}." + (f" {found.exploratory.capitalize()}." if found.exploratory else "")

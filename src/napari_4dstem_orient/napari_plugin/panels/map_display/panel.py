"""Map display: which channel of a map is shown, what is left out, and the key to its colours."""

from __future__ import annotations

from functools import partial
from typing import Any

import napari
from napari.layers import Layer
from napari.utils.theme import get_theme
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QLabel, QSlider
from superqt.utils import qdebounced

from napari_4dstem_orient.analysis.channels import channel_colors, channels_of
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.indexing.methods import title_of
from napari_4dstem_orient.napari_plugin.layers.hover import position_under
from napari_4dstem_orient.napari_plugin.layers.map_layers import (
    ALL_AXES,
    CRYSTAL,
    KIND,
    LOOK,
    MAP,
    TITLES,
    MapViewOptions,
    add_map_layers,
    applied_threshold,
    crystal_of,
    end_side_by_side,
    map_layers,
    other_scans,
    seen_in,
    seen_positions,
    set_look,
    show_channel,
    showing_alone,
    showing_beside,
    shown_layer,
    whole_of,
    without_doubtful,
)
from napari_4dstem_orient.napari_plugin.panels.base import StepWidget, button, wrapped
from napari_4dstem_orient.napari_plugin.panels.shared.color_key import Keys
from napari_4dstem_orient.napari_plugin.qt.boxes import choices, fill, form, row
from napari_4dstem_orient.workflow.session import Stage

NOTHING = "nothing"
CRYSTALS = ("first", "second", "third")
WATCHED = ("visible", "inserted", "removed", "reordered", "data")
"""What may happen to layers that changes what this panel says."""


class MapDisplayWidget(StepWidget):
    """Chooses the channel of the topmost visible map, hides and fades doubtful answers, and shows the key."""

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.channel = choices("What the map's colours stand for.")
        self.beside = choices("Another channel of the same map, shown beside the first.")
        for box in (self.channel, self.beside):  # their entries come with the first map
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.crystal = choices(
            "Which crystal of each pattern the map shows, and Analysis works on, where patterns hold several."
        )
        self.crystal.activated.connect(lambda index: self.session.look_at_crystal(1 + index if index else 0))
        self.channel.activated.connect(self._choose_channel)
        self.beside.activated.connect(self._choose_beside)
        self.threshold, threshold_row = _slider("Answers of less reliability (or score) are not shown.")
        self.fade, fade_row = _slider("How strongly less reliable answers fade; 0 for not at all.")
        self.threshold.valueChanged.connect(self._on_look)
        self.fade.valueChanged.connect(self._on_look)
        self.apply_button = button(
            "Apply", "Leave out for good, in exports and analysis; Apply at 0 takes it back.", self.apply
        )
        self.threshold_label, self.share = QLabel("Hide below"), wrapped()
        channels, looks = form({"Channel": self.channel, "Beside it": self.beside}), QFormLayout()
        self.crystals = form({"Crystal": self.crystal})
        channels.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapAllRows)  # their names are long
        looks.addRow(self.threshold_label, fill(threshold_row, self.apply_button))
        looks.addRow("Fade (%)", fade_row)
        for rows in (channels, looks):
            rows.setVerticalSpacing(2)
        self.hint = wrapped("The colour key appears here with the first orientation map.")
        self.keys = Keys()
        self.body.setAlignment(Qt.AlignmentFlag(0))
        fill(self.body, self.crystals, channels, looks, self.share, self.hint, (self.keys, 1))
        self._painter = self.endings.latest(self._on_painted)
        self._soon = qdebounced(self.refresh, timeout=0, parent=self)
        self.endings.callback(self._soon.cancel)
        self.endings.listen(self.viewer.layers.events, self._on_layers)
        self.endings.listen(self.viewer.events.theme, self._on_layers)
        self.endings.listen(self.session.position_changed, self._on_position)
        self.endings.listen(self.session.crystal_changed, self.refresh)
        self.viewer.mouse_move_callbacks.append(self._on_move)
        self.endings.callback(self.viewer.mouse_move_callbacks.remove, self._on_move)
        self.refresh()

    def refresh(self) -> None:
        """Show the channel, look and key of the topmost visible map."""
        layer = self._main()
        alone = (layer is None or not self._sides(layer)) and not other_scans(self.viewer)
        if alone and not self.turns.isActive():
            end_side_by_side(self.viewer)  # the user took one of the two away
        for widget in (self.channel, self.beside, self.threshold, self.fade):
            widget.setEnabled(layer is not None)
        self.hint.setVisible(layer is None)
        self.share.setVisible(layer is not None)
        self._show_crystals(layer)
        if layer is None:
            self.apply_button.setEnabled(False)
            self.keys.clear()
            return
        seen, sides = seen_in(layer), self._sides(layer)
        _fill(self.channel, channels_of(seen), layer.metadata[KIND])
        beside = ALL_AXES if len(sides) > 1 else sides[0].metadata[KIND] if sides else NOTHING
        _fill(self.beside, [NOTHING, ALL_AXES, *channels_of(seen)], beside)
        look = layer.metadata[LOOK]
        for slider, value in ((self.threshold, look.threshold), (self.fade, look.fade)):
            with QSignalBlocker(slider):
                slider.setValue(round(100 * value))
        quality = "score" if seen.certainty is None else "reliability"
        self.threshold_label.setText(f"Hide below\n{quality} (%)")
        self._say_share()
        colour = get_theme(self.viewer.theme).text.as_hex()
        self.keys.show_channel(seen, layer.metadata[KIND], colour)
        self._on_position(*(self.session.position or (0, 0)))

    def apply(self) -> None:
        """Make the session's map the one that is seen: what is hidden is not indexed."""
        layer = self._main()
        if layer is None:
            return
        shown = without_doubtful(layer.metadata[MAP], layer.metadata[LOOK].threshold)
        add_map_layers(self.viewer, self.session.put(Stage.MAP, shown, still_stale=True))

    def _main(self) -> Layer | None:
        layer = shown_layer(self.viewer)
        return None if layer is None else map_layers(self.viewer, layer.metadata[MAP].method)[-1]

    def _sides(self, layer: Layer) -> list[Layer]:
        return map_layers(self.viewer, layer.metadata[MAP].method)[:-1]

    def _show_crystals(self, layer: Layer | None) -> None:
        """Offer the crystals that a map's patterns hold, and let the map show the one that is looked at."""
        count = 1 if layer is None else 1 + len(layer.metadata[MAP].beside)
        _fill(self.crystal, list(CRYSTALS[:count]), CRYSTALS[min(max(self.session.crystal, 1), count) - 1])
        self.crystals.setRowVisible(self.crystal, count > 1)
        if layer is not None and layer.metadata[CRYSTAL] != self.session.crystal:
            self._paint(layer, layer.metadata[KIND])

    def _choose_channel(self, *_: object) -> None:
        layer = self._main()
        if layer is not None:
            self._paint(layer, self.channel.currentData())

    def _paint(self, layer: Layer, key: str) -> None:
        """Colour a map in a thread, which keeps the colours, and show them."""
        crystal, keys = self.session.crystal, [key, *(side.metadata[KIND] for side in self._sides(layer))]
        seen = crystal_of(whole_of(layer.metadata[MAP]), crystal)
        self._painter.ask(partial(_paint, seen, crystal, keys))

    def _on_painted(self, painted: tuple[OrientationMap, int, list[str]]) -> None:
        layer, (seen, crystal, keys) = self._main(), painted
        if layer is None or crystal_of(whole_of(layer.metadata[MAP]), crystal) is not seen:
            return
        for one, key in zip((layer, *self._sides(layer)), keys, strict=False):
            if (one.metadata[KIND], one.metadata[CRYSTAL]) != (key, crystal):
                show_channel(one, key, crystal)

    def _choose_beside(self, *_: object) -> None:
        key = self.beside.currentData()
        if map_layers(self.viewer):
            alone = key == NOTHING
            self.turns.take(showing_alone(self.viewer) if alone else showing_beside(self.viewer, key))

    def _on_look(self, *_: object) -> None:
        layer = self._main()
        if layer is not None:
            look = MapViewOptions(self.threshold.value() / 100, self.fade.value() / 100)
            set_look(self.viewer, layer.metadata[MAP].method, look)
            self._say_share()

    def _say_share(self) -> None:
        layer = self._main()
        if layer is None:
            return
        found, shown = layer.metadata[MAP], seen_positions(layer)
        words = f"{title_of(found.method)}: {shown.mean():.0%} of {shown.size:,} positions shown"
        applied = applied_threshold(found)
        self.share.setText(words + (f"; applied: {applied:.0%}" if applied else ""))
        mine = self.session.maps.get(found.method) is found
        self.apply_button.setEnabled(mine and applied != layer.metadata[LOOK].threshold)

    def _on_layers(self, event: Any) -> None:
        if event.type in (*WATCHED, "theme"):
            self._soon()

    def _on_move(self, viewer: Any, event: Any) -> None:
        where = position_under(self.viewer, event.position)
        if where is not None:
            self._on_position(*where)

    def _on_position(self, row: int, col: int) -> None:
        layer = self._main()
        if layer is not None:
            seen = seen_in(layer)
            rows, cols = seen.scan_shape
            self.keys.mark(seen, layer.metadata[KIND], min(row, rows - 1), min(col, cols - 1))


def _paint(seen: OrientationMap, crystal: int, keys: list[str]) -> tuple[OrientationMap, int, list[str]]:
    for key in keys:
        if key in channels_of(seen):
            channel_colors(seen, key)
    return seen, crystal, keys


def _fill(box: QComboBox, keys: list[str], chosen: str) -> None:
    if [box.itemData(index) for index in range(box.count())] != keys:
        box.clear()
        for key in keys:
            box.addItem(TITLES.get(key, key), key)
    box.setCurrentIndex(box.findData(chosen))


def _slider(tooltip: str) -> tuple[QSlider, QHBoxLayout]:
    """Make a slider from 0 to 100 with its value beside it; superqt's leaves the slider no room here."""
    slider, value = QSlider(Qt.Orientation.Horizontal), QLabel("0")
    slider.setRange(0, 100)
    slider.setToolTip(tooltip)
    value.setMinimumWidth(24)
    slider.valueChanged.connect(value.setNum)
    return slider, row((slider, 1), value)

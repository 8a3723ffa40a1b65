"""A view of one diffraction pattern with what lies over it, in reciprocal units.

Reciprocal space needs a viewer model of its own: layers in nm and in 1/nm in one viewer lose their units.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points
from napari.qt import QtViewer
from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

PER_NM = 10.0
"""1/nm in one Å⁻¹: a scale bar in 1/nm has whole numbers where one in 1/Å has not."""


class PatternView(QWidget):
    """A diffraction pattern, circles and points over it, a title above it, a scale bar in 1/nm.

    All positions are given as (n, 2) detector pixels, (qx, qy) = (row, column), whatever the scale.

    Parameters
    ----------
    title : str
        Said above the pattern; empty for none.
    size : (int, int)
        Smallest height and width of the canvas in screen pixels.
    """

    def __init__(
        self, title: str = "", size: tuple[int, int] = (200, 200), parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.model = ViewerModel()
        self.model.canvas.size = size  # before the QtViewer, or it squeezes the main canvas
        self.qt_viewer = QtViewer(self.model)
        self.qt_viewer.setAcceptDrops(False)
        self.qt_viewer.setMinimumSize(size[1], size[0])
        self.qt_viewer.installEventFilter(self)
        self.title = QLabel(title)
        self.title.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.title.setVisible(bool(title))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.title)
        layout.addWidget(self.qt_viewer, 1)
        self.model.canvas.overlays.scale_bar.visible = True
        self.model.canvas.overlays.scale_bar.font_size = 9
        self.model.canvas.overlays.text.font_size = 10
        self.model.canvas.overlays.text.position = "top_left"
        self._scale, self._origin, self._units = 1.0, np.zeros(2), "pixel"
        self._styles: dict[str, tuple] = {}
        self._fit_shape: tuple[float, ...] | None = None
        self._fit_scale = 1.0
        self._resized = QTimer(self)
        self._resized.setSingleShot(True)
        self._resized.timeout.connect(lambda: self.model.layers and self.model.reset_view(margin=0.02))

    def set_title(self, text: str) -> None:
        """Change what stands above the pattern."""
        self.title.setText(text)
        self.title.setVisible(bool(text))

    def set_frame(self, q_pixel: float | None, origin: tuple[float, float] = (0.0, 0.0)) -> None:
        """Say how large a detector pixel is (Å⁻¹; None: unknown) and which one is the direct beam."""
        scale, units = (q_pixel * PER_NM, "1/nm") if q_pixel else (1.0, "pixel")
        if (scale, units, *origin) == (self._scale, self._units, *self._origin):
            return  # placing a layer redraws it
        self._scale, self._units, self._origin = scale, units, np.asarray(origin, float)
        for layer in self.model.layers:
            self._place(layer)

    def show_pattern(self, pattern: np.ndarray | None, limits: tuple[float, float] | None = None) -> None:
        """Show a pattern, shape (det_y, det_x); None shows none.

        Parameters
        ----------
        pattern : ndarray or None
        limits : (float, float), optional
            Intensities shown as black and white; by default the pattern's own (see ``contrast_limits``).
        """
        if pattern is None:
            self.remove("pattern")
            return
        limits = limits or contrast_limits(pattern)
        layer = self._layer("pattern")
        if layer is None:
            layer = Image(np.array(pattern), name="pattern", contrast_limits=limits, gamma=0.5)
            self._add(layer, 0)
        else:
            if layer.data.shape == pattern.shape and layer.data.dtype == pattern.dtype:
                np.copyto(layer.data, pattern)  # new data would make napari measure all layers again
                layer.refresh(thumbnail=False, highlight=False, extent=False)
            else:
                layer.data = np.array(pattern)
            if tuple(layer.contrast_limits) != limits:  # each of these redraws
                layer.contrast_limits_range = limits
                layer.contrast_limits = limits
            _unhide(layer)
        self._fit(pattern.shape)

    def show_circles(
        self, name: str, positions: np.ndarray, radius: float | np.ndarray, color: str = "#ffcc00"
    ) -> None:
        """Draw a circle of ``radius`` pixels around each position; replaces those of the same name."""
        sizes = np.broadcast_to(2.0 * np.asarray(radius, float), len(positions))
        self._points(name, positions, sizes, color, hollow=True)

    def show_points(
        self,
        name: str,
        positions: np.ndarray,
        sizes: np.ndarray | float = 2.0,
        color: str = "#ffcc00",
        symbol: str = "disc",
    ) -> None:
        """Draw a filled mark of ``sizes`` pixels across at each position; replaces those of the same name."""
        sizes = np.broadcast_to(sizes, len(positions))
        self._points(name, positions, sizes, color, hollow=False, symbol=symbol)

    def remove(self, name: str) -> None:
        """Show the pattern or the marks of this name no more.

        The layer stays, hidden: napari collects garbage whenever a layer goes, a quarter of a second each time,
        and where that happens before the canvas was first shown, points are never drawn on it again.
        """
        layer = self._layer(name)
        if layer is not None:
            layer.visible = False

    def clear(self, message: str = "") -> None:
        """Show nothing but a message saying why."""
        for layer in self.model.layers:
            layer.visible = False
        self._fit_shape = None
        self.say(message)

    def say(self, message: str) -> None:
        """Write a few words into the corner of the view; empty for none."""
        self.model.canvas.overlays.text.text = message
        self.model.canvas.overlays.text.visible = bool(message)

    def _points(
        self,
        name: str,
        positions: np.ndarray,
        sizes: np.ndarray,
        color: str,
        hollow: bool,
        symbol: str = "disc",
    ) -> None:
        positions = np.asarray(positions, float).reshape(-1, 2)
        # The same line for every size (napari takes a share of the size), thin for the view as it is fitted.
        line = max(self._fit_shape or (100,)) / 170
        width = np.clip(line / np.maximum(sizes, 1e-3), 0.002, 0.25) if hollow else 0.0
        layer = self._layer(name)
        if layer is None:
            layer = Points(np.zeros((0, 2)), name=name, antialiasing=1)
            self._add(layer)
        layer.data = positions
        _unhide(layer)
        if not len(positions):
            return
        layer.size = sizes
        style = (symbol, color, hollow, line, tuple(sizes))
        if self._styles.get(name) != style:  # each of these redraws
            self._styles[name] = style
            layer.symbol = symbol
            layer.border_width = width
            layer.border_color = color
            layer.face_color = "transparent" if hollow else color

    def _layer(self, name: str) -> Layer | None:
        return self.model.layers[name] if name in self.model.layers else None  # noqa: SIM401 (a list)

    def _add(self, layer: Layer, index: int | None = None) -> None:
        self._place(layer)
        self.model.layers.insert(len(self.model.layers) if index is None else index, layer)
        self.model.layers.selection.clear()

    def _place(self, layer: Layer) -> None:
        layer.scale = (self._scale, self._scale)
        layer.translate = -self._origin * self._scale
        layer.units = (self._units, self._units)

    def _fit(self, shape: tuple[float, ...]) -> None:
        """Fit the camera to a pattern of a new size; a user's zoom on the same size stays."""
        if self._fit_shape == tuple(shape) and self._fit_scale == self._scale:
            return
        self._fit_shape, self._fit_scale = tuple(shape), self._scale
        self.model.reset_view(margin=0.02)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Fit the pattern again when the view gets its real size."""
        if event.type() == QEvent.Type.Resize:
            self._resized.start()  # the canvas learns of its size only after this
        return super().eventFilter(watched, event)

    def close_view(self) -> None:
        """Free the canvas; the view is of no use afterwards."""
        self.qt_viewer.removeEventFilter(self)
        self.qt_viewer.close()
        self.qt_viewer.setParent(None)
        del self.qt_viewer  # napari counts QtViewers that outlive their window as leaks


def _unhide(layer: Layer) -> None:
    """Show a layer; one that is shown already would be drawn again."""
    if not layer.visible:
        layer.visible = True


def contrast_limits(pattern: np.ndarray) -> tuple[float, float]:
    """Return intensities to show as black and white: the weak disks matter more than the direct beam."""
    finite = pattern[np.isfinite(pattern)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(finite, [1, 99.7])
    return (float(low), float(high)) if high > low else (float(finite.min()), float(finite.max()) + 1e-6)

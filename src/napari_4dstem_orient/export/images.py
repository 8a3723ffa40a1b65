"""Maps as pictures: PNG with colour key and scale bar for people, TIFF of the bare layer for programs."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_4dstem_orient.analysis.channels import CHANNELS, channel_colors, channels_of, scalar_values
from napari_4dstem_orient.analysis.colours import (
    DIRECTION_TEXT,
    PHASE_COLOURS,
    LabAxis,
    draw_color_key,
    ipf_colors,
)
from napari_4dstem_orient.core.atomic import writing
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.ours import signature
from napari_4dstem_orient.export.base import Export
from napari_4dstem_orient.export.quantities import step_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

    from napari_4dstem_orient.core.orientation_map import OrientationMap

_DPI = 200
_LONG_SIDE = 1400
"""About how many pixels the map's longer side gets, in whole picture pixels for each scan position."""
_MARGIN, _GAP, _TOP, _BOTTOM, _KEY = 60, 60, 130, 110, 400
"""Pixels around the map, beside it, above (title), below (scale bar), and for each colour key."""


def save_ipf_image(orientation_map: OrientationMap, path: str | Path, direction: LabAxis = "z") -> None:
    """Write an IPF map as a picture; the suffix says which.

    ``.png`` has the colour key of each phase, a scale bar and a title. ``.tif``/``.tiff`` is the bare
    layer, one pixel for each scan position, with its pixel size. Positions that are not indexed are black.

    Parameters
    ----------
    orientation_map : OrientationMap
    path : path
    direction : {"x", "y", "z"}
        Lab axis whose crystal direction gives the colour.

    Raises
    ------
    UserError
        The file cannot be written, or its suffix is none of these.
    """
    suffix = Path(path).suffix.lower()
    _check_suffix(path, suffix)
    if suffix == ".png":
        figure = ipf_figure(orientation_map, direction)
        with writing(path) as temporary:
            _save_png(figure, temporary)
    else:
        rgb = np.rint(255 * ipf_colors(orientation_map, direction)[..., :3]).astype(np.uint8)
        _save_tiff(rgb, path, orientation_map.steps, _told(orientation_map, DIRECTION_TEXT[direction]))


def save_channel_image(orientation_map: OrientationMap, path: str | Path, channel: str) -> None:
    """Write one channel of a map as a picture: with key, legend or colour bar as ``.png``, bare as ``.tif``.

    Parameters
    ----------
    orientation_map : OrientationMap
    path : path
    channel : str
        One of ``analysis.channels.channels_of(orientation_map)``. A bare scalar channel keeps its values (float32,
        NaN where there is no answer).

    Raises
    ------
    UserError
        The file cannot be written, or its suffix is none of these.
    """
    shown = CHANNELS[channel]
    if shown.axis is not None:
        save_ipf_image(orientation_map, path, shown.axis)
        return
    suffix = Path(path).suffix.lower()
    _check_suffix(path, suffix)
    if suffix != ".png":
        scalar = shown.values is not None
        pixels = scalar_values(orientation_map, channel) if scalar else _phase_pixels(orientation_map)
        _save_tiff(pixels, path, orientation_map.steps, _told(orientation_map, shown.label or shown.title))
    elif shown.values is None:
        save_phase_image(orientation_map, path)
    else:
        values = scalar_values(orientation_map, channel)
        title, steps = shown.title.capitalize(), orientation_map.steps
        save_scalar_image(values, path, title, shown.label, steps, orientation_map.exploratory)


def _told(orientation_map: OrientationMap, text: str) -> str:
    """Return what a picture's description says."""
    return "; ".join(filter(None, (text, orientation_map.exploratory)))


def _phase_pixels(orientation_map: OrientationMap) -> np.ndarray:
    return np.ascontiguousarray(channel_colors(orientation_map, "phase")[..., :3])


def _check_suffix(path: str | Path, suffix: str) -> None:
    if suffix not in (".png", ".tif", ".tiff"):
        raise UserError(f"Cannot write {path}: pictures end in .png, .tif or .tiff; choose one of these.")


def ipf_figure(orientation_map: OrientationMap, direction: LabAxis = "z") -> Figure:
    """Return the picture that ``save_ipf_image`` writes as PNG, as a matplotlib figure (no pyplot)."""
    rgb = ipf_colors(orientation_map, direction)[..., :3]
    present = [
        phase
        for number, phase in enumerate(orientation_map.phases)
        if (orientation_map.phase_id == number).any()
    ] or list(orientation_map.phases)
    figure, axes, keys = _page(rgb.shape[:2], len(present), orientation_map.r_aspect)
    axes.imshow(rgb, interpolation="nearest", aspect="auto")
    for key, phase in zip(keys, present, strict=True):
        draw_color_key(key, phase, size=_KEY)
    _title(axes, DIRECTION_TEXT[direction], _subtitle(orientation_map))
    _scale_bar(axes, orientation_map.scan_shape[1], orientation_map.steps)
    _not_indexed(axes, 1 - orientation_map.indexed.mean())
    _badge(figure, orientation_map.exploratory)
    return figure


def save_scalar_image(
    values: np.ndarray,
    path: str | Path,
    title: str,
    label: str = "",
    r_pixel: float | tuple[float, float] | None = None,
    exploratory: str = "",
) -> None:
    """Write a scalar layer (score, disk count, virtual image) as a PNG with colour bar and scale bar.

    Parameters
    ----------
    values : ndarray, shape (scan_y, scan_x)
        NaN is drawn black.
    path : path
    title, label : str
        Above the picture, and beside the colour bar.
    r_pixel : float or (float, float), optional
        Scan step in nm, or steps down the rows and along them.
    exploratory : str
        Why the values are for a first look only, said below the picture; empty where they are not.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    from matplotlib import colormaps

    down, along = np.broadcast_to(r_pixel or 1.0, 2).tolist()
    figure, axes, (side,) = _page(values.shape, 1, down / along)
    colormap = colormaps["viridis"].with_extremes(bad="black")
    shown = axes.imshow(values, interpolation="nearest", aspect="auto", cmap=colormap)
    side.axis("off")
    bar = figure.colorbar(shown, cax=side.inset_axes((0.0, 0.0, 0.09, 1.0)))
    bar.set_label(label, size=9)
    bar.ax.tick_params(labelsize=8)
    _title(axes, title, f"{values.shape[0]} × {values.shape[1]} positions")
    _scale_bar(axes, values.shape[1], None if r_pixel is None else (down, along))
    _badge(figure, exploratory)
    with writing(path) as temporary:
        _save_png(figure, temporary)


def save_phase_image(orientation_map: OrientationMap, path: str | Path) -> None:
    """Write a PNG of the phase map: one colour for each phase, black where not indexed.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Patch

    colors = [
        to_rgb(PHASE_COLOURS[number % len(PHASE_COLOURS)]) for number in range(len(orientation_map.phases))
    ]
    figure, axes, (side,) = _page(orientation_map.scan_shape, 1, orientation_map.r_aspect)
    shown = np.array([*colors, (0, 0, 0)])[orientation_map.phase_id]
    axes.imshow(shown, interpolation="nearest", aspect="auto")
    side.axis("off")
    handles = [
        Patch(facecolor=color, label=f"{phase.name} ({(orientation_map.phase_id == number).mean():.1%})")
        for number, (phase, color) in enumerate(zip(orientation_map.phases, colors, strict=True))
    ]
    side.legend(handles=handles, loc="center left", frameon=False, fontsize=9, borderaxespad=0)
    _title(axes, "Phase", _subtitle(orientation_map))
    _scale_bar(axes, orientation_map.scan_shape[1], orientation_map.steps)
    _not_indexed(axes, 1 - orientation_map.indexed.mean())
    _badge(figure, orientation_map.exploratory)
    with writing(path) as temporary:
        _save_png(figure, temporary)


def _page(shape: tuple[int, ...], keys: int, aspect: float) -> tuple[Figure, Axes, list[Axes]]:
    """Lay out a figure: the map with whole pixels for each scan position (of a row, where steps differ), and keys."""
    from matplotlib.figure import Figure

    zoom = max(1, round(_LONG_SIDE / max(shape[0] * aspect, shape[1])))
    tall, wide = max(1, round(shape[0] * zoom * aspect)), shape[1] * zoom
    body = max(tall, keys * _KEY)
    width, height = _MARGIN + wide + _GAP + _KEY + _MARGIN, _TOP + body + _BOTTOM
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")

    def axes(left: int, top: int, w: int, h: int) -> Axes:
        return figure.add_axes((left / width, 1 - (top + h) / height, w / width, h / height))

    page = axes(_MARGIN, _TOP + (body - tall) // 2, wide, tall)
    page.set_axis_off()
    first = _TOP + max(0, (body - keys * _KEY) // 2)
    return figure, page, [axes(_MARGIN + wide + _GAP, first + i * _KEY, _KEY, _KEY) for i in range(keys)]


def _title(axes: Axes, title: str, subtitle: str) -> None:
    style: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset pixels", "va": "bottom"}
    axes.annotate(title, (0, 1), (0, 52), fontsize=12, fontweight="bold", **style)
    axes.annotate(subtitle, (0, 1), (0, 16), fontsize=8.5, color="0.35", **style)


def _subtitle(orientation_map: OrientationMap) -> str:
    rows, cols = orientation_map.scan_shape
    steps = orientation_map.steps
    step = "" if steps is None else " · " + step_text(steps, ".4g").removeprefix("Scan ")
    return f"{orientation_map.method} · {rows} × {cols} positions{step}"


def _scale_bar(axes: Axes, cols: int, steps: tuple[float, float] | None) -> None:
    """Draw a bar of a round length below the map's left corner."""
    along = 1.0 if steps is None else steps[1]
    length, text = round_length(cols * along / 4, "positions" if steps is None else "nm")
    end = length / along / cols
    place = _below(axes, 32)
    style: dict[str, Any] = {"color": "black", "linewidth": 4, "solid_capstyle": "butt", "clip_on": False}
    axes.plot([0, end], [0, 0], transform=place, **style)
    axes.annotate(
        text, (end, 0), (14, 0), xycoords=place, textcoords="offset pixels", va="center", fontsize=10
    )


def _badge(figure: Figure, text: str) -> None:
    """Say at the bottom of a picture that its map is for a first look only; empty says nothing."""
    if text:
        left, bottom = _MARGIN / _DPI / figure.get_figwidth(), 8 / _DPI / figure.get_figheight()
        figure.text(left, bottom, f"△ {text}", fontsize=8.5, va="bottom", wrap=True)


def _below(axes: Axes, pixels: float) -> Transform:
    """Measure x in the axes' width and y in its height from a line so many pixels below the map."""
    from matplotlib.transforms import ScaledTranslation

    return axes.transAxes + ScaledTranslation(0, -pixels / _DPI, axes.figure.dpi_scale_trans)


def round_length(longest: float, unit: str) -> tuple[float, str]:
    """Return the largest of 1, 2, 5 × 10ⁿ that is not longer, and its text with a handy unit."""
    power = 10.0 ** np.floor(np.log10(longest))
    length = float(max(step for step in (1, 2, 5) if step * power <= longest * (1 + 1e-9)) * power)
    if unit == "nm" and length >= 1000:
        return length, f"{length / 1000:g} µm"
    return length, f"{length:g} {unit}"


def _not_indexed(axes: Axes, share: float) -> None:
    """Explain the black positions below the map's right corner."""
    from matplotlib.patches import Patch

    if share > 0:
        handle = Patch(facecolor="black", edgecolor="black", label=f"not indexed ({max(share, 0.001):.1%})")
        style: dict[str, Any] = {
            "frameon": False,
            "fontsize": 9,
            "handlelength": 1.2,
            "borderpad": 0,
            "borderaxespad": 0,
        }
        place: dict[str, Any] = {
            "loc": "center right",
            "bbox_to_anchor": (1, 0),
            "bbox_transform": _below(axes, 32),
        }
        axes.legend(handles=[handle], **style, **place)


def _save_png(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=_DPI, format="png", metadata={"Software": signature()})


def _save_tiff(pixels: np.ndarray, path: str | Path, steps: tuple[float, float] | None, title: str) -> None:
    import tifffile

    scale: dict[str, Any] = {} if steps is None else {"resolution": (1 / steps[1], 1 / steps[0])}
    metadata = {"Info": title} | ({} if steps is None else {"unit": "nm"})
    # Through memory: tifffile's own error on a full disk does not say so.
    packed = BytesIO()
    kind = "rgb" if pixels.ndim == 3 else "minisblack"
    tifffile.imwrite(
        packed, pixels, photometric=kind, imagej=True, software=signature(), metadata=metadata, **scale
    )
    with writing(path) as temporary:
        temporary.write_bytes(packed.getvalue())


def _ipf(orientation_map: OrientationMap | None) -> list[str]:
    return [key for key, channel in CHANNELS.items() if channel.axis is not None]


def _all(orientation_map: OrientationMap | None) -> list[str]:
    """Return the IPF maps, and all others that say something."""
    known = list(CHANNELS) if orientation_map is None else channels_of(orientation_map)
    one_phase = orientation_map is not None and len(orientation_map.phases) == 1
    ipf = _ipf(orientation_map)
    return ipf + [key for key in known if key not in ipf and not (one_phase and key == "phase")]


PNG = Export(
    "Pictures with colour key and scale bar",
    ".png",
    save_channel_image,
    takes=("channel",),
    channels=_all,
)
TIFF = Export(
    "Bare IPF layers with pixel size",
    ".tif",
    save_channel_image,
    "ImageJ",
    takes=("channel",),
    channels=_ipf,
)

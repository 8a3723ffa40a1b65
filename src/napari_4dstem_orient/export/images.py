"""Maps as pictures: PNG with colour key and scale bar for people, TIFF of the bare layer for programs."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_4dstem_orient.analysis.channels import (
    CHANNELS,
    Channel,
    channel_colors,
    channels_of,
    scalar_limits,
    scalar_values,
)
from napari_4dstem_orient.analysis.colours import DIRECTION_TEXT, PHASE_COLOURS, draw_color_key
from napari_4dstem_orient.core.atomic import write
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.ours import save_picture, signature
from napari_4dstem_orient.export.base import Export
from napari_4dstem_orient.export.quantities import step_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.crystals.phase import Phase

_DPI = 200
_LONG_SIDE = 1400
"""About how many pixels the map's longer side gets, in whole picture pixels for each scan position."""
_MARGIN, _GAP, _TOP, _BOTTOM, _KEY = 60, 60, 130, 110, 400
"""Pixels around the map, beside it, above (title), below (scale bar), and for each colour key."""


def save_channel_image(orientation_map: OrientationMap, path: str | Path, channel: str) -> None:
    """Write one channel of a map as a picture; the suffix says which.

    ``.png`` has a title, a scale bar and the colour key of each phase, legend or colour bar. ``.tif``/``.tiff`` is the
    bare layer, one pixel for each scan position, with its pixel size: a scalar channel as values (float32, NaN where
    there is no answer), others in colours. Positions that are not indexed are black.

    Parameters
    ----------
    orientation_map : OrientationMap
    path : path
    channel : str
        One of ``analysis.channels.channels_of(orientation_map)``.

    Raises
    ------
    UserError
        The file cannot be written, or its suffix is none of these.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".png", ".tif", ".tiff"):
        raise UserError(f"Cannot write {path}: pictures end in .png, .tif or .tiff; choose one of these.")
    if suffix == ".png":
        save_picture(channel_figure(orientation_map, channel), path, _DPI)
        return
    shown = CHANNELS[channel]
    about = DIRECTION_TEXT[shown.axis] if shown.axis is not None else shown.label or shown.title
    told = "; ".join(filter(None, (about, orientation_map.exploratory)))
    scalar = shown.values is not None
    pixels = scalar_values(orientation_map, channel) if scalar else _rgb(orientation_map, channel)
    _save_tiff(pixels, path, orientation_map.steps, told)


def channel_figure(orientation_map: OrientationMap, channel: str) -> Figure:
    """Return the picture that ``save_channel_image`` writes as PNG, as a matplotlib figure (no pyplot)."""
    shown, (rows, cols) = CHANNELS[channel], orientation_map.scan_shape
    scalar, subtitle = shown.values is not None, f"{rows} × {cols} positions"
    phases = _present(orientation_map)
    keys = len(phases) if shown.axis is not None else 1
    figure, axes, sides = _page((rows, cols), keys, orientation_map.r_aspect)
    if scalar:
        limits = scalar_limits(orientation_map, channel) if shown.centred else (None, None)
        _draw_scalar(figure, axes, sides[0], scalar_values(orientation_map, channel), shown, limits)
    else:
        axes.imshow(_rgb(orientation_map, channel), interpolation="nearest", aspect="auto")
        subtitle = _subtitle(orientation_map)
        _not_indexed(axes, 1 - orientation_map.indexed.mean())
    if shown.axis is not None:
        for side, phase in zip(sides, phases, strict=True):
            draw_color_key(side, phase, size=_KEY)
    elif not scalar:
        _phase_legend(sides[0], orientation_map)
    title = DIRECTION_TEXT[shown.axis] if shown.axis is not None else shown.title.capitalize()
    _title(axes, title, subtitle)
    _scale_bar(axes, cols, orientation_map.steps)
    _badge(figure, orientation_map.exploratory)
    return figure


def _rgb(orientation_map: OrientationMap, channel: str) -> np.ndarray:
    """Return a channel's colours, black where there is no answer."""
    return np.ascontiguousarray(channel_colors(orientation_map, channel)[..., :3])


def _present(orientation_map: OrientationMap) -> list[Phase]:
    """Return the phases that occur; all of them where none does."""
    phases = enumerate(orientation_map.phases)
    found = [phase for number, phase in phases if (orientation_map.phase_id == number).any()]
    return found or list(orientation_map.phases)


def _draw_scalar(
    figure: Figure,
    axes: Axes,
    side: Axes,
    values: np.ndarray,
    shown: Channel,
    limits: tuple[float | None, float | None],
) -> None:
    """Draw values with a colour bar; NaN is black. Without limits, all values are within the bar."""
    from matplotlib import colormaps

    colormap = colormaps[shown.colormap].with_extremes(bad="black")
    low, high = limits
    drawn = axes.imshow(values, interpolation="nearest", aspect="auto", cmap=colormap, vmin=low, vmax=high)
    side.axis("off")
    bar = figure.colorbar(drawn, cax=side.inset_axes((0.0, 0.0, 0.09, 1.0)))
    bar.set_label(shown.label, size=9)
    bar.ax.tick_params(labelsize=8)


def _phase_legend(side: Axes, orientation_map: OrientationMap) -> None:
    """Say which colour is which phase, and what share of the map it has."""
    from matplotlib.patches import Patch

    handles = [
        Patch(
            facecolor=PHASE_COLOURS[number % len(PHASE_COLOURS)],
            label=f"{phase.name} ({(orientation_map.phase_id == number).mean():.1%})",
        )
        for number, phase in enumerate(orientation_map.phases)
    ]
    side.axis("off")
    side.legend(handles=handles, loc="center left", frameon=False, fontsize=9, borderaxespad=0)


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
    place = _below(axes)
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


def _below(axes: Axes) -> Transform:
    """Measure x in the axes' width and y in its height from a line 32 pixels below the map."""
    from matplotlib.transforms import ScaledTranslation

    return axes.transAxes + ScaledTranslation(0, -32 / _DPI, axes.figure.dpi_scale_trans)


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
        axes.legend(
            handles=[handle],
            frameon=False,
            fontsize=9,
            handlelength=1.2,
            borderpad=0,
            borderaxespad=0,
            loc="center right",
            bbox_to_anchor=(1, 0),
            bbox_transform=_below(axes),
        )


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
    write(path, packed.getvalue())


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

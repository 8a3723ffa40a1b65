"""The channels in which an orientation map can be seen: IPF colours, phase, and how good the answers are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from napari_4dstem_orient.analysis.colours import PHASE_COLOURS, LabAxis, color_key_image, ipf_colors, ipf_rgb
from napari_4dstem_orient.core.pooled import PoolVerdict
from napari_4dstem_orient.core.strain import COMPONENTS

if TYPE_CHECKING:
    from napari_4dstem_orient.core.orientation_map import OrientationMap


class Channel(NamedTuple):
    """One way to colour a map.

    Attributes
    ----------
    title : str
        What the window calls it.
    axis : {"x", "y", "z"} or None
        The lab axis of an IPF channel.
    label : str
        What a scalar channel's colour bar says: quantity and unit.
    values : callable or None
        Returns a scalar channel's values, shape (scan_y, scan_x), where there is an answer; None where the map
        does not know them.
    colormap : str
        A scalar channel's colour map, one that every colour vision reads the same way.
    unit : str
        Of a scalar channel's values, where they are no plain numbers; ASCII.
    centred : bool
        Whether 0 is in the middle of the colour bar.
    """

    title: str
    axis: LabAxis | None = None
    label: str = ""
    values: Callable[[OrientationMap], np.ndarray | None] | None = None
    colormap: str = "viridis"
    unit: str = ""
    centred: bool = False


def _of_certainty(name: str) -> Callable[[OrientationMap], np.ndarray | None]:
    return lambda found: getattr(found.certainty, name, None)


def _precision(axis: int) -> Callable[[OrientationMap], np.ndarray | None]:
    def of(found: OrientationMap) -> np.ndarray | None:
        known = None if found.certainty is None else found.certainty.precision
        return None if known is None or np.isnan(known).all() else known[..., axis]

    return of


def _neighbours(found: OrientationMap) -> np.ndarray | None:
    return None if found.pooled is None else found.pooled.verdict


def _crystals(found: OrientationMap) -> np.ndarray | None:
    return found.crystals if found.beside else None


def _phase_margin(found: OrientationMap) -> np.ndarray | None:
    known = found.certainty is not None and len(found.phases) > 1
    return found.certainty.phase_margin if known and found.certainty is not None else None


def _strain(component: str) -> Channel:
    turn = component == "rotation"
    unit = "deg" if turn else "percent"

    def of(found: OrientationMap) -> np.ndarray | None:
        if found.strain is None:
            return None
        values = found.strain.of(component)
        return np.rad2deg(values) if turn else 100 * values

    label = "lattice rotation from x towards y, degrees" if turn else f"strain {component}, %"
    title = "lattice rotation" if turn else f"strain {component}"
    return Channel(title, label=label, values=of, colormap="RdBu_r", unit=unit, centred=True)


SHOWN = 98
"""Percentile of what is smaller than the end of a centred colour bar; the rest is clipped."""
LEAST_SHOWN = 0.05
"""The end of such a bar at least: % of strain, degrees of rotation."""
IMPRECISE = 1.0
"""Degrees; the end of the colour bar of precision."""
IPF = ("ipf-x", "ipf-y", "ipf-z")
LOOKED_AT = 2000
"""Positions, at most about twice as many, that say in which channel grains differ."""
TELLING = 0.5
"""Share of the best axis's spread of colours with which IPF-Z, which everybody expects, is kept."""

CHANNELS = {
    "ipf-z": Channel("IPF-Z (out-of-plane)", axis="z"),
    "ipf-x": Channel("IPF-X (in-plane, down)", axis="x"),
    "ipf-y": Channel("IPF-Y (in-plane, right)", axis="y"),
    "phase": Channel("phase"),
    "score": Channel("score", label="score, no unit", values=lambda found: found.score),
    "reliability": Channel(
        "reliability",
        label="probability of being right",
        values=_of_certainty("reliability"),
        colormap="cividis",
    ),
    "phase-margin": Channel(
        "phase margin",
        label="probability above the next phase's",
        values=_phase_margin,
        colormap="cividis",
    ),
    "precision-best": Channel(
        "precision, best axis",
        label="standard deviation about the best axis, degrees",
        values=_precision(0),
        colormap="cividis",
    ),
    "precision-worst": Channel(
        "precision, worst axis",
        label="standard deviation about the worst axis, degrees",
        values=_precision(1),
        colormap="cividis",
    ),
    "explained": Channel(
        "explained disks", label="explained Bragg disks, number", values=lambda found: found.n_matched
    ),
    "neighbours": Channel(
        "neighbours",
        label=", ".join(f"{int(verdict)} {verdict.name.lower()}" for verdict in PoolVerdict),
        values=_neighbours,
    ),
    "crystals": Channel("crystals", label="crystals in the pattern, number", values=_crystals),
    "share": Channel(
        "share",
        label="share of the intensity that is explained",
        values=lambda found: found.share,
        colormap="cividis",
    ),
    **{f"strain-{component}": _strain(component) for component in COMPONENTS},
}


def channels_of(orientation_map: OrientationMap) -> list[str]:
    """Return the keys of the channels that a map has, in the order of ``CHANNELS``."""
    return [
        key
        for key, channel in CHANNELS.items()
        if channel.values is None or channel.values(orientation_map) is not None
    ]


def scalar_values(orientation_map: OrientationMap, key: str) -> np.ndarray:
    """Return a scalar channel's values, float32, shape (scan_y, scan_x); NaN where there is no answer."""
    values = CHANNELS[key].values
    found = values(orientation_map) if values is not None else None
    if found is None:
        raise KeyError(f"{key} is no scalar channel of this map")
    return np.where(orientation_map.indexed, found, np.nan).astype(np.float32)


def scalar_limits(orientation_map: OrientationMap, key: str) -> tuple[float, float]:
    """Return the values at the ends of a scalar channel's colour bar."""
    if key == "neighbours":
        return 0.0, float(max(PoolVerdict))
    if CHANNELS[key].centred:
        sizes = np.abs(scalar_values(orientation_map, key))
        sizes = sizes[~np.isnan(sizes)]
        end = max(LEAST_SHOWN, float(np.percentile(sizes, SHOWN)) if sizes.size else 0.0)
        return -end, end
    if key == "crystals":
        return 1.0, 1.0 + max(1, len(orientation_map.beside))
    if key.startswith("precision"):
        return 0.0, IMPRECISE
    if key != "explained":
        return 0.0, 1.0
    return 0.0, float(max(1, orientation_map.n_matched.max(initial=1)))


_painted: WeakKeyDictionary[OrientationMap, dict[str, np.ndarray]] = WeakKeyDictionary()


def channel_colors(orientation_map: OrientationMap, key: str) -> np.ndarray:
    """Colour a map by one of its channels; done once for each map and channel, in whatever thread asks first.

    Parameters
    ----------
    orientation_map : OrientationMap
    key : str
        One of ``channels_of(orientation_map)``.

    Returns
    -------
    rgba : ndarray, uint8, shape (scan_y, scan_x, 4)
        Read-only; fully transparent (and black) where there is no answer.
    """
    painted = _painted.setdefault(orientation_map, {})
    if key not in painted:
        rgba = _paint(orientation_map, key)
        rgba.flags.writeable = False
        painted[key] = rgba
    return painted[key]


def first_channel(orientation_map: OrientationMap) -> str:
    """Return the IPF channel that a map is first shown in: IPF-Z, unless another axis tells grains apart far better.

    Grains that share a zone axis are all of one colour along the beam.
    """
    indexed = np.flatnonzero(orientation_map.indexed)
    some = indexed[:: max(1, len(indexed) // LOOKED_AT)]
    phase_id = orientation_map.phase_id.ravel()[some]
    rotation = orientation_map.rotation.reshape(-1, 3, 3)[some]
    spread = {}
    for key in IPF:
        axis = CHANNELS[key].axis
        assert axis is not None
        variances = [
            (phase_id == number).mean() * ipf_rgb(rotation[phase_id == number], phase, axis).var(axis=0).sum()
            for number, phase in enumerate(orientation_map.phases)
            if (phase_id == number).any()
        ]
        spread[key] = float(np.sqrt(sum(variances)))
    best = max(spread, key=lambda key: spread[key])
    return "ipf-z" if spread["ipf-z"] >= TELLING * spread[best] else best


def paint_first(orientation_map: OrientationMap) -> None:
    """Make the colours that a map is first shown in, and their key, in a thread that may take its time."""
    channel_colors(orientation_map, first_channel(orientation_map))
    for phase in orientation_map.phases:
        color_key_image(phase)


def opacity(orientation_map: OrientationMap, threshold: float = 0.0, fade: float = 0.0) -> np.ndarray:
    """Return how opaque each position is shown, uint8, shape (scan_y, scan_x).

    Parameters
    ----------
    orientation_map : OrientationMap
    threshold : float
        0 to 1; answers of less confidence (see ``OrientationMap.confidence``) are not shown at all.
    fade : float
        0 to 1; how strongly answers of less confidence fade: at 1 the opacity is the confidence.
    """
    sure = orientation_map.confidence
    shown = orientation_map.indexed & (sure >= threshold)
    return np.where(shown, np.rint(255 * (1 - fade * (1 - sure.clip(0, 1)))), 0).astype(np.uint8)


def _paint(orientation_map: OrientationMap, key: str) -> np.ndarray:
    channel = CHANNELS[key]
    if channel.axis is not None:
        return np.rint(255 * ipf_colors(orientation_map, channel.axis)).astype(np.uint8)
    if channel.values is None:
        return _phase_table(len(orientation_map.phases))[orientation_map.phase_id]
    values = scalar_values(orientation_map, key)
    low, high = scalar_limits(orientation_map, key)
    shade = np.nan_to_num((values - low) / (high - low)).clip(0, 1)
    rgba = color_table(channel.colormap)[np.rint(255 * shade).astype(np.uint8)]
    rgba[np.isnan(values) if channel.centred else ~orientation_map.indexed] = 0
    return rgba


def color_table(colormap: str) -> np.ndarray:
    """Return matplotlib's colour map as a table, uint8, shape (256, 4)."""
    from matplotlib import colormaps

    table: Any = colormaps[colormap](np.arange(256), bytes=True)
    return np.asarray(table, np.uint8)


def _phase_table(phases: int) -> np.ndarray:
    """Return the phases' colours, and last what -1 finds: transparent."""
    from matplotlib.colors import to_rgba

    colours = [to_rgba(PHASE_COLOURS[number % len(PHASE_COLOURS)]) for number in range(phases)]
    return np.rint(255 * np.array([*colours, (0, 0, 0, 0)])).astype(np.uint8)

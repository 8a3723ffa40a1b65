"""A scan, disks or a map come into a viewer: into its session and, what can be seen of them, as layers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.detection.coarse_first import coarse_to_fine, nearest
from napari_4dstem_orient.napari_plugin.layers.cursor import install_cursor
from napari_4dstem_orient.napari_plugin.layers.map_layers import add_map_layers
from napari_4dstem_orient.napari_plugin.layers.placing import placement
from napari_4dstem_orient.napari_plugin.layers.scan_layers import (
    OURS,
    find_layer,
    put_layer,
    remove_layers,
    show_scale_bar,
)
from napari_4dstem_orient.napari_plugin.panels.shared.keeping import may_take_place
from napari_4dstem_orient.napari_plugin.panels.shared.unsaved import are_in_files
from napari_4dstem_orient.napari_plugin.qt.latest_only import LatestOnly
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.workflow.job import Job, MapBy
from napari_4dstem_orient.workflow.reference import job_of
from napari_4dstem_orient.workflow.session import Session, Stage

if TYPE_CHECKING:
    import napari

    from napari_4dstem_orient.core.bragg_disks import BraggDisks
    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.core.scan import Calibration, Scan

OVERVIEW, DISK_COUNT = "overview", "disk count"
OVERVIEW_SAMPLES = 32
"""Scan positions along each axis that the overview reads at most."""
OVERVIEW_SECONDS = 1.5
COARSE_SECONDS = 0.05

LayerTuple = tuple[np.ndarray, dict[str, Any], str]
"""What napari makes a layer of: data, keyword arguments, kind."""


def take_scan(viewer: napari.Viewer, scan: Scan) -> None:
    """Make a scan the one that the viewer's session works on."""
    session_for(viewer).put(Stage.SCAN, scan, job_of(scan))
    install_cursor(viewer)


def open_scan(viewer: napari.Viewer, scan: Scan) -> None:
    """Take a scan and show its overview.

    Raises
    ------
    UserError
        The scan cannot be read.
    """
    for _ in opening_scan(viewer, scan, overview(scan)):
        pass


def opening_scan(viewer: napari.Viewer, scan: Scan, image: np.ndarray) -> Iterator[None]:
    """Take a scan and show its overview, in steps."""
    remove_layers(viewer)
    yield
    take_scan(viewer, scan)  # first: the marker comes with a layer, at the session's position
    yield
    put_layer(viewer, OVERVIEW, image, scan.calibration.steps)
    viewer.reset_view()
    yield
    show_scale_bar(viewer)


def open_sample(viewer: napari.Viewer | None, scan: Scan) -> LayerTuple:
    """Take a scan whose patterns are still to be drawn; return a coarse overview as a layer. A finer one follows."""
    if viewer is None:
        return as_layer(scan)
    remove_layers(viewer)
    take_scan(viewer, scan)
    show_scale_bar(viewer)
    window = ref(viewer)

    def refine(image: np.ndarray) -> None:
        there = window()
        layer = find_layer(there, OVERVIEW) if there is not None else None
        if layer is not None and session_for(there).get(Stage.SCAN) is scan:
            layer.data = image
            layer.reset_contrast_limits()

    LatestOnly(refine).ask(partial(overview, scan))
    return as_layer(scan, COARSE_SECONDS)


def as_layer(scan: Scan, seconds: float = OVERVIEW_SECONDS) -> LayerTuple:
    """Return a scan's overview as what napari takes for a layer."""
    look = {"name": OVERVIEW, "metadata": {OURS: OVERVIEW}, **placement(scan.calibration.steps)}
    return overview(scan, seconds), look, "image"


def overview(scan: Scan, seconds: float = OVERVIEW_SECONDS) -> np.ndarray:
    """Return the summed counts of a few patterns, spread over the whole scan: enough to see where things are.

    Parameters
    ----------
    scan : Scan
        However large; at most 32 × 32 patterns are read.
    seconds : float
        When to stop reading: from a slow disk the overview is coarser, never late.

    Returns
    -------
    ndarray, float32, shape (scan_y, scan_x)
        Each sampled value stands for the positions around it.
    """
    rows, cols = (_spread(size) for size in scan.scan_shape)
    sampled = np.full((len(rows), len(cols)), np.nan, np.float32)
    start = time.monotonic()
    try:
        for index in coarse_to_fine(len(rows)):
            patterns = scan.data[rows[index], cols]
            sampled[index] = patterns.sum(axis=(1, 2), dtype=np.float64).compute(scheduler="synchronous")
            if time.monotonic() - start > seconds:
                break
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise UserError(f"{scan.source} cannot be read ({error}); is the file complete?") from error
    read = np.flatnonzero(~np.isnan(sampled).any(axis=1))
    nearest_row = nearest(rows[read], scan.scan_shape[0])
    nearest_col = nearest(cols, scan.scan_shape[1])
    return sampled[read][np.ix_(nearest_row, nearest_col)]


def take_disks(viewer: napari.Viewer, disks: BraggDisks, told: Calibration | None = None) -> None:
    """Put disks read from a file, and what it told about them, into the session: beside their scan or alone.

    Where they would take the place of disks that no file holds, the user is asked.

    Raises
    ------
    UserError
        A scan, disks or a map of another shape are open.
    """
    session = session_for(viewer)
    _check_shape(session, "disks", disks.scan_shape)
    stage = Stage.CALIBRATED if disks.calibrated else Stage.DISKS
    if not may_take_place(viewer, stage):
        return
    if told is not None:
        session.learn(told)
    are_in_files([disks])
    path, _, dataset = str(disks.provenance.get("source")).partition("::")
    session.put(stage, disks, Job(path, dataset or None))
    install_cursor(viewer)
    show_disk_count(viewer, disks.sure().counts)


def take_map(viewer: napari.Viewer, orientation_map: OrientationMap, path: str | None = None) -> None:
    """Put a map read from a file into the session, beside its scan or alone, and show its layers.

    Its scan step is taken where none is known, else it gets the session's. Where it would take the place of a map that
    no file holds, the user is asked.

    Raises
    ------
    UserError
        A scan, disks or a map of another shape are open.
    """
    session = session_for(viewer)
    _check_shape(session, "map", orientation_map.scan_shape)
    if not may_take_place(viewer, MapBy(orientation_map.method)):
        return
    if session.calibration.r_pixel is None:
        session.set_calibration(
            session.calibration.with_(r_pixel=orientation_map.r_pixel, r_aspect=orientation_map.r_aspect)
        )
    kept = session.put(Stage.MAP, orientation_map, Job(path))
    are_in_files([kept])
    install_cursor(viewer)
    add_map_layers(viewer, kept)
    show_scale_bar(viewer)


def show_disk_count(viewer: napari.Viewer, counts: np.ndarray) -> None:
    """Show how many disks were found at each scan position, shape (scan_y, scan_x)."""
    new = find_layer(viewer, DISK_COUNT) is None
    steps = session_for(viewer).calibration.steps
    put_layer(viewer, DISK_COUNT, counts.astype(np.int32), steps, colormap="viridis")
    show_scale_bar(viewer)
    if new and len(viewer.layers) == 1:
        viewer.reset_view()


def _check_shape(session: Session, what: str, shape: tuple[int, int]) -> None:
    there = session.scan_shape
    if there is not None and there != shape:
        covers = "cover" if what == "disks" else "covers"
        of = "the open scan has" if session.get(Stage.SCAN) is not None else "what is open here has"
        raise UserError(
            f"The {what} in the file {covers} {_by(shape)} scan positions, {of} {_by(there)}; "
            "open the scan that belongs to it first, or open it in a new window."
        )


def _by(shape: tuple[int, int]) -> str:
    return f"{shape[0]} × {shape[1]}"


def _spread(size: int) -> np.ndarray:
    count = min(size, OVERVIEW_SAMPLES)
    return np.unique(((np.arange(count) + 0.5) * size / count).astype(int))

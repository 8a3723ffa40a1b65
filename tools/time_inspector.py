"""Drag over a map as a user would and print how well the inspector follows.

    export OMP_WAIT_POLICY=PASSIVE  # as a window of ours sets it before it imports torch; this imports it first
    xvfb-run -a -s "-screen 0 1600x1000x24" python tools/time_inspector.py
    xvfb-run -a -s "-screen 0 1600x1000x24" python tools/time_inspector.py --closed Inspector   # the rest alone

The copper sample, its positions repeated until there are enough, its true orientations as both maps. Printed are
frames (positions that the inspector showed), the main thread's own time for each, and the longest turn of the event
loop.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import time
from typing import Any

import napari
import numpy as np
from enlarged import enlarged, stretched
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QWidget
from scipy.spatial.transform import Rotation

from napari_4dstem_orient.calibration.calibrate import calibrate
from napari_4dstem_orient.core.certainty import Certainty
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.detection.detect import detect_disks
from napari_4dstem_orient.napari_plugin.layers.map_layers import add_map_layers, hide_images
from napari_4dstem_orient.napari_plugin.panels.docks import open_workbench
from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_scan
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.samples.copper import copper_polycrystal, copper_truth
from napari_4dstem_orient.workflow.session import Stage

MOVES = 60.0
"""Mouse events in a second, at most."""
WARM_UP = 40
RIVALS = 4


def main() -> None:
    """Open, drag, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", default="1600x1000", help="width x height of the window in pixels")
    parser.add_argument("--side", type=int, default=256, help="rows and columns of the scan")
    parser.add_argument("--moves", type=int, default=200, help="of the mouse")
    parser.add_argument("--closed", nargs="*", default=[], help="titles of panels to close first")
    parser.add_argument("--profile", action="store_true", help="print where the main thread spends its time")
    options = parser.parse_args()
    viewer = napari.Viewer()
    viewer.window.resize(*map(int, options.size.split("x")))
    panels: dict[str, Any] = open_workbench(viewer)
    fill(viewer, options.side)
    for title in options.closed:
        viewer.window.remove_dock_widget(panels.pop(title))
    wait(15)  # the probe is found, the virtual images are made, all panels are drawn
    profile = cProfile.Profile() if options.profile else None
    drag(viewer, panels.get("Inspector"), options.moves, profile)
    if profile is not None:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(60)
    viewer.close()


def fill(viewer: napari.Viewer, side: int) -> None:
    """Give the window a scan, its disks and two maps."""
    session, scan, copper = session_for(viewer), enlarged(side), find_phase("Cu")
    disks = detect_disks(scan)
    open_scan(viewer, scan)
    session.put(Stage.DISKS, disks)
    session.put(Stage.CALIBRATED, calibrate(disks, scan.calibration)[0])
    for method, off in (("transformer", 0.0), ("template", 2.0)):
        session.put(Stage.MAP, made := made_map(copper, method, off, side))
        hide_images(viewer)  # as the Map panel does
        add_map_layers(viewer, made)


def made_map(phase: Any, method: str, off: float, side: int) -> OrientationMap:
    """Return the truth, turned by ``off`` degrees about the beam, with rivals."""
    known = copper_truth()
    positions = np.ix_(*(stretched(size, side) for size in known.vacuum.shape))
    vacuum, shape = known.vacuum[positions], (side, side)
    rotation = known.rotation[positions] @ Rotation.from_euler("z", off, degrees=True).as_matrix()
    turns = Rotation.from_euler("z", 20.0 * np.arange(1, RIVALS + 1)[:, None], degrees=True).as_matrix()
    share = np.where(vacuum, 0, 0.9).astype(np.float32)
    return OrientationMap(
        phases=(phase,),
        rotation=rotation.astype(np.float32),
        phase_id=np.where(vacuum, -1, 0).astype(np.int32),
        score=share,
        status=vacuum.astype(np.uint8),
        n_matched=np.where(vacuum, 0, 12).astype(np.int32),
        runner_up=(rotation[:, :, None] @ turns).astype(np.float32),
        runner_up_score=np.full((*shape, RIVALS), 0.5, np.float32),
        method=method,
        r_pixel=copper_polycrystal().calibration.r_pixel,
        certainty=Certainty(share, share, np.zeros(shape, np.uint8)) if method == "transformer" else None,
    )


def drag(viewer: napari.Viewer, inspector: Any, moves: int, profile: cProfile.Profile | None) -> None:
    """Drag along a wide curve over the map; the first moves only warm up."""
    canvas, session = main_canvas(viewer), session_for(viewer)
    size = np.array([canvas.width(), canvas.height()])
    shown, turns = [""], []
    send(canvas, QEvent.Type.MouseButtonPress, size / 2)
    for move in range(WARM_UP + moves):
        if move == WARM_UP:
            shown, turns = shown[-1:], []
            begin, cpu, everything = time.monotonic(), time.thread_time(), time.process_time()
            if profile is not None:
                profile.enable()
        angle = move * 2.2 / MOVES
        path = np.array([np.cos(angle), np.sin(1.3 * angle)])
        due = time.monotonic() + 1 / MOVES
        send(canvas, QEvent.Type.MouseMove, size * (0.5 + 0.25 * path))
        while True:
            turn = time.monotonic()
            QApplication.processEvents()
            turns.append(time.monotonic() - turn)
            text = inspector.measured.words.text() if inspector is not None else str(session.position)
            if text != shown[-1]:
                shown.append(text)
            if time.monotonic() >= due:
                break
            time.sleep(0.001)
    if profile is not None:
        profile.disable()
    cpu, everything = time.thread_time() - cpu, time.process_time() - everything
    lasted = time.monotonic() - begin
    send(canvas, QEvent.Type.MouseButtonRelease, size / 2)
    frames = max(len(shown) - 1, 1)
    print(f"load of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{frames} frames in {lasted:.1f} s: {frames / lasted:.1f} frames a second, {moves} mouse moves")
    print(f"main thread: {1e3 * cpu / frames:.1f} ms a frame, {1e3 * cpu / moves:.1f} ms a move")
    print(f"all threads: {1e3 * everything / frames:.1f} ms a frame")
    longest, most = 1e3 * max(turns), 1e3 * np.percentile(turns, 99)
    print(f"turns of the event loop: longest {longest:.0f} ms, 99 % below {most:.0f} ms")


def main_canvas(viewer: napari.Viewer) -> QWidget:
    """Return the widget that shows the map."""
    window: QWidget = viewer.window._qt_window
    canvases = [
        each for each in window.findChildren(QWidget) if type(each).__name__ == "CanvasBackendDesktop"
    ]
    return max(canvases, key=lambda canvas: canvas.width() * canvas.height() * canvas.isVisible())


def send(canvas: QWidget, kind: QEvent.Type, where: np.ndarray) -> None:
    """Send a mouse event with the left button down."""
    left, none, point = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton, QPointF(*where)
    button = none if kind == QEvent.Type.MouseMove else left
    held = none if kind == QEvent.Type.MouseButtonRelease else left
    keys = Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(canvas, QMouseEvent(kind, point, canvas.mapToGlobal(point), button, held, keys))


def wait(seconds: float) -> None:
    """Keep the window alive for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


if __name__ == "__main__":
    main()

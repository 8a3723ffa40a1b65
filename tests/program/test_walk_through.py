"""The whole job in a real window: what a user should see after each chapter of ``helpers.walk_through.chapters``."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from napari.utils.notifications import NotificationSeverity, notification_manager
from qtpy.QtCore import QTimer

from helpers.read_back import READERS
from helpers.walk_through import chapters
from helpers.walk_through.chapters import COPPER, SILVER, STORY, Walk
from helpers.walk_through.hands import says, wait
from helpers.walk_through.stalls import StallMeter
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.export.registry import FORMATS
from napari_4dstem_orient.napari_plugin.layers.map_layers import KIND, MAP, map_layers
from napari_4dstem_orient.napari_plugin.layers.scan_layers import find_layer
from napari_4dstem_orient.napari_plugin.panels.compare.panel import DIFFERENCE
from napari_4dstem_orient.samples.copper import copper_polycrystal, copper_truth
from napari_4dstem_orient.samples.library import SAMPLES
from napari_4dstem_orient.samples.silver import SILVER_REFERENCE, silver_grains, silver_twins
from napari_4dstem_orient.workflow.session import MapBy, Stage

STRIDE = {SILVER.title: 4, COPPER.title: 2}
"""The samples in miniature: only every so many positions along both axes."""
IMAGES = Path(__file__).parents[2] / "docs" / "images"
OF_OTHER_TOOLS = {"certainty", "frames", "overlap"}


def miniature(scan: Scan, stride: int) -> Scan:
    """Return every so many positions of a scan, in memory."""
    small = np.asarray(scan.data[::stride, ::stride])
    step = scan.calibration.r_pixel
    return replace(
        scan,
        data=da.from_array(small, chunks=(1, 16, *small.shape[2:])),
        calibration=scan.calibration.with_(r_pixel=None if step is None else stride * step),
    )


@pytest.fixture
def told(monkeypatch):
    """Collect warnings and errors that the user gets."""
    told = []

    def dispatch(notification):
        if notification.severity >= NotificationSeverity.WARNING:
            told.append(notification)

    monkeypatch.setattr(notification_manager, "dispatch", dispatch)
    return told


@pytest.fixture
def walk(make_napari_viewer, monkeypatch, tmp_path):
    for title, sample in ((SILVER.title, silver_twins), (COPPER.title, copper_polycrystal)):
        small = miniature(sample(), STRIDE[title])
        monkeypatch.setitem(SAMPLES, title, lambda small=small: small)

    def new_viewer():
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(1600, 1000)
        return viewer

    made = Walk(new_viewer, str(tmp_path / "out"), str(tmp_path / "silver.4dorient.h5"))
    yield made
    made.meter.close()
    print(made.meter.table())
    for panel in made.viewer.window.dock_widgets.values():
        panel.close_step()


def test_the_whole_job_in_a_window(walk, told):
    for chapter in STORY:
        with CHECKS[chapter](walk):
            walk.take(chapter)
        assert not told, chapter.__name__
    assert {path.stem for path in IMAGES.glob("*.png")} <= {*walk.pictures, *OF_OTHER_TOOLS}


def test_a_stall_is_counted_and_its_place_named(qtbot):
    meter = StallMeter()
    meter.begin("pictures")
    with meter.paused():
        time.sleep(0.3)
    meter.begin("sleep")
    QTimer.singleShot(0, lambda: time.sleep(0.3))
    qtbot.waitUntil(lambda: meter.chapters["sleep"].longest >= 0.3, timeout=60_000)
    meter.close()
    assert meter.chapters["sleep"].count >= 1
    assert "test_walk_through" in meter.chapters["sleep"].where
    assert meter.chapters["pictures"].longest < 0.3


# ---------------------------------------------------------------- what a user should see


CHECKS: dict[Callable[[Walk], None], Callable[[Walk], AbstractContextManager[None]]] = {}
"""What runs around each chapter."""


def after(chapter: Callable[[Walk], None]):
    """Make a function the check of a chapter: what stands before its ``yield`` comes before."""

    def keep(check: Callable[[Walk], Iterator[None]]):
        CHECKS[chapter] = contextmanager(check)
        return check

    return keep


def states(walk: Walk) -> dict[str, str]:
    """Return what the overview says of each step."""
    steps = walk.panel("Overview").steps
    return {title: made.text().partition(": ")[2] for title, made in steps.items()}


@after(chapters.open_silver)
def the_scan_is_seen_and_its_probe_known(walk):
    assert says(walk.panel("Overview"), "Start here")
    yield
    assert walk.session.scan_shape == (16, 52)
    assert says(walk.panel("Overview"), "16 × 52 positions")
    assert find_layer(walk.viewer, "annular dark field").data.std() > 0
    assert (states(walk)["Data"], states(walk)["Bragg disks"]) == ("current", "ready")
    assert "needs" in states(walk)["Map"]


@after(chapters.open_copper)
def nothing_is_left_of_silver(walk):
    yield
    assert walk.session.scan_shape == (24, 32)
    assert not map_layers(walk.viewer)
    assert (states(walk)["Data"], states(walk)["Bragg disks"]) == ("current", "ready")
    assert walk.session.pins == ()


@after(chapters.drag_detectors)
def each_detector_has_the_image_of_where_it_lies(walk):
    yield
    panel, data = walk.panel("Virtual images"), walk.session.get(Stage.SCAN).data.compute()
    bright, spot, ring = panel.detectors
    moved = np.array(spot.center) - np.array(bright.center) - (4 * panel.beam.radius, 0)
    np.testing.assert_allclose(moved, (-6, 8), atol=1)
    assert ring.center == bright.center
    for detector, layer in zip(panel.detectors, chapters.virtual_layers(walk), strict=True):
        seen = data[..., detector.mask(data.shape[2:])].sum(-1, dtype=float)
        wait(f"the image of {layer.name}", lambda layer=layer, seen=seen: np.allclose(layer.data, seen))


@after(chapters.pin_positions)
def both_pins_are_kept_and_the_first_is_inspected(walk):
    yield
    places = walk.places()
    assert walk.session.pins == tuple(places)
    assert walk.session.position == places[0]


@after(chapters.find_disks)
def every_crystal_has_disks(walk):
    yield
    disks = walk.session.get(Stage.DISKS)
    assert np.median(disks.counts) > 5
    np.testing.assert_array_equal(find_layer(walk.viewer, "disk count").data, disks.sure().counts)
    assert (states(walk)["Bragg disks"], states(walk)["Calibration"]) == ("current", "ready")


@after(chapters.cancel_midway)
def the_disks_found_before_are_kept(walk):
    before = walk.session.get(Stage.DISKS)
    yield
    assert walk.session.get(Stage.DISKS) is before
    assert states(walk)["Bragg disks"] == "current"
    assert says(walk.panel("Bragg disks"), "The settings have changed since")
    np.testing.assert_array_equal(find_layer(walk.viewer, "disk count").data, before.sure().counts)


@after(chapters.calibrate)
def the_pixel_size_is_the_known_one(walk):
    known = walk.session.calibration.q_pixel
    yield
    assert walk.session.calibration.q_pixel == pytest.approx(known, rel=0.02)
    assert walk.session.known_from("q_pixel") == "fitted"
    assert (states(walk)["Calibration"], states(walk)["Map"]) == ("current", "ready")
    # Nobody told how the silver's detector is turned; of the simulated copper it is known.
    assert says(walk.panel("Overview"), "exploratory" if walk.sample is SILVER else "pixel size fitted")


@after(chapters.map_orientations)
def the_map_is_right_and_shown(walk):
    yield
    found = walk.session.get(MapBy("transformer"))
    assert [phase.name for phase in found.phases] == [walk.sample.crystal]
    (layer,) = map_layers(walk.viewer, "transformer")
    assert layer.visible
    assert layer.metadata[MAP] is found
    assert (states(walk)["Map"], states(walk)["Export"]) == ("current", "ready")
    error = errors_of_silver(found) if walk.sample is SILVER else errors_of_copper(found)
    assert np.median(error) < 3


def errors_of_silver(found):
    """Return how far the pairs of grains are from their published misorientations, in degrees."""
    stride, phase = STRIDE[SILVER.title], found.phases[0]
    grains = [found.rotation[grain[::stride, ::stride] & found.indexed] for grain in silver_grains()]
    return [
        abs(np.median(misorientation(grains[one][:1], grains[other], phase)) - angle)
        for (one, other), angle in SILVER_REFERENCE.misorientations.items()
    ]


def errors_of_copper(found):
    """Return how far the answers are from the simulated orientations, in degrees."""
    stride, truth = STRIDE[COPPER.title], copper_truth()
    inside = (~truth.vacuum & ~truth.boundary)[::stride, ::stride] & found.indexed
    right = truth.rotation[::stride, ::stride][inside]
    return misorientation(found.rotation[inside], right, found.phases[0])


@after(chapters.inspect)
def the_inspector_tells_what_was_clicked(walk):
    yield
    inspector = walk.panel("Inspector")
    assert walk.session.position == walk.places()[0]
    assert says(inspector, "disks beside the direct beam")
    assert says(inspector, "reliability <b>")
    kinds = {layer.metadata[KIND] for layer in map_layers(walk.viewer, "transformer")}
    assert kinds == {"ipf-x", "ipf-z"}


@after(chapters.compare)
def the_methods_agree_and_the_worst_place_is_inspected(walk):
    yield
    panel = walk.panel("Compare")
    assert says(panel, "apart")
    angle = panel.found.angle
    np.testing.assert_array_equal(find_layer(walk.viewer, DIFFERENCE).data, np.nan_to_num(angle))
    assert np.nanmedian(angle) < 5
    assert angle[walk.session.position] == pytest.approx(np.nanmax(angle), abs=0.1)


@after(chapters.find_grains)
def the_grains_are_listed_and_outlined(walk):
    yield
    assert says(walk.panel("Analysis"), "grains")
    assert find_layer(walk.viewer, "grain boundaries") is not None
    assert find_layer(walk.viewer, "grains").data.max() >= 4


@after(chapters.export_all)
def every_file_is_read_by_its_program(walk):
    yield
    made, folder = walk.session.get(MapBy("transformer")), Path(walk.folder)
    assert set(READERS) == set(FORMATS)
    read = set()
    for files, reader in READERS.values():
        paths = sorted(folder.glob(files))
        assert paths, files
        for path in paths:
            number = re.search(r"_crystal(\d)", path.stem)
            reader(path, made.of_crystal(int(number[1])) if number else made)
        read.update(paths)
    assert read == set(folder.iterdir())
    for path in read:
        assert says(walk.panel("Export"), path.name)


@after(chapters.save_project)
def the_project_is_a_file(walk):
    yield
    assert Path(walk.project).stat().st_size > 0
    assert says(walk.panel("Overview"), walk.project)


@after(chapters.reopen_project)
def all_is_as_it_was(walk):
    former = walk.session.state
    yield
    state = walk.session.state
    assert walk.session.get(Stage.SCAN).scan_shape == (16, 52)
    assert set(state.results) == set(former.results)
    assert (state.pins, state.position, state.stale) == (former.pins, former.position, frozenset())
    for stage in (MapBy("transformer"), MapBy("template")):
        np.testing.assert_array_equal(state.results[stage].rotation, former.results[stage].rotation)
    assert state.calibration == former.calibration
    assert {title: words for title, words in states(walk).items() if words != "current"} == {
        "Analysis": "ready",
        "Export": "ready",
    }


@after(chapters.change_upstream)
def what_was_made_with_it_is_stale_and_nothing_else(walk):
    yield
    assert states(walk) == {
        **{"Data": "current", "Bragg disks": "current", "Calibration": "stale", "Map": "stale"},
        **{"Analysis": "stale", "Export": "stale"},
    }
    assert says(walk.panel("Calibration"), "press Apply again")
    assert says(walk.panel("Map"), "Stale")


@after(chapters.update)
def only_what_was_stale_is_made_anew(walk):
    before = walk.session.state.results
    yield
    now = walk.session.state.results
    assert not any(walk.session.is_stale(stage) for stage in now)
    anew = {stage for stage in now if now[stage] is not before[stage]}
    assert anew == {Stage.CALIBRATED, MapBy("transformer")}
    assert walk.session.record(Stage.CALIBRATED).job.calibration["rotation"] == 5
    assert states(walk)["Map"] == "current"

"""What a session keeps, drops and calls stale."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from helpers.made_maps import some_map
from napari_4dstem_orient.analysis.grains import GrainSettings, find_grains
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.workflow.session import MapBy, Session, Stage


def disks(shape=(3, 4), calibrated=False):
    return BraggDisks.from_lists(shape, [np.zeros((1, 3))] * (shape[0] * shape[1]), calibrated=calibrated)


@pytest.fixture
def session(small_scan):
    session = Session()
    session.put(Stage.SCAN, small_scan)
    session.put(Stage.PROBE, "probe")
    session.put(Stage.DISKS, disks())
    session.put(Stage.CALIBRATED, disks(calibrated=True))
    return session


def test_a_new_result_makes_what_was_made_from_the_former_stale(session):
    session.put(Stage.PROBE, "another")
    assert session.is_stale(Stage.DISKS)
    assert session.is_stale(Stage.CALIBRATED)
    assert not session.is_stale(Stage.PROBE)
    session.put(Stage.DISKS, disks())
    assert not session.is_stale(Stage.DISKS)
    assert session.is_stale(Stage.CALIBRATED)


def test_a_map_of_stale_disks_says_how_they_were_calibrated_and_is_stale_itself(session):
    applied = Calibration(q_pixel=0.05, q_pixel_from="typed", rotation=30.0)
    session.set_calibration(applied)
    made = replace(disks(calibrated=True), provenance={"calibration": asdict(applied)})
    session.put(Stage.CALIBRATED, made)
    session.set_calibration(applied.with_(rotation=75.0, voltage=200.0))
    job = session.job_for(MapBy("template"))
    assert (job.calibration["rotation"], job.calibration["voltage"]) == (30.0, 200.0)
    session.put(MapBy("template"), "map", job)
    assert session.is_stale(MapBy("template"))
    session.put(Stage.CALIBRATED, made)
    session.put(MapBy("template"), "map", session.job_for(MapBy("template")))
    assert not session.is_stale(MapBy("template"))
    assert session.record(MapBy("template")).job.calibration["rotation"] == 75.0


def test_a_new_scan_drops_what_belongs_to_the_former_and_says_so(session, small_scan):
    told = []
    session.changed.connect(told.append)
    session.put(Stage.SCAN, small_scan)
    assert session.get(Stage.DISKS) is None
    assert set(told) == {Stage.SCAN, Stage.PROBE, Stage.DISKS, Stage.CALIBRATED}


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        ({"q_pixel": 0.02}, True),
        ({"rotation": 12.0}, True),
        ({"flip": True}, True),
        ({"r_pixel": 7.0}, False),
        ({"r_pixel": 7.0, "r_aspect": 2.0}, False),
        ({"distortion": (0.01, 0.0)}, True),
        ({"semiangle": 1.5}, False),
    ],
)
def test_a_field_of_the_calibration_makes_stale_only_what_was_made_with_it(session, change, stale):
    session.set_calibration(session.calibration.with_(**change))
    assert session.is_stale(Stage.CALIBRATED) is stale
    assert not session.is_stale(Stage.DISKS)
    assert session.get(Stage.SCAN).calibration == session.calibration


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        ({"q_pixel": 0.02}, True),
        ({"rotation": 12.0}, True),
        ({"flip": True}, True),
        ({"distortion": (0.01, 0.0)}, True),
        ({"voltage": 120.0}, True),
        ({"precession": 0.5}, True),
        ({"r_pixel": 7.0}, False),
        ({"semiangle": 1.5}, False),
    ],
)
def test_what_turns_or_explains_patterns_otherwise_makes_maps_stale(session, change, stale):
    session.put(Stage.MAP, some_map((3, 4)), session.job_for(Stage.MAP))
    session.set_calibration(session.calibration.with_(**change))
    assert session.is_stale(MapBy("transformer")) is stale


def test_scan_steps_typed_after_mapping_are_those_of_the_maps(session):
    """What was exported from the map, and the grains' sizes, kept the steps that the map was made with."""
    made = some_map((3, 4), r_pixel=5.0, provenance={"calibration": {"r_pixel": 5.0, "voltage": 200.0}})
    key, told = MapBy("transformer"), []
    session.put(key, made, session.job_for(key))
    session.changed.connect(told.append)
    session.set_calibration(session.calibration.with_(r_pixel=8.0, r_aspect=4.0))
    now = session.get(key)
    assert now.steps == (16.0, 4.0)
    assert now.provenance["calibration"] == {"r_pixel": 8.0, "r_aspect": 4.0, "voltage": 200.0}
    calibration = session.record(key).job.calibration
    assert (calibration["r_pixel"], calibration["r_aspect"]) == (8.0, 4.0)
    grains = find_grains(now, GrainSettings(smallest=1))
    np.testing.assert_allclose(grains.area, 64.0 * grains.size)
    assert not session.is_stale(key)
    assert all(getattr(now, name) is values for name, values in made.arrays.items())
    assert told == [Stage.SCAN, key]
    session.set_calibration(session.calibration.with_(r_pixel=None))
    assert session.get(key).steps is None


def test_a_map_that_comes_later_has_the_steps_typed_meanwhile(session):
    session.set_calibration(session.calibration.with_(r_pixel=8.0, r_aspect=4.0))
    kept = session.put(Stage.MAP, some_map((3, 4), r_pixel=5.0))
    assert kept.steps == (16.0, 4.0)
    assert session.get(MapBy("transformer")) is kept
    former = replace(session.state, results={**session.state.results, MapBy("transformer"): some_map((3, 4))})
    session.restore(former)  # of a project that was saved before maps followed
    assert session.get(MapBy("transformer")).steps == (16.0, 4.0)


def test_a_map_alone_keeps_its_steps_whatever_disks_are_opened_beside_it():
    session = Session()
    session.set_calibration(Calibration(r_pixel=6.0))
    session.put(Stage.MAP, some_map((3, 4), r_pixel=6.0))
    for told in (Calibration(), Calibration(r_pixel=9.0)):
        session.learn(told)
        session.put(Stage.DISKS, disks())
        assert session.get(MapBy("transformer")).r_pixel == session.calibration.r_pixel == 6.0


def test_where_a_calibration_field_comes_from(session):
    assert session.known_from("voltage") == "file"
    session.set_calibration(session.calibration.with_(voltage=80.0, semiangle=None))
    assert session.known_from("voltage") == "typed"
    assert session.known_from("semiangle") == "unknown"
    session.set_calibration(session.calibration.with_(q_pixel=0.03, q_pixel_from="fitted"))
    assert session.known_from("q_pixel") == "fitted"
    assert session.known_from("rotation") == session.known_from("flip") == "unknown"
    session.set_calibration(session.calibration.with_(rotation_from="typed"))
    assert (session.known_from("rotation"), session.known_from("flip")) == ("typed", "typed")  # that it is 0


def test_a_rotation_of_0_that_was_typed_is_not_replaced_by_that_of_a_file_of_disks(session):
    told = Calibration(rotation=30.0, flip=True, rotation_from="file")
    session.set_calibration(session.calibration.with_(rotation_from="typed"))
    session.learn(told)
    known = session.calibration
    assert (known.rotation, known.flip, known.rotation_from) == (0.0, False, "typed")
    session.set_calibration(known.with_(rotation_from="unknown"))
    session.learn(told)
    known = session.calibration
    assert (known.rotation, known.flip, known.rotation_from) == (30.0, True, "file")


def test_disks_alone_need_neither_scan_nor_probe():
    session = Session()
    assert session.missing(Stage.CALIBRATED) == [Stage.SCAN, Stage.PROBE, Stage.DISKS]
    session.put(Stage.DISKS, disks((5, 6)))
    assert session.missing(Stage.CALIBRATED) == []
    assert session.scan_shape == (5, 6)
    session.move_to(99, -1)
    assert session.position == (4, 0)


def test_pins_are_kept_once_each_in_order_and_go_with_the_scan(session, small_scan):
    told = []
    session.pins_changed.connect(lambda: told.append(session.pins))
    session.set_pins([(1, 2), (0, 0), (1, 2)])
    session.set_pins([(1, 2), (0, 0)])
    assert told == [((1, 2), (0, 0))]
    session.put(Stage.DISKS, disks())
    assert session.pins == ((1, 2), (0, 0))
    session.put(Stage.SCAN, small_scan)
    assert session.pins == ()


@pytest.mark.parametrize(
    ("calibration", "reasons"),
    [
        (Calibration(), 3),
        (Calibration(voltage=300.0, q_pixel=0.02, q_pixel_from="fitted", rotation_from="typed"), 0),
        (Calibration(voltage=300.0, q_pixel=0.02, q_pixel_from="fitted", rotation=-12.0), 0),
        (Calibration(voltage=300.0, q_pixel=0.02, q_pixel_from="fitted"), 1),
        (Calibration(voltage=300.0, q_pixel=0.02, q_pixel_from="typed"), 2),
        (Calibration(voltage=300.0, q_pixel=0.02, q_pixel_from="file"), 2),
        (Calibration(voltage=300.0, q_pixel=0.02, q_pixel_from="doubtful"), 2),
        (Calibration(q_pixel=0.02, q_pixel_from="fitted"), 2),
    ],
)
def test_a_calibration_says_why_its_maps_are_exploratory(calibration, reasons):
    assert len(calibration.exploratory) == reasons


def test_the_crystal_looked_at_is_one_that_a_map_has(session):
    told, first = [], some_map((3, 4), method="template")
    session.crystal_changed.connect(told.append)
    session.look_at_crystal(2)
    assert session.crystal == 0
    session.put(Stage.MAP, replace(first, beside=(some_map((3, 4), seed=2),)))
    session.look_at_crystal(2)
    assert (session.crystal, session.crystals, told) == (2, 2, [2])
    session.put(Stage.MAP, first)
    assert session.crystal == 0


def test_another_scan_is_looked_at_by_its_first_crystals(session, small_scan):
    several = replace(some_map((3, 4)), beside=(some_map((3, 4), seed=2),))
    session.put(Stage.MAP, several)
    session.look_at_crystal(2)
    session.put(Stage.SCAN, small_scan)
    session.put(Stage.MAP, several)
    assert session.crystal == 0

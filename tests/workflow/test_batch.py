"""The same job for many files: what is a scan, where results go, and that one bad file does not stop the others."""

from dataclasses import replace
from unittest.mock import create_autospec

import numpy as np
import pytest

from helpers.gui_scan import CALIBRATION, fill, made_map
from napari_4dstem_orient.core.errors import Cancelled, UserError
from napari_4dstem_orient.io.formats import suffixes
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient.io.result import load_map
from napari_4dstem_orient.workflow import batch
from napari_4dstem_orient.workflow.batch import map_file, recipe, scans_in
from napari_4dstem_orient.workflow.job import Job
from napari_4dstem_orient.workflow.run import Results
from napari_4dstem_orient.workflow.session import MapBy, Session, Stage


@pytest.fixture
def like(silver):
    """How a session whose map was made by template matching would map others."""
    session = Session()
    fill(session, silver)
    session.put(Stage.MAP, made_map(silver, "template"), Job(phases=(silver,), method="template"))
    return recipe(session)[0]


@pytest.fixture(autouse=True)
def mapped(monkeypatch, silver):
    """Let mapping read the file and then know the answer; what it was asked with."""
    asked = []

    def run(job, *, store, observer, have):
        scan = load(job.path, job.dataset, job.scan_shape)
        scan.pattern(0, 0)
        observer.report("Mapping orientations")(1, 2)
        asked.append(job)
        return Results(map=replace(made_map(silver, "template"), provenance={"input": job.path}))

    monkeypatch.setattr(batch, "run", create_autospec(batch.run, side_effect=run))
    return asked


def scan_file(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.ones((4, 6, 8, 8), np.float32))
    return path


def test_a_folders_scans_are_listed_and_maps_are_not(tmp_path, silver):
    for name in ("b.npy", "a.npy", ".hidden.npy", "notes.txt"):
        scan_file(tmp_path / name) if name.endswith("npy") else (tmp_path / name).write_text("")
    made_map(silver, "template").save(tmp_path / "a_orientation.h5")
    assert [path.name for path in scans_in(tmp_path)] == ["a.npy", "b.npy"]
    with pytest.raises(UserError, match="cannot be read"):
        scans_in(tmp_path / "missing")


@pytest.mark.parametrize("suffix", suffixes())
def test_files_of_every_format_are_listed(tmp_path, suffix):
    (tmp_path / f"scan{suffix}").write_text("whatever")
    assert scans_in(tmp_path) == [tmp_path / f"scan{suffix}"]


def test_folders_are_listed_only_where_a_format_is_one(tmp_path):
    for name in ("store.zspy", "results.mib", "maps"):
        (tmp_path / name).mkdir()
    assert scans_in(tmp_path) == [tmp_path / "store.zspy"]


def test_a_file_is_mapped_like_the_open_scan(tmp_path, like, mapped, silver):
    outcome = map_file(scan_file(tmp_path / "a.npy"), like)
    assert outcome.result == tmp_path / "a_orientation.h5"
    assert load_map(outcome.result).method == "template"
    (asked,) = mapped
    assert asked.method == "template"
    assert asked.phases[0].to_dict() == silver.to_dict()
    assert asked.calibration["q_pixel"] == CALIBRATION.q_pixel  # typed, as in the open scan
    assert "voltage" not in asked.calibration  # as the file has it


def test_what_is_wrong_with_a_file_is_its_reason(tmp_path, like):
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY damaged")
    outcome = map_file(tmp_path / "bad.npy", like)
    assert outcome.result is None
    assert "bad.npy" in outcome.reason
    assert not list(tmp_path.glob("*orientation*"))


def test_a_cancelled_file_is_not_taken_for_a_bad_one(tmp_path, like):
    def cancel(done, total):
        raise Cancelled

    with pytest.raises(Cancelled):
        map_file(scan_file(tmp_path / "a.npy"), like, progress=cancel)


def test_results_of_files_of_one_name_lie_beside_each_other(tmp_path, like):
    paths = [scan_file(tmp_path / folder / "a.npy") for folder in ("monday", "tuesday")]
    results = [map_file(path, like, tmp_path / "out").result for path in paths]
    assert [path.name for path in results] == ["a_orientation.h5", "a_2_orientation.h5"]
    for path, result in zip(paths, results, strict=True):
        assert load_map(result).provenance["input"] == str(path)
        assert map_file(path, like, tmp_path / "out").result == result  # made anew in its own place


def test_another_file_of_that_name_is_left_alone(tmp_path, like):
    (tmp_path / "a_orientation.h5").write_text("somebody's")
    assert map_file(scan_file(tmp_path / "a.npy"), like).result.name == "a_2_orientation.h5"
    assert (tmp_path / "a_orientation.h5").read_text() == "somebody's"


def test_without_a_map_there_is_no_recipe():
    with pytest.raises(UserError, match="No map was made here"):
        recipe(Session())


def test_the_dataset_of_a_file_of_disks_is_not_looked_for_in_other_files(silver):
    session = Session()
    fill(session, silver)
    session.put(Stage.DISKS, session.get(Stage.DISKS), Job("disks.h5", "/a"))
    session.choose(phases=(silver,), method="template")
    for stage, made in (
        (Stage.CALIBRATED, session.get(Stage.CALIBRATED)),
        (MapBy("template"), made_map(silver, "template")),
    ):
        session.put(stage, made, session.job_for(stage))
    assert session.record(MapBy("template")).job.dataset == "/a"
    assert (recipe(session)[0].path, recipe(session)[0].dataset) == (None, None)


def test_all_that_a_person_gave_of_the_calibration_goes_to_the_other_files(silver):
    session = Session()
    fill(session, silver)
    given = {
        "q_pixel": 0.021,
        "q_pixel_from": "fitted",
        "distortion": (0.02, 0.01),
        "r_aspect": 1.5,
        "rotation": 12.0,
    }
    session.set_calibration(session.calibration.with_(**given))
    session.choose(phases=(silver,), method="template")
    session.put(Stage.MAP, made_map(silver, "template"), session.job_for(MapBy("template")))
    told = recipe(session)[0].given
    assert {name: told[name] for name in given} == given


@pytest.mark.parametrize("told", ["unknown", "typed"])
def test_a_rotation_of_0_goes_to_the_other_files_where_it_was_typed(silver, told):
    session = Session()
    fill(session, silver)
    known = CALIBRATION.with_(rotation=0.0, flip=False, rotation_from=told)
    session.set_calibration(known)
    session.choose(phases=(silver,), method="template")
    session.put(Stage.MAP, made_map(silver, "template"), session.job_for(MapBy("template")))
    given = recipe(session)[0].given
    turned = {name: given[name] for name in ("rotation", "flip", "rotation_from") if name in given}
    assert turned == ({"rotation": 0.0, "flip": False, "rotation_from": "typed"} if told == "typed" else {})

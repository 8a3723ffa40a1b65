"""A microscope is remembered by its name, fills in what is not known, and never more."""

import json

import pytest

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.workflow.instruments import (
    Instrument,
    find_instrument,
    folder,
    in_words,
    names,
    save_instrument,
)
from napari_4dstem_orient.workflow.job import Job, Stage
from napari_4dstem_orient.workflow.run import Results, run

KNOWN = Calibration(300.0, 0.0328, 5.0, 1.9, 12.5, True, "fitted", distortion=(0.01, 0.002))
TITAN = Instrument.of(KNOWN, (64, 64), 3.5)


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    monkeypatch.setattr("typer.get_app_dir", lambda name: str(tmp_path / name))


def test_an_instrument_comes_back_as_it_was_saved():
    assert names() == []
    save_instrument("Titan 300 kV", TITAN)
    assert names() == ["Titan 300 kV"]
    assert find_instrument("Titan 300 kV") == TITAN


def test_only_what_is_unknown_is_filled_in():
    news = TITAN.news(Calibration(voltage=200.0, rotation=3.0), (64, 64))
    assert news == {
        "semiangle": 1.9,
        "q_pixel": 0.0328,
        "q_pixel_from": "instrument",
        "distortion": (0.01, 0.002),
    }
    assert TITAN.news(KNOWN) == {}
    assert TITAN.contradicts(Calibration(voltage=200.0))
    assert not TITAN.contradicts(Calibration(voltage=300.0))


def test_pixels_of_another_detector_are_not_taken():
    news = TITAN.news(Calibration(), (128, 128))
    assert "q_pixel" not in news
    assert "distortion" not in news
    assert in_words(news) == "voltage 300 kV, semiangle 1.9 mrad, rotation 12.5 °, flip"


def test_a_remembered_pixel_does_not_earn_trust():
    known = Calibration(voltage=300.0, rotation_from="typed")
    assert "instrument" in known.with_(**TITAN.news(known)).exploratory[0]


def test_an_instrument_saved_before_it_said_whether_the_rotation_was_known():
    former = Instrument(voltage=300.0, rotation=12.5)
    assert former.news(Calibration()) == {
        "voltage": 300.0,
        "rotation": 12.5,
        "flip": False,
        "rotation_from": "instrument",
    }
    assert "rotation" not in Instrument(voltage=300.0).news(Calibration())


def test_a_job_fills_in_from_its_instrument_and_keeps_it(small_scan):
    told = Calibration(r_pixel=2.0)
    job = Job.from_dict(json.loads(json.dumps(Job(instrument=TITAN).to_dict())))
    done = run(job, Stage.PROBE, have=Results(scan=small_scan.with_calibration(told)))
    assert done.calibration == told.with_(**TITAN.news(told, (64, 64)))
    assert done.probe.radius == pytest.approx(3.5)


@pytest.mark.parametrize("name", ["", "a/b", "..", "CON:", "x" * 90])
def test_names_that_are_no_files_are_refused(name):
    with pytest.raises(UserError, match="cannot be called"):
        save_instrument(name, TITAN)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"voltage": "high"}', '{"voltage": -3}', '{"more": 1}'])
def test_foreign_files_are_refused_in_one_sentence(text):
    save_instrument("odd", TITAN)
    (folder() / "odd.json").write_text(text)
    with pytest.raises(UserError, match=r"odd\.json"):
        find_instrument("odd")


def test_an_unknown_name_says_which_there_are():
    save_instrument("Titan", TITAN)
    with pytest.raises(UserError, match="there are Titan"):
        find_instrument("Talos")

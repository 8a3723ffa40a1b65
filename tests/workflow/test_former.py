"""A project as 0.1.0 wrote it opens: every result, and the job that each is made with."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import h5py
import pytest

from helpers.made_maps import CU
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.indexing.settings import TemplateSettings
from napari_4dstem_orient.workflow.former import jobs_of_records
from napari_4dstem_orient.workflow.job import Job
from napari_4dstem_orient.workflow.project import load_project, save_project
from napari_4dstem_orient.workflow.script import script_of
from napari_4dstem_orient.workflow.session import MapBy, Stage

WRITTEN = Path(__file__).parents[1] / "data" / "project_0.1.0.4dorient.h5"
"""By 0.1.0: a scan with its probe from a region, disks, both maps (one read from a file), a pin and a layer."""


@pytest.fixture
def project(tmp_path):
    return Path(shutil.copy(WRITTEN, tmp_path / "a.4dorient.h5"))


def retold(path, change):
    with h5py.File(path, "r+") as file:
        told = json.loads(file["session"].asstr()[()])
        change(told)
        del file["session"]
        file["session"] = json.dumps(told)


def test_a_project_of_0_1_0_opens_with_all_that_it_holds(project):
    read = load_project(project)
    scan, *model = read.warnings
    assert "/data/scan.npy is not there" in scan
    found = [Path(path).name for path in read.state.job.models]
    assert found == ["fcc.safetensors"] or "/models/fcc.safetensors" in model[0]  # another since
    assert set(read.state.results) == {
        Stage.PROBE,
        Stage.DISKS,
        Stage.CALIBRATED,
        MapBy("transformer"),
        MapBy("template"),
    }
    jobs = {stage: record.job for stage, record in read.state.records.items()}
    assert jobs[Stage.SCAN].path == "/data/scan.npy"
    assert jobs[Stage.PROBE].probe == ((0, 2), (1, None))
    assert (jobs[Stage.DISKS].detection.min_intensity, jobs[Stage.DISKS].device) == (5.0, "cpu")
    assert jobs[Stage.DISKS].probe == jobs[Stage.PROBE].probe
    assert jobs[Stage.CALIBRATED].centring.position == (15.0, 16.0)
    made = jobs[MapBy("template")]
    assert (made.path, made.scan_shape, made.method) == ("/data/scan.npy", (3, 4), "template")
    assert (made.detection, made.centring) == (jobs[Stage.DISKS].detection, jobs[Stage.CALIBRATED].centring)
    assert made.calibration["rotation"] == 12.0
    assert made.phases[0].to_dict() == CU.to_dict()
    assert made.own_settings == TemplateSettings(matches=3, excitation_width=0.02, intensity_power=0.5)
    assert made.acceptance.min_score == 0.25
    assert jobs[MapBy("transformer")] == Job("map.h5")
    chosen = read.state.job
    assert (chosen.phases[0].name, chosen.settings["template"].matches) == ("Cu", 3)
    assert (read.state.pins, read.layers["overview"]["opacity"]) == (((1, 2),), 0.5)
    assert "'/data/scan.npy'" in script_of(read.state)


def test_saved_again_it_is_a_project_of_today(project, tmp_path):
    read = load_project(project)
    save_project(read, tmp_path / "b.4dorient.h5")
    with h5py.File(tmp_path / "b.4dorient.h5") as file:
        assert file.attrs["format_version"] == 2
    again = load_project(tmp_path / "b.4dorient.h5")
    for stage, record in read.state.records.items():
        assert again.state.records[stage].job.to_dict() == record.job.to_dict()
        assert again.state.records[stage].made == record.made
    assert again.state.job.to_dict() == read.state.job.to_dict()
    assert set(again.state.results) == set(read.state.results)


def test_a_later_format_is_refused(project):
    with h5py.File(project, "r+") as file:
        file.attrs["format_version"] = 3
    with pytest.raises(UserError, match="format version 3 and this program reads version 1 and 2"):
        load_project(project)


@pytest.mark.parametrize(
    ("spoil", "lost"),
    [
        (lambda told: told["records"]["probe"]["settings"].update(region="0:end, x"), 4),
        (lambda told: told["records"]["disks"]["settings"]["detection"].update(edge="wide"), 3),
        (lambda told: told["records"]["template map"]["settings"].update(template={"x=1": 2}), 1),
        (lambda told: told["settings"].update(models=5), 1),
    ],
)
def test_what_cannot_be_read_of_it_is_left_out_and_said(project, spoil, lost):
    before = len(load_project(project).warnings)
    retold(project, spoil)
    assert len(load_project(project).warnings) == before + lost


def test_a_project_of_0_1_0_of_other_types_is_refused(project):
    retold(project, lambda told: told["records"]["probe"].update(settings=[1]))
    with pytest.raises(UserError, match="cannot be read as a project file"):
        load_project(project)


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        ({"kind": "synthetic", "radius": 3.5, "width": 1.0}, 3.5),
        ({"kind": "vacuum", "source": "vacuum.h5::/x", "radius": 3.0}, "vacuum.h5::/x"),
        ({"kind": "region", "region": "1:end, 0:5", "radius": 3.0}, [[1, None], [0, 5]]),
        ({}, None),
    ],
)
def test_every_probe_of_0_1_0_is_a_probe_of_a_job(probe, said):
    job = Job.from_dict(jobs_of_records({"probe": probe}, {"path": "scan.h5"})["probe"])
    assert job.to_dict() == {
        **asdict(Job("scan.h5")),
        "phases": [],
        "parents": [],
        "models": None,
        "probe": said,
    }

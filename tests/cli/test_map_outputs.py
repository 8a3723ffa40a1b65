"""Commands destroy nothing: not what they read, not what somebody else made, not the work done so far."""

import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import pytest
from typer.testing import CliRunner

from helpers.command_line import run
from napari_4dstem_orient.cli import app
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.resource_files import resource
from napari_4dstem_orient.export.registry import FORMATS

KNOWN = ("--voltage", "300", "--q-pixel", "0.05")
MAP = ("--phase", "Cu", "--method", "template", *KNOWN)
FOREIGN = "somebody else's\n"


@pytest.fixture
def scan_file(tmp_path, small_scan, monkeypatch):
    """A scan in a folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    with h5py.File("scan.h5", "w") as file:
        file["data"] = small_scan.data.compute()
    return tmp_path / "scan.h5"


def content(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}


def refused(words, about):
    """Assert that a command ends with one sentence and changes nothing."""
    before = content(".")
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, UserError), done.output
    assert about in str(done.exception)
    assert content(".") == before
    assert not list(Path().glob("*.partial"))


def test_the_scan_is_still_there_afterwards(scan_file):
    for words in (["map", "scan.h5", *MAP, "-o", "scan.h5"], ["detect", "scan.h5", "-o", "scan.h5", *KNOWN]):
        before = scan_file.read_bytes()
        done = run(*words)
        assert done.returncode == 2
        assert done.stderr.splitlines() == [
            "Error: The output scan.h5 is the input scan.h5; choose another name."
        ]
        assert scan_file.read_bytes() == before


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_nothing_that_is_read_is_written(scan_file, force):
    shutil.copy(resource("crystals") / "Cu.cif", "mine.cif")
    shutil.copy("scan.h5", "vacuum.h5")
    shutil.copy("scan.h5", "scan_orix.h5")
    shutil.copy(resource("models") / "fcc.safetensors", "model.h5")
    asked = ("map", "scan.h5", *MAP, *force)
    refused([*asked, "--phase", "mine.cif", "-o", "mine.cif"], "is the input mine.cif")
    refused([*asked, "--probe", "vacuum.h5::/data", "-o", "vacuum.h5"], "is the input vacuum.h5")
    refused([*asked, "--model", "model.h5", "-o", "model.h5"], "is the input model.h5")
    refused(["map", "scan_orix.h5", *MAP, *force, "--export", "orix", "-o", "scan.h5"], "is the input")
    refused(["detect", "scan.h5", *KNOWN, *force, "--probe", "vacuum.h5", "-o", "vacuum.h5"], "is the input")
    train = ("train", "--phase", "mine.cif", "--voltage", "300", "--k-max", "1", *force)
    refused([*train, "--start-from", "model.h5", "-o", "model.h5"], "is the input model.h5")
    refused([*train, "-o", "mine.cif"], "is the input mine.cif")
    shutil.copy("model.h5", "model.png")
    refused([*train, "--start-from", "model.png", "-o", "model.x"], "is the input model.png")
    refused([*train, "--also", "mine.cif,200", "-o", "mine.cif"], "is the input mine.cif")
    shutil.copy("model.h5", "report.md")
    refused(["evaluate", "--model", "report.md", "--report", ".", *force], "is the input report.md")


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_no_file_is_written_twice(scan_file, force):
    refused(["map", "scan.h5", *MAP, *force, "-o", "r.ang", "--export", "ang"], "written twice")
    train = ("train", "--phase", "Cu", "--voltage", "300", "--k-max", "1", *force)
    for name in ("m.json", "m.png", "m.training"):
        refused([*train, "-o", name], "written twice")


def test_what_somebody_else_made_needs_force_and_our_own_does_not(scan_file):
    words = ["map", "scan.h5", *MAP, "-o", "r.h5", "--export", "csv", "--export", "tiff"]
    for name in ("r.h5", "r.csv", "r_ipf-z.tif"):
        Path(name).write_text(FOREIGN)
        refused(words, f"{name} exists and was not made by this command")
        Path(name).unlink()
    Path("r.csv").write_text(FOREIGN)
    for forced in (["--force"], []):
        done = CliRunner().invoke(app, [*words, *forced])
        assert done.exit_code == 0, done.exception
        assert OrientationMap.load("r.h5").scan_shape == (3, 4)
        assert FOREIGN not in Path("r.csv").read_text()


def test_every_command_again_over_its_own_files(scan_file):
    exports = [word for name in FORMATS if name != "h5" for word in ("--export", name)]
    for words in (
        ["map", "scan.h5", *MAP, "-o", "r.h5", *exports],
        ["detect", "scan.h5", "-o", "disks.h5", *KNOWN],
    ):
        for _ in range(2):
            done = CliRunner().invoke(app, words)
            assert done.exit_code == 0, done.exception
    refused(["detect", "scan.h5", "-o", "r.h5", *KNOWN], "r.h5 exists and was not made by this command")
    refused(["map", "scan.h5", *MAP, "-o", "disks.h5"], "disks.h5 exists and was not made by this command")


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (["train", "--phase", "Cu", "--voltage", "300", "--k-max", "1", "-o", "m.x"], "m.x"),
        (["train", "--phase", "Cu", "--voltage", "300", "--k-max", "1", "-o", "m.x"], "m.json"),
        (["train", "--phase", "Cu", "--voltage", "300", "--k-max", "1", "-o", "m.x"], "m.png"),
        (["train", "--phase", "Cu", "--voltage", "300", "--k-max", "1", "-o", "m.x"], "m.training"),
        (["evaluate", "--model", str(resource("models") / "fcc.safetensors"), "--report", "."], "report.md"),
        (
            ["evaluate", "--model", str(resource("models") / "fcc.safetensors"), "--report", "."],
            "0-losses.png",
        ),
        (["benchmark", "--out", "."], "benchmark.md"),
        (["benchmark", "--out", "."], "benchmark.json"),
        (["demo", "--headless", "--out", "."], "report.txt"),
        (["demo", "--headless", "--out", "."], "silver-twins.h5"),
        (["demo", "--headless", "--out", "."], "copper-polycrystal_score.png"),
    ],
)
def test_other_commands_replace_nothing_foreign_either(tmp_path, monkeypatch, words, file):
    monkeypatch.chdir(tmp_path)
    Path(file).write_text(FOREIGN)
    refused(words, f"{file} exists and was not made by this command")


def test_a_device_is_no_output(scan_file):
    refused(["detect", "scan.h5", *KNOWN, "-o", "/dev/null", "--force"], "a device")


def broken(*_):
    raise UserError("Cannot write r_orix.h5: no such symmetry.")


def full(*_):
    raise UserError("Cannot write r_orix.h5: the disk is full.") from OSError(28, "full")


def killed(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize(("fails", "kept"), [(broken, False), (full, True)])
def test_a_failed_export_is_told_at_the_end_with_all_others_written(scan_file, monkeypatch, fails, kept):
    monkeypatch.setattr("napari_4dstem_orient.export.orix.ORIX", replace(FORMATS["orix"], write=fails))
    words = ["map", "scan.h5", *MAP, "-o", "r.h5", "--export", "orix", "--export", "csv"]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, UserError)
    assert str(done.exception).startswith(
        "1 of 2 files not exported (the others are written): Cannot write r_orix"
    )
    assert "12 positions indexed" in done.output
    assert OrientationMap.load("r.h5").scan_shape == (3, 4)
    assert "zone_axis" in Path("r.csv").read_text()
    assert Path("r.h5.partial").exists() == kept


def test_what_is_done_is_kept_until_the_exports_are_there(scan_file, monkeypatch):
    words = ["map", "scan.h5", *MAP, "--alone", "-o", "r.h5", "--export", "csv"]  # pools are made anew
    with monkeypatch.context() as patched:
        patched.setattr("napari_4dstem_orient.export.table.CSV", replace(FORMATS["csv"], write=killed))
        assert CliRunner().invoke(app, words).exit_code != 0
    parts = {path.name for path in Path("r.h5.partial").iterdir()}
    assert {name.partition("-")[0] for name in parts} == {"disks", "map"}
    with monkeypatch.context() as patched:  # nothing is computed again
        patched.setattr("napari_4dstem_orient.workflow.steps.Detection.begin", killed)
        patched.setattr("napari_4dstem_orient.workflow.steps.Indexing.begin", killed)
        done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert Path("r.csv").is_file()
    assert not Path("r.h5.partial").exists()


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["map", "", *MAP, "-o", "o.h5"], "after map"),
        (["map", " ", *MAP, "-o", "o.h5"], "after map"),
        (["map", "scan.h5", *MAP, "-o", ""], "after -o"),
        (["map", "scan.h5", *MAP, "--output="], "after --output"),
        (["map", "scan.h5", *MAP, "-o", "o.h5", "--probe", ""], "after --probe"),
        (["train", "--phase", "Cu", "--voltage", "300", "--k-max", "1", "-o", ""], "after -o"),
    ],
)
def test_an_empty_name_is_refused_and_not_taken_for_the_current_folder(scan_file, words, place):
    done = run(*words)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"Error: An argument {place} is empty; write a name or a value there."
    ]


def test_a_folder_that_is_no_scan_is_named(scan_file):
    refused(["map", ".", *MAP, "-o", "o.h5"], ". is a folder that no reader here knows")

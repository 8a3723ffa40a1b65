"""The command line as its users meet it: what it prints, its exit code, the files it leaves."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from helpers.command_line import refused, run, run_alone
from helpers.made_maps import some_map
from helpers.rings import Q_PIXEL, disks_of
from napari_4dstem_orient.cli import app
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.resource_files import resource as shipped
from napari_4dstem_orient.core.scan import Calibration, Scan
from napari_4dstem_orient.core.version import VERSION
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.io.bragg_peaks import save_disks
from napari_4dstem_orient_evaluation.benchmarks import fresh

COMMANDS = ("demo", "map", "strain", "detect", "train", "evaluate", "benchmark")
CALIBRATED = ("--voltage", "300", "--q-pixel", "0.05", "--semiangle", "3")


@pytest.fixture
def scan_file(tmp_path: Path, small_scan: Scan) -> Path:
    path = tmp_path / "scan.npy"
    np.save(path, small_scan.data.compute())
    return path


@pytest.mark.py4dstem
def test_engine_is_whose_code_finds_disks_and_matches_templates(scan_file: Path, tmp_path: Path) -> None:
    result = tmp_path / "result.h5"
    asked = ("--phase", "Cu", "--method", "template", "--engine", "py4DSTEM", "-o", str(result))
    done = CliRunner().invoke(app, ["map", str(scan_file), *asked, *CALIBRATED])
    assert done.exit_code == 0, done.output
    made = OrientationMap.load(result).provenance
    assert made["engine"].startswith("py4DSTEM")
    assert made["disks"]["engine"] == "py4DSTEM"


def test_a_parent_is_named_as_its_phase_was(scan_file: Path, tmp_path: Path) -> None:
    result, cif = tmp_path / "result.h5", shipped("crystals", "Ag.cif")
    asked = ("--phase", "Cu", "--phase", str(cif), "--parent", str(cif), "-o", str(result))
    done = CliRunner().invoke(app, ["map", str(scan_file), *asked, *CALIBRATED])
    assert done.exit_code == 0, done.output
    made = OrientationMap.load(result)
    assert made.provenance["job"]["parents"] == ["Ag"]
    assert {phase.name for phase in made.phases} == {"Cu", "Ag"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = run_alone(command, "--help")
    assert done.returncode == 0
    assert "Usage:" in done.stdout
    assert not done.stderr


def test_a_console_without_some_letters_is_no_reason_to_fail() -> None:
    """A pipe on Windows has no ⁻; what cannot be printed is a question mark."""
    done = run_alone("train", "--help", env={**os.environ, "PYTHONIOENCODING": "cp1252"}, encoding="cp1252")
    assert done.returncode == 0, done.stderr
    assert "Å?¹" in done.stdout


def test_the_program_tells_its_version_and_those_of_its_libraries() -> None:
    done = run_alone("--version")
    assert done.returncode == 0
    told = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    assert told["napari-4dstem-orient"] == VERSION
    assert {"torch", "numpy"} <= set(told)


def test_unknown_option_is_exit_code_2() -> None:
    done = run_alone("map", "--nonsense")
    assert done.returncode == 2
    assert "No such option" in done.stderr


def test_detect_writes_disks_that_map_reads(scan_file: Path, tmp_path: Path) -> None:
    disks, result = tmp_path / "disks.h5", tmp_path / "result.h5"
    done = run_alone("detect", scan_file, "-o", disks, *CALIBRATED)
    assert done.returncode == 0, done.stderr
    assert "disks at 12 scan positions" in done.stdout
    done = run_alone("map", disks, "--phase", "Cu", "-o", result, "--method", "template", "--export", "ang")
    assert done.returncode == 0, done.stderr
    with h5py.File(result) as file:
        assert file["orientation/rotation"].shape == (3, 4, 3, 3)
        assert file["orientation/phase_id"][()].max() == 0
        assert file["orientation/score"].shape == (3, 4)
        assert '"voltage": 300' in file["provenance"].asstr()[()]
    assert (tmp_path / "result.ang").read_text().count("\n") > 12
    again = ("map", disks, "--phase", "Cu", "-o", tmp_path / "again.h5")
    refused(
        run(*again, "--probe-radius", "3", "--scan-shape", "3x4"),
        "no use for --probe-radius and --scan-shape",
    )
    refused(run("detect", disks, "-o", tmp_path / "more.h5"), "holds Bragg peaks already")
    refused(run(*again, "--method", "template", "--model", result), "reads no model")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((), "Direct beam found in 100% of the patterns"),
        (("--origin", "31,33"), "from the given place"),
    ],
)
def test_map_says_how_it_found_the_direct_beam(
    scan_file: Path, tmp_path: Path, asked: tuple[str, ...], said: str
) -> None:
    made = ("--phase", "Cu", "--method", "template", "-o", str(tmp_path / "result.h5"), *CALIBRATED)
    done = CliRunner().invoke(app, ["map", str(scan_file), *made, *asked])
    assert done.exit_code == 0, done.output
    assert said in done.output
    if asked:
        told = OrientationMap.load(tmp_path / "result.h5").provenance["disks"]["calibration"]
        assert told["mean_origin"] == [31, 33]


def no_patterns(path: Path) -> None:
    np.save(path / "scan.npy", np.zeros((8, 8), np.float32))


def not_a_number(path: Path) -> None:
    data = np.ones((2, 2, 32, 32), np.float32)
    data[0, 0, 3, 3] = np.nan
    np.save(path / "scan.npy", data)


def negative(path: Path) -> None:
    np.save(path / "scan.npy", np.full((2, 2, 32, 32), -1.0, np.float32))


def stack(path: Path) -> None:
    np.save(path / "scan.npy", np.ones((12, 32, 32), np.uint16))


def nothing_to_see(path: Path) -> None:
    np.save(path / "scan.npy", np.zeros((2, 2, 64, 64), np.uint16))


def truncated(path: Path) -> None:
    whole = path / "whole.h5"
    with h5py.File(whole, "w") as file:
        file["data"] = np.ones((4, 4, 64, 64), np.uint16)
    (path / "scan.h5").write_bytes(whole.read_bytes()[:40_000])


def good(path: Path) -> None:
    pass  # the small scan lies there already


BAD = {
    "no such file": (good, ("gone.npy", "--phase", "Cu"), "does not exist"),
    "not 4D": (no_patterns, ("scan.npy", "--phase", "Cu"), "scan.npy"),
    "NaN": (not_a_number, ("scan.npy", "--phase", "Cu", *CALIBRATED), "NaN"),
    "negative": (negative, ("scan.npy", "--phase", "Cu", *CALIBRATED), "negative"),
    "flat stack": (stack, ("scan.npy", "--phase", "Cu", *CALIBRATED), "scan shape"),
    "shape that does not divide": (
        stack,
        ("scan.npy", "--phase", "Cu", "--scan-shape", "7x3", *CALIBRATED),
        "7x3",
    ),
    "shape that is none": (
        stack,
        ("scan.npy", "--phase", "Cu", "--scan-shape", "square", *CALIBRATED),
        "square",
    ),
    "truncated": (truncated, ("scan.h5", "--phase", "Cu", *CALIBRATED), "scan.h5"),
    "nothing on the detector": (nothing_to_see, ("scan.npy", "--phase", "Cu", *CALIBRATED), ""),
    "no voltage": (good, ("scan.npy", "--phase", "Cu", "--q-pixel", "0.05"), "--voltage"),
    "no pixel size": (good, ("scan.npy", "--phase", "Cu", "--voltage", "300"), "--q-pixel"),
    "voltage of zero": (good, ("scan.npy", "--phase", "Cu", "--voltage", "0"), "voltage"),
    "no such crystal": (good, ("scan.npy", "--phase", "unobtainium", *CALIBRATED), "unobtainium"),
    "not a CIF": (good, ("scan.npy", "--phase", "not.cif", *CALIBRATED), "not.cif"),
    "no such model": (good, ("scan.npy", "--phase", "Cu", "--model", "gone", *CALIBRATED), "gone"),
    "corrupt model": (
        good,
        ("scan.npy", "--phase", "Cu", "--model", "corrupt.safetensors", *CALIBRATED),
        "corrupt.safetensors",
    ),
    "a parent that is no phase": (
        good,
        ("scan.npy", "--phase", "Cu", "--parent", "Ag", *CALIBRATED),
        "give it as --phase Ag too",
    ),
    "nothing but a parent": (
        good,
        ("scan.npy", "--phase", "Cu", "--parent", "Cu", *CALIBRATED),
        "All crystals are parents",
    ),
    "no such vacuum file": (good, ("scan.npy", "--phase", "Cu", "--probe", "v.h5", *CALIBRATED), "v.h5"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_leaves_earlier_output(
    case: str, scan_file: Path, tmp_path: Path
) -> None:
    prepare, arguments, about = BAD[case]
    prepare(tmp_path)
    (tmp_path / "not.cif").write_text("This is not a CIF file.\n")
    (tmp_path / "corrupt.safetensors").write_bytes(b"\x10" * 200)
    some_map().save(tmp_path / "result.h5")
    earlier = (tmp_path / "result.h5").read_bytes()
    refused(run("map", *arguments, "-o", "result.h5", cwd=tmp_path), about)
    assert (tmp_path / "result.h5").read_bytes() == earlier
    assert not list(tmp_path.glob(".*"))


def test_model_for_another_crystal_says_why(scan_file: Path, tmp_path: Path) -> None:
    from napari_4dstem_orient.core.resource_files import resource

    iron = resource("models", "bcc.safetensors")
    done = run_alone("map", scan_file, "--phase", "Cu", "--model", iron, "-o", tmp_path / "r.h5", *CALIBRATED)
    refused(done, "Cu")


@pytest.mark.parametrize("place", ["missing/result.h5", "folder"])
def test_output_that_cannot_be_written_is_refused_before_the_work(
    place: str, scan_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    refused(run("map", "gone.npy", "--phase", "Cu", "-o", place, cwd=tmp_path), place)


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_full_disk_is_one_sentence(scan_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "disks.h5"
    output.write_bytes(b"earlier")
    limit: Callable[[], None] = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))  # noqa: E731
    refused(
        run_alone("detect", scan_file, "-o", output, "--force", *CALIBRATED, preexec_fn=limit), "disks.h5"
    )
    assert output.read_bytes() == b"earlier"


def test_benchmark_prints_what_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "panels", lambda: {})  # each in a process of its own
    out = tmp_path / "benchmark"
    asked = ("--part", "start", "--runs", "1", "--device", "cpu", "--out", str(out))
    done = CliRunner().invoke(app, ["benchmark", *asked])
    assert done.exit_code == 0, done.output
    assert "first map on the CPU" in done.stdout
    assert (out / "benchmark.md").read_text(encoding="utf-8").strip() == done.stdout.strip()
    assert '"libraries"' in (out / "benchmark.json").read_text(encoding="utf-8")


def test_benchmark_of_an_unknown_part_is_refused(tmp_path: Path) -> None:
    refused(run("benchmark", "--part", "nonsense", "--out", tmp_path / "out"), "nonsense")
    assert not (tmp_path / "out").exists()


def test_demo_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    refused(run("demo", "--headless", "--out", tmp_path / "file" / "out"), "out")


def test_unexpected_errors_keep_their_traceback() -> None:
    code = "from napari_4dstem_orient import cli; cli.app.command('fail')(lambda: 1 / 0); cli.main()"
    done = subprocess.run([sys.executable, "-c", code, "fail"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


def test_script_is_installed() -> None:
    script = shutil.which("napari-4dstem-orient", path=str(Path(sys.executable).parent))
    assert script is not None
    done = subprocess.run([script], capture_output=True, text=True)
    assert "Commands:" in done.stdout + done.stderr


def test_the_detector_pixel_is_fitted_to_a_crystals_rings(tmp_path: Path, copper: Phase) -> None:
    source, result = tmp_path / "disks.h5", tmp_path / "result.h5"
    save_disks(disks_of(copper, patterns=30), source, calibration=Calibration(voltage=300))
    quick = ("--method", "template", "--alone", "--crystals", "1")
    asked = ("--phase", "Cu", "--fit-pixel", "Cu", *quick, "-o", str(result))
    done = CliRunner().invoke(app, ["map", str(source), *asked])
    assert done.exit_code == 0, done.output
    assert "rings of Cu" in done.output
    known = OrientationMap.load(result).provenance["calibration"]
    assert known["q_pixel"] == pytest.approx(Q_PIXEL, rel=5e-3)
    assert known["q_pixel_from"] == "fitted"

"""``bootstrap.py``: what it decides, without installing anything."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, with an empty environment of its own; a step of installing is only noted."""
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "bootstrap.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "STAMP", tmp_path / "installed.txt")
    monkeypatch.setattr(module, "BIN", tmp_path / "bin")
    module.steps = []
    monkeypatch.setattr(module, "step", lambda title, command, must=True: module.steps.append(command))
    return module


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["nonsense"], 2), (["--help"], 0)])
def test_usage(arguments: list[str], code: int) -> None:
    done = subprocess.run([sys.executable, ROOT / "bootstrap.py", *arguments], capture_output=True, text=True)
    assert done.returncode == code
    assert "bootstrap.py demo" in done.stdout


def test_torch_comes_first_and_everything_is_pinned(bootstrap: ModuleType) -> None:
    bootstrap.install(sys.executable, "qt")
    environment, torch, rest = bootstrap.steps
    assert environment[1:3] == ["-m", "venv"]
    assert torch[-1] == "torch"
    assert rest[-1] == ".[qt]"
    for command in (torch, rest):
        assert command[command.index("--constraint") + 1] == "constraints.txt"


def test_an_environment_is_used_again(bootstrap: ModuleType) -> None:
    bootstrap.install(sys.executable, "dev")
    bootstrap.steps.clear()
    bootstrap.install(sys.executable, "dev")
    bootstrap.install(sys.executable, "qt")  # dev holds all of it
    assert not bootstrap.steps


def test_the_demo_alone_is_not_enough_for_the_tests(bootstrap: ModuleType) -> None:
    bootstrap.install(sys.executable, "qt")
    bootstrap.steps.clear()
    bootstrap.install(sys.executable, "dev")
    assert bootstrap.steps[-1][-1] == ".[dev]"


def test_without_root_the_missing_packages_are_named(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 1000, raising=False)
    with pytest.raises(SystemExit, match=r"sudo apt-get install .*libegl1"):
        bootstrap.install_system_packages(["libegl1"])
    assert not bootstrap.steps


def test_root_on_debian_gets_them_installed(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 0, raising=False)
    monkeypatch.setattr(bootstrap.os, "environ", {})
    bootstrap.install_system_packages(["libegl1"])
    assert bootstrap.steps[0][-1] == "update"
    assert "libegl1" in bootstrap.steps[1]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lacks libraries")
def test_missing_libraries_are_found_out(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bootstrap.loads("libc.so.6")
    assert not bootstrap.loads("libnonsense.so.9")
    monkeypatch.setitem(bootstrap.WINDOW_LIBRARIES, "libnonsense.so.9", "libnonsense9")
    assert "libnonsense9" in bootstrap.missing_packages(sys.executable, window=True, tests=False)
    assert bootstrap.missing_packages(sys.executable, window=False, tests=False) == []


@pytest.mark.parametrize(
    ("asked", "told"),
    [([], ["--numprocesses", "2", "--dist", "loadfile"]), (["tests/cli", "-s"], ["tests/cli", "-s"])],
)
def test_all_tests_run_in_two_processes_and_what_is_asked_for_in_one(
    asked: list[str], told: list[str], bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "install", lambda python, extra: None)
    monkeypatch.setattr(bootstrap, "missing_packages", lambda python, window, tests: [])
    monkeypatch.setattr(bootstrap.subprocess, "call", lambda command: called.append(command) or 7)
    monkeypatch.setattr(bootstrap.os, "environ", {"WAYLAND_DISPLAY": "wayland-0"})
    monkeypatch.setattr(bootstrap.os, "chdir", lambda folder: None)
    monkeypatch.setattr(bootstrap.sys, "argv", ["bootstrap.py", "test", *asked])
    assert bootstrap.main() == 7
    assert called == [[str(bootstrap.BIN / "python"), "-m", "pytest", *told]]
    assert bootstrap.os.environ == ({} if asked else {"OMP_NUM_THREADS": "1"})

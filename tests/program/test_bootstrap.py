"""``bootstrap.py``: what it decides, without installing anything."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, with an empty environment of its own; a step of installing is only noted."""
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "bootstrap.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bootstrap", module)  # where dataclasses look
    spec.loader.exec_module(module)
    for name in (".venv", ".venv-newest"):
        (tmp_path / name).mkdir()
    for name in ("constraints.txt", "constraints-newest.txt", "pyproject.toml", "hatch_build.py"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.setattr(module, "ROOT", tmp_path)
    module.steps = []
    monkeypatch.setattr(module, "step", lambda title, command, must=True: module.steps.append(command))
    return module


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["nonsense"], 2), (["--help"], 0)])
def test_usage(arguments: list[str], code: int) -> None:
    done = subprocess.run([sys.executable, ROOT / "bootstrap.py", *arguments], capture_output=True, text=True)
    assert done.returncode == code
    assert "bootstrap.py demo" in done.stdout


@pytest.mark.parametrize(
    ("world", "command", "packages", "constraints"),
    [
        ("WITH_PY4DSTEM", "demo", [".[all]"], "constraints.txt"),
        ("WITH_PY4DSTEM", "test", [".[dev]"], "constraints.txt"),
        ("NEWEST", "demo", [".[qt]"], "constraints-newest.txt"),
        ("NEWEST", "test", [".[test]", "napari[all]"], "constraints-newest.txt"),
    ],
)
def test_torch_comes_first_and_everything_is_pinned(
    bootstrap: ModuleType, world: str, command: str, packages: list[str], constraints: str
) -> None:
    bootstrap.install(getattr(bootstrap, world), sys.executable, command)
    environment, torch, rest = bootstrap.steps
    assert environment[1:3] == ["-m", "venv"]
    assert torch[-1] == "torch"
    assert rest[-len(packages) - 1 :] == ["--editable", *packages]
    for step in (torch, rest):
        assert step[step.index("--constraint") + 1] == constraints


def test_an_environment_is_used_again(bootstrap: ModuleType) -> None:
    bootstrap.install(bootstrap.NEWEST, sys.executable, "test")
    bootstrap.steps.clear()
    bootstrap.install(bootstrap.NEWEST, sys.executable, "test")
    bootstrap.install(bootstrap.NEWEST, sys.executable, "demo")  # that of the tests holds all of it
    assert not bootstrap.steps
    bootstrap.install(bootstrap.WITH_PY4DSTEM, sys.executable, "test")  # another one
    assert bootstrap.steps


def test_the_demo_alone_is_not_enough_for_the_tests(bootstrap: ModuleType) -> None:
    bootstrap.install(bootstrap.WITH_PY4DSTEM, sys.executable, "demo")
    bootstrap.steps.clear()
    bootstrap.install(bootstrap.WITH_PY4DSTEM, sys.executable, "test")
    assert bootstrap.steps[-1][-1] == ".[dev]"


@pytest.mark.parametrize("minor", [10, 15])
def test_other_pythons_are_looked_for(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, minor: int
) -> None:
    monkeypatch.setattr(bootstrap.sys, "version_info", SimpleNamespace(major=3, minor=minor))
    asked: list[str] = []

    def found(command: list[str], **options: object) -> str:
        asked.append(" ".join(command[:-2]))
        if not asked[-1].endswith("3.13"):
            raise FileNotFoundError
        return "/usr/bin/python3.13\n"

    monkeypatch.setattr(bootstrap.subprocess, "check_output", found)
    assert bootstrap.find_python() == ("/usr/bin/python3.13", "3.13")
    assert [each[-4:] for each in asked] == ["3.12", "3.11", "3.13"]
    monkeypatch.setattr(bootstrap.subprocess, "check_output", lambda *_, **__: (_ for _ in ()).throw(OSError))
    with pytest.raises(SystemExit, match=rf"Python 3\.11 to 3\.14 is needed \(this is 3\.{minor}\)"):
        bootstrap.find_python()


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


@pytest.fixture
def called(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What ``bootstrap.py test`` runs, where everything is installed and every test fails."""
    commands: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "install", lambda world, python, command: None)
    monkeypatch.setattr(bootstrap, "missing_packages", lambda python, window, tests: [])
    monkeypatch.setattr(bootstrap.subprocess, "call", lambda command: commands.append(command) or 7)
    monkeypatch.setattr(bootstrap.os, "environ", {"WAYLAND_DISPLAY": "wayland-0"})
    monkeypatch.setattr(bootstrap.os, "chdir", lambda folder: None)
    return commands


def test_what_is_asked_for_runs_in_one_process(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, called: list[list[str]]
) -> None:
    monkeypatch.setattr(bootstrap.sys, "argv", ["bootstrap.py", "test", "tests/cli", "-s"])
    monkeypatch.setattr(bootstrap, "find_python", lambda: ("python3", "3.11"))
    assert bootstrap.main() == 7
    assert called == [[str(bootstrap.WITH_PY4DSTEM.bin / "python"), "-m", "pytest", "tests/cli", "-s"]]
    assert not bootstrap.os.environ.keys() & {"WAYLAND_DISPLAY", "OMP_NUM_THREADS"}


@pytest.mark.parametrize("version", ["3.11", "3.14"])
def test_all_tests_run_in_both_worlds_in_two_processes(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, called: list[list[str]], version: str
) -> None:
    monkeypatch.setattr(bootstrap.sys, "argv", ["bootstrap.py", "test"])
    monkeypatch.setattr(bootstrap, "find_python", lambda: ("python3", version))
    assert bootstrap.main() == 7
    pytest_in_two = ["-m", "pytest", "--numprocesses", "2", "--dist", "loadfile"]
    first = [str(bootstrap.WITH_PY4DSTEM.bin / "python"), *pytest_in_two]
    *before, demo, newest = called
    assert before == ([first] if version == "3.11" else [])
    assert demo[:3] == [str(bootstrap.NEWEST.bin / "napari-4dstem-orient"), "demo", "--headless"]
    assert newest[:7] == [str(bootstrap.NEWEST.bin / "python"), *pytest_in_two]
    assert bootstrap.os.environ["OMP_NUM_THREADS"] == "1"
    assert "WAYLAND_DISPLAY" not in bootstrap.os.environ


def test_tests_of_the_newest_world_are_there(bootstrap: ModuleType) -> None:
    for name in bootstrap.NEWEST_TESTS:
        assert (ROOT / "tests" / name).exists(), name

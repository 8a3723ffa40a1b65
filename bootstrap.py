#!/usr/bin/env python3
"""Make an environment, install the plugin with napari in it, and run the demo or the tests.

python3 bootstrap.py demo [--headless] [--out DIR]
python3 bootstrap.py test [anything pytest takes]

All tests run with py4DSTEM and NumPy 1.26 (Python 3.11 and 3.12), then those that need neither with all of napari and
the newest of everything.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent


@dataclass(frozen=True)
class World:
    """An environment: its folder, its tested versions, for which Pythons, and what demo and tests install in it."""

    name: str
    constraints: str
    pythons: tuple[str, ...]
    packages: dict[str, tuple[str, ...]]

    @property
    def bin(self) -> Path:
        """Where its programs lie."""
        return ROOT / self.name / ("Scripts" if os.name == "nt" else "bin")

    @property
    def stamp(self) -> Path:
        """What says which versions are installed in it, and for what."""
        return ROOT / self.name / "installed.txt"


# py4DSTEM needs NumPy < 2, which later Pythons have no wheels for.
WITH_PY4DSTEM = World(
    ".venv", "constraints.txt", ("3.12", "3.11"), {"demo": (".[all]",), "test": (".[dev]",)}
)
NEWEST = World(
    ".venv-newest",
    "constraints-newest.txt",
    ("3.12", "3.11", "3.13", "3.14"),
    {"demo": (".[qt]",), "test": (".[test]", "napari[all]")},
)
COMMANDS = ("demo", "test")

# What Qt and napari load on Linux, and the Debian package that has it.
WINDOW_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libGLX_mesa.so.0": "libgl1-mesa-dri",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
TEST_PROGRAMS = {"Xvfb": "xvfb"}
FONTS = {"/usr/share/fonts": "fonts-dejavu-core"}

# All tests at once: two processes, each with a display (pytest-xvfb) and one thread, so that two cores are enough.
ALL_TESTS = ["--numprocesses", "2", "--dist", "loadfile"]
# What newer libraries, or none of py4DSTEM, may break: not the window's own logic, and not what torch alone computes.
NEWEST_TESTS = [
    *("core", "crystals", "io", "detection", "calibration", "indexing", "export", "analysis", "samples"),
    *("workflow", "cli", "napari_plugin/qt", "napari_plugin/layers"),
    *("napari_plugin/test_workbench.py", "program/test_packaging.py", "program/test_manifest.py"),
]


def main() -> int:
    """Run the command that the arguments name; return its exit code."""
    command, rest = (sys.argv[1:2] or [""])[0], sys.argv[2:]
    if command not in COMMANDS:
        print(__doc__)
        return 0 if command in ("-h", "--help") else 2
    os.chdir(ROOT)
    python, version = find_python()
    window = command == "test" or ("--headless" not in rest and has_display())
    install_system_packages(missing_packages(python, window, tests=command == "test"))
    worlds = [world for world in (WITH_PY4DSTEM, NEWEST) if version in world.pythons]
    if command == "demo":
        install(worlds[0], python, command)
        return run(worlds[0], "napari-4dstem-orient", "demo", *rest)
    os.environ.pop("WAYLAND_DISPLAY", None)  # windows open on the display that pytest-xvfb makes
    if rest:
        install(worlds[0], python, command)
        return run(worlds[0], "python", "-m", "pytest", *rest)
    os.environ["OMP_NUM_THREADS"] = "1"
    codes = []
    for world in worlds:
        install(world, python, command)
        codes += test_all(world)
    return next((code for code in codes if code), 0)


def test_all(world: World) -> list[int]:
    """Run all tests that an environment is for; return exit codes."""
    print(f"Tests in {world.name}", flush=True)
    pytest = ["python", "-m", "pytest", *ALL_TESTS]
    if world is WITH_PY4DSTEM:
        return [run(world, *pytest)]
    with tempfile.TemporaryDirectory() as folder:
        demo = run(world, "napari-4dstem-orient", "demo", "--headless", "--out", folder)
    return [demo, run(world, *pytest, *(f"tests/{name}" for name in NEWEST_TESTS))]


def run(world: World, program: str, *arguments: str) -> int:
    """Run a program of an environment; return its exit code."""
    return subprocess.call([str(world.bin / program), *arguments])


def find_python() -> tuple[str, str]:
    """Return the path and version of a Python that the dependencies support: this one if it will do."""
    this = f"{sys.version_info.major}.{sys.version_info.minor}"
    if this in NEWEST.pythons:
        return sys.executable, this
    ask = "import sys; print(sys.executable)"
    for version in NEWEST.pythons:
        candidate = ["py", f"-{version}"] if os.name == "nt" else [f"python{version}"]
        try:
            found = subprocess.check_output([*candidate, "-c", ask], text=True, stderr=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError):
            continue
        return found.strip(), version
    sys.exit(f"Python 3.11 to 3.14 is needed (this is {this}); install one and run this again.")


def has_display() -> bool:
    """Tell whether a window could be shown."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def missing_packages(python: str, window: bool, tests: bool) -> list[str]:
    """Return the Debian names of what a Linux system lacks."""
    if sys.platform != "linux":
        return []
    missing = []
    if subprocess.call([python, "-c", "import ensurepip, venv"], stderr=subprocess.DEVNULL):
        missing.append("python3-venv")
    if window:
        missing += [package for library, package in WINDOW_LIBRARIES.items() if not loads(library)]
        missing += [package for folder, package in FONTS.items() if not Path(folder).is_dir()]
    if tests:
        missing += [package for program, package in TEST_PROGRAMS.items() if not shutil.which(program)]
    return missing


def loads(library: str) -> bool:
    """Tell whether the system's loader finds a library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def install_system_packages(packages: list[str]) -> None:
    """Install what is missing where we may; elsewhere say what it is and how to get it."""
    if not packages:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if shutil.which("apt-get") and os.geteuid() == 0:
        os.environ["DEBIAN_FRONTEND"] = "noninteractive"
        step("system packages: " + " ".join(packages), ["apt-get", "--quiet=2", "update"], must=False)
        step("system packages", [*command, "--quiet=2"])
    elif shutil.which("apt-get"):
        sys.exit("Missing system packages. Install them and run this again:\n  sudo " + " ".join(command))
    else:
        print("These seem to be missing (Debian's names for them): " + " ".join(packages))
        print("If a later step fails, install them with your system's package manager and run this again.")


def install(world: World, python: str, command: str) -> None:
    """Make an environment and install the tested versions, unless that has been done already."""
    parts = [(ROOT / name).read_bytes() for name in (world.constraints, "pyproject.toml", "hatch_build.py")]
    wanted = hashlib.sha256(b"".join(parts) + str(ROOT).encode()).hexdigest()
    have = world.stamp.read_text().split() if world.stamp.exists() else []
    if have[:1] == [wanted] and have[1] in (command, "test"):  # what tests need holds what the demo needs
        return
    if not (have and (world.bin / "pip").exists()):
        step(f"1/3 environment in {world.name}", [python, "-m", "venv", "--clear", str(ROOT / world.name)])
    pip = [str(world.bin / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--constraint", world.constraints]
    step("2/3 PyTorch (the largest download)", [*pip, "torch"])
    own, *others = world.packages[command]
    step("3/3 napari, orix and this plugin", [*pip, "--editable", own, *others])
    world.stamp.write_text(f"{wanted} {command}\n")


def step(title: str, command: list[str], must: bool = True) -> None:
    """Run one step of the installation quietly, saying now and then that it is alive."""
    began = time.monotonic()
    print(title, end=" ", flush=True)
    with tempfile.TemporaryFile() as said:
        running = subprocess.Popen(command, stdout=said, stderr=said)
        while running.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(timeout=5)
            print(".", end="", flush=True)
        print(f" {time.monotonic() - began:.0f} s", flush=True)
        if running.returncode and must:
            said.seek(0)
            print(said.read().decode(errors="replace"))
            sys.exit(f"This failed (exit code {running.returncode}): {' '.join(command)}")


if __name__ == "__main__":
    sys.exit(main())

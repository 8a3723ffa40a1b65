"""Ask uv whether the program can be installed: on every Python, alone and beside what people have; to wheels.

pip install uv
python tools/check_install.py              # prints the table of docs/install.md
python tools/check_install.py --python 3.13 --beside "napari[all]"

Nothing is installed or downloaded but what packages say of themselves.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
BESIDE = ("", "napari[all]", "micro-sam", "motile-tracker", "quantem")
PY4DSTEM = ("3.11", "3.12")
"""Pythons that the extra is for."""
SOURCE = {"3.14": "pycifrw"}
"""What orix needs and has no wheel for a Python: pip builds it with a C compiler."""


def main() -> int:
    """Print a row for each environment that the arguments name; return how many there cannot be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", action="append", choices=PYTHONS)
    parser.add_argument("--beside", action="append", metavar="PACKAGE")
    asked = parser.parse_args()
    pythons = asked.python or PYTHONS
    rows = [(python, "", beside) for python, beside in product(pythons, asked.beside or BESIDE)]
    rows += [(python, "py4dstem", "") for python in pythons if python in PY4DSTEM]
    print("| Python | with | packages | napari | NumPy | zarr |\n|---|---|---|---|---|---|")
    return sum(not row(*each) for each in rows)


def row(python: str, extra: str, beside: str) -> bool:
    """Print what uv says of one environment; tell whether there can be one."""
    name = f"its extra `{extra}`" if extra else f"`{beside}`" if beside else "nothing else"
    found = resolved(python, extra, beside)
    if isinstance(found, str):
        print(f"| {python} | {name} | no: {found} | | | |", flush=True)
        return False
    versions = " | ".join(found.get(library, "") for library in ("napari", "numpy", "zarr"))
    print(f"| {python} | {name} | {len(found)} | {versions} |", flush=True)
    return True


def resolved(python: str, extra: str, beside: str) -> dict[str, str] | str:
    """Return the versions that would be installed, or why there are none."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--python-version", python]
    command += ["--only-binary", ":all:", "--no-header", "--no-annotate", "pyproject.toml", "-"]
    command += ["--no-binary", SOURCE[python]] if python in SOURCE else []
    command += ["--extra", extra] if extra else []
    done = subprocess.run(command, input=beside, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        return " ".join(done.stderr.split())
    lines = (line.split("==") for line in done.stdout.splitlines() if "==" in line)
    return {name: version.partition(" ")[0] for name, version in lines}


if __name__ == "__main__":
    sys.exit(main())

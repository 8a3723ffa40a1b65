"""The command line in a process of its own, and how it refuses."""

import subprocess
import sys


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess:
    """Run ``napari-4dstem-orient`` with these arguments."""
    code = "from napari_4dstem_orient.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, **options)


def refused(done: subprocess.CompletedProcess, about: str) -> None:
    """Assert one clear sentence on standard error, exit code 2 and no traceback."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("Error: "), done.stderr
    assert done.stderr.count("Error: ") == 1
    assert about.lower() in last.lower()

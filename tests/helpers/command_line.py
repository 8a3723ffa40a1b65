"""The command line, in this process or in one of its own, and how it refuses."""

import io
import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from napari_4dstem_orient.cli import main


def run(*arguments: object, cwd: Path | str = ".") -> subprocess.CompletedProcess:
    """Run ``napari-4dstem-orient`` with these arguments in this process, which has its libraries already."""
    words, out, err = ["napari-4dstem-orient", *map(str, arguments)], io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", words),
        patch.object(os, "_exit", sys.exit),
        patch.dict(os.environ),
        chdir(cwd),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def run_alone(*arguments: object, **options: object) -> subprocess.CompletedProcess:
    """Run ``napari-4dstem-orient`` with these arguments in a process of its own, as a shell does."""
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

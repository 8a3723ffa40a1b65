"""``tools/gpu_check.sh`` measures all it is for, here on the CPU."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_4dstem_orient_evaluation.benchmarks import mapping

SCRIPT = Path(__file__).parents[2] / "tools" / "gpu_check.sh"


@pytest.mark.skipif(os.name == "nt", reason="a shell script for Linux")
def test_every_job_is_measured_and_nothing_goes_wrong(tmp_path: Path) -> None:
    asked = ["--device", "cpu", "--minutes", "60", "--largest", "4", "--every", "48"]
    environ = {**os.environ, "PYTHON": sys.executable, "OUT": str(tmp_path / "out")}
    done = subprocess.run([str(SCRIPT), *asked], env=environ, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "out" / "gpu_check.json").read_text(encoding="utf-8"))
    assert not told["failed"]
    assert not told["left_out"]
    rates = {one["job"]: one for one in told["measured"]}
    ways = {*mapping.TRANSFORMERS, mapping.EVERYTHING, mapping.TEMPLATE, "verifier, without a network"}
    others = {"patterns to disks, 128² px", "patterns to disks, 256² px", "training"}
    assert set(rates) == ways | others | {"template library of Cu", "template library of Ti"}
    assert all(rates[name]["count"] == 16 for name in ways)
    assert set(told["million"]) == set(mapping.TRANSFORMERS)
    fallen = rates["transformer with refinement"]["on_cpu"]
    assert fallen[0] == ["all", pytest.approx(1, abs=0.01)]  # there is nothing but a CPU
    assert fallen[1][0] in ("mul", "matmul", "index", "add", "bmm")
    text = (tmp_path / "out" / "gpu_check.md").read_text(encoding="utf-8")
    assert text.strip() == done.stdout[done.stdout.index("# GPU check") :].strip()
    assert "| transformer alone | 16 patterns |" in text


def test_what_pytest_says_last_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("gpu_check", SCRIPT.with_suffix(".py"))
    checking = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu_check", checking)  # where dataclasses look
    spec.loader.exec_module(checking)
    check = checking.Check("cpu", tmp_path, 1.0, 8, 48)
    test = tmp_path / "test_two.py"
    test.write_text("def test_good(): pass\ndef test_bad(): assert 0\n")
    checking.run_tests(check, (str(test),), 600)
    assert "1 failed, 1 passed" in check.tests[str(test)]
    assert list(check.failed) == ["test_two.txt"]
    assert "test_bad" in check.failed["test_two.txt"]

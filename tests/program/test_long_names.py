"""A name that no file can have ends in one sentence, wherever it is given."""

import sys

import numpy as np
import pytest

import napari_4dstem_orient.cli as cli
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.crystals.library import find_phase

LONG = "y" * 300


@pytest.mark.parametrize("place", ["input", "phase", "cif", "model", "probe", "output"])
@pytest.mark.parametrize("name", [LONG, "d/" * 3000 + "a"])
def test_each_place_of_a_name(tmp_path, monkeypatch, capsys, place, name):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.random.default_rng(0).poisson(5.0, (2, 2, 32, 32)).astype(np.uint16))
    given = {"input": "a.npy", "phase": "Cu", "output": "r.h5"}
    given |= {"phase" if place == "cif" else place: name + {"cif": ".cif", "output": ".h5"}.get(place, "")}
    words = ["map", given.pop("input"), "--voltage", "200", "--q-pixel", "0.05"]
    words += [] if place == "model" else ["--method", "template"]
    monkeypatch.setattr(sys, "argv", ["x", *words, *(f"--{key}={value}" for key, value in given.items())])
    monkeypatch.setattr(cli.os, "_exit", sys.exit)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert "Traceback" not in said.err + said.out
    assert sum(len(line) for line in said.err.splitlines() if "Error" in line) < 600
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


def test_no_crystal_has_such_a_name():
    with pytest.raises(UserError, match="There is no crystal 'yyy"):
        find_phase(LONG)

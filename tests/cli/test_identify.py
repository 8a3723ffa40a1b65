"""Which crystals could be in a scan, by the command line."""

import re

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_4dstem_orient import UserError
from napari_4dstem_orient.cli import app
from napari_4dstem_orient.core.resource_files import resource


@pytest.fixture
def asked(tmp_path, small_scan) -> list[str]:
    """What is asked of a small scan of copper; the crystals are still to be given."""
    np.save(tmp_path / "scan.npy", small_scan.data.compute())
    known = ["--voltage", "300", "--semiangle", "2", "--q-pixel", "0.05"]
    return ["identify", str(tmp_path / "scan.npy"), *known]


def test_the_true_crystal_comes_first_and_nothing_is_written(asked, tmp_path):
    done = CliRunner().invoke(app, [*asked, "--phase", "TiO2", "--phase", "Cu"])
    assert done.exit_code == 0, done.output
    head, first, second, none, words = done.stdout.strip().splitlines()[-5:]
    assert head.split()[:2] == ["crystal", "explains"]
    assert words.startswith("None of these crystals fits")
    assert first.startswith("Cu ")
    assert second.startswith("TiO2 ")
    assert none.startswith("none ")
    copper, rutile = (float(re.search(r"([\d.]+)%", line)[1]) for line in (first, second))
    assert copper > 1 > rutile  # four disks say little
    assert [path.name for path in tmp_path.iterdir()] == ["scan.npy"]


def test_of_a_folder_all_crystals_are_asked_and_a_bad_file_is_left_out(asked, tmp_path):
    folder = tmp_path / "crystals"
    folder.mkdir()
    for name in ("Cu", "Fe"):
        (folder / f"{name}.cif").write_text((resource("crystals") / f"{name}.cif").read_text())
    (folder / "broken.cif").write_text("nothing")
    done = CliRunner().invoke(app, [*asked, "--phase", str(folder), "--phase", "Cu", "--at", "1,2"])
    assert done.exit_code == 0, done.output
    table = done.stdout.strip().splitlines()[-5:-1]
    assert [line.split()[0] for line in table] == ["crystal", "Cu", "Fe", "none"]
    assert "broken.cif is left out" in done.stderr
    assert "Cu is left out. It is the same crystal as Cu." in done.stderr
    done = CliRunner().invoke(app, [*asked, "--phase", str(folder / "broken.cif")])
    assert isinstance(done.exception, UserError)
    assert "no crystal to look for" in str(done.exception)


@pytest.mark.parametrize(
    ("place", "said"), [("3", "give a row and a column"), ("0,99", "the scan has rows 0 to")]
)
def test_a_position_that_is_none_is_refused(asked, place, said):
    done = CliRunner().invoke(app, [*asked, "--phase", "Cu", "--at", place])
    assert isinstance(done.exception, UserError)
    assert said in str(done.exception)

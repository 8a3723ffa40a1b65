"""Many crystals from many sources, each once."""

import pytest

from napari_4dstem_orient.core.errors import Cancelled
from napari_4dstem_orient.core.resource_files import resource
from napari_4dstem_orient.crystals.library import bundled, gather


@pytest.fixture
def folder(tmp_path):
    """Rutile, two crystals in one file, a file that is no CIF, and something else."""
    texts = {name: (resource("crystals") / f"{name}.cif").read_text() for name in ("TiO2", "Cu", "Fe")}
    (tmp_path / "rutile.cif").write_text(texts["TiO2"])
    (tmp_path / "both.CIF").write_text(texts["Cu"] + texts["Fe"])
    (tmp_path / "broken.cif").write_text("no crystal")
    (tmp_path / "notes.txt").write_text("data_Cu")
    return tmp_path


def test_all_crystals_of_a_folder_are_found_each_once_and_a_bad_file_is_told(folder):
    told = []
    found = gather([folder, "TiO2", "ag", "nowhere.cif"], lambda *done: told.append(done))
    both, rutile = folder / "both.CIF", str(folder / "rutile.cif")
    assert list(found.crystals) == [f"{both}::Cu", f"{both}::Fe", rutile, "ag"]
    assert found.crystals[rutile].phase.cell[:3] == pytest.approx((4.593, 4.593, 2.959), abs=0.002)
    assert list(found.left_out) == [str(folder / "broken.cif"), "TiO2", "nowhere.cif"]
    assert "is not a CIF" in found.left_out[str(folder / "broken.cif")]
    assert found.left_out["TiO2"] == "It is the same crystal as rutile."
    assert told[-1] == (6, 6)


def test_the_bundled_crystals_are_all_different():
    found = gather(bundled())
    assert list(found.crystals) == list(bundled())
    assert not found.left_out


def test_reading_can_be_stopped():
    def stop(done, total):
        raise Cancelled

    with pytest.raises(Cancelled):
        gather(["Cu", "Fe"], stop)

from dataclasses import replace

import numpy as np
import pytest

from helpers.made_maps import CU, TI, overlapping_map, rotations, some_map, sure
from napari_4dstem_orient.analysis.grains import find_grains
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import Cancelled, UserError
from napari_4dstem_orient.core.pooled import Pooled
from napari_4dstem_orient.export.grain_table import save_grain_table
from napari_4dstem_orient.export.registry import FORMATS, ExportError, export, export_files


def some_disks():
    lists = [np.array([[0, 0, 9.0], [3.0, 4.0, 2.0]])] * 28
    return BraggDisks.from_lists((4, 7), lists, detector_shape=(64, 64))


def test_every_format_is_written_where_asked(tmp_path):
    paths = export(
        sure(some_map(phases=(CU, TI))), tmp_path / "new" / "folder", FORMATS, "grain", some_disks()
    )
    assert all(path.is_file() and path.stat().st_size for path in paths)
    assert sorted(path.name for path in paths) == sorted(
        [
            "grain.h5",
            "grain.ang",
            "grain.ctf",
            "grain_ipf-x.png",
            "grain_ipf-y.png",
            "grain_ipf-z.png",
            "grain_score.png",
            "grain_reliability.png",
            "grain_phase-margin.png",
            "grain_precision-best.png",
            "grain_precision-worst.png",
            "grain_explained.png",
            "grain_phase.png",
            "grain_ipf-x.tif",
            "grain_ipf-y.tif",
            "grain_ipf-z.tif",
            "grain_disks.emd",
            "grain.csv",
            "grain_orix.h5",
            "grain_py4dstem.emd",
            "grain.hspy",
            "grain.ome.tif",
        ]
    )
    assert sorted(entry.name for entry in (tmp_path / "new" / "folder").iterdir()) == sorted(
        p.name for p in paths
    )


def test_pictures_show_what_is_known_and_applies(tmp_path):
    names = {path.name for path in export(some_map(phases=(CU, TI)), tmp_path, ["png"], "unsure")}
    assert "unsure_score.png" in names
    assert not names & {"unsure_reliability.png", "unsure_phase-margin.png"}
    names = {path.name for path in export(sure(some_map()), tmp_path, ["png"], "one")}
    assert "one_reliability.png" in names
    assert not names & {"one_phase.png", "one_phase-margin.png"}


def test_a_stem_may_hold_a_dot(tmp_path):
    (path,) = export(some_map(), tmp_path, ["ang"], "scan.01")
    assert path.name == "scan.01.ang"


def test_an_unknown_format_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match="no export format bmp; choose from h5, ang"):
        export(some_map(), tmp_path / "out", ["ang", "bmp"])
    assert not (tmp_path / "out").exists()


def test_disks_are_needed_for_emd_and_for_nothing_else(tmp_path):
    with pytest.raises(ExportError, match=r"1 of 2 files not exported .*no Bragg disks") as told:
        export(some_map(), tmp_path, ["emd", "csv"], "grain")
    assert told.value.written == [tmp_path / "grain.csv"]
    assert not told.value.worth_another_try
    assert (tmp_path / "grain.csv").is_file()


def test_what_fails_keeps_nothing_else_from_being_written(tmp_path):
    (tmp_path / "grain.ang").mkdir()
    (tmp_path / "grain_ipf-y.png").mkdir()
    with pytest.raises(ExportError) as told:
        export(some_map(), tmp_path, ["ang", "png", "ctf"], "grain")
    expected = {"grain_ipf-x.png", "grain_ipf-z.png", "grain_score.png", "grain_explained.png", "grain.ctf"}
    assert {path.name for path in told.value.written} == expected
    assert all((tmp_path / name).is_file() for name in expected)
    assert len(told.value.failed) == 2
    assert told.value.worth_another_try
    said = str(told.value)
    assert said.startswith("2 of 7 files not exported (the others are written): ")
    assert "grain.ang: it is a folder" in said
    assert "grain_ipf-y.png: it is a folder" in said
    assert said.count(".\n") == 0
    assert said.endswith(".")


def test_a_defect_in_one_writer_is_said_and_stops_no_other(tmp_path, monkeypatch):
    def broken(*_):
        raise ValueError("two\nlines")

    monkeypatch.setattr("napari_4dstem_orient.export.ebsd.ANG", replace(FORMATS["ang"], write=broken))
    with pytest.raises(ExportError, match=r"grain\.ang \(ValueError: two lines\)") as told:
        export(some_map(), tmp_path, ["ang", "ctf"], "grain")
    assert [path.name for path in told.value.written] == ["grain.ctf"]


def test_the_files_are_known_beforehand(tmp_path):
    for made in (some_map(), sure(some_map(phases=(CU, TI)))):
        written = {path.name for path in export(made, tmp_path, FORMATS, "grain", some_disks())}
        assert written == set(export_files(FORMATS, "grain", made))
        assert written <= set(export_files(FORMATS, "grain"))


def test_each_crystal_of_the_patterns_leaves_in_every_format(tmp_path):
    from orix.io import load as load_ebsd

    from napari_4dstem_orient.export.orix import to_orix

    made = overlapping_map()
    formats = ("h5", "ang", "ctf", "csv", "orix", "hspy", "tiff")
    written = {path.name: path for path in export(made, tmp_path, formats, "grain")}
    assert set(written) == set(export_files(formats, "grain", made)) <= set(export_files(formats, "grain"))
    whole = {"grain.h5", "grain.csv", "grain.hspy"}
    firsts = {name for name in written if "_crystal2" not in name} - whole
    assert {name.replace("grain", "grain_crystal2", 1) for name in firsts} == set(written) - firsts - whole

    second = made.of_crystal(2)
    read = load_ebsd(str(written["grain_crystal2.ctf"]))
    there = second.indexed.ravel()
    assert read.is_indexed.sum() == there.sum()
    ours = to_orix(second).rotations[there]
    assert np.allclose(read.rotations[read.is_indexed].angle_with(ours), 0, atol=1e-4)
    assert "Crystal 2 of each pattern" in written["grain_crystal2.ang"].read_text()
    assert "Crystal 1 of each pattern" in written["grain.ctf"].read_text()
    assert "of each pattern" not in save_alone(tmp_path)


def save_alone(folder):
    """The header of a map whose patterns hold one crystal each."""
    (path,) = export(some_map(), folder, ("ang",), "alone")
    return path.read_text()


def test_the_table_tells_crystals_apart(tmp_path):
    import pandas as pd

    made = overlapping_map()
    nothing = {name: np.zeros(0, np.int64) for name in made.arrays}
    before = {name: values.reshape(28, *values.shape[2:])[:0] for name, values in made.arrays.items()}
    made = replace(made, pooled=Pooled(np.ones(made.scan_shape, np.uint8), nothing, before))
    (path,) = export(made, tmp_path, ("csv",), "grain")
    table = pd.read_csv(path, comment="#")
    assert (table.crystal == 1).sum() == made.phase_id.size
    rows = table[table.crystal == 2]
    assert len(rows) == (made.crystals == 2).sum()
    assert (rows.share == 0.25).all()
    assert rows.neighbours.isna().all()
    assert (table.neighbours[table.crystal == 1].dropna() == 1).all()
    assert (rows.crystals == 2).all()
    assert (table[table.crystal == 1].crystals == made.crystals.ravel()).all()
    second = made.of_crystal(2)
    at = rows.row.to_numpy(), rows.column.to_numpy()
    assert np.allclose(rows.reliability, second.certainty.reliability[at], atol=1e-4)


def test_a_cancelled_export_ends_at_once(tmp_path):
    def stop(done, total):
        assert total == 2
        if done == 1:
            raise Cancelled

    with pytest.raises(Cancelled):
        export(some_map(), tmp_path, ["ang", "ctf"], "grain", progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["grain.ang"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Cannot make the folder"):
        export(some_map(), tmp_path / "file", ["ang"])


@pytest.mark.py4dstem
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # py4DSTEM itself
def test_py4dstems_own_answer_is_the_same_matrix(capsys):
    """What py4DSTEM's matching finds for a known orientation must be that orientation here."""
    from py4DSTEM.process.diffraction.utils import OrientationMap as Theirs

    from napari_4dstem_orient.crystals.misorientation import misorientation

    truth = rotations(1, 8)[0]
    crystal = CU.to_py4dstem()
    crystal.calculate_structure_factors(1.5)
    crystal.orientation_plan("auto", 4, 4, accel_voltage=300e3, progress_bar=False)
    pattern = crystal.generate_diffraction_pattern(orientation_matrix=truth, sigma_excitation_error=0.03)
    theirs = Theirs(1, 1, 1)
    theirs.set_orientation(crystal.match_single_pattern(pattern, verbose=False), 0, 0)
    assert misorientation(theirs.matrix[0, 0, 0], truth, CU) < 4


@pytest.mark.parametrize("name", ["ang", "ctf", "csv", "orix", "py4dstem", "h5", "png", "tiff", "ome"])
def test_no_file_of_a_map_is_written_over_what_it_was_made_from(tmp_path, name):
    """Not where it is a link to it either: tables and pictures did not look."""
    (tmp_path / "scan.npy").write_bytes(b"measured")
    found = some_map(provenance={"disks": {"source": f"{tmp_path / 'scan.npy'}::/data"}})
    for file in export_files([name], "out", found):
        (tmp_path / file).symlink_to(tmp_path / "scan.npy")
    with pytest.raises(ExportError, match=r"out\S* is the input .*scan\.npy"):
        export(found, tmp_path, [name], "out")
    assert (tmp_path / "scan.npy").read_bytes() == b"measured"


def test_the_table_of_grains_is_not_written_over_the_scan(tmp_path):
    (tmp_path / "scan.npy").write_bytes(b"measured")
    found = some_map(provenance={"input": str(tmp_path / "scan.npy")})
    with pytest.raises(UserError, match=r"scan\.npy is the input"):
        save_grain_table(find_grains(found), tmp_path / "scan.npy")
    assert (tmp_path / "scan.npy").read_bytes() == b"measured"

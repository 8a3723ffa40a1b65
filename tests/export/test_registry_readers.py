"""Every export is opened by the program it is meant for."""

import warnings

import numpy as np
import pytest

from helpers.full_disk import files_no_larger_than
from helpers.made_maps import BISMUTH, CU, CU_PRIMITIVE, MONOCLINIC, RUTILE, TI, rotations, some_map, sure
from napari_4dstem_orient.analysis.colours import ipf_colors
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.certainty import IndexingStatus
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.crystals.directions import (
    in_plane_direction,
    in_plane_directions,
    zone_axes,
    zone_axis,
)
from napari_4dstem_orient.export.ebsd import bunge_angles
from napari_4dstem_orient.export.hspy import save_hspy
from napari_4dstem_orient.export.orix import save_orix, to_orix
from napari_4dstem_orient.export.py4dstem import save_py4dstem_map
from napari_4dstem_orient.export.table import save_csv
from napari_4dstem_orient.export.tiff import save_ome_tiff
from napari_4dstem_orient.io.load import load

SHAPE = (5, 8)
SAVERS = {
    "map.csv": save_csv,
    "map_orix.h5": save_orix,
    "map_py4dstem.emd": save_py4dstem_map,
    "map.hspy": save_hspy,
    "map.ome.tif": save_ome_tiff,
}


@pytest.fixture
def made():
    return sure(some_map(SHAPE, (CU, TI), r_pixel=0.37))


def some_disks():
    random = np.random.default_rng(3)
    lists = [random.random((number % 4, 3)) for number in range(SHAPE[0] * SHAPE[1])]
    return BraggDisks.from_lists(SHAPE, lists, calibrated=True)


# ---------------------------------------------------------------- orix


@pytest.mark.parametrize("phases", [(CU,), (CU, TI), (BISMUTH, RUTILE)], ids=lambda phases: phases[0].name)
def test_orix_reads_its_own_file(phases, tmp_path):
    from orix.io import load as load_with_orix

    made = sure(some_map(SHAPE, phases, r_pixel=0.37))
    save_orix(made, tmp_path / "map.h5")
    read = load_with_orix(tmp_path / "map.h5")
    assert (read.shape, read.scan_unit) == (SHAPE, "nm")
    assert (read.dy, read.dx) == pytest.approx((0.37, 0.37))
    np.testing.assert_array_equal(read.phase_id.reshape(SHAPE), made.phase_id)
    np.testing.assert_array_equal(read.is_indexed.reshape(SHAPE), made.indexed)
    there = read.rotations.to_matrix().reshape(*SHAPE, 3, 3)
    np.testing.assert_allclose(there[made.indexed], made.rotation[made.indexed], atol=5e-6)
    np.testing.assert_array_equal(read.prop["reliability"].reshape(SHAPE), made.certainty.reliability)
    np.testing.assert_array_equal(read.prop["explained_disks"].reshape(SHAPE), made.n_matched)
    for number, phase in enumerate(phases):
        theirs = read.phases[number]
        assert (theirs.name, theirs.space_group.number) == (phase.name, phase.space_group)
        np.testing.assert_allclose(theirs.structure.lattice.base, phase.lattice, atol=1e-9)
        operations = theirs.point_group.laue_proper_subgroup.to_matrix()
        apart = np.abs(operations[:, None] - phase.symmetry).max(axis=(2, 3)).min(axis=1)
        assert len(operations) == len(phase.symmetry)
        assert apart.max() < 1e-6


def test_orix_gets_single_precision_matrices_exactly():
    made = some_map((40, 50), seed=3)
    assert made.rotation.dtype == np.float32
    read = to_orix(made).rotations.to_matrix().reshape(40, 50, 3, 3)
    np.testing.assert_allclose(read[made.indexed], made.rotation[made.indexed], atol=1e-6)


def test_orix_gives_the_same_colours(tmp_path):
    from orix.io import load as load_with_orix
    from orix.plot import IPFColorKeyTSL
    from orix.vector import Vector3d

    made = some_map(SHAPE, (TI,), phase_id=np.zeros(SHAPE, np.int32), rotation=_rotations())
    save_orix(made, tmp_path / "map.h5")
    read = load_with_orix(tmp_path / "map.h5")
    for axis, direction in (("x", Vector3d.xvector()), ("z", Vector3d.zvector())):
        key = IPFColorKeyTSL(read.phases[0].point_group.laue, direction)
        theirs = key.orientation2color(read["Ti"].orientations).reshape(*SHAPE, 3)
        np.testing.assert_allclose(theirs, ipf_colors(made, axis)[..., :3], atol=1e-3)


def _rotations():
    return rotations(SHAPE[0] * SHAPE[1], 5).reshape(*SHAPE, 3, 3).astype(np.float32)


@pytest.mark.parametrize("phase", [MONOCLINIC, CU_PRIMITIVE], ids=lambda phase: phase.name)
def test_symmetry_that_orix_would_misread_is_refused(phase, tmp_path):
    with pytest.raises(UserError, match="not its axes"):
        save_orix(some_map(phases=(phase,)), tmp_path / "map.h5")
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- py4DSTEM


@pytest.mark.py4dstem
def test_py4dstem_reads_orientations_and_crystals(made, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import py4DSTEM
        from py4DSTEM.process.diffraction import Crystal

        save_py4dstem_map(made, tmp_path / "map.emd", Calibration(voltage=300))
        tree = py4DSTEM.read(tmp_path / "map.emd")
        matrix, corr, phase = (tree.tree(name).data for name in ("matrix", "corr", "phase"))
        about = tree.metadata["phase_1"]
        crystal = Crystal(about["positions"], about["numbers"], about["cell"])
        crystal.calculate_structure_factors(1.2)
    np.testing.assert_array_equal(matrix[:, :, 0], made.rotation)
    np.testing.assert_array_equal(matrix[:, :, 1:], made.runner_up)
    np.testing.assert_array_equal(corr[:, :, 0], made.score)
    np.testing.assert_array_equal(phase, made.phase_id)
    np.testing.assert_array_equal(tree.tree("reliability").data, made.certainty.reliability)
    assert tree.tree("matrix").dim_units[:2] == ("nm", "nm")
    np.testing.assert_allclose(tree.tree("matrix").dims[1], 0.37 * np.arange(8))
    calibration = tree.metadata["calibration"]
    assert (calibration["R_pixel_size"], calibration["R_pixel_units"]) == (0.37, "nm")
    assert calibration["voltage_kV"] == 300
    assert "down the rows" in tree.metadata["orientation_map"]["frame"]
    theirs = np.sort(np.linalg.norm(crystal.g_vec_all, axis=0))
    mine = np.sort(np.linalg.norm(TI.reflections(1.2).g, axis=1))
    np.testing.assert_allclose(theirs[theirs > 1e-6], mine, atol=1e-9)


# ---------------------------------------------------------------- HyperSpy


def test_hyperspys_reader_reads_signals_with_axes(made, tmp_path):
    from rsciio.hspy import file_reader

    disks = some_disks()
    save_hspy(made, tmp_path / "map.hspy", disks, Calibration(voltage=200, semiangle=1.5))
    signals = {
        signal["metadata"]["General"]["title"]: signal for signal in file_reader(tmp_path / "map.hspy")
    }
    assert set(signals) == {
        *("orientation", "phase", "score", "reliability", "phase margin", "explained disks", "Bragg disks"),
        *("precision, best axis", "precision, worst axis"),
    }
    angles = np.rad2deg(bunge_angles(made.rotation))
    lost = ~made.indexed
    np.testing.assert_allclose(signals["orientation"]["data"][~lost], angles[~lost], atol=1e-3)
    assert np.isnan(signals["orientation"]["data"][lost]).all()
    np.testing.assert_array_equal(signals["phase"]["data"][~lost], made.phase_id[~lost] + 1)
    for signal in signals.values():
        axes = signal["axes"][:2]
        assert [(axis["name"], axis["scale"], axis["units"]) for axis in axes] == [
            ("y", 0.37, "nm"),
            ("x", 0.37, "nm"),
        ]
    assert "Euler angles (Bunge)" in signals["score"]["metadata"]["General"]["notes"]
    vectors = signals["Bragg disks"]
    assert vectors["metadata"]["Signal"]["signal_type"] == "diffraction_vectors"
    assert vectors["metadata"]["VectorMetadata"]["units"] == ["1/A", "1/A", "a.u."]
    assert vectors["metadata"]["Acquisition_instrument"]["TEM"]["beam_energy"] == 200
    for position in np.ndindex(*SHAPE):
        np.testing.assert_array_equal(vectors["data"][position], disks.at(*position))


# ---------------------------------------------------------------- tifffile


def test_tifffile_reads_layers_and_units(made, tmp_path):
    import tifffile

    save_ome_tiff(made, tmp_path / "map.ome.tif")
    with tifffile.TiffFile(tmp_path / "map.ome.tif") as tiff:
        assert tiff.is_ome
        *pictures, quantities = tiff.series
        for axis, series in zip("xyz", pictures, strict=True):
            assert series.name.startswith(f"IPF-{axis.upper()}")
            expected = np.rint(255 * ipf_colors(made, axis)[..., :3])
            np.testing.assert_array_equal(series.asarray(), expected)
        about = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]
        for series in tiff.series:
            numerator, denominator = series.keyframe.tags["XResolution"].value
            assert numerator / denominator == pytest.approx(1e7 / 0.37)
            assert series.keyframe.tags["ResolutionUnit"].value == 3
        stack = quantities.asarray()
    for image in about:
        pixels = image["Pixels"]
        assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeXUnit"]) == (0.37, "nm")
        assert "lab x down the rows" in image["Description"]
    names = [channel["Name"] for channel in about[3]["Pixels"]["Channel"]]
    np.testing.assert_allclose(
        stack[names.index("score")], np.where(made.indexed, made.score, np.nan), rtol=1e-6
    )
    angles = np.rad2deg(bunge_angles(made.rotation))[..., 1]
    np.testing.assert_allclose(stack[names.index("Phi (deg)")][made.indexed], angles[made.indexed], atol=1e-3)


# ---------------------------------------------------------------- pandas


def test_pandas_reads_the_table(made, tmp_path):
    import pandas

    save_csv(made, tmp_path / "map.csv")
    table = pandas.read_csv(tmp_path / "map.csv", comment="#")
    assert len(table) == SHAPE[0] * SHAPE[1]
    at = table.set_index(["row", "column"])
    for row, col in np.ndindex(*SHAPE):
        line = at.loc[(row, col)]
        assert (line["x_nm"], line["y_nm"]) == pytest.approx((col * 0.37, row * 0.37))
        assert line["status"] == IndexingStatus(made.status[row, col]).text
        if not made.indexed[row, col]:
            assert line[["phase", "phi1_deg", "zone_axis", "score"]].isna().all()
            continue
        phase, rotation = made.phases[made.phase_id[row, col]], made.rotation[row, col]
        assert line["phase"] == phase.name
        assert line["zone_axis"] == zone_axis(rotation, phase).text
        assert line["in_plane_axis"] == in_plane_direction(rotation, phase).text
        angles = line[["phi1_deg", "Phi_deg", "phi2_deg"]].to_numpy(float)
        np.testing.assert_allclose(angles, np.rad2deg(bunge_angles(rotation)), atol=1e-3)
        assert line["reliability"] == pytest.approx(made.certainty.reliability[row, col], abs=1e-4)
        assert line["explained_disks"] == made.n_matched[row, col]
    head = (tmp_path / "map.csv").read_text().split("row,column")[0]
    for words in ("Bunge", "lab x down the rows", "x counts along the columns", "step 0.37 nm", "1 Cu, 2 Ti"):
        assert words in head


def test_a_table_without_step_has_no_lengths(tmp_path):
    import pandas

    save_csv(some_map(r_pixel=None), tmp_path / "map.csv")
    assert "scan step is unknown" in (tmp_path / "map.csv").read_text()
    assert pandas.read_csv(tmp_path / "map.csv", comment="#")["x_nm"].isna().all()


@pytest.mark.parametrize("phase", [CU, TI, BISMUTH, MONOCLINIC], ids=lambda phase: phase.name)
def test_directions_of_many_are_those_of_each(phase):
    some = rotations(60, 3)
    for one, many in ((zone_axis, zone_axes), (in_plane_direction, in_plane_directions)):
        indices, error = many(some, phase)
        each = [one(rotation, phase) for rotation in some]
        assert [tuple(uvw) for uvw in indices.tolist()] == [direction.indices for direction in each]
        np.testing.assert_allclose(error, [direction.error for direction in each], atol=1e-5)


# ---------------------------------------------------------------- all


@pytest.mark.parametrize("name", SAVERS)
def test_maps_of_nothing_are_written(name, tmp_path):
    SAVERS[name](some_map(SHAPE, phase_id=np.full(SHAPE, -1, np.int32)), tmp_path / name)
    assert (tmp_path / name).stat().st_size


# py4DSTEM and rosettasciio open the file themselves: HDF5 then complains of a full disk for good.
@pytest.mark.posix
@pytest.mark.parametrize("name", ["map.csv", "map_orix.h5", "map.ome.tif"])
def test_a_full_disk_leaves_the_former_file(name, tmp_path):
    SAVERS[name](some_map(), tmp_path / name)
    former = (tmp_path / name).read_bytes()
    with files_no_larger_than(1000), pytest.raises(UserError, match="Cannot write"):
        SAVERS[name](some_map((64, 64)), tmp_path / name)
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == [former]


@pytest.mark.parametrize("name", ["map_orix.h5", "map_py4dstem.emd", "map.hspy"])
def test_exports_are_no_scans(name, made, tmp_path):
    SAVERS[name](made, tmp_path / name)
    with pytest.raises(UserError, match="holds no scan"):
        load(tmp_path / name)

"""Opening scans: dispatch, laziness, scan shapes, calibration and bad input, on HDF5 and NumPy files."""

import h5py
import hdf5plugin
import numpy as np
import psutil
import pytest

from napari_4dstem_orient.core.checks import check_patterns
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.units import electron_wavelength, parse_shape, reciprocal_pixel, scan_step
from napari_4dstem_orient.io.load import inspect, load

SHAPE = (3, 4, 10, 12)
DATA = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)


def h5(path, **datasets):
    with h5py.File(path, "w") as file:
        for name, data in datasets.items():
            file[name.replace("__", "/")] = data
    return path


def same(scan, data=DATA):
    """Every pattern where it belongs, alone, sliced and streamed."""
    assert scan.data.shape == data.shape
    for row, col in np.ndindex(data.shape[:2]):
        np.testing.assert_array_equal(scan.pattern(row, col), data[row, col])
    np.testing.assert_array_equal(scan.data[1:, ::2, 2:5, 3].compute(), data[1:, ::2, 2:5, 3])
    for size in (1, 3, 5, 1000):
        where, blocks = (np.concatenate(parts) for parts in zip(*scan.batches(size), strict=True))
        assert sorted(where) == list(range(len(where)))
        np.testing.assert_array_equal(blocks, data.reshape(-1, *data.shape[2:])[where])


def test_one_4d_dataset_is_taken_though_maps_and_stacks_lie_beside_it(tmp_path):
    path = h5(tmp_path / "a.h5", entry__scan=DATA, stack=DATA[0], rotation=np.zeros((3, 4, 3, 3)))
    scan = load(path)
    same(scan)
    assert scan.source == f"{path}::/entry/scan"
    assert scan.calibration.q_pixel is None
    assert scan.calibration.q_pixel_from == "unknown"


def test_several_datasets_must_be_chosen(tmp_path):
    path = h5(tmp_path / "a.h5", a=DATA, deep__b__data=DATA + 1)
    assert [facts.name for facts in inspect(path).datasets] == ["/a", "/deep/b/data"]
    with pytest.raises(
        UserError, match=r"a\.h5 holds 2 datasets, choose one: /a \(3 × 4 × 10 × 12\); /deep/b/data"
    ):
        load(path)
    same(load(path, "a"))
    same(load(path, "/deep/b"), DATA + 1)
    with pytest.raises(UserError, match="has no 4D dataset /nowhere; it has: /a"):
        load(path, "/nowhere")


def test_a_flat_stack_asks_for_its_scan_shape(tmp_path):
    path = h5(tmp_path / "flat.h5", stack=DATA.reshape(12, 10, 12))
    facts = inspect(path)
    assert facts.format == "HDF5 / EMD"
    (dataset,) = facts.datasets
    assert (dataset.flat, dataset.patterns, dataset.scan_shape, dataset.suggested_shape) == (
        True,
        12,
        None,
        (3, 4),
    )
    with pytest.raises(
        UserError, match="holds 12 patterns in a flat stack; give the scan shape, for example 3x4"
    ):
        load(path)
    with pytest.raises(
        UserError, match=r"The scan shape 5x2 needs 10 patterns, but flat.h5 holds 12; .* 3x4"
    ):
        load(path, scan_shape=(5, 2))
    with pytest.raises(UserError, match="not rows x columns"):
        load(path, scan_shape="twelve")
    same(load(path, scan_shape=(3, 4)))
    same(load(path, scan_shape="3x4"))
    same(load(path, scan_shape=(4, 3)), DATA.reshape(4, 3, 10, 12))


def test_a_scan_saved_as_one_long_row_can_be_folded(tmp_path):
    path = tmp_path / "row.npy"
    np.save(path, DATA.reshape(1, 12, 10, 12))
    same(load(path), DATA.reshape(1, 12, 10, 12))
    same(load(path, scan_shape=(3, 4)))
    np.save(path, DATA)
    same(load(path, scan_shape=(2, 6)), DATA.reshape(2, 6, 10, 12))


def test_compressed_chunks_are_read(tmp_path):
    path = tmp_path / "packed.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=DATA, chunks=(2, 2, 5, 12), **hdf5plugin.Bitshuffle())
    same(load(path))


@pytest.mark.parametrize("kind", ["npy", "h5"])
def test_a_file_larger_than_memory_opens_at_once(tmp_path, kind):
    shape = (1000, 1000, 256, 400)  # 205 GB of uint16
    path = tmp_path / f"huge.{kind}"
    if kind == "npy":
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "<u2", "fortran_order": False, "shape": shape}
            )
            file.truncate(file.tell() + 2 * np.prod(shape, dtype=np.int64))
    else:
        with h5py.File(path, "w") as file:
            dataset = file.create_dataset("x", shape, "u2", chunks=(1, 1, 256, 400))
            dataset[999, 998, 3, 5] = 7
    load(path)
    before = psutil.Process().memory_info().rss
    scan = load(path)
    assert scan.pattern(999, 998)[3, 5] == (7 if kind == "h5" else 0)
    _, block = next(iter(scan.batches(100)))
    assert block.shape == (100, 256, 400)
    for row in range(0, 1000, 50):
        scan.pattern(row, 500)
    assert psutil.Process().memory_info().rss - before < 500e6


@pytest.mark.parametrize(
    ("units", "factor"),
    [
        ("A^-1", 1),
        ("1/Å", 1),
        ("Å⁻¹", 1),
        ("$A^{-1}$", 1),
        ("[n_m^-1]", 0.1),
        ("1/nm", 0.1),
        ("nm-1", 0.1),
        ("pm^-1", 100),
    ],
)
def test_reciprocal_units(units, factor):
    assert reciprocal_pixel(0.3, units, None) == pytest.approx(0.3 * factor)
    assert reciprocal_pixel(0.3, units.encode(), None) == pytest.approx(0.3 * factor)


def test_units_that_are_angles_or_nothing():
    # q = angle / wavelength; 0.0197 Å at 300 kV, 0.0251 Å at 200 kV
    assert electron_wavelength(300) == pytest.approx(0.0196875, rel=1e-5)
    assert electron_wavelength(200) == pytest.approx(0.0250793, rel=1e-5)
    assert reciprocal_pixel(1, "mrad", 200) == pytest.approx(1e-3 / 0.0250793, rel=1e-5)
    assert reciprocal_pixel(1, "mrad", None) is None
    assert all(reciprocal_pixel(1, units, 200) is None for units in ("nm", "px", "pixels", "", None, "1/s"))
    assert all(reciprocal_pixel(size, "1/nm", 200) is None for size in (0, -1, np.nan, None, "x"))
    assert [scan_step(2, units) for units in ("nm", "Å", "µm", "[n_m]", "px")] == [
        2,
        pytest.approx(0.2),
        2000,
        2,
        None,
    ]
    assert parse_shape("128 × 64") == parse_shape("128x64") == (128, 64)


def py4dstem_file(path, units, size):
    import py4DSTEM

    cube = py4DSTEM.DataCube(DATA, name="cube")
    cube.calibration.set_Q_pixel_size(size)
    cube.calibration.set_Q_pixel_units(units)
    cube.calibration.set_R_pixel_size(5)
    cube.calibration.set_R_pixel_units("A")
    cube.calibration.set_QR_rotation_degrees(-30)
    cube.calibration.set_QR_flip(True)
    cube.calibration.set_convergence_semiangle_mrad(1.5)
    py4DSTEM.save(path, cube, mode="o")
    return path


@pytest.mark.py4dstem
@pytest.mark.filterwarnings("ignore")  # py4DSTEM's own
@pytest.mark.parametrize("nonsense", [np.nan, np.inf])
def test_what_is_no_number_in_a_py4dstem_file_is_as_if_it_were_not_there(tmp_path, nonsense):
    path = py4dstem_file(tmp_path / "cube.h5", "A^-1", 0.02)
    with h5py.File(path, "r+") as file:
        told = file["cube_root/metadatabundle/calibration"]
        for name in ("QR_rotation_degrees", "QR_rotation", "convergence_semiangle_mrad"):
            if name in told:
                del told[name]
            told[name] = nonsense
    found = load(path).calibration
    assert (found.rotation, found.semiangle, found.flip, found.q_pixel) == (0.0, None, True, 0.02)
    assert load(path, rotation=12.0).calibration.rotation == 12.0


@pytest.mark.py4dstem
@pytest.mark.filterwarnings("ignore")  # py4DSTEM's own
def test_py4dstem_datacube(tmp_path, capsys):
    scan = load(py4dstem_file(tmp_path / "cube.h5", "A^-1", 0.02))
    same(scan)
    found = scan.calibration
    assert (found.q_pixel, found.r_pixel, found.semiangle) == pytest.approx((0.02, 0.5, 1.5))
    assert (found.rotation, found.flip, found.q_pixel_from, found.voltage) == (-30, True, "file", None)
    typed = load(tmp_path / "cube.h5", voltage=200, q_pixel=0.03, rotation=None, flip=False).calibration
    assert (typed.voltage, typed.q_pixel, typed.q_pixel_from) == (200, 0.03, "typed")
    assert (typed.rotation, typed.flip, typed.r_pixel) == (-30, False, 0.5)


@pytest.mark.py4dstem
@pytest.mark.filterwarnings("ignore")
def test_py4dstem_datacube_in_mrad_needs_the_voltage(tmp_path):
    path = py4dstem_file(tmp_path / "cube.h5", "mrad", 0.5)
    assert load(path).calibration.q_pixel is None
    found = load(path, voltage=300).calibration
    assert found.q_pixel == pytest.approx(0.5e-3 / 0.0196875, rel=1e-5)
    assert found.q_pixel_from == "file"


@pytest.mark.parametrize("first", [0, 1])
def test_foreign_emd_axes(tmp_path, first):
    """py4DSTEM 0.13 counts its dim vectors from 0, Berkeley's EMD and py4DSTEM up to 0.12 from 1."""
    path = tmp_path / "old.emd"
    with h5py.File(path, "w") as file:
        group = file.create_group("4DSTEM_experiment/data/datacubes/datacube_0")
        group["data"] = DATA
        for axis, (step, units) in enumerate(
            [(2, "[n_m]"), (2, "[n_m]"), (0.4, "[n_m^-1]"), (0.4, "[n_m^-1]")]
        ):
            vector = group.create_dataset(f"dim{axis + first}", data=np.arange(SHAPE[axis]) * step)
            vector.attrs["units"] = units
    scan = load(path)
    same(scan)
    assert scan.calibration.q_pixel == pytest.approx(0.04)
    assert scan.calibration.r_pixel == pytest.approx(2)


def test_abtem_units(tmp_path):
    path = h5(tmp_path / "sim.h5", array=DATA, sampling=[0.5, 0.5, 2.0, 2.0])
    with h5py.File(path, "a") as file:
        file["units"] = np.array(["Å".encode(), "Å".encode(), b"mrad", b"mrad"])
    found = load(path, voltage=200).calibration
    assert (found.r_pixel, found.q_pixel) == pytest.approx((0.05, 2e-3 / 0.0250793), rel=1e-4)


def test_nothing_that_is_not_a_calibration_is_accepted(tmp_path):
    path = h5(tmp_path / "a.h5", x=DATA)
    with pytest.raises(TypeError, match="voltag"):
        load(path, voltag=200)
    with pytest.raises(UserError, match="voltage is -3"):
        load(path, voltage=-3)


def truncated(path, share=0.6):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def bad_files(folder):
    """Yield (file, what its message must say)."""
    yield folder / "missing.h5", "missing.h5 does not exist"
    (folder / "empty.mib").touch()
    yield folder / "empty.mib", "empty.mib is empty"
    (folder / "notes.docx").write_text("x")
    yield (
        folder / "notes.docx",
        r"notes.docx is a .docx file that no reader here knows; supported are .*\.mib",
    )
    yield folder, "is a folder"
    yield truncated(h5(folder / "cut.h5", x=DATA)), "cut.h5 is cut short"
    (folder / "text.h5").write_text("hello, this is not HDF5")
    yield folder / "text.h5", "text.h5 is not an HDF5 file"
    yield h5(folder / "flat.h5", x=DATA[0, 0]), "flat.h5 holds no scan"
    yield h5(folder / "zero.h5", x=np.zeros((0, 4, 10, 12))), "zero.h5 holds no patterns"
    np.save(folder / "image.npy", DATA[0, 0])
    yield (
        folder / "image.npy",
        "image.npy holds no scan: its array has the shape 10 × 12; a scan has four dimensions",
    )
    np.save(folder / "cut.npy", DATA)
    yield truncated(folder / "cut.npy"), "cut.npy is cut short"
    (folder / "not.npy").write_text("hello")
    yield folder / "not.npy", "not.npy is not a NumPy"
    np.save(folder / "nan.npy", np.where(DATA == 0, np.nan, DATA))
    yield (
        folder / "nan.npy",
        r"nan.npy has pixels that are not numbers .* in the pattern at scan position \(0, 0\)",
    )
    np.save(folder / "negative.npy", DATA - 1000.0)
    yield folder / "negative.npy", r"negative.npy has negative pixels down to -1000"


def test_bad_files_get_one_sentence(tmp_path):
    for path, message in bad_files(tmp_path):
        with pytest.raises(UserError, match=message) as caught:
            load(path)
        text = str(caught.value)
        assert "\n" not in text, text
        assert text.endswith(".") or message == "is a folder", text


def test_damaged_content_is_said_when_it_is_met(tmp_path):
    path = tmp_path / "rot.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=DATA, chunks=(3, 4, 10, 12), compression="gzip")
        offset = file["x"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[offset : offset + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"rot.h5::/x cannot be read at scan position \(0, 0\)"):
        load(path)


def test_patterns_are_checked_while_streaming():
    block = np.ones((3, 8, 8), np.float32)
    block[0, 0, 0] = -0.05  # a dark-subtracted detector's noise
    check_patterns(block, slice(40, 43))
    block[2, 1, 1] = np.inf
    with pytest.raises(UserError, match="pattern number 42"):
        check_patterns(block, slice(40, 43))
    block[2, 1, 1] = -1
    with pytest.raises(UserError, match="in the vacuum file; patterns must be counts"):
        check_patterns(block, "the vacuum file")
    check_patterns(np.zeros((2, 8, 8)), "nothing there")
    with pytest.raises(UserError, match="negative"):
        check_patterns(np.full((1, 8, 8), -1e-3), "all below")

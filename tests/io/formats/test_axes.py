"""What files tell of pixel sizes and steps, axis by axis: honoured where it is plain, said where it is not."""

import json

import h5py
import numpy as np
import pytest

from helpers.format_files import UNITS, abtem, dm, emd, hspy, zspy
from napari_4dstem_orient.calibration.calibrate import to_scan_frame
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.units import kilovolts, reciprocal_pixel, scan_step
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient.workflow.functions import map_scan
from napari_4dstem_orient.workflow.job import Job
from napari_4dstem_orient.workflow.run import loaded

# rosettasciio warns about units it cannot store
pytestmark = pytest.mark.filterwarnings("ignore")


WRITERS = [hspy, zspy, emd, abtem, dm]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(("flip", "rotation"), [(False, 0.0), (True, 0.0), (False, 37.0), (True, 37.0)])
@pytest.mark.parametrize("sides", [(0.206, 0.200), (0.2, 0.25)])
def test_a_ring_on_unequal_pixels_is_a_circle_of_the_right_radius(tmp_path, write, flip, rotation, sides):
    """Down the rows the pixels have another side than along them; drawn where each direction says, then calibrated."""
    known = load(write(tmp_path, (2.0, 2.0, *sides), UNITS), rotation=rotation, flip=flip).calibration
    angle, radius = np.deg2rad(np.arange(0, 360, 15)), 0.8
    true = radius * np.array([np.cos(angle), np.sin(angle)])
    px, py = true[0] / (sides[0] / 10), true[1] / (sides[1] / 10)
    disks = BraggDisks.from_lists((1, 1), [np.stack([60 + px, 70 + py, np.ones_like(px)], axis=1)])
    qx, qy = to_scan_frame(disks, np.array([[[60.0, 70.0]]]), known)
    np.testing.assert_allclose(np.hypot(qx, qy), radius, rtol=1e-5)
    wanted = true[::-1] if flip else true
    turn = np.deg2rad(rotation)
    np.testing.assert_allclose(qx, np.cos(turn) * wanted[0] - np.sin(turn) * wanted[1], atol=1e-5)
    np.testing.assert_allclose(qy, np.sin(turn) * wanted[0] + np.cos(turn) * wanted[1], atol=1e-5)
    assert known.q_pixel_from == "file"


@pytest.mark.parametrize("write", WRITERS)
def test_equal_pixels_distort_nothing(tmp_path, write):
    known = load(write(tmp_path, (2.0, 2.0, 0.2, 0.200001), UNITS)).calibration
    assert (known.distortion, known.unclear) == ((0.0, 0.0), "")
    assert (known.q_pixel, known.r_pixel) == pytest.approx((0.02, 2.0), rel=1e-5)


@pytest.mark.parametrize("write", WRITERS)
def test_axes_in_different_units(tmp_path, write):
    known = load(write(tmp_path, (2.0, 20.0, 0.02, 0.2), ("nm", "Å", "1/Å", "1/nm")), voltage=200).calibration
    assert (known.q_pixel, known.r_pixel) == pytest.approx((0.02, 2.0), rel=1e-5)
    assert known.distortion == (0.0, 0.0)
    found = load(
        write(tmp_path, (2.0, 2.0, 1.0, 1e-3 / 0.02507934), ("nm", "nm", "mrad", "1/Å")), voltage=200
    )
    assert found.calibration.q_pixel == pytest.approx(1e-3 / 0.02507934, rel=1e-4)
    assert found.calibration.distortion == (0.0, 0.0)


@pytest.mark.parametrize("write", [hspy, zspy, abtem, dm])
@pytest.mark.parametrize(
    ("scales", "units", "unclear"),
    [
        ((0.02, 1.0), ("1/Å", "1/Å"), "detector pixels of 0.02 Å⁻¹ down the rows and 1 Å⁻¹ along them"),
        ((0.3, 0.3), ("nm", "nm"), "detector pixels of 0.3.* 'nm'"),
        ((0.3, 0.3), ("1/nm", "nm"), "detector pixels of 0.3.* '1/nm' and 0.3.* 'nm'"),
        ((0.3, 0.3), ("rad/nm", "rad/nm"), "detector pixels of 0.3.* 'rad/nm'"),
        ((-0.3, 0.3), ("1/nm", "1/nm"), "detector pixels of -0.3.* '1/nm' and 0.3.* '1/nm'"),
        ((0.3, 0.0), ("1/nm", "1/nm"), "detector pixels of 0.3.* '1/nm' and 0.0 '1/nm'"),
        ((0.3, 0.3), ("", "px"), "detector pixels of 0.3.* '' and 0.3.* 'px'"),
        ((1.0, 1.0), ("px", ""), ""),
    ],
)
def test_what_cannot_be_used_is_said_and_a_typed_size_wins(tmp_path, write, scales, units, unclear):
    path = write(tmp_path, (2.0, 2.0, *scales), ("nm", "nm", *units))
    known = load(path).calibration
    assert (known.q_pixel, known.q_pixel_from, known.distortion) == (None, "unknown", (0.0, 0.0))
    np.testing.assert_equal(bool(known.unclear), bool(unclear))
    told = load(path, q_pixel=0.03).calibration
    assert (told.q_pixel, told.q_pixel_from) == (0.03, "typed")
    said = f"how large a pixel is .Å⁻¹.: it tells {unclear}; give it" if unclear else "is .Å⁻¹.; give it"
    with pytest.raises(UserError, match=said):
        map_scan(path, [], voltage=200)


def test_angles_say_that_they_need_the_voltage(tmp_path):
    path = abtem(tmp_path, (2.0, 2.0, 0.3, 0.3), ("nm", "nm", "mrad", "mrad"))
    known = load(path).calibration
    assert (known.q_pixel, known.unclear) == (None, "detector pixels of 0.3 'mrad', which need the voltage")
    known = load(path, voltage=200).calibration
    assert (known.q_pixel, known.unclear) == (pytest.approx(0.3e-3 / 0.0250793, rel=1e-5), "")


@pytest.mark.parametrize("write", [hspy, zspy])
def test_an_axis_that_says_nothing_is_not_taken_to_be_as_the_other(tmp_path, write):
    for scales, units, said in (
        ((1.0, 0.3), ("", "1/nm"), "1.0 '' and 0.3 '1/nm'"),
        ((0.3, 1.0), ("1/nm", "<undefined>"), "0.3 '1/nm' and 1.0 '<undefined>'"),
    ):
        known = load(write(tmp_path, (2.0, 1.0, *scales), ("nm", "", *units))).calibration
        assert (known.q_pixel, known.r_pixel) == (None, None)
        assert known.unclear == f"detector pixels of {said}; scan steps of 2.0 'nm' and 1.0 ''"


@pytest.mark.parametrize("write", [hspy, zspy])
@pytest.mark.parametrize(("axis", "what"), [(0, "scan steps"), (1, "scan steps"), (2, "detector pixels")])
def test_a_missing_scale_is_said(tmp_path, write, axis, what):
    path = write(tmp_path, (2.0, 2.0, 0.3, 0.3), UNITS)
    if write is hspy:
        with h5py.File(path, "a") as file:
            (signal,) = file["Experiments"].values()
            del signal[f"axis-{axis}"].attrs["scale"]
    else:
        (told,) = path.glob(f"Experiments/*/axis-{axis}/.zattrs")
        known = json.loads(told.read_text())
        del known["scale"]
        told.write_text(json.dumps(known))
    known = load(path).calibration
    assert known.unclear.startswith(f"{what} of ")
    assert "no size" in known.unclear
    assert (known.q_pixel is None, known.r_pixel is None) == (axis > 1, axis < 2)


def test_unevenly_spaced_positions_are_no_step(tmp_path):
    path = emd(tmp_path, (2.0, 2.0, 0.3, 0.3), UNITS)
    with h5py.File(path, "a") as file:
        file["data/scan/dim2"][2] += 0.5
    known, voltage = (
        load(path).calibration,
        loaded(Job(path=str(path), calibration={"voltage": 200})).calibration.voltage,
    )
    assert (known.r_pixel, voltage) == (None, 200)
    assert known.q_pixel == pytest.approx(0.03)
    assert known.unclear == "scan steps of 2.0 'nm' and nan 'nm'"


@pytest.mark.parametrize(
    ("units", "factor"),
    [
        ("Å^-1", 1),
        ("Å⁻¹", 1),
        ("A\u030a⁻¹", 1),
        ("\u212b^{-1}", 1),
        (b"1/\xc5", 1),
        (r"$\AA^{-1}$", 1),
        ("angstrom^-1", 1),
        ("Angstroms^-1", 1),
        ("1 / Ångström", 1),
        ("reciprocal nm", 0.1),
        ("inverse nanometers", 0.1),
        ("/nm", 0.1),
        ("nm⁻¹", 0.1),
        ("nm^–1", 0.1),
        ("nm**(-1)", 0.1),
        ("nanometre^-1", 0.1),
        ("1/m", 1e-10),
        ("m^-1", 1e-10),
        ("1/µm", 1e-4),
        ("1/pm", 100),
    ],
)
def test_spellings_of_reciprocal_lengths(units, factor):
    assert reciprocal_pixel(0.3, units, None) == pytest.approx(0.3 * factor)
    assert scan_step(0.3, units) is None


@pytest.mark.parametrize(
    "units", ["nm", "2π/nm", "rad/nm", "1/s", "1/px", "reciprocal pixels", "cm", "1/nm^2", "?"]
)
def test_what_is_no_reciprocal_length(units):
    assert reciprocal_pixel(0.3, units, 200) is None


def test_spellings_of_angles_and_lengths():
    for units in ("mrad", "milliradians", "mRad"):
        assert reciprocal_pixel(1, units, 200) == pytest.approx(1e-3 / 0.0250793, rel=1e-5)
    for units in ("deg", "degrees", "°"):
        assert reciprocal_pixel(1, units, 200) == pytest.approx(np.deg2rad(1) / 0.0250793, rel=1e-5)
    spelled = {
        "nm": 2,
        "nanometers": 2,
        "Å": 0.2,
        "angstrom": 0.2,
        "µm": 2000,
        "μm": 2000,
        "microns": 2000,
        "m": 2e9,
    }
    assert [scan_step(2, units) for units in spelled] == pytest.approx(list(spelled.values()))
    assert reciprocal_pixel("0,02", "1/Å", None) == reciprocal_pixel(np.array([0.02]), "1/Å", None) == 0.02


def test_voltages_with_and_without_their_unit():
    spelled = (200, 200e3, "200", "200 kV", "200000 V", b"200kv", "200,0 kV", np.array([200.0]))
    assert [kilovolts(value) for value in spelled] == [200.0] * len(spelled)
    assert [kilovolts(value) for value in (None, "", "high", 0, -200, 1e9, np.nan)] == [None] * 7


@pytest.mark.parametrize(("shape", "scales"), [((1, 4), (1.0, 2.0)), ((3, 1), (2.0, 1.0))])
@pytest.mark.parametrize("write", [hspy, zspy, emd, abtem])
def test_an_axis_of_one_position_has_no_step_of_its_own(tmp_path, monkeypatch, write, shape, scales):
    data = np.zeros((*shape, 10, 12), "u2")
    monkeypatch.setattr("helpers.format_files.DATA", data)
    monkeypatch.setattr("helpers.format_files.SHAPE", data.shape)
    units = [unit if size > 1 else "" for unit, size in zip(("nm", "nm"), shape, strict=True)]
    known = load(write(tmp_path, (*scales, 0.2, 0.2), (*units, "1/nm", "1/nm"))).calibration
    assert (known.r_pixel, known.r_aspect, known.unclear) == (pytest.approx(2.0), 1.0, "")

"""A vacuum frame is a probe where it shows one bright, round patch, whole and alone; and in any format."""

import h5py
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

from helpers.format_files import EMPAD, PER_NM, dm_file, empad, mib, signal
from helpers.zarr_files import make_array, make_group
from napari_4dstem_orient.cli import app
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.detection.detect import detect_patterns
from napari_4dstem_orient.detection.probe import probe_from_file, probe_from_vacuum, synthetic_probe
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.io.load import load

SIZE = 128
Y, X = (axis - at for axis, at in zip(np.ogrid[:SIZE, :SIZE], (66.3, 61.8), strict=True))
APART, ANGLE = np.hypot(Y, X), np.arctan2(Y, X)


def disk(radius, row=0.0, col=0.0):
    return np.clip(radius + 0.5 - np.hypot(Y - row, X - col), 0, 1)


def counted(image, electrons=1e5, ground=0.0, seed=0):
    return np.random.default_rng(seed).poisson(electrons * image / image.sum() + ground).astype(np.float32)


def bullseye(radius):
    """Three zones of an aperture, held by three bars."""
    share = APART / radius
    bars = np.abs((ANGLE + 0.2) % (2 * np.pi / 3) - 0.4) * APART > 1.2
    zones = (share < 0.2) | ((share > 0.35) & (share < 0.55)) | (share > 0.75)
    return gaussian_filter(disk(radius) * bars * zones, 0.6)


def camera(image):
    """Counts as a camera with gain, offset, blur and read-out noise tells them."""
    noise = np.random.default_rng(3).normal(0, 8, image.shape)
    return (gaussian_filter(counted(image), 0.8) * 37 + 100 + noise).astype(np.float32)


def hot(image):
    image[[20, 100, 70], [90, 33, 64]] = 60000
    return image


PROBES = {
    "a disk": (lambda r: counted(disk(r)), (1.5, 3, 10, 28)),
    "few electrons": (lambda r: counted(disk(r), 1e3), (2, 5, 10, 20)),
    "few electrons on a ground": (lambda r: counted(disk(r), 1e3, 0.05), (2, 5, 10, 20)),
    "a ring": (lambda r: counted(disk(r) - disk(0.6 * r)), (8, 14, 24)),
    "a ring of few electrons": (lambda r: counted(disk(r) - disk(0.6 * r), 1e3), (8, 14)),
    "a bullseye": (lambda r: counted(bullseye(r)), (8, 14, 24)),
    "a bullseye of few electrons": (lambda r: counted(bullseye(r), 3e3), (14, 24)),
    "quarters": (lambda r: counted(disk(r) * ((np.abs(Y) > 1.2) & (np.abs(X) > 1.2))), (8, 14, 24)),
    "uneven": (lambda r: counted(disk(r) * (1 + 0.33 * Y / r)), (5, 24)),
    "a weak halo": (lambda r: counted(0.8 * disk(r) / r**2 + 0.16e-3 * np.exp(-APART / 20)), (5, 14)),
    "a dead cross": (lambda r: counted(disk(r)) * ((np.abs(Y) > 1) & (np.abs(X) > 1)), (8, 20)),
    "a camera's": (lambda r: camera(disk(r)), (5, 20)),
}


@pytest.mark.parametrize("kind", PROBES)
def test_whatever_is_one_whole_patch_is_a_probe(kind):
    draw, radii = PROBES[kind]
    for radius in radii:
        probe = probe_from_vacuum(draw(radius))
        assert probe.radius == pytest.approx(radius, rel=0.12, abs=0.5)
        # Its template finds the same disk where it is drawn elsewhere; the middle is that of its counts.
        moved = np.roll(draw(radius), (9, -7), axis=(0, 1))
        found = detect_patterns(moved[None], probe, DetectionSettings(min_relative_intensity=0.5))[0]
        np.testing.assert_allclose(found[0, :2], [75.3, 54.8], atol=max(0.6, 0.1 * radius))


def test_hot_pixels_do_not_change_a_template():
    for radius in (3, 14):
        clean, spoiled = (probe_from_vacuum(made(counted(disk(radius)))) for made in (np.copy, hot))
        assert spoiled.radius == pytest.approx(clean.radius, abs=0.1)
        assert np.corrcoef(clean.kernel.ravel(), spoiled.kernel.ravel())[0, 1] > 0.999


def test_the_template_of_a_bullseye_shows_all_its_zones():
    image = probe_from_vacuum(counted(bullseye(20.0), 1e6)).image
    drawn = np.roll(bullseye(20.0), (-2, 2), axis=(0, 1))
    near = np.hypot(*np.ogrid[-64:64, -64:64]) < 20
    assert np.corrcoef(image[near], drawn[near])[0, 1] > 0.9


def lattice(radius, spacing, share):
    """Draw a direct beam and Bragg disks."""
    rng = np.random.default_rng(5)
    image = disk(radius)
    for i, j in np.ndindex(9, 9):
        row, col = spacing * np.array([[0.96, -0.29], [0.29, 0.96]]) @ (i - 4, j - 4)
        if (i, j) != (4, 4):
            image += (
                share * rng.uniform(0.5, 1) * np.exp(-np.hypot(i - 4, j - 4) / 3) * disk(radius, row, col)
            )
    return image


HALO = disk(8) + 0.02 * np.exp(-APART / 15)
SPOTS, NOISE = "it shows several spots", "it shows nothing but noise"
NO_PROBES = {
    "empty": (lambda: np.zeros((SIZE, SIZE)), "it is empty or flat"),
    "flat": (lambda: np.full((SIZE, SIZE), 7.0), "it is empty or flat"),
    "hot pixels only": (lambda: hot(np.zeros((SIZE, SIZE), np.float32)), "it is empty or flat"),
    **{
        f"{mean} counts of noise": (lambda mean=mean: counted(np.ones((SIZE, SIZE)), mean * SIZE**2), NOISE)
        for mean in (0.1, 1, 100)
    },
    **{
        f"disks of {radius} px {spacing} apart, {share}": (
            lambda given=(radius, spacing, share), n=n: counted(lattice(*given), n),
            SPOTS,
        )
        for radius, spacing in ((1.5, 8), (2.5, 9), (4, 14), (6, 20), (10, 26))
        for share in (0.1, 0.5, 1.2)
        for n in (1e5,)
    },
    "two beams": (lambda: counted(disk(4, 0, -8) + disk(4, 0, 9)), SPOTS),
    "at the upper edge": (lambda: counted(disk(8, -66, 0)), "cut by the edge"),
    "just cut": (lambda: counted(disk(8, -62, 0)), "cut by the edge"),
    "in the corner": (lambda: counted(disk(8, 60, 64)), "cut by the edge"),
    "half behind a beam stop": (lambda: counted(HALO * (X > 0)), "no whole disk"),
    "behind a round beam stop": (lambda: counted(HALO * (APART > 11)), "spread out|bright patch"),
    "behind a bar": (lambda: counted(HALO * ~((np.abs(X) < 11) & (Y > -11))), "spread out|bright patch"),
    "in pieces": (lambda: counted(HALO * ~((np.abs(X) < 4) & (Y > -16))), SPOTS),
    "a wide aperture": (lambda: counted(disk(45), 1e6), "bright patch has a radius of 45"),
    "a specimen without a lattice": (
        lambda: counted(0.3 * disk(3) + np.exp(-APART / 10) + 0.3 * np.exp(-(((APART - 32) / 6) ** 2)), 1e6),
        "spread out",
    ),
    "a ramp": (lambda: counted(np.arange(1.0, SIZE + 1)[:, None] * np.ones(SIZE), 1e6), "cut by the edge"),
}


@pytest.mark.parametrize("kind", NO_PROBES)
def test_what_is_no_probe_is_refused_with_its_reason(kind):
    draw, reason = NO_PROBES[kind]
    with pytest.raises(UserError, match=f"^memory shows no probe: .*({reason}).*; take one [^;]*\\.$"):
        probe_from_vacuum(draw())


IMAGE = counted(disk(5))[10:, 4:].astype(np.uint16)  # not square


def write_hspy(path):
    """Write one image as HyperSpy does."""
    from rsciio.hspy import file_writer

    made = signal(IMAGE[None, None])
    made["data"], made["axes"] = IMAGE, made["axes"][2:]
    for number, axis in enumerate(made["axes"]):
        axis["index_in_array"] = number
    file_writer(str(path), made)


def write_zspy(path):
    make_array(make_group(path, "Experiments/scan") / "data", IMAGE)


def write_hdf5(path):
    with h5py.File(path, "w") as file:
        file["probe/image"] = IMAGE
        file["notes"] = np.zeros((3, 4))


def write_mrc(path):
    header = np.zeros(256, "<i4")
    header[:4] = (*IMAGE.shape[::-1], 1, 6)
    path.write_bytes(header.tobytes() + IMAGE.astype("<u2").tobytes())


WRITERS = {
    "a.npy": lambda path: np.save(path, IMAGE),
    "a.h5": write_hdf5,
    "a.emd": write_hdf5,
    "a.hspy": write_hspy,
    "a.zspy": write_zspy,
    "a.mrc": write_mrc,
    "a.mib": lambda path: mib(path, IMAGE),
    "a.dm3": lambda path: dm_file(path, IMAGE, [PER_NM, PER_NM]),
    "a.dm4": lambda path: dm_file(path, IMAGE, [PER_NM, PER_NM]),
}


@pytest.mark.filterwarnings("ignore")  # rosettasciio's, about units and zarr
@pytest.mark.parametrize("name", WRITERS)
def test_a_single_image_of_any_format_is_a_probe_and_no_scan(tmp_path, name):
    path = tmp_path / name
    WRITERS[name](path)
    probe = probe_from_file(path)
    assert probe.radius == pytest.approx(5, abs=0.3)
    assert probe.kernel.shape == IMAGE.shape
    np.testing.assert_array_equal(probe.kernel, probe_from_vacuum(IMAGE).kernel)
    if name not in ("a.mrc", "a.mib"):  # there it is a stack of one
        with pytest.raises(UserError, match=f"{name} holds no scan: .* has the shape 118 × 124; a scan has"):
            load(path)


def test_a_single_pattern_of_a_detector_is_a_probe(tmp_path):
    frame = np.zeros_like(EMPAD[:1, :1])
    frame[0, 0] = counted(disk(6))
    assert probe_from_file(empad(tmp_path, frame, "one.raw")).radius == pytest.approx(6, abs=0.3)


def test_one_of_several_images_is_chosen(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["one"], file["two"] = counted(disk(4)), counted(disk(9))
    with pytest.raises(UserError, match=r"a.h5 holds 2 datasets, choose one: /one \(1 × 128 × 128\); /two"):
        probe_from_file(tmp_path / "a.h5")
    assert probe_from_file(tmp_path / "a.h5", "two").radius == pytest.approx(9, abs=0.3)


def test_the_command_line_says_why_a_file_is_no_probe(tmp_path, small_scan):
    np.save(tmp_path / "scan.npy", small_scan.data.compute())
    np.save(tmp_path / "vacuum.npy", counted(lattice(4, 14, 0.5)))
    asked = [
        "detect",
        "scan.npy",
        "--voltage",
        "300",
        "--q-pixel",
        "0.05",
        "--probe",
        "vacuum.npy",
        "-o",
        "d.h5",
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        done = CliRunner().invoke(app, asked)
    assert "vacuum.npy shows no probe: it shows several spots" in str(done.exception)


def test_the_template_of_a_disk_is_like_a_drawn_one():
    measured = probe_from_vacuum(counted(disk(7), 1e7)).kernel
    assert np.corrcoef(measured.ravel(), synthetic_probe(7, (SIZE, SIZE)).kernel.ravel())[0, 1] > 0.98

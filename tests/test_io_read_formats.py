"""Each format's axis order and calibration, against files from the vendors' libraries or byte-exact small ones.

rosettasciio and py4DSTEM, which read the same files here, are the referees.
"""

import struct
from importlib import import_module

import h5py
import numpy as np
import psutil
import pytest

from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.io.load import inspect, load

SHAPE = (3, 4, 10, 12)
DATA = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)
SQUARE = (np.arange(3 * 4 * 16 * 16) % 251).astype(np.uint8).reshape(3, 4, 16, 16)

# rosettasciio warns about units it cannot store; py4DSTEM about much.
pytestmark = pytest.mark.filterwarnings("ignore")


def same(scan, data):
    """Every pattern where it belongs, alone and streamed."""
    assert scan.data.shape == data.shape
    for row, col in np.ndindex(data.shape[:2]):
        np.testing.assert_array_equal(scan.pattern(row, col), data[row, col])
    streamed = np.concatenate([block for _, block in scan.batches(5)])
    np.testing.assert_array_equal(streamed, data.reshape(-1, *data.shape[2:]))


def referee(module, path, **options):
    """Read with rosettasciio."""
    return import_module(f"rsciio.{module}").file_reader(str(path), **options)[0]["data"]


def signal(data, units=("nm", "nm", "1/nm", "1/nm"), scales=(2.0, 2.0, 0.3, 0.3)):
    """A signal as rosettasciio's writers want it."""
    axes = [
        {
            "name": name,
            "size": size,
            "index_in_array": number,
            "scale": scale,
            "offset": 0.0,
            "units": unit,
            "navigate": number < 2,
            "_type": "UniformDataAxis",
        }
        for number, (name, size, scale, unit) in enumerate(
            zip(("y", "x", "ky", "kx"), data.shape, scales, units, strict=True)
        )
    ]
    microscope = {"beam_energy": 200.0, "convergence_angle": 1.2, "rocking_angle": 12.0}
    return {
        "data": data,
        "axes": axes,
        "metadata": {
            "General": {"title": "test"},
            "Signal": {"signal_type": "electron_diffraction"},
            "Acquisition_instrument": {"TEM": microscope},
            "_HyperSpy": {},
        },
        "original_metadata": {},
        "attributes": {"_lazy": False, "ragged": False},
        "package_info": {"package": "hyperspy", "package_version": "2"},
        "learning_results": {},
        "models": {},
        "tmp_parameters": {},
    }


@pytest.mark.parametrize("kind", ["hspy", "zspy"])
def test_hyperspy(tmp_path, kind):
    path = tmp_path / f"scan.{kind}"
    import_module(f"rsciio.{kind}").file_writer(str(path), signal(DATA))
    scan = load(path)
    same(scan, DATA)
    found = scan.calibration
    assert (found.voltage, found.semiangle, found.q_pixel, found.r_pixel) == pytest.approx(
        (200, 1.2, 0.03, 2)
    )
    assert found.q_pixel_from == "file"
    assert found.precession == pytest.approx(0.6875, abs=1e-4)  # 12 mrad
    assert inspect(path).format == "HyperSpy"


def test_hspy_under_another_name_and_damaged_zarr(tmp_path):
    path = tmp_path / "scan.hdf5"
    import_module("rsciio.hspy").file_writer(str(path), signal(DATA))
    assert load(path).calibration.voltage == 200
    (tmp_path / "bad.zspy").mkdir()
    with pytest.raises(UserError, match=r"bad\.zspy"):
        load(tmp_path / "bad.zspy")


@pytest.mark.parametrize(("module", "suffix"), [("emd", "emd"), ("nexus", "nxs")])
def test_emd_and_nexus_of_rosettasciio(tmp_path, module, suffix):
    path = tmp_path / f"scan.{suffix}"
    written = signal(DATA)
    import_module(f"rsciio.{module}").file_writer(str(path), written if module == "emd" else [written])
    scan = load(path)
    same(scan, DATA)
    assert (scan.calibration.q_pixel, scan.calibration.r_pixel) == pytest.approx((0.03, 2))


def mib(path, data, pixel, columns_told=None):
    """Write what Merlin writes: each pattern behind a 384-byte header, big-endian, lowest row first."""
    rows, cols = data.shape[2:]
    with path.open("wb") as file:
        for number, pattern in enumerate(data.reshape(-1, rows, cols)):
            head = (
                f"MQ1,{number + 1:06d},00384,01,{cols:04d},{rows:04d},{pixel},   1x1,01,"
                f"2021-05-07 16:51:10.905800,0.0005,0,0,0,2021-05-07T16:51:10.{number:09d}Z,500000ns,12,"
            )
            stored = pattern[::-1].astype({"U08": ">u1", "U16": ">u2", "U32": ">u4"}[pixel])
            file.write(head.encode().ljust(384, b" ") + stored.tobytes())
    if columns_told:
        path.with_suffix(".hdr").write_text(
            "HDR,\t\nTime and Date Stamp (day, mnth, yr, hr, min, s):\t07/05/2021 16:51:10\n"
            f"Frames in Acquisition (Number):\t{data.shape[0] * columns_told}\n"
            f"Frames per Trigger (Number):\t{columns_told}\nEnd\t"
        )
    return path


@pytest.mark.parametrize("pixel", ["U08", "U16", "U32"])
def test_mib(tmp_path, pixel):
    data = DATA % 251 if pixel == "U08" else DATA
    path = mib(tmp_path / "a.mib", data, pixel)
    with pytest.raises(
        UserError, match=r"a.mib holds 12 patterns in a flat stack; give the scan shape, for example 3x4"
    ):
        load(path)
    scan = load(path, scan_shape=(3, 4))
    same(scan, data)
    np.testing.assert_array_equal(referee("quantumdetector", path, navigation_shape=(4, 3)), data)


def test_mib_with_its_header_file(tmp_path):
    scan = load(mib(tmp_path / "a.mib", DATA, "U16", columns_told=4))
    same(scan, DATA)
    assert scan.metadata["merlin"]["Frames per Trigger (Number)"] == "4"


def test_interrupted_mib_reads_complete_rows_when_told(tmp_path):
    path = mib(tmp_path / "a.mib", DATA, "U16", columns_told=4)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 10 // 12 + 7])
    with pytest.raises(UserError, match=r"a.mib is cut short: 10 of 12 patterns .* scan shape 2x4"):
        load(path)
    same(load(path, scan_shape=(2, 4)), DATA[:2])
    path.with_suffix(".hdr").unlink()
    with pytest.raises(UserError, match=r"a.mib is cut short: 10 of 11 patterns"):
        load(path)
    path.write_bytes(content[:500])
    with pytest.raises(UserError, match=r"cut short: it ends within its first pattern"):
        load(path, scan_shape=(1, 1))
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"A.MIB must end in .mib in small letters"):
        load(path.rename(tmp_path / "A.MIB"))
    path.write_bytes(content.replace(b"U16", b"U64"))
    with pytest.raises(UserError, match=r"with 64 bits \(U64\)"):
        load(path)
    path.write_bytes(b"not a Merlin file at all" * 50)
    with pytest.raises(UserError, match=r"not a MIB file"):
        load(path)
    path.write_bytes(content.replace(b"U16", b"R64"))
    with pytest.raises(UserError, match=r"raw mode"):
        load(path)


def test_blo(tmp_path):
    path = tmp_path / "a.blo"
    module = import_module("rsciio.blockfile")
    module.file_writer(str(path), signal(SQUARE, ("nm", "nm", "cm", "cm"), (5.0, 5.0, 0.02, 0.02)))
    scan = load(path)
    same(scan, SQUARE)
    assert scan.calibration.r_pixel == 5
    assert scan.calibration.q_pixel is None  # no camera length in this file
    np.testing.assert_array_equal(referee("blockfile", path), SQUARE)
    with path.open("r+b") as file:
        file.seek(46)
        file.write(struct.pack("<IHI", 200_000, 5000, 2000))  # V, 100 × px/cm, tenths of mm
    found = load(path).calibration
    # 0.2 mm a pixel at 200 mm is 1 mrad
    assert (found.voltage, found.q_pixel) == pytest.approx((200, 1e-3 / 0.0250793), rel=1e-5)
    header = module.file_reader(str(path))[0]["original_metadata"]["blockfile_header"]
    assert (header["Beam_energy"], header["SDP"], header["Camera_length"]) == (200_000, 5000, 2000)
    content = path.read_bytes()
    path.write_bytes(content[: -300 * 5])
    with pytest.raises(UserError, match=r"a.blo is cut short: \d of 12 patterns"):
        load(path)
    path.write_bytes(content[:20])
    with pytest.raises(UserError, match=r"a.blo cannot be read as NanoMEGAS block file .* cut short"):
        load(path)
    path.write_bytes(b"x" * 5000)
    with pytest.raises(UserError, match=r"a.blo is not a NanoMEGAS block file"):
        load(path)


def empad(folder, data, name="scan_x4_y3.raw"):
    frames = np.full((*data.shape[:2], 130, 128), -7, np.float32)
    frames[:, :, :128] = data
    frames.tofile(folder / name)
    return folder / name


EMPAD = np.arange(3 * 4 * 128 * 128, dtype=np.float32).reshape(3, 4, 128, 128)


def test_empad_raw(tmp_path):
    same(load(empad(tmp_path, EMPAD)), EMPAD)
    path = empad(tmp_path, EMPAD, "anything.raw")
    with pytest.raises(UserError, match=r"anything.raw holds 12 patterns in a flat stack"):
        load(path)
    same(load(path, scan_shape="3x4"), EMPAD)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"not a whole number of EMPAD patterns"):
        load(path, scan_shape="3x4")


def test_empad_raw_as_py4dstem_reads_it(tmp_path):
    import py4DSTEM

    square = EMPAD[:2, :2]
    path = empad(tmp_path, square, "square.raw")
    np.testing.assert_array_equal(py4DSTEM.import_file(str(path)).data, square)
    same(load(path, scan_shape=(2, 2)), square)


def test_empad_xml(tmp_path):
    raw = empad(tmp_path, EMPAD, "data.raw")
    path = tmp_path / "data.xml"
    path.write_text(
        '<?xml version="1.0"?><root><raw_file filename="data.raw"/><pix_x>4</pix_x><pix_y>3</pix_y>'
        "<timestamp isoformat='2020-01-01T10:00:00'/><iom_measurements>"
        "<optics><get_full_scan_field_of_view>(8e-9, 8e-9)</get_full_scan_field_of_view></optics>"
        "<calibrated_pixelsize>2.5e-10</calibrated_pixelsize><high_voltage>300000</high_voltage>"
        "</iom_measurements></root>"
    )
    for name in (path, raw):
        scan = load(name)
        same(scan, EMPAD)
        found = scan.calibration
        assert (found.q_pixel, found.r_pixel, found.voltage) == pytest.approx((0.025, 2, 300))
    theirs = import_module("rsciio.empad").file_reader(str(path))[0]
    np.testing.assert_array_equal(theirs["data"], EMPAD)
    assert theirs["axes"][-1]["scale"] == pytest.approx(0.25)  # 1/nm
    assert (theirs["axes"][1]["scale"], theirs["axes"][1]["units"]) == (pytest.approx(2), "nm")
    raw.write_bytes(raw.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"data.raw is cut short: 11 of 12 patterns are complete"):
        load(path)
    raw.unlink()
    with pytest.raises(UserError, match=r"names no EMPAD .raw file"):
        load(path)
    path.write_text(path.read_text()[:90])
    with pytest.raises(UserError, match=r"data.xml cannot be read as EMPAD .* cut short"):
        load(path)


def test_tvips_in_several_parts(tmp_path):
    written = signal(DATA, ("nm", "nm", "1/nm", "1/nm"), (1.0, 1.0, 1.0, 1.0))
    path = tmp_path / "a_000.tvips"
    import_module("rsciio.tvips").file_writer(
        str(path), written, max_file_size=2000, frame_header_extra_bytes=20, show_progressbar=False
    )
    assert len(list(tmp_path.glob("*.tvips"))) > 2
    scan = load(path, scan_shape=(3, 4))
    same(scan, DATA)
    assert scan.calibration.voltage == 200
    np.testing.assert_array_equal(referee("tvips", path, scan_shape=(3, 4)), DATA)
    with pytest.raises(UserError, match=r"a_000.tvips holds 12 patterns in a flat stack"):
        load(path)
    with pytest.raises(UserError, match=r"a_001.tvips is not the first part"):
        load(tmp_path / "a_001.tvips")


@pytest.mark.parametrize(("mode", "dtype"), [(1, "<i2"), (2, "<f4"), (6, "<u2")])
def test_mrc(tmp_path, mode, dtype):
    path = tmp_path / "stack.mrc"
    header = np.zeros(256, "<i4")
    header[:4] = 12, 10, 12, mode
    header[23] = 64  # bytes of an extended header
    path.write_bytes(header.tobytes() + bytes(64) + DATA.astype(dtype).tobytes())
    same(load(path, scan_shape=(3, 4)), DATA)
    np.testing.assert_array_equal(referee("mrc", path, navigation_shape=(4, 3)), DATA)
    with pytest.raises(UserError, match=r"stack.mrc holds 12 patterns in a flat stack"):
        load(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"stack.mrc is cut short: 11 of 12 patterns"):
        load(path)
    path.write_bytes(b"no header" * 200)
    with pytest.raises(UserError, match=r"stack.mrc cannot be read as MRC \(Unrecognised mode"):
        load(path)


def test_direct_electron_movie_takes_its_scan_from_the_info_file(tmp_path):
    path = tmp_path / "20250101_00042_movie.mrc"
    header = np.zeros(256, "<i4")
    header[:4] = 12, 10, 12, 6
    path.write_bytes(header.tobytes() + DATA.tobytes())
    (tmp_path / "20250101_00042_info.txt").write_text(
        "Scan - Enable = Enable\nScan - Size X = 4\nScan - Size Y = 3\nX = 1\n"
    )
    same(load(path), DATA)


def huge_mib(folder):
    path = mib(folder / "huge.mib", np.zeros((1, 1, 256, 400), np.uint16), "U16")
    return path, 10**6 * path.stat().st_size


def huge_blo(folder):
    path = folder / "huge.blo"
    flat = np.zeros((1, 1, 256, 256), np.uint8)
    import_module("rsciio.blockfile").file_writer(str(path), signal(flat), show_progressbar=False)
    with path.open("r+b") as file:
        file.seek(24)
        file.write(struct.pack("<HH", 1000, 1000))
    return path, path.stat().st_size + (10**6 - 1) * (6 + 256 * 256)


def huge_mrc(folder):
    header = np.zeros(256, "<i4")
    header[:4] = 400, 256, 10**6, 6
    header.tofile(folder / "huge.mrc")
    return folder / "huge.mrc", 1024 + 10**6 * 256 * 400 * 2


def huge_empad(folder):
    path = folder / "huge.xml"
    path.write_text('<root><raw_file filename="huge.raw"/><pix_x>1000</pix_x><pix_y>1000</pix_y></root>')
    (folder / "huge.raw").touch()
    return path, 10**6 * 130 * 128 * 4


@pytest.mark.parametrize("write", [huge_mib, huge_blo, huge_mrc, huge_empad])
def test_files_larger_than_memory_are_read_pattern_by_pattern(tmp_path, write):
    path, length = write(tmp_path)
    stored = path.with_suffix(".raw") if path.suffix == ".xml" else path
    with stored.open("r+b") as file:
        file.truncate(length)
    load(path, scan_shape=(1000, 1000))
    before = psutil.Process().memory_info().rss
    scan = load(path, scan_shape=(1000, 1000))
    for row in range(0, 1000, 50):
        scan.pattern(row, 500)
    _, block = next(iter(scan.batches(100)))
    assert block.shape == (100, *scan.detector_shape)
    assert psutil.Process().memory_info().rss - before < 500e6


def arina(folder, data=DATA, mask=False):
    """Write what Dectris' file writer writes: a master that links to files of some hundred patterns."""
    flat = data.reshape(12, *data.shape[2:]).astype(np.uint32)
    with h5py.File(folder / "a_master.h5", "w") as master:
        group = master.create_group("entry/data")
        master["entry"].attrs["NX_class"] = "NXentry"
        for number, (start, stop) in enumerate([(0, 5), (5, 10), (10, 12)], 1):
            name = f"a_data_{number:06d}.h5"
            with h5py.File(folder / name, "w") as part:
                stored = flat[start:stop].copy()
                if mask:
                    stored[:, 2, 3] = 2**32 - 1
                part["entry/data/data"] = stored
            group[f"data_{number:06d}"] = h5py.ExternalLink(name, "entry/data/data")
        if mask:
            dead = np.zeros((10, 12), np.uint32)
            dead[2, 3] = 1
            master["entry/instrument/detector/detectorSpecific/pixel_mask"] = dead
    with h5py.File(folder / "a.h5", "w") as stem:
        stem.create_group("STEM Metadata").attrs["Pixel Size"] = [1.5, 1.5]
    return folder / "a_master.h5"


def test_arina_as_rosettasciio_reads_it(tmp_path):
    """Of a square detector: its reader exchanges the sides of others."""
    path = arina(tmp_path, DATA[..., :10])
    same(load(path, scan_shape=(3, 4)), DATA[..., :10])
    np.testing.assert_array_equal(referee("arina", path, navigation_shape=(3, 4)), DATA[..., :10])


def test_arina(tmp_path):
    path = arina(tmp_path)
    scan = load(path, scan_shape=(3, 4))
    same(scan, DATA)
    assert scan.calibration.r_pixel == 1.5
    with pytest.raises(UserError, match=r"a_master.h5 holds 12 patterns in a flat stack"):
        load(path)
    (tmp_path / "a_data_000002.h5").unlink()
    with pytest.raises(UserError, match=r"a_data_000002.h5, which a_master.h5 points to, is missing"):
        load(path, scan_shape=(3, 4))


def test_arina_dead_pixels_read_as_zero(tmp_path):
    expected = DATA.copy()
    expected[:, :, 2, 3] = 0
    same(load(arina(tmp_path, mask=True), scan_shape=(3, 4)), expected)


def dm_file(path, data, axes, voltage=200e3, order=slice(None)):
    """Write a small Digital Micrograph file: a thumbnail, then the data, fastest axis first."""
    version = int(path.suffix[-1])
    size = ">q" if version == 4 else ">i"

    def entry(kind, name, body):
        head = struct.pack(">BH", kind, len(name)) + name.encode()
        return head + (struct.pack(">q", len(body)) if version == 4 else b"") + body

    def number(name, code, packed):
        return entry(21, name, b"%%%%" + struct.pack(size, 1) + struct.pack(size, code) + packed)

    def array(name, code, values):
        info = struct.pack(size, 3) + b"".join(struct.pack(size, value) for value in (20, code, values.size))
        return entry(21, name, b"%%%%" + info + values.tobytes())

    def group(name, *members):
        return entry(20, name, directory(*members))

    def directory(*members):
        return struct.pack(">BB", 0, 0) + struct.pack(size, len(members)) + b"".join(members)

    def word(name, text):
        return array(name, 4, np.frombuffer(text.encode("utf-16-le"), "<u2"))

    def dimension(step, units):
        return group(
            "",
            number("Origin", 6, struct.pack("<f", 0)),
            number("Scale", 6, struct.pack("<f", step)),
            word("Units", units),
        )

    def image(pixels, kind, code, steps, *tags):
        return group(
            "",
            group(
                "ImageData",
                group(
                    "Calibrations",
                    group(
                        "Brightness",
                        number("Origin", 6, struct.pack("<f", 0)),
                        number("Scale", 6, struct.pack("<f", 1)),
                        word("Units", "e-"),
                    ),
                    group("Dimension", *(dimension(*step) for step in steps[::-1])),
                ),
                array("Data", code, pixels),
                number("DataType", 5, struct.pack("<I", kind)),
                group("Dimensions", *(number("", 5, struct.pack("<I", n)) for n in pixels.shape[::-1])),
                number("PixelDepth", 5, struct.pack("<I", pixels.itemsize)),
            ),
            group("ImageTags", *tags),
            word("Name", "scan"),
        )

    microscope = group("Microscope Info", number("Voltage", 7, struct.pack("<d", voltage)))
    thumbnail = image(np.zeros((4, 4), "<u4"), 23, 5, [(1.0, "px"), (1.0, "px")])
    root = directory(
        group("ImageList", thumbnail, image(data, 10, 4, axes, microscope)),
        group("Thumbnails", group("", number("ImageIndex", 5, struct.pack("<I", 0)))),
    )
    path.write_bytes(
        struct.pack(">i", version) + struct.pack(size, len(root)) + struct.pack(">i", 1) + root + bytes(8)
    )
    return path


NM, PER_NM = (2.0, "nm"), (0.25, "1/nm")


@pytest.mark.parametrize("suffix", ["dm3", "dm4"])
def test_digital_micrograph(tmp_path, suffix):
    if suffix == "dm3":  # DM3 knows no fourth dimension in py4DSTEM's reader: a stack
        path = dm_file(tmp_path / "a.dm3", DATA.reshape(12, 10, 12), [(1.0, ""), PER_NM, PER_NM])
        scan = load(path, scan_shape=(3, 4))
        np.testing.assert_array_equal(referee("digitalmicrograph", path).reshape(SHAPE), DATA)
    else:
        path = dm_file(tmp_path / "a.dm4", DATA, [NM, NM, PER_NM, PER_NM])
        scan = load(path)
        np.testing.assert_array_equal(referee("digitalmicrograph", path), DATA)
        assert scan.calibration.r_pixel == pytest.approx(2)
    same(scan, DATA)
    assert scan.calibration.voltage == 200
    assert scan.calibration.q_pixel == pytest.approx(0.025)


def test_digital_micrograph_as_py4dstem_reads_it(tmp_path):
    import py4DSTEM

    path = dm_file(tmp_path / "a.dm4", DATA, [NM, NM, (0.5, "mrad"), (0.5, "mrad")])
    theirs = py4DSTEM.import_file(str(path))
    scan = load(path)
    same(scan, theirs.data)
    assert theirs.calibration.get_Q_pixel_units() == "A^-1"
    assert scan.calibration.q_pixel == pytest.approx(theirs.calibration.get_Q_pixel_size(), rel=1e-5)


def test_digital_micrograph_with_the_scan_as_the_fastest_axes(tmp_path):
    stored = np.ascontiguousarray(DATA.transpose(2, 3, 0, 1))
    scan = load(dm_file(tmp_path / "a.dm4", stored, [PER_NM, PER_NM, NM, NM]))
    same(scan, DATA)
    assert (scan.calibration.r_pixel, scan.calibration.q_pixel) == pytest.approx((2, 0.025))


def test_damaged_digital_micrograph(tmp_path):
    path = dm_file(tmp_path / "a.dm4", DATA, [NM, NM, PER_NM, PER_NM])
    content = path.read_bytes()
    for length in (10, 200, 2000):
        path.write_bytes(content[:length])
        with pytest.raises(
            UserError, match=r"a.dm4 (cannot be read as Digital Micrograph .* cut short|holds no scan)"
        ):
            load(path)
    path.write_bytes(b"hello" * 100)
    with pytest.raises(UserError, match=r"cannot be read as Digital Micrograph \(.* DM versions 3 and 4"):
        load(path)

"""Small files of several formats, and how a scan is compared with what went into them."""

import struct
from importlib import import_module
from importlib.metadata import version

import h5py
import numpy as np
import pytest

SHAPE = (3, 4, 10, 12)

DATA = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)

SQUARE = (np.arange(3 * 4 * 16 * 16) % 251).astype(np.uint8).reshape(3, 4, 16, 16)

EMPAD = np.arange(3 * 4 * 128 * 128, dtype=np.float32).reshape(3, 4, 128, 128)


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


def mib(
    path,
    data,
    pixel="U16",
    columns_told=None,
    header=384,
    tail="2021-05-07T16:51:10.{:09d}Z,500000ns,12,",
    first=1,
):
    """Write what Merlin writes: each pattern behind a header, big-endian, lowest row first."""
    rows, cols = data.shape[-2:]
    with path.open("wb") as file:
        for number, pattern in enumerate(data.reshape(-1, rows, cols), first):
            head = (
                f"MQ1,{number:06d},{header:05d},01,{cols:04d},{rows:04d},{pixel},   1x1,01,"
                f"2021-05-07 16:51:10.905800,0.0005,0,0,0,{tail.format(number)}"
            )
            stored = pattern[::-1].astype({"U08": ">u1", "U16": ">u2", "U32": ">u4", "U64": ">u8"}[pixel])
            file.write(head.encode().ljust(header, b"\0") + stored.tobytes())
    if columns_told:
        path.with_suffix(".hdr").write_bytes(merlin_header(data.shape[0] * columns_told, columns_told))
    return path


def merlin_header(frames, line, more="", end="\n"):
    """The .hdr beside a .mib: so many frames, so many of them for each trigger."""
    lines = (
        "HDR,\t",
        "Time and Date Stamp (day, mnth, yr, hr, min, s):\t07/05/2021 16:51:10",
        f"Frames in Acquisition (Number):\t{frames}",
        f"Frames per Trigger (Number):\t{line}",
        more,
        "End\t",
    )
    return end.join(line for line in lines if line).encode()


def empad(folder, data, name="scan_x4_y3.raw"):
    """Write what EMPAD writes: 128 rows of pixels, then two rows of notes."""
    frames = np.full((*data.shape[:2], 130, 128), -7, np.float32)
    frames[:, :, :128] = data
    frames.tofile(folder / name)
    return folder / name


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


UNITS = ("nm", "nm", "1/nm", "1/nm")


def hspy(folder, scales, units, kind="hspy", data=None):
    if kind == "zspy" and version("zarr") >= "3":
        pytest.skip("rosettasciio writes .zspy with zarr 2 only")
    path = folder / f"a.{kind}"
    import_module(f"rsciio.{kind}").file_writer(
        str(path), signal(DATA if data is None else data, units, scales)
    )
    return path


def zspy(folder, scales, units, data=None):
    return hspy(folder, scales, units, "zspy", data)


def emd(folder, scales, units, first=1):
    path = folder / "a.emd"
    with h5py.File(path, "w") as file:
        group = file.create_group("data/scan")
        group["data"] = DATA
        for axis, (scale, unit) in enumerate(zip(scales, units, strict=True)):
            vector = group.create_dataset(
                f"dim{axis + first}", data=(np.arange(SHAPE[axis]) * scale).astype("f4")
            )
            vector.attrs["units"] = unit
    return path


def abtem(folder, scales, units):
    path = folder / "a.h5"
    with h5py.File(path, "w") as file:
        file["array"], file["sampling"] = DATA, scales
        file["units"] = np.array([unit.encode() for unit in units])
    return path


def dm(folder, scales, units):
    return dm_file(folder / "a.dm4", DATA, list(zip(scales, units, strict=True)))

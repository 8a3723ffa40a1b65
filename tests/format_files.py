"""Small files of several formats, and how a scan is compared with what went into them."""

from importlib import import_module

import numpy as np

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

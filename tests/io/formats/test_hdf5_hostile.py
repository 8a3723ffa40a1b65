"""Files that would make HDF5 wait for ever or end the program, and entries that no reader may believe."""

import bz2
import contextlib
import json
import lzma
import os
import shutil
import struct
import time
import tracemalloc
import zipfile
import zlib

import h5py
import hdf5plugin
import numcodecs
import numpy as np
import pytest

from helpers.foreign_files import peaks
from helpers.format_files import DATA, same
from helpers.zarr_files import make_array, make_group
from napari_4dstem_orient.core import hdf5_pieces, reading
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.detection.probe import probe_from_file
from napari_4dstem_orient.io.bragg_peaks import load_disks
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient.workflow.store import load_rows

FLAT = DATA.reshape(12, 10, 12)


def virtual(path, source, name="x"):
    """A file whose only dataset is put together from another one."""
    layout = h5py.VirtualLayout(DATA.shape, DATA.dtype)
    layout[:] = h5py.VirtualSource(source, name, DATA.shape)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("all", layout)
    return path


@pytest.mark.parametrize("source", ["a.h5", "."])
def test_a_virtual_dataset_put_together_from_itself(tmp_path, source):
    """HDF5 goes round until the program ends."""
    with pytest.raises(UserError, match=r"^a.h5: /all is put together from itself; the file is damaged"):
        load(virtual(tmp_path / "a.h5", source, "all"))


def test_two_virtual_datasets_put_together_from_each_other(tmp_path):
    virtual(tmp_path / "b.h5", "a.h5", "all")
    with pytest.raises(UserError, match="is put together from itself"):
        load(virtual(tmp_path / "a.h5", "b.h5", "all"))


@pytest.mark.posix
@pytest.mark.parametrize("way", ["virtual", "link", "external"])
def test_a_pipe_behind_the_file_that_a_virtual_dataset_names(tmp_path, way):
    os.mkfifo(tmp_path / "pipe")
    if way == "virtual":
        virtual(tmp_path / "b.h5", "pipe")
    else:
        with h5py.File(tmp_path / "b.h5", "w") as file:
            if way == "link":
                file["all"] = h5py.ExternalLink("pipe", "x")
            else:
                file.create_dataset(
                    "all", shape=DATA.shape, dtype=DATA.dtype, external=[("pipe", 0, DATA.nbytes)]
                )
    with pytest.raises(UserError, match=r"b.h5 does not hold all|lie in .*pipe, which is no regular file"):
        load(virtual(tmp_path / "a.h5", "b.h5", "all"))


def test_virtual_datasets_through_other_virtual_datasets(tmp_path):
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["group/x"] = DATA
    virtual(tmp_path / "b.h5", "c.h5", "group/x")
    same(load(virtual(tmp_path / "a.h5", "b.h5", "all")), DATA)
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["group/y"] = DATA
    with pytest.raises(
        UserError, match=r"^a.h5: c.h5 does not hold group/x, from which /all is put together"
    ):
        load(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("name", "value", "attribute", "expected"),
    [
        ("QR_rotation", np.nan, "rotation", 0.0),
        ("QR_rotation", "abc", "rotation", 0.0),
        ("QR_rotation", np.pi / 2, "rotation", 90.0),
        ("QR_rotation_degrees", np.inf, "rotation", 0.0),
        ("QR_rotation_degrees", -12, "rotation", -12.0),
        ("QR_flip", "False", "flip", False),
        ("QR_flip", "True", "flip", True),
        ("QR_flip", 1, "flip", True),
        ("convergence_semiangle_mrad", np.inf, "semiangle", None),
        ("convergence_semiangle_mrad", 1.5, "semiangle", 1.5),
    ],
)
def test_entries_of_py4dstems_calibration(tmp_path, name, value, attribute, expected):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["root/datacube/data"] = DATA
        file.create_group("root/metadatabundle/calibration")[name] = value
    found = getattr(load(tmp_path / "a.h5").calibration, attribute)
    assert found == (pytest.approx(expected) if isinstance(expected, float) else expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -3.0, "abc", [1.0, 2.0]])
@pytest.mark.parametrize("name", ["convergence_angle", "rocking_angle"])
def test_angles_of_hyperspy_that_are_none(tmp_path, name, value):
    with h5py.File(tmp_path / "a.hspy", "w") as file:
        file.attrs["file_format_version"] = "3.1"
        file["Experiments/scan/data"] = DATA
        told = file.create_group("Experiments/scan/metadata/Acquisition_instrument/TEM").attrs
        told["beam_energy"], told[name] = 200.0, value
    found = load(tmp_path / "a.hspy").calibration
    assert (found.voltage, found.semiangle, found.precession) == (200.0, None, 0.0)


def test_nexus_axes_that_only_count(tmp_path):
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        group = file.create_group("entry/data")
        group.attrs["axes"] = [".", ".", "ky", "kx"]
        group["data"] = DATA
        for name, size in (("ky", 10), ("kx", 12)):
            group[name] = np.arange(size) * 0.2
            group[name].attrs["units"] = "1/nm"
    found = load(tmp_path / "a.nxs").calibration
    assert found.q_pixel == pytest.approx(0.02)
    assert (found.r_pixel, found.unclear) == (None, "")


def master(folder, content):
    with h5py.File(folder / "a_master.h5", "w") as file:
        file["entry/data/data_000001"] = content
    return folder / "a_master.h5"


@pytest.mark.parametrize("content", [DATA[0, 0], np.full((3, 16, 16), b"a"), FLAT.astype(complex)])
def test_parts_of_a_master_that_are_no_patterns(tmp_path, content):
    with pytest.raises(UserError, match=r"^a_master.h5 holds no scan: its array "):
        load(master(tmp_path, content), scan_shape=(1, len(content)))


@pytest.mark.posix
def test_a_pipe_behind_the_stems_file_beside_a_master(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["STEM Metadata"] = h5py.ExternalLink("pipe", "/")
    same(load(master(tmp_path, FLAT), scan_shape=(3, 4)), DATA)


@pytest.mark.parametrize("chunks", [[0, 4, 10, 12], [-1, 4, 10, 12]])
def test_chunks_without_anything_in_them(tmp_path, chunks):
    path = tmp_path / "a.zspy"
    told = make_array(make_group(path, "Experiments/scan") / "data", DATA) / ".zarray"
    told.write_text(json.dumps(json.loads(told.read_text()) | {"chunks": chunks}))
    with pytest.raises(UserError, match=r"^\S*a.zspy"):
        load(path)


@pytest.mark.parametrize(("place", "value"), [(0, 0), (48, 2**32 - 1), (8, 2**16), (12, 2**31)])
def test_sizes_in_a_tvips_header(tmp_path, place, value):
    header = struct.pack("<5I", 256, 2, 12, 10, 16) + bytes(20) + struct.pack("<3I", 200, 0, 72)
    header = bytearray(header.ljust(256, b"\0"))
    patterns = b"".join(bytes(72) + pattern.astype("<u2").tobytes() for pattern in FLAT)
    (tmp_path / "a_000.tvips").write_bytes(header + patterns)
    same(load(tmp_path / "a_000.tvips", scan_shape=(3, 4)), DATA)
    struct.pack_into("<I", header, place, value)
    (tmp_path / "a_000.tvips").write_bytes(header + patterns)
    with pytest.raises(UserError, match=r"a_000.tvips is (not a TVIPS stream|cut short)"):
        load(tmp_path / "a_000.tvips", scan_shape=(3, 4))


def test_a_block_file_whose_patterns_begin_in_its_header(tmp_path):
    header = struct.pack(
        "<6sHIIIHHHHHddIHI", b"IMGBLO", 258, 0, 0, 0, 16, 0, 4, 3, 0, 2, 2, 200000, 1200, 2000
    )
    (tmp_path / "a.blo").write_bytes(header + bytes(12 * 262))
    with pytest.raises(UserError, match=r"a.blo is damaged: its patterns begin within its header"):
        load(tmp_path / "a.blo")


ZEROS = bytes(2**25)
PACKED = {
    "gzip": (numcodecs.GZip(1), lambda: zlib.compressobj(1, wbits=31)),
    "zlib": (numcodecs.Zlib(1), lambda: zlib.compressobj(1)),
    "bz2": (numcodecs.BZ2(1), lambda: bz2.BZ2Compressor(1)),
    "lzma": (numcodecs.LZMA(preset=0), lambda: lzma.LZMACompressor(preset=0)),
    "blosc": (numcodecs.Blosc("zstd"), None),
    "lz4": (numcodecs.LZ4(), None),
    "zstd": (numcodecs.Zstd(1), None),
}


@pytest.mark.parametrize("codec", PACKED)
def test_a_zarr_chunk_that_unpacks_to_more_than_it_holds(tmp_path, codec):
    compressor, packer = PACKED[codec]
    scan = make_group(tmp_path / "a.zspy", "Experiments/scan")
    for order in "CF":
        make_array(scan / "data", DATA, compressor=compressor, order=order)
        same(load(tmp_path / "a.zspy"), DATA)
    pack = packer() if packer else None
    content = pack.compress(ZEROS) + pack.flush() if pack else compressor.encode(ZEROS)
    (tmp_path / "a.zspy/Experiments/scan/data/0.0.0.0").write_bytes(bytes(content))
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"bytes (unpacks to more|into one piece)"):
            load(tmp_path / "a.zspy")
        assert tracemalloc.get_traced_memory()[1] < len(ZEROS)
    finally:
        tracemalloc.stop()


ENDLESS = {"shape": (2**40, 4), "dtype": "f4", "chunks": (16, 4)}


@pytest.mark.parametrize("name", ["metadatabundle", "metadatabundle/disks", "metadatabundle/calibration"])
def test_endless_arrays_where_peaks_have_a_group(tmp_path, name):
    """To look for a name in an array, h5py reads all of it."""
    with h5py.File(peaks(tmp_path), "r+") as file:
        for parent in ("root", "root/braggvectors"):
            if f"{parent}/{name}" in file:
                del file[f"{parent}/{name}"]
            file.create_dataset(f"{parent}/{name}", **ENDLESS)
    began = time.perf_counter()
    with contextlib.suppress(UserError):
        assert load_disks(tmp_path / "peaks.h5").scan_shape == (3, 4)
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("name", ["Experiments", "Experiments/scan", "Experiments/scan/metadata"])
def test_endless_arrays_where_hyperspy_has_a_group(tmp_path, name):
    began = time.perf_counter()
    folder = make_group(tmp_path / "a.zspy", name.rpartition("/")[0]) / name.rpartition("/")[2]
    told = make_array(folder, np.zeros((1, 4), "f4")) / ".zarray"
    told.write_text(json.dumps(json.loads(told.read_text()) | ENDLESS | {"dtype": "<f4"}))
    with h5py.File(tmp_path / "a.hspy", "w") as file:
        file.attrs["file_format_version"] = "3.3"
        file.create_dataset(name, **ENDLESS)
        if name.count("/") == 2:
            file["Experiments/scan/data"] = DATA
            make_array(tmp_path / "a.zspy/Experiments/scan/data", DATA)
    for path in (tmp_path / "a.zspy", tmp_path / "a.hspy"):
        if name.count("/") == 2:
            np.testing.assert_array_equal(load(path).pattern(2, 3), DATA[2, 3])
        else:
            with pytest.raises(UserError, match=r"^a\..spy holds no "):
                load(path)
    assert time.perf_counter() - began < 5


def test_a_file_that_its_writer_did_not_close_says_so(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file["data"] = DATA
        file.swmr_mode = True
        file.flush()
        shutil.copy(path, tmp_path / "b.h5")
    with pytest.raises(
        UserError, match=r"^b\.h5 is still being written, or .* h5clear --status on the copy\.$"
    ):
        load(tmp_path / "b.h5")


def test_a_piece_of_hdf5_that_takes_more_room_than_it_holds(tmp_path):
    """It would unpack to 64 MiB, or to any size."""
    packed = zlib.compress(bytes(2**26))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("data", data=DATA, chunks=(1, 1, 10, 12), compression="gzip")
        data.id.write_direct_chunk((2, 3, 0, 0), packed)
    tracemalloc.start()
    with pytest.raises(
        UserError,
        match=rf"^a.h5: /data packs {120 * DATA.itemsize} bytes into {len(packed):,}, which no honest",
    ):
        load(tmp_path / "a.h5")
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def hdf5_filter(name):
    return getattr(hdf5plugin, name)()


@pytest.mark.parametrize("userblock", [0, 512])
@pytest.mark.parametrize(
    ("name", "packed"),
    [
        ("Zstd", bytes(numcodecs.Zstd(9).encode(bytes(2**26)))),
        ("BZip2", bz2.compress(bytes(2**26))),
        ("Blosc", b"\2\1!\2" + struct.pack("<III", 2**26, 2**18, 40) + bytes(40)),
        ("LZ4", struct.pack(">QI", 2**40, 2**26) + bytes(40)),
        ("Bitshuffle", struct.pack(">QI", 2**26, 2**13) + bytes(40)),
    ],
)
def test_a_small_piece_of_hdf5_that_would_unpack_to_more_than_it_holds(tmp_path, name, packed, userblock):
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=userblock) as file:
        data = file.create_dataset("data", data=DATA, chunks=(1, 1, 10, 12), **hdf5_filter(name))
        data.id.write_direct_chunk((2, 3, 0, 0), packed)
    tracemalloc.start()
    with pytest.raises(UserError, match=r"^a.h5: A piece of /data holds \d+ bytes and unpacks to more"):
        load(tmp_path / "a.h5")
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


@pytest.mark.parametrize("checksum", [False, True])
def test_a_large_piece_that_gzip_would_make_far_more_of(tmp_path, checksum):
    random = np.random.default_rng(1).bytes(2**20)
    packing = zlib.compressobj()
    packed = packing.compress(random) + packing.compress(bytes(2**27)) + packing.flush()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset(
            "data",
            (2, 2, 1024, 1024),
            "u2",
            chunks=(1, 1, 1024, 1024),
            compression="gzip",
            fletcher32=checksum,
        )
        data.id.write_direct_chunk((1, 1, 0, 0), packed)
    with pytest.raises(UserError, match=r"^a.h5: A piece of /data holds 2,097,152 bytes and unpacks to more"):
        load(tmp_path / "a.h5")


def test_gzip_within_gzip_is_refused(tmp_path):
    packed = zlib.compress(zlib.compress(bytes(2**30 // 4)))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        how.set_chunk((1, 1, 64, 64))
        for _ in range(2):
            how.set_filter(1, 0, (4,))
        space = h5py.h5s.create_simple((2, 2, 64, 64))
        made = h5py.h5d.create(file.id, b"data", h5py.h5t.NATIVE_UINT16, space, how)
        made.write_direct_chunk((1, 1, 0, 0), packed)
    with pytest.raises(UserError, match=r"^a.h5: /data is packed twice"):
        load(tmp_path / "a.h5")


def blosc2_frame(folder, size):
    """Return noughts as Blosc2 packs them: a few hundred bytes, whatever their number."""
    with h5py.File(folder / "frame.h5", "w") as file:
        noughts = np.zeros(size, np.uint8)
        data = file.create_dataset("data", data=noughts, chunks=(size,), **hdf5plugin.Blosc2())
        return data.id.read_direct_chunk((0,))[1]


@pytest.mark.parametrize("kind", ["frame", "chunk", "szip"])
def test_blosc2_and_szip_tell_what_they_unpack_to(tmp_path, kind):
    packing, packed = hdf5plugin.Blosc2(), bytearray(blosc2_frame(tmp_path, 2**26))
    assert len(packed) < 1000
    if kind == "chunk":  # only what lies in the frame tells
        packed = bytearray(blosc2_frame(tmp_path, DATA[0, 0].nbytes))
        header = int.from_bytes(packed[11:15], "big")
        packed[header + 4 : header + 8] = struct.pack("<I", 2**26)
    elif kind == "szip":
        packing, packed = {"compression": "szip"}, struct.pack("<I", 2**26) + bytes(40)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("data", data=DATA, chunks=(1, 1, 10, 12), **packing)
        data.id.write_direct_chunk((2, 3, 0, 0), bytes(packed))
    with pytest.raises(UserError, match=r"^a.h5: A piece of /data holds \d+ bytes and unpacks to more"):
        load(tmp_path / "a.h5")


def test_scale_offset_believes_what_the_dataset_says_of_its_pieces(tmp_path):
    """It would make room for 8 GiB for each."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=DATA, chunks=(1, 1, 10, 12), scaleoffset=0)
        values = file["data"].id.get_create_plist().get_filter(0)[2]
    np.testing.assert_array_equal(load(path).pattern(2, 3), DATA[2, 3])
    content, said = path.read_bytes(), struct.pack("<5I", *values[:5])
    assert content.count(said) == 1
    path.write_bytes(content.replace(said, struct.pack("<5I", *values[:2], 2**32 - 1, *values[3:5])))
    with pytest.raises(UserError, match=r"^a.h5: /data holds 240 bytes and unpacks to more"):
        load(path)


def test_a_piece_without_one_filter_is_looked_at_for_the_others(tmp_path):
    packed = struct.pack(">QI", 2**40, 2**26) + bytes(40)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        packing = {"shuffle": True, **hdf5plugin.LZ4()}
        data = file.create_dataset("data", data=DATA, chunks=(1, 1, 10, 12), **packing)
        data.id.write_direct_chunk((2, 3, 0, 0), packed, filter_mask=1)  # not shuffled
    with pytest.raises(UserError, match=r"^a.h5: A piece of /data holds 240 bytes and unpacks to more"):
        load(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        data = file.create_dataset("data", data=DATA, chunks=(1, 1, 10, 12), **packing)
        data.id.write_direct_chunk((2, 3, 0, 0), DATA[2, 3].tobytes(), filter_mask=3)
    np.testing.assert_array_equal(load(tmp_path / "b.h5").pattern(2, 3), DATA[2, 3])


@pytest.mark.parametrize("name", ["data", "Experiments/scan/data"])
def test_pieces_that_are_not_looked_at_when_a_file_is_opened_are_when_they_are_read(tmp_path, name):
    """There are too many; the last is the bad one, those before it were never written."""
    values = np.random.default_rng(1).integers(0, 9, (72, 72, 8, 8), np.uint16)
    path = tmp_path / ("a.h5" if name == "data" else "a.hspy")
    with h5py.File(path, "w") as file:
        file.attrs["file_format_version"] = "3.3"
        data = file.create_dataset(name, values.shape, "u2", chunks=(1, 1, 8, 8), **hdf5plugin.LZ4())
        data[:71] = values[:71]
        data.id.write_direct_chunk((71, 71, 0, 0), struct.pack(">QI", 2**40, 2**26) + bytes(40))
    with pytest.raises(
        UserError, match=rf"{path.name}.*A piece of /{name} holds 128 bytes and unpacks to more"
    ):
        load(path).pattern(71, 71)
    with h5py.File(path) as file:
        data = hdf5_pieces.guarded(file[name])
        for key in np.s_[70, 71], np.s_[69:71, 3:5, 2:7], np.s_[-3, 1:2, :, 3], np.s_[:71]:
            np.testing.assert_array_equal(data[key], values[:72][key])
        assert not data[71, 70].any()
        with pytest.raises(UserError, match="unpacks to more"):
            data[-1, 70:]


def test_large_pieces_of_gzip_are_each_looked_at_when_they_are_read(tmp_path, monkeypatch):
    """Only the largest are when the file is opened: it would take as long as to read it all."""
    monkeypatch.setattr(hdf5_pieces, "_UNPACKED", 0)
    random = np.random.default_rng(1).integers(0, 2**16, (1024, 1024), np.uint16)
    packing = zlib.compressobj()
    packed = packing.compress(random[:512].tobytes()) + packing.compress(bytes(2**27)) + packing.flush()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset(
            "data", (1, 2, 1024, 1024), "u2", chunks=(1, 1, 1024, 1024), compression="gzip"
        )
        data[0, 0] = random
        np.testing.assert_array_equal(hdf5_pieces.guarded(data)[0, 0], random)
        data.id.write_direct_chunk((0, 1, 0, 0), packed)
    with pytest.raises(UserError, match=r"A piece of /data holds 2,097,152 bytes and unpacks to more"):
        load(tmp_path / "a.h5").pattern(0, 1)


def test_a_large_piece_of_lzf_must_find_room(tmp_path, monkeypatch):
    """It does not tell: 90 times as much is the most."""
    random = np.random.default_rng(1).integers(0, 2**16, (2048, 2048), np.uint16).repeat(2, axis=0)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("data", data=random[None, None], chunks=(1, 1, 4096, 2048), compression="lzf")
    np.testing.assert_array_equal(load(tmp_path / "a.h5").pattern(0, 0), random)
    monkeypatch.setattr(reading, "room", lambda: 2**29)
    with pytest.raises(
        UserError, match=r"^a.h5: A piece of /data would take 0\.7\d* GiB of memory and 0\.5 GiB can"
    ):
        load(tmp_path / "a.h5")


@pytest.mark.parametrize("userblock", [0, 512])
@pytest.mark.parametrize("name", ["Zstd", "BZip2", "Blosc", "LZ4", "Bitshuffle", "Blosc2"])
@pytest.mark.parametrize("noise", [True, False])
def test_honest_pieces_of_every_filter_are_read(tmp_path, name, userblock, noise):
    values = np.random.default_rng(1).integers(0, 2**16 if noise else 2, (3, 4, 16, 16), np.uint16)
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=userblock) as file:
        file.create_dataset("data", data=values, chunks=(1, 1, 16, 16), **hdf5_filter(name))
    np.testing.assert_array_equal(load(tmp_path / "a.h5").pattern(2, 3), values[2, 3])


@pytest.mark.parametrize("packing", [{"compression": "gzip"}, {"compression": "lzf"}, {"shuffle": True}])
def test_honest_noise_takes_hardly_more_room_and_is_read(tmp_path, packing):
    noise = np.random.default_rng(1).integers(0, 2**16, (3, 4, 16, 16), np.uint16)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("data", data=noise, chunks=(1, 1, 16, 16), **packing)
    np.testing.assert_array_equal(load(tmp_path / "a.h5").pattern(2, 3), noise[2, 3])


@pytest.mark.parametrize("large", ["data/0.0.0.0", ".zattrs"])
def test_a_zip_file_that_unpacks_to_more_than_its_zarr_holds(tmp_path, large):
    make_array(make_group(tmp_path / "a.zspy", "Experiments/scan", x=1) / "data", DATA, compressor=None)
    with zipfile.ZipFile(tmp_path / "b.zspy", "w", zipfile.ZIP_DEFLATED) as packed:
        for one in (tmp_path / "a.zspy").rglob("*"):
            if one.is_file():
                name = one.relative_to(tmp_path / "a.zspy").as_posix()
                much = b" " * 2**25 if name == f"Experiments/scan/{large}" else b""
                packed.writestr(name, one.read_bytes() + much)
    tracemalloc.start()
    with pytest.raises(UserError, match=r"b\.zspy.* (keeps|packs) 33,5\d\d,\d\d\d bytes in"):
        load(tmp_path / "b.zspy")
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_kept_disks_are_not_compressed(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("qx.npy", ZEROS[: 2**20])
    with pytest.raises(UserError, match=r"a.npz cannot be read as kept disks \(it is compressed"):
        load_rows(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (np.ones((48, 48), complex), r"its array is complex \(complex128\); save its squared magnitude"),
        (np.zeros((0, 48, 48)), "its shape is 0 × 48 × 48"),
        (np.full((9, 9), b"a"), "a scan holds real numbers"),
    ],
)
def test_a_vacuum_file_without_real_numbers(tmp_path, content, reason):
    """The imaginary part of complex patterns is not left out without a word."""
    np.save(tmp_path / "vacuum.npy", content)
    with pytest.raises(UserError, match=f"^vacuum.npy holds no.*{reason}"):
        probe_from_file(tmp_path / "vacuum.npy")

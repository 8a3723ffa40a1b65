"""What a file is packed with, and what lies beside it, runs nothing and takes no more memory than there is."""

import json
import os
import pickle
import time
import zipfile

import numcodecs
import numpy as np
import pytest

from helpers.format_files import DATA, EMPAD, mib
from helpers.zarr_files import make_array, make_group
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.io.load import load


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


def zspy(path, **packing):
    make_array(make_group(path, "Experiments/scan") / "data", DATA, **{"chunks": (1, 4, 10, 12), **packing})
    return path


@pytest.mark.parametrize(
    "packing",
    [
        {"filters": [numcodecs.Pickle()]},
        {"compressor": numcodecs.Pickle()},
        {"filters": [numcodecs.Delta("u2"), numcodecs.Pickle()], "compressor": None},
        {"filters": [numcodecs.JSON()], "compressor": None},
    ],
)
def test_zarr_that_unpickles_is_refused_before_a_chunk_is_read(tmp_path, monkeypatch, packing):
    monkeypatch.chdir(tmp_path)
    path = zspy(tmp_path / "a.zspy")
    assert load(path).scan_shape == (3, 4)
    meta = path / "Experiments/scan/data/.zarray"
    told = {name: [codec.get_config() for codec in packing.get(name, ())] or None for name in ("filters",)}
    if "compressor" in packing:
        told["compressor"] = packing["compressor"] and packing["compressor"].get_config()
    meta.write_text(json.dumps(json.loads(meta.read_text()) | told))
    for chunk in path.glob("Experiments/scan/data/[0-9]*"):
        chunk.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UserError, match=r"a\.zspy: /Experiments/scan/data is packed by '(pickle|json2)'"):
        load(path)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    "packing", [{"compressor": numcodecs.GZip()}, {"filters": [numcodecs.Delta("u2")]}, {}]
)
def test_zarr_packed_as_usual_is_read(tmp_path, packing):
    scan = load(zspy(tmp_path / "a.zspy", **packing))
    np.testing.assert_array_equal(scan.pattern(2, 3), DATA[2, 3])


def test_zarr_of_python_objects_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = make_array(make_group(tmp_path / "a.zspy", "Experiments/scan") / "data", DATA)
    objects = {"dtype": "|O", "filters": [{"id": "pickle"}]}
    (data / ".zarray").write_text(json.dumps(json.loads((data / ".zarray").read_text()) | objects))
    (tmp_path / "a.zspy/Experiments/scan/data/0.0.0.0").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UserError, match=r"a\.zspy: .* packed by 'pickle'"):
        load(tmp_path / "a.zspy")
    assert not (tmp_path / "evil").exists()


def test_python_objects_in_npy_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    array = np.empty((3, 4, 10, 12), object)
    array.fill(Evil())
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(UserError, match=r"a\.npy .*Python objects"):
        load(tmp_path / "a.npy")
    assert not (tmp_path / "evil").exists()


def test_a_zip_of_zarr_with_a_huge_member_is_refused(tmp_path):
    path = tmp_path / "a.zspy"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(".zgroup", '{"zarr_format": 2}')
        with packed.open("Experiments/.zgroup", "w", force_zip64=True) as out:
            for _ in range(520):
                out.write(bytes(2**20))
    with pytest.raises(UserError, match=r"a\.zspy packs 545,259,520 bytes into one piece"):
        load(path)


BOMB = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
XML = {
    "laughs": f'<?xml version="1.0"?><!DOCTYPE root [<!ENTITY a "{"a" * 100}">{BOMB}]><root>&i;</root>',
    "blowup": f'<?xml version="1.0"?><!DOCTYPE root [<!ENTITY a "{"a" * 100_000}">]><root>{"&a;" * 10_000}</root>',
    "outside": '<?xml version="1.0"?><!DOCTYPE root [<!ENTITY a SYSTEM "file:///etc/passwd">]><root>&a;</root>',
    "deep": "<a>" * 100_000,
}


@pytest.mark.parametrize("kind", XML)
def test_xml_that_expands_or_looks_elsewhere_is_refused(tmp_path, kind):
    began = time.process_time()
    (tmp_path / "scan.xml").write_text(XML[kind])
    with pytest.raises(UserError, match=r"scan\.xml cannot be read as EMPAD"):
        load(tmp_path / "scan.xml")
    raw = np.zeros((12, 130, 128), np.float32)
    raw[:, :128] = EMPAD.reshape(12, 128, 128)
    raw.tofile(tmp_path / "scan_x4_y3.raw")  # read without the description
    np.testing.assert_array_equal(load(tmp_path / "scan_x4_y3.raw").pattern(1, 2), EMPAD[1, 2])
    assert time.process_time() - began < 5


@pytest.mark.posix
def test_what_lies_beside_a_scan_is_a_small_regular_file_or_not_read(tmp_path):
    path = mib(tmp_path / "a.mib", DATA, "U16", 4)
    assert load(path).scan_shape == (3, 4)
    (tmp_path / "a.hdr").unlink()
    with (tmp_path / "a.hdr").open("wb") as file:
        file.truncate(2**33)
    with pytest.raises(UserError, match=r"a\.mib: a\.hdr is larger than any description"):
        load(path)
    (tmp_path / "a.hdr").unlink()
    os.mkfifo(tmp_path / "a.hdr")
    with pytest.raises(UserError, match=r"a\.hdr is a pipe"):
        load(path)


@pytest.mark.posix
@pytest.mark.parametrize("spoil", ["pipe", "device", "link to nothing", "folder", "huge"])
def test_a_zarr_chunk_that_is_no_regular_file_is_refused_not_taken_for_zeros(tmp_path, spoil):
    path = zspy(tmp_path / "a.zspy", chunks=(1, 1, 10, 12))
    chunk = path / "Experiments/scan/data/0.1.0.0"
    chunk.unlink()
    if spoil == "pipe":
        os.mkfifo(chunk)
    elif spoil == "folder":
        chunk.mkdir()
    elif spoil == "huge":
        with chunk.open("wb") as file:
            file.truncate(2**40)
    else:
        chunk.symlink_to("/dev/zero" if spoil == "device" else tmp_path / "nothing")
    said = {
        "pipe": r"0\.1\.0\.0 is a pipe, not a regular file",
        "device": r"0\.1\.0\.0 is a device, not a regular file",
        "link to nothing": r"0\.1\.0\.0 does not exist",
        "folder": r"0\.1\.0\.0 is a folder",
        "huge": r"a\.zspy packs 1,099,511,627,776 bytes into one piece",
    }
    with pytest.raises(UserError, match=said[spoil]):
        load(path).read(slice(0, 1), slice(0, 3))


@pytest.mark.posix
def test_a_description_of_zarr_that_is_a_pipe_is_refused(tmp_path):
    path = zspy(tmp_path / "a.zspy")
    described = path / "Experiments/scan/data/.zarray"
    described.unlink()
    os.mkfifo(described)
    with pytest.raises(UserError, match=r"\.zarray is a pipe, not a regular file"):
        load(path)


def test_zarr_chunks_that_were_never_written_are_zeros(tmp_path):
    path = zspy(tmp_path / "a.zspy", chunks=(1, 1, 10, 12))
    (path / "Experiments/scan/data/0.1.0.0").unlink()
    assert not load(path).pattern(0, 1).any()

"""Merlin files as firmware of many ages, and people who rename and move files, leave them."""

import numpy as np
import pytest

from helpers.format_files import DATA, merlin_header, mib, referee, same
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.io.load import inspect, load

OLD = "511,511"
"""Instead of time stamp, exposure and counter depth: older firmware ends its header with thresholds."""


@pytest.mark.parametrize("header", [256, 384, 512, 768, 1024, 1536])
@pytest.mark.parametrize("tail", ["2021-05-07T16:51:10.{:09d}Z,500000ns,12,", OLD, ""])
def test_headers_of_any_size_and_age(tmp_path, header, tail):
    same(load(mib(tmp_path / "a.mib", DATA, header=header, tail=tail), scan_shape="3x4"), DATA)


def test_64_bit_counts(tmp_path):
    data = DATA.astype(np.uint64) * 70_000
    scan = load(mib(tmp_path / "a.mib", data, "U64"), scan_shape="3x4")
    same(scan, data.astype(np.float32))
    assert int(scan.data[2, 3, 9, 11].compute()) == int(data[2, 3, 9, 11])


@pytest.mark.parametrize(
    ("content", "shape"),
    [
        (merlin_header(12, 4), (3, 4)),
        (merlin_header(12, 4, end="\r\n"), (3, 4)),
        (merlin_header(12, 4) + b"\n\n", (3, 4)),
        (b"\n" + merlin_header(12, 4), (3, 4)),
        (merlin_header(12, 4, "Note:\t21 °C").decode().encode("latin-1"), (3, 4)),
        (merlin_header(12, 4, "Note:\t21 °C").decode().encode("utf-16"), (3, 4)),
        (merlin_header(12, 4, "Note:\t21 °C").decode().encode("utf-8-sig"), (3, 4)),
        (merlin_header(12, 4, "a line of its own"), (3, 4)),
        (merlin_header(12, 4).replace(b"Number):\t4", b"Number): \t 4 "), (3, 4)),
        (merlin_header(12, 4).replace(b"\t", b" "), (3, 4)),
        (merlin_header(12, 1, "ScanX:\t4\nScanY:\t3"), (3, 4)),
        (merlin_header(12, 12), None),  # one trigger for all
        (merlin_header(12, 1), None),  # one for each
        (merlin_header(12, 5), None),  # no whole number of lines
        (merlin_header(12, 0), None),
        (merlin_header(0, 0), None),
        (merlin_header("", ""), None),
        (merlin_header(6, 3), None),  # twice as many patterns: flyback, or two scans
        (b"", None),
    ],
)
@pytest.mark.parametrize("suffix", [".hdr", ".HDR"])
def test_the_header_file_tells_the_scan_shape_or_nothing(tmp_path, content, shape, suffix):
    path = mib(tmp_path / "a.mib", DATA)
    path.with_suffix(suffix).write_bytes(content)
    assert inspect(path).datasets[0].scan_shape == shape
    if shape is None:
        with pytest.raises(
            UserError, match=r"a.mib holds 12 patterns in a flat stack; give the scan shape, for"
        ):
            load(path)
    same(load(path, scan_shape=None if shape else "3x4"), DATA)


@pytest.mark.parametrize("name", ["A.MIB", "größe 2.Mib", "a.b.mib"])
def test_any_name(tmp_path, name):
    path = mib(tmp_path / name, DATA)
    (tmp_path / (path.stem + ".hdr")).write_bytes(merlin_header(12, 4))
    same(load(path), DATA)


@pytest.mark.parametrize("each", [1, 5])
@pytest.mark.parametrize("name", ["scan{}", "scan_{:06d}"])
def test_a_scan_in_several_files_is_read_from_any_of_them(tmp_path, name, each):
    """Their names may sort otherwise than their patterns: scan10.mib comes before scan2.mib."""
    flat = DATA.reshape(12, 10, 12)
    files = [
        mib(tmp_path / f"{name.format(number + 1)}.mib", flat[start : start + each], first=start + 1)
        for number, start in enumerate(range(0, 12, each))
    ]
    for path in (files[0], files[-1]):
        same(load(path, scan_shape="3x4"), DATA)
        with pytest.raises(UserError, match="holds 12 patterns in a flat stack"):
            load(path)
    (tmp_path / "scan.hdr").write_bytes(merlin_header(12, 4))
    same(load(files[1]), DATA)
    content = files[1].read_bytes()
    files[1].unlink()
    with pytest.raises(
        UserError,
        match=rf"{files[-1].name} holds {each if each == 1 else 2} of the 12 patterns announced; copy it again with "
        r"all files of the scan \(name1.mib, .* or give the scan shape 1x[12] to read them",
    ):
        load(files[-1])
    files[1].write_bytes(content)
    files[0].unlink()
    left = 1 if each == 1 else 5
    with pytest.raises(UserError, match=f"{files[1].name} holds {left} of the 12 patterns announced"):
        load(files[1])


def test_scans_with_numbered_names_stay_apart(tmp_path):
    one, two = mib(tmp_path / "scan1.mib", DATA), mib(tmp_path / "scan2.mib", DATA + 1)
    same(load(one, scan_shape="3x4"), DATA)
    same(load(two, scan_shape="3x4"), DATA + 1)


def test_one_pattern_of_a_scan_alone(tmp_path):
    path = mib(tmp_path / "c.mib", DATA[:1, :1])
    path.with_suffix(".hdr").write_bytes(merlin_header(12, 4))
    with pytest.raises(
        UserError, match=r"c.mib holds 1 of the 12 patterns announced; .* scan shape 1x1 to read"
    ):
        load(path)
    same(load(path, scan_shape="1x1"), DATA[:1, :1])


def test_damage_is_told_from_what_it_shows(tmp_path):
    path = mib(tmp_path / "a.mib", DATA)
    content = path.read_bytes()
    path.write_bytes(content + b"trailing")
    same(load(path, scan_shape="3x4"), DATA)
    path.write_bytes(content[:384] + content[386:])
    with pytest.raises(UserError, match=r"a.mib is damaged: its second pattern does not begin where"):
        load(path, scan_shape="3x4")
    for broken in (
        b"MQ1,000001,00384,01",
        b"MQ1,000001,zzzzz,01,0012,0010",
        b"MQ1,000001,00000,01,0012,0010,U16,",
    ):
        path.write_bytes(broken + content[len(broken) :].replace(b",", b";"))
        with pytest.raises(UserError, match=r"a.mib is not a MIB file \(no Merlin header\), or is damaged"):
            load(path, scan_shape="3x4")


@pytest.mark.py4dstem
@pytest.mark.filterwarnings("ignore")  # py4DSTEM's own
def test_rows_run_the_other_way_than_in_py4dstem(tmp_path):
    """As docs/formats.md says: it leaves the rows as they are stored, from the lowest up."""
    from py4DSTEM.io.filereaders.read_mib import load_mib

    data = (
        (np.arange(2 * 256 * 256) % 60_000).astype(np.uint16).reshape(1, 2, 256, 256)
    )  # it knows no other size
    path = mib(tmp_path / "a.mib", data)
    same(load(path, scan_shape="1x2"), data)
    np.testing.assert_array_equal(load_mib(str(path), scan=(1, 2)).data[..., ::-1, :], data)


@pytest.mark.filterwarnings("ignore")  # rosettasciio warns about units it cannot store; py4DSTEM about much
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
    path.write_bytes(b"not a Merlin file at all" * 50)
    with pytest.raises(UserError, match=r"not a MIB file"):
        load(path)
    path.write_bytes(content.replace(b"U16", b"R64"))
    with pytest.raises(UserError, match=r"a.mib was saved in Merlin's raw mode \(R64\)"):
        load(path)

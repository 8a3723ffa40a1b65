"""EMPAD files as versions of its program, and people who rename and move files, leave them."""

from importlib import import_module

import numpy as np
import pytest

from helpers.format_files import EMPAD, empad, same
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.io.load import inspect, load


def xml(raw="mine.raw", *more):
    return f'<root><raw_file filename="{raw}"/>{"".join(more)}</root>'


def scanned(rows, cols, mode="acquire", size=""):
    size = f"<scan_size>{size}</scan_size>" if size else ""
    return (
        f'<scan_parameters mode="{mode}"><scan_resolution_y>{rows}</scan_resolution_y>'
        f"<scan_resolution_x>{cols}</scan_resolution_x>{size}</scan_parameters>"
    )


ACQUIRED, SEARCHED = scanned(3, 4), scanned(64, 64, "search")
PIXELS = "<pix_x>4</pix_x><pix_y>3</pix_y>"


@pytest.mark.parametrize(
    ("raw", "description", "content"),
    [
        ("mine.raw", "x.xml", xml("mine.raw", SEARCHED, ACQUIRED)),
        (
            "mine.raw",
            "x.xml",
            xml("mine.raw", scanned(3, 4, "search"), scanned(16, 16)),
        ),  # taken with "search"
        ("mine.raw", "x.xml", xml("MINE.RAW", PIXELS)),
        ("mine.raw", "x.xml", xml(r"D:\\users\\me\\mine.raw", PIXELS)),
        ("mine.raw", "x.xml", xml("/data/me/mine.raw", PIXELS)),
        ("mine.raw", "mine.xml", xml("scan_x4_y3.raw")),  # both renamed
        ("mine.raw", "mine.xml", xml("scan_x4_y3.raw", scanned(256, 256))),
        ("scan_x4_y3.raw", "scan_x4_y3.xml", xml("old.raw")),
        (
            "Größe 1.RAW",
            "Größe 1.XML",
            '<?xml version="1.0" encoding="latin-1"?>' + xml("Größe 1.RAW", ACQUIRED),
        ),
    ],
)
def test_raw_and_its_description(tmp_path, raw, description, content):
    data = empad(tmp_path, EMPAD, raw)
    told = tmp_path / description
    told.write_text(content, "latin-1" if "latin-1" in content else "utf-8")
    for path in (data, told):
        same(load(path), EMPAD)
    same(load(data, scan_shape="4x3"), EMPAD.reshape(4, 3, 128, 128))


def test_a_description_that_tells_no_scan_shape(tmp_path):
    data = empad(tmp_path, EMPAD, "mine.raw")
    for more in (
        "",
        "<pix_x>a</pix_x><pix_y>3</pix_y>",
        "<scan_parameters><series_count>12</series_count></scan_parameters>",
    ):
        (tmp_path / "mine.xml").write_text(
            xml("mine.raw", more, "<iom_measurements><high_voltage>80000</high_voltage></iom_measurements>")
        )
        with pytest.raises(
            UserError, match=r"mine.raw holds 12 patterns in a flat stack; give the scan shape"
        ):
            load(data)
        scan = load(data, scan_shape="3x4")
        same(scan, EMPAD)
        assert scan.calibration.voltage == 80


@pytest.mark.parametrize("content", ["", "<root>", "<other/>", xml("other.raw", scanned(6, 2)), "\xff\xfe"])
def test_an_xml_of_something_else_does_no_harm(tmp_path, content):
    (tmp_path / "x.xml").write_text(content, "latin-1")
    same(load(empad(tmp_path, EMPAD)), EMPAD)
    same(load(empad(tmp_path, EMPAD, "mine.raw"), scan_shape="3x4"), EMPAD)


def test_interrupted(tmp_path):
    path = empad(tmp_path, EMPAD, "scan_x64_y64.raw")
    with pytest.raises(
        UserError,
        match=r"64_y64.raw holds 12 of the 4,096 patterns announced; .* scan shape 1x12 to read them",
    ):
        load(path)
    same(load(path, scan_shape="1x12"), EMPAD.reshape(1, 12, 128, 128))
    path = empad(tmp_path, EMPAD, "scan_x5_y5.raw")
    with pytest.raises(
        UserError, match=r"holds 12 of the 25 patterns .* scan shape 2x5 to read the complete rows"
    ):
        load(path)
    same(load(path, scan_shape="2x5"), EMPAD.reshape(12, 128, 128)[:10].reshape(2, 5, 128, 128))


FIELD = "<optics><get_full_scan_field_of_view>({0}, {0})</get_full_scan_field_of_view></optics>"
NEW_FIELD = (
    "<full_scan_field_of_view><x>{0}</x><y>{0}</y><scale_factor>0.5</scale_factor></full_scan_field_of_view>"
)


@pytest.mark.parametrize(
    ("field", "more", "step"),
    [
        (FIELD.format("8e-9"), "", 2.0),
        (NEW_FIELD.format("4e-9"), "", 2.0),
        (NEW_FIELD.format("4e-9"), scanned(3, 4, size="1.0"), 2.0),
        (
            NEW_FIELD.format("4e-9"),
            scanned(3, 4, size="0.6"),
            None,
        ),  # which part of which field is not told alike
        (FIELD.format("none"), "", None),
        ("", "", None),
    ],
)
def test_scan_step(tmp_path, field, more, step):
    """The field of view is the longer side's; steps are equal."""
    empad(tmp_path, EMPAD, "scan_x4_y3.raw")
    path = tmp_path / "a.xml"
    path.write_text(xml("scan_x4_y3.raw", more, f"<iom_measurements>{field}</iom_measurements>"))
    assert inspect(path).datasets[0].calibration.r_pixel == pytest.approx(step)


def test_entities_are_not_expanded(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text('<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + xml("&b;.raw"))
    with pytest.raises(UserError, match=r"a.xml cannot be read as EMPAD .*EntitiesForbidden"):
        load(path)


def test_a_file_that_became_shorter_is_noticed_when_read(tmp_path):
    raw = empad(tmp_path, EMPAD, "mine.raw")
    (tmp_path / "a.xml").write_text(xml("mine.raw", PIXELS))
    scan = load(tmp_path / "a.xml")
    raw.write_bytes(raw.read_bytes()[: 3 * 130 * 128 * 4])
    with pytest.raises(UserError, match=r"mine.raw has become shorter since it was opened; open it again"):
        scan.pattern(2, 3)


def test_empad_raw(tmp_path):
    same(load(empad(tmp_path, EMPAD)), EMPAD)
    path = empad(tmp_path, EMPAD, "anything.raw")
    with pytest.raises(UserError, match=r"anything.raw holds 12 patterns in a flat stack"):
        load(path)
    same(load(path, scan_shape="3x4"), EMPAD)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"not a whole number of EMPAD patterns"):
        load(path, scan_shape="3x4")


@pytest.mark.py4dstem
@pytest.mark.filterwarnings("ignore")  # rosettasciio warns about units it cannot store; py4DSTEM about much
def test_empad_raw_as_py4dstem_reads_it(tmp_path):
    import py4DSTEM

    square = EMPAD[:2, :2]
    path = empad(tmp_path, square, "square.raw")
    np.testing.assert_array_equal(py4DSTEM.import_file(str(path)).data, square)
    same(load(path, scan_shape=(2, 2)), square)


@pytest.mark.filterwarnings("ignore")  # rosettasciio warns about units it cannot store; py4DSTEM about much
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
    with pytest.raises(
        UserError,
        match=r"data.xml holds 11 of the 12 patterns announced; copy data.raw again, or give the scan shape 2x4",
    ):
        load(path)
    same(load(path, scan_shape="2x4"), EMPAD[:2])
    raw.unlink()
    with pytest.raises(UserError, match=r"data.xml names the EMPAD file data.raw, which is not beside it"):
        load(path)
    path.write_text(path.read_text()[:90])
    with pytest.raises(UserError, match=r"data.xml cannot be read as EMPAD .* cut short"):
        load(path)

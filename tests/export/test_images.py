import numpy as np
import pytest
from PIL import Image

from helpers.full_disk import files_no_larger_than
from helpers.made_maps import CU, TI, grain_map, some_map
from napari_4dstem_orient.analysis.colours import ipf_colors
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.export.images import (
    _LONG_SIDE,
    _MARGIN,
    _TOP,
    channel_figure,
    round_length,
    save_channel_image,
)

SHAPE = (20, 35)
ZOOM = _LONG_SIDE // SHAPE[1]


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def drawn_map(picture, shape=SHAPE):
    """The middle pixel of every scan position in a picture."""
    top = _TOP + ZOOM // 2
    left = _MARGIN + ZOOM // 2
    return picture[top : top + ZOOM * shape[0] : ZOOM, left : left + ZOOM * shape[1] : ZOOM]


@pytest.mark.parametrize("direction", ["x", "z"])
def test_the_picture_shows_every_position_in_its_colour(direction, tmp_path):
    made = grain_map(SHAPE, (CU,))
    save_channel_image(made, tmp_path / "map.png", f"ipf-{direction}")
    expected = np.rint(255 * ipf_colors(made, direction)[..., :3])
    assert np.abs(drawn_map(pixels(tmp_path / "map.png")).astype(int) - expected).max() <= 1


def test_each_position_is_a_sharp_square(tmp_path):
    made = some_map(SHAPE)
    save_channel_image(made, tmp_path / "map.png", "ipf-z")
    block = pixels(tmp_path / "map.png")[_TOP : _TOP + ZOOM, _MARGIN : _MARGIN + ZOOM]
    assert len(np.unique(block.reshape(-1, 3), axis=0)) == 1


def test_the_scale_bar_has_the_length_it_says(tmp_path):
    save_channel_image(grain_map(SHAPE, (CU,), r_pixel=20.0), tmp_path / "map.png", "ipf-z")
    below = pixels(tmp_path / "map.png")[
        _TOP + ZOOM * SHAPE[0] + 5 :, _MARGIN : _MARGIN + ZOOM * SHAPE[1] // 2
    ]
    dark = (below < 60).all(axis=2)
    row = dark.sum(axis=1).argmax()
    # A quarter of 700 nm holds 100 nm: five positions.
    start = dark[row].argmax()
    assert start <= 2
    assert dark[row, start:].argmin() == pytest.approx(5 * ZOOM, abs=2)


@pytest.mark.parametrize(
    ("longest", "unit", "text"),
    [
        (175, "nm", "100 nm"),
        (0.9, "nm", "0.5 nm"),
        (2300, "nm", "2 µm"),
        (1000, "nm", "1 µm"),
        (9, "positions", "5 positions"),
    ],
)
def test_round_lengths(longest, unit, text):
    length, said = round_length(longest, unit)
    assert said == text
    assert length <= longest


def words(figure):
    from matplotlib.text import Text

    return " ".join(text.get_text() for text in figure.findobj(Text))


def test_the_picture_says_what_it_shows():
    said = words(channel_figure(grain_map(SHAPE, (CU, TI)), "ipf-x"))
    for part in (
        "IPF-X",
        "in plane",
        "20 × 35",
        "step 20 nm",
        "Cu  (m-3m)",
        "Ti  (6/mmm)",
        "not indexed",
        "100 nm",
    ):
        assert part in said


def test_a_complete_map_without_step_says_no_more_than_it_knows():
    made = some_map(SHAPE, phase_id=np.zeros(SHAPE, np.int32), r_pixel=None)
    said = words(channel_figure(made, "ipf-z"))
    assert "not indexed" not in said
    assert "nm" not in said.replace("out of plane", "")
    assert "5 positions" in said


def test_a_phase_that_does_not_occur_needs_no_key():
    made = some_map(SHAPE, (CU, TI), phase_id=np.ones(SHAPE, np.int32))
    said = words(channel_figure(made, "ipf-z"))
    assert "Ti  (6/mmm)" in said
    assert "m-3m" not in said


def test_a_map_without_any_answer_is_a_black_picture(tmp_path):
    made = some_map(SHAPE, phase_id=np.full(SHAPE, -1, np.int32))
    save_channel_image(made, tmp_path / "map.png", "ipf-z")
    assert not drawn_map(pixels(tmp_path / "map.png")).any()


@pytest.mark.parametrize("suffix", [".tif", ".tiff"])
def test_tiff_is_the_bare_layer_with_its_pixel_size(suffix, tmp_path):
    import tifffile

    made = grain_map(SHAPE, (CU,), r_pixel=20.0)
    save_channel_image(made, tmp_path / f"map{suffix}", "ipf-z")
    with tifffile.TiffFile(tmp_path / f"map{suffix}") as tiff:
        page = tiff.pages[0]
        numerator, denominator = page.tags["XResolution"].value
        assert numerator / denominator == pytest.approx(1 / 20)
        assert tiff.imagej_metadata["unit"] == "nm"
        assert "IPF-Z" in tiff.imagej_metadata["Info"]
        np.testing.assert_array_equal(page.asarray(), np.rint(255 * ipf_colors(made)[..., :3]))


def test_tiff_without_a_step_claims_none(tmp_path):
    import tifffile

    save_channel_image(some_map(r_pixel=None), tmp_path / "map.tif", "ipf-z")
    with tifffile.TiffFile(tmp_path / "map.tif") as tiff:
        assert "unit" not in tiff.imagej_metadata


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"\.png, \.tif or \.tiff"):
        save_channel_image(some_map(), tmp_path / "map.jpg", "ipf-z")
    assert not list(tmp_path.iterdir())


def test_scalar_layers(tmp_path):
    phase_id = np.zeros(SHAPE, np.int32)
    phase_id[2, 5] = -1
    score = np.linspace(0, 1, phase_id.size, dtype=np.float32).reshape(SHAPE)
    save_channel_image(some_map(SHAPE, phase_id=phase_id, score=score), tmp_path / "score.png", "score")
    drawn = drawn_map(pixels(tmp_path / "score.png"))
    assert not drawn[2, 5].any()
    assert drawn[-1, -1].tolist() == [253, 231, 36]  # viridis ends in yellow


def test_phases(tmp_path):
    made = grain_map(SHAPE, (CU, TI))
    save_channel_image(made, tmp_path / "phase.png", "phase")
    drawn = drawn_map(pixels(tmp_path / "phase.png"))
    colours = {number: np.unique(drawn[made.phase_id == number], axis=0) for number in (-1, 0, 1)}
    assert all(len(colour) == 1 for colour in colours.values())
    assert colours[-1].tolist() == [[0, 0, 0]]
    assert colours[0].tolist() != colours[1].tolist()


@pytest.mark.posix
@pytest.mark.parametrize("name", ["map.png", "map.tif"])
def test_a_full_disk_leaves_the_former_picture(name, tmp_path):
    save_channel_image(grain_map(SHAPE, (CU,)), tmp_path / name, "ipf-z")
    former = (tmp_path / name).read_bytes()
    with files_no_larger_than(1000), pytest.raises(UserError, match="Cannot write"):
        save_channel_image(grain_map((100, 100), (CU,)), tmp_path / name, "ipf-z")
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == [former]

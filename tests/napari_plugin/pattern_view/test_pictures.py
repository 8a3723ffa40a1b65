"""How brightness becomes grey: curves, white, and what stays black."""

import numpy as np
import pytest

from napari_4dstem_orient.napari_plugin.pattern_view.pictures import Contrast, Curve, grey_levels

PICTURE = np.array([[0.0, 0.01, 0.25, 1.0]])


@pytest.mark.parametrize(
    ("curve", "levels"),
    [(Curve.LINEAR, [0, 3, 64, 255]), (Curve.ROOT, [0, 26, 128, 255]), (Curve.LOG, [0, 88, 204, 255])],
)
def test_curves_lift_what_is_weak(curve, levels):
    assert grey_levels(PICTURE, Contrast(curve)).tolist() == [levels]


def test_the_usual_contrast_is_the_root():
    np.testing.assert_array_equal(grey_levels(PICTURE), grey_levels(PICTURE, Contrast(Curve.ROOT)))


def test_less_white_makes_weak_pixels_brighter_and_leaves_black_black():
    picture = np.linspace(0, 1, 101)[None]
    levels = grey_levels(picture, Contrast(Curve.LINEAR, white=50.0))
    assert (levels[0, 50:] == 255).all()
    assert levels[0, 25] == pytest.approx(128, abs=1)
    assert levels[0, 0] == 0


def test_pixels_without_a_value_are_black():
    assert grey_levels(np.array([[np.nan, 1.0]]), Contrast(Curve.LOG)).tolist() == [[0, 255]]

"""What neighbours did can be undone."""

import numpy as np

from napari_4dstem_orient.core.pooled import Pooled


def test_maps_without_runners_up_are_remembered_and_undone():
    score, none = np.arange(6.0).reshape(2, 3), np.zeros((2, 3, 0, 3, 3))
    before, after = {"score": score, "runner_up": none}, {"score": score.copy(), "runner_up": none}
    after["score"][1, 2] = 9
    pooled = Pooled.of(np.zeros((2, 3), np.uint8), before, after)
    assert pooled.where["score"].tolist() == [5]
    np.testing.assert_array_equal(pooled.undone(after)["score"], score)

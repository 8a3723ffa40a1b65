"""What fields of settings were called in files of 0.1.0 is still read."""

import pytest

from napari_4dstem_orient.core.parameters import from_plain
from napari_4dstem_orient.indexing.settings import TransformerSettings


def test_former_names_are_read():
    former = {"frames": 2, "pairs": 0, "corrections": 1, "referee": False}
    expected = TransformerSettings(reference_disks=2, refinement_iterations=1, verify=False)
    assert from_plain(TransformerSettings, former) == expected
    assert from_plain(TransformerSettings, {"two_disk_seeds": 3}) == TransformerSettings()


def test_a_name_that_never_was_is_refused():
    with pytest.raises(ValueError, match="scout"):
        from_plain(TransformerSettings, {"scout": True})

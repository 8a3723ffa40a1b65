"""A small scan of several chunks."""

import numpy as np
import pytest

from helpers.chunked_scan import polycrystal
from napari_4dstem_orient.workflow import chunks


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of one or two rows, of which a small scan has several."""
    monkeypatch.setattr(chunks, "FEWEST", 6)
    monkeypatch.setattr(chunks, "PARTS", 8)


@pytest.fixture
def scan_file(tmp_path):
    path = tmp_path / "scan.npy"
    np.save(path, polycrystal())
    return path

"""What was exported, opened by the programs it is meant for and compared with the map."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_4dstem_orient.analysis.colours import ipf_colors
from napari_4dstem_orient.core.certainty import IndexingStatus
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.export.ebsd import bunge_angles


def result_file(path: Path, made: OrientationMap) -> None:
    """By this program, and plainly."""
    import h5py

    _same_rotations(OrientationMap.load(path).rotation, made, atol=1e-6)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["orientation/score"], made.score)


def read_with_orix(path: Path) -> Any:
    """Return what orix makes of a file."""
    from orix.io import load

    with warnings.catch_warnings():
        # The conventional 4π of lost positions, which orix's own writer uses too.
        warnings.filterwarnings("ignore", "Angles are quite high")
        return load(path)


def orix_map(path: Path, made: OrientationMap) -> None:
    """By orix: its own file, ``.ang`` and ``.ctf``."""
    read = read_with_orix(path)
    np.testing.assert_array_equal(read.is_indexed.reshape(made.scan_shape), made.indexed)
    _same_rotations(read.rotations.to_matrix().reshape(*made.scan_shape, 3, 3), made, atol=2e-5)
    length = {"nm": 1, "um": 1000}[read.scan_unit]
    np.testing.assert_allclose((read.dy * length, read.dx * length), made.r_pixel, rtol=1e-3)
    assert read.phases[int(read.phase_id[read.is_indexed][0])].name == made.phases[0].name


def py4dstem_orientations(path: Path, made: OrientationMap) -> None:
    """By py4DSTEM."""
    tree = _read_with_py4dstem(path)
    np.testing.assert_array_equal(tree.tree("matrix").data[:, :, 0], made.rotation)
    np.testing.assert_array_equal(tree.tree("phase").data, made.phase_id)
    assert tree.metadata["calibration"]["R_pixel_units"] == "nm"


def py4dstem_disks(path: Path, made: OrientationMap) -> None:
    """By py4DSTEM: as many positions, and disks where there is an answer."""
    disks = _read_with_py4dstem(path)
    assert disks.Rshape == made.scan_shape
    row, col = np.argwhere(made.indexed)[0]
    assert len(disks.raw[int(row), int(col)].data) >= made.n_matched[row, col] > 0


def hyperspy_signals(path: Path, made: OrientationMap) -> None:
    """By HyperSpy's reader."""
    from rsciio.hspy import file_reader

    signals = {signal["metadata"]["General"]["title"]: signal for signal in file_reader(path)}
    angles = signals["orientation"]
    np.testing.assert_allclose(
        angles["data"][made.indexed], np.rad2deg(bunge_angles(made.rotation[made.indexed])), atol=1e-3
    )
    assert [(axis["name"], axis["units"]) for axis in angles["axes"][:2]] == [("y", "nm"), ("x", "nm")]
    assert signals["Bragg disks"]["metadata"]["Signal"]["signal_type"] == "diffraction_vectors"


def table(path: Path, made: OrientationMap) -> None:
    """By Python's own csv."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(line for line in file if not line.startswith("#")))
    lines = [line for line in lines if line.get("crystal", "1") == "1"]
    assert len(lines) == made.indexed.size
    row, col = np.argwhere(made.indexed)[-1]
    line = lines[int(row) * made.scan_shape[1] + int(col)]
    assert (line["row"], line["column"], line["phase"]) == (str(row), str(col), made.phases[0].name)
    angles = [float(line[name]) for name in ("phi1_deg", "Phi_deg", "phi2_deg")]
    np.testing.assert_allclose(angles, np.rad2deg(bunge_angles(made.rotation[row, col])), atol=1e-3)
    assert line["status"] == IndexingStatus.INDEXED.text


def pictures(path: Path, made: OrientationMap) -> None:
    """By Pillow."""
    from PIL import Image

    with Image.open(path) as picture:
        picture.load()
        assert min(picture.size) > 100
        assert len(picture.convert("RGB").getcolors(2**24)) > 10


def bare_layer(path: Path, made: OrientationMap) -> None:
    """By tifffile: the colours, one pixel for each position."""
    import tifffile

    axis: Any = path.stem[-1]
    expected = np.rint(255 * ipf_colors(made, axis)[..., :3])
    np.testing.assert_allclose(tifffile.imread(path)[..., :3][made.indexed], expected[made.indexed], atol=1)


def ome_layers(path: Path, made: OrientationMap) -> None:
    """By tifffile."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_ome
        colours = tiff.series[0].asarray()
        pixels = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"][0]["Pixels"]
    np.testing.assert_array_equal(colours, np.rint(255 * ipf_colors(made, "x")[..., :3]))
    assert pixels["PhysicalSizeXUnit"] == "nm"
    np.testing.assert_allclose(pixels["PhysicalSizeX"], made.r_pixel)


READERS: dict[str, tuple[str, Callable[[Path, OrientationMap], None]]] = {
    "h5": ("orientation.h5", result_file),
    "ang": ("*.ang", orix_map),
    "ctf": ("*.ctf", orix_map),
    "csv": ("*.csv", table),
    "orix": ("*_orix.h5", orix_map),
    "py4dstem": ("*_py4dstem.emd", py4dstem_orientations),
    "emd": ("*_disks.emd", py4dstem_disks),
    "hspy": ("*.hspy", hyperspy_signals),
    "png": ("*.png", pictures),
    "tiff": ("*_ipf-?.tif", bare_layer),
    "ome": ("*.ome.tif", ome_layers),
}
"""For each export format the names of its files, and what opens one."""


def _read_with_py4dstem(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # py4DSTEM's own
        import py4DSTEM

        return py4DSTEM.read(path)


def _same_rotations(read: np.ndarray, made: OrientationMap, atol: float) -> None:
    np.testing.assert_allclose(read[made.indexed], made.rotation[made.indexed], atol=atol)

"""Maps and Bragg disks as HyperSpy signals in one ``.hspy`` file, for HyperSpy and pyxem."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_4dstem_orient.core.atomic import hdf5_in_memory, writing
from napari_4dstem_orient.core.inputs import inputs_of
from napari_4dstem_orient.core.ours import sign, signature
from napari_4dstem_orient.export.base import Export
from napari_4dstem_orient.export.quantities import conventions, quantities

if TYPE_CHECKING:
    from napari_4dstem_orient.core.bragg_disks import BraggDisks
    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.core.scan import Calibration

_DISKS = "qx along the detector's first axis (down its rows), qy along the second; "
_IN_PIXELS = _DISKS + "detector pixels from the corner, not calibrated"
_CALIBRATED = _DISKS + "from the direct beam, turned into the scan's axes: qx is down the rows of the scan"


def save_hspy(
    orientation_map: OrientationMap,
    path: str | Path,
    disks: BraggDisks | None = None,
    calibration: Calibration | None = None,
) -> None:
    """Write signals that ``hyperspy.api.load`` returns as a list, in the order of their titles.

    "orientation" has the Bunge angles φ1, Φ, φ2 in degrees, shape (scan_y, scan_x | 3); "phase" (1, 2, ...;
    NaN where there is no answer), "score" and the rest of ``quantities`` are images. Axes carry the scan step in
    nm. "Bragg disks" is a ragged signal of type ``diffraction_vectors``, which pyxem opens as such: rows of
    qx, qy, intensity at each position. Further crystals of the patterns have signals of their own ("… of crystal 2").

    Raises
    ------
    UserError
        The file cannot be written.
    """
    steps = orientation_map.steps
    signals = _signals(orientation_map)
    for number in range(2, 2 + len(orientation_map.beside)):
        signals += _signals(orientation_map.of_crystal(number), f" of crystal {number}")
    if disks is not None:
        signals.append(_vectors(disks, steps, calibration))
    with writing(path, inputs=inputs_of(orientation_map.provenance)) as temporary:
        temporary.write_bytes(_packed(signals, temporary))


def _signals(orientation_map: OrientationMap, whose: str = "") -> list[dict[str, Any]]:
    """Describe the orientations and every quantity; ``whose`` is added to their titles."""
    steps = orientation_map.steps
    notes = "\n".join(conventions(orientation_map))
    parts = {each.name: each for each in quantities(orientation_map)}
    angles = np.stack([parts.pop(name).values for name in ("phi1", "Phi", "phi2")], axis=-1)
    orientation = _signal(f"orientation{whose}", angles, steps, notes, "Euler angles (deg)", "Bunge angle")
    return [orientation] + [
        _signal(name.replace("_", " ") + whose, values, steps, notes, name)
        for name, _, values in parts.values()
    ]


def _packed(signals: list[dict[str, Any]], scratch: Path) -> bytes:
    """Let rosettasciio write the signals, one to a file as it can, and return one file with all of them."""
    import h5py
    from rsciio.hspy import file_writer

    with hdf5_in_memory() as together:
        experiments = together.create_group("Experiments")
        for signal in signals:
            file_writer(str(scratch), signal, show_progressbar=False)
            with h5py.File(scratch) as alone:
                together.attrs.update(alone.attrs)
                for title in alone["Experiments"]:
                    alone.copy(f"Experiments/{title}", experiments)
        sign(together, HSPY.hdf5)
        together.flush()
        return together.id.get_file_image()


def _signal(
    title: str,
    values: np.ndarray,
    steps: tuple[float, float] | None,
    notes: str,
    quantity: str,
    extra_axis: str = "",
) -> dict[str, Any]:
    """Describe an image, or where ``extra_axis`` is named one value after the other at each position."""
    data = np.asarray(values, np.float32)
    axes = _scan_axes(data.shape[:2], steps, bool(extra_axis))
    if extra_axis:
        axes.append(_axis(extra_axis, data.shape[2], 1.0, "", 2, navigate=False))
    return _dictionary(title, data, axes, {"signal_type": "", "quantity": quantity}, notes)


def _vectors(
    disks: BraggDisks, steps: tuple[float, float] | None, calibration: Calibration | None
) -> dict[str, Any]:
    """Describe the disks as pyxem's ragged diffraction vectors."""
    lists = np.empty(disks.scan_shape, object)
    for position in np.ndindex(*disks.scan_shape):
        lists[position] = disks.at(*position)
    unit = "1/A" if disks.calibrated else "px"
    signal = _dictionary(
        "Bragg disks",
        lists,
        _scan_axes(disks.scan_shape, steps, True),
        {"signal_type": "diffraction_vectors"},
        _CALIBRATED if disks.calibrated else _IN_PIXELS,
        ragged=True,
    )
    signal["metadata"]["VectorMetadata"] = {
        "column_names": ["qx", "qy", "intensity"],
        "units": [unit, unit, "a.u."],
        "scales": [1.0, 1.0, 1.0],
        "offsets": None,
        "detector_shape": None if disks.detector_shape is None else list(disks.detector_shape),
    }
    if calibration is not None:
        told = {"beam_energy": calibration.voltage, "convergence_angle": calibration.semiangle}
        microscope = {name: value for name, value in told.items() if value is not None}
        signal["metadata"] |= {"Acquisition_instrument": {"TEM": microscope}} if microscope else {}
    return signal


def _scan_axes(
    shape: tuple[int, ...], steps: tuple[float, float] | None, navigates: bool
) -> list[dict[str, Any]]:
    scales, units = ((1.0, 1.0), "") if steps is None else (steps, "nm")
    return [_axis(name, shape[i], float(scales[i]), units, i, navigates) for i, name in enumerate(("y", "x"))]


def _axis(name: str, size: int, scale: float, units: str, index: int, navigate: bool) -> dict[str, Any]:
    return {
        "_type": "UniformDataAxis",
        "name": name,
        "size": size,
        "scale": scale,
        "offset": 0.0,
        "units": units,
        "navigate": navigate,
        "is_binned": False,
        "index_in_array": index,
    }


def _dictionary(
    title: str, data: np.ndarray, axes: list, signal: dict[str, str], notes: str, ragged: bool = False
) -> dict[str, Any]:
    """Return what rosettasciio wants to know of a signal."""
    return {
        "data": data,
        "axes": axes,
        "metadata": {
            "General": {"title": title, "notes": notes, "authors": signature()},
            "Signal": signal,
            "_HyperSpy": {},
        },
        "original_metadata": {},
        "attributes": {"_lazy": False, "ragged": ragged},
        "package_info": {"package": "pyxem" if ragged else "hyperspy", "package_version": ""},
        "learning_results": {},
        "models": {},
        "tmp_parameters": {},
    }


HSPY = Export(
    "Signals, and disks where there are",
    ".hspy",
    save_hspy,
    "HyperSpy, pyxem",
    takes=("disks", "calibration"),
    whole=True,
    hdf5="HyperSpy signals",
)

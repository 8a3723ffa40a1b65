"""Orientation maps as orix's ``CrystalMap``, and as the HDF5 file that ``orix.io.load`` reads."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.core.atomic import write
from napari_4dstem_orient.core.inputs import inputs_of
from napari_4dstem_orient.core.ours import sign
from napari_4dstem_orient.export.base import Export
from napari_4dstem_orient.export.crystal_axes import check_axes

if TYPE_CHECKING:
    import orix.crystal_map

    from napari_4dstem_orient.core.orientation_map import OrientationMap


def quaternions(rotation: np.ndarray) -> np.ndarray:
    """Return unit quaternions, scalar first, of matrices: (n, 3, 3) -> (n, 4).

    orix's own conversion is off by 1e-4 where a matrix is of single precision.
    """
    from scipy.spatial.transform import Rotation

    return np.roll(Rotation.from_matrix(rotation).as_quat(), 1, axis=1)


def to_orix(orientation_map: OrientationMap) -> orix.crystal_map.CrystalMap:
    """Return the map as orix holds it.

    Returns
    -------
    CrystalMap
        The same matrices (lab to crystal). Positions row by row: x along the columns, y down the rows, in nm
        (``px`` where the scan step is unknown). Phases count from 0; -1, orix's "not indexed", where there is
        no answer. ``prop`` has score, reason, explained_disks and, where they are known, reliability,
        phase_margin and doubt.
    """
    from orix.crystal_map import CrystalMap, Phase, PhaseList
    from orix.quaternion import Rotation

    rows, cols = orientation_map.scan_shape
    down, along = orientation_map.steps or (1.0, 1.0)
    row, col = np.divmod(np.arange(rows * cols), cols)
    phases = {number: phase.to_orix() for number, phase in enumerate(orientation_map.phases)}
    for number, phase in phases.items():
        phase.color = f"C{number}"
    if not orientation_map.indexed.all():
        phases[-1] = Phase("not_indexed", color="white")
    properties = {
        "score": orientation_map.score,
        "reason": orientation_map.status,
        "explained_disks": orientation_map.n_matched,
    }
    if (certainty := orientation_map.certainty) is not None:
        properties |= {"reliability": certainty.reliability, "phase_margin": certainty.phase_margin}
        properties["doubt"] = certainty.ambiguity
    return CrystalMap(
        rotations=Rotation(quaternions(orientation_map.rotation.reshape(-1, 3, 3))),
        phase_id=orientation_map.phase_id.ravel(),
        x=col * along,
        y=row * down,
        phase_list=PhaseList(phases),
        prop={name: values.ravel() for name, values in properties.items()},
        scan_unit="px" if orientation_map.r_pixel is None else "nm",
    )


def save_orix(orientation_map: OrientationMap, path: str | Path) -> None:
    """Write orix's HDF5 file; ``orix.io.load`` gives the ``CrystalMap`` back.

    Beside orix's own groups, the attribute ``frame`` of the file states the conventions, and ``exploratory``, where
    it is there, why the map is for a first look only.

    Raises
    ------
    UserError
        The file cannot be written, or orix's file cannot hold a crystal's symmetry.
    """
    import h5py
    from orix.io.plugins.orix_hdf5 import file_writer

    from napari_4dstem_orient.io.result import FRAME

    check_axes(orientation_map.phases, path, "_orix.h5")
    crystal_map = to_orix(orientation_map)
    # HDF5 never recovers from a full disk, so it works in memory.
    packed = BytesIO()
    file_writer(packed, crystal_map)
    with h5py.File(packed, "r+") as file:
        sign(file, ORIX.hdf5)
        file.attrs["frame"] = FRAME
        if orientation_map.exploratory:
            file.attrs["exploratory"] = orientation_map.exploratory
    write(path, packed.getvalue(), inputs=inputs_of(orientation_map.provenance))


ORIX = Export("orix crystal map", "_orix.h5", save_orix, "orix.io.load", hdf5="orix crystal map")

"""Orientation maps as EBSD text files: ``.ang`` (EDAX TSL) and ``.ctf`` (Oxford Channel 5).

Both store Bunge Euler angles of the map's own matrices (lab to crystal), so that orix reads the same
orientations back:

- lab x points down the rows, lab y along the columns, lab z towards the viewer: TSL's A1, A2, A3;
- the grid's x is column times step, its y is row times step, in µm, y downwards;
- crystal axes: a along x, c* along z. So does TSL; Oxford's own files of hexagonal and trigonal crystals
  have a* along x, 30° away, so a reader of the ``.ctf`` must be told (MTEX: ``'X||a'``). The header says it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.core.atomic import writing
from napari_4dstem_orient.core.inputs import inputs_of
from napari_4dstem_orient.core.ours import signature
from napari_4dstem_orient.crystals.cif.checks import contents
from napari_4dstem_orient.crystals.cif.formula import formula_name
from napari_4dstem_orient.crystals.laue import laue_class
from napari_4dstem_orient.export.base import Export
from napari_4dstem_orient.export.crystal_axes import check_axes

if TYPE_CHECKING:
    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.crystals.phase import Phase

EULER_FRAME = "Euler angles (Bunge): lab x down the rows, lab y along the columns, lab z towards the viewer"
CRYSTAL_FRAME = "Crystal axes: a along x, c* along z, for hexagonal and trigonal crystals too"
_NO_STEP = "The scan step is unknown: XSTEP and YSTEP of 1 um stand for one scan position"
_FAMILIES = 8


def bunge_angles(rotation: np.ndarray) -> np.ndarray:
    """Return Bunge Euler angles (φ1, Φ, φ2) in radians of orientation matrices.

    Parameters
    ----------
    rotation : ndarray, shape (..., 3, 3)
        Lab to crystal.

    Returns
    -------
    angles : ndarray, float64, shape (..., 3)
        φ1 and φ2 from 0 to 2π, Φ from 0 to π.
    """
    r = np.asarray(rotation, float)
    phi = np.arctan2(np.hypot(r[..., 0, 2], r[..., 1, 2]), r[..., 2, 2])
    first = np.arctan2(r[..., 2, 0], -r[..., 2, 1])
    cos, sin = np.cos(first), np.sin(first)
    # φ2 is what is left once φ1 is undone, so their sum stays right where Φ is 0 or π and φ1 is arbitrary.
    second = np.arctan2(-(r[..., 1, 0] * cos + r[..., 1, 1] * sin), r[..., 0, 0] * cos + r[..., 0, 1] * sin)
    return np.stack([first % (2 * np.pi), phi, second % (2 * np.pi)], axis=-1)


def save_ang(orientation_map: OrientationMap, path: str | Path) -> None:
    """Write an ``.ang`` file (EDAX TSL) that orix, MTEX and OIM read.

    Columns: φ1, Φ, φ2 (rad), x, y (µm), number of explained disks, confidence (reliability where it is known,
    else score), phase, 1, 0. Positions that are not indexed have the conventional angles 4π, confidence -1 and
    fit 180.

    Raises
    ------
    UserError
        The file cannot be written, or a crystal's axes are not those the format presumes.
    """
    phases = orientation_map.phases
    check_axes(phases, path, ".ang")
    indexed = orientation_map.indexed.ravel()
    nowhere = 0 if len(phases) > 1 else -1
    x, y = _grid(orientation_map)
    columns = [
        np.where(indexed[:, None], bunge_angles(orientation_map.rotation).reshape(-1, 3), 4 * np.pi),
        x,
        y,
        np.where(indexed, orientation_map.n_matched.ravel(), 0),
        np.where(indexed, orientation_map.confidence.ravel(), -1),
        np.where(indexed, orientation_map.phase_id.ravel() + 1, nowhere),
        indexed,
        np.where(indexed, 0, 180),
    ]
    with writing(path, inputs=inputs_of(orientation_map.provenance)) as temporary:
        np.savetxt(
            temporary,
            np.column_stack(columns),
            fmt="%9.6f %9.6f %9.6f %13.7f %13.7f %6d %8.5f %2d %1d %7.3f",
            header="\n".join(_ang_header(orientation_map)),
            encoding="ascii",
        )


def save_ctf(orientation_map: OrientationMap, path: str | Path) -> None:
    """Write a ``.ctf`` file (Channel text file) that orix, MTEX and AZtec-style programs read.

    Bands holds the number of explained disks, BC the score times 255, BS the reliability (where it is known)
    times 255. Positions that are not indexed have phase 0, angles 0 and error 3 (no solution).

    Raises
    ------
    UserError
        The file cannot be written, or a crystal's axes are not those the format presumes.
    """
    check_axes(orientation_map.phases, path, ".ctf")
    indexed, score, certainty = (
        orientation_map.indexed.ravel(),
        orientation_map.score,
        orientation_map.certainty,
    )
    contrasts = score, np.zeros_like(score) if certainty is None else certainty.reliability
    x, y = _grid(orientation_map)
    columns = [
        np.where(indexed, orientation_map.phase_id.ravel() + 1, 0),
        x,
        y,
        np.where(indexed, orientation_map.n_matched.ravel(), 0),
        np.where(indexed, 0, 3),
        np.where(indexed[:, None], np.rad2deg(bunge_angles(orientation_map.rotation)).reshape(-1, 3), 0),
        np.zeros(len(x)),
        *(np.where(indexed, np.rint(255 * values.ravel().clip(0, 1)), 0) for values in contrasts),
    ]
    with writing(path, inputs=inputs_of(orientation_map.provenance)) as temporary:
        np.savetxt(
            temporary,
            np.column_stack(columns),
            fmt="\t".join(["%d", "%.7f", "%.7f", "%d", "%d", "%.5f", "%.5f", "%.5f", "%.4f", "%d", "%d"]),
            header="\r\n".join(_ctf_header(orientation_map)),
            comments="",
            newline="\r\n",
            encoding="ascii",
        )


def _grid(orientation_map: OrientationMap) -> tuple[np.ndarray, np.ndarray]:
    """Return x (along the columns) and y (down the rows) of every position in µm, row-major."""
    rows, cols = orientation_map.scan_shape
    down, along = _steps(orientation_map)
    row, col = np.divmod(np.arange(rows * cols), cols)
    return col * along, row * down


def _steps(orientation_map: OrientationMap) -> tuple[float, float]:
    """Return the scan steps down the rows and along them in µm, or 1 where they are unknown."""
    down, along = orientation_map.steps or (1000.0, 1000.0)
    return down / 1000, along / 1000


def _ang_header(orientation_map: OrientationMap) -> list[str]:
    rows, cols = orientation_map.scan_shape
    down, along = _steps(orientation_map)
    confidence = "score" if orientation_map.certainty is None else "reliability (probability of being right)"
    notes = [
        EULER_FRAME,
        CRYSTAL_FRAME,
        f"IQ is the number of explained disks, CI the {confidence}; -1 where not indexed",
    ]
    if orientation_map.r_pixel is None:
        notes.append(_NO_STEP)
    notes += [_ascii(said) for said in (orientation_map.which_crystal, orientation_map.exploratory) if said]
    lines = [
        "TEM_PIXperUM          1.000000",
        "x-star                0.000000",
        "y-star                0.000000",
        "z-star                0.000000",
        "WorkingDistance       0.000000",
        "",
    ]
    # OIM takes the phases in reverse order, as orix and MTEX write them.
    for number in range(len(orientation_map.phases), 0, -1):
        lines += [*_ang_phase(orientation_map.phases[number - 1], number), ""]
    return [
        *lines,
        "GRID: SqrGrid",
        f"XSTEP: {along:.7f}",
        f"YSTEP: {down:.7f}",
        f"NCOLS_ODD: {cols}",
        f"NCOLS_EVEN: {cols}",
        f"NROWS: {rows}",
        "",
        f"OPERATOR: {signature()}",
        "",
        "SAMPLEID: ",
        "",
        "SCANID: ",
        "",
        "NOTES: Start",
        *notes,
        "NOTES: End",
        "",
        "VERSION 5",
        "COLUMN_COUNT: 10",
        "COLUMN_HEADERS: phi1, PHI, phi2, x, y, IQ, CI, Phase index, SEM, Fit",
        "COLUMN_UNITS: radians, radians, radians, microns, microns, , , , , degrees",
    ]


def _ang_phase(phase: Phase, number: int) -> list[str]:
    families = _families(phase)
    return [
        f"Phase {number}",
        f"MaterialName  {_plain(phase.name)}",
        f"Formula       {formula_name(contents(phase))}",
        "Info          ",
        f"Symmetry              {laue_class(phase).edax}",
        "LatticeConstants      " + " ".join(f"{value:.4f}" for value in phase.cell),
        f"NumberFamilies        {len(families)}",
        *("hklFamilies   {:3d}{:3d}{:3d} 1 {:.6f} 1".format(*family) for family in families),
    ]


def _families(phase: Phase) -> list[tuple[int, int, int, float]]:
    """Return (h, k, l, relative intensity) of the first families in order of |g|."""
    reflections = phase.reflections(5.0 / min(phase.cell[:3]))
    if not len(reflections.hkl):
        return []
    length = np.linalg.norm(reflections.g, axis=1).round(4)
    relative = reflections.intensity / reflections.intensity.max()
    # Of a family, the member with the largest indices first, such as 2 2 0 and not -2 0 -2.
    order = np.lexsort((*-reflections.hkl.T[::-1], -relative.round(3), length))
    _, first = np.unique(length[order], return_index=True)
    chosen = order[first[:_FAMILIES]]
    h, k, l = reflections.hkl[chosen].T.tolist()  # noqa: E741
    return list(zip(h, k, l, relative[chosen].tolist(), strict=True))


def _ctf_header(orientation_map: OrientationMap) -> list[str]:
    rows, cols = orientation_map.scan_shape
    down, along = _steps(orientation_map)
    contrasts = "BC is the score" + ("" if orientation_map.certainty is None else ", BS the reliability")
    remark = f"{EULER_FRAME}. {CRYSTAL_FRAME}. {contrasts}, times 255"
    remark += f". {_NO_STEP}" if orientation_map.r_pixel is None else ""
    for said in filter(None, (orientation_map.which_crystal, orientation_map.exploratory)):
        remark += f". {_ascii(said)}"
    return [
        "Channel Text File",
        f"Prj\t{remark}",
        f"Author\t{signature()}",
        "JobMode\tGrid",
        f"XCells\t{cols}",
        f"YCells\t{rows}",
        f"XStep\t{along:.7f}",
        f"YStep\t{down:.7f}",
        "AcqE1\t0.0000",
        "AcqE2\t0.0000",
        "AcqE3\t0.0000",
        "Euler angles refer to Sample Coordinate system (CS0)!\tMag\t0.0000\tCoverage\t100\tDevice\t0\t"
        f"KV\t{_voltage(orientation_map):.4f}\tTiltAngle\t0.0000\tTiltAxis\t0",
        f"Phases\t{len(orientation_map.phases)}",
        *(_ctf_phase(phase) for phase in orientation_map.phases),
        "Phase\tX\tY\tBands\tError\tEuler1\tEuler2\tEuler3\tMAD\tBC\tBS",
    ]


def _voltage(orientation_map: OrientationMap) -> float:
    """Return the voltage in kV; 0, as elsewhere in the header, where nobody told it."""
    return float(orientation_map.provenance.get("calibration", {}).get("voltage") or 0.0)


def _ctf_phase(phase: Phase) -> str:
    lengths = ";".join(f"{value:.4f}" for value in phase.cell[:3])
    angles = ";".join(f"{value:.4f}" for value in phase.cell[3:])
    name = _plain(phase.name)
    return (
        f"{lengths}\t{angles}\t{name}\t{laue_class(phase).channel}\t{phase.space_group}\t\t\t{CRYSTAL_FRAME}"
    )


def _ascii(text: str) -> str:
    return " ".join(text.encode("ascii", "replace").decode().split())


def _plain(name: str) -> str:
    """Return a name that all readers understand: ASCII, in one line, beginning with a letter or figure."""
    ascii_name = " ".join(name.encode("ascii", "ignore").decode().split())
    return ascii_name.lstrip("([{<#-_.,;: ") or "unnamed"


ANG = Export("EDAX TSL text", ".ang", save_ang, "MTEX, orix, OIM")
CTF = Export("Channel text file", ".ctf", save_ctf, "MTEX, orix, AZtec")

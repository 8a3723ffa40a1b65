"""Which files can say how symmetry axes lie: most keep the name of a symmetry, and their readers presume the axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.crystals.laue import B_TO_Z, is_hexagonal, to_standard
from napari_4dstem_orient.crystals.phase import Phase


def check_axes(phases: Sequence[Phase], path: str | Path, kind: str) -> None:
    """Refuse to write crystals whose symmetry axes every reader would put elsewhere.

    Parameters
    ----------
    phases : sequence of Phase
    path : path
        For the message.
    kind : str
        ``".ang"``, ``".ctf"`` or ``"_orix.h5"``.

    Raises
    ------
    UserError
        Naming the crystal and the files that hold all of them.
    """
    for phase in phases:
        if not _HOLDS[kind](phase):
            others = [name for name, holds in _HOLDS.items() if all(map(holds, phases))]
            instead = "save " + " or ".join(["the result file (.h5)", *others])
            if not others and not is_hexagonal(phase):
                instead += ", or index again with a CIF on conventional axes"
            raise UserError(
                f"Cannot write {path}: {kind} files keep the name of a symmetry, not its axes, and those of "
                f"{phase.name} are not where readers put them; {instead}."
            )


def _on_standard_axes(phase: Phase) -> bool:
    """Tell whether the principal axis is c and twofold axes lie along a: what all presume, whatever they say of axes.

    Not so for -31m, whose twofold axes are at right angles to a, for monoclinic crystals with a or b unique, and for
    rhombohedral or primitive cells.
    """
    return np.allclose(to_standard(phase), np.eye(3), atol=1e-3)


def _in_ang(phase: Phase) -> bool:
    # The format's usual monoclinic symmetry, 20, is that with b unique.
    if _is_monoclinic(phase):
        return np.allclose(to_standard(phase), B_TO_Z, atol=1e-3)
    return _on_standard_axes(phase)


def _in_orix(phase: Phase) -> bool:
    from orix.crystal_map import Phase as OrixPhase

    theirs = phase.to_orix()
    if theirs.space_group is None:
        return False
    try:
        OrixPhase(point_group=theirs.point_group.name)
    except ValueError:  # orix 0.15 does not find its own group "m" by name
        return False
    return True


def _is_monoclinic(phase: Phase) -> bool:
    return 3 <= phase.space_group <= 15


_HOLDS: dict[str, Callable[[Phase], bool]] = {
    ".ang": _in_ang,
    ".ctf": _on_standard_axes,
    "_orix.h5": _in_orix,
}

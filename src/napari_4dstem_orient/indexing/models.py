"""Which models there are, and which of them fit a scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.resource_files import resource
from napari_4dstem_orient.core.units import electron_wavelength
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.transformer.checkpoint import Model, ModelCard, load_model, read_card

CURVATURE_TOLERANCE = 0.06
"""Relative, of the Ewald sphere's curvature on the crystal's own scale."""

PRECESSION_TOLERANCE = 0.3
"""Degrees."""

SHAPE_TOLERANCE = 0.01
"""Relative, of the reflections' lengths when crystals of one structure are compared."""


@dataclass(frozen=True, eq=False)
class AvailableModel:
    """A model file and its card."""

    path: Path
    card: ModelCard


@dataclass(frozen=True, eq=False)
class Use:
    """A model file and the crystals it is used for, in the order of its card."""

    path: Path
    phases: tuple[Phase, ...]

    def load(self, voltage: float, precession: float) -> Model:
        """Read the model and fit it to its crystals and the beam."""
        return fitted(load_model(self.path), self.phases, voltage, precession)


def fitted(model: Model, phases: Sequence[Phase], voltage: float, precession: float) -> Model:
    """Return a model for the given crystals and beam; those of its own card cost nothing."""
    card = model.card
    same_beam = abs(card.voltage - voltage) < 0.5 and abs(card.precession - precession) < 0.05
    own = all(crystal.same_crystal(phase) for crystal, phase in zip(card.crystals, phases, strict=True))
    return model if same_beam and own else model.of_crystals(phases, voltage, precession)


def list_models(*folders: str | Path) -> list[AvailableModel]:
    """Return the bundled models and those in further folders; files that are no models are passed over."""
    found = []
    for folder in (resource("models"), *map(Path, folders)):
        for path in sorted(folder.glob("*.safetensors")):
            try:
                found.append(AvailableModel(path, read_card(path)))
            except UserError:
                continue
    return found


def why_not(
    card: ModelCard,
    phases: Sequence[Phase],
    voltage: float | None,
    reach: float | None,
    precession: float = 0.0,
) -> str | None:
    """Say why a model does not fit, or return None if it does.

    A model fits by crystal structure (never by name), by the Ewald sphere's curvature on the crystal's scale (that
    is, voltage and cell), by k range and by precession.

    Parameters
    ----------
    card : ModelCard
    phases : sequence of Phase
        The crystals looked for; the model must know at least one of them and no other.
    voltage : float or None
        kV of the scan.
    reach : float or None
        Å⁻¹ up to which the scan's detector sees every direction.
    precession : float
        Half-angle in degrees.
    """
    misfit = _misfit(card, phases, voltage, reach, precession)
    return None if misfit is None else misfit.text


class _Misfit(NamedTuple):
    """Why a model does not fit.

    Attributes
    ----------
    passed : int
        What fits all the same: 0 nothing, 1 the crystal, 2 also the voltage is known, 3 and fits, 4 and the k range.
    off : float
        How far off it is in what does not.
    text : str
    """

    passed: int
    off: float
    text: str

    @property
    def nearness(self) -> tuple[int, float]:
        """Larger for a model that comes nearer."""
        return self.passed, -self.off


def _misfit(
    card: ModelCard,
    phases: Sequence[Phase],
    voltage: float | None,
    reach: float | None,
    precession: float,
) -> _Misfit | None:
    """See ``why_not``."""
    used = _users(card, phases)
    for crystal, users in zip(card.crystals, used, strict=True):
        if not users:
            wanted = ", ".join(phase.name for phase in phases) or "none"
            trained = f"{crystal.name} (a = {crystal.cell[0]:.3f} Å)"
            return _Misfit(0, 0.0, f"it was trained for {trained}, another crystal than {wanted}")
    if voltage is None:
        return _Misfit(1, 0.0, "the scan's voltage is unknown")
    misfits = [_misfit_of_beam(card, phase, voltage, reach, precession) for phase in used[0]]
    wrong = [misfit for misfit in misfits if misfit is not None]
    return max(wrong, key=lambda misfit: misfit.nearness) if len(wrong) == len(misfits) else None


def _misfit_of_beam(
    card: ModelCard, phase: Phase, voltage: float, reach: float | None, precession: float
) -> _Misfit | None:
    """Say why a model does not fit a crystal of its (first) phase's structure, or return None."""
    beams = [condition for conditions in card.conditions for condition in conditions]
    trained = [electron_wavelength(kv) * crystal.nearest for crystal, kv, _, _ in beams]
    curvature = electron_wavelength(voltage) * phase.nearest
    least, most = (1 - CURVATURE_TOLERANCE) * min(trained), (1 + CURVATURE_TOLERANCE) * max(trained)
    if not least <= curvature <= most:
        voltages = [kv for _, kv, _, _ in beams]
        off = max(least / curvature, curvature / most)
        if min(voltages) <= voltage <= max(voltages):  # it is the crystal that is too large or too small
            nearest = _range(least / electron_wavelength(voltage), most / electron_wavelength(voltage), ".3g")
            expected = f"at {voltage:g} kV it expects the first reflection at {nearest} Å⁻¹"
            return _Misfit(2, off, f"{expected}, that of {phase.name} lies at {phase.nearest:.3g} Å⁻¹")
        known = _range(min(voltages), max(voltages), ".0f")
        return _Misfit(2, off, f"it was trained for {known} kV, the scan was taken at {voltage:g} kV")
    k_max = card.k_max * card.crystals[0].stretch_to(phase)
    if reach is not None and reach < 0.5 * k_max:
        text = f"it expects disks up to {k_max:.3g} Å⁻¹, the detector only reaches {reach:.2g} Å⁻¹"
        return _Misfit(3, k_max / max(reach, 1e-6), text)
    cones = [cone for _, _, cone, _ in beams]
    off = max(min(cones) - precession, precession - max(cones))
    if off > PRECESSION_TOLERANCE:
        known = f"up to {max(cones):g}°" if precession > max(cones) else f"at least {min(cones):g}°"
        return _Misfit(4, off, f"it was trained for {known} precession, the scan has {precession:g}°")
    return None


def _range(least: float, most: float, style: str) -> str:
    return " to ".join(dict.fromkeys((format(least, style), format(most, style))))


_UNKNOWN = _Misfit(0, 0.0, "none was trained for such a crystal")


@dataclass(frozen=True, eq=False)
class Choice:
    """Which models serve a job's phases.

    Attributes
    ----------
    uses : tuple of Use
    others : tuple of Phase
        The phases that no model serves; templates propose for them.
    reasons : tuple of str
        For each of those, why the model that comes nearest does not fit.
    """

    uses: tuple[Use, ...] = ()
    others: tuple[Phase, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """Which phases no model serves, and why, in words; empty if each is served."""
        names: dict[str, list[str]] = {}
        for phase, reason in zip(self.others, self.reasons, strict=True):
            names.setdefault(reason, []).append(phase.name)
        return "; ".join(f"{' and '.join(each)}: {reason}" for reason, each in names.items())


def choose_models(
    available: Sequence[AvailableModel],
    phases: Sequence[Phase],
    voltage: float | None,
    reach: float | None = None,
    precession: float = 0.0,
) -> Choice:
    """Return the fewest fitting models that know all phases for which there is one.

    Parameters
    ----------
    available : sequence of AvailableModel
    phases, voltage, reach, precession
        See ``why_not``.
    """
    candidates = sorted(available, key=lambda model: (-len(model.card.phases), len(model.card.others)))
    chosen: list[Use] = []
    missing: list[tuple[Phase, str]] = []
    for phase in phases:
        if any(phase is known for use in chosen for known in use.phases):
            continue
        knowing = [model for model in candidates if _knows(model.card, phase)]
        looked_for = [phases if len(model.card.phases) > 1 else [phase] for model in knowing]
        misfits = [
            _misfit(model.card, wanted, voltage, reach, precession)
            for model, wanted in zip(knowing, looked_for, strict=True)
        ]
        if None in misfits:
            model = knowing[misfits.index(None)]
            users = _users(model.card, phases)
            chosen.append(Use(model.path, (phase,) if len(users) == 1 else tuple(own[0] for own in users)))
        else:
            nearest = max(filter(None, misfits), key=lambda misfit: misfit.nearness, default=_UNKNOWN)
            missing.append((phase, nearest.text))
    return Choice(tuple(chosen), *_columns(missing))


def _columns(missing: Sequence[tuple[Phase, str]]) -> tuple[tuple[Phase, ...], tuple[str, ...]]:
    return tuple(phase for phase, _ in missing), tuple(reason for _, reason in missing)


def named_models(
    paths: Sequence[str | Path],
    phases: Sequence[Phase],
    voltage: float | None,
    reach: float | None = None,
    precession: float = 0.0,
) -> Choice:
    """Return how the named model files serve the phases, each by the first that knows it, or raise what does not fit.

    Raises
    ------
    UserError
        One does not fit (see ``why_not``).
    """
    for path in paths:
        if reason := why_not(read_card(path), phases, voltage, reach, precession):
            raise UserError(f"The model {path} does not fit: {reason}.")
    uses: list[Use] = []
    for path in paths:
        users = _users(read_card(path), phases)
        new = [
            [phase for phase in own if all(phase is not p for u in uses for p in u.phases)] for own in users
        ]
        if len(users) == 1:
            uses += [Use(Path(path), (phase,)) for phase in new[0]]
        elif any(new):
            uses.append(Use(Path(path), tuple(own[0] for own in users)))
    served = [phase for use in uses for phase in use.phases]
    left = [phase for phase in phases if all(phase is not other for other in served)]
    return Choice(tuple(uses), *_columns([(phase, "no model that is named knows it") for phase in left]))


def _users(card: ModelCard, phases: Sequence[Phase]) -> list[list[Phase]]:
    """Return, for each phase of a model, the crystals that it serves."""
    if len(card.phases) > 1:
        return [[phase for phase in phases if crystal.same_crystal(phase)] for crystal in card.crystals]
    return [[phase for phase in phases if _knows(card, phase)]]


def _knows(card: ModelCard, phase: Phase) -> bool:
    if any(crystal.same_crystal(phase) for crystal in card.crystals):
        return True
    known = [crystal for crystal, _, _, _ in card.conditions[0]]
    return len(card.phases) == 1 and any(same_structure(crystal, phase) for crystal in known)


def same_structure(one: Phase, other: Phase) -> bool:
    """Tell whether two crystals of one element each differ in size only, such as Cu and Ag."""
    if len(set(one.numbers)) > 1 or len(set(other.numbers)) > 1 or len(one.numbers) != len(other.numbers):
        return False
    if one.space_group != other.space_group or not np.allclose(one.cell[3:], other.cell[3:], atol=0.5):
        return False
    lengths = [_relative_lengths(phase) for phase in (one, other)]
    count = min(map(len, lengths))
    return np.allclose(lengths[0][:count], lengths[1][:count], rtol=SHAPE_TOLERANCE)


def _relative_lengths(phase: Phase) -> np.ndarray:
    """Return the lengths of the nearest reflections in units of the shortest one's, ascending."""
    nearest = phase.nearest
    length = np.sort(np.linalg.norm(phase.reflections(2.6 * nearest).g, axis=1))
    return length[length < 2.4 * nearest] / nearest

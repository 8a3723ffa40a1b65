"""Two answers to the same scan side by side: where they differ, how well each explains the disks, where both do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.inputs import inputs_of
from napari_4dstem_orient.core.orientation_map import why_exploratory
from napari_4dstem_orient.core.parameters import parameter
from napari_4dstem_orient.core.progress import Progress, going_on, silent
from napari_4dstem_orient.crystals.misorientation import misorientation

if TYPE_CHECKING:
    import pandas as pd

    from napari_4dstem_orient.core.bragg_disks import BraggDisks
    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.core.scan import Calibration
    from napari_4dstem_orient.indexing.settings import TemplateSettings

SCORE, SPARSE, OVERLAP = "score", "sparse correlation", "Q"
"""Measures of how well an answer explains a pattern's disks: that of the map, and the publication's two."""
LISTED = 200
"""Positions, at most, in a list of those where the maps differ."""


class Agreement(IntEnum):
    """What two answers to one scan position have to do with each other."""

    SAME_PHASE = 0
    OTHER_PHASE = 1
    ONLY_FIRST = 2
    ONLY_SECOND = 3
    NEITHER = 4


@dataclass(frozen=True)
class DomainSettings:
    """Which positions belong to highly correlated domains."""

    tolerance: Annotated[
        float,
        parameter(
            "Agree within",
            "Misorientation up to which both answers count as the same.",
            "°",
            min=0.1,
            max=30.0,
            step=0.5,
        ),
    ] = 5.0
    percentile: Annotated[
        float,
        parameter(
            "Correlate above",
            "Both answers' similarity must reach this percentile of all answers of both methods.",
            "percentile",
            min=0.0,
            max=100.0,
            step=5.0,
        ),
    ] = 50.0


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two maps of one scan compared.

    Attributes
    ----------
    names : (str, str)
        What the two are called.
    maps : (OrientationMap, OrientationMap)
    agreement : ndarray, uint8, shape (scan_y, scan_x)
        An ``Agreement`` for each position.
    angle : ndarray, float32, shape (scan_y, scan_x)
        Symmetry-reduced misorientation in degrees; NaN unless both answers name the same phase.
    similarity : dict of str to ndarray, float32, shape (2, scan_y, scan_x)
        Of the first and the second map's answers by measure; NaN where there is no answer.
    """

    names: tuple[str, str]
    maps: tuple[OrientationMap, OrientationMap]
    agreement: np.ndarray
    angle: np.ndarray
    similarity: dict[str, np.ndarray]

    @property
    def steps(self) -> tuple[float, float] | None:
        """Scan steps in nm down the rows and along them, where known."""
        return self.maps[0].steps or self.maps[1].steps

    @property
    def exploratory(self) -> str:
        """Why the comparison is for a first look only; empty where neither map is."""
        return why_exploratory(self.provenance)

    @property
    def provenance(self) -> dict[str, Any]:
        """What made both maps, by name, as plain JSON values; and why either is exploratory."""
        told = {name: found.provenance for name, found in zip(self.names, self.maps, strict=True)}
        reasons = [why for each in told.values() for why in each.get("exploratory") or ()]
        return {**told, "exploratory": list(dict.fromkeys(reasons))}

    def difference(self, measure: str) -> np.ndarray:
        """Return the first map's similarity less the second's, shape (scan_y, scan_x); NaN unless both have one."""
        first, second = self.similarity[measure]
        return first - second

    def worst(self, measure: str, worse: int) -> np.ndarray:
        """Return positions where one answer is worse than the other, by its lag in a measure.

        Parameters
        ----------
        measure : str
        worse : {0, 1}
            Which of the two maps shall be the worse one.

        Returns
        -------
        ndarray of int, shape (n, 2)
            Rows and columns, worst first; ``LISTED`` at most.
        """
        lag = self.difference(measure) * (1 if worse else -1)
        return _highest(np.where(lag > 0, lag, np.nan))

    def farthest(self) -> np.ndarray:
        """Return rows and columns of the positions with the largest misorientation, shape (n, 2)."""
        return _highest(self.angle)

    def domains(self, measure: str, settings: DomainSettings | None = None) -> np.ndarray:
        """Give numbers to the connected domains in which both answers agree and both correlate highly.

        The publication shows such domains without saying from which values on; here these are settings.

        Returns
        -------
        ndarray, int32, shape (scan_y, scan_x)
            0 outside, else the number of the domain (neighbours along rows and columns are connected).
        """
        from scipy.ndimage import label

        settings = settings or DomainSettings()
        values = self.similarity[measure]
        known = values[np.isfinite(values)]
        if not known.size:
            return np.zeros(self.angle.shape, np.int32)
        high = (values >= np.percentile(known, settings.percentile)).all(axis=0)
        with np.errstate(invalid="ignore"):
            numbered, _ = label(high & (self.angle <= settings.tolerance))
        return np.asarray(numbered, np.int32)

    def table(self, domains: np.ndarray | None = None) -> pd.DataFrame:
        """Return one line for each scan position, row-major."""
        import pandas as pd

        rows, cols = np.indices(self.angle.shape)
        columns = {"row": rows, "column": cols}
        if self.steps is not None:
            columns |= {"y_nm": rows * self.steps[0], "x_nm": cols * self.steps[1]}
        columns["agreement"] = np.array([kind.name.lower() for kind in Agreement])[self.agreement]
        for name, found in zip(self.names, self.maps, strict=True):
            phases = np.array([*(phase.name for phase in found.phases), "not indexed"])
            columns[f"phase_{name}"] = phases[found.phase_id]  # -1 is the last
        columns["misorientation_deg"] = self.angle
        for measure, values in self.similarity.items():
            for name, value in zip(self.names, values, strict=True):
                columns[f"{measure.replace(' ', '_')}_{name}"] = value
        if domains is not None:
            columns["domain"] = domains
        return pd.DataFrame({name: values.ravel() for name, values in columns.items()})

    def save_table(self, path: str | Path, domains: np.ndarray | None = None) -> None:
        """Write ``table`` as CSV; where the maps are exploratory, a first line that begins with ``#`` says why.

        Raises
        ------
        UserError
            The file cannot be written.
        """
        from napari_4dstem_orient.core.atomic import writing

        inputs = inputs_of(self.provenance)
        with (
            writing(path, inputs=inputs) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            file.write(f"# {self.exploratory}\n" if self.exploratory else "")
            self.table(domains).to_csv(file, index=False, float_format="%.6g")


def compare_maps(
    first: OrientationMap,
    second: OrientationMap,
    disks: BraggDisks | None = None,
    calibration: Calibration | None = None,
    *,
    template: TemplateSettings | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> Comparison:
    """Compare two answers to the same scan.

    Parameters
    ----------
    first, second : OrientationMap
        Of the same scan, such as the transformer's and template matching's.
    disks : BraggDisks, optional
        The scan's calibrated disks; without them, or without a voltage, the maps' own scores are all there is.
    calibration : Calibration, optional
        Its voltage and precession make the predicted patterns.
    template : TemplateSettings, optional
        Of the sparse correlation.
    device : str
    progress : Progress
        Called with answers compared with their patterns, and all of them.

    Raises
    ------
    UserError
        The maps, or the disks, are of scans of different shapes.
    """
    shapes = {found.scan_shape for found in (first, second, disks) if found is not None}
    if len(shapes) > 1:
        told = " and ".join(f"{rows} × {cols}" for rows, cols in sorted(shapes))
        raise UserError(f"Scans of {told} positions cannot be compared; map the same scan by both methods.")
    names = (first.method, second.method) if first.method != second.method else ("first", "second")
    agreement, angle = _differences(first, second)
    score = [np.where(found.indexed, found.score, np.nan) for found in (first, second)]
    made = Comparison(names, (first, second), agreement, angle, {SCORE: np.array(score, np.float32)})
    if disks is None or calibration is None or calibration.voltage is None:
        return made
    found = _similarities(made, disks, calibration, template, device, progress)
    return replace(made, similarity={SPARSE: found[0], OVERLAP: found[1]} | made.similarity)


def _differences(first: OrientationMap, second: OrientationMap) -> tuple[np.ndarray, np.ndarray]:
    """Return agreement and misorientation of every position."""
    agreement = np.full(first.scan_shape, Agreement.OTHER_PHASE, np.uint8)
    agreement[~first.indexed] = Agreement.ONLY_SECOND
    agreement[~second.indexed] = Agreement.ONLY_FIRST
    agreement[~first.indexed & ~second.indexed] = Agreement.NEITHER
    angle = np.full(first.scan_shape, np.nan, np.float32)
    for one, phase in enumerate(first.phases):
        for two, other in enumerate(second.phases):
            if phase is not other and not phase.same_crystal(other):
                continue
            here = (first.phase_id == one) & (second.phase_id == two)
            agreement[here] = Agreement.SAME_PHASE
            angle[here] = misorientation(first.rotation[here], second.rotation[here], phase)
    return agreement, angle


def _similarities(
    made: Comparison,
    disks: BraggDisks,
    calibration: Calibration,
    template: TemplateSettings | None,
    device: str,
    progress: Progress,
) -> np.ndarray:
    """Return sparse correlation and Q of both maps' answers, shape (2, 2, scan_y, scan_x): measure, then map."""
    from napari_4dstem_orient.core.devices import choose_device
    from napari_4dstem_orient.crystals.kinematic import Reflector
    from napari_4dstem_orient.indexing.base import reach_of
    from napari_4dstem_orient.indexing.methods import FARTHEST
    from napari_4dstem_orient.indexing.similarity import similarities

    assert calibration.voltage is not None
    reach = reach_of(disks, FARTHEST)
    chosen = choose_device(device)
    total, before = sum(int(found.indexed.sum()) for found in made.maps), 0
    values = np.full((2, 2, *disks.scan_shape), np.nan, np.float32)
    for which, found in enumerate(made.maps):
        for number, phase in enumerate(found.phases):
            here = found.phase_id == number
            reflector = Reflector.of(phase, calibration.voltage, reach, calibration.precession, chosen)
            tell = going_on(progress, before, total)
            both = similarities(disks, found.rotation, here, reflector, reach, template, tell)
            for measure in range(2):
                values[measure, which][here] = both[measure][here]
            before += int(here.sum())
    return values


def _highest(values: np.ndarray) -> np.ndarray:
    flat = np.where(np.isfinite(values), values, -np.inf).ravel()
    order = np.argsort(-flat, kind="stable")[:LISTED]
    order = order[np.isfinite(flat[order])]
    return np.stack(np.unravel_index(order, values.shape), axis=1)

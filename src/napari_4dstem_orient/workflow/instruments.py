"""Named instruments: what is the same for every scan of a microscope, remembered for the next one.

Each is a JSON file in the folder where the operating system keeps a program's settings; it may come from anywhere.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_4dstem_orient.core.atomic import make_folder, write
from napari_4dstem_orient.core.distortion import Distortion, ratio_and_axis
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.parameters import from_plain
from napari_4dstem_orient.core.reading import reading

if TYPE_CHECKING:
    from napari_4dstem_orient.core.scan import Calibration

NAME = re.compile(r"[\w(][\w .,()+-]{0,59}")
"""Names that are file names on every system."""
SAME = 0.02
"""Relative difference up to which two values are of the same settings."""
LARGEST = 2**16
"""Bytes; no instrument's file is larger."""


@dataclass(frozen=True)
class Instrument:
    """A microscope with its detector at one camera length.

    Attributes
    ----------
    voltage, q_pixel, semiangle, precession, rotation, flip, distortion
        As of ``Calibration``. The pixel size is that of a detector of this shape.
    rotation_known : bool
        Whether rotation and flip were known.
    detector_shape : (int, int) or None
        Pixels along its rows and columns.
    probe_radius : float or None
        Of a disk, in px of such a detector.
    """

    voltage: float | None = None
    q_pixel: float | None = None
    semiangle: float | None = None
    precession: float = 0.0
    rotation: float = 0.0
    flip: bool = False
    rotation_known: bool = False
    distortion: Distortion = (0.0, 0.0)
    detector_shape: tuple[int, int] | None = None
    probe_radius: float | None = None

    @classmethod
    def of(
        cls,
        known: Calibration,
        detector_shape: tuple[int, int] | None = None,
        probe_radius: float | None = None,
    ) -> Instrument:
        """Return the instrument that a calibration tells of."""
        told = {item.name: getattr(known, item.name) for item in fields(cls) if hasattr(known, item.name)}
        return cls(
            **told,
            rotation_known=known.rotation_is_known,
            detector_shape=detector_shape,
            probe_radius=probe_radius,
        )

    def suits(self, detector_shape: tuple[int, int] | None) -> bool:
        """Tell whether what is counted in detector pixels holds for a detector of this shape."""
        return None in (self.detector_shape, detector_shape) or self.detector_shape == detector_shape

    def contradicts(self, known: Calibration, detector_shape: tuple[int, int] | None = None) -> bool:
        """Tell whether a scan with this calibration was taken with other settings."""
        pairs = [(self.voltage, known.voltage), (self.semiangle, known.semiangle)]
        pairs += [(self.q_pixel, known.q_pixel)] if self.suits(detector_shape) else []
        return any(mine and theirs and abs(mine / theirs - 1) > SAME for mine, theirs in pairs)

    def news(self, known: Calibration, detector_shape: tuple[int, int] | None = None) -> dict[str, Any]:
        """Return the fields of a calibration that are not known yet and this instrument tells; never others.

        Parameters
        ----------
        known : Calibration
        detector_shape : (int, int), optional
            Of the scan: the pixel size and the ellipse are told of a detector of the same shape only.
        """
        alike = self.suits(detector_shape)
        told = {
            name: getattr(self, name) for name in ("voltage", "semiangle", *(("q_pixel",) if alike else ()))
        }
        found = {name: value for name, value in told.items() if value and getattr(known, name) is None}
        if "q_pixel" in found:
            found["q_pixel_from"] = "instrument"
        if not known.precession and self.precession:
            found["precession"] = self.precession
        turned = self.rotation_known or self.rotation or self.flip  # older files tell only the numbers
        if turned and not known.rotation_is_known:
            found |= {"rotation": self.rotation, "flip": self.flip, "rotation_from": "instrument"}
        if alike and known.distortion == (0.0, 0.0) != self.distortion:
            found["distortion"] = self.distortion
        return found


def in_words(news: dict[str, Any]) -> str:
    """Say what an instrument would set, such as ``"voltage 300 kV, pixel 0.0328 Å⁻¹"``."""
    units = {
        "voltage": ("voltage", "kV"),
        "q_pixel": ("pixel", "Å⁻¹"),
        "semiangle": ("semiangle", "mrad"),
        "precession": ("precession", "°"),
        "rotation": ("rotation", "°"),
    }
    told = [f"{word} {news[name]:.5g} {unit}" for name, (word, unit) in units.items() if name in news]
    told += ["flip"] if news.get("flip") else []
    if "distortion" in news:
        told.append(f"ellipse {ratio_and_axis(news['distortion'])[0]:.4g}")
    return ", ".join(told)


def folder() -> Path:
    """Return where instruments are kept; the folder need not exist."""
    import typer

    return Path(typer.get_app_dir("napari-4dstem-orient")) / "instruments"


def names() -> list[str]:
    """Return the names of all instruments, that which was saved last first."""
    files = [file for file in folder().glob("*.json") if NAME.fullmatch(file.stem)]
    return [file.stem for file in sorted(files, key=lambda file: -file.stat().st_mtime)]


def save_instrument(name: str, instrument: Instrument) -> None:
    """Keep an instrument under a name, in place of a former one.

    Raises
    ------
    UserError
        The name cannot be a file's, or the folder cannot be written to.
    """
    name = name.strip()
    if not NAME.fullmatch(name) or name.endswith("."):
        raise UserError(
            f"An instrument cannot be called {name!r}; give up to 60 letters, digits, spaces and .,()+-, such as "
            "'Titan 300 kV CL 115'."
        )
    write(make_folder(folder()) / f"{name}.json", json.dumps(asdict(instrument), indent=1))


def find_instrument(name: str) -> Instrument:
    """Return the instrument of a name.

    Raises
    ------
    UserError
        There is none, or its file cannot be read.
    """
    if name not in names():
        there = ", ".join(names()) or "none yet: save one in the window"
        raise UserError(f"There is no instrument {name!r}; there are {there}.")
    from napari_4dstem_orient.core.scan import Calibration

    with reading(folder() / f"{name}.json", "an instrument") as path:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise ValueError("it is too large")
        found = from_plain(Instrument, json.loads(text))
        Calibration(**found.news(Calibration()))  # within range
        return found

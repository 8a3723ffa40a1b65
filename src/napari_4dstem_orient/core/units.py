"""The many spellings of reciprocal and real lengths in files, and what they are in Å⁻¹, nm and kV."""

from __future__ import annotations

import codecs
import math
import re
import unicodedata
from typing import Any

from napari_4dstem_orient.core import scan
from napari_4dstem_orient.core.errors import UserError

_ANGSTROM_PER = {
    **dict.fromkeys(("a", "aa", "ang", "angstrom"), 1),
    **dict.fromkeys(("nm", "nanometer"), 10),
    **dict.fromkeys(("pm", "picometer"), 0.01),
    **dict.fromkeys(("um", "micrometer", "micron"), 1e4),
    **dict.fromkeys(("mm", "millimeter"), 1e7),
    **dict.fromkeys(("m", "meter"), 1e10),
}
_RAD_PER = {
    **dict.fromkeys(("rad", "radian"), 1.0),
    **dict.fromkeys(("mrad", "milliradian"), 1e-3),
    **dict.fromkeys(("urad", "microradian"), 1e-6),
    **dict.fromkeys(("deg", "degree", "°"), math.pi / 180),
}
_NO_UNIT = ("", "undefined", "none", "px", "pixel", "1", "au", "a.u.")


def electron_wavelength(voltage: float) -> float:
    """Return the relativistic electron wavelength in Å for an accelerating voltage in kV.

    λ = h / √(2 m eV (1 + eV / 2mc²)) (D. B. Williams and C. B. Carter, Transmission Electron Microscopy, 2009, eq.
    1.6).
    """
    from scipy.constants import c, e, h, m_e

    energy = e * voltage * 1e3
    return h / math.sqrt(2 * m_e * energy * (1 + energy / (2 * m_e * c**2))) * 1e10


def reciprocal_pixel(size: Any, units: Any, voltage: float | None) -> float | None:
    """Return a detector pixel's size in Å⁻¹, or None where size or units do not say.

    Parameters
    ----------
    size : number
        As the file has it.
    units : str
        ``A^-1``, ``1/nm``, ``nm⁻¹``, ``mrad``, ... . Lengths (``nm``) and ``px`` are not reciprocal sizes.
    voltage : float or None
        In kV; angles need it.
    """
    number, name = positive(size), _plain(units)
    if number is None:
        return None
    if name in _RAD_PER:
        return number * _RAD_PER[name] / electron_wavelength(voltage) if voltage else None
    inverse = re.fullmatch(r"(?:1?/|reciprocal|inverse|per)(\w+)|(\w+?)\^?-1", name)
    length = _ANGSTROM_PER.get(_singular(inverse[1] or inverse[2])) if inverse else None
    return number / length if length else None


def scan_step(size: Any, units: Any) -> float | None:
    """Return a scan step in nm, or None where size or units do not say."""
    number, length = positive(size), _ANGSTROM_PER.get(_plain(units))
    return number * length / 10 if number is not None and length else None


def is_unit(units: Any) -> bool:
    """Whether a unit is meant, known or not; pixels are none."""
    return _plain(units) not in _NO_UNIT


def is_angle(units: Any) -> bool:
    """Whether a unit is an angle's."""
    return _plain(units) in _RAD_PER


def kilovolts(value: Any) -> float | None:
    """Return a voltage in kV from a number in V or kV, or ``"200 kV"``; None where no electron microscope has it."""
    number = positive(re.sub(r"\s*k?V\s*$", "", text(value), flags=re.IGNORECASE))
    return None if number is None else scan.kilovolts(number)


def text(value: Any) -> str:
    """Return what a file holds as a string: bytes and 0-d arrays decoded, None as nothing."""
    value = value.item() if hasattr(value, "item") and getattr(value, "size", 1) == 1 else value
    return "" if value is None else decoded(value) if isinstance(value, bytes) else str(value)


def decoded(content: bytes) -> str:
    """Return the text of a file: UTF-16 with its mark, UTF-8, or Latin-1, as programs on Windows write it."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def shape_text(shape: tuple[int, ...]) -> str:
    """Return ``256 × 256`` for (256, 256)."""
    return " × ".join(str(size) for size in shape)


def parse_shape(value: Any) -> tuple[int, int]:
    """Return (rows, columns) from a pair or from text such as ``256x128``.

    Raises
    ------
    UserError
        Not two positive whole numbers.
    """
    parts = value.lower().replace("×", "x").replace(",", "x").split("x") if isinstance(value, str) else value
    try:
        rows, cols = (int(part) for part in parts)
        if rows > 0 and cols > 0:
            return rows, cols
    except (TypeError, ValueError):
        pass
    raise UserError(f"The scan shape {value} is not rows x columns; write for example 256x256.")


def finite(value: Any) -> float | None:
    """Return a number of any type, one entry of an array or a word with a decimal comma; None for anything else."""
    try:
        number = float(text(value).replace(",", "."))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def positive(value: Any) -> float | None:
    """Return a number above zero as ``finite`` reads it; else None."""
    number = finite(value)
    return number if number is not None and number > 0 else None


def whether(value: Any) -> bool:
    """Return what a file means by yes or no: True, 1, ``"True"``."""
    return text(value).strip().lower() in ("true", "yes") or bool(finite(value))


def _plain(units: Any) -> str:
    """Reduce a unit's spelling: ``[1/Å]``, ``A⁻¹``, ``$A^{-1}$``, ``Å**-1`` become ``a^-1`` or ``1/a``."""
    name = unicodedata.normalize("NFKC", text(units).replace("⁻", "^-")).replace("**", "^")
    name = re.sub("[−–]", "-", re.sub("[µμ]", "u", re.sub("[Åå]", "A", name)))
    name = "".join(letter for letter in name if letter not in "[]{}()<>$_ \\").lower()
    name = re.sub("angstr[oöø]m", "angstrom", name).replace("metre", "meter")
    return _singular(name)


def _singular(name: str) -> str:
    """Return the word without the s of a plural, which no unit here ends in."""
    return re.sub(r"(?<=\w\w)s(?=\W|$)", "", name)

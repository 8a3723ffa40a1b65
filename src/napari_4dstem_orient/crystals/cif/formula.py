"""Chemical formulas: how many atoms of each element there are."""

from __future__ import annotations

import math
import re

Formula = dict[str, float]
"""Numbers of atoms, by the symbols of their elements."""

_SYMBOLS = (
    "Fr Cs K Rb Ba Ra Na Sr Li Ca Ac La Tb Yb Ce Pm Pr Nd Sm Eu Gd Dy Y Ho Er Tm Lu Pu Am Bk Cf Cm Hf Th Mg Zr Np Sc "
    "U Pa Ta Ti Mn Be Nb Al Tl V Zn Cr Cd In Ga Fe Co Cu Re Si Tc Ni Ag Sn Hg Po Ge Bi B Sb Te Mo As P At H Ir Os Pd "
    "Rn Ru Pt Rh Pb W Au C Se S Xe I Br Kr N Cl O F Ar He Ne"
)
ORDER = _SYMBOLS.split()
"""Symbols by Pauling's electronegativity: the order in which a formula names them."""
_TOKEN = re.compile(r"([A-Z][a-z]?)(\d*\.?\d*)|(\()|\)(\d*\.?\d*)")
_HEAVY_HYDROGEN = ("D", "T")


def parse(text: str) -> Formula:
    """Return a formula such as ``Cu2O1`` or ``Ca5(PO4)3F``.

    Raises
    ------
    ValueError
        It is none.
    """
    text = text.translate(str.maketrans("[]{}", "()()"))
    open_groups: list[Formula] = [{}]
    place = 0
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None:
            raise ValueError(f"{text!r} is no formula")
        symbol, count, opened, factor = token.groups()
        if opened:
            open_groups.append({})
        elif symbol:
            symbol = "H" if symbol in _HEAVY_HYDROGEN else symbol
            if symbol not in ORDER:
                raise ValueError(f"{symbol} is no element")
            _add(open_groups[-1], {symbol: float(count or 1)})
        elif len(open_groups) > 1:
            group = open_groups.pop()
            _add(open_groups[-1], times(group, float(factor or 1)))
        else:
            raise ValueError(f"{text!r} closes what is not open")
        place = token.end()
    if len(open_groups) > 1:
        raise ValueError(f"{text!r} opens what is not closed")
    return open_groups[0]


def _add(formula: Formula, more: Formula) -> None:
    for symbol, count in more.items():
        formula[symbol] = formula.get(symbol, 0.0) + count


def times(formula: Formula, factor: float) -> Formula:
    """Return so many times a formula."""
    return {symbol: count * factor for symbol, count in formula.items()}


def smallest(formula: Formula) -> Formula:
    """Return a formula over what its numbers have in common, where they are whole."""
    counts = [round(count) for count in formula.values()]
    if any(abs(count - whole) > 1e-6 for count, whole in zip(formula.values(), counts, strict=True)):
        return formula
    return times(formula, 1 / (math.gcd(*counts) or 1))


def alike(one: Formula, other: Formula) -> bool:
    """Tell whether two formulas are the same to 3 %."""
    pairs = [(one.get(symbol, 0.0), other.get(symbol, 0.0)) for symbol in {*one, *other}]
    return all(abs(a - b) <= 0.02 + 0.03 * (a + b) / 2 for a, b in pairs)


def words(formula: Formula) -> str:
    """Write a formula as CIFs do: ``Cu2 O``."""
    return " ".join(symbol if count == 1 else f"{symbol}{count:g}" for symbol, count in formula.items())


def formula_name(formula: Formula) -> str:
    """Write the smallest formula as chemists do: ``Cu2O``."""
    found = smallest(formula)
    return words({symbol: found[symbol] for symbol in sorted(found, key=ORDER.index)}).replace(" ", "")

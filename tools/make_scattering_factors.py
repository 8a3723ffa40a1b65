"""Write the tables of atomic scattering factors in resources/scattering, as py4DSTEM has them.

python tools/make_scattering_factors.py
"""

from pathlib import Path

import numpy as np
import py4DSTEM
from py4DSTEM.process.diffraction import WK_scattering_factors as theirs

FOLDER = Path(__file__).parents[1] / "resources" / "scattering"
SOURCE = f"From py4DSTEM {py4DSTEM.__version__} (GPL-3.0)."
LOBATO = """\
Electron scattering factors in Angstrom: f(g) = sum of a (2 + b g^2) / (1 + b g^2)^2, g in 1/Angstrom.
I. Lobato and D. Van Dyck, Acta Cryst. A 70 (2014) 636. One line for each element from hydrogen: a, b of five terms.
"""
WEICKENMEIER_KOHL = """\
Electron scattering factors in Angstrom: f(s) = sum of A (1 - exp(-B s^2)) / s^2, s = g / 2, g in 1/Angstrom.
A. Weickenmeier and H. Kohl, Acta Cryst. A 47 (1991) 590. One line for each element from hydrogen: A, B of 4 terms.
"""


def main() -> None:
    """Write both tables."""
    folder = Path(py4DSTEM.__file__).parent / "process" / "utils"
    write("lobato", LOBATO, np.loadtxt(folder / "scattering_factors.txt"))
    terms = np.stack([theirs.WK_A_param, theirs.WK_B_param], axis=2)
    write("weickenmeier_kohl", WEICKENMEIER_KOHL, terms.reshape(len(terms), -1))


def write(name: str, header: str, table: np.ndarray) -> None:
    """Write a table in the fewest digits that say its numbers."""
    lines = (" ".join(repr(float(value)) for value in row) for row in table)
    commented = "".join(f"# {line}\n" for line in (header + SOURCE).splitlines())
    (FOLDER / f"{name}.txt").write_text(commented + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

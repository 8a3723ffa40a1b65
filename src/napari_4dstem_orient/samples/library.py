"""The bundled samples by name."""

from __future__ import annotations

from collections.abc import Callable

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.samples.copper import copper_polycrystal
from napari_4dstem_orient.samples.silver import silver_twins

SAMPLES: dict[str, Callable[[], Scan]] = {
    "Silver twins (SPED)": silver_twins,
    "Copper polycrystal (simulated)": copper_polycrystal,
}
"""Each is the ``title`` in the metadata of its scan."""


def find_sample(name: str) -> Scan:
    """Return a bundled sample.

    Raises
    ------
    UserError
        There is none of that name.
    """
    if name not in SAMPLES:
        raise UserError(f"There is no sample {name!r}; there are {', '.join(SAMPLES)}.")
    return SAMPLES[name]()

"""Print what each dependency is for, its size and its licence: the table of docs/install.md.

python tools/list_dependencies.py    # in an environment with the program; sizes are those on its disk
"""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import Distribution, distribution
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
PURPOSE = {
    "cloudpickle": "sends work to other processes",
    "dask": "arrays that are read when they are needed",
    "defusedxml": "reads the XML of foreign files without following it elsewhere",
    "diffpy.structure": "atoms, as orix wants them",
    "distributed": "several processes or machines",
    "gemmi": "CIF grammar, elements, settings of space groups",
    "h5py": "HDF5 files: results, disks, most scans",
    "hdf5plugin": "compressed detector files",
    "magicgui": "forms from settings",
    "matplotlib": "plots, pictures, colour keys",
    "napari": "the window",
    "npe2": "what the plugin tells napari",
    "numcodecs": "unpacks .zspy",
    "numpy": "arrays",
    "orix": "symmetry, IPF colours, pole figures, its files",
    "pandas": "tables of compared maps",
    "pint": "units, as napari reads them",
    "psutil": "how much memory there is",
    "psygnal": "tells panels what changed",
    "pydantic": "checks settings that come from files",
    "qtpy": "one name for PyQt and PySide",
    "rich": "progress on the command line",
    "rosettasciio": "Velox, TVIPS, Blockfile and other formats",
    "safetensors": "weights of networks, without code in them",
    "scipy": "image filters, fits, rotations",
    "spglib": "finds symmetry",
    "superqt": "sliders and collapsible boxes",
    "tifffile": "TIFF files",
    "torch": "networks, template matching, disk detection",
    "typer": "the command line",
}


def main() -> None:
    """Print the table, dependencies that napari brings anyway last."""
    own = {plain(name) for name in distribution("napari").requires or () if "extra" not in name} | {"napari"}
    print("| dependency | for | MB | licence | napari brings it |\n|---|---|---|---|---|")
    for name in sorted(PURPOSE, key=lambda name: (plain(name) in own, name)):
        found = distribution(name)
        with_napari = "yes" if plain(name) in own - {"napari"} else ""
        print(f"| {name} | {PURPOSE[name]} | {megabytes(found)} | {licence(found)} | {with_napari} |")


def plain(requirement: str) -> str:
    """Return the name in a requirement, as all of its spellings have it."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower().replace("_", "-").replace(".", "-")


def megabytes(found: Distribution) -> str:
    """Return how much of the disk a distribution takes."""
    paths = {Path(str(found.locate_file(file))) for file in found.files or ()}
    size = sum(path.stat().st_size for path in paths if path.is_file()) / 1e6
    return f"{size:.1f}" if size < 10 else f"{size:.0f}"


def licence(found: Distribution) -> str:
    """Return the licence that a distribution declares, in few words."""
    about = found.metadata
    if expression := about.get("License-Expression"):
        first, *others = str(expression).split(" AND ")
        return f"{first} and others" if others else first
    classified = [line for line in about.get_all("Classifier") or () if line.startswith("License ::")]
    said = classified[0].rpartition(":: ")[2] if classified else about.get("License")
    return str(said).split("\n")[0] if said else "in its own words"


if __name__ == "__main__":
    main()

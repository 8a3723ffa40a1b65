"""One line of text about a map."""

from pathlib import Path

from napari_4dstem_orient.core.atomic import writing
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.ours import signature
from napari_4dstem_orient.export.base import Export


def save(orientation_map: OrientationMap, path: Path) -> None:
    indexed = orientation_map.indexed
    with writing(path) as temporary:
        temporary.write_text(f"{signature()}\n{indexed.sum()} of {indexed.size} positions indexed\n")


TOY = Export("A line of text", ".txt", save, "people")

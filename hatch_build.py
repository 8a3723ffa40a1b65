"""Let an editable install find what lies at the top of the repository.

A built wheel gets ``napari.yaml`` and ``resources`` by force-include. An editable install runs from
``src/`` and sees neither, so its package folder gets links to them (git-ignored, and never packed).
"""

import os
import shutil
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

TOP_LEVEL = ("napari.yaml", "resources")


class LinkTopLevelFiles(BuildHookInterface):
    """Link ``TOP_LEVEL`` into the package folder for the editable version of the wheel."""

    def initialize(self, version, build_data):
        """Link, where the wheel is an editable one."""
        if self.target_name != "wheel" or version != "editable":
            return
        for name in TOP_LEVEL:
            link(Path(self.root, name), Path(self.root, "src", "napari_4dstem_orient", name))


def link(target: Path, place: Path) -> None:
    """Make ``place`` lead to ``target``; copy where links are forbidden (Windows without developer mode)."""
    if place.is_symlink() or place.is_file():
        place.unlink()
    elif place.is_dir():
        shutil.rmtree(place)
    try:
        place.symlink_to(os.path.relpath(target, place.parent), target_is_directory=target.is_dir())
    except OSError:
        if target.is_dir():
            shutil.copytree(target, place)
        else:
            shutil.copy2(target, place)

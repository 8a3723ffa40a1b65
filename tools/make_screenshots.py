"""Take the pictures of docs/images on the walk that tests/program/test_walk_through.py tests, in the real samples.

    xvfb-run -a -s "-screen 0 1600x1000x24" python tools/make_screenshots.py
    xvfb-run -a -s "-screen 0 1600x1000x24" python tools/make_screenshots.py --size 1280x800 --theme light --out small

Look at every picture afterwards. At the end it prints for how long the window did not answer.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", default="1600x1000", help="width x height of the window in pixels")
    parser.add_argument("--theme", default="dark", choices=("dark", "light"))
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    width, height = map(int, options.size.split("x"))
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = os.environ["XDG_STATE_HOME"] = (
            home  # no work of the user's, and no path of theirs
        )
        os.environ["NAPARI_CONFIG"] = f"{home}/napari.yaml"
        take_all(options.out.resolve(), width, height, options.theme, home)


def take_all(out: Path, width: int, height: int, theme: str, home: str) -> None:
    """Walk through all chapters in a window of this size and theme."""
    import napari

    from helpers.walk_through.chapters import STORY, Walk
    from helpers.walk_through.hands import settle

    def new_viewer() -> napari.Viewer:
        viewer = napari.Viewer(title="napari-4dstem-orient")
        viewer.theme = theme
        viewer.window.resize(width, height)
        return viewer

    def photograph(name: str) -> None:
        from PIL import Image

        settle()
        shot = walk.viewer.screenshot(canvas_only=False, flash=False)
        Image.fromarray(shot).convert("RGB").save(out / f"{name}.png", optimize=True)
        print(out / f"{name}.png", flush=True)

    walk = Walk(new_viewer, "~/silver-twins", f"{home}/silver-twins.4dorient.h5", photograph)
    for chapter in STORY:
        walk.take(chapter)
    walk.meter.close()
    print(walk.meter.table())
    walk.viewer.close()


if __name__ == "__main__":
    main()

"""``demo``: the main job on the two bundled samples, in napari or, without a display, into a folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from napari_4dstem_orient.cli import options
from napari_4dstem_orient.cli.progress_bars import progress_bars


def demo(
    headless: Annotated[bool, typer.Option("--headless", help="Write files; do not open napari.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for the files.", metavar="DIR")] = Path("demo-output"),
    force: options.Force = False,
) -> None:
    """Run the main job on the bundled samples: real silver patterns and simulated copper."""
    if headless or not has_display():
        write_demo(out, force)
    else:
        from npe2 import PluginManager

        PluginManager.instance().commands.execute("napari-4dstem-orient.demo")


def has_display() -> bool:
    """Tell whether a window could be shown."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def write_demo(out: Path, force: bool = False) -> None:
    """Map both samples with both methods; write maps, result files and a report, and print the report."""
    from napari_4dstem_orient.cli import demo_report
    from napari_4dstem_orient.core.atomic import make_folder, write
    from napari_4dstem_orient.export.registry import export, export_files
    from napari_4dstem_orient.workflow.outputs import check_outputs

    formats = ("h5", "png", "ang", "ctf")
    make_folder(out)
    names = {"report.txt": ""}
    for stem in (demo_report.SILVER, demo_report.COPPER):
        names |= export_files(formats, stem)
    check_outputs([(out / file, name) for file, name in names.items()], force=force)
    report = [f"napari-4dstem-orient {demo_report.describe_environment()}"]
    with progress_bars() as bars:
        for sample in (demo_report.silver, demo_report.copper):
            text, result, stem = sample(bars)
            export(result, out, formats, stem)
            report.append(
                "\n".join(filter(None, (text, result.exploratory and f"This map is {result.exploratory}.")))
            )
    text = "\n\n".join(report) + "\n"
    write(out / "report.txt", text)
    typer.echo(text)
    typer.echo(f"Written to {out}: " + ", ".join(sorted(path.name for path in out.iterdir())))

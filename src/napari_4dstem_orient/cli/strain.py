"""``strain``: from a map and its disks to strain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_4dstem_orient.cli import options
from napari_4dstem_orient.cli.progress_bars import progress_bars
from napari_4dstem_orient.export.registry import FORMATS as EXPORTS
from napari_4dstem_orient.export.registry import export_files


def strain(
    source: Annotated[str, typer.Argument(help="A result file of map.", metavar="MAP.h5")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The result file with strain.", metavar="RESULT.h5")
    ],
    disks: Annotated[
        str | None,
        typer.Option(
            help="The scan, or a file of its Bragg disks; by default what the map was made from.",
            metavar="FILE",
        ),
    ] = None,
    reference: options.StrainReference = "ideal",
    axes: options.StrainAxes = "scan",
    export: Annotated[
        list[str] | None,
        options.one_of(EXPORTS, "Write this beside the result too; again for more.", without="h5"),
    ] = None,
    force: options.Force = False,
) -> None:
    """Measure the strain in the plane at each position of a map, with its standard deviation; save both together."""
    from napari_4dstem_orient.analysis.strain.strain import read_axes
    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.export.registry import export as export_map
    from napari_4dstem_orient.workflow.outputs import check_outputs
    from napari_4dstem_orient.workflow.run import Observer
    from napari_4dstem_orient.workflow.strain import disks_of, with_strain

    exports = export or ()
    outputs = [(output, "h5")]
    outputs += [(output.parent / file, name) for file, name in export_files(exports, output.stem).items()]
    check_outputs(outputs, [source, disks], force)
    way = read_axes(axes)
    before = OrientationMap.load(source)
    kind, region = options.read_reference(reference, before.scan_shape)
    with progress_bars() as report:
        found = disks_of(before, disks, Observer(report))
        result = with_strain(before, found, kind, way, region, report("Measuring strain"))
    result.save(output)
    assert result.strain is not None
    typer.echo(f"{output}: {result.strain.summary}")
    export_map(result, output.parent, exports, output.stem, found)

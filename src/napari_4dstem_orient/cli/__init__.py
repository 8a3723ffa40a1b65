"""The command line ``napari-4dstem-orient``: the commands, all thin over the core."""

import io
import os
import sys
from typing import Annotated

import typer

from napari_4dstem_orient.cli.benchmark import benchmark
from napari_4dstem_orient.cli.demo import demo
from napari_4dstem_orient.cli.detect import detect
from napari_4dstem_orient.cli.identify import identify
from napari_4dstem_orient.cli.map import map_
from napari_4dstem_orient.cli.models import evaluate, train
from napari_4dstem_orient.cli.strain import strain
from napari_4dstem_orient.core.errors import UserError

app = typer.Typer(
    help="Crystal orientation and phase maps from 4D-STEM scans.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _tell_version(asked: bool) -> None:
    if asked:
        from napari_4dstem_orient.core.version import identity

        typer.echo("\n".join(f"{name} {version}" for name, version in identity().items()))
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the versions of the program and of the libraries that decide about numbers.",
            callback=_tell_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Crystal orientation and phase maps from 4D-STEM scans."""


app.command()(demo)
app.command("map")(map_)
app.command()(detect)
app.command()(identify)
app.command()(strain)
app.command()(train)
app.command()(evaluate)
app.command()(benchmark)


def main() -> None:
    """Run the command line: exit code 2 and one sentence for what the user can mend."""
    # Threads of torch that wait, sleep: on a busy machine, spinning ones more than halve what is done.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # what a console or a pipe on Windows has no letter for becomes ?
            stream.reconfigure(errors="replace")
    try:
        _refuse_empty(sys.argv[1:])
        app()
    except (UserError, MemoryError) as error:
        if isinstance(error, MemoryError):
            error = UserError(
                f"The memory does not suffice ({error}); close other programs, or take another computer."
            )
        print(f"Error: {error}", file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(2)  # HDF5 crashes on an orderly exit when it holds a file that a full disk did not take


def _refuse_empty(arguments: list[str]) -> None:
    """Refuse a name of nothing, which Python takes for the current folder; a script's unset variable makes one."""
    for before, argument in zip(["", *arguments], arguments, strict=False):
        option, given, value = argument.partition("=")
        if not argument.strip() or (given and option.startswith("--") and not value.strip()):
            where = option if given else before
            place = f" after {where}" if where.strip() else ""
            raise UserError(f"An argument{place} is empty; write a name or a value there.")

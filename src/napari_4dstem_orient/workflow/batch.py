"""The same job for many files."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from itertools import count
from pathlib import Path

from napari_4dstem_orient.core.errors import Cancelled, UserError
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.workflow.job import Job
from napari_4dstem_orient.workflow.run import NOTHING, Observer, Results, run
from napari_4dstem_orient.workflow.session import Session, Stage

TOLD = ("typed", "fitted", "doubtful", "instrument")
"""Where a field of the calibration comes from that a person gave."""


@dataclass(frozen=True)
class Outcome:
    """What became of one file: the result file, or why there is none."""

    result: Path | None = None
    reason: str = ""


def scans_in(folder: str | Path) -> list[Path]:
    """Return the files of a folder that may be scans or Bragg disks, by name; maps and projects are left out.

    Raises
    ------
    UserError
        There is no such folder, or it cannot be read.
    """
    from napari_4dstem_orient.io.formats import FORMATS
    from napari_4dstem_orient.io.result import is_map_file
    from napari_4dstem_orient.workflow.project import is_project_file

    folder = Path(folder).expanduser()
    try:
        members = sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be read ({error.strerror}); choose another.") from error
    return [
        path
        for path in members
        if any(one.names(path) for one in FORMATS.values())
        and not path.name.startswith(".")
        and (os.path.isfile(path) or os.path.isdir(path))  # no pipe, no device
        and not (is_map_file(path) or is_project_file(path))
    ]


def recipe(session: Session) -> tuple[Job, Results]:
    """Return how the newest map of a session was made, to map others so, and the probe that there is already.

    Of the calibration it has what a person gave; the rest is each file's own. The scan shape is for flat stacks that
    do not say theirs.

    Raises
    ------
    UserError
        No map was made here.
    """
    records = [
        record for key in session.made(Stage.MAP) if (record := session.record(key)) and record.job.phases
    ]
    if not records:
        raise UserError("No map was made here yet; map the open scan first, the others are mapped like it.")
    made, known = max(records, key=lambda record: record.made).job, session.calibration
    apart = ("q_pixel_from", "rotation_from", "unclear")
    names = [item.name for item in fields(Calibration) if item.name not in apart]
    told = {name: getattr(known, name) for name in names if session.known_from(name) in TOLD}
    if "q_pixel" in told:
        told["q_pixel_from"] = known.q_pixel_from
    if told.keys() & {"rotation", "flip"}:
        told["rotation_from"] = known.rotation_from
    scan = session.record(Stage.SCAN)
    dataset = scan.job.dataset if scan is not None else None  # not that of a file of disks
    like = replace(made, path=None, sample=None, dataset=dataset, part=None)
    shape: tuple[int, int] | str | None = session.scan_shape
    if scan is not None and scan.job.part is not None:  # the others are mapped as a whole
        shape = scan.job.scan_shape
        told |= {"r_pixel": told["r_pixel"] / scan.job.part.every} if "r_pixel" in told else {}
    like = replace(like, scan_shape=shape, calibration=told)
    return like, Results(probe=session.get(Stage.PROBE) if made.detection else None)


def map_file(
    path: Path,
    like: Job,
    output: Path | None = None,
    progress: Progress = silent,
    have: Results = NOTHING,
) -> Outcome:
    """Map one file and write ``NAME_orientation.h5``, beside it or into ``output``; cancelled, it can be gone on with.

    Where another file's result has that name already, a number comes before ``_orientation``. Whatever goes wrong
    becomes the outcome's reason, so that the next file can be tried.

    Raises
    ------
    Cancelled
        ``progress`` raised it.
    """
    from napari_4dstem_orient.core.atomic import check_writable, make_folder
    from napari_4dstem_orient.workflow.store import Partial

    try:
        target = result_of(path, make_folder(output) if output is not None else path.parent)
        check_writable(target)
        partial, shape = Partial(target), like.scan_shape if _asks_for_shape(path) else None
        job = replace(like, path=str(path), scan_shape=shape)
        answer = run(job, store=partial, observer=Observer(lambda step: progress), have=have).map
        assert answer is not None
        answer.save(target)
        partial.remove()
    except Cancelled:
        raise
    except UserError as error:
        return Outcome(reason=str(error))
    except Exception as error:  # a defect with one file shall not keep the others waiting
        return Outcome(reason=f"{type(error).__name__}: {error}")
    return Outcome(target)


def result_of(path: Path, folder: Path) -> Path:
    """Return where a file's result goes: where its former one is, or a name that nothing has yet."""
    from napari_4dstem_orient.io.result import made_from

    for number in count(1):
        target = folder / f"{path.stem}{f'_{number}' if number > 1 else ''}_orientation.h5"
        if not os.path.exists(target) or made_from(target) == path.absolute():
            return target
    raise AssertionError("numbers do not end")


def _asks_for_shape(path: Path) -> bool:
    """Tell whether a file is a flat stack that does not say its scan shape; other files say what they are."""
    from napari_4dstem_orient.io.load import inspect

    try:
        return any(facts.flat and facts.scan_shape is None for facts in inspect(path).datasets)
    except UserError:
        return False

"""A Python script that repeats what was done in the window: it makes the jobs again, and runs them.

Jobs may come from a project that somebody else wrote. So nothing of them becomes code but plain values, spelled so that
Python reads them back as exactly what they are.
"""

from __future__ import annotations

import ast
from pprint import pformat

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.workflow.job import Job, Stage, stage_of
from napari_4dstem_orient.workflow.session_state import SessionState

HEAD = '''"""Repeats what was done in the window of napari-4dstem-orient; writes its results into the current folder."""

from napari_4dstem_orient.workflow.job import Job, Stage
from napari_4dstem_orient.workflow.outputs import check_replaceable
from napari_4dstem_orient.workflow.run import run
'''


def script_of(state: SessionState) -> str:
    """Return Python text that makes the maps of a session again; without any, the last other result there is.

    Raises
    ------
    UserError
        Nothing is loaded, it came from memory, or a job holds what no script can say.
    """
    made = {key: record.job for key, record in state.records.items() if key in state.results}
    if Stage.SCAN in state.records:
        made[Stage.SCAN] = state.records[Stage.SCAN].job
    if not made:
        raise UserError("Nothing is loaded yet; open a scan in Data, then copy the script.")
    maps = [job for key, job in made.items() if stage_of(key) is Stage.MAP and job.phases]
    last = [stage for stage in Stage if stage in made][-1:]
    jobs = maps or [made[stage] for stage in last]
    for job in jobs:
        if job.path is None and job.sample is None:
            raise UserError(
                "The scan is in memory only, so no script can open it; save it as a file and open that."
            )
    checks = "".join(f"check_replaceable({_output(job)!r})\n" for job in maps)
    until = "" if maps else "".join(f", Stage.{stage.name}" for stage in last)
    blocks = [_block(job, until) + (f"results.map.save({_output(job)!r})\n" if maps else "") for job in jobs]
    return "\n".join([HEAD, *filter(None, [checks]), *blocks])


def _block(job: Job, until: str) -> str:
    text = f"job = Job.from_dict(\n{_literal(job)}\n)\nresults = run(job{until})\n"
    return text + ("print(results.report.summary)\n" if job.centring is not None else "")


def _output(job: Job) -> str:
    return f"orientation_{job.method}.h5"


def _literal(job: Job) -> str:
    """Spell a job's values; UserError where Python would not read them back as the same."""
    values = job.to_dict()
    text = pformat(values, width=110, compact=True, sort_dicts=False)
    try:
        same = ast.literal_eval(text) == values
    except (SyntaxError, ValueError):
        same = False
    if not same:
        raise UserError("A setting holds what no script can say; choose the settings again, then copy.")
    return text

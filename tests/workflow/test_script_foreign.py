"""A project that somebody else wrote cannot put a command into the script that is made of it."""

import ast
import json
from copy import deepcopy
from dataclasses import asdict

import h5py
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.gui_scan import CALIBRATION
from helpers.made_maps import CU
from napari_4dstem_orient.calibration.calibrate import CalibrationSettings
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.indexing.settings import AcceptanceSettings, TemplateSettings, TransformerSettings
from napari_4dstem_orient.workflow.job import Job
from napari_4dstem_orient.workflow.project import Project, load_project, save_project
from napari_4dstem_orient.workflow.script import script_of
from napari_4dstem_orient.workflow.session import MapBy, Stage
from napari_4dstem_orient.workflow.session_state import Record, SessionState

EVIL = "__import__('os').system('touch evil')"
HOSTILE = st.sampled_from(
    [
        EVIL,
        f"'+{EVIL}+'",
        f'"); {EVIL} #',
        f"\n{EVIL}\n",
        f"0:end, 0:{EVIL}",
        f"{EVIL}:end, 0:end",
        f"0:1, 0:1\n{EVIL}",
        f"a={EVIL}, b",
        f'"""\n{EVIL}\n"""',
        "\\",
        "\\'",
        "\u2028" + EVIL,
        f"\r{EVIL}",
        "{" + EVIL + "}",
        "\x00",
        "run",
        -1,
        1e999,
        float("nan"),
        [EVIL],
        {EVIL: EVIL},
        {"edge": EVIL},
        {f"edge=1), {EVIL}, (x": 1},
        None,
        True,
    ]
)
CALLS = {"check_replaceable", "from_dict", "run", "print", "save"}
ATTRIBUTES = CALLS | {"report", "summary", "map"} | {stage.name for stage in Stage}
NODES = (
    ast.Module, ast.Expr, ast.Assign, ast.ImportFrom, ast.alias, ast.Call, ast.Name, ast.Load, ast.Store,
    ast.Constant, ast.List, ast.Dict, ast.Attribute, ast.UnaryOp, ast.USub,
)  # fmt: skip
MODULES = "napari_4dstem_orient."
MAPS = {MapBy(method): method for method in ("template", "transformer")}


def harmless(script):
    """Every node is a literal, one of our names, or a call of what a script may call."""
    tree = ast.parse(script)
    for node in ast.walk(tree):
        assert isinstance(node, NODES), ast.dump(node)
        if isinstance(node, ast.Call):
            called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            assert called in CALLS, called
        elif isinstance(node, ast.Attribute):
            assert node.attr in ATTRIBUTES
        elif isinstance(node, ast.ImportFrom):
            assert node.module.startswith(MODULES)
    outputs = {call.args[0].value for call in calls(tree, "check_replaceable") + calls(tree, "save")}
    assert outputs <= {"orientation_template.h5", "orientation_transformer.h5"}
    return tree


def calls(tree, name):
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in found if name in (getattr(call.func, "id", ""), getattr(call.func, "attr", ""))]


PROBES = {"region": [[0, 2], [1, None]], "radius": 3.0, "vacuum": "vacuum.h5::/x"}


def job(probe="region"):
    """Return a job with every field set, as plain values."""
    return {
        **Job(
            path="scan.h5",
            dataset="/x",
            scan_shape=(3, 4),
            calibration={name: value for name, value in asdict(CALIBRATION).items() if value is not None},
            detection=DetectionSettings(),
            engine="torch",
            centring=CalibrationSettings(),
            phases=(CU,),
            settings={"transformer": TransformerSettings(), "template": TemplateSettings()},
            models=("model.safetensors",),
            acceptance=AcceptanceSettings(),
            device="cpu",
        ).to_dict(),
        "probe": deepcopy(PROBES[probe]),
    }


def state_of(told):
    """Return the state of a session with every result, made by this job."""
    keys = [*(stage for stage in Stage if stage is not Stage.MAP), *MAPS]
    records = {
        key: Record(job=Job.from_dict({**told, "method": MAPS.get(key, told["method"])})) for key in keys
    }
    return SessionState(dict.fromkeys(keys, 1), frozenset(), records, CALIBRATION)


def places(value, way=()):
    """Every place in nested values."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*way, key)
        yield from places(one, (*way, key))


def put(told, way, value, as_key):
    *above, last = way
    for key in above:
        told = told[key]
    if as_key and isinstance(told, dict):
        told[value if isinstance(value, str) else json.dumps(value)] = told.pop(last)
    else:
        told[last] = value


@pytest.mark.parametrize("probe", PROBES)
def test_an_honest_script_is_of_the_allowed_kind_and_says_what_was_recorded(probe):
    tree = harmless(script_of(state_of(job(probe))))
    said = [ast.literal_eval(call.args[0]) for call in calls(tree, "from_dict")]
    assert [values["method"] for values in said] == list(MAPS.values())
    for values in said:
        assert {**values, "method": "transformer"} == job(probe)
        assert Job.from_dict(values).to_dict() == values


@settings(max_examples=400, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), probe=st.sampled_from(list(PROBES)), count=st.integers(1, 3))
def test_whatever_a_job_says_no_command_comes_of_it(data, probe, count):
    told = job(probe)
    for _ in range(count):
        put(
            told,
            data.draw(st.sampled_from(list(places(told)))),
            deepcopy(data.draw(HOSTILE)),
            data.draw(st.booleans()),
        )
    try:
        made = Job.from_dict(told)
    except (KeyError, TypeError, ValueError, UserError):
        return
    records = dict.fromkeys(Stage, Record(job=made))
    try:
        script = script_of(SessionState(dict.fromkeys(Stage, 1), frozenset(), records, CALIBRATION))
    except UserError:
        return
    harmless(script)


def test_text_that_looks_like_code_stays_text():
    told = job("vacuum")
    told["path"] = told["probe"] = f"'); {EVIL} #\n"
    told["device"] = f'"""{EVIL}'
    tree = harmless(script_of(state_of(told)))
    (values, _) = (ast.literal_eval(call.args[0]) for call in calls(tree, "from_dict"))
    assert (values["path"], values["probe"], values["device"]) == (told["path"], told["path"], told["device"])


SPOILT = [
    {"detection": {f"edge=1), {EVIL}, (x": 1}},
    {"probe": [[0, EVIL], [0, 1]]},
    {"settings": {"template": {f"{EVIL}": 1}}},
    {"settings": {EVIL: {}}},
    {"method": EVIL},
    {"calibration": {EVIL: 1}},
    {EVIL: 1},
]


@pytest.mark.parametrize("spoilt", SPOILT)
def test_the_crafted_project_of_the_report_runs_nothing(tmp_path, spoilt):
    path = tmp_path / "a.4dorient.h5"
    save_project(Project(SessionState(records={}, calibration=CALIBRATION)), path)
    with h5py.File(path, "r+") as file:
        told = json.loads(file["session"].asstr()[()])
        made = {"made": "2026-01-01T00:00:00+00:00", "job": {**job(), **spoilt}}
        told["records"] = {"scan": made, "disks": made, "template map": made}
        del file["session"]
        file["session"] = json.dumps(told)
    read = load_project(path)
    assert len(read.warnings) == 3
    with pytest.raises(UserError):
        script_of(read.state)

"""A project that somebody else wrote cannot put a command into the script that is made of it."""

import ast
import json
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
from napari_4dstem_orient.workflow.project import Project, load_project, save_project
from napari_4dstem_orient.workflow.records import choice_settings, detection_record
from napari_4dstem_orient.workflow.script import script_of
from napari_4dstem_orient.workflow.session import Record, SessionState, Stage

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
        "find_phase",
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
CALLS = {
    "check_replaceable",
    *("AcceptanceSettings", "Calibration", "CalibrationSettings", "DetectionSettings", "TemplateSettings"),
    *("TransformerSettings", "calibrate", "find_disks", "find_phase", "find_sample", "load", "load_disks"),
    *("map_orientations", "print", "probe_from_file", "probe_from_vacuum", "slice", "synthetic_probe"),
    *("from_dict", "save", "with_calibration"),
}
ATTRIBUTES = CALLS | {"summary", "detector_shape", "voltage", "precession"}
NODES = (
    ast.Module, ast.Expr, ast.Assign, ast.ImportFrom, ast.alias, ast.Call, ast.keyword, ast.Name, ast.Load, ast.Store,
    ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.Attribute, ast.UnaryOp, ast.USub,
)  # fmt: skip
MODULES = "napari_4dstem_orient."


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
    # Comments are no nodes.
    assert [line for line in script.splitlines() if "#" in line.split('"')[0].split("'")[0]] in (
        [], ["probe = None  # found from the scan"]
    )  # fmt: skip
    return tree


def records(kind="region"):
    probe = {
        "region": {"kind": "region", "region": "0:2, 1:end", "radius": 3.0},
        "synthetic": {"kind": "synthetic", "radius": 3.0, "width": 1.0},
        "vacuum": {"kind": "vacuum", "source": "vacuum.h5::/x"},
    }[kind]
    forms = {
        "transformer": TransformerSettings(),
        "template": TemplateSettings(),
        "acceptance": AcceptanceSettings(),
    }
    choice = choice_settings([CU], ["model.safetensors"], "cpu", **forms)
    return {
        "scan": {"path": "scan.h5", "dataset": "/x", "scan_shape": [3, 4], "voltage": 300.0},
        "probe": probe,
        "disks": detection_record(DetectionSettings(), "cpu"),
        "calibrated": {"centring": asdict(CalibrationSettings()), "calibration": asdict(CALIBRATION)},
        "transformer map": {"method": "transformer", **choice},
        "template map": {"method": "template", **choice},
    }


def state_of(told):
    made = {Stage(name): Record(settings=values) for name, values in told.items()}
    return SessionState(dict.fromkeys(Stage, 1), frozenset(), made, CALIBRATION)


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


@pytest.mark.parametrize("kind", ["region", "synthetic", "vacuum"])
def test_an_honest_script_is_of_the_allowed_kind_and_says_what_was_recorded(kind):
    tree = harmless(script_of(state_of(records(kind))))
    values = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert {"scan.h5", "/x", "model.safetensors", "orientation_template.h5"} <= set(values)
    assert "slice(0, 2), slice(1, None)" in script_of(state_of(records("region")))


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), kind=st.sampled_from(["region", "synthetic", "vacuum"]), count=st.integers(1, 3))
def test_whatever_a_record_says_no_command_comes_of_it(data, kind, count):
    told = records(kind)
    for _ in range(count):
        put(
            told, data.draw(st.sampled_from(list(places(told)))), data.draw(HOSTILE), data.draw(st.booleans())
        )
    stages = {
        name: values for name, values in told.items() if name in set(Stage) and isinstance(values, dict)
    }
    try:
        script = script_of(state_of(stages))
    except UserError:
        return
    harmless(script)


def test_text_that_looks_like_code_stays_text():
    told = records("vacuum")
    told["scan"]["path"] = told["probe"]["source"] = f"'); {EVIL} #\n"
    told["disks"]["device"] = f'"""{EVIL}'
    tree = harmless(script_of(state_of(told)))
    values = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert values.count(told["scan"]["path"]) == 2
    assert told["disks"]["device"] in values


@pytest.mark.parametrize(
    "spoilt",
    [
        {"disks": {"detection": {f"edge=1), {EVIL}, (x": 1}, "device": "cpu"}},
        {"probe": {"kind": "region", "region": f"0:{EVIL}, 0:1"}},
        {"template map": {"phases": [], "models": [], "device": "cpu", "template": {f"{EVIL}": 1}}},
    ],
)
def test_the_crafted_project_of_the_report_runs_nothing(tmp_path, spoilt):
    state = state_of({name: records()[name] for name in ("scan", "disks", *spoilt)} | spoilt)
    with pytest.raises(UserError, match="The record of what was done cannot be read"):
        script_of(state)
    path = tmp_path / "a.4dorient.h5"
    save_project(Project(SessionState(records={}, calibration=CALIBRATION)), path)
    with h5py.File(path, "r+") as file:
        told = json.loads(file["session"].asstr()[()])
        told["records"] = {
            name: {"made": "2026-01-01T00:00:00+00:00", "settings": made} for name, made in spoilt.items()
        }
        del file["session"]
        file["session"] = json.dumps(told)
    read = load_project(path)
    assert read.warnings or "probe" in spoilt
    with pytest.raises(UserError):
        script_of(read.state)

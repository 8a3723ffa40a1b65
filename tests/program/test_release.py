"""What a release is made of tells the same everywhere: version, requirements, and what the workflow runs."""

import re
import tomllib
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from packaging.requirements import Requirement

from napari_4dstem_orient.core.version import VERSION

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ON_CONDA = {"dask": "dask-core", "matplotlib": "matplotlib-base", "torch": "pytorch"}
"""What conda-forge calls by another name."""
OF_EXTRAS = {"rosettasciio[blockfile]": ["scikit-image"]}
"""What an extra of a requirement brings, which conda-forge does not know; dask-core has what dask[array] is for us."""

FILES = r"(?:tests|tools|docs)/[\w/.]+|constraints[\w-]*\.txt|\.ci/run"
"""In the workflow's commands."""


@pytest.fixture(scope="module")
def recipe() -> dict[str, Any]:
    told = (ROOT / "recipe" / "meta.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(jinja2.Template(told, undefined=jinja2.StrictUndefined).render(PYTHON="python"))


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    return yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))


def test_there_is_one_version(recipe: dict[str, Any]) -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    latest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)
    assert {cited["version"], latest[1], recipe["package"]["version"]} == {VERSION}
    assert f"v{VERSION}.tar.gz" in recipe["source"]["url"]
    assert "version" in PROJECT["dynamic"]


def on_conda(requirement: str) -> dict[str, str]:
    """Return what conda-forge calls a requirement and what its extras bring, each with its versions."""
    asked = Requirement(requirement)
    further = OF_EXTRAS.get(requirement.partition(">")[0], [])
    return {ON_CONDA.get(asked.name, asked.name): str(asked.specifier)} | dict.fromkeys(further, "")


def test_the_recipe_requires_what_the_program_requires(recipe: dict[str, Any]) -> None:
    wanted = {"python": PROJECT["requires-python"]}
    for requirement in PROJECT["dependencies"]:
        wanted |= on_conda(requirement)
    listed = dict(f"{line} ".split(" ", 1) for line in recipe["requirements"]["run"])
    assert {name: sorted(versions.strip().split(",")) for name, versions in listed.items()} == {
        name: sorted(versions.split(",")) for name, versions in wanted.items()
    }
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    assert {each.replace(">", " >", 1) for each in build} < set(recipe["requirements"]["host"])
    (constrained,) = recipe["requirements"]["run_constrained"]
    extra = Requirement(PROJECT["optional-dependencies"]["py4dstem"][0])
    assert constrained.split(" ")[0] == extra.name.lower()
    assert sorted(constrained.split(" ")[1].split(",")) == sorted(str(extra.specifier).split(","))


def test_the_recipe_runs_the_program(recipe: dict[str, Any]) -> None:
    scripts = [f"{name} = {place}" for name, place in PROJECT["scripts"].items()]
    assert recipe["build"]["entry_points"] == scripts
    assert (ROOT / recipe["about"]["license_file"]).is_file()
    assert recipe["about"]["license"] == PROJECT["license"]


def test_the_workflow_runs_on_three_systems_and_every_python(workflow: dict[str, Any]) -> None:
    pythons = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    matrix = workflow["jobs"]["smoke"]["strategy"]["matrix"]
    assert matrix["python"] == pythons
    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}


def test_the_workflow_publishes_what_all_other_jobs_passed(workflow: dict[str, Any]) -> None:
    jobs = dict(workflow["jobs"])
    publish = jobs.pop("publish")
    assert set(publish["needs"]) == set(jobs)
    assert publish["permissions"] == {"id-token": "write"}
    said = str(publish["steps"])
    assert "GITHUB_REF_NAME" in said  # the tag is compared with the version


def test_what_the_workflow_runs_is_there(workflow: dict[str, Any]) -> None:
    for name, job in workflow["jobs"].items():
        assert job["runs-on"]
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step), name
            for path in re.findall(
                r"(?:tests|tools|docs)/[\w/.]+|constraints[\w-]*\.txt|\.ci/run", step.get("run", "")
            ):
                assert (ROOT / path).exists(), path
            if "uses" in step:
                assert re.fullmatch(r"[\w.-]+/[\w.-]+@\S+", step["uses"]), name


def test_what_a_wheel_packs_is_small() -> None:
    packed = [
        path for folder in ("src", "resources") for path in (ROOT / folder).rglob("*") if path.is_file()
    ]
    own = [path for path in packed if "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in own) < 25e6  # before it is compressed

"""What an import costs, who may import Qt, and that what is packed is what the program asks for."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import metadata, packages_distributions
from itertools import chain
from pathlib import Path

import pytest

import napari_4dstem_orient
from napari_4dstem_orient.core.resource_files import FOLDER, resource
from napari_4dstem_orient.core.version import VERSION

PACKAGE = Path(napari_4dstem_orient.__file__).parent
EVALUATION = PACKAGE.with_name("napari_4dstem_orient_evaluation")
ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WINDOW = {"napari", "qtpy", "PyQt5", "PyQt6", "PySide2", "PySide6", "magicgui", "superqt", "vispy"}
HEAVY = WINDOW | {"torch", "py4DSTEM", "orix", "pymatgen", "matplotlib", "dask", "h5py"}
CORE = sorted(
    path for path in PACKAGE.rglob("*.py") if "napari_plugin" not in path.relative_to(PACKAGE).parts
)


def loaded_by(statement: str) -> set[str]:
    """Return the top-level modules that a fresh Python has after a statement."""
    code = f"{statement}\nimport json, sys; print(json.dumps([name.split('.')[0] for name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = loaded_by("import napari_4dstem_orient; napari_4dstem_orient.__version__")
    assert not loaded & (HEAVY | {"numpy"})


def test_help_of_the_command_line_loads_nothing_heavy() -> None:
    loaded = loaded_by(
        "from typer.testing import CliRunner; from napari_4dstem_orient.cli import app\n"
        "assert CliRunner().invoke(app, ['map', '--help']).exit_code == 0"
    )
    assert not loaded & HEAVY


def test_a_model_is_read_without_torchs_compiler() -> None:
    code = (
        "import sys; from napari_4dstem_orient.indexing import models\n"
        "models.load_model(models.list_models()[0].path)\n"
        "assert 'torch' in sys.modules and 'torch._dynamo' not in sys.modules"
    )
    assert "torch" in loaded_by(code)


def test_every_promised_name_is_there() -> None:
    code = "import napari_4dstem_orient as n\nfor name in n.__all__: getattr(n, name)"
    loaded = loaded_by(code)
    assert not loaded & {"napari", "qtpy", "PyQt6"}
    assert napari_4dstem_orient.__version__ == VERSION
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        napari_4dstem_orient.nonsense  # noqa: B018


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_core_imports_neither_qt_nor_napari(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            imported.add((node.module or "").split(".")[0])
    assert not imported & WINDOW


def test_resources_are_those_at_the_top_of_the_repository() -> None:
    assert resource("ATTRIBUTION.md").read_bytes() == (ROOT / "resources" / "ATTRIBUTION.md").read_bytes()
    assert FOLDER.parent == PACKAGE
    with pytest.raises(FileNotFoundError, match="install"):
        resource("models", "no-such-model")


def distribution(requirement: str) -> str:
    """Return the name of what a requirement asks for, as PyPI spells it."""
    return re.split(r"[\[<>=! ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


@pytest.mark.parametrize(
    ("constraints", "extras"),
    [("constraints.txt", {"all", "dev"}), ("constraints-newest.txt", {"qt", "test"})],
)
def test_every_dependency_is_pinned_for_bootstrap(constraints: str, extras: set[str]) -> None:
    lines = (ROOT / constraints).read_text().splitlines()
    pinned = {distribution(line) for line in lines if "==" in line}
    assert required(extras) <= pinned
    assert ("py4dstem" in pinned) == ("dev" in extras)


def required(extras: set[str]) -> set[str]:
    """Return the names of what the program needs with some extras, and with those that they ask for."""
    wanted = list(PROJECT["dependencies"])
    for extra in extras:
        wanted += PROJECT["optional-dependencies"][extra]
    own = [each for each in wanted if distribution(each) == PROJECT["name"]]
    further = {name for each in own for name in re.findall(r"\w+", each.partition("[")[2])} - extras
    names = {distribution(each) for each in wanted} - {PROJECT["name"]}
    return names | required(extras | further) if further else names


def imported_by(tree: ast.AST) -> set[str]:
    """Return the top-level modules that some code imports, wherever in it; not what only types need."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            found |= imported_by(node)
    return found


def test_dependencies_are_what_is_imported() -> None:
    """What is optional (py4DSTEM) is imported nowhere by a statement: ``core.optional`` does it when asked."""
    sources = chain(PACKAGE.rglob("*.py"), EVALUATION.rglob("*.py"))
    imported = set().union(*(imported_by(ast.parse(path.read_text())) for path in sources))
    foreign = imported - sys.stdlib_module_names - {PACKAGE.name, EVALUATION.name}
    known = packages_distributions()
    needed = {distribution(known[name][0]) for name in foreign}
    assert needed == {distribution(requirement) for requirement in PROJECT["dependencies"]}


def test_the_page_on_installing_says_what_each_dependency_is_for() -> None:
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    listed = {
        line.split(" | ")[0].removeprefix("| ") for line in page.partition("## What each")[2].splitlines()
    }
    assert {distribution(each) for each in PROJECT["dependencies"]} <= listed
    extras = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    assert extras == {"all", "py4dstem", "qt"}


def test_types_are_for_everybody() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_hub_finds_what_it_shows() -> None:
    shown = metadata("napari-4dstem-orient")
    assert "Framework :: napari" in shown.get_all("Classifier")
    assert shown["Author"]
    assert shown["Summary"]
    assert {"Homepage", "Bug Tracker"} <= {url.split(",")[0] for url in shown.get_all("Project-URL")}
    assert not any("PyQt" in need and "extra" not in need for need in shown.get_all("Requires-Dist"))

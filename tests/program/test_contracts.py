"""Who may import whom: the floors of the program, and the tests among each other."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
SOURCE = ROOT / "src" / "napari_4dstem_orient"
EVALUATION = ROOT / "src" / "napari_4dstem_orient_evaluation"


def test_imports_keep_the_contracts() -> None:
    command = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr


def imports(path: Path) -> set[str]:
    """Return every part of every module name that a file imports from."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or ".")
    return {part for name in found for part in name.split(".")}


def test_nothing_is_imported_from_a_test_module() -> None:
    found = {path: imports(path) for path in TESTS.rglob("*.py")}
    assert len(found) > 100
    assert not {
        str(path.relative_to(TESTS)): parts
        for path, parts in found.items()
        if parts & {"", "conftest", "tests"} or any(part.startswith("test_") for part in parts)
    }


def mirrored(path: Path) -> bool:
    """Tell whether a test module is named after a module in the folder that its own folder mirrors."""
    top, *folders = path.relative_to(TESTS).parent.parts or [""]
    source = (EVALUATION if top == "evaluation" else SOURCE / top).joinpath(*folders)
    tested = path.stem.removeprefix("test_")
    return any(f"{tested}_".startswith(f"{module.stem}_") for module in source.glob("*.py"))


def test_tests_mirror_the_source_tree() -> None:
    found = [path for path in TESTS.rglob("test_*.py") if path.parent != TESTS / "program"]
    assert len(found) > 100
    assert not [str(path.relative_to(TESTS)) for path in found if not mirrored(path)]

"""The documentation: links lead somewhere, and what is made from the code is current."""

import importlib.util
import re
from pathlib import Path

import pytest

from napari_4dstem_orient.export.registry import FORMATS
from napari_4dstem_orient.io.formats import suffixes

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "napari_4dstem_orient"
PAGES = sorted(path for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md") for path in ROOT.glob(pattern))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_to_files(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)\s#]+)", text)
    broken = [link for link in links if ":" not in link and not (page.parent / link).exists()]
    assert not broken


def test_the_page_of_parameters_is_current() -> None:
    path = ROOT / "tools" / "make_parameter_docs.py"
    spec = importlib.util.spec_from_file_location("make_parameter_docs", path)
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    assert maker.PAGE.read_text(encoding="utf-8") == maker.page()


def test_the_glossary_names_modules_that_are_there() -> None:
    rows = re.findall(
        r"^\|.*\|(.*)\|$", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    named = {path for row in rows for path in re.findall(r"`([a-z_/]+(?:\.py)?)`", row) if "/" in path}
    assert len(named) > 10
    assert not [
        path for path in named if not (PACKAGE / path).exists() and not (PACKAGE / f"{path}.py").exists()
    ]


def test_every_export_is_described() -> None:
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `(\S+?)`", text, re.MULTILINE)
    endings = {key: file.removeprefix("_ipf-x") for key, file in rows}
    assert endings == {key: one.ending for key, one in FORMATS.items()}


def test_every_scan_format_is_described() -> None:
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    table = text.partition("\n## Read\n")[2]
    assert not [suffix for suffix in suffixes() if f"`{suffix}`" not in table]

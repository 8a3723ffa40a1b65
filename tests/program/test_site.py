"""The documentation site is built without a warning, its cells run, and every link in it leads somewhere."""

import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from typer.main import get_command

from napari_4dstem_orient.cli import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
CELL = re.compile(r"^```\{code-cell\}(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site; return its folder."""
    out = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-j", "2", "-d", str(out / "trees")]
    done = subprocess.run([*build, str(DOCS), str(out / "html")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out / "html"


class Links(HTMLParser):
    """Collects what a page links to, shows and calls by a name."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.names: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.names.add(told.get("id") or "")
        link = told.get("href") if tag in ("a", "link") else told.get("src")
        self.targets += [link] if link else []


def test_links_and_anchors_lead_somewhere(site: Path) -> None:
    pages = {page: Links(page) for page in site.rglob("*.html") if "_static" not in page.parts}
    broken = []
    for page, links in pages.items():
        for target in links.targets:
            url = urlsplit(target)
            if url.scheme or url.netloc:
                continue
            leads = (page.parent / unquote(url.path)).resolve() if url.path else page
            known = pages.get(leads)
            if not leads.exists() or (known and url.fragment and unquote(url.fragment) not in known.names):
                broken.append(f"{page.relative_to(site)}: {target}")
    assert not broken
    assert len(pages) > len(PAGES)


def test_every_page_is_reached_from_the_first(site: Path) -> None:
    """By the tables of contents, which Sphinx turns into links."""
    reached, next_ones = set(), {site / "index.html"}
    while next_ones:
        page = next_ones.pop()
        reached.add(page)
        paths = {
            (page.parent / urlsplit(link).path).resolve() for link in Links(page).targets if ":" not in link
        }
        next_ones |= {path for path in paths if path.suffix == ".html" and path.exists()} - reached
    assert {(site / page.relative_to(DOCS)).with_suffix(".html") for page in PAGES} <= reached


def test_every_cell_has_run_and_python_stands_in_cells(site: Path) -> None:
    cells = 0
    for page in sorted((DOCS / "howto").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        built = (site / page.relative_to(DOCS)).with_suffix(".html").read_text(encoding="utf-8")
        count = len(CELL.findall(text))
        assert built.count('class="cell docutils container"') == count, page.name
        assert not re.findall(r"^```(?:python|py)\n(?!# Runs where )", text, re.MULTILINE), page.name
        assert (count > 0) == text.startswith("---\nfile_format: mystnb"), page.name
        cells += count
    assert cells


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_and_their_options_exist(page: Path) -> None:
    commands = get_command(app).commands
    for line in re.findall(
        r"^    (napari-4dstem-orient .*)$", page.read_text(encoding="utf-8"), re.MULTILINE
    ):
        _, name, *words = shlex.split(line, comments=True)
        known = {option for parameter in commands[name].params for option in parameter.opts}
        known |= {option for parameter in commands[name].params for option in parameter.secondary_opts}
        assert {word for word in words if word.startswith("-")} <= known | {"--help"}, line


def test_help_pages_are_plain_markdown() -> None:
    """The window shows them without Sphinx."""
    for name in ("tutorial", "glossary"):
        assert not re.search(
            r"^```\{|^---\n", (DOCS / f"{name}.md").read_text(encoding="utf-8"), re.MULTILINE
        )

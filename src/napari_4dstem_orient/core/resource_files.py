"""Where the crystals, models, samples and pages that come with the program lie."""

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "resources"
"""The repository's ``resources``: packed into the wheel, linked by an editable install."""


def resource(*parts: str) -> Path:
    """Return the path of a file or folder under ``resources``.

    Raises
    ------
    FileNotFoundError
        The installation lacks it.
    """
    path = FOLDER.joinpath(*parts)
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is not there: install the program again (pip install -e . from a clone)."
        )
    return path


def page(name: str) -> str:
    """Return the text of a page of the documentation that the program shows, such as ``"glossary"``: Markdown.

    Raises
    ------
    FileNotFoundError
        The installation lacks it.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "docs", package.parents[1] / "docs"):  # of a wheel; of the repository
        if (path := folder / f"{name}.md").is_file():
            return path.read_text(encoding="utf-8")
    raise FileNotFoundError(f"The page {name} of the documentation is not there: install the program again.")

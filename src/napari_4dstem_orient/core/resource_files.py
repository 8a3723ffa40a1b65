"""Where the crystals, models and samples that come with the program lie."""

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

"""What is not installed is said, with how to get it, and nothing else needs it."""

import sys

import pytest

from napari_4dstem_orient.core import optional
from napari_4dstem_orient.core.errors import UserError


@pytest.fixture
def plain(monkeypatch):
    """An installation without py4DSTEM."""
    monkeypatch.setitem(sys.modules, "py4DSTEM", None)


def test_a_plain_installation_says_how_to_get_py4dstem(plain):
    assert optional.installed_engines() == ["torch"]
    assert optional.why_not("torch") == optional.why_not(None) == ""
    for ask in (optional.import_py4dstem, lambda: optional.check_engine("py4DSTEM")):
        with pytest.raises(UserError, match=r'pip install "napari-4dstem-orient\[py4dstem\]"'):
            ask()
    optional.check_engine("torch")
    optional.check_engine(None)


def test_an_engine_that_there_is_not_is_refused():
    with pytest.raises(UserError, match="no engine 'magic'; choose one of torch, py4DSTEM"):
        optional.check_engine("magic")


@pytest.mark.py4dstem
def test_py4dstem_is_imported_quietly(capfd):
    module = optional.import_py4dstem("py4DSTEM.process.diffraction")
    assert module.__name__ == "py4DSTEM.process.diffraction"
    assert capfd.readouterr() == ("", "")
    assert optional.installed_engines() == ["torch", "py4DSTEM"]

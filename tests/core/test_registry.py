"""Registries: the program's own entries, and those of other packages, which never break it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from napari_4dstem_orient.core.registry import Registry

GROUP = "napari_4dstem_orient.toys"
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return what installs a throw-away package with entry points, each told as "name = module:attribute"."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(*entries: str) -> None:
        about = tmp_path / "foreign-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text("\n".join((f"[{GROUP}]", *entries)))

    return install


def registry() -> Registry[int]:
    return Registry(GROUP, int, {"most": "sys:maxsize", "ten": 10})


def test_own_entries_come_in_order_and_are_imported_when_they_are_asked_for() -> None:
    broken = Registry(GROUP, int, {"ten": 10, "missing": "no_such_module:thing"})
    assert list(broken) == ["ten", "missing"]
    assert broken["ten"] == 10
    with pytest.raises(ModuleNotFoundError):
        broken["missing"]
    with pytest.raises(KeyError):
        broken["other"]


def test_entries_of_other_packages_follow(install: Install) -> None:
    install("limit = sys:hexversion")
    assert list(registry()) == ["most", "ten", "limit"]
    assert isinstance(registry()["limit"], int)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("lost = no_such_module:thing", "No module named"),
        ("lost = sys:no_such_thing", "no attribute"),
        ("lost = sys:version", "it is no int"),
        ("ten = sys:hexversion", "its name is taken"),
    ],
)
def test_what_cannot_be_used_is_left_out_with_one_sentence(install: Install, entry: str, why: str) -> None:
    install(entry, "limit = sys:hexversion")
    toys = registry()
    with pytest.warns(
        UserWarning, match=rf"of the package foreign is left out .*{why}.*; update or remove"
    ) as told:
        assert list(toys) == ["most", "ten", "limit"]
    assert toys["ten"] == 10
    assert len(told) == 1

"""The parent is offered among the ticked crystals, and becomes part of the job."""

import pytest

from napari_4dstem_orient.napari_plugin.panels.orientation.panel import OrientationWidget


@pytest.fixture
def panel(dock, knowing):
    widget = dock(OrientationWidget)
    widget.choose_phase("Ag")
    return widget


def offered(panel):
    names = panel.parents.names
    return [names.itemText(number) for number in range(names.count())]


def pick(panel, name):
    """As a click on a line of the opened list."""
    names = panel.parents.names
    names.setCurrentIndex(names.findText(name))
    names.activated.emit(names.currentIndex())


def test_one_crystal_has_no_parent(panel):
    assert not panel.parents.isVisibleTo(panel)
    assert panel.session.job.parents == ()


def test_two_crystals_offer_one_of_them(panel):
    panel.choose_phase("Cu")
    assert panel.parents.isVisibleTo(panel)
    assert sorted(offered(panel)) == ["Ag", "Cu", "none"]
    assert panel.session.job.parents == ()
    pick(panel, "Ag")
    assert panel.session.job.parents == ("Ag",)
    first, second = panel.session.job.passes()
    assert {phase.name for phase in first.phases} == {"Ag", "Cu"}
    assert [phase.name for phase in second.phases] == ["Cu"]


def test_a_third_crystal_leaves_the_parent_and_without_others_it_is_none(panel):
    panel.choose_phase("Cu")
    pick(panel, "Ag")
    panel.choose_phase("Si")
    assert panel.session.job.parents == ("Ag",)
    panel.phases.choose_only(["Ag"])
    assert panel.session.job.parents == ()
    assert not panel.parents.isVisibleTo(panel)


def test_a_project_brings_its_parent_back(panel):
    panel.phases.choose_only(["Ag", "Cu"])
    panel.parents.choose(("Cu",))
    assert panel.parents.parents == ("Cu",)
    assert panel.session.job.parents == ("Cu",)
    panel.parents.choose(())
    assert panel.session.job.parents == ()

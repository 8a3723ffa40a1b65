"""Every word that the window shows is plain English or in the glossary, and none is cut in its middle."""

import re

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from helpers.gui_scan import fill, made_map
from helpers.words import glossary, plain_english, texts_of, words_of
from napari_4dstem_orient.crystals.library import bundled
from napari_4dstem_orient.napari_plugin.panels.docks import open_panel
from napari_4dstem_orient.napari_plugin.panels.registry import PANELS
from napari_4dstem_orient.napari_plugin.state.sessions import session_for


@pytest.fixture
def opened(knowing, nothing_kept, bench, silver, qtbot):
    """All panels, with what they say before there is a scan and with two maps of it."""
    viewer, panels = bench
    panels |= {title: open_panel(viewer, title) for title in PANELS}
    qtbot.wait(100)
    texts = [text for panel in panels.values() for text in texts_of(panel)]
    fill(session_for(viewer), silver)
    for method in ("transformer", "template"):
        list(panels["Map"].showing_map(made_map(silver, method)))
    qtbot.waitUntil(lambda: not any(panel.jobs.running for panel in panels.values()), timeout=60_000)
    qtbot.wait(200)
    return panels, texts + [text for panel in panels.values() for text in texts_of(panel)]


def test_every_word_is_plain_english_or_in_the_glossary_and_none_is_cut(opened):
    panels, texts = opened
    explained = glossary()
    known = explained | {f"{word}s" for word in explained} | plain_english() | set(words_of(bundled()))
    shown = words_of(texts)
    assert len(shown) > 300
    assert {word: text for word, text in shown.items() if word not in known} == {}
    assert [text for text in texts if re.search(r"\w(…|\.\.\.)\w", text)] == []
    widgets = [widget for panel in panels.values() for widget in (panel, *panel.findChildren(QWidget))]
    modes = [widget.elideMode() for widget in widgets if hasattr(widget, "elideMode")]
    assert modes
    assert Qt.TextElideMode.ElideMiddle not in modes

"""Words in a colour of their own that can be read in every theme; what they say never hangs on the colour alone."""

from __future__ import annotations

from enum import StrEnum

from napari.utils.theme import get_theme
from qtpy.QtWidgets import QWidget


class Tone(StrEnum):
    """What words are like."""

    PLAIN = ""
    GOOD = "good"
    DOUBTFUL = "doubtful"
    FAINT = "faint"


ON_DARK = {Tone.GOOD: "#60c060", Tone.DOUBTFUL: "#e0a030", Tone.FAINT: "#a0a0a0"}
ON_LIGHT = {Tone.GOOD: "#1b6a1b", Tone.DOUBTFUL: "#7d4a00", Tone.FAINT: "#5a5a5a"}


def set_tone(widget: QWidget, tone: Tone) -> None:
    """Give a panel's words a tone; the panel's ``tone_sheet`` colours them."""
    if widget.property("tone") != tone.value:
        widget.setProperty("tone", tone.value)
        widget.style().unpolish(widget)  # a style sheet looks at properties only once
        widget.style().polish(widget)


def tone_sheet(theme: str) -> str:
    """Return the style sheet of a panel's tones in a theme."""
    colours = ON_DARK if luminance(get_theme(theme).background.as_rgb_tuple()[:3]) < 0.5 else ON_LIGHT
    return "\n".join(f'*[tone="{tone}"] {{ color: {colour} }}' for tone, colour in colours.items())


def luminance(colour: tuple[float, ...]) -> float:
    """Return how bright a colour (red, green, blue, 0 to 255) is, 0 to 1, as WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

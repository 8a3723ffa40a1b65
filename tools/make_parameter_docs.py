"""Write docs/parameters.md from the settings dataclasses, whose fields describe themselves.

python tools/make_parameter_docs.py
"""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

PAGE = Path(__file__).parents[1] / "docs" / "parameters.md"
PACKAGE = "napari_4dstem_orient"
SETTINGS = {
    "detection.settings": {"DetectionSettings": "Bragg disks"},
    "calibration.calibrate": {"CalibrationSettings": "Calibration"},
    "indexing.settings": {
        "ScoreSettings": "Score",
        "AcceptanceSettings": "Which answers are kept",
        "TransformerSettings": "Transformer",
        "TemplateSettings": "Template matching",
        "PredictionSettings": "Predicted patterns in the inspector",
    },
    "training.plan": {"TrainingPlan": "Training"},
}
"""Modules whose settings are described, in the order of the job, and what each of their classes is about."""


def page() -> str:
    """Return the text of docs/parameters.md."""
    lines = [
        "# Parameters",
        "",
        "Made by `tools/make_parameter_docs.py` from the code; change the text there. The forms show the same words.",
    ]
    for module, titles in SETTINGS.items():
        for settings in _settings(importlib.import_module(f"{PACKAGE}.{module}")):
            lines += ["", f"## {titles[settings.__name__]}: `{settings.__name__}`", ""]
            lines += ["| parameter | default | range | what it does |", "|---|---|---|---|"]
            lines += [_line(*entry) for entry in _parameters(settings)]
    return "\n".join(lines) + "\n"


def _settings(module: Any) -> list[type]:
    """Return the dataclasses that a module itself defines and that have parameters."""
    own = [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__
    ]
    return [kind for kind in own if dataclasses.is_dataclass(kind) and _parameters(kind)]


def _parameters(settings: type) -> list[tuple[str, Any, dict[str, Any]]]:
    """Return (name, default, description) of each field that describes itself."""
    hints = get_type_hints(settings, include_extras=True)
    found = []
    for field in dataclasses.fields(settings):
        hint = hints[field.name]
        notes = [note for note in get_args(hint)[1:] if isinstance(note, dict)]
        if get_origin(hint) is Annotated and notes:
            default = "" if field.default is dataclasses.MISSING else field.default
            choices = get_args(get_args(hint)[0]) if get_origin(get_args(hint)[0]) is Literal else None
            found.append((field.name, default, {"choices": choices, **notes[0]} if choices else notes[0]))
    return found


def _line(name: str, default: Any, about: dict[str, Any]) -> str:
    ends = [f"{about[end]:g}" if end in about else "" for end in ("min", "max")]
    span = " to ".join(end or "…" for end in ends) if any(ends) else ""
    if isinstance(about.get("choices"), list | tuple):
        span = ", ".join(str(choice) for choice in about["choices"])
    shown = "none" if default is None else str(default)
    cells = [f"{about['label']}, `{name}`", shown, span, " ".join(about["tooltip"].split())]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)

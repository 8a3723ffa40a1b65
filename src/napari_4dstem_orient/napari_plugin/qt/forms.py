"""Forms made from settings dataclasses: what the form shows, the dataclass says."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection
from types import UnionType
from typing import Annotated, Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox, LineEdit, create_widget
from magicgui.widgets.bases import ValueWidget
from psygnal import Signal
from qtpy.QtCore import QLocale, Qt
from qtpy.QtGui import QDoubleValidator
from qtpy.QtWidgets import QComboBox, QGridLayout, QLabel, QWidget

S = TypeVar("S")


class NumberOrNothing(LineEdit):
    """A number that may be left empty; its value is a float or None."""

    def __init__(self, value: float | None = None, empty: str = "unknown", **options: Any) -> None:
        bounds = options.pop("min", None), options.pop("max", None)
        for unused in ("step", "annotation", "nullable"):
            options.pop(unused, None)
        super().__init__(nullable=False, **options)
        validator = QDoubleValidator(self.native)
        validator.setLocale(QLocale.c())
        if bounds[0] is not None:
            validator.setBottom(float(bounds[0]))
        if bounds[1] is not None:
            validator.setTop(float(bounds[1]))
        self.native.setValidator(validator)
        self.native.setPlaceholderText(empty)
        self.value = value

    def get_value(self) -> float | None:
        """Return the number, or None where the field is empty or not yet a number."""
        try:
            return float(super().get_value())
        except ValueError:
            return None

    @property
    def value(self) -> float | None:
        """The number, or None where the field is empty."""
        return self.get_value()

    @value.setter
    def value(self, value: float | None) -> None:
        if value is None or isinstance(value, str):  # magicgui's own start is an empty text
            self._widget._mgui_set_value("")
        elif value != self.get_value():
            self._widget._mgui_set_value(f"{float(value):.6g}")


class Form(Generic[S]):
    """The fields of one settings dataclass, label beside field.

    Attributes
    ----------
    native : QWidget
        To be put into a layout.
    further : QWidget
        The fields that are seldom needed, to be put where they are out of the way.
    fields : dict of str to ValueWidget
        The field widgets by name.

    Signals
    -------
    changed : Signal()
        A field was edited, or ``set`` changed something.
    """

    changed = Signal()

    def __init__(self, settings: S, further: Collection[str] = ()) -> None:
        self._type = type(settings)
        self.native = QWidget()
        self.further = QWidget(self.native)  # its own, until it is put elsewhere
        self.further.setVisible(bool(further))
        self.fields: dict[str, ValueWidget] = {}
        layouts = [QGridLayout(part) for part in (self.native, self.further)]
        for layout in layouts:
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setVerticalSpacing(2)
            layout.setColumnStretch(1, 1)
        for row, (name, hint) in enumerate(_hints(self._type).items()):
            field = self.fields[name] = field_widget(name, hint, getattr(settings, name))
            field.changed.connect(self._on_edited)
            label = QLabel(field.label)
            label.setToolTip(field.tooltip or "")
            if isinstance(field, CheckBox):
                field.text = ""
            layout = layouts[name in further]
            layout.addWidget(label, row, 0)
            layout.addWidget(field.native, row, 1)

    def __getitem__(self, name: str) -> ValueWidget:
        return self.fields[name]

    def settings(self) -> S:
        """Return the settings that the form shows."""
        return self._type(**{name: field.value for name, field in self.fields.items()})

    def set(self, settings: S) -> None:
        """Show other settings; ``changed`` is emitted once, if anything differs."""
        before = self.settings()
        with self.changed.blocked():
            for name, field in self.fields.items():
                _make_room(field, getattr(settings, name))
                field.value = getattr(settings, name)
        if self.settings() != before:
            self.changed.emit()

    def _on_edited(self, value: Any) -> None:
        self.changed.emit()


def form_for(settings: Any, further: Collection[str] = ()) -> Form[Any]:
    """Make the form of a settings dataclass.

    Parameters
    ----------
    settings : dataclass type or instance
        A type shows its defaults. Fields are ``Annotated[type, parameter(...)]``.
    further : collection of str
        Fields that are seldom needed.
    """
    return Form(settings() if isinstance(settings, type) else settings, further)


def field_widget(name: str, hint: Any, value: Any) -> ValueWidget:
    """Make the widget of one field from its ``Annotated`` hint."""
    options: dict[str, Any] = {}
    if get_origin(hint) is Annotated:
        hint, *extras = get_args(hint)
        for extra in extras:
            if isinstance(extra, dict):
                options |= extra
    why_not = options.pop("why_not", None)
    if get_origin(hint) in (Union, UnionType) and type(None) in get_args(hint) and "choices" not in options:
        label, tooltip = options.pop("label", None), options.pop("tooltip", None)
        return NumberOrNothing(name=name, label=label, tooltip=tooltip, value=value, **options)
    widget = create_widget(annotation=hint, name=name, options=options)
    assert isinstance(widget, ValueWidget)
    _make_room(widget, value)
    widget.value = value
    if why_not is not None and isinstance(widget, ComboBox):
        _explain_missing(widget.native, why_not)
    return widget


def _explain_missing(box: QComboBox, why_not: Callable[[str], str]) -> None:
    """Take from a box the choices that cannot be taken; their tooltips say why."""
    for index in range(box.count()):
        if reason := why_not(box.itemText(index)):
            box.model().item(index).setEnabled(False)
            box.setItemData(index, reason, Qt.ItemDataRole.ToolTipRole)


def _make_room(widget: ValueWidget, value: Any) -> None:
    """Give a spin box enough decimals for three significant digits, or it would round 0.0002 to nothing."""
    if isinstance(widget, FloatSpinBox) and value:
        needed = 2 - math.floor(math.log10(abs(value)))
        digits = len(f"{value:.{max(needed, 0)}f}".rstrip("0").partition(".")[2])
        widget.native.setDecimals(max(widget.native.decimals(), digits))


def _hints(settings_type: type) -> dict[str, Any]:
    hints = get_type_hints(settings_type, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(settings_type) if field.init}

"""How a step's settings describe themselves, for the form, the command line and the docs; how foreign ones are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_type_hints

if TYPE_CHECKING:
    from pydantic import BaseModel

Settings = TypeVar("Settings")


def parameter(label: str, help: str, unit: str = "", **options: Any) -> dict[str, Any]:
    """Describe one field of a settings dataclass: ``x: Annotated[float, parameter(...)] = 1.0``.

    Parameters
    ----------
    label : str
        What the form calls it.
    help : str
        One line: what it does and when to change it.
    unit : str
        Shown after the label.
    **options
        magicgui options such as ``min``, ``max``, ``step``, ``choices``. With ``why_not``, a function that says of a
        choice why it cannot be taken here (empty where it can), the form disables those.
    """
    return {"label": f"{label} ({unit})" if unit else label, "tooltip": help, **options}


def from_plain(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Make a dataclass of plain JSON values, which may come from anywhere.

    Parameters
    ----------
    kind : type
        A dataclass of plain values.
    values : dict
        By field; what is left out has its default. A class may say in ``FORMERLY`` what its fields were called,
        and that (None) one is no more.

    Raises
    ------
    ValueError
        A field that there is not, or a value of another type, not finite, or outside what its ``parameter`` allows.
    """
    from pydantic import ValidationError

    if not isinstance(values, Mapping):
        raise ValueError(f"{kind.__name__} cannot be made of a {type(values).__name__}")
    former = getattr(kind, "FORMERLY", {})
    values = {known: value for name, value in values.items() if (known := former.get(name, name))}
    try:
        # As JSON, for there a list is a tuple and everything else exactly what it is.
        read = _model(cast(Any, kind)).model_validate_json(json.dumps(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{kind.__name__}: {where}: {first['msg']}") from error
    known = {name: getattr(read, name) for name in read.model_fields_set}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if name in known:
            _check_range(name, known[name], getattr(hint, "__metadata__", ({},))[0])
    return kind(**known)


def _check_range(name: str, value: Any, options: Mapping[str, Any]) -> None:
    if value is None:
        return
    low, high, choices = (options.get(key) for key in ("min", "max", "choices"))
    if (low is not None and value < low) or (high is not None and value > high):
        raise ValueError(f"{name} is {value} and must lie between {low} and {high}")
    if choices is not None and value not in choices:
        raise ValueError(f"{name} is {value!r} and must be one of {', '.join(map(str, choices))}")


@cache
def _model(kind: Any) -> type[BaseModel]:
    """Return what checks the types of a dataclass's fields."""
    from pydantic import ConfigDict, create_model

    hints = get_type_hints(kind)
    strict = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
    wanted: dict[str, Any] = {
        item.name: (
            hints[item.name],
            ... if item.default is MISSING and item.default_factory is MISSING else None,
        )
        for item in fields(kind)
    }
    return create_model(kind.__name__, __config__=strict, **wanted)

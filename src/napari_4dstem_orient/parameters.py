"""How a step's settings describe themselves, once, for the form, the command line and the docs."""

from typing import Any


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
        magicgui options such as ``min``, ``max``, ``step``, ``choices``.
    """
    return {"label": f"{label} ({unit})" if unit else label, "tooltip": help, **options}

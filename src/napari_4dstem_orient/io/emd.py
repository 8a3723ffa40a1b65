"""Write EMD 1.0 files in the layout of py4DSTEM 0.14, which ``py4DSTEM.read`` opens; py4DSTEM is not needed for it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Axis = tuple[np.ndarray, str, str]
"""The first two coordinates along an axis of an array, its name and its unit; an axis of labels has no unit."""


def create(path: str | Path, name: str) -> h5py.File:
    """Make a file with an empty root of that name, and return it open."""
    file = h5py.File(path, "w")
    told = {"emd_group_type": "file", "version_major": 1, "version_minor": 0, "UUID": str(uuid.uuid4())}
    file.attrs.update(told | {"authoring_program": "napari-4dstem-orient", "authoring_user": ""})
    add_node(file, name, "root", "Root")
    return file


def add_node(parent: h5py.Group, name: str, kind: str, python_class: str) -> h5py.Group:
    """Add a group: its kind in the EMD format, and which class of py4DSTEM's it is read as."""
    node = parent.create_group(name)
    node.attrs.update({"emd_group_type": kind, "python_class": python_class})
    return node


def add_array(
    parent: h5py.Group,
    name: str,
    values: np.ndarray,
    axes: Sequence[Axis],
    unit: str = "",
    python_class: str = "Array",
) -> h5py.Group:
    """Add an array with its axes."""
    node = add_node(parent, name, "array", python_class)
    node.create_dataset("data", data=values).attrs["units"] = unit
    for number, (places, called, measured) in enumerate(axes):
        axis = node.create_dataset(f"dim{number}", data=places)
        axis.attrs.update({"name": called, "units": measured})
    return node


def add_labels(array: h5py.Group, labels: Sequence[str]) -> None:
    """Say what the parts of an array's first axis are, each of which is an array of the other axes."""
    rank = array["data"].ndim - 1
    array.create_dataset(f"dim{rank}", data=[label.encode() for label in labels]).attrs["name"] = "_labels_"


def add_metadata(
    node: h5py.Group, name: str, values: Mapping[str, Any], python_class: str = "Metadata"
) -> h5py.Group:
    """Add a dictionary of numbers, texts, arrays, tuples of numbers, lists of texts and None to a node."""
    bundle = node.get("metadatabundle")
    if bundle is None:
        bundle = node.create_group("metadatabundle")
        bundle.attrs["emd_group_type"] = "metadatabundle"
    group = add_node(bundle, name, "metadata", python_class)
    for key, value in values.items():
        _add_value(group, key, value)
    return group


def _add_value(group: h5py.Group, key: str, value: Any) -> None:
    if isinstance(value, list):
        texts = group.create_group(key)
        texts.attrs.update({"type": "list_of_strings", "length": len(value)})
        for number, text in enumerate(value):
            texts.create_dataset(str(number), data=text.encode())
        return
    kinds = {bool: "bool", str: "string", tuple: "tuple", np.ndarray: "array", type(None): "None"}
    stored = {str: lambda: value.encode(), type(None): lambda: b"_None"}.get(type(value), lambda: value)()
    group.create_dataset(key, data=stored).attrs["type"] = kinds.get(type(value), "number")


def calibration_of(values: Mapping[str, Any], targets: Sequence[str] = ()) -> dict[str, Any]:
    """Return what is stored of py4DSTEM's calibration, of the nodes at some paths of the tree."""
    return {**values, "_root_treepath": "", "_target_paths": list(targets)}

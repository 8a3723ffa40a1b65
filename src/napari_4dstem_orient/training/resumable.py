"""Checkpoints of a training: weights, optimizer and random numbers as safetensors, never a pickle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from napari_4dstem_orient.core.atomic import write
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.reading import check_room, from_json, reading


def save_state(
    path: Path,
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    story: dict[str, Any],
) -> None:
    """Write everything needed to go on later; ``story`` is plain JSON values."""
    from safetensors.torch import save

    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{index}.{name}": value for name, value in state.items()})
    tensors["generator"] = generator.get_state()
    contiguous = {name: value.cpu().contiguous() for name, value in tensors.items()}
    write(path, save(contiguous, {"story": json.dumps(story)}))


def read_story(path: Path) -> dict[str, Any]:
    """Return the ``story`` of a checkpoint.

    Raises
    ------
    UserError
        If the file is damaged.
    """
    return _read(path)[0]


def restore_state(
    path: Path, network: torch.nn.Module, optimizer: torch.optim.Optimizer, generator: torch.Generator
) -> None:
    """Go on from what ``save_state`` wrote.

    Raises
    ------
    UserError
        If the file is damaged.
    """
    tensors = _read(path)[1]
    with damaged(path):
        network.load_state_dict(_under("network.", tensors))
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in _under("optimizer.", tensors).items():
            index, key = name.split(".")
            state.setdefault(int(index), {})[key] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        generator.set_state(tensors["generator"])


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    """Say what to do, whatever a checkpoint does."""
    try:
        with reading(path, "a training checkpoint"):
            yield
    except UserError as error:
        why = str(error).rstrip(".")
        raise UserError(
            f"{path} is a damaged training checkpoint ({why}); remove it to start again."
        ) from error


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    from safetensors import safe_open

    with damaged(path):
        check_room(2 * path.stat().st_size, "The checkpoint")
        with safe_open(path, framework="pt") as file:
            story = from_json((file.metadata() or {})["story"], dict)
            return story, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}

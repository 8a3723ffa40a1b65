"""Which device computes, and what to call it."""

from __future__ import annotations

import torch

from napari_4dstem_orient.errors import UserError

CHOICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str = "auto") -> torch.device:
    """Return the named device, or for ``"auto"`` the best that is there.

    Raises
    ------
    UserError
        If the named device is unknown or not there; nothing is downgraded silently.
    """
    if name not in CHOICES:
        raise UserError(f"There is no device {name!r}; choose one of {', '.join(CHOICES)}.")
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(kind for kind in ("cuda", "mps", "cpu") if present[kind])
    if not present[name]:
        raise UserError(
            f"The device {name!r} is not available to torch on this machine; choose 'auto' or 'cpu'."
        )
    return torch.device(name)


def describe(device: torch.device) -> str:
    """Return a device's name for people, such as ``"CPU (2 threads)"``."""
    if device.type == "cuda":
        return f"CUDA ({torch.cuda.get_device_name(device)})"
    if device.type == "mps":
        return "MPS (Apple GPU)"
    return f"CPU ({torch.get_num_threads()} threads)"

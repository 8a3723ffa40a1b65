"""py4DSTEM's disk detection on a single pattern, without its noise."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what py4DSTEM prints and warns about while it is imported or makes a template."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


@lru_cache(maxsize=1)
def single_pattern_detection() -> Callable[..., Any]:
    """Return py4DSTEM's function that detects disks in one pattern (importing it takes seconds, once)."""
    with quiet():
        from py4DSTEM.braggvectors.diskdetection import _find_Bragg_disks_single

    return _find_Bragg_disks_single

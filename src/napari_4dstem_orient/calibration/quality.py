"""How good a part of a calibration is, as a symbol and a word."""

from __future__ import annotations

from enum import StrEnum


class Quality(StrEnum):
    """A judgement that needs no colour."""

    GOOD = "good"
    CHECK = "check"
    POOR = "poor"

    @property
    def text(self) -> str:
        """Symbol and word."""
        return {Quality.GOOD: "✓ good", Quality.CHECK: "△ check", Quality.POOR: "✕ poor"}[self]

    @classmethod
    def of(cls, value: float, good: float, check: float) -> Quality:
        """Judge a deviation: good below the first limit, poor from the second; what is not known is to be checked."""
        if value < good:
            return cls.GOOD
        return cls.POOR if value >= check else cls.CHECK

"""What methods share that walk down from where they begin: a field that says where they stop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from onnxcam.methods.base import Method

INPUT = "input"


@dataclass(frozen=True)
class EndingMethod(Method):
    """A method whose map can end at any layer on its way down to the input.

    Attributes:
        to: where the map ends: ``input``, or a layer by name or by index.
    """

    to: str | int = field(default=INPUT, kw_only=True)

    @property
    def walks_back(self) -> bool:
        """Yes, down to where it ends."""
        return True

    @property
    def layers(self) -> tuple[str | int, ...]:
        """The layer where the map ends."""
        return () if self.to == INPUT else (self.to,)

    @property
    def combines(self) -> bool:
        """No."""
        return False

    @property
    def end(self) -> Literal["input"] | int:
        """That place, as a probe knows it."""
        return "input" if self.to == INPUT else 0

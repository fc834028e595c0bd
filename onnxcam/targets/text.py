"""The text of a target, as the parsers of written forms get it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from onnxcam.errors import NameNotFoundError, TargetError
from onnxcam.images import read_image
from onnxcam.targets.classes import class_index

_INTEGER = re.compile(r"[+-]?[0-9]{1,1000}")
_BRIGHT = 127  # of 255: a pixel above it belongs to a mask's region


@dataclass(frozen=True)
class TargetText:
    """A text that names targets, as the parser of a form gets it.

    Attributes:
        whole: all of it.
        argument: what follows the keyword and its colon; empty for a form without.
        labels: names of the classes, None if there are none.
        forms: every form of a target in one line, for messages.
    """

    whole: str
    argument: str
    labels: Sequence[str] | None
    forms: str = ""

    def is_integer(self, part: str) -> bool:
        """Whether a part of the text is an integer, which is then a class index and never a label."""
        return _INTEGER.fullmatch(part) is not None

    def class_index(self, part: str) -> int:
        """Return the class that a part of the text names by index or label.

        Raises:
            TargetError: nothing is named, no class can have that index, or there are no labels.
            NameNotFoundError: no such label.
        """
        if not part.strip():
            raise TargetError(f"the target '{self.whole}' lacks a class; the forms are {self.forms}")
        return class_index(int(part) if self.is_integer(part) else part, self.labels)

    def find_class(self, part: str) -> int | None:
        """Return the class that a part of the text names by index or label, None if it names none."""
        try:
            return self.class_index(part)
        except (NameNotFoundError, TargetError):
            return None

    def number(self, part: str, least: int = 0, most: int = 999_999_999) -> int:
        """Return a part of the text as an integer.

        Raises:
            TargetError: it is none, or outside of ``least`` to ``most``.
        """
        if not part.isdecimal() or len(part) > 9 or not least <= int(part) <= most:
            raise TargetError(
                f"'{part}' in the target '{self.whole}' is no integer from {least} to {most}; "
                f"the forms are {self.forms}"
            )
        return int(part)

    def mask(self, file: str) -> npt.NDArray[np.bool_]:
        """Return the bright region ``[H, W]`` of an image file.

        Raises:
            ImageError: it cannot be read.
        """
        return np.asarray(np.asarray(read_image(Path(file)).convert("L")) > _BRIGHT)
